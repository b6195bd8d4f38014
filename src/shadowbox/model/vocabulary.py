"""Vocabulary of a codebook head: the combinations of controls that it distinguishes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from shadowbox.core.schema import Array, Choice, Flag, Real
from shadowbox.model.codebook import LOOKED_UP
from shadowbox.model.codec import ControlValues

MIN_COUNT = 100  # frames; a rarer combination is mapped to the nearest point
MIN_SHARE = 0.001  # of the frames of a small store, in which a jump is rarer than MIN_COUNT
FEWEST = 10  # frames, in any store
MOST_POINTS = 33  # points of a real that is not part of a stick
# points of a stick, as rings: share of its reach, number of points
RINGS = ((0.0, 1), (0.35, 8), (0.7, 16), (1.0, 32))
ALL_COMBINATIONS = 6  # largest number of flags of which, without data, all combinations are points


@dataclass(frozen=True)
class _ControlFactor:
    """Control values with common points: both axes of a stick, a few flags, or one value alone."""

    name: str
    kind: str  # stick, real, flags, choice
    at: tuple[int, ...]  # places among the values of a frame
    keys: tuple[str, ...] = field(default=())


def control_factors(values: ControlValues) -> list[_ControlFactor]:
    """Factors of the controls in the order of a chain: sticks, other reals, choices, flags.

    Flags come last and depend on all others. Reals whose names end in `_x` and `_y` are a stick.
    """
    schema, names, factors = values.schema, values.names, []
    of_kind = {
        kind: [at for at, key in enumerate(names) if isinstance(schema.columns[key].field, kind)]
        for kind in (Real, Choice, Flag)
    }
    left = list(of_kind[Real])
    for at in of_kind[Real]:
        key = names[at]
        partner = (
            [other for other in left if names[other] == f"{key[:-2]}_y" and other != at]
            if key.endswith("_x")
            else []
        )
        if partner:
            same_slot = (
                partner[names[:at].count(key)]
                if len(partner) > names[:at].count(key)
                else partner[0]
            )
            factors.append(_ControlFactor(_short(key)[:-2], "stick", (at, same_slot)))
            left = [other for other in left if other not in (at, same_slot)]
    factors += [_ControlFactor(_short(names[at]), "real", (at,)) for at in left]
    factors += [_ControlFactor(_short(names[at]), "choice", (at,)) for at in of_kind[Choice]]
    flags = of_kind[Flag]
    for first in range(0, len(flags), LOOKED_UP):
        chosen = flags[first : first + LOOKED_UP]
        factors.append(
            _ControlFactor(
                "flags" if len(flags) <= LOOKED_UP else f"flags_{first}", "flags", tuple(chosen)
            )
        )
    return [
        _ControlFactor(factor.name, factor.kind, factor.at, tuple(names[at] for at in factor.at))
        for factor in _named_once(factors)
    ]


def fit_vocabulary(
    values: ControlValues, pressed: Array, min_count: int | None = None
) -> dict[str, list[list[float]]]:
    """Points of each factor, from values [frames, V] of the training side.

    Flags get the combinations that occur in at least `min_count` frames, and the neutral one; by
    default in 100, or in a thousandth of the frames where these are few.
    Sticks get rings of points around neutral, other reals their quantiles.
    """
    vocabulary = default_vocabulary(values)
    if min_count is None:
        min_count = min(MIN_COUNT, max(FEWEST, round(MIN_SHARE * len(pressed))))
    for factor in control_factors(values):
        frames = pressed[:, list(factor.at)]
        if factor.kind == "flags":
            rows, count = _combinations(frames > 0.5)
            most_frequent = rows[np.argsort(-count, kind="stable")]
            kept = most_frequent[: int((count >= min_count).sum())].astype(float).tolist()
            neutral = [0.0] * len(factor.at)
            vocabulary[factor.name] = [neutral, *(row for row in kept if row != neutral)]
        elif factor.kind == "real" and len(frames):
            vocabulary[factor.name] = [[value] for value in _quantiles(frames[:, 0])]
    return vocabulary


def _combinations(flags: Array) -> tuple[Array, Array]:
    """Combinations of flags [frames, n] that occur, in order, and how often each does.

    Counted, not sorted: `np.unique` of millions of rows takes seconds in which no signal is heard.
    """
    codes = np.zeros(len(flags), np.int64)
    for column in flags.T:  # the first flag is the highest bit
        codes = 2 * codes + column
    count = np.bincount(codes, minlength=1)
    found = np.flatnonzero(count)
    bits = np.arange(flags.shape[1])[::-1]
    return (found[:, None] >> bits & 1).astype(bool), count[found]


def default_vocabulary(values: ControlValues) -> dict[str, list[list[float]]]:
    """Points of each factor without data.

    Up to ALL_COMBINATIONS flags get all combinations; more flags get the neutral point and each
    flag alone.
    """
    vocabulary: dict[str, list[list[float]]] = {}
    for factor in control_factors(values):
        fields = [values.schema.columns[key].field for key in factor.keys]
        if factor.kind == "flags":
            count = len(factor.at)
            combinations = (
                list(product((0.0, 1.0), repeat=count))
                if count <= ALL_COMBINATIONS
                else [[0.0] * count, *np.eye(count).tolist()]
            )
            vocabulary[factor.name] = [list(map(float, row)) for row in combinations]
        elif isinstance(fields[0], Choice):
            vocabulary[factor.name] = [[float(value)] for value in range(fields[0].n)]
        elif factor.kind == "stick":
            vocabulary[factor.name] = _rings(*(_reach(f) for f in fields if isinstance(f, Real)))
        else:
            assert isinstance(fields[0], Real)
            low, high = field_range(fields[0])
            vocabulary[factor.name] = [
                [float(v)]
                for v in np.unique(
                    [0.0 if low <= 0 <= high else low, *np.linspace(low, high, MOST_POINTS)]
                )
            ]
    return vocabulary


def _short(key: str) -> str:
    return key.split("/", 1)[1]


def _named_once(factors: list[_ControlFactor]) -> list[_ControlFactor]:
    """Factors with unique names: those of several slots with one name are numbered."""
    count = {factor.name: sum(other.name == factor.name for other in factors) for factor in factors}
    numbers: dict[str, int] = {}
    out = []
    for factor in factors:
        numbers[factor.name] = numbers.get(factor.name, -1) + 1
        out.append(
            _ControlFactor(
                f"{factor.name}_{numbers[factor.name]}" if count[factor.name] > 1 else factor.name,
                factor.kind,
                factor.at,
            )
        )
    return out


def field_range(real: Real) -> tuple[float, float]:
    """Range of a real control: declared, or the inverse of its scale both ways."""
    return (-1 / real.scale if real.low is None else real.low), (
        1 / real.scale if real.high is None else real.high
    )


def _reach(real: Real) -> float:
    return max(map(abs, field_range(real)))


def _rings(right: float, up: float) -> list[list[float]]:
    points = []
    for share, many in RINGS:
        turns = 2 * np.pi * np.arange(many) / many
        points += [
            [share * right * float(np.cos(turn)), share * up * float(np.sin(turn))]
            for turn in turns
        ]
    return points


def _quantiles(values: Array) -> list[float]:
    """All values, or at most MOST_POINTS of their quantiles; neutral is always among them."""
    alone = np.unique(values)
    if len(alone) > MOST_POINTS - 1:
        alone = np.unique(
            np.quantile(values[values != 0], (np.arange(MOST_POINTS - 1) + 0.5) / (MOST_POINTS - 1))
        )
    return [float(v) for v in np.unique(np.append(alone, 0.0))]
