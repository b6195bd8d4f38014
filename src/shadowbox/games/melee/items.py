"""Items into slots: an item keeps its slot for life, and what matters most is served first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.games.melee.names import PROJECTILES, PROPS
from shadowbox.games.melee.schema import ITEM_SLOTS

_RANK = np.ones(1 << 16, np.int64)  # by type: 0 what fighters send out, 1 what lies about, 2 what a hand holds
_RANK[sorted(PROJECTILES)] = 0
_RANK[sorted(PROPS)] = 2


@dataclass(frozen=True)
class Placed:
    """`slot` [I] of each row of the item table, -1 where none was free; how many items and rows that were."""

    slot: Array
    items_left_out: int
    rows_left_out: int


def place(frame: Array, spawn: Array, kind: Array, frames: int, slots: int = ITEM_SLOTS) -> Placed:
    """Rows of items (the frame each stands in, spawn id, type; [I]) -> slots.

    Items are served by rank, then by age, each the first slot that is free from the frame before its life to the one after.
    That frame of rest tells two items in one slot apart.
    """
    if not len(frame):
        return Placed(np.zeros(0, np.int64), 0, 0)
    ids, first, of = np.unique(spawn, return_index=True, return_inverse=True)
    begins, ends = np.full(len(ids), frames), np.zeros(len(ids), np.int64)
    np.minimum.at(begins, of, frame)
    np.maximum.at(ends, of, frame)
    taken = np.zeros((slots, frames + 2), bool)  # shifted by one: the frame before the first exists
    slot_of = np.full(len(ids), -1)
    for item in np.lexsort((begins, _RANK[kind[first]])).tolist():
        life = slice(int(begins[item]), int(ends[item]) + 3)
        for slot in range(slots):
            if not taken[slot, life].any():
                taken[slot, life.start + 1 : life.stop - 1] = True
                slot_of[item] = slot
                break
    placed = slot_of[of]
    return Placed(placed, int((slot_of < 0).sum()), int((placed < 0).sum()))
