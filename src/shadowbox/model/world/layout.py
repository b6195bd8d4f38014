"""Layout of a frame in three tensors by kind, and the places of columns in them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from shadowbox.core.schema import Choice, Column, Flag, Real, Schema
from shadowbox.model.embedding import MOST_EMBEDDED


class _Flat(NamedTuple):
    """A frame by kind: reals f32 [..., R], flags bool [..., F], choices int64 [..., C]."""

    reals: Tensor
    flags: Tensor
    choices: Tensor


class _Unit(NamedTuple):
    """One slot of a column, and its place in the tensor of its kind."""

    key: str
    slot: int
    place: int


class _Layout:
    """State columns of a schema by kind, slot after slot; seeds and other large numbers are left out."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        state = [schema.columns[key] for key in schema.state_keys]
        self.reals = _first_places(c for c in state if isinstance(c.field, Real))
        self.flags = _first_places(c for c in state if isinstance(c.field, Flag))
        self.choices = _first_places(
            c for c in state if isinstance(c.field, Choice) and c.field.n <= MOST_EMBEDDED
        )
        self.outside = tuple(
            c.key for c in state if isinstance(c.field, Choice) and c.field.n > MOST_EMBEDDED
        )

    def width(self, places: Mapping[str, int]) -> int:
        """Number of values of a kind."""
        return sum(self.schema.columns[key].slots for key in places)

    def flat(self, columns: Mapping[str, Tensor]) -> _Flat:
        """Columns [..., slots] by kind."""
        example = columns[self.schema.state_keys[0]]
        parts = []
        for places, dtype in (
            (self.reals, torch.float32),
            (self.flags, torch.bool),
            (self.choices, torch.int64),
        ):
            chosen = [columns[key].to(dtype) for key in places]
            parts.append(
                torch.cat(chosen, -1)
                if chosen
                else example.new_zeros(*example.shape[:-1], 0).to(dtype)
            )
        return _Flat(*parts)

    def views(self, flat: Sequence[Any], keys: Container[str] | None = None) -> dict[str, Any]:
        """Columns [..., slots] (default: all) as views of tensors or arrays by kind."""
        found = {}
        for places, values in zip((self.reals, self.flags, self.choices), flat, strict=True):
            for key, at in places.items():
                if keys is not None and key not in keys:
                    continue
                found[key] = values[..., at : at + self.schema.columns[key].slots]
        return found

    def places(self, key: str) -> Mapping[str, int]:
        """First places of the columns of a column's kind."""
        field = self.schema.columns[key].field
        if isinstance(field, Real):
            return self.reals
        return self.flags if isinstance(field, Flag) else self.choices

    def units(self, keys: Iterable[str]) -> list[_Unit]:
        """Slots of these columns, one after another."""
        return [
            _Unit(key, slot, self.places(key)[key] + slot)
            for key in keys
            for slot in range(self.schema.columns[key].slots)
        ]


def _first_places(columns: Iterable[Column]) -> dict[str, int]:
    first, at = {}, 0
    for column in columns:
        first[column.key] = at
        at += column.slots
    return first
