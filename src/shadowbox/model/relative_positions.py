"""How far everything is from the own slot: derived from the fields alone, since no game says what can be near what.

Two reals of a state can be compared if they have the same name and unit: where both players are,
how fast they are, where an item lies. A network that is given two places must learn to subtract;
given their distance, it sees what is within reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shadowbox.core.schema import Column, Real, Schema

LOOKS = {
    "away": 0.0,
    "near": 4.0,
    "close": 16.0,
    "touching": 64.0,
}  # as it is, and squashed more and more steeply


class _SlotPair(NamedTuple):
    """The own slot's value of one column, and a slot of another (or the same) one."""

    own: str
    other: str
    slot: int


def pairs(schema: Schema, keys: Sequence[str]) -> list[_SlotPair]:
    """What can be compared among these columns.

    What a mask may hide is left out where the mask is not seen.
    """
    seen = [column for key in keys if (column := schema.columns[key]).group is not schema.controls]
    places = [
        column
        for column in seen
        if isinstance(column.field, Real) and column.field.unit and _known(column, keys)
    ]
    return [
        _SlotPair(own.key, other.key, slot)
        for own in places
        if own.group.per
        for other in places
        if (own.field.name, own.field.unit) == (other.field.name, other.field.unit)
        for slot in range(own is other, other.slots)
    ]


class RelativePositions(nn.Module):
    """Values [..., R] of some reals and flags [..., F] of the same frames -> distances [..., width], in the fields' scales."""

    own: Tensor
    other: Tensor
    scale: Tensor
    mask: Tensor
    masked: Tensor

    def __init__(self, schema: Schema, reals: Sequence[str], flags: Sequence[str]) -> None:
        """`reals`, `flags`: the columns whose slots follow each other in the values."""
        super().__init__()
        self.pairs = pairs(schema, [*reals, *flags])
        self.width = len(LOOKS) * len(self.pairs)
        real, flag = (_first_places(schema, keys) for keys in (reals, flags))
        masks = [_mask(schema.columns[pair.other]) for pair in self.pairs]
        at = {
            "own": [real[pair.own] for pair in self.pairs],
            "other": [real[pair.other] + pair.slot for pair in self.pairs],
            "mask": [
                flag[mask] + pair.slot if mask else 0
                for mask, pair in zip(masks, self.pairs, strict=True)
            ],
        }
        for name, places in at.items():
            self.register_buffer(name, torch.tensor(places, dtype=torch.int64), persistent=False)
        self.register_buffer(
            "masked", torch.tensor([bool(mask) for mask in masks]), persistent=False
        )
        fields = [schema.columns[pair.own].field for pair in self.pairs]
        scales = [field.scale for field in fields if isinstance(field, Real)]
        self.register_buffer("scale", torch.tensor(scales), persistent=False)

    def forward(self, reals: Tensor, flags: Tensor | None) -> Tensor:
        """What a mask hides is at distance 0, as its own values are."""
        away = (reals[..., self.other] - reals[..., self.own]) * self.scale
        if flags is not None:
            away = away.masked_fill(self.masked & ~flags[..., self.mask].bool(), 0.0)
        return torch.cat(
            [torch.tanh(away * steep) if steep else away for steep in LOOKS.values()], -1
        )

    def describe(self) -> list[str]:
        """The name of each feature."""
        return [
            f"{pair.other}[{pair.slot}] {look} from {pair.own}"
            for look in LOOKS
            for pair in self.pairs
        ]


def _mask(column: Column) -> str:
    """The flag that says whether there is anything in a slot; empty where there always is."""
    return f"{column.group.name}/{column.group.mask}" if column.group.mask else ""


def _known(column: Column, keys: Sequence[str]) -> bool:
    return not _mask(column) or _mask(column) in keys


def _first_places(schema: Schema, keys: Sequence[str]) -> dict[str, int]:
    found, at = {}, 0
    for key in keys:
        found[key] = at
        at += schema.columns[key].slots
    return found
