"""A live match: the moves of play/match.py at the game's pace, and no agent can hold it up or break it."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from quick_brawl import GAME, LENGTH

from shadowbox.core.episode import check
from shadowbox.errors import UsageError
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


def until(condition, seconds=250):
    """Wait: the first match of a machine compiles the simulator."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("names", "seed"), [(("based", "random"), 7), (("aggressive@delay=6", "expert"), 11)]
)
def test_it_is_the_match_that_play_gives(names, seed):
    """The same agents and seed give the rows, events and result of `play`, bit for bit."""
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
    """At its own speed the match makes 30 frames a second, within 5 %.

    A span in which the machine does something else may differ, but not every one.
    """
    rates = []
    while not rates or (abs(rates[-1] / GAME.schema.fps - 1) > 0.05 and len(rates) < 20):
        match = begin("constant", "constant", speed=1)
        until(lambda match=match: match.length > 5)
        began, first = time.monotonic(), match.length
        time.sleep(2)
        rates.append((match.length - first) / (time.monotonic() - began))
        match.break_off("the test is over")
    assert rates[-1] == pytest.approx(GAME.schema.fps, rel=0.05), rates


def test_a_live_match_sleeps_between_frames(monkeypatch):
    """Between two frames, and while it is paused, the thread of a match waits and does not spin."""
    looks = []
    clock = time.monotonic
    monkeypatch.setattr(live.time, "monotonic", lambda: looks.append(None) or clock())
    match = begin("constant", "constant", speed=1)
    end = clock() + 60
    while match.length < 6:
        assert clock() < end
        time.sleep(0.01)
    looks.clear()
    first = match.length
    time.sleep(0.4)
    frames = match.length - first
    assert len(looks) <= 12 * (frames + 3)
    match.pause(True)
    time.sleep(0.1)
    looks.clear()
    time.sleep(0.3)
    assert len(looks) <= 3
    match.break_off("the test is over")


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
    took = time.monotonic() - began
    assert 0.8 * LENGTH / 240 < took < 0.8 * LENGTH / GAME.schema.fps, (
        "eight times as fast as usual"
    )
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
        assert time.monotonic() - began < 18, "`sleeps` comes back after 20 s"
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


# ---- seats that change hands, other worlds, settings -----------------------------------------------


def frames(match, count):
    """Play so many frames of a paused match, and wait for them."""
    length = match.length
    match.step(count)
    until(lambda: match.length == length + count or match.over)


def test_a_person_takes_a_seat_and_gives_it_back():
    """The guest decides while it holds the seat.

    The agent watches and then goes on as if it had played.
    """
    match = begin("based", "tapper", speed=1, paused=True)
    until(lambda: match.length == 1)
    frames(match, 49)
    person = Person(GAME.schema)
    match.take(0, person, "person:ann")
    assert match.holders == ["person:ann", "tapper"]
    person.set_held(["keys/d", "keys/j"])
    frames(match, 30)
    match.give(0)
    frames(match, 20)
    match.take(1, person, "person")
    person.set_held([])
    frames(match, 10)
    match.pause(False)
    match.pace(AT_ONCE)
    until(lambda: match.over)
    episode = match.episode()
    check(episode, GAME.schema, event_kinds=GAME.event_kinds)
    last = episode.frames
    assert episode.meta["spans"] == [
        {"seat": 0, "from": 0, "to": 50, "by": "based"},
        {"seat": 0, "from": 50, "to": 80, "by": "person:ann"},
        {"seat": 0, "from": 80, "to": last, "by": "based"},
        {"seat": 1, "from": 0, "to": 100, "by": "tapper"},
        {"seat": 1, "from": 100, "to": last, "by": "person"},
    ]
    held = {key: episode.columns[key][50:80, 0] for key in GAME.schema.control_keys}
    assert held["keys/d"].all()
    assert held["keys/j"].all()
    assert not held["keys/a"].any()
    assert not any(episode.columns[key][100:-1, 1].any() for key in GAME.schema.control_keys)


def test_the_agents_memory_is_true_when_it_gets_its_seat_back():
    """An agent that counts its frames has counted those that a guest played."""

    class Counter:
        def start(self, seeds, players, state=None, where=None):
            return 0

        def act(self, view, state):
            keys = {key: np.array([[False]]) for key in GAME.schema.control_keys}
            keys["keys/w"] = np.array([[state % 2 == 1]])
            return keys, state + 1

    agents = [Counter(), specs.agent("constant", GAME)]
    match = begin("counter", "constant", speed=1, paused=True, agents=agents)
    until(lambda: match.length == 1)
    frames(match, 10)
    match.take(0, Person(GAME.schema), "person")
    frames(match, 7)
    match.give(0)
    frames(match, 10)
    pressed = match.episode().columns["keys/w"][:, 0].tolist()
    expected = [row % 2 == 1 and not 11 <= row < 18 for row in range(28)]
    assert pressed == expected
    match.break_off("the test is over")


