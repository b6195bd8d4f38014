"""Intervals of 95 % contain the truth about that often."""

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
    rank_correlation,
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
    """Bounds are those of Newcombe's table."""
    interval = wilson(successes, tries)
    assert interval.value == successes / tries
    assert interval.low == pytest.approx(low, abs=6e-5)
    assert interval.high == pytest.approx(high, abs=6e-5)


def test_wilson_without_a_try_knows_nothing() -> None:
    """Without any try the interval is from 0 to 1."""
    interval = wilson(0, 0)
    assert math.isnan(interval.value)
    assert (interval.low, interval.high) == (0, 1)


@given(st.integers(1, 10**6), st.floats(0, 1))
@settings(max_examples=100)
def test_wilson_stays_inside_and_around_its_value(tries: int, share: float) -> None:
    """0 <= low <= value <= high <= 1, also for half successes."""
    interval = wilson(round(share * tries * 2) / 2, tries)
    assert 0 <= interval.low <= interval.value + 1e-12
    assert interval.value - 1e-12 <= interval.high <= 1


def test_halves() -> None:
    """Every second episode is in a half, whatever their numbers; seats stay with their episode."""
    assert halves([3, 3, 8, 1, 8]).tolist() == [1, 1, 0, 0, 0]
    assert halves([0, 2, 4, 6]).tolist() == [0, 1, 0, 1]


def test_wilson_covers() -> None:
    """Over many seeded experiments the interval contains the truth about 95 % of the time."""
    draws = np.random.default_rng(0)
    held = []
    for share in (0.1, 0.3, 0.5, 0.8):
        for successes in draws.binomial(40, share, 1000):
            interval = wilson(successes, 40)
            held.append(interval.low <= share <= interval.high)
    assert 0.93 < np.mean(held) < 0.97


def test_a_higher_confidence_is_wider() -> None:
    """Z = 2.576 (99 %) gives a wider interval."""
    narrow, wide = wilson(7, 20), wilson(7, 20, z=2.5758)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_bootstrap_covers_the_truth_of_episodes() -> None:
    """With dependent frames in an episode, the interval covers the truth about 95 % of the time."""
    draws = np.random.default_rng(1)
    held = []
    for trial in range(400):
        lengths = draws.integers(50, 500, 60)
        # each episode has its own rate, with mean 1/4; resampling frames would be too narrow
        own = draws.beta(2, 6, 60)
        interval = bootstrap_ratio(draws.binomial(lengths, own), lengths, tries=300, seed=trial)
        held.append(interval.low <= 0.25 <= interval.high)
    assert 0.90 <= np.mean(held) <= 0.98


def test_bootstrap_draws_episodes_not_frames() -> None:
    """Ten long episodes that contradict each other give a wide interval."""
    right = np.array([0, 1000] * 5)
    interval = bootstrap_ratio(right, np.full(10, 1000))
    assert interval.value == 0.5
    assert interval.high - interval.low > 0.4


def test_bootstrap_is_a_ratio_of_sums() -> None:
    """The value is that of all frames together, so long episodes weigh more."""
    assert bootstrap_ratio(np.array([1, 90]), np.array([10, 90])).value == pytest.approx(0.91)


def test_bootstrap_repeats_itself() -> None:
    """The same numbers and seed give the same interval to the last bit; another seed does not."""
    top, bottom = np.random.default_rng(2).random((2, 30))
    assert bootstrap_ratio(top, bottom) == bootstrap_ratio(top, bottom)
    assert bootstrap_ratio(top, bottom) != bootstrap_ratio(top, bottom, seed=1)


def test_bootstrap_in_blocks_makes_all_its_tries() -> None:
    """Many episodes, drawn in blocks that bound memory, give the interval of theory."""
    values = np.random.default_rng(3).normal(0, 1, 100_000)
    interval = bootstrap_mean(values, tries=90)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 100_000**0.5, rel=0.25)


def test_a_lower_level_is_narrower() -> None:
    """50 % confidence gives a narrower interval than 95 %."""
    values = np.random.default_rng(4).random(50)
    half, most = bootstrap_mean(values, level=0.5), bootstrap_mean(values)
    assert most.low < half.low < half.value < half.high < most.high


def test_one_episode_allows_no_interval() -> None:
    """A single episode has a value without bounds; without any episode the value is NaN, too."""
    one = bootstrap_ratio(np.array([3]), np.array([4]))
    assert one.value == 0.75
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert all(math.isnan(x) for x in bootstrap_ratio(np.array([]), np.array([])))


