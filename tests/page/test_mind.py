"""The read-out of policies beside a match: presses, value, attention, and the guess of the opponent."""

from __future__ import annotations

import numpy as np
import torch
from browser import until
from conftest import TOY, random_episode
from matches import ZOO

from shadowbox.core.episode import Episode
from shadowbox.core.game import game_of_schema
from shadowbox.core.view import from_seat
from shadowbox.games import load
from shadowbox.model import policy
from shadowbox.model.strategy.read_out import read_out
from shadowbox.play.match import play
from shadowbox.play.policy_agent import PolicyAgent, as_tensor
from shadowbox.report.match import match_document

ROWS = 31
BRAWL = load("brawl")
KEYS = BRAWL.schema.control_keys


def page_of(tmp_path, tracks, schema=TOY):
    """Page of a match with tracks."""
    episode = random_episode(schema, ROWS - 1, players=["one", "two"])
    path = tmp_path / "match.html"
    shown = Episode(episode.columns, episode.meta, episode.events, tracks=tracks)
    path.write_text(match_document(game_of_schema(schema), shown))
    return path


def test_the_panel_follows_the_playhead(tmp_path, visit):
    """Numbers are those of the shown frame; the likeliest opponent comes first; names are text."""
    looks = np.zeros((ROWS, 5), np.float16)
    looks[:, 1] = 1
    rising = np.linspace(0, 1, ROWS, dtype=np.float32)
    tracks = {
        "1/value": rising - 0.5,
        "1/attention": looks,
        "1/guess/<b>x</b>": rising,
        "1/guess/based": 1 - rising,
    }
    page = visit(page_of(tmp_path, tracks), width=390, height=800, part="#0")
    until(page, "document.querySelector('.mind .guess')")
    words, guesses = page.locator(".mind .values"), page.locator(".mind .guess")
    assert words.inner_text().endswith("two \u22120.50")
    assert guesses.first.inner_text().split() == ["based", "100", "%"]
    page.evaluate("window.__viewer.seek(30)")
    assert words.inner_text().endswith("two 0.50")
    assert guesses.first.inner_text().split() == ["<b>x</b>", "100", "%"]
    heights = page.evaluate("[...document.querySelectorAll('.looks i')].map((i) => i.clientHeight)")
    assert [height > 0 for height in heights] == [False, False, False, True, False]
    canvas = "document.querySelector('.mind canvas')"
    assert page.evaluate(f"{canvas}.width === {canvas}.clientWidth")  # it was painted in its size
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_presses_and_sticks_have_their_places(tmp_path, visit):
    """Each control has its number and bar; held controls are marked, and those of another seat are not."""
    tracks = {
        "1/press/pad/a": np.linspace(0, 1, ROWS, dtype=np.float32),
        "1/mean/pad/main_x": np.full(ROWS, -1, np.float32),
    }
    path = page_of(tmp_path, tracks, ZOO)
    page = visit(path, width=390, height=800, part="#0")
    until(page, "document.querySelector('.mind .odd')")
    shown = page.locator(".odd")
    held = random_episode(ZOO, ROWS - 1, players=["one", "two"]).columns["pad/a"][:, 1]
    for frame in (0, 12, 29):
        page.evaluate(f"window.__viewer.seek({frame})")
        words = shown.first.inner_text().split()
        assert words == ["a", f"{round(100 * frame / 30)}", "%"]
        assert page.locator(".odd .down").count() == int(held[frame])
    assert shown.last.inner_text().split() == ["main", "x", "\u22121.00"]
    assert page.locator(".odd i").last.evaluate("(bar) => bar.clientWidth") == 0  # its lowest place
    assert page.locator(".thoughts").count() == 1
    assert page.locator(".thoughts").get_attribute("aria-label") == "two"


