"""Distances from the own slot to all other slots, derived from the names and units of fields.

Two reals of a state can be compared if they have the same name and unit: positions and speeds of
both players, the place of an item. From two positions, a network must learn to subtract; from their
distance, it reads directly what is within reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shadowbox.core.schema import Column, Real, Schema

# steepness of the tanh applied to a distance; 0: the distance itself
LOOKS = {"away": 0.0, "near": 4.0, "close": 16.0, "touching": 64.0}


class _SlotPair(NamedTuple):
    """The own slot's value of one column, and a slot of another (or the same) column."""

    own: str
    other: str
    slot: int


def pairs(schema: Schema, keys: Sequence[str]) -> list[_SlotPair]:
    """Pairs of comparable slots among these columns.

    Columns with a mask are left out unless the mask is among the columns.
    """
    states = [
        column for key in keys if (column := schema.columns[key]).group is not schema.controls
    ]
    positions = [
        column
        for column in states
        if isinstance(column.field, Real) and column.field.unit and _mask_given(column, keys)
    ]
    return [
        _SlotPair(own.key, other.key, slot)
        for own in positions
        if own.group.per
        for other in positions
        if (own.field.name, own.field.unit) == (other.field.name, other.field.unit)
        for slot in range(own is other, other.slots)
    ]


class RelativePositions(nn.Module):
    """Distances [..., width] in the fields' scales, from reals [..., R] and flags [..., F]."""

    own: Tensor
    other: Tensor
    scale: Tensor
    mask: Tensor
    masked: Tensor

    def __init__(self, schema: Schema, reals: Sequence[str], flags: Sequence[str]) -> None:
        """Compare the slots of the columns `reals`, masked by the columns `flags`.

        The slots of these columns follow each other in the values given to `forward`.
        """
        super().__init__()
        self.pairs = pairs(schema, [*reals, *flags])
        self.width = len(LOOKS) * len(self.pairs)
        real, flag = (_first_places(schema, keys) for keys in (reals, flags))
        masks = [_mask(schema.columns[pair.other]) for pair in self.pairs]
        indices = {
            "own": [real[pair.own] for pair in self.pairs],
            "other": [real[pair.other] + pair.slot for pair in self.pairs],
            "mask": [
                flag[mask] + pair.slot if mask else 0
                for mask, pair in zip(masks, self.pairs, strict=True)
            ],
        }
        for name, places in indices.items():
            self.register_buffer(name, torch.tensor(places, dtype=torch.int64), persistent=False)
        self.register_buffer(
            "masked", torch.tensor([bool(mask) for mask in masks]), persistent=False
        )
        fields = [schema.columns[pair.own].field for pair in self.pairs]
        scales = [field.scale for field in fields if isinstance(field, Real)]
        self.register_buffer("scale", torch.tensor(scales), persistent=False)

    def forward(self, reals: Tensor, flags: Tensor | None) -> Tensor:
        """Distances [..., width]; a masked slot is at distance 0."""
        away = (reals[..., self.other] - reals[..., self.own]) * self.scale
        if flags is not None:
            away = away.masked_fill(self.masked & ~flags[..., self.mask].bool(), 0.0)
        return torch.cat(
            [torch.tanh(away * steep) if steep else away for steep in LOOKS.values()], -1
        )

    def describe(self) -> list[str]:
        """Name of each feature."""
        return [
            f"{pair.other}[{pair.slot}] {look} from {pair.own}"
            for look in LOOKS
            for pair in self.pairs
        ]


def _mask(column: Column) -> str:
    """Flag that marks the occupied slots of a column; empty if all slots always are."""
    return f"{column.group.name}/{column.group.mask}" if column.group.mask else ""


def _mask_given(column: Column, keys: Sequence[str]) -> bool:
    return not _mask(column) or _mask(column) in keys


def _first_places(schema: Schema, keys: Sequence[str]) -> dict[str, int]:
    first, at = {}, 0
    for key in keys:
        first[key] = at
        at += schema.columns[key].slots
    return first
