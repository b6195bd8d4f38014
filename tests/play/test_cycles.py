"""Cycles and Nash averaging: found where they are, not found where they are not, and proven."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.play import rating

ROCK_PAPER_SCISSORS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 2


def played(chance, matches, draws):
    """Counts [n, n, 3] of a round robin in which the row beats the column by chance, without draws."""
    n = len(chance)
    counts = np.zeros((n, n, 3))
    for a, b in itertools.combinations(range(n), 2):
        won = draws.binomial(matches, chance[a, b])
        counts[a, b], counts[b, a] = (won, 0, matches - won), (matches - won, 0, won)
    return counts


def ladder(n, draws):
    """Chances of agents of random strength."""
    strength = draws.normal(size=n)
    return 1 / (1 + np.exp(strength[None] - strength[:, None]))


def antisymmetric(n, draws):
    """Random margins."""
    values = draws.uniform(-0.5, 0.5, (n, n))
    return (values - values.T) / 2


@pytest.mark.parametrize("edge", [0.2, 0.5])
def test_rock_paper_scissors_is_found(edge):
    """Three agents that beat each other in a circle make Elo unreliable: equal ratings miss it all."""
    for seed in range(5):
        table = played(0.5 + 2 * edge * ROCK_PAPER_SCISSORS, 100, np.random.default_rng(seed))
        found = rating.cycle_test(table, seed=seed)
        assert not found.reliable
        assert found.p < 0.01
        assert found.cyclic > 0.5 > found.expected or edge == 0.2


def test_a_cycle_among_others_is_found():
    """A circle of three within a league of six shows, though all others are ranked."""
    chance = ladder(6, np.random.default_rng(1))
    chance[:3, :3] = 0.5 + ROCK_PAPER_SCISSORS * 0.8
    table = played(chance, 100, np.random.default_rng(2))
    assert not rating.cycle_test(table).reliable


def test_few_matches_prove_no_cycle():
    """One match of each pair in a circle may be chance."""
    table = np.zeros((3, 3, 3))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        table[a, b], table[b, a] = (1, 0, 0), (0, 0, 1)
    assert rating.cycle_test(table).reliable


@pytest.mark.slow
def test_a_ladder_is_not_taken_for_a_cycle(monkeypatch):
    """Of 200 leagues with one strength for each agent, at most 5 % are called cyclic."""
    monkeypatch.setattr(rating, "CYCLE_TRIES", 150)
    draws = np.random.default_rng(0)
    alarms = []
    for seed in range(200):
        n = int(draws.integers(3, 6))
        table = played(ladder(n, draws), int(draws.integers(10, 200)), draws)
        alarms.append(not rating.cycle_test(table, seed=seed).reliable)
    assert np.mean(alarms) <= 0.05


def test_the_cyclic_part_by_hand():
    """A pure circle is cyclic as a whole; differences of strengths are not at all."""
    strengths = np.array([0.0, 0.1, 0.3])
    ladder_margins = strengths[:, None] - strengths[None]
    both = rating._cyclic_share(np.stack([ROCK_PAPER_SCISSORS, ladder_margins]))
    assert both == pytest.approx([1.0, 0.0], abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 9))
def test_no_agent_beats_the_mixture(seed, n):
    """The gap of the equilibrium is nothing, for any margins."""
    margin = antisymmetric(n, np.random.default_rng(seed))
    mixture = rating.nash_mixture(margin)
    assert mixture.sum() == pytest.approx(1)
    assert (mixture >= 0).all()
    assert (margin @ mixture).max() < 1e-5


def test_mixtures_by_hand():
    """Equilibria that are known: a circle, a best agent, two equal best ones, copies of one."""
    assert rating.nash_mixture(ROCK_PAPER_SCISSORS) == pytest.approx([1 / 3] * 3, abs=1e-6)
    lopsided = np.array([[0, -3, 1], [3, 0, -2], [-1, 2, 0]]) / 10  # weights: the others' edge
    assert rating.nash_mixture(lopsided) == pytest.approx([2 / 6, 1 / 6, 3 / 6], abs=1e-6)
    strengths = np.array([0.4, 0.1, 0.4, 0.0])
    best = rating.nash_mixture(strengths[:, None] - strengths[None])
    assert best == pytest.approx([0.5, 0, 0.5, 0], abs=1e-5)
    twice = ROCK_PAPER_SCISSORS[np.ix_([0, 0, 1, 2], [0, 0, 1, 2])]
    assert rating.nash_mixture(twice) == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3], abs=1e-6)
    assert rating.nash_mixture(np.zeros((5, 5))) == pytest.approx([0.2] * 5)


def test_the_mixture_is_the_most_even_one():
    """No other equilibrium has more entropy: with copies, every split of their weight is one."""
    order = [0, 0, 0, 1, 2]
    mixture = rating.nash_mixture(ROCK_PAPER_SCISSORS[np.ix_(order, order)])

    def entropy(p):
        return -(p * np.log(np.maximum(p, 1e-300))).sum()

    for share in np.random.default_rng(0).dirichlet(np.ones(3), 50):
        other = np.concatenate([share / 3, [1 / 3, 1 / 3]])
        assert entropy(mixture) >= entropy(other) - 1e-9


def test_averages_have_intervals():
    """In a circle all agents score one half; a weaker fourth one has no weight and loses."""
    chance = np.full((4, 4), 0.1)
    chance[:3, :3] = 0.5 + ROCK_PAPER_SCISSORS * 0.8
    chance[:3, 3] = 0.9
    table = played(chance, 200, np.random.default_rng(3))
    found = rating.nash_averages(table)
    for weight, score in found[:3]:
        assert weight.low <= 1 / 3 <= weight.high
        assert score.value == pytest.approx(0.5, abs=1e-5)
    weight, score = found[3]
    assert weight.value < 1e-4
    assert score.low <= score.value <= score.high < 0.3
