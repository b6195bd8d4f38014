"""Pages in a real browser, from a server as a user starts it."""

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
SLOWEST = "0.25"  # times the speed of a match: eight seconds become half a minute


def expected(p0, p1, seed):
    """Play the same match without a server."""
    agents = [specs.agent(name, GAME) for name in (p0, p1)]
    (match,) = play(GAME, specs.world("brawl", GAME, 1), agents, (p0, p1), np.array([seed]))
    return match


def test_a_live_match_draws_and_ends_with_the_right_result(server, browse):
    """A match of the Arena is drawn while it runs, and its result is that of `play`."""
    page = browse(server().url + "arena")
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
    words = "no winner" if winner is None else f"{('based', 'aggressive')[winner]} wins"
    assert page.locator(".verdict").inner_text() == f"{words} · {match.outcome.reason}"
    assert page.evaluate("__viewer.rows.length") == match.episode.rows
    damage = match.episode.columns["player/damage"][-1]
    assert page.evaluate("__viewer.state.numbers") == [[f"{value:.0f}"] for value in damage]


def test_a_late_page_has_all_rows_and_scrubs(server, browse):
    """A page opened in the middle of a match has every row; scrubbing shows the chosen frame."""
    first = browse(server().url + "arena")
    for name, value in (("p0", "expert"), ("p1", "random"), ("seed", "5")):
        first.fill(f"[name={name}]", value)
    first.click(".go")
    first.wait_for_url("**/live/*")
    until(first, "window.__viewer?.rows?.length > 90", 90)
    # what follows takes many seconds on a busy machine, and the match must go on meanwhile
    first.select_option(".match-controls select", SLOWEST)
    late = browse(first.url)
    until(late, "window.__viewer?.rows?.length > 90")
    assert "2 viewers." in late.locator("#status").inner_text()
    assert not late.locator(".match-controls").is_visible(), "only its starter controls a match"
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
        "({ frame: __viewer.frame, numbers: __viewer.state.numbers,"
        " following: __viewer.following })"
    )
    assert not shown["following"]
    assert shown["numbers"] == [
        [f"{value:.0f}"] for value in episode.columns["player/damage"][shown["frame"]]
    ]
    first.select_option(".match-controls select", "8")
    until(late, "__viewer.ended", 60)
    late.evaluate("__viewer.seek(__viewer.last)")
    assert late.evaluate("__viewer.rows.length") == LENGTH + 1
    assert late.locator(".verdict").inner_text() != ""


def test_the_match_is_controlled_from_its_page(server, browse):
    """The page that started a match pauses it, steps it by a frame, and resumes it."""
    page = browse(server().url + "arena")
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


