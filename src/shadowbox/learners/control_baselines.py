"""Baselines of controls: predictions from the last frame's controls alone, the floor of every policy.

`core/baselines.py` predicts values; nats need probabilities, which are counted here on the training
side. V: control values of a frame, P: parts of a head, K: points of a part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shadowbox.core import baselines
from shadowbox.core.schema import Array, Columns, Real, Schema
from shadowbox.core.view import from_seat
from shadowbox.data.store import Store
from shadowbox.model.codebook import CodebookDistribution
from shadowbox.model.codec import ControlValues
from shadowbox.model.distributions import (
    ControlDistribution,
    FlagDistribution,
    RegressionDistribution,
)

MOST_ROWS = 1 << 18  # of the training side that they are fitted on
BLOCK_ROWS = 1 << 16  # unpacked at a time, at least one episode
MOST_SITUATIONS = 1 << 16
MOST_PAIRS = 1 << 20  # of points, before and now, that are counted each


@dataclass(frozen=True)
class _PressedControls:
    """Sample of decisions [rows, V]: last controls, present ones, and a mask of recorded ones."""

    before: Array
    now: Array
    recorded: Array


def count_pressed(
    store: Store,
    episodes: Array,
    seats: Sequence[int],
    values: ControlValues,
    most: int = MOST_ROWS,
) -> _PressedControls:
    """Controls of the players in these seats, from evenly spread episodes, up to about `most` rows."""
    each = max(1.0, float(store.lengths[episodes].mean())) * len(seats) if len(episodes) else 1.0
    chosen = episodes[:: max(1, math.ceil(len(episodes) * each / most))]
    empty = np.zeros((0, len(values.names)), np.float32)
    blocks = [(empty, empty, empty.astype(bool))]
    ends = np.cumsum(store.lengths[chosen])
    for at in np.split(np.arange(len(chosen)), np.flatnonzero(np.diff(ends // BLOCK_ROWS)) + 1):
        blocks.append(_pressed_block(store, chosen[at], seats, values))
    before, now, recorded = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return _PressedControls(before, now, recorded)


def recorded_values(store: Store, episodes: Array, values: ControlValues) -> Array:
    """Mask of the values [E, V] that the recordings of these episodes had."""
    at = {key: number for number, key in enumerate(store.schema.columns)}
    absent = store.absent[episodes]
    masks = [
        ~absent[:, [at[key] for key in keys]].any(axis=1)
        for keys in values.sources
        for _ in range(values.slots)
    ]
    return np.stack(masks, axis=1) if masks else np.zeros((len(absent), 0), bool)


def _pressed_block(
    store: Store, episodes: Array, seats: Sequence[int], values: ControlValues
) -> tuple[Array, Array, Array]:
    """Last and present controls, and recorded ones: in order of episodes, then seats, then rows."""
    lengths = store.lengths[episodes] - 1  # the last row's controls led nowhere
    columns = store.schema.unpack(
        store.rows_together(episodes, last=False), store.schema.control_keys
    )
    many, start = len(seats), np.cumsum(lengths) - lengths
    row = np.arange(int(lengths.sum())) - np.repeat(start, lengths)
    controls = np.empty((many * len(row), len(values.names)), np.float32)
    first, last = np.zeros(len(controls), bool), np.zeros(len(controls), bool)
    for turn, seat in enumerate(seats):
        place = np.repeat(many * start + turn * lengths, lengths) + row
        controls[place] = values.of_arrays(from_seat(store.schema, columns, seat))
        first[place], last[place] = row == 0, row == np.repeat(lengths, lengths) - 1
    recorded = recorded_values(store, episodes, values)
    pairs = np.maximum(lengths - 1, 0) * many
    return controls[~last], controls[~first], np.repeat(recorded, pairs, axis=0)


class ControlBaselines:
    """Baselines fitted on the controls of the training side."""

    def __init__(
        self, values: ControlValues, parts: Sequence[ControlDistribution], found: _PressedControls
    ) -> None:
        self.values, self.parts = values, tuple(parts)
        self.table = _markov_table(values.schema, values, found)
        self.names = ("copy_last", "never_press", *(("markov",) if self.table else ()))
        self._counted = [_count(part, found) for part in parts]

    def guesses(self, before: Tensor) -> dict[str, Tensor]:
        """Predictions of each baseline given the last frame's controls: [..., V]."""
        values = before.cpu().numpy()
        guessed = {
            "copy_last": baselines.copy_last(values),
            "never_press": baselines.never_press(values),
        }
        if self.table:
            columns = _as_columns(self.values, values)
            parts = [
                self.table.predict(columns, key) if key in self.table.usual else columns[key]
                for key in columns
            ]
            guessed["markov"] = np.concatenate([part.astype(np.float32) for part in parts], axis=-1)
        return {
            name: torch.from_numpy(np.ascontiguousarray(guess)).to(before.device)
            for name, guess in guessed.items()
        }

    def nll(self, before: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Nats of each part for `copy_last` (rate of staying) and `rate` (rate of each value): [..., P]."""
        found: dict[str, list[Tensor]] = {"copy_last": [], "rate": []}
        for part, counted in zip(self.parts, self._counted, strict=True):
            last, now = before[..., list(part.at)], targets[..., list(part.at)]
            for name, cost in counted.nll(last, now).items():
                found[name].append(cost)
        return {name: torch.stack(costs, -1) for name, costs in found.items()}


# ---- by kind of part -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Points:
    """Transition counts of points; `alone` [K] and `after` [K, K] are log-probabilities."""

    part: CodebookDistribution
    alone: Tensor
    after: Tensor

    def nll(self, last: Tensor, now: Tensor) -> dict[str, Tensor]:
        before, here = self.part.index(last), self.part.index(now)
        return {
            "copy_last": -self.after.to(now.device)[before, here],
            "rate": -self.alone.to(now.device)[here],
        }


@dataclass(frozen=True)
class _Bits:
    """The same for independent flags: `alone` [v, 2], `after` [v, 2, 2]."""

    alone: Tensor
    after: Tensor

    def nll(self, last: Tensor, now: Tensor) -> dict[str, Tensor]:
        which = torch.arange(len(self.alone), device=now.device)
        here = now.long()
        return {
            "copy_last": -self.after.to(now.device)[which, last.long(), here].sum(-1),
            "rate": -self.alone.to(now.device)[which, here].sum(-1),
        }


@dataclass(frozen=True)
class _Normal:
    """Normal distributions of reals around the last value, or around the mean, [v] each."""

    mean: Tensor
    spread: Tensor
    step: Tensor

    def nll(self, last: Tensor, now: Tensor) -> dict[str, Tensor]:
        def cost(around: Tensor, spread: Tensor) -> Tensor:
            return (
                ((now - around) / spread).square() / 2 + spread.log() + math.log(2 * math.pi) / 2
            ).sum(-1)

        mean, spread, step = (x.to(now.device) for x in (self.mean, self.spread, self.step))
        return {"copy_last": cost(last, step), "rate": cost(mean, spread)}


def _count(part: ControlDistribution, found: _PressedControls) -> _Points | _Bits | _Normal:
    at = list(part.at)
    rows = found.recorded[:, at].all(axis=1)
    before, now = (
        torch.from_numpy(np.ascontiguousarray(side[rows][:, at]))
        for side in (found.before, found.now)
    )
    if isinstance(part, CodebookDistribution):
        k = part.size
        last, here = part.index(before), part.index(now)
        alone = torch.bincount(here, minlength=k).float() + 0.5
        if k * k <= MOST_PAIRS:
            pairs = torch.bincount(last * k + here, minlength=k * k).view(k, k).float() + 0.5 / k
        else:  # too many to count each: the last one stays, or anything comes as often as it does
            pairs = torch.diag(torch.bincount(last[last == here], minlength=k).float() + 0.5)
            pairs = pairs + (alone - alone * 0.5) / alone.sum()
        return _Points(
            part, (alone / alone.sum()).log(), (pairs / pairs.sum(1, keepdim=True)).log()
        )
    if isinstance(part, FlagDistribution):
        pairs = torch.stack(
            [
                torch.bincount(a.long() * 2 + b.long(), minlength=4).view(2, 2)
                for a, b in zip(before.T, now.T, strict=True)
            ]
        )
        pairs = pairs.float() + 0.5
        alone = pairs.sum(1)
        return _Bits(
            (alone / alone.sum(1, keepdim=True)).log(), (pairs / pairs.sum(2, keepdim=True)).log()
        )
    many = max(1, len(now))
    mean = now.sum(0) / many
    # its likelihood has a fixed spread; so has its floor, or they would not compare
    if isinstance(part, RegressionDistribution):
        return _Normal(mean, part.spread, part.spread)
    spread, step = (
        (x.square().sum(0) / many).sqrt().clamp(min=1e-3) for x in (now - mean, now - before)
    )
    return _Normal(mean, spread, step)


def _markov_table(
    schema: Schema, values: ControlValues, found: _PressedControls
) -> baselines.LookupTable | None:
    rows = found.recorded.all(axis=1)
    before, now = (_as_columns(values, side[rows]) for side in (found.before, found.now))
    by, situations = [], 1
    for key in values.keys:
        if (n := baselines.values_of(schema, key)) and situations * n <= MOST_SITUATIONS:
            by.append(key)
            situations *= n
    usual = {key: side for key, side in now.items() if baselines.values_of(schema, key)}
    return (
        baselines.LookupTable.fit(schema, before, usual, tuple(by)) if by and rows.any() else None
    )


def _as_columns(values: ControlValues, array: Array) -> Columns:
    """Values [..., V] as columns [..., slots a player]; flags and choices are integers."""
    parts = np.split(array, len(values.keys), axis=-1)
    return {key: part if isinstance(values.schema.columns[key].field, Real) else part.astype(np.int64)
            for key, part in zip(values.keys, parts, strict=True)}  # fmt: skip
