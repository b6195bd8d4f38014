"""Benchmark of agents by matches: who won, from where, and how many matches were different."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.benchmark import benchmark, win_interval

GAME = load("brawl")
SEEDS = np.arange(6)


def played(one, other, seeds=SEEDS, **options):
    """Six seeds between two bots, from both seats."""
    worlds = partial(GAME.world, **{"time_limit": 300, **options})
    return benchmark(GAME, worlds, specs.agent(one, GAME), specs.agent(other, GAME), seeds)


def test_both_seats_agree_with_each_other():
    """What one agent wins the other loses, seed by seed and seat by seat."""
    ours, theirs = played("expert", "constant"), played("constant", "expert")
    np.testing.assert_array_equal(ours.results, -theirs.results[::-1])
    np.testing.assert_array_equal(ours.frames, theirs.frames[::-1])
    np.testing.assert_array_equal(ours.prints, theirs.prints[::-1])
    assert set(np.unique(ours.results)) <= {-1, 0, 1}
    assert ours.wins.value == (ours.results == 1).mean()


def test_it_is_the_same_however_many_run_at_once(monkeypatch):
    """Results do not depend on how many matches run side by side, or on those that fill up."""
    whole = played("expert", "random")
    monkeypatch.setattr("shadowbox.play.benchmark.SIDE_BY_SIDE", 4)
    parts = played("expert", "random")
    for name in ("results", "frames", "rewards", "places", "prints"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_places_and_copies():
    """Wins are told by starting place; two deterministic players without luck play one match."""
    found = played("constant", "constant", weapons=False)
    assert set(found.by_place()) == {"left", "right"}
    assert found.draws == 1.0
    assert found.wins.value == 0.0
    assert played("random", "random").distinct == 6  # the same match from either seat
    assert played("expert", "random").distinct == 12


class Stranger:
    """A bot in a wrapping that the compiled loop of its game does not know."""

    def __init__(self, spec):
        self.inner = specs.agent(spec, GAME)
        self.start, self.act = self.inner.start, self.inner.act


def test_a_stranger_beside_a_bot():
    """Matches in which the compiled loop plays one seat alone are those of two bots, bit for bit."""
    worlds = partial(GAME.world, time_limit=300)
    both = played("expert", "switcher")
    for agents in (
        (Stranger("expert"), specs.agent("switcher", GAME)),
        (specs.agent("expert", GAME), Stranger("switcher")),
        (Stranger("expert"), Stranger("switcher")),
    ):
        found = benchmark(GAME, worlds, *agents, SEEDS)
        for name in ("results", "frames", "rewards", "places", "prints"):
            np.testing.assert_array_equal(getattr(found, name), getattr(both, name))


@pytest.mark.parametrize(("won", "value"), [([[1, 0], [1, 0]], 0.5), ([[1, 1], [0, 0]], 0.5)])
def test_the_unit_is_the_seed(won, value):
    """The interval of two seeds is that of two observations, not of four."""
    found = win_interval(np.array(won, bool))
    assert found.value == value
    assert found.low < 0.1
