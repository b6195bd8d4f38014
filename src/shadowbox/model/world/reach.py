"""Distances at which recordings have an event of a player, by what the other player does.

A strike reaches a box beside the one who strikes. The box of every choice is measured as the ranges
of the distances at which the event happened; outside of it the event is impossible, and how far a
player is inside of it is an input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Array, Columns, Real, Schema
from shadowbox.model.world.derived import facing_flag, joint_code, joint_size

STEEP = (2.0, 16.0, 128.0)  # steepness of the tanh of a margin, in scales of the field
SLACK = 2.0  # mean gaps between events that a box is larger than their range
FEW, LOOSE = 5, 0.01  # up to so many events it is larger by this share of the field's range
FAR = 1e3  # scales of a field: an end that none reaches


def reach_keys(schema: Schema, rules: _Rules, event: str) -> list[str]:
    """Positions of the players between whom an event happens; none without a declared reach."""
    chosen = rules.dynamics.reach.get(event, ())
    if not chosen or schema.players != 2:
        return []
    group = schema.columns[chosen[0]].group
    return [key for key in rules.rates if schema.columns[key].group is group]


def way_to(schema: Schema, keys: Sequence[str], columns: Mapping[str, Any]) -> list[Any]:
    """Distances [..., slots] from the other player along each axis, in scales of the field.

    Along an axis that a mirror negates, as seen by the other player, who faces along it.
    """
    found = []
    for key in keys:
        field = schema.columns[key].field
        assert isinstance(field, Real)
        way = (columns[key] - columns[key][..., [1, 0]]) * field.scale
        flag = facing_flag(schema, key) if field.mirror == "negate" else ""
        found.append(way * (columns[flag][..., [1, 0]] * 2.0 - 1.0) if flag else way)
    return found


def measure_reach(
    schema: Schema, rules: _Rules, event: str, pairs: Iterable[tuple[Columns, Columns]]
) -> Array:
    """Boxes [choices, 2 axes, (low, high)] of an event; of a choice without any, an empty one."""
    keys, chosen = reach_keys(schema, rules, event), rules.dynamics.reach[event]
    many = joint_size(schema, chosen)
    box = np.stack([np.full((many, len(keys)), end) for end in (np.inf, -np.inf)], -1)
    happened = np.zeros(many, np.int64)
    trigger = rules.triggers[event][1]
    for before, after in pairs:
        code = joint_code(schema, chosen, {k: before[k].astype(np.int64) for k in chosen})
        code, now = code[..., [1, 0]], trigger(before, after)
        happened += np.bincount(code[now], minlength=many)
        for axis, way in enumerate(way_to(schema, keys, before)):
            np.minimum.at(box[:, axis, 0], code[now], way[now])
            np.maximum.at(box[:, axis, 1], code[now], way[now])
    seen = happened > 0
    gap = (
        np.where(seen[:, None], box[..., 1] - box[..., 0], 0.0)
        / np.maximum(happened - 1, 1)[:, None]
    )
    slack = np.where(happened[:, None] < FEW, LOOSE, 0.0) + SLACK * gap + 1e-4
    box = box + slack[..., None] * np.array([-1.0, 1.0])
    return np.asarray(box.clip(-FAR, FAR), np.float32)


class _Reach(nn.Module):
    """Boxes of an event, and margins by which players are inside of them."""

    box: Tensor

    def __init__(self, schema: Schema, rules: _Rules, event: str, known: Array | None) -> None:
        super().__init__()
        self.schema, self.keys = schema, reach_keys(schema, rules, event)
        self.chosen = rules.dynamics.reach[event]
        self.bit = 1 << list(rules.triggers).index(event)
        blank = torch.full((joint_size(schema, self.chosen), len(self.keys), 2), FAR)
        blank[..., 0] = -FAR
        self.register_buffer("box", blank if known is None else torch.from_numpy(known))
        self.width = 2 * len(self.keys) * schema.players * len(STEEP)

    def margins(self, columns: Mapping[str, Tensor]) -> Tensor:
        """How far each player [..., slots] is inside of every end, [..., slots, axes, 2]."""
        code = joint_code(self.schema, self.chosen, {k: columns[k].long() for k in self.chosen})
        way = torch.stack(way_to(self.schema, self.keys, columns), -1)
        low, high = self.box[code[..., [1, 0]]].unbind(-1)
        return torch.stack([way - low, high - way], -1)

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Features [..., width] of columns [..., slots]; -1: far outside, 1: far inside."""
        margins = self.margins(columns).clamp(-8.0, 8.0).flatten(-3)
        return torch.cat([torch.tanh(margins * steep) for steep in STEEP], -1)

    def allows(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Mask [..., slots] of players to whom the event may happen."""
        return (self.margins(columns) >= 0).flatten(-2).all(-1)


def reaches_of(schema: Schema, rules: _Rules, tables: Mapping[str, Array]) -> nn.ModuleDict:
    """Boxes of all events with a declared reach, by event."""
    return nn.ModuleDict(
        {
            event: _Reach(schema, rules, event, tables.get(f"reach/{event}"))
            for event in rules.dynamics.reach
            if reach_keys(schema, rules, event)
        }
    )
