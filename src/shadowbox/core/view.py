"""Views of a frame from another seat and in the mirror, derived from field attributes alone.

Both are their own inverse. Columns may have any leading axes; where no value changes, arrays are
views and not copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from shadowbox.core.schema import Array, Choice, Column, Columns, Schema
from shadowbox.errors import UsageError


def from_seat(schema: Schema, columns: Mapping[str, Array], player: int) -> Columns:
    """Columns with `player`'s slots first: player 0 and `player` change places.

    Values that name a seat are renamed.
    """
    if not 0 <= player < schema.players:
        raise UsageError(
            f"player of {schema.name} must be from 0 to {schema.players - 1} (got {player})"
        )
    if player == 0:
        return dict(columns)
    return {
        key: _reseated(values, schema.columns[key], player, schema.players)
        for key, values in columns.items()
    }


def mirrored(schema: Schema, columns: Mapping[str, Array]) -> Columns:
    """Columns with left and right exchanged."""
    out: Columns = {}
    for key, values in columns.items():
        column = schema.columns[key]
        match column.field.mirror:
            case "keep":
                out[key] = values
            case "negate":
                out[key] = -values
            case "invert":
                mask = column.group.mask  # unused slots stay zero
                out[key] = ~values & columns[f"{column.group.name}/{mask}"] if mask else ~values
            case partner:
                out[key] = columns[f"{column.group.name}/{partner}"]
        if column.group.mirror_slots:
            out[key] = out[key][..., list(column.group.mirror_slots)]
    return out


def mirror_closed(schema: Schema, keys: Iterable[str]) -> tuple[str, ...]:
    """The columns with those that `mirrored` needs besides: partners, and masks of inverted flags."""
    found = list(keys)
    for key in found:  # which grows
        column = schema.columns[key]
        rule, group = column.field.mirror, column.group
        partner = group.mask if rule == "invert" else rule
        more = f"{group.name}/{partner}"
        if rule not in ("keep", "negate") and partner and more not in found:
            found.append(more)
    return tuple(found)


@lru_cache
def seat_order(slots: int, player: int, players: int) -> slice | list[int]:
    """Index of the slots of a per-player group after player 0 and `player` change places."""
    each = slots // players
    order = list(range(slots))
    own, first = slice(player * each, (player + 1) * each), slice(0, each)
    order[first], order[own] = order[own], order[first]
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
