"""Slower hands: `apm` and `hold` bound the presses of any agent, whatever it wants to press."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.schema import Group, Real
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.agent import Delayed, Replay, _LimitedKeys
from shadowbox.play.warm_start import put_part

BRAWL = load("brawl")
KEYS = BRAWL.schema.control_keys
SLOW = dataclasses.replace(BRAWL.schema, fps=0.5)  # a minute of 30 frames


def pressed(agent, frames, matches, restart=None, swap=None):
    """Keys that an agent presses [frames, matches, keys], seeing those of the frame before.

    `restart`: the frame in which match 0 begins anew; `swap`: in which its state is copied.
    """
    players = np.zeros(matches, np.int64)
    state = agent.start(np.arange(matches), players)
    view = BRAWL.schema.neutral(matches)
    found = []
    for frame in range(frames):
        if frame == restart:
            where = np.arange(matches) == 0
            state = agent.start(np.arange(matches), players, state, where)
            for key in KEYS:
                view[key][0] = 0
        if frame == swap:
            state = agent.put(state, part_of(state), np.ones(matches, bool))
        controls, state = agent.act(view, state)
        for key in KEYS:
            view[key] = np.concatenate([controls[key], view[key][:, 1:]], axis=1)
        found.append(np.concatenate([controls[key] for key in KEYS], axis=1))
    return np.array(found)


def part_of(state):
    """A copy of a state."""
    if isinstance(state, dict):
        return {key: part_of(value) for key, value in state.items()}
    return state.copy() if isinstance(state, np.ndarray) else state


def wanted(seed, frames, matches, often):
    """An agent that presses each key in a share of all frames."""
    draws = np.random.default_rng(seed)
    keys = draws.random((frames, matches, len(KEYS))) < often

    class _Wants:
        def start(self, seeds, players, state=None, where=None):
            return {"frame": np.zeros(len(seeds), np.int64)}

        def act(self, view, state):
            now = keys[int(state["frame"][0]) % frames]
            controls = {key: now[:, [at]] for at, key in enumerate(KEYS)}
            return controls, {"frame": state["frame"] + 1}

    return _Wants(), keys


def begins(keys):
    """Frames in which keys begin to be down."""
    return keys & ~np.concatenate([np.zeros_like(keys[:1]), keys[:-1]])


CASES = st.tuples(st.integers(0, 2**32), st.sampled_from([0.02, 0.2, 0.5, 0.9]), st.integers(0, 99))


@settings(max_examples=25, deadline=None)
@given(CASES, st.integers(1, 40), st.integers(0, 7))
def test_never_more_presses_in_any_minute(case, apm, hold):
    """In no minute, wherever it begins, are there more presses than `apm`; also with `hold`."""
    seed, often, restart = case
    agent, _ = wanted(seed, 120, 3, often)
    keys = pressed(_LimitedKeys(agent, SLOW, apm, hold), 120, 3, restart)
    for match, first in ((0, 0), (0, restart), (1, 0), (2, 0)):
        end = restart if (match, first) == (0, 0) else 120
        count = begins(keys[first:end, match]).sum(1)
        for at in range(len(count)):
            assert count[at : at + 30].sum() <= apm


@settings(max_examples=25, deadline=None)
@given(CASES, st.integers(0, 20), st.integers(2, 9))
def test_no_press_is_shorter(case, apm, hold):
    """Every press lasts for at least `hold` frames, unless its match ends before."""
    seed, often, restart = case
    agent, _ = wanted(seed, 120, 2, often)
    keys = pressed(_LimitedKeys(agent, SLOW, apm, hold), 120, 2, restart, swap=60)
    for match, first, end in ((0, 0, restart), (0, restart, 120), (1, 0, 120)):
        part = keys[first:end, match]
        for frame, key in np.argwhere(begins(part)):
            assert part[frame : frame + hold, key].all()


def test_within_the_limits_nothing_changes():
    """An agent with slow hands of its own presses what it wants."""
    agent, keys = wanted(1, 200, 3, 0.3)
    free = pressed(_LimitedKeys(agent, BRAWL.schema, 10_000, 1), 200, 3)
    np.testing.assert_array_equal(free, keys)
    scarce = begins(pressed(_LimitedKeys(agent, SLOW, 5), 200, 3)).sum(0).sum(-1)
    assert (scarce == 5 * 7).all()  # all of a minute's presses, seven minutes long


def test_matches_do_not_share_their_fingers():
    """A match alone is pressed like the same match beside others, and a merged state like a whole one."""
    agent, _ = wanted(2, 90, 3, 0.4)
    whole = pressed(_LimitedKeys(agent, SLOW, 9, 4), 90, 3)
    put = pressed(_LimitedKeys(agent, SLOW, 9, 4), 90, 3, swap=31)
    np.testing.assert_array_equal(whole, put)
    limited = _LimitedKeys(agent, SLOW, 9, 4)
    state = limited.start(np.arange(3), np.zeros(3))
    one = limited.start(np.arange(1), np.zeros(1))
    where = np.array([False, True, False])
    merged = limited.put(state, one, where)
    assert merged.keys() == state.keys()
    assert put_part(state["down"], one["down"], where).shape == merged["down"].shape


def test_specs_of_every_agent():
    """`apm`, `hold` and `delay` combine in any order; the delay is inside, since fingers are not late."""
    for spec in ("random@apm=90@delay=3@hold=2", "random@delay=3@hold=2@apm=90"):
        made = specs.agent(spec, BRAWL)
        assert (made.apm, made.hold, made.minute) == (90, 2, 1800)
        assert isinstance(made.agent, Delayed)
    assert specs.held_out(["trickster@apm=60"], BRAWL) == ["trickster@apm=60"]
    assert isinstance(made.agent.agent, type(specs.agent("random", BRAWL)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("based@apm=0", "number of key presses a minute, 1 to"),
        ("based@hold=x", "hold is a number of frames"),
        ("based@wrist=2", "a bot has delay=N, apm=N and hold=N"),
    ],
)
def test_limits_that_mean_nothing(spec, message):
    """A limit outside its range is refused with the range, an unknown option with the known ones."""
    with pytest.raises(UsageError, match=message):
        specs.agent(spec, BRAWL)


def test_a_game_without_keys():
    """Sticks alone cannot be pressed: the limit is refused."""
    stick = Group("pad", (Real("x", low=-1, high=1),), slots=2, per="player")
    schema = dataclasses.replace(BRAWL.schema, controls=stick)
    with pytest.raises(UsageError, match="no controls that are"):
        _LimitedKeys(Replay({"pad/x": np.zeros((1, 1))}), schema, 60)
