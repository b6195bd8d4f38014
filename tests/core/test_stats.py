"""Intervals that say 95 % hold the truth about that often."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.stats import (
    bootstrap,
    bootstrap_mean,
    bootstrap_quotient,
    bootstrap_ratio,
    halves,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "tries", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (5, 10, 0.2366, 0.7634),
        (20, 20, 1 - 0.1611, 1.0),
    ],
)
def test_wilson_gives_the_textbook_values(
    successes: int, tries: int, low: float, high: float
) -> None:
    """The bounds are those of Newcombe's table."""
    found = wilson(successes, tries)
    assert found.value == successes / tries
    assert found.low == pytest.approx(low, abs=6e-5)
    assert found.high == pytest.approx(high, abs=6e-5)


def test_wilson_without_a_try_knows_nothing() -> None:
    """No match is no evidence."""
    found = wilson(0, 0)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (0, 1)


@given(st.integers(1, 10**6), st.floats(0, 1))
@settings(max_examples=100)
def test_wilson_stays_inside_and_around_its_value(tries: int, share: float) -> None:
    """0 <= low <= value <= high <= 1, also for half successes."""
    found = wilson(round(share * tries * 2) / 2, tries)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_halves() -> None:
    """Every second episode, whatever their numbers; seats of one episode stay together."""
    assert halves([3, 3, 8, 1, 8]).tolist() == [1, 1, 0, 0, 0]
    assert halves([0, 2, 4, 6]).tolist() == [0, 1, 0, 1]


def test_wilson_covers() -> None:
    """Over many seeded experiments the interval holds the truth about as often as it says."""
    draws = np.random.default_rng(0)
    held = []
    for share in (0.1, 0.3, 0.5, 0.8):
        for successes in draws.binomial(40, share, 1000):
            found = wilson(successes, 40)
            held.append(found.low <= share <= found.high)
    assert 0.93 < np.mean(held) < 0.97


def test_a_higher_confidence_is_wider() -> None:
    """Z = 2.576 (99 %) gives the wider interval."""
    narrow, wide = wilson(7, 20), wilson(7, 20, z=2.5758)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_bootstrap_covers_the_truth_of_episodes() -> None:
    """With frames that depend on each other inside an episode, the interval holds the true share about 95 % of the time."""
    draws = np.random.default_rng(1)
    held = []
    for trial in range(400):
        lengths = draws.integers(50, 500, 60)
        # each episode has its own rate, with mean 1/4: frames alone would be far too sure
        own = draws.beta(2, 6, 60)
        found = bootstrap_ratio(draws.binomial(lengths, own), lengths, tries=300, seed=trial)
        held.append(found.low <= 0.25 <= found.high)
    assert 0.90 <= np.mean(held) <= 0.98


def test_bootstrap_draws_episodes_not_frames() -> None:
    """Ten episodes that contradict each other leave much doubt, however long they are."""
    right = np.array([0, 1000] * 5)
    found = bootstrap_ratio(right, np.full(10, 1000))
    assert found.value == 0.5
    assert found.high - found.low > 0.4


def test_bootstrap_is_a_ratio_of_sums() -> None:
    """Long episodes count for more: the value is that of all frames together."""
    assert bootstrap_ratio(np.array([1, 90]), np.array([10, 90])).value == pytest.approx(0.91)


def test_bootstrap_repeats_itself() -> None:
    """The same numbers and seed give the same interval to the last bit.

    Another seed gives another one.
    """
    top, bottom = np.random.default_rng(2).random((2, 30))
    assert bootstrap_ratio(top, bottom) == bootstrap_ratio(top, bottom)
    assert bootstrap_ratio(top, bottom) != bootstrap_ratio(top, bottom, seed=1)


def test_bootstrap_in_blocks_makes_all_its_tries() -> None:
    """Many episodes are drawn in blocks that bound memory; the interval is still that of theory."""
    values = np.random.default_rng(3).normal(0, 1, 100_000)
    found = bootstrap_mean(values, tries=90)
    assert found.high - found.low == pytest.approx(2 * 1.96 / 100_000**0.5, rel=0.25)


