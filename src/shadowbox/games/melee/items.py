"""Assignment of items to slots: an item keeps its slot for life, and projectiles come first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.games.melee.names import PROJECTILES, PROPS
from shadowbox.games.melee.schema import ITEM_SLOTS

# by type: 0 projectiles of fighters, 1 items on the stage, 2 props in a hand
_RANK = np.ones(1 << 16, np.int64)
_RANK[sorted(PROJECTILES)] = 0
_RANK[sorted(PROPS)] = 2


@dataclass(frozen=True)
class _Placed:
    """Slots [I] of the rows of an item table (-1 without a free slot), and the left-out counts."""

    slot: Array
    items_left_out: int
    rows_left_out: int


def place(frame: Array, spawn: Array, kind: Array, slots: int = ITEM_SLOTS) -> _Placed:
    """Assign a slot to each row of items, given the row's frame, spawn id and type [I].

    Items are assigned in order of appearance, those of one frame by rank. Each takes the first
    slot that was empty for a frame, which separates two items in one slot. Only the frames up to
    an item's first one decide its slot, so a live game gives the same slots.
    """
    if not len(frame):
        return _Placed(np.zeros(0, np.int64), 0, 0)
    ids, first, of = np.unique(spawn, return_index=True, return_inverse=True)
    begins, ends = np.full(len(ids), frame.max()), np.full(len(ids), frame.min())
    np.minimum.at(begins, of, frame)
    np.maximum.at(ends, of, frame)
    free = [int(frame.min())] * slots  # from which frame on
    slot_of = np.full(len(ids), -1)
    for item in np.lexsort((_RANK[kind[first]], begins)).tolist():
        for slot in range(slots):
            if free[slot] <= begins[item]:
                free[slot] = int(ends[item]) + 2
                slot_of[item] = slot
                break
    placed = slot_of[of]
    return _Placed(placed, int((slot_of < 0).sum()), int((placed < 0).sum()))
