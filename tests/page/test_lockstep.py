"""Matches that play as one: a page of two, a match beside its dream, and pairs in a report."""

from __future__ import annotations

import numpy as np
import pytest
from browser import until
from conftest import TOY, random_episode

from shadowbox.core.episode import Episode
from shadowbox.core.game import game_of_schema
from shadowbox.games import load
from shadowbox.page.match_page import clips_page, side_by_side
from shadowbox.report.match import later_part, lockstep_document, match_clip, same_moment

GAME, BRAWL = game_of_schema(TOY), load("brawl")
RESULT = {"winner": 1, "reason": "time-out"}
FRAMES = "[...document.querySelectorAll('match-viewer')].map((one) => one.frame)"
READY = "document.querySelectorAll('.bar:not([hidden])').length === 1"


def episode(frames, schema=TOY, seed=0):
    """A random match of a length."""
    return random_episode(schema, frames, seed=seed, players=["one", "two"], result=RESULT)


@pytest.fixture
def two(tmp_path):
    """Page of a short match beside a longer one."""
    path = tmp_path / "two.html"
    pairs = [(GAME, episode(20), "short#0"), (GAME, episode(50, seed=1), "long#0")]
    path.write_text(lockstep_document(pairs))
    return path


def test_both_show_the_same_moment(two, visit):
    """One bar, any timeline and the keys move both; the shorter one waits at its end with its result."""
    page = visit(two, width=1440, height=900, part="#7")
    until(page, READY)
    assert page.evaluate(FRAMES) == [7, 7]
    assert page.locator("figcaption").all_inner_texts() == ["short#0", "long#0"]
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FRAMES) == [8, 8]
    strips = [one.bounding_box() for one in page.locator(".timeline .strip").all()]
    for strip in strips:  # to the middle of each: its own frames count
        page.mouse.click(strip["x"] + strip["width"] / 2, strip["y"] + 20)
        at = page.evaluate(FRAMES)
        assert at == ([10, 10] if strip is strips[0] else [20, 25])
    assert page.locator(".verdict").all_inner_texts() == ["two wins · time-out", ""]
    page.keyboard.press("h")
    boxes = "[...document.querySelectorAll('match-viewer')].map((one) => one.boxes)"
    assert page.evaluate(boxes) == [False, False]
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    until(page, f"(({FRAMES})[1]) === 50 && !document.querySelectorAll('match-viewer')[1].playing")
    assert page.evaluate(FRAMES) == [20, 50]
    one, other = (page.locator(".stage").nth(at).bounding_box() for at in (0, 1))
    assert one["y"] == other["y"]
    bar = page.locator(".bar:visible").bounding_box()
    assert bar["x"] <= one["x"]
    assert bar["x"] + bar["width"] >= other["x"] + other["width"]
    assert bar["y"] + bar["height"] <= 900


def test_on_a_phone_both_stages_are_seen(two, visit):
    """On a narrow window the stages are one above the other, with the bar at the bottom."""
    page = visit(two, width=390, height=844, part="#7")
    until(page, READY)
    one, other = (page.locator(".stage").nth(at).bounding_box() for at in (0, 1))
    assert one["x"] == other["x"]
    bar = page.locator(".bar:visible").bounding_box()
    assert one["y"] + one["height"] < other["y"]
    assert other["y"] + other["height"] <= bar["y"]
    assert bar["y"] + bar["height"] <= 845
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_seconds_count_where_rates_differ(tmp_path, visit):
    """A game of 30 frames a second beside one of 60: the same second of both."""
    pairs = [(GAME, episode(40), "toy"), (BRAWL, episode(90, BRAWL.schema), "brawl")]
    path = tmp_path / "two.html"
    path.write_text(lockstep_document(pairs))
    page = visit(path, part="#15")
    until(page, READY)
    assert page.evaluate(FRAMES) == [30, 15]
    page.evaluate("document.querySelector('match-viewer').seek(10)")
    assert page.evaluate(FRAMES) == [10, 5]


def test_pairs_of_a_report_have_their_own_bars(tmp_path, visit):
    """Each pair of a report has one bar, and moves alone."""
    clips = [match_clip(GAME, f"clip {at}", episode(30, seed=at)) for at in range(4)]
    pairs = [side_by_side(clips[at : at + 2], together=True) for at in (0, 2)]
    path = tmp_path / "report.html"
    path.write_text(clips_page("two pairs", pairs))
    page = visit(path, width=1440, height=900)
    until(page, "document.querySelectorAll('.bar:not([hidden])').length === 2")
    page.locator("[aria-label='A frame forward']:visible").first.click()
    page.keyboard.press("ArrowRight")  # the keys of the pair in which the focus is
    assert page.evaluate(FRAMES) == [2, 2, 0, 0]


def test_many_matches_are_below_each_other(tmp_path, visit):
    """Five clips that play as one are in pairs, none over another, and the one bar is always seen."""
    clips = [match_clip(GAME, f"clip {at}", episode(30, seed=at)) for at in range(5)]
    path = tmp_path / "report.html"
    path.write_text(clips_page("five", [side_by_side(clips, together=True)]))
    page = visit(path, width=1440, height=900)
    until(page, READY)
    boxes = [one.bounding_box() for one in page.locator(".stage").all()]
    heads = [one.bounding_box()["y"] for one in page.locator("figcaption").all()]
    assert [box["x"] for box in boxes[:2]] == [box["x"] for box in boxes[2:4]]
    for above, below in ((0, 2), (1, 3), (2, 4)):
        assert boxes[above]["y"] + boxes[above]["height"] < heads[below] < boxes[below]["y"]
    bar = page.locator(".bar:visible").bounding_box()
    assert bar["y"] + bar["height"] <= 900
    page.locator("[aria-label='A frame forward']:visible").click()
    assert page.evaluate(FRAMES) == [1] * 5


def test_a_dream_begins_beside_its_row(tmp_path):
    """A match that was begun from a row of another one is compared with that row; others from the start."""
    first, begun = tmp_path / "a", {"from": f"{tmp_path / 'a'}#3:120"}
    assert same_moment((first, 3, {}), (tmp_path / "b", 0, begun)) == (120, 0)
    assert same_moment((tmp_path / "b", 0, begun), (first, 3, {})) == (0, 120)
    assert same_moment((first, 2, {}), (tmp_path / "b", 0, begun)) == (0, 0)
    assert same_moment((first, 3, {}), (tmp_path / "b", 0, {"from": 7})) == (0, 0)


def test_a_later_part_is_the_rest_of_the_match():
    """Rows, tracks, events and worlds of a later part are those of the match from that row on."""
    whole = episode(30)
    tracks = {"0/value": np.arange(31, dtype=np.float32)}
    meta = {**whole.meta, "worlds": [{"from": 0, "spec": "a"}, {"from": 20, "spec": "b"}]}
    part = later_part(Episode(whole.columns, meta, whole.events, tracks=tracks), 12)
    assert part.rows == 19
    np.testing.assert_array_equal(part.columns["player/x"], whole.columns["player/x"][12:])
    assert part.tracks["0/value"][0] == 12
    late = whole.events[whole.events["frame"] >= 12]
    np.testing.assert_array_equal(part.events["frame"], late["frame"] - 12)
    assert part.meta["worlds"] == [{"from": 0, "spec": "a"}, {"from": 8, "spec": "b"}]