def test_nothing_to_divide_by_is_no_number() -> None:
    """Denominators of zero give NaN without a warning; single ones are not resampled."""
    assert all(math.isnan(x) for x in bootstrap_ratio(np.zeros(5), np.zeros(5)))
    some = bootstrap_ratio(np.array([1, 0, 0]), np.array([2, 0, 0]))
    assert tuple(some) == (0.5, 0.5, 0.5)


def test_equal_episodes_leave_no_doubt() -> None:
    """Equal episodes give an interval of one point."""
    assert tuple(bootstrap_mean(np.full(20, 3.0))) == (3.0, 3.0, 3.0)


def test_bootstrap_of_any_figure_is_that_of_the_ratio() -> None:
    """For a ratio of sums, `bootstrap` gives the interval of `bootstrap_ratio` up to its draws."""
    draws = np.random.default_rng(5)
    bottom = draws.integers(50, 200, 60).astype(float)
    top = draws.binomial(bottom.astype(int), draws.beta(4, 6, 60)).astype(float)
    one = bootstrap(lambda sums: sums[:, 0] / sums[:, 1], np.stack([top, bottom], 1), tries=4000)
    other = bootstrap_ratio(top, bottom, tries=4000)
    assert one.value == pytest.approx(other.value)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.005)


def test_quotients_of_two_samples_cover() -> None:
    """The interval of a ratio of two independent rates contains it about 95 % of the time."""
    draws = np.random.default_rng(6)
    held = []
    for trial in range(500):
        samples = []
        for mean, episodes in ((0.02, 50), (0.025, 80)):
            frames = draws.integers(500, 3000, episodes)
            rate = np.clip(draws.gamma(8, mean / 8, episodes), 0, 1)
            samples.append(np.stack([draws.binomial(frames, rate), frames], 1))
        interval = bootstrap_quotient(*samples, tries=400, seed=trial)
        held.append(interval.low <= 0.8 <= interval.high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_quotients_of_pairs_cover() -> None:
    """Paired rates of very different episodes give a narrow interval with the same coverage."""
    draws = np.random.default_rng(8)
    held, wide = [], []
    for trial in range(500):
        frames = draws.integers(500, 3000, 60)
        rate = np.clip(draws.gamma(2, 0.02 / 2, 60), 0, 1)
        real, play = (
            np.stack([draws.binomial(frames, np.minimum(times * rate, 1)), frames], 1)
            for times in (1, 1.2)
        )
        interval, apart = (
            bootstrap_quotient(play, real, paired=paired, tries=400, seed=trial)
            for paired in (True, False)
        )
        held.append(interval.low <= 1.2 <= interval.high)
        wide.append((interval.high - interval.low) / (apart.high - apart.low))
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(wide) < 0.5


def test_a_reflected_interval_lies_around_its_distance() -> None:
    """Resampling enlarges a distance; the reflected interval contains its value, never below 0."""

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


@pytest.mark.parametrize("turned", [False, True])
def test_the_smaller_sample_decides_how_wide(turned: bool) -> None:
    """Beside many equal episodes, four uncertain ones leave the interval of four."""
    few = np.array([[2.0, 10.0], [3.0, 10.0], [5.0, 10.0], [6.0, 10.0]])
    many = np.tile([[4.0, 10.0]], (400, 1))
    alone = bootstrap_ratio(few[:, 0], few[:, 1], tries=20_000)
    first, second = (many, few) if turned else (few, many)
    found = bootstrap_quotient(first, second, tries=20_000)
    ends = [0.4 / alone.high, 0.4 / alone.low] if turned else [alone.low / 0.4, alone.high / 0.4]
    assert [found.low, found.high] == pytest.approx(ends, rel=0.02)


def test_samples_of_one_episode_allow_no_interval() -> None:
    """A single episode in either sample leaves the value without bounds."""
    interval = bootstrap_quotient(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0], [1.0, 4.0]]))
    assert interval.value == 2
    assert math.isnan(interval.low)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=12))
def test_rank_correlation_sees_the_order_alone(pairs) -> None:
    """It is symmetric, from -1 to 1, and that of values that are stretched without a change of order."""
    one, other = np.array(pairs, float).T
    found = float(rank_correlation(one, other))
    stretched = float(rank_correlation(one**3, np.exp(other)))
    np.testing.assert_allclose([found, found], [stretched, rank_correlation(other, one)])
    assert math.isnan(found) == (len(set(one)) == 1 or len(set(other)) == 1)
    assert math.isnan(found) or abs(found) <= 1 + 1e-12


def test_rank_correlation_of_a_textbook_example() -> None:
    """IQ and hours of television, from a common textbook example: -29 / 165."""
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert float(rank_correlation(np.array(iq), np.array(hours))) == pytest.approx(-29 / 165)