def test_seats_that_cannot_change_hands():
    """A seat that is taken, not taken or unknown is refused, and so is one of a match that is over."""
    match = begin("constant", "constant", paused=True)
    until(lambda: match.length == 1)
    with pytest.raises(UsageError, match="the seat of constant is not taken"):
        match.give(0)
    with pytest.raises(UsageError, match="no seat 2: seats are 0 to 1"):
        match.take(2, Person(GAME.schema), "person")
    match.take(0, Person(GAME.schema), "person:ann")
    with pytest.raises(UsageError, match="taken by person:ann"):
        match.take(0, Person(GAME.schema), "person:bob")
    match.break_off("the test is over")
    with pytest.raises(UsageError, match="the match is over"):
        match.give(0)


def test_an_agent_that_fails_while_it_watches():
    """It costs the guest nothing, and the agent its seat."""
    match = begin("raises", "constant", speed=1, paused=True)
    until(lambda: match.length == 1)
    match.take(0, Person(GAME.schema), "person")
    frames(match, 40)
    assert not match.over
    with pytest.raises(UsageError, match="cannot have its seat back: it failed with RuntimeError"):
        match.give(0)
    match.pace(AT_ONCE)
    match.pause(False)
    until(lambda: match.over)
    assert match.result["reason"] == "time-out"


def test_a_slow_agent_that_watches_does_not_cost_its_guest_the_match(monkeypatch):
    """An agent that never answers while a guest plays breaks the match off; nobody forfeits."""
    monkeypatch.setattr(live, "ALLOWANCE", 0.3)
    match = begin("sleeps", "constant", speed=1, paused=True)
    until(lambda: match.length == 1)
    match.take(0, Person(GAME.schema), "person")
    match.step(40)
    until(lambda: match.over or match.overdue(), 20)
    assert match.result["winner"] is None
    assert match.result["reason"].startswith("broken off: sleeps thought for too long")


def test_a_match_goes_on_in_another_world():
    """From the frame of the change on the other world makes the rows; the episode names both."""
    match = begin("based", "random", speed=1, paused=True)
    until(lambda: match.length == 1)
    frames(match, 29)
    match.move_to(specs.world("brawl@time_limit=50@weapons=off", GAME, 1))
    frames(match, 30)
    row = {key: values[29:31] for key, values in match.episode().columns.items()}
    assert (row["match/frame"][1] - row["match/frame"][0]).tolist() == [1]
    assert row["match/left"].ravel().tolist() == [211, 210], "the state of now, not of a new match"
    with pytest.raises(UsageError, match="stage"):
        match.move_to(specs.world("brawl@stage=mirror", GAME, 1))
    match.pause(False)
    match.pace(AT_ONCE)
    until(lambda: match.over)
    episode = match.episode()
    check(episode, GAME.schema, event_kinds=GAME.event_kinds)
    assert episode.meta["world"] == "brawl@time_limit=240"
    assert episode.meta["worlds"] == [
        {"from": 0, "spec": "brawl@time_limit=240"},
        {"from": 29, "spec": "brawl@weapons=off@time_limit=50"},
    ]


def test_settings_are_changed_between_two_frames():
    """Numbers of agents and worlds can be set within their limits.

    The episode keeps each change.
    """

    class Tuned(Person):
        settings = {"strength": (1.0, 0.0, 2.0)}  # noqa: RUF012

        def set(self, name, value):
            self.settings = {name: (value, 0.0, 2.0)}

    agents = [Tuned(GAME.schema), specs.agent("constant", GAME)]
    match = begin("tuned", "constant", speed=1, paused=True, agents=agents)
    until(lambda: match.length == 1)
    assert match.settings == {"p0.strength": (1.0, 0.0, 2.0)}
    match.set("p0.strength", 1.5)
    assert match.settings["p0.strength"][0] == 1.5
    for name, value, message in (
        ("p0.strength", 3, "p0.strength is 3, expected 0 to 2"),
        ("p1.strength", 1, "unknown setting 'p1.strength'; this match has p0.strength"),
        ("world.gravity", 1, "unknown setting 'world.gravity'"),
    ):
        with pytest.raises(UsageError, match=message):
            match.set(name, value)
    frames(match, 3)
    assert match.episode().meta["settings"] == [{"row": 1, "name": "p0.strength", "value": 1.5}]
    match.break_off("the test is over")
