"""Statistics with confidence intervals: Wilson, Student and bootstrap over episodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.schema import Array

Z95 = 1.959963984540054  # standard normal quantile of a two-sided 95 % interval


class Interval(NamedTuple):
    """Value and its confidence interval (95 % by default)."""

    value: float
    low: float
    high: float


def wilson(successes: float, tries: float, z: float = Z95) -> Interval:
    """Share of successes with Wilson's interval; from 0 to 1 without any try.

    Half successes (draws) are allowed.
    """
    if tries <= 0:
        return Interval(math.nan, 0.0, 1.0)
    share = successes / tries
    scale = 1 + z * z / tries
    center = (share + z * z / (2 * tries)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / tries + z * z / (4 * tries * tries))
    # without the outer min and max rounding may put the bounds of 0 of n and n of n just past them
    return Interval(share, min(share, max(0.0, center - half)), max(share, min(1.0, center + half)))


def bootstrap_ratio(
    numerators: Array, denominators: Array, *, tries: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """sum(numerators) / sum(denominators) over episodes [E], with a percentile bootstrap interval.

    Frames of one episode depend on each other; only episodes are independent, so whole episodes are
    resampled.
    """
    top, bottom = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    value = _ratio(top.sum(), bottom.sum())
    if len(top) < 2:
        return Interval(value, math.nan, math.nan)
    draws = np.random.default_rng(seed)
    values = np.empty(tries)
    block = max(1, 4_000_000 // len(top))  # bounds memory: at most 32 MB of drawn indices at a time
    for start in range(0, tries, block):
        picks = draws.integers(0, len(top), (min(block, tries - start), len(top)))
        values[start : start + len(picks)] = _ratio(top[picks].sum(1), bottom[picks].sum(1))
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(value, math.nan, math.nan)
    tail = _tail(level, len(top))
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def halves(episodes: Sequence[int] | Array) -> Array:
    """Half (0 or 1) of each entry: every second episode, so that an episode stays in one half."""
    ranks: Array = np.unique(np.asarray(episodes), return_inverse=True)[1]
    return ranks % 2


def bootstrap_mean(
    values: Array, *, tries: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean over episodes [E] with its bootstrap interval."""
    return bootstrap_ratio(values, np.ones(len(values)), tries=tries, level=level, seed=seed)