def test_the_numbers_are_those_of_the_policy(tmp_path, visit):
    """What a page shows at a frame is what the policy computed there, beside the stage on a wide window."""
    changes = {"width": 16, "value": True, "strategy": "banded", "opponents": ("based", "expert")}
    arguments = policy.preset_arguments("small", BRAWL.encodings["default"], **changes)
    agent = PolicyAgent(policy.build_policy(BRAWL.schema, arguments, 5))
    world = BRAWL.world(1, time_limit=40)
    players = [agent, BRAWL.bots["based"]()]
    (played,) = play(BRAWL, world, players, ("one", "two"), np.array([9]), tracks=True)
    episode = played.episode
    path = tmp_path / "match.html"
    path.write_text(match_document(BRAWL, episode))
    columns, frame = from_seat(BRAWL.schema, episode.columns, 0), 25
    view = {key: as_tensor(columns[key][: frame + 1])[None] for key in agent.policy.input_columns}
    for key in KEYS:
        late = np.concatenate([np.zeros((1, 2), bool), columns[key][:frame]])
        view[key] = as_tensor(late)[None]
    own = {key: as_tensor(columns[key][: frame + 1])[None] for key in KEYS}
    reset = torch.zeros(1, frame + 1, dtype=torch.bool)
    reset[0, 0] = True
    with torch.inference_mode():
        output, _ = agent.policy.seq(view, agent.policy.values.of(own), reset)
        odds = output.mean(agent.temperatures)[0, -1].numpy()
    expected = read_out(agent.policy, view)
    page = visit(path, width=1440, height=900, part=f"#{frame}")
    until(page, "document.querySelector('.mind .odd')")
    texts = [text.split() for text in page.locator(".odd").all_inner_texts()]
    assert [text[0] for text in texts] == [key.split("/")[1] for key in KEYS]
    shown = np.array([int(text[1]) for text in texts])
    np.testing.assert_allclose(shown, 100 * odds, atol=0.51)
    value = page.locator(".values").inner_text().split()[-1].replace("\u2212", "-")
    assert abs(float(value) - float(expected.value[0, -1])) < 0.0051
    guesses = dict(text.split()[:2] for text in page.locator(".guess").all_inner_texts())
    likely = [float(share) for share in expected.guess[0, -1]]
    found = [int(guesses[name]) for name in ("based", "expert")]
    np.testing.assert_allclose(found, 100 * np.array(likely), atol=0.51)
    bars = page.evaluate(
        "[...document.querySelectorAll('.looks i')].map((i) => Number(i.style.getPropertyValue('--share')))"
    )
    looks = expected.attention[0, -1].numpy()
    assert len(bars) == 65
    np.testing.assert_allclose(bars[::-1], looks / looks.max(), atol=2e-3)
    stage, mind = (page.locator(name).bounding_box() for name in (".stage", ".mind"))
    assert mind["x"] > stage["x"] + stage["width"]
    assert mind["y"] + mind["height"] < 900


def test_without_a_policy_there_is_no_panel(tmp_path, visit):
    """A match without tracks has nothing beside the stage or below the playback bar."""
    page = visit(page_of(tmp_path, {}), width=1440, height=900, part="#0")
    until(page, "document.querySelector('.mind')")
    assert page.locator(".mind").is_hidden()
    stage = page.locator(".stage").bounding_box()
    assert abs(stage["x"] + stage["width"] / 2 - 720) < 2


def test_a_dream_shows_its_errors(tmp_path, visit):
    """Beside a dream the error of each field in the shown frame, and that of holding its value."""
    errors = np.stack([np.linspace(0, 2, ROWS), np.linspace(0, 4, ROWS)], -1).astype(np.float32)
    page = visit(page_of(tmp_path, {"0/error/x": errors}), part="#0")
    until(page, "document.querySelector('.mind .miss')")
    assert page.locator(".miss").inner_text().split() == ["x", "0.00", "(0.00)"]
    page.evaluate("window.__viewer.seek(30)")
    assert page.locator(".miss").inner_text().split() == ["x", "2.00", "(4.00)"]
