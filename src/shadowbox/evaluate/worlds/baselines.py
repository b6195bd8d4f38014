"""Predictions without learning at several horizons: hold, constant velocity and a look-up table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shadowbox.core.schema import Array, Choice, Column, Columns, Flag, Real, Schema
from shadowbox.data.store import Store
from shadowbox.evaluate.recorded import state_keys
from shadowbox.evaluate.worlds.starts import CONTEXT

NAMES = ("hold", "constant_velocity", "look_up")
MOST_EPISODES, MOST_ROWS = 40, 40_000  # that look-up tables are counted on
LONGEST = 31  # frames in the current state; longer is the same situation


class _Table(NamedTuple):
    """Usual values by situation; one without recordings keeps its value."""

    situations: Array  # sorted
    usual: Array  # mean change of a real, most frequent next value of a flag or choice


class _LookUp:
    """Look-up tables of all fields and horizons, keyed by the state and the frames spent in it.

    The tables of flags and choices are keyed by their own value, too.
    """

    def __init__(self, schema: Schema, horizons: Sequence[int], keys: Sequence[str]) -> None:
        self.schema, self.horizons, self.keys = schema, tuple(horizons), tuple(keys)
        named = state_keys(schema)
        self.state = named[0] if named else ""
        self.tables: dict[tuple[str, int], _Table] = {}

    def fit(self, store: Store, episodes: Sequence[int], seed: int = 0) -> _LookUp:
        """Count on recorded episodes."""
        draws = np.random.default_rng(seed)
        chosen = list(episodes)[:MOST_EPISODES]
        share = MOST_ROWS // max(len(chosen), 1)
        parts: dict[tuple[str, int], list[tuple[Array, Array, Array]]] = {}
        for number in chosen:
            columns = self.schema.unpack(store.rows_of(number), self.schema.state_keys)
            rows = len(columns[self.keys[0]])
            since = self._since(columns)
            for horizon in self.horizons:
                if rows <= horizon + 1:
                    continue
                at = draws.integers(0, rows - horizon, min(share, rows - horizon))
                for key in self.keys:
                    values = columns[key]
                    situation = self._situation(key, values[at], columns, since, at)
                    part = (situation.ravel(), values[at].ravel(), values[at + horizon].ravel())
                    parts.setdefault((key, horizon), []).append(part)
        for which, found in parts.items():
            joined = [np.concatenate(each) for each in zip(*found, strict=True)]
            self.tables[which] = _table(self.schema.columns[which[0]], *joined)
        return self

    def predict(self, rows: Columns, key: str, horizon: int) -> Array:
        """Usual value `horizon` frames after row CONTEXT of `rows` [S, CONTEXT + 1, slots]."""
        now, column = rows[key][:, CONTEXT], self.schema.columns[key]
        table = self.tables.get((key, horizon))
        if table is None:
            return now
        past = {name: np.moveaxis(values, 0, 1) for name, values in rows.items()}
        since = self._since(past) if self.state else None
        last = None if since is None else since[CONTEXT]
        states = {self.state: rows[self.state][:, CONTEXT]} if self.state else {}
        situation = self._situation(key, now, states, last, slice(None))
        place = np.searchsorted(table.situations, situation)
        place = np.minimum(place, len(table.situations) - 1)
        known = table.situations[place] == situation
        usual = table.usual[place]
        if isinstance(column.field, Real):
            low, high = column.field.limits
            return np.asarray(np.clip(now + np.where(known, usual, 0.0), low, high))
        return np.asarray(np.where(known, usual, now))

    def _since(self, columns: Columns) -> Array | None:
        """Frames that each slot has been in its state, at most LONGEST: [R, ..., slots]."""
        if not self.state:
            return None
        state = columns[self.state]
        since = np.zeros(state.shape, np.int64)
        for row in range(1, len(state)):
            since[row] = np.where(state[row] == state[row - 1], since[row - 1] + 1, 0)
        return np.minimum(since, LONGEST)

    def _situation(
        self, key: str, own: Array, columns: Columns, since: Array | None, at: Array | slice
    ) -> Array:
        """Number of the situation of each value of a column, in the shape of `own`."""
        column = self.schema.columns[key]
        number = np.zeros(own.shape, np.int64)
        if since is not None and column.slots == columns[self.state].shape[-1] and column.group.per:
            number = columns[self.state][at].astype(np.int64) * (LONGEST + 1) + since[at]
        if isinstance(column.field, Choice | Flag):
            number = number * (column.field.n if isinstance(column.field, Choice) else 2) + own
        return number


def _table(column: Column, situation: Array, now: Array, later: Array) -> _Table:
    known, inverse = np.unique(situation, return_inverse=True)
    if isinstance(column.field, Real):
        change = later.astype(np.float64) - now
        count = np.bincount(inverse, minlength=len(known))
        return _Table(known, np.bincount(inverse, weights=change, minlength=len(known)) / count)
    both, count = np.unique(
        inverse.astype(np.int64) * (1 << 32) + later.astype(np.int64), return_counts=True
    )
    usual = np.zeros(len(known), later.dtype)
    order = np.argsort(count, kind="stable")  # the most frequent value is written last
    usual[both[order] >> 32] = (both[order] & 0xFFFFFFFF).astype(later.dtype)
    return _Table(known, usual)


def hold(rows: Columns, key: str) -> Array:
    """The value of the start, [S, slots]."""
    return rows[key][:, CONTEXT]


def constant_velocity(rows: Columns, column: Column, horizon: int) -> Array | None:
    """The last change repeated `horizon` times, for reals and counters; else None."""
    field = column.field
    if isinstance(field, Flag) or (isinstance(field, Choice) and not field.unit):
        return None
    now, before = (rows[column.key][:, CONTEXT - back].astype(np.float64) for back in (0, 1))
    low, high = field.limits
    return np.asarray(np.clip(now + horizon * (now - before), low, high))
