"""Two ways to look at the same frame, from field attributes alone: from another seat, and in the mirror.

Both are their own inverse. Columns may have any leading axes; where no value changes, arrays are
views and not copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from shadowbox.core.schema import Array, Choice, Column, Columns, Schema
from shadowbox.errors import UsageError


def from_seat(schema: Schema, columns: Mapping[str, Array], player: int) -> Columns:
    """The columns with `player`'s slots first: player 0 and `player` change places, values that name a seat follow."""
    if not 0 <= player < schema.players:
        raise UsageError(
            f"there is no player {player} in {schema.name}: players are 0 .. {schema.players - 1}"
        )
    if player == 0:
        return dict(columns)
    return {
        key: _reseated(values, schema.columns[key], player, schema.players)
        for key, values in columns.items()
    }


def mirrored(schema: Schema, columns: Mapping[str, Array]) -> Columns:
    """The columns with left and right exchanged."""
    out: Columns = {}
    for key, values in columns.items():
        column = schema.columns[key]
        match column.field.mirror:
            case "keep":
                out[key] = values
            case "negate":
                out[key] = -values
            case "invert":
                mask = column.group.mask  # what is not in use stays zero
                out[key] = ~values & columns[f"{column.group.name}/{mask}"] if mask else ~values
            case partner:
                out[key] = columns[f"{column.group.name}/{partner}"]
    return out


@lru_cache
def seat_order(slots: int, player: int, players: int) -> slice | list[int]:
    """Index that puts the slots of a per-player group in the order after player 0 and `player` have changed places."""
    each = slots // players
    order = list(range(slots))
    mine, first = slice(player * each, (player + 1) * each), slice(0, each)
    order[first], order[mine] = order[mine], order[first]
    # a slice is a view, not a copy
    return slice(None, None, -1) if order == list(reversed(range(slots))) else order


def _reseated(values: Array, column: Column, player: int, players: int) -> Array:
    if column.group.per:
        values = values[..., seat_order(column.slots, player, players)]
    if isinstance(column.field, Choice) and column.field.seat:
        names = np.arange(column.field.n, dtype=values.dtype)
        names[[0, player]] = names[[player, 0]]
        values = names[values]
    return values
