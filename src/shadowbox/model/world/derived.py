"""Rules on the values of a chain: what is drawn, what is derived, and where a real would go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.dynamics.rules import _Rules, _Step, frames_in_unit
from shadowbox.core.schema import Choice, Flag, Real, Schema
from shadowbox.model.world.layout import _Unit

MOST_CELLS = 1 << 17
FINE = 40  # cells of a place in one over the scale of the field: in brawl a quarter of a unit

NEAR = 16  # cells to each side of a thing


def real_base(
    schema: Schema, rules: _Rules, key: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Any:
    """Value of a real without a surprise: as before, moved on by the velocities of the next row."""
    base = before[key]
    for rate, flag in rules.rates.get(key, ()):
        moved = after[rate] / frames_in_unit(schema, rate)
        base = base + (moved * before[flag] if flag else moved)
    return base


def joint_code(schema: Schema, keys: tuple[str, ...], columns: Mapping[str, Any]) -> Any:
    """Joint value of choices [..., slots] as one number; for arrays and tensors."""
    code: Any = 0
    for key in keys:
        column = schema.columns[key].field
        assert isinstance(column, Choice)
        code = code * column.n + columns[key]
    return code


def joint_size(schema: Schema, keys: tuple[str, ...]) -> int:
    """Number of joint values of choices."""
    sizes = [schema.columns[key].field for key in keys]
    return int(np.prod([each.n for each in sizes if isinstance(each, Choice)]))


def facing_flag(schema: Schema, key: str) -> str:
    """Flag of the group of a column that a mirror inverts: how its slots face; or empty."""
    group = schema.columns[key].group
    for field in group.fields:
        if isinstance(field, Flag) and field.mirror == "invert":
            return f"{group.name}/{field.name}"
    return ""


def place_keys(schema: Schema, rules: _Rules, other: str) -> list[str]:
    """Positions in the group of a column: reals with a velocity; none if they have too many cells."""
    group = schema.columns[other].group
    found = [key for key in rules.rates if schema.columns[key].group is group]
    return found if math.prod(cell_counts(schema, found)) <= MOST_CELLS else []


def cell_counts(schema: Schema, keys: Sequence[str]) -> list[int]:
    """Number of cells along each position, FINE in a range of the field."""
    found = []
    for key in keys:
        column = schema.columns[key].field
        assert isinstance(column, Real)
        low, high = column.limits
        found.append(max(1, round((high - low) * column.scale * FINE)))
    return found


def cell_of(schema: Schema, rules: _Rules, keys: Sequence[str], rows: Mapping[str, Any]) -> Any:
    """Cell of the place to which each slot moves by its present velocity; arrays and tensors."""
    cell: Any = 0
    for key, many in zip(keys, cell_counts(schema, keys), strict=True):
        low, high = schema.columns[key].field.limits
        share = (real_base(schema, rules, key, rows, rows) - low) / (high - low)
        at = (share * many).clip(0, many - 1)
        cell = cell * many + (at.long() if isinstance(at, Tensor) else at.astype(np.int64))
    return cell


def beside_keys(schema: Schema, places: Sequence[str]) -> list[str]:
    """Positions of the one thing that may carry a player: a group of one slot with the same fields."""
    names = [schema.columns[key].field.name for key in places]
    for group in schema.groups:
        keys = [f"{group.name}/{name}" for name in names]
        if group.slots == 1 and not group.mask and all(key in schema.columns for key in keys):
            return keys
    return []


def cell_beside(
    schema: Schema,
    rules: _Rules,
    keys: Sequence[str],
    others: Sequence[str],
    rows: Mapping[str, Any],
) -> Any:
    """Cell of the way from a thing to each slot, NEAR cells of `cell_of` to each side."""
    cell: Any = 0
    for key, other in zip(keys, others, strict=True):
        column = schema.columns[key].field
        assert isinstance(column, Real)
        way = real_base(schema, rules, key, rows, rows) - real_base(
            schema, rules, other, rows, rows
        )
        at = (way * (column.scale * FINE)).clip(-NEAR, NEAR - 1) + NEAR
        cell = cell * (2 * NEAR) + (at.long() if isinstance(at, Tensor) else at.astype(np.int64))
    return cell


def drawn_mask(rules: _Rules, key: str, step: _Step) -> Any:
    """Mask of the values of a column that are drawn: not derived, in slots in use."""
    group = rules.schema.columns[key].group
    mask = f"{group.name}/{group.mask}"
    free = rules.free(key, step)
    return free & step.after[mask] if group.mask and key != mask else free


def drawn_of(rules: _Rules, units: Sequence[_Unit], step: _Step) -> Any:
    """Mask of the values of units that are drawn, [..., U], of tensors."""
    keys = dict.fromkeys(unit.key for unit in units)
    masks = [drawn_mask(rules, key, step) for key in keys]
    example = step.after[next(iter(keys))]
    return torch.cat([mask.expand(*example.shape[:-1], mask.shape[-1]) for mask in masks], -1)


def settle(rules: _Rules, units: Sequence[_Unit], step: _Step) -> None:
    """Put derived values in place of drawn ones in `step.after`, tensors [N, slots].

    Later parts of the chain are given these, as in training. A value that is not drawn was never
    learned, and means nothing.
    """
    rules.apply(step, tuple(dict.fromkeys(unit.key for unit in units)))
