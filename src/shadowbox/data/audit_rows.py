"""Rows of episodes, unpacked block by block, with the masks that an audit needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core.schema import Array, Columns, Flag, Schema
from shadowbox.data.store import Store

BLOCK_ROWS = 1 << 16  # rows that are unpacked at a time


@dataclass(frozen=True)
class AuditRows:
    """Whole episodes one after another, or a part of a long one with a row on each side.

    `columns` [R, slots], `starts` [E] (first row of each episode), `valid` [E, columns],
    `episodes` [E]. `own` are the rows that count: a row beside a part belongs to another part.
    """

    schema: Schema
    columns: Columns
    starts: Array
    valid: Array
    episodes: Array
    own: slice = field(default_factory=lambda: slice(None))
    # masks of values that the schema does not allow, by key; such values are zeros in `columns`
    forbidden: Columns = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows R, with those beside a part."""
        return len(next(iter(self.columns.values())))

    @property
    def own_rows(self) -> int:
        """Number of rows that count."""
        return len(range(self.rows)[self.own])

    def decided(self) -> Array:
        """Mask of own rows that have a next row in the same episode, bool [R]."""
        last = np.append(self.starts[1:], self.rows) - 1
        decided = np.zeros(self.rows, bool)
        decided[self.own] = True
        decided[last] = False
        return decided

    def occupied(self, key: str) -> Array | None:
        """Mask of meaningful values, bool [R, slots]; None if all are.

        A value is meaningful if its recording had the column, the group's mask is set, and the
        schema allows it.
        """
        occupied = self._in_use(key)
        if key not in self.forbidden:
            return occupied
        return ~self.forbidden[key] if occupied is None else occupied & ~self.forbidden[key]

    def _in_use(self, key: str) -> Array | None:
        column = self.schema.columns[key]
        mask, at = column.group.mask, list(self.schema.columns).index(key)
        if self.valid[:, at].all():
            if mask is None or mask == column.field.name:
                return None
            return self.columns[f"{column.group.name}/{mask}"]
        lengths = np.diff(np.append(self.starts, self.rows))
        valid = np.repeat(self.valid[:, at], lengths)[:, None]
        return (
            np.broadcast_to(valid, (self.rows, column.slots))
            if mask is None
            else valid & self.columns[f"{column.group.name}/{mask}"]
        )

    def began(self, key: str) -> Array:
        """Mask of values that follow no meaningful value of their slot, bool [R, slots].

        Values are compared within an episode.
        """
        began = np.zeros(self.columns[key].shape, bool)
        began[self.starts] = True
        occupied = self.occupied(key)
        return began if occupied is None else began | ~np.roll(occupied, 1, axis=0)

    def followed(self, key: str) -> Array:
        """Mask of meaningful values with a meaningful next one, bool [R, slots].

        Values are compared within an episode.
        """
        decided = np.broadcast_to(self.decided()[:, None], self.columns[key].shape)
        occupied = self.occupied(key)
        return decided if occupied is None else decided & occupied & np.roll(occupied, -1, axis=0)


def blocks(store: Store, episodes: Any, rows: int | None = None) -> Iterator[AuditRows]:
    """Unpack episodes in blocks of whole ones, about `rows` rows each; a longer episode in parts."""
    rows = rows or BLOCK_ROWS
    waiting: list[int] = []
    total = 0
    for number in map(int, episodes):
        length = int(store.lengths[number])
        if length > rows and waiting:
            yield _unpacked(store, waiting)
            waiting, total = [], 0
        if length > rows:
            yield from _parts(store, number, rows)
            continue
        waiting.append(number)
        total += length
        if total >= rows:
            yield _unpacked(store, waiting)
            waiting, total = [], 0
    if waiting:
        yield _unpacked(store, waiting)


def _unpacked(store: Store, episodes: list[int]) -> AuditRows:
    columns = store.schema.unpack(store.rows_together(np.array(episodes)))
    starts = np.cumsum([0] + [int(store.lengths[number]) for number in episodes])[:-1]
    return AuditRows(
        store.schema,
        columns,
        starts,
        ~store.absent[episodes],
        np.array(episodes),
        forbidden=_clean(store.schema, columns),
    )


def _parts(store: Store, episode: int, rows: int) -> Iterator[AuditRows]:
    packed = store.rows_of(episode)
    for start in range(0, len(packed), rows):
        stop = min(start + rows, len(packed))
        first = max(start - 1, 0)
        columns = store.schema.unpack(np.array(packed[first : stop + 1]))
        yield AuditRows(
            store.schema,
            columns,
            np.zeros(1, np.int64),
            ~store.absent[[episode]],
            np.array([episode]),
            slice(start - first, stop - first),
            _clean(store.schema, columns),
        )


def _clean(schema: Schema, columns: Columns) -> Columns:
    """Set values that the schema does not allow to zero; their masks by key."""
    forbidden = {
        key: mask
        for key, values in columns.items()
        if (mask := _forbidden(schema, key, values)).any()
    }
    for key, mask in forbidden.items():
        columns[key][mask] = 0
    return forbidden


def _forbidden(schema: Schema, key: str, values: Array) -> Array:
    """Mask of values out of the range of their field; NaN is out of every range."""
    field = schema.columns[key].field
    if isinstance(field, Flag):
        return np.zeros(1, bool)
    low, high = field.limits
    return ~((values >= low) & (values <= high))
