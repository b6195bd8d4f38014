"""Ratings are recovered where the truth is known, and their intervals hold it as often as they say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from shadowbox.core.stats import wilson
from shadowbox.play import rating

STRENGTHS = np.array([0.0, 0.5, 1.0, -1.0, 2.0])


def league(strengths, tie, matches, draws):
    """Counts [n, n, 3] of a simulated round robin."""
    n = len(strengths)
    counts = np.zeros((n, n, 3))
    for a, b in itertools.combinations(range(n), 2):
        gap = strengths[a] - strengths[b]
        chance = np.array([np.exp(gap / 2), tie, np.exp(-gap / 2)])
        counts[a, b] = draws.multinomial(matches, chance / chance.sum())
        counts[b, a] = counts[a, b, ::-1]
    return counts


@pytest.mark.parametrize("tie", [0.0, 0.4, 2.0])
def test_known_strengths_are_recovered(tie):
    """From many matches the fit gives the strengths that made them, with few ties, some, or many."""
    counts = league(STRENGTHS, tie, 50_000, np.random.default_rng(1))
    assert rating.bradley_terry(counts) == pytest.approx(STRENGTHS, abs=0.05)


def test_the_fit_is_the_maximum():
    """No small change of any strength makes the results more likely than the fitted strengths do."""
    counts = league(STRENGTHS, 0.4, 60, np.random.default_rng(2))

    def likelihood(strengths):
        best = -np.inf
        for tie in np.geomspace(0.05, 3, 200):
            total = 0.0
            for a, b in itertools.combinations(range(5), 2):
                gap = strengths[a] - strengths[b]
                chance = np.array([np.exp(gap / 2), tie, np.exp(-gap / 2)])
                total += counts[a, b] @ np.log(chance / chance.sum())
            best = max(best, total)
        prior = rating.PRIOR * sum(0.5 * (s - 2 * np.logaddexp(0, s)) for s in strengths[1:])
        return best + prior

    fitted = rating.bradley_terry(counts)
    top = likelihood(fitted)
    for at in range(1, 5):
        for change in (-0.05, 0.05):
            moved = fitted.copy()
            moved[at] += change
            assert likelihood(moved) < top


def test_intervals_cover_the_truth():
    """Over many simulated leagues the 95 % intervals hold the true rating in 91 to 98 % of cases."""
    draws = np.random.default_rng(3)
    held = []
    for trial in range(150):
        ratings = rating.elo(league(STRENGTHS, 0.4, 100, draws), seed=trial, tries=300)
        held += [
            r.low <= rating.START + rating.ELO * s <= r.high
            for r, s in zip(ratings[1:], STRENGTHS[1:], strict=True)
        ]
    assert 0.91 <= np.mean(held) <= 0.98


def test_an_agent_that_won_everything_has_a_finite_rating_and_a_wide_interval():
    """Fifty wins of fifty give a finite rating whose interval is wide; five of five a wider one."""
    widths = []
    for wins in (5, 50):
        counts = np.zeros((2, 2, 3))
        counts[0, 1], counts[1, 0] = (0, 0, wins), (wins, 0, 0)
        champion = rating.elo(counts)[1]
        assert np.isfinite(champion)[:].all()
        assert champion.low <= champion.value <= champion.high
        assert champion.low > rating.START
        widths.append((champion.high - champion.low) / (champion.value - rating.START))
    assert widths[0] > widths[1] > 0.1


def test_the_anchor_stays_and_order_does_not_matter():
    """The anchor has 1000 whoever it is, and renaming agents renames ratings."""
    counts = league(STRENGTHS, 0.4, 200, np.random.default_rng(4))
    order = [3, 1, 4, 0, 2]
    straight, shuffled = (
        rating.bradley_terry(counts),
        rating.bradley_terry(counts[order][:, order], anchor=order.index(0)),
    )
    assert straight[order] == pytest.approx(shuffled, abs=1e-6)
    assert rating.elo(counts, anchor=2)[2] == (1000.0, 1000.0, 1000.0)


def test_copies_count_once():
    """A hundred copies of two matches are two matches, and the interval is that of two."""
    found = rating.count_wins([1.0, 0.0] * 50, ["a", "b"] * 50)
    assert (found.wins, found.losses, found.draws, found.distinct) == (50, 50, 0, 2)
    assert found.rate == wilson(1, 2)


def test_a_draw_is_half_a_win():
    """Win rates count a draw as half."""
    found = rating.count_wins([1.0, 0.5, 0.5, 0.0], list("abcd"))
    assert (found.wins, found.draws, found.losses) == (1, 2, 1)
    assert found.rate.value == 0.5


def test_mirrored_pairs_count_as_one():
    """A seat that always wins gives every agent a half, with an interval over pairs."""
    assert rating.mirrored_pairs([1.0] * 10, [0.0] * 10) == wilson(5, 10)


def test_rock_paper_scissors_is_named():
    """A cycle is found where each of three surely beats the next, and not where one step is uncertain."""
    sure, unsure = wilson(80, 100), wilson(52, 100)
    lost, unsure_lost = wilson(20, 100), wilson(48, 100)
    rates = [[None, sure, lost], [lost, None, sure], [sure, lost, None]]
    assert rating.cycles(rates) == [(0, 1, 2)]
    rates[2][0], rates[0][2] = unsure, unsure_lost
    assert rating.cycles(rates) == []
