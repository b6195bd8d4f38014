"""Matches become episodes: in order, whole, aligned, and whatever else is played beside them."""

from __future__ import annotations

import numpy as np
import pytest

from shadowbox.core.view import from_seat
from shadowbox.errors import EpisodeError
from shadowbox.games import load
from shadowbox.play.agent import Delayed
from shadowbox.play.match import play


@pytest.fixture(scope="module")
def game(paddles):
    """Two paddles and a ball."""
    return load(paddles)


def played(game, names, seeds, places):
    """All matches of these bots with these seeds, so many side by side."""
    agents = [game.bots[name]() for name in names]
    return list(play(game, game.world(places), agents, names, np.asarray(seeds, np.int64)))


def assert_same(ours, theirs):
    """Bit for bit, events and all."""
    for one, two in zip(ours, theirs, strict=True):
        for key, values in one.episode.columns.items():
            np.testing.assert_array_equal(values, two.episode.columns[key], err_msg=key)
        for name in ("frame", "kind", "player", "value"):
            np.testing.assert_array_equal(one.episode.events[name], two.episode.events[name])
        assert one.episode.meta == two.episode.meta
        assert one.outcome == two.outcome


def test_a_match_is_the_same_whatever_is_played_beside_it(game):
    """The same seeds give the same matches in the same order, one at a time, a few or all at once."""
    seeds = range(12)
    alone = played(game, ("follower", "idle"), seeds, 1)
    assert_same(alone, played(game, ("follower", "idle"), seeds, 5))
    assert_same(alone, played(game, ("follower", "idle"), seeds, 12))
    assert [match.episode.meta["seed"] for match in alone] == list(seeds)


def test_rows_are_aligned(game):
    """Replaying a recording's controls in a fresh world gives the recorded states, to the last row."""
    (match,) = played(game, ("follower", "idle"), [7], 1)
    columns, frames = match.episode.columns, match.episode.frames
    world = game.world(1)
    state = world.reset(np.array([7]))
    for frame in range(frames + 1):
        for key in game.schema.state_keys:
            np.testing.assert_array_equal(
                columns[key][frame], state[key][0], err_msg=f"{key} at {frame}"
            )
        if frame < frames:
            state, _, done = world.step(
                {key: columns[key][frame : frame + 1] for key in game.schema.control_keys}
            )
            assert done[0] == (frame == frames - 1)
    for key in game.schema.control_keys:
        assert not columns[key][-1].any(), "the last row decides nothing"


def test_events_belong_to_their_match_and_frame(game):
    """A point stands at the row in which the points have changed, and a win at the last row."""
    for match in played(game, ("follower", "idle"), range(6), 3):
        points, events = match.episode.columns["paddle/points"], match.episode.events
        for event in events[events["kind"] == game.event_kinds.index("point")]:
            frame, player = event["frame"], event["player"]
            assert points[frame, player] == points[frame - 1, player] + 1
        wins = events[events["kind"] == game.event_kinds.index("win")]
        assert list(wins["frame"]) == [match.episode.frames]
        assert match.outcome.winner == wins["player"][0] == match.episode.meta["result"]["winner"]


def test_each_agent_sees_itself_first_and_what_was_pressed_before(game):
    """An agent's view has its own slot first, the state of now, and everybody's controls of a frame ago."""
    seen = []

    class Watcher:
        def start(self, seeds, players, state=None, where=None):
            return None

        def act(self, view, state):
            seen.append({key: values.copy() for key, values in view.items()})
            up = np.full((1, 1), len(seen) % 3 == 0)
            return {"keys/up": up, "keys/down": ~up}, state

    agents = [game.bots["idle"](), Watcher()]
    (match,) = play(game, game.world(1), agents, ("idle", "watcher"), np.array([1]))
    columns = from_seat(game.schema, match.episode.columns, 1)
    for frame, view in enumerate(seen):
        for key in game.schema.state_keys:
            np.testing.assert_array_equal(view[key][0], columns[key][frame])
        for key in game.schema.control_keys:
            expected = columns[key][frame - 1] if frame else np.zeros(2, bool)
            np.testing.assert_array_equal(view[key][0], expected)


def test_a_world_without_an_end_is_refused(game, monkeypatch):
    """A match that never ends stops with a message instead of filling the memory."""
    monkeypatch.setattr("shadowbox.play.match.LONGEST", 300)
    world = game.world(1)
    never = world.step
    monkeypatch.setattr(world, "step", lambda controls: (*never(controls)[:2], np.zeros(1, bool)))
    agents = [game.bots["idle"](), game.bots["idle"]()]
    with pytest.raises(EpisodeError, match="not over after 300 frames"):
        list(play(game, world, agents, ("idle", "idle"), np.array([0])))


def test_delay_is_exactly_so_many_frames(game):
    """A delayed agent decides on the view of N frames ago.

    A match that begins later starts with its own present.
    """

    class Echo:
        def start(self, seeds, players, state=None, where=None):
            return None

        def act(self, view, state):
            return {"seen": view["clock"].copy()}, state

    delayed = Delayed(Echo(), 3)
    state = delayed.start(np.zeros(2), np.zeros(2))
    answers = []
    for frame in range(10):
        if frame == 5:
            state = delayed.start(np.zeros(2), np.zeros(2), state, np.array([False, True]))
        clock = np.array([[frame], [frame - 5 if frame >= 5 else 100 + frame]])
        answer, state = delayed.act({"clock": clock}, state)
        answers.append(answer["seen"][:, 0].tolist())
    assert [first for first, _ in answers] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert [second for _, second in answers][5:] == [0, 0, 0, 0, 1]
