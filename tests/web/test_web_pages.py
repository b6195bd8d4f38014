"""The pages in a real browser, from a server as a user starts it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from browser import follow, until
from quick_brawl import GAME, LENGTH

from shadowbox.collect.matches import Pairing, record
from shadowbox.data.store import Store
from shadowbox.play import specs
from shadowbox.play.match import play

pytestmark = pytest.mark.slow


def expected(p0, p1, seed):
    """The match that `play` gives."""
    agents = [specs.agent(name, GAME) for name in (p0, p1)]
    (match,) = play(GAME, specs.world("brawl", GAME, 1), agents, (p0, p1), np.array([seed]))
    return match


def test_a_live_match_draws_and_ends_with_the_right_result(server, browse):
    """Chosen in the Arena, the match is drawn while it runs, and the result on the screen is that of `play`."""
    page = browse(server().url)
    page.fill("[name=p0]", "based")
    page.fill("[name=p1]", "aggressive")
    page.fill("[name=seed]", "7")
    page.click(".go")
    page.wait_for_url("**/live/*")
    until(page, "window.__viewer?.drawn?.length > 0", 90)
    assert re.search(r"/live/\d+$", page.url)
    until(page, "__viewer.frame > 20")
    assert not page.evaluate("__viewer.ended")
    page.select_option(".match-controls select", "8")
    until(page, "__viewer.ended && __viewer.frame === __viewer.last", 40)
    match = expected("based", "aggressive", 7)
    winner = match.outcome.winner
    said = "no winner" if winner is None else f"{('based', 'aggressive')[winner]} wins"
    assert page.locator(".verdict").inner_text() == f"{said} · {match.outcome.reason}"
    assert page.evaluate("__viewer.rows.length") == match.episode.rows
    damage = match.episode.columns["player/damage"][-1]
    assert page.evaluate("__viewer.state.numbers") == [[f"{value:.0f}"] for value in damage]


def test_who_comes_late_sees_it_from_the_start_and_scrubs(server, browse):
    """A second page in the middle of a match has every row from the first.

    Scrubbing shows the frame that was asked for.
    """
    running = server()
    begun = running.begin(p0="expert", p1="random", seed=5)
    first = browse(f"{running.url}live/{begun['match']}")
    until(first, "window.__viewer?.rows?.length > 90", 90)
    late = browse(f"{running.url}live/{begun['match']}")
    until(late, "window.__viewer?.rows?.length > 90")
    assert late.evaluate("__viewer.state.skipped") == 0
    episode = expected("expert", "random", 5).episode
    damage = "(frame) => __viewer.rows.at(frame)['player/x']"
    for frame in (0, 1, 45, 90):
        np.testing.assert_array_equal(
            late.evaluate(damage, frame), episode.columns["player/x"][frame]
        )
    strip = late.locator(".strip").bounding_box()
    late.mouse.click(strip["x"] + 0.5 * strip["width"], strip["y"] + 20)
    shown = late.evaluate(
        "({ frame: __viewer.frame, numbers: __viewer.state.numbers, following: __viewer.following })"
    )
    assert not shown["following"]
    assert shown["numbers"] == [
        [f"{value:.0f}"] for value in episode.columns["player/damage"][shown["frame"]]
    ]
    assert "2 viewers." in late.locator("#status").inner_text()
    assert not late.locator(".match-controls").is_visible(), "only its starter controls a match"
    until(late, "__viewer.ended", 20)
    late.evaluate("__viewer.seek(__viewer.last)")
    assert late.evaluate("__viewer.rows.length") == LENGTH + 1
    assert late.locator(".verdict").inner_text() != ""


def test_the_match_is_led_from_its_page(server, browse):
    """Whoever began a match pauses it for everybody, steps it by a frame, and lets it go on."""
    page = browse(server().url)
    page.fill("[name=p1]", "constant")
    page.click(".go")
    page.wait_for_url("**/live/*")
    until(page, "window.__viewer?.rows?.length > 10", 90)
    page.click("#pause")
    until(page, "document.getElementById('pause').textContent === 'Resume'")
    assert "Paused." in page.locator("#status").inner_text()
    page.wait_for_timeout(200)
    rows = page.evaluate("__viewer.rows.length")
    page.click("#step")
    until(page, f"__viewer.rows.length === {rows + 1}")
    page.wait_for_timeout(300)
    assert page.evaluate("__viewer.rows.length") == rows + 1
    page.click("#pause")
    until(page, f"__viewer.rows.length > {rows + 10}")


def test_a_broken_connection_is_taken_up(server, browse):
    """A page whose connection breaks goes on where it stood, without a gap."""
    running = server()
    begun = running.begin(p0="based", p1="random", seed=5)
    page = browse(f"{running.url}live/{begun['match']}")
    until(page, "window.__viewer?.rows?.length > 30", 90)
    page.evaluate("__feed.socket.onclose({ code: 1006 })")
    until(page, "__viewer.ended", 20)
    assert page.evaluate("[__viewer.rows.length, __viewer.state.skipped]") == [LENGTH + 1, 0]
    assert page.evaluate("__feed.events === [...__viewer.events.values()].flat().length")


@pytest.mark.parametrize("seat", [0, 1])
def test_a_person_plays(server, browse, seat):
    """A held key moves the fighter, a tap is a press, changed keys count, and the stored episode has what was pressed."""
    running = server("--out", "mine")
    page = browse(running.url + "play")
    page.fill("[name=name]", "<b>ann</b>")
    page.select_option("[name=seat]", str(seat))
    page.fill("[name=opponent]", "constant")
    page.click("[data-control='keys/j']")
    page.keyboard.press("ArrowUp")
    assert "Up" in page.locator("[data-control='keys/j']").inner_text()
    page.click(".go")
    until(
        page,
        "window.__viewer?.rows?.length === 1 && document.getElementById('prompt').textContent !== ''",
        90,
    )
    key = "d" if seat == 0 else "a"
    page.keyboard.down(key)
    until(page, "__viewer.rows.length > 20")
    page.keyboard.up(key)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    x = page.evaluate(f"[5, 20].map((row) => __viewer.rows.at(row)['player/x'][{seat}])")
    assert (x[1] > x[0] + 1) if seat == 0 else (x[1] < x[0] - 1)
    page.select_option(".match-controls select", "8")
    until(
        page,
        "__viewer.ended && document.getElementById('status').textContent.includes('Stored as mine#0')",
        40,
    )
    episode = Store(running.folder / "mine").episode(0)
    assert episode.meta["players"][seat] == "person:<b>ann</b>"
    held = episode.columns[f"keys/{key}"][:, seat]
    assert 15 <= held.sum() < 60
    assert episode.columns["keys/j"][:, seat].any()
    assert episode.columns["keys/space"][:, seat].any()
    assert not episode.columns["keys/k"].any()
    assert page.locator(f".side.p{seat + 1} .name").inner_text() == "person:<b>ann</b>"
    page.reload()
    assert "Up" in page.locator("[data-control='keys/j']").inner_text(), "keys are kept"
    page.click("#defaults")
    assert page.locator("[data-control='keys/j'] b").inner_text() == "J"
    page.goto(running.url + "matches")
    assert page.get_by_text("person:<b>ann</b>").is_visible()


def test_a_gamepad_plays(server, browse):
    """A stick and a button of a gamepad are keys, too."""
    page = browse(server().url + "play")
    page.evaluate(
        """() => {
          window.pad = { id: "test pad", axes: [0, 0], buttons: Array.from({ length: 16 }, () => ({ pressed: false })) };
          navigator.getGamepads = () => [window.pad];
        }"""
    )
    page.fill("[name=opponent]", "constant")
    page.click(".go")
    until(
        page,
        "window.__viewer?.rows?.length === 1 && document.getElementById('prompt').textContent !== ''",
        90,
    )
    assert "test pad" in page.locator("#gamepad").inner_text()
    page.evaluate("pad.axes = [1, 0]")
    until(page, "__viewer.rows.length > 15")
    assert page.evaluate("__viewer.rows.at(12)['keys/d'][0]")
    page.evaluate("pad.axes = [0, 0]; pad.buttons[2] = { pressed: true }")
    rows = page.evaluate("__viewer.rows.length")
    until(page, f"__viewer.rows.length > {rows + 12}")
    assert page.evaluate("__viewer.rows.at(__viewer.last)['keys/j'][0]")
    assert not page.evaluate("__viewer.rows.at(__viewer.last)['keys/d'][0]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_every_page_fits(server, browse, tmp_path, width, height, scheme):
    """On a laptop and a phone, light and dark: no page is wider than the screen, complains, or has a small button."""
    record(GAME, [Pairing("based", "random", 2)], tmp_path / "fights")
    running = server(tmp_path / "fights")
    begun = running.begin(p0="based", p1="random")
    page = browse(running.url, width=width, height=height, color_scheme=scheme)
    for path in ("", "play", "matches", "matches/0/1", "tournaments", f"live/{begun['match']}"):
        page.goto(running.url + path)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        for button in page.locator(
            "button:not(.legend *):visible, input:visible, select:visible"
        ).all():
            assert button.bounding_box()["height"] >= 44, (path, button.inner_text())


def test_a_stored_match_opens_in_the_viewer(server, browse, tmp_path):
    """From the list to the match: its frames are those of the store; the copy of it is one file that works offline."""
    record(GAME, [Pairing("based", "random", 2)], tmp_path / "fights")
    page = browse(server(tmp_path / "fights").url + "matches")
    follow(page, page.get_by_text("#1"))
    until(page, "window.__viewer?.drawn?.length > 0")
    page.evaluate("__viewer.seek(100)")
    episode = Store(tmp_path / "fights").episode(1)
    assert page.evaluate("__viewer.state.numbers") == [
        [f"{value:.0f}"] for value in episode.columns["player/damage"][100]
    ]
    with page.expect_download() as download:
        page.click("text=as one file")
    assert "match-viewer" in download.value.path().read_text()


def test_a_forfeit_is_said_on_the_stage(server, browse):
    """An agent that fails loses, and the reason stands on the screen; what it raised does not."""
    running = server()
    begun = running.begin(p0="raises", p1="constant")
    page = browse(f"{running.url}live/{begun['match']}")
    until(page, "window.__viewer?.ended && __viewer.frame === __viewer.last", 90)
    assert page.locator(".verdict").inner_text() == "constant wins · forfeit"
    assert "raises forfeits: failed with RuntimeError." in page.locator("#status").inner_text()
    follow(page, page.get_by_text("Show the numbers"))
    assert page.get_by_text("What happened", exact=True).is_visible()
    assert "secret" not in page.content()


def test_a_refusal_is_said_beside_the_form(server, chromium):
    """A name that means nothing is answered in words, and the form stays as it was."""
    page = chromium.new_page()  # not `browse`: the browser itself complains of an answer of 400
    page.goto(server().url)
    page.fill("[name=p0]", "basedd")
    page.click(".go")
    until(page, "document.querySelector('.message').textContent !== ''", 60)
    assert "did you mean 'based'?" in page.locator(".message").inner_text()
    assert page.input_value("[name=p0]") == "basedd"
    assert page.locator(".go").inner_text() == "Start"
    page.close()
