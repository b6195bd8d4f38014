"""A live match: the moves of play/match.py at the game's pace, and no agent can hold it up or break it."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from quick_brawl import GAME, LENGTH

from shadowbox.core.episode import check
from shadowbox.play import live, specs
from shadowbox.play.live import LiveLoop
from shadowbox.play.match import play
from shadowbox.web.person import Person

AT_ONCE = 1e9  # times the game's own speed


def begin(*names, seed=7, speed=AT_ONCE, paused=False, agents=None):
    """A match that has begun."""
    agents = agents or [specs.agent(name, GAME) for name in names]
    match = LiveLoop(GAME, specs.world("brawl", GAME, 1), agents, names, seed, paused=paused)
    match.speed = speed
    match.start()
    return match


def until(condition, seconds=90):
    """Wait: the first match of a machine compiles the simulator."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("names", "seed"), [(("based", "random"), 7), (("aggressive@delay=6", "expert"), 11)]
)
def test_it_is_the_match_that_play_gives(names, seed):
    """The same agents and seed give the rows, events and result of `play`, bit for bit, and an episode that a store takes."""
    match = begin(*names, seed=seed)
    until(lambda: match.over)
    agents = [specs.agent(name, GAME) for name in names]
    (expected,) = play(GAME, specs.world("brawl", GAME, 1), agents, names, np.array([seed]))
    assert match.rows(0, match.length) == GAME.schema.pack(expected.episode.columns).tobytes()
    ours = match.episode()
    check(ours, GAME.schema, event_kinds=GAME.event_kinds)
    np.testing.assert_array_equal(ours.events, expected.episode.events)
    assert match.result == expected.episode.meta["result"]
    assert {**ours.meta, "live": True} == {**expected.episode.meta, "live": True}
    assert len(match.events) == len(ours.events)


def test_it_keeps_the_pace():
    """At its own speed the match makes 30 frames a second, within 5 %: the middle one of three spans."""
    match = begin("constant", "constant", speed=1)
    until(lambda: match.length > 5)
    rates = []
    for _ in range(3):
        began, first = time.monotonic(), match.length
        time.sleep(2)
        rates.append((match.length - first) / (time.monotonic() - began))
    match.break_off("the test is over")
    assert sorted(rates)[1] == pytest.approx(GAME.schema.fps, rel=0.05), rates


def test_pause_step_and_speed():
    """Paused it shows its first frame and stands.

    A step is as many frames as were asked for; then it goes on, faster.
    """
    match = begin("based", "random", speed=1, paused=True)
    until(lambda: match.length == 1)
    time.sleep(0.2)
    assert match.length == 1
    match.step(3)
    until(lambda: match.length == 4)
    time.sleep(0.2)
    assert match.length == 4
    match.pace(8)
    match.pause(False)
    began = time.monotonic()
    until(lambda: match.over)
    assert 0.8 * LENGTH / 240 < time.monotonic() - began < 4
    assert match.length == LENGTH + 1
    match.step(5)
    assert match.length == LENGTH + 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("raises", "failed with RuntimeError"),
        ("forgets", "failed with KeyError"),
        ("dreams", "failed with ValueError"),
    ],
)
@pytest.mark.parametrize("seat", [0, 1])
def test_who_breaks_the_rules_forfeits(name, why, seat):
    """An agent that raises or presses nonsense loses, at the frame at which `play` ends it.

    What it said stays in the log.
    """
    names = (name, "constant") if seat == 0 else ("constant", name)
    match = begin(*names)
    until(lambda: match.over)
    assert match.result == {
        "winner": 1 - seat,
        "reason": "forfeit",
        "forfeit": [{"player": seat, "reason": why}],
    }
    agents = [specs.agent(one, GAME) for one in names]
    (expected,) = play(GAME, specs.world("brawl", GAME, 1), agents, names, np.array([7]))
    assert match.rows(0, match.length) == GAME.schema.pack(expected.episode.columns).tobytes()
    assert "secret" not in str(match.result)
    check(match.episode(), GAME.schema)


@pytest.mark.parametrize("name", ["sleeps", "dawdles"])
def test_who_is_too_slow_forfeits(name, monkeypatch):
    """One answer that does not come, or many that come late, cost the match.

    Nobody waits for the agent to come back.
    """
    monkeypatch.setattr(live, "ALLOWANCE", 0.5)
    match = begin("constant", name, speed=1)
    until(lambda: match.length > 1)
    began = time.monotonic()
    while not match.over:
        match.overdue()
        assert time.monotonic() - began < 5
        time.sleep(0.02)
    assert match.result["winner"] == 0
    assert match.result["forfeit"] == [{"player": 1, "reason": "thought for too long"}]
    length = match.length
    time.sleep(0.5)
    assert match.length == length
    assert match.stuck == (name == "sleeps")


def test_an_agent_may_be_slow_now_and_then():
    """A pause for thought that the clock allows costs nothing."""

    class Thinker(Person):
        def act(self, view, state):
            if view["match/frame"][0, 0] == 10:
                time.sleep(1)
            return super().act(view, state)

    match = begin(
        "thinker", "constant", agents=[Thinker(GAME.schema), specs.agent("constant", GAME)]
    )
    until(lambda: match.over or match.overdue())
    assert match.result["reason"] == "time-out"


def test_an_error_of_the_world_ends_the_match(monkeypatch):
    """A world that fails breaks the match off, without a winner and without its words."""
    world = specs.world("brawl", GAME, 1)
    monkeypatch.setattr(world, "step", lambda controls: 1 / 0)
    match = LiveLoop(GAME, world, [specs.agent("constant", GAME)] * 2, ("a", "b"), 1)
    match.start()
    until(lambda: match.over)
    assert match.result["winner"] is None
    assert "division" not in match.result["reason"]


def test_a_match_without_an_end_is_broken_off(monkeypatch):
    """A world that never ends a match does not fill the memory."""
    monkeypatch.setattr(live, "LONGEST", 50)
    game = dataclasses.replace(GAME, outcome=None)
    match = LiveLoop(
        game, specs.world("brawl", GAME, 1), [specs.agent("constant", GAME)] * 2, ("a", "b"), 1
    )
    match.speed = AT_ONCE
    match.start()
    until(lambda: match.over)
    assert match.result["reason"] == "broken off: not over after 50 frames"


def test_a_tap_between_two_frames_counts():
    """A key that was pressed and let go before the next frame is down for exactly one."""
    person = Person(GAME.schema)
    person.set_held(["keys/j"])
    person.set_held([])
    pressed = [bool(person.act({}, None)[0]["keys/j"][0, 0]) for _ in range(3)]
    assert pressed == [True, False, False]
    person.set_held(["keys/a"])
    assert [bool(person.act({}, None)[0]["keys/a"][0, 0]) for _ in range(3)] == [True, True, True]
