"""Predictions that need no training; every metric is printed beside them.

A model that does not beat them has learned nothing. `copy_last` predicts that nothing changes,
`constant_velocity` that the last change is repeated, `never_press` that all buttons are up, and
`LookupTable` the usual next value in a situation. Arrays are [..., time, slots]; the prediction for
t + 1 is at index t.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array, Choice, Columns, Flag, Real, Schema


def copy_last(values: Array) -> Array:
    """Values at t as predictions for t + 1: [..., T, S] -> [..., T, S]."""
    return values


def constant_velocity(values: Array, low: float, high: float) -> Array:
    """values_t + (values_t - values_{t-1}), clipped to the range: [..., T, S] -> [..., T, S].

    The prediction of the first frame is its own value.
    """
    change = np.diff(values, axis=-2, prepend=values[..., :1, :])
    return np.asarray(np.clip(values + change, low, high))


def never_press(values: Array) -> Array:
    """Zeros: no button is pressed."""
    return np.zeros_like(values)


@dataclass(frozen=True)
class Situations:
    """Joint value of a few choice and flag columns of a frame, as one number below `count`."""

    by: tuple[str, ...]
    sizes: tuple[int, ...]

    @staticmethod
    def of(schema: Schema, by: tuple[str, ...]) -> Situations:
        """Situations of these columns; a real is refused."""
        for key in by:
            if not values_of(schema, key):
                raise ValueError(
                    f"a look-up table must be keyed by choices and flags (got the real {key})"
                )
        return Situations(by, tuple(values_of(schema, key) for key in by))

    @property
    def count(self) -> int:
        """Number of situations."""
        return int(np.prod(self.sizes))

    def index(self, columns: Mapping[str, Array]) -> Array:
        """Number of each frame's situation; columns of one shape, such as [T, S] -> that shape."""
        at = np.zeros((), np.int64)
        for key, size in zip(self.by, self.sizes, strict=True):
            at = at * size + columns[key]
        return at


def values_of(schema: Schema, key: str) -> int:
    """Number of values of a choice or flag; 0 for a real."""
    field = schema.columns[key].field
    if isinstance(field, Real):
        return 0
    return field.n if isinstance(field, Choice) else 2


def means_by_situation(
    totals: Array, counts: Array, overall: Array | float, prior: float = 0.0
) -> Array:
    """Mean of each situation from sums and counts; the overall mean where a situation has no frame.

    `prior` frames with the overall mean are added to each situation.
    """
    weights = counts + prior
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (totals + prior * overall) / weights
    return np.asarray(np.where(weights > 0, means, overall))


@dataclass(frozen=True)
class LookupTable:
    """Usual next value in each situation: the mean of a real, the mode of a flag or choice.

    A situation without training data gets the overall usual value.
    """

    situations: Situations
    usual: Mapping[str, Array]  # column -> [situations + 1]; the last is the overall value

    @staticmethod
    def fit(schema: Schema, given: Columns, following: Columns, by: tuple[str, ...]) -> LookupTable:
        """Fit to columns `given` and the next values `following`: arrays of one shape, [T, S]."""
        situations = Situations.of(schema, by)
        at = situations.index(given).ravel()
        count = np.bincount(at, minlength=situations.count)
        usual = {}
        for key, values in following.items():
            field, flat = schema.columns[key].field, values.ravel()
            if isinstance(field, Choice):
                usual[key] = _most_frequent(at, flat, situations.count)
                continue
            total = np.bincount(at, weights=flat.astype(np.float64), minlength=situations.count)
            overall = total.sum() / max(count.sum(), 1)
            mean = np.append(means_by_situation(total, count, overall), overall)
            usual[key] = mean > 0.5 if isinstance(field, Flag) else mean
        return LookupTable(situations, usual)

    def predict(self, given: Columns, key: str) -> Array:
        """Usual value of column `key` in each situation of `given`: [T, S]."""
        return self.usual[key][self.situations.index(given)]


def _most_frequent(at: Array, values: Array, situations: int) -> Array:
    """Most frequent value of each situation (the smallest of equals), and overall at the end."""
    n = int(values.max()) + 1 if len(values) else 1
    both, count = np.unique(at * n + values, return_counts=True)
    usual = np.full(situations + 1, np.bincount(values.astype(np.int64), minlength=1).argmax())
    # the most frequent value is written last, and of equals the smallest
    order = np.lexsort((-(both % n), count))
    usual[both[order] // n] = both[order] % n
    return usual