def test_a_page_reconnects(server, browse):
    """A page whose connection breaks continues at the same row, without a gap."""
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
    """Held, tapped and rebound keys act on the match and are in the stored episode."""
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
        "window.__viewer?.rows?.length > 0",  # on a busy machine it may have begun by itself
        90,
    )
    key = "d" if seat == 0 else "a"
    begun = page.evaluate("__viewer.rows.length")
    page.keyboard.down(key)
    until(page, f"__viewer.rows.length > {begun + 20}")
    page.keyboard.up(key)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    rows = [begun + 4, begun + 19]
    x = page.evaluate(f"{rows}.map((row) => __viewer.rows.at(row)['player/x'][{seat}])")
    assert (x[1] > x[0] + 1) if seat == 0 else (x[1] < x[0] - 1)
    page.select_option(".match-controls select", "8")
    until(
        page,
        "__viewer.ended"
        " && document.getElementById('status').textContent.includes('Stored as mine#0')",
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


def test_a_person_switches_between_the_game_and_its_dream(server, browse):
    """The switch of the Play page carries the match into a dream, which says so, and back."""
    page = browse(server().url + "play")
    page.fill("[name=opponent]", "constant")
    page.click(".go")
    until(
        page,
        "window.__viewer?.rows?.length > 0",  # on a busy machine it may have begun by itself
        90,
    )
    page.keyboard.press("d")
    until(page, "window.__viewer?.rows?.length > 10")
    page.click("#pause")
    badge, switch = page.locator("match-viewer .dream"), page.get_by_role("group", name="world")
    assert badge.inner_text() == ""
    switch.get_by_text("Dream").click()
    until(page, "__viewer.querySelector('.corner code').textContent === 'dream:brawl'", 90)
    assert badge.inner_text() == "DREAM"
    assert page.locator("#status").inner_text().startswith("A dream: a learned world draws")
    assert switch.get_by_text("Dream").get_attribute("aria-pressed") == "true"
    rows = page.evaluate("__viewer.rows.length")
    page.click("#pause")
    until(page, f"__viewer.rows.length > {rows + 20}")
    page.click("#pause")
    switch.get_by_text("Game").click()
    until(page, "__viewer.querySelector('.corner code').textContent === 'brawl@time_limit=240'")
    assert badge.inner_text() == ""
    clock = "(row) => __viewer.rows.at(row)['match/frame'][0]"
    assert [page.evaluate(clock, row) for row in (rows, rows + 20)] == [rows, rows + 20]
    page.evaluate(f"__viewer.seek({rows + 5})")
    assert badge.inner_text() == "DREAM", "the frames of the dream stay marked"


def test_a_gamepad_plays(server, browse):
    """The stick and a button of a gamepad act as keys."""
    page = browse(server().url + "play")
    page.evaluate(
        """() => {
          const buttons = Array.from({ length: 16 }, () => ({ pressed: false }));
          window.pad = { id: "test pad", axes: [0, 0], buttons };
          navigator.getGamepads = () => [window.pad];
        }"""
    )
    page.fill("[name=opponent]", "constant")
    page.click(".go")
    until(
        page,
        "window.__viewer?.rows?.length > 0",  # on a busy machine it may have begun by itself
        90,
    )
    assert "test pad" in page.locator("#gamepad").inner_text()
    begun = page.evaluate("__viewer.rows.length")
    page.evaluate("pad.axes = [1, 0]")
    until(page, f"__viewer.rows.length > {begun + 15}")
    assert page.evaluate(f"__viewer.rows.at({begun + 12})['keys/d'][0]")
    page.evaluate("pad.axes = [0, 0]; pad.buttons[2] = { pressed: true }")
    rows = page.evaluate("__viewer.rows.length")
    until(page, f"__viewer.rows.length > {rows + 12}")
    assert page.evaluate("__viewer.rows.at(__viewer.last)['keys/j'][0]")
    assert not page.evaluate("__viewer.rows.at(__viewer.last)['keys/d'][0]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_every_page_fits(server, browse, tmp_path, width, height, scheme):
    """No page is wider than the screen or has a button under 44 px, on a laptop or a phone."""
    record(GAME, [Pairing("based", "random", 2)], tmp_path / "fights")
    running = server(tmp_path / "fights")
    begun = running.begin(p0="based", p1="random")
    page = browse(running.url, width=width, height=height, color_scheme=scheme)
    for path in (
        "",
        "arena",
        "play",
        "matches",
        "matches/0/1",
        "matches/compare?match=0/0&match=0/1",
        "tournaments",
        f"live/{begun['match']}",
    ):
        page.goto(running.url + path)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        for button in page.locator(
            "button:not(.legend *):visible, input:visible, select:visible"
        ).all():
            assert button.bounding_box()["height"] >= 44, (path, button.inner_text())


def test_two_stored_matches_play_as_one(server, browse, tmp_path):
    """From a match to the list of the others, to both: one bar, and the address has both and the frame."""
    record(GAME, [Pairing("based", "random", 2)], tmp_path / "fights")
    page = browse(server(tmp_path / "fights").url + "matches/0/1")
    follow(page, page.get_by_text("Compare with another match"))
    follow(page, page.get_by_role("link", name="#0", exact=True))
    until(page, "document.querySelectorAll('.bar:not([hidden])').length === 1")
    page.evaluate("__viewer.pause(); __viewer.seek(70);")
    frames = "[...document.querySelectorAll('match-viewer')].map((one) => one.frame)"
    assert page.evaluate(frames) == [70, 70]
    until(page, "location.hash === '#70'")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    until(page, f"{frames}.every((frame) => frame >= 0)")  # both have their rows
    assert page.evaluate(frames) == [70, 70]
    assert page.locator(".bar:not([hidden])").count() == 1
    store = Store(tmp_path / "fights")
    damage = [store.episode(number).columns["player/damage"][70] for number in (1, 0)]
    shown = page.evaluate(
        "[...document.querySelectorAll('match-viewer')].map((one) => one.state.numbers.flat())"
    )
    assert shown == [[f"{value:.0f}" for value in each] for each in damage]


def test_a_stored_match_opens_in_the_viewer(server, browse, tmp_path):
    """A match opened from the list has the frames of the store, and can be downloaded."""
    record(GAME, [Pairing("based", "random", 2)], tmp_path / "fights")
    page = browse(server(tmp_path / "fights").url + "matches")
    follow(page, page.get_by_text("#1"))
    until(page, "window.__viewer?.drawn?.length > 0")
    episode = Store(tmp_path / "fights").episode(1)
    # in one call, since the match may be playing
    numbers = page.evaluate("(() => { __viewer.seek(100); return __viewer.state.numbers; })()")
    assert numbers == [[f"{value:.0f}"] for value in episode.columns["player/damage"][100]]
    page.evaluate("__viewer.pause(); __viewer.seek(100);")
    until(page, "location.hash === '#100'")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link to this frame").click()
    until(page, "document.getElementById('tools').innerText.includes('Copied')")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/matches/0/1#100")
    with page.expect_download() as download:
        page.get_by_role("button", name="as a film").click()
    film = download.value.path().read_bytes()
    assert film.startswith(b"\x1a\x45\xdf\xa3") or film[4:8] == b"ftyp"
    assert len(film) > 10_000
    with page.expect_download() as download:
        page.click("text=Download this match as one file")
    assert "match-viewer" in download.value.path().read_text()


def test_a_forfeit_is_shown(server, browse):
    """An agent that fails loses; the page shows the kind of its error and not the message."""
    running = server()
    begun = running.begin(p0="raises", p1="constant")
    page = browse(f"{running.url}live/{begun['match']}")
    until(page, "window.__viewer?.ended && __viewer.frame === __viewer.last", 90)
    assert page.locator(".verdict").inner_text() == "constant wins · forfeit"
    assert "raises forfeits: failed with RuntimeError." in page.locator("#status").inner_text()
    if page.locator(".column").count() == 0:  # a page that came after the end has them already
        follow(page, page.get_by_text("Show the numbers"))
    assert page.get_by_text("What happened", exact=True).is_visible()
    assert "secret" not in page.content()


def test_a_refusal_is_shown_beside_the_form(server, chromium):
    """An unknown agent gives a message beside the form, which keeps its values."""
    page = chromium.new_page()  # not `browse`: the browser itself logs a status of 400 as an error
    page.goto(server().url + "arena")
    page.fill("[name=p0]", "basedd")
    page.click(".go")
    until(page, "document.querySelector('.message').textContent !== ''", 60)
    assert "did you mean 'based'?" in page.locator(".message").inner_text()
    assert page.input_value("[name=p0]") == "basedd"
    assert page.locator(".go").inner_text() == "Start"
    page.close()


def test_a_page_reads_tracks_and_takes_a_seat(server, browse):
    """The viewer reads every track at its place.

    The owner plays in an agent's seat with the keys.
    """
    page = browse(server().url + "arena")
    page.fill("[name=p0]", "shows")
    page.fill("[name=p1]", "constant")
    page.fill("[name=seed]", "7")
    page.click(".go")
    page.wait_for_url("**/live/*")
    until(page, "window.__viewer?.rows?.length > 40", 90)
    read = "(name) => [0, 7, 33].map((row) => __viewer.rows.track(name, 0, row))"
    assert page.evaluate(read, "value") == [[0], [1.75], [8.25]]
    assert page.evaluate(read, "parts") == [[0, 0, 0, 1], [7, -7, 3.5, 1], [33, -33, 16.5, 1]]
    assert page.evaluate(read, "count") == [[0], [7], [33]]
    assert page.evaluate("__viewer.rows.track('value', 1, 0)") is None
    assert page.evaluate("__viewer.rows.at(33)['match/frame']") == [33]
    page.select_option(".match-controls select", SLOWEST)
    page.get_by_role("button", name="Play as constant").click()
    until(
        page, "document.querySelector('.match-controls').innerText.includes('Give the seat back')"
    )
    page.keyboard.down("d")
    page.wait_for_timeout(2000)
    page.keyboard.up("d")
    page.get_by_role("button", name="Give the seat back").click()
    until(page, "document.querySelector('.match-controls').innerText.includes('Play as constant')")
    page.select_option(".match-controls select", "8")
    until(page, "__viewer.ended", 40)
    pressed = page.evaluate(
        "Array.from({ length: __viewer.rows.length }, (_, row) => __viewer.rows.at(row)['keys/d'][1])"
    )
    assert 3 < sum(pressed) < 100
    assert page.evaluate("Number.isNaN(__viewer.rows.track('value', 0, __viewer.last)[0])")


def test_a_saved_page_holds_its_tracks(visit, tmp_path):
    """The one-file page of a match with tracks shows its rows and reads the tracks."""
    from shadowbox.report.match import match_document

    agents = [specs.agent(name, GAME) for name in ("shows", "random")]
    world = specs.world("brawl@time_limit=90", GAME, 1)
    (match,) = play(GAME, world, agents, ("shows", "random"), np.array([2]), tracks=True)
    path = tmp_path / "match.html"
    path.write_text(match_document(GAME, match.episode))
    page = visit(path)
    until(page, "window.__viewer?.drawn?.length > 0")
    assert page.evaluate("__viewer.rows.length") == 91
    assert page.evaluate("__viewer.rows.track('count', 0, 60)") == [60]
    np.testing.assert_array_equal(
        page.evaluate("__viewer.rows.at(60)['player/x']"), match.episode.columns["player/x"][60]
    )
