"""Skill of a world over the best baseline, by field and horizon, with simultaneous bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shadowbox.core.schema import Array, Column, Columns, Real, Schema
from shadowbox.core.stats import Interval
from shadowbox.evaluate.worlds import baselines
from shadowbox.evaluate.worlds.starts import CONTEXT

TRIES = 1000
ENOUGH = 10  # starts at which the best baseline must err for a skill to be judged
EXACT = 1e-5  # error of a real, times its scale, that counts as none


class _Errors(NamedTuple):
    """Sums of errors by episode: [E, F, H] of the world, [E, F, H, B] of the baselines."""

    keys: tuple[str, ...]
    horizons: tuple[int, ...]
    point: Array  # of the median or the most frequent value of the samples
    score: Array  # continuous ranked probability score of the samples
    baselines: Array
    counts: Array  # [E, F, H], values
    erring: Array  # [F, H, B], starts at which a baseline errs


class _Skill(NamedTuple):
    """Skill of a field at a horizon. `low` is its simultaneous 95 % bound."""

    key: str
    horizon: int
    skill: Interval  # alone, with a 95 % interval
    score_skill: Interval  # of the ranked probability score
    low: float
    beside: dict[str, float]  # skill of each baseline
    best: str  # baseline
    exact: bool  # its baseline has no error
    rare: bool  # its baseline errs too rarely to judge
    error: float  # mean error of the world


def scored_keys(schema: Schema) -> tuple[str, ...]:
    """Columns that a world predicts."""
    return tuple(key for key in schema.state_keys if schema.columns[key].field.predict != "no")


def distance(column: Column, one: Array, other: Array) -> Array:
    """Absolute difference of reals (tiny ones are none); 0 or 1 for flags and choices."""
    if not isinstance(column.field, Real):
        return np.asarray(one != other).astype(np.float64)
    low, high = column.field.limits
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    apart = np.nan_to_num(apart, nan=min(high - low, 1e6))
    return np.asarray(np.where(apart * column.field.scale < EXACT, 0.0, apart))


def point(column: Column, samples: Array) -> Array:
    """Median of a real, most frequent value of a flag or choice: [S, M, slots] -> [S, slots]."""
    if isinstance(column.field, Real):
        return np.asarray(np.median(samples, axis=1))
    votes = (samples[:, :, None] == samples[:, None, :]).sum(2)
    return np.asarray(np.take_along_axis(samples, votes.argmax(1)[:, None], 1)[:, 0])


def ranked_score(column: Column, samples: Array, truth: Array) -> Array:
    """Continuous ranked probability score of samples [S, M, slots], [S, slots].

    For flags and choices: the energy score, in which unequal values are 1 apart. A single sample
    scores its distance.
    """
    count = samples.shape[1]
    away = distance(column, samples, truth[:, None]).mean(1)
    if count == 1:
        return np.asarray(away)
    apart = distance(column, samples[:, :, None], samples[:, None, :]).sum((1, 2))
    return np.asarray(away - apart / (2 * count * (count - 1)))


def errors(
    schema: Schema,
    rows: Columns,
    valid: Array,
    episodes: Array,
    predicted: Columns,
    horizons: Sequence[int],
    table: baselines._LookUp,
) -> _Errors:
    """Errors of predictions [S, M, H, slots] of a world and of all baselines.

    `rows` [S, CONTEXT + 1 + frames, slots] and `valid` [S, frames + 1] as in `_Starts`;
    `episodes` [S].
    """
    keys = tuple(predicted)
    groups, group = np.unique(episodes, return_inverse=True)
    shape = (len(groups), len(keys), len(horizons))
    point_sums, score_sums, counts = (np.zeros(shape) for _ in range(3))
    beside = np.zeros((*shape, len(baselines.NAMES)))
    erring = np.zeros((*shape[1:], len(baselines.NAMES)))
    for f, key in enumerate(keys):
        column = schema.columns[key]
        for h, horizon in enumerate(horizons):
            there = valid[:, horizon]
            truth, samples = rows[key][:, CONTEXT + horizon], predicted[key][:, :, h]

            def summed(values: Array, there: Array = there) -> Array:
                return np.bincount(group, values.mean(-1) * there, len(groups))

            guess = point(column, samples)
            point_sums[:, f, h] = summed(distance(column, guess, truth))
            score_sums[:, f, h] = summed(ranked_score(column, samples, truth))
            counts[:, f, h] = np.bincount(group, there, len(groups))
            for b, other in enumerate(_baselines(rows, column, horizon, table)):
                if other is None:
                    beside[:, f, h, b], erring[f, h, b] = np.inf, np.inf
                    continue
                away = distance(column, other, truth)
                beside[:, f, h, b] = summed(away)
                erring[f, h, b] = ((away > 0).any(-1) & there).sum()
    return _Errors(keys, tuple(horizons), point_sums, score_sums, beside, counts, erring)


def _baselines(
    rows: Columns, column: Column, horizon: int, table: baselines._LookUp
) -> list[Array | None]:
    past = {key: values[:, : CONTEXT + 1] for key, values in rows.items()}
    return [
        baselines.hold(past, column.key),
        baselines.constant_velocity(past, column, horizon),
        table.predict(past, column.key, horizon),
    ]


def skills(schema: Schema, found: _Errors, family: int, seed: int = 0) -> list[_Skill]:
    """Skill of every field and horizon.

    The bounds hold together, with 95 %, for all that are judged at horizons up to `family`: the
    bootstrap over episodes gives the largest standardized deviation among them.
    """
    picks = np.random.default_rng(seed).multinomial(
        len(found.point), np.full(len(found.point), 1 / len(found.point)), TRIES
    )

    def draws(sums: Array) -> Array:
        finite = np.where(np.isfinite(sums), sums, 0.0)
        drawn = (picks @ finite.reshape(len(sums), -1)).reshape(TRIES, *sums.shape[1:])
        drawn[:, ~np.isfinite(sums).all(0)] = np.inf
        return np.asarray(drawn)

    best, value = found.baselines.sum(0).min(-1), {}
    drawn_best = draws(found.baselines).min(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, sums in (("point", found.point), ("score", found.score)):
            value[name] = (1 - sums.sum(0) / best, 1 - draws(sums) / drawn_best)
        others = 1 - found.baselines.sum(0) / best[..., None]
    exact = best == 0
    least = np.take_along_axis(found.erring, found.baselines.sum(0).argmin(-1)[..., None], -1)
    rare = ~exact & (least[..., 0] < ENOUGH)
    judged = ~exact & ~rare & (np.array(found.horizons) <= family)
    low = _together(*value["point"], judged)
    result = []
    for f, key in enumerate(found.keys):
        for h, horizon in enumerate(found.horizons):
            beside = dict(zip(baselines.NAMES, others[f, h].tolist(), strict=True))
            result.append(
                _Skill(
                    key,
                    horizon,
                    _interval(*value["point"], (f, h)),
                    _interval(*value["score"], (f, h)),
                    float(low[f, h]),
                    {name: skill for name, skill in beside.items() if np.isfinite(skill)},
                    baselines.NAMES[int(found.baselines.sum(0)[f, h].argmin())],
                    bool(exact[f, h]),
                    bool(rare[f, h]),
                    float(found.point[:, f, h].sum() / max(found.counts[:, f, h].sum(), 1)),
                )
            )
    return result


def _together(value: Array, drawn: Array, judged: Array) -> Array:
    """Simultaneous lower bounds; those that are not judged have one alone."""
    known = np.isfinite(drawn) & np.isfinite(value)
    count = np.maximum(known.sum(0), 1)
    apart = np.where(known, drawn - np.where(np.isfinite(value), value, 0.0), 0.0)
    spread = np.sqrt((apart**2).sum(0) / count)
    away = np.where(spread > 0, apart / np.where(spread > 0, spread, 1.0), 0.0)
    largest = np.nan_to_num(np.where(judged, away, 0.0)).reshape(len(drawn), -1).max(1)
    return np.asarray(value - np.quantile(largest, 0.95) * spread)


def _interval(value: Array, drawn: Array, at: tuple[int, int]) -> Interval:
    known = drawn[(slice(None), *at)]
    known = known[np.isfinite(known)]
    if not np.isfinite(value[at]) or not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975]).tolist()
    return Interval(float(value[at]), min(low, float(value[at])), max(high, float(value[at])))
