"""Distributions of long predictions beside those of recordings, and calibration of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from shadowbox.core.game import Game
from shadowbox.core.presses import divergence
from shadowbox.core.schema import Array, Choice, Columns, Flag, Real, Schema
from shadowbox.core.stats import halves
from shadowbox.evaluate.recorded import state_keys
from shadowbox.evaluate.worlds import events as events_module

BINS = 48
MOVED = 3  # part of the counts: the simulator, from starts beside the recorded ones
LONGEST = 64  # frames that one state lasts
FREE = 0.005  # distance that never counts as too far
FLOORS = 2.0  # a world may be this many times as far from recordings as their halves are


class _Distance(NamedTuple):
    """Distance of a world's distribution from the recorded one, and those that nothing learns away.

    `halves`: of two halves of the recordings; `moved`: of the game's simulator, with the recorded
    controls, from starts beside the recorded ones. None without a simulator.
    """

    name: str
    unit: str  # bits, or a share of the largest value
    value: float
    halves: float
    moved: float | None = None

    @property
    def floor(self) -> float:
        """The larger one of the distances beside which it is judged."""
        return max(self.halves, self.moved or 0.0)

    @property
    def far(self) -> bool:
        """True if the world is further away than recordings from each other allow."""
        return self.value > max(FLOORS * self.floor, FREE)


class _Histograms:
    """Counts of a world's rows, of recorded ones, and of a simulator's, by distribution.

    Recorded rows are counted in two halves of the episodes.
    """

    def __init__(self, game: Game, episodes: Array, first: int) -> None:
        self.game, self.first = game, first  # frame from which rows count
        self.half = halves(episodes)
        # name -> world, first half, second half, simulator from moved starts
        self.counts: dict[str, list[Array]] = {}
        self.range: dict[str, tuple[float, float]] = {}

    def add(self, part: int, rows: Columns, valid: Array, found: Array | None) -> None:
        """Count rows [N, R, slots] where `valid` [N, R], as the `part` of the counts."""
        inside = valid.copy()
        inside[:, : self.first] = False
        if not inside.any():
            return
        schema = self.game.schema
        for key in schema.state_keys:
            column = schema.columns[key]
            if column.field.predict == "no" or not column.group.per:
                continue
            self._count(part, key, rows[key][inside], column.field)
        for key in state_keys(schema)[:1]:
            self._add(part, f"frames in a {key}", _dwell(rows[key], inside), LONGEST, (0, LONGEST))
        if found is not None:
            for name, values in events_module.hit_facts(found, self.game.event_kinds).items():
                self._add(part, name, values, BINS, (0, 48 if "damage" in name else 480))

    def add_recorded(self, rows: Columns, valid: Array, starts: Array, found: Array | None) -> None:
        """Count the recorded rows of some starts, each in its half."""
        for half in (0, 1):
            chosen = np.flatnonzero(self.half[starts] == half)
            if not len(chosen):
                continue
            place = np.full(len(starts), -1)
            place[chosen] = np.arange(len(chosen))
            some = None
            if found is not None:
                some = found[place[found["match"]] >= 0].copy()
                some["match"] = place[some["match"]]
            part = {key: values[chosen] for key, values in rows.items()}
            self.add(half + 1, part, valid[chosen], some)

    def distances(self) -> list[_Distance]:
        """Distances of all distributions: Jensen-Shannon in bits, or Wasserstein-1."""
        result = []
        for name, (world, one, two, moved) in self.counts.items():
            if min(world.sum(), one.sum(), two.sum()) < BINS:
                continue
            bits = self._is_choice(name)
            apart: Callable[[Array, Array], float] = _bits if bits else _shift
            unit = "bits" if bits else "of the range"
            some = moved.sum() >= BINS
            result.append(
                _Distance(
                    name,
                    unit,
                    apart(world, one + two),
                    apart(one, two),
                    apart(moved, one + two) if some else None,
                )
            )
        return result

    def _is_choice(self, name: str) -> bool:
        column = self.game.schema.columns.get(name)
        return column is not None and not isinstance(column.field, Real) and not column.field.unit

    def _count(self, part: int, key: str, values: Array, field: Real | Flag | Choice) -> None:
        if isinstance(field, Real):
            low, high = field.limits
            high, low = min(high, 4 / field.scale), max(low, -4 / field.scale)
            self._add(part, key, values, BINS, (low, high))
        else:
            self._add(part, key, values, field.n if isinstance(field, Choice) else 2, None)

    def _add(
        self, part: int, name: str, values: Array, bins: int, span: tuple[float, float] | None
    ) -> None:
        flat = np.nan_to_num(values.ravel().astype(np.float64))
        if span is not None:
            flat = np.clip((flat - span[0]) / (span[1] - span[0]) * bins, 0, bins - 1)
        counts = self.counts.setdefault(name, [np.zeros(bins) for _ in range(4)])
        counts[part] += np.bincount(flat.astype(np.int64), minlength=bins)[:bins]


def _dwell(state: Array, inside: Array) -> Array:
    """Lengths of the stretches in one state that begin and end inside of rows [N, R, slots]."""
    changes = (state[:, 1:] != state[:, :-1]) & inside[:, 1:, None] & inside[:, :-1, None]
    lengths = []
    for slot in range(state.shape[-1]):
        row, at = np.nonzero(changes[..., slot])
        same = np.diff(row) == 0
        lengths.append(np.diff(at)[same])
    return np.concatenate(lengths)


def _bits(one: Array, other: Array) -> float:
    return float(divergence(one, other))


def _shift(one: Array, other: Array) -> float:
    """Wasserstein-1 distance of two histograms, as a share of the range."""
    shares = [np.cumsum(each) / each.sum() for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).mean())


# ---- calibration ---------------------------------------------------------------------------------


def calibration(
    schema: Schema, truth: Mapping[str, Array], samples: Mapping[str, Array], valid: Array
) -> dict[str, float]:
    """Gap of calibration of each column; 0 if the truth could be one of the samples.

    Truth [S, slots], samples [S, M, slots], valid [S]. For each value of a flag or choice, the
    squared error of the share of samples with it is compared with the one that the samples have
    among themselves, which is free of the noise of few samples: positive is too sure. For reals:
    the largest difference between the ranks of the truth among the samples and uniform ranks.
    """
    gaps = {}
    for key, drawn in samples.items():
        count = drawn.shape[1]
        if count < 2 or not valid.any():
            continue
        chosen, real = drawn[valid], truth[key][valid]
        if isinstance(schema.columns[key].field, Real):
            gaps[key] = _rank_gap(chosen, real)
            continue
        among = (chosen[:, :, None] == chosen[:, None, :]).sum((1, 2)) - count
        agree = among / (count * (count - 1))  # of two samples
        hits = (chosen == real[:, None]).mean(1)  # of the truth and a sample
        gaps[key] = float((agree - hits).mean())
    return gaps


def _rank_gap(samples: Array, truth: Array) -> float:
    """Kolmogorov-Smirnov distance of ranks from uniform; ties are spread over their ranks."""
    count = samples.shape[1]
    below = (samples < truth[:, None]).sum(1)
    upto = below + (samples == truth[:, None]).sum(1)
    edges = np.arange(1, count + 1)
    wide = (upto - below + 1)[..., None]
    reached = np.clip((edges - below[..., None]) / wide, 0, 1)
    return float(np.abs(reached.reshape(-1, count).mean(0) - edges / (count + 1)).max())
