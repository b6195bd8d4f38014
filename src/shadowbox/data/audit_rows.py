"""Rows of whole episodes, unpacked block by block, with the masks that an audit needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.data.store import Store

BLOCK_ROWS = 1 << 16  # rows that are unpacked at a time


@dataclass(frozen=True)
class AuditRows:
    """Whole episodes one after another.

    `columns` [R, slots], `starts` [E] (first row of each episode), `valid` [E, columns].
    """

    schema: Schema
    columns: Columns
    starts: Array
    valid: Array

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return len(next(iter(self.columns.values())))

    def decided(self) -> Array:
        """Mask of the rows that have a next row in the same episode, bool [R]."""
        last = np.append(self.starts[1:], self.rows) - 1
        decided = np.ones(self.rows, bool)
        decided[last] = False
        return decided

    def occupied(self, key: str) -> Array | None:
        """Mask of meaningful values, bool [R, slots]; None if all are.

        A value is meaningful if its recording had the column and the group's mask is set.
        """
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


def blocks(store: Store, episodes: Any, rows: int = BLOCK_ROWS) -> Iterator[AuditRows]:
    """Unpack episodes in blocks of whole ones: about `rows` rows, at least one episode."""
    waiting: list[int] = []
    total = 0
    for number in episodes:
        waiting.append(int(number))
        total += int(store.lengths[number])
        if total >= rows:
            yield _unpacked(store, waiting)
            waiting, total = [], 0
    if waiting:
        yield _unpacked(store, waiting)


def _unpacked(store: Store, episodes: list[int]) -> AuditRows:
    packed = np.concatenate([store.rows_of(number) for number in episodes])
    starts = np.cumsum([0] + [int(store.lengths[number]) for number in episodes])[:-1]
    absent = np.unpackbits(store.index["absent"][episodes], axis=-1, bitorder="little")[
        :, : len(store.schema.columns)
    ]
    return AuditRows(store.schema, store.schema.unpack(packed), starts, absent == 0)