T95 = (  # two-sided 95 % quantile of Student's t for 1, 2, ... degrees of freedom
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of a few independent repeats with Student's interval; one repeat alone has none."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    # beyond the table the series of the quantile in 1 / degrees is exact to three digits
    quantile = (
        T95[count - 2]
        if count - 1 <= len(T95)
        else Z95 + 2.3723 / (count - 1) + 2.8225 / (count - 1) ** 2
    )
    half = quantile * spread / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def interquartile_mean(values: Sequence[float], *, tries: int = 2000, seed: int = 0) -> Interval:
    """Mean of the middle half of a few runs, with its percentile bootstrap interval."""
    runs = np.asarray(values, np.float64)
    cut = len(runs) // 4

    def middle(rows: Array) -> Array:
        return np.asarray(np.sort(rows, axis=-1)[..., cut : len(runs) - cut].mean(-1))

    if len(runs) < 2:
        return Interval(float(middle(runs)), math.nan, math.nan)
    picks = np.random.default_rng(seed).integers(0, len(runs), (tries, len(runs)))
    tail = _tail(0.95, len(runs))
    low, high = np.quantile(middle(runs[picks]), [tail, 1 - tail]).tolist()
    return Interval(float(middle(runs)), low, high)


def bootstrap(
    of: Callable[..., Array],
    *samples: Array,
    tries: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    reflect: bool = False,
) -> Interval:
    """Function of sums over episodes with its interval; samples [E, ...] are drawn independently.

    `of` maps the sums [tries, ...] of each sample to values [tries]. `reflect` mirrors the interval
    at its value: for distances, which resampling can only enlarge.
    """
    value = float(
        of(*(np.asarray(sample, np.float64).sum(0, keepdims=True) for sample in samples))[0]
    )
    if any(len(sample) < 2 for sample in samples):
        return Interval(value, math.nan, math.nan)
    draws = np.random.default_rng(seed)
    sums = []
    for sample in samples:
        flat = np.asarray(sample, np.float64).reshape(len(sample), -1)
        times = draws.multinomial(len(flat), np.full(len(flat), 1 / len(flat)), size=tries)
        sums.append((times @ flat).reshape(tries, *np.shape(sample)[1:]))
    values = of(*sums)
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(value, math.nan, math.nan)
    tail = _tail(level, min(map(len, samples)))
    low, high = np.quantile(values, [tail, 1 - tail]).tolist()
    return (
        Interval(value, max(0.0, 2 * value - high), 2 * value - low)
        if reflect
        else Interval(value, low, high)
    )


def bootstrap_figures(
    of: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    samples: Mapping[str, Array],
    *,
    tries: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Figures of sums over episodes with their 95 % intervals, all from the same resamples.

    `samples` {name: [E, ...]}; `of` maps sums {name: [tries, ...]} to figures {name: [tries]}.
    """
    rows = {name: np.asarray(sample, np.float64) for name, sample in samples.items()}
    episodes = len(next(iter(rows.values())))
    values = of({name: sample.sum(0, keepdims=True) for name, sample in rows.items()})
    alone = {name: float(value[0]) for name, value in values.items()}
    if episodes < 2:
        return {name: Interval(value, math.nan, math.nan) for name, value in alone.items()}
    draws = np.random.default_rng(seed)
    times = draws.multinomial(episodes, np.full(episodes, 1 / episodes), size=tries)
    sums = {
        name: (times @ sample.reshape(episodes, -1)).reshape(tries, *sample.shape[1:])
        for name, sample in rows.items()
    }
    tail, found = _tail(0.95, episodes), {}
    for name, drawn in of(sums).items():
        known = drawn[np.isfinite(drawn)]
        ends = np.quantile(known, [tail, 1 - tail]).tolist() if len(known) else [math.nan] * 2
        found[name] = Interval(alone[name], *ends)
    return found


def bootstrap_quotient(
    first: Array, second: Array, *, paired: bool = False, **options: Any
) -> Interval:
    """Ratio of two rates, a / b of samples [E, 2] and c / d of samples [F, 2], with its interval.

    `paired` samples have a row for each common episode, which is drawn once for both.
    """

    def quotient(one: Array, other: Array) -> Array:
        return np.asarray(_ratio(_ratio(one[:, 0], one[:, 1]), _ratio(other[:, 0], other[:, 1])))

    if paired:
        return bootstrap(
            lambda both: quotient(both[:, :2], both[:, 2:]),
            np.concatenate([first, second], 1),
            **options,
        )
    return bootstrap(quotient, first, second, **options)


def rank_correlation(first: Array, second: Array) -> Array:
    """Spearman's rank correlation of values [..., n] and [..., n]; equal values share their rank.

    NaN where all values of one side are equal.
    """
    apart = [
        ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (_ranks(first), _ranks(second))
    ]
    scale = np.sqrt((apart[0] ** 2).sum(-1) * (apart[1] ** 2).sum(-1))
    return np.asarray(_ratio((apart[0] * apart[1]).sum(-1), scale))


def _ranks(values: Array) -> Array:
    """Ranks of values [..., n] from 0; equal values have the mean of their ranks."""
    one, other = np.asarray(values)[..., :, None], np.asarray(values)[..., None, :]
    return np.asarray((other < one).sum(-1) + ((other == one).sum(-1) - 1) / 2)


def _tail(level: float, episodes: int) -> float:
    """Probability cut off at each end, less than nominal for few episodes (Hesterberg 2015).

    Plain percentiles are too narrow then: the spread is itself estimated (Student's t), and
    resampling reduces it.
    """
    normal = NormalDist()
    z, freedom = normal.inv_cdf((1 + level) / 2), max(episodes - 1, 1)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return normal.cdf(-t * math.sqrt((freedom + 1) / freedom))


def _ratio(top: Any, bottom: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(top, bottom)
