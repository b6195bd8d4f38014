"""A live match that is switched between the game and its dream, and back."""

from __future__ import annotations

import time

import numpy as np
import pytest
from quick_brawl import GAME

from shadowbox.errors import UsageError
from shadowbox.play import specs
from shadowbox.play.live import LiveLoop
from shadowbox.play.match import play

NAMES, SEED = ("based", "aggressive"), 7


def until(condition, seconds=250):
    """Wait: the first match of a machine compiles the simulator."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def frames(match, count):
    """Play some frames of a paused match, until its world has made the state after them."""
    rows = match.length + count
    match.step(count)
    until(lambda: match.length == rows and match.batch.columns["match/frame"][0, 0] == rows)


@pytest.fixture
def match():
    """A paused match of 40 rows in the simulator."""
    agents = [specs.agent(name, GAME) for name in NAMES]
    made = LiveLoop(GAME, specs.world("brawl", GAME, 1), agents, NAMES, SEED, paused=True)
    made.start()
    until(lambda: made.length == 1)
    frames(made, 39)
    yield made
    made.break_off("the test is over")


def test_the_present_state_is_carried_over(match):
    """Both worlds begin with the same state, to the last bit.

    A match that comes back from a dream before its first frame goes on as if it had never left.
    """
    before = {key: np.array(values) for key, values in match.batch.columns.items()}
    for spec in ("dream:brawl", "brawl"):
        match.move_to(specs.world(spec, GAME, 1))
        for key in GAME.schema.state_keys:
            np.testing.assert_array_equal(match.batch.columns[key], before[key], f"{spec}: {key}")
    match.pace(8)
    match.pause(False)
    until(lambda: match.over)
    agents = [specs.agent(name, GAME) for name in NAMES]
    (straight,) = play(GAME, specs.world("brawl", GAME, 1), agents, NAMES, np.array([SEED]))
    assert match.rows(0, match.length) == GAME.schema.pack(straight.episode.columns).tobytes()
    assert [each["spec"] for each in match.episode().meta["worlds"]] == [
        "brawl@time_limit=240", "dream:brawl", "brawl@time_limit=240",
    ]  # fmt: skip


def test_a_dream_watches_the_rows_before_and_the_game_takes_over_from_it(match):
    """The dream remembers the last rows of the match; its own rows are ones that the simulator takes."""
    dream = specs.world("dream:brawl", GAME, 1)
    match.move_to(dream)
    known = dream.context()["match/frame"][:, 0, 0]
    assert known.tolist() == list(range(40 - len(known), 40))
    assert len(known) > 4
    frames(match, 60)
    dreamt = {key: np.array(values) for key, values in match.batch.columns.items()}
    match.move_to(specs.world("brawl", GAME, 1))
    for key in GAME.schema.state_keys:
        np.testing.assert_array_equal(match.batch.columns[key], dreamt[key], key)
    frames(match, 10)
    clock = match.episode().columns["match/frame"][:, 0]
    np.testing.assert_array_equal(clock, np.arange(len(clock)))


def test_a_world_that_cannot_take_over_changes_nothing(match):
    """A refused world leaves the match in the one that it is in."""
    with pytest.raises(UsageError, match="another stage"):
        match.move_to(specs.world("brawl@stage=mirror", GAME, 1))
    frames(match, 5)
    assert match.world.name == "brawl@time_limit=240"
    assert len(match.worlds) == 1