def test_a_lower_level_is_narrower() -> None:
    """50 % confidence needs less room than 95 %."""
    values = np.random.default_rng(4).random(50)
    half, most = bootstrap_mean(values, level=0.5), bootstrap_mean(values)
    assert most.low < half.low < half.value < half.high < most.high


def test_one_episode_allows_no_interval() -> None:
    """A single episode has a value and no bounds; none at all has not even that."""
    one = bootstrap_ratio(np.array([3]), np.array([4]))
    assert one.value == 0.75
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert all(math.isnan(x) for x in bootstrap_ratio(np.array([]), np.array([])))


def test_nothing_to_divide_by_is_no_number() -> None:
    """Denominators of zero give no value and no warning.

    Single ones are left out of the resampling.
    """
    assert all(math.isnan(x) for x in bootstrap_ratio(np.zeros(5), np.zeros(5)))
    some = bootstrap_ratio(np.array([1, 0, 0]), np.array([2, 0, 0]))
    assert tuple(some) == (0.5, 0.5, 0.5)


def test_equal_episodes_leave_no_doubt() -> None:
    """Where every episode says the same, the interval is a point."""
    assert tuple(bootstrap_mean(np.full(20, 3.0))) == (3.0, 3.0, 3.0)


def test_bootstrap_of_any_figure_is_that_of_the_ratio() -> None:
    """For a ratio of sums the general function gives the interval of `bootstrap_ratio`, up to its draws."""
    draws = np.random.default_rng(5)
    bottom = draws.integers(50, 200, 60).astype(float)
    top = draws.binomial(bottom.astype(int), draws.beta(4, 6, 60)).astype(float)
    one = bootstrap(lambda sums: sums[:, 0] / sums[:, 1], np.stack([top, bottom], 1), tries=4000)
    other = bootstrap_ratio(top, bottom, tries=4000)
    assert one.value == pytest.approx(other.value)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.005)


def test_quotients_of_two_samples_cover() -> None:
    """A ratio of two rates over different episodes lies in its interval about as often as it says."""
    draws = np.random.default_rng(6)
    held = []
    for trial in range(500):
        samples = []
        for mean, episodes in ((0.02, 50), (0.025, 80)):
            frames = draws.integers(500, 3000, episodes)
            rate = np.clip(draws.gamma(8, mean / 8, episodes), 0, 1)
            samples.append(np.stack([draws.binomial(frames, rate), frames], 1))
        found = bootstrap_quotient(*samples, tries=400, seed=trial)
        held.append(found.low <= 0.8 <= found.high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_quotients_of_pairs_cover() -> None:
    """A ratio of two rates over the same episodes, which differ much, lies in a narrow interval about as often as it says."""
    draws = np.random.default_rng(8)
    held, wide = [], []
    for trial in range(500):
        frames = draws.integers(500, 3000, 60)
        rate = np.clip(draws.gamma(2, 0.02 / 2, 60), 0, 1)
        real, play = (
            np.stack([draws.binomial(frames, np.minimum(times * rate, 1)), frames], 1)
            for times in (1, 1.2)
        )
        found, apart = (
            bootstrap_quotient(play, real, paired=paired, tries=400, seed=trial)
            for paired in (True, False)
        )
        held.append(found.low <= 1.2 <= found.high)
        wide.append((found.high - found.low) / (apart.high - apart.low))
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(wide) < 0.5


def test_a_reflected_interval_lies_around_its_distance() -> None:
    """Drawing again makes a distance larger.

    Turned round its value, the interval holds the value, and never below 0.
    """

    def distance(a, b):
        return np.abs(a / a.sum(-1, keepdims=True) - b / b.sum(-1, keepdims=True)).sum(-1)

    draws = np.random.default_rng(7)
    first, second = draws.poisson(3, (2, 30, 40)).astype(float)
    plain, turned = (
        bootstrap(distance, first, second, reflect=reflect) for reflect in (False, True)
    )
    assert plain.low > plain.value
    assert 0 <= turned.low < turned.value
    assert turned.high < plain.high


def test_samples_of_one_episode_allow_no_interval() -> None:
    """A single episode on either side leaves the value without bounds."""
    found = bootstrap_quotient(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0], [1.0, 4.0]]))
    assert found.value == 2
    assert math.isnan(found.low)
