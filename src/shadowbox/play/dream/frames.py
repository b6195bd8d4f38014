"""Frames of a dream: the last rows of N matches in memory that NumPy and torch share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.model.world.layout import _Flat, _Layout


class _Frame:
    """One frame of N matches by kind, and its columns as views of that memory.

    Arrays have rows for `padded` matches, of which the first N are real. `controls` are those that
    were pressed having seen the frame; `columns` are what the schema's types say.
    """

    def __init__(self, schema: Schema, layout: _Layout, matches: int, padded: int) -> None:
        self.reals = np.zeros((padded, layout.width(layout.reals)), np.float32)
        self.flags = np.zeros((padded, layout.width(layout.flags)), bool)
        self.choices = np.zeros((padded, layout.width(layout.choices)), np.int64)
        self.controls = {
            key: np.zeros((padded, schema.columns[key].slots), schema.columns[key].dtype)
            for key in schema.control_keys
        }
        self.outside = {
            key: np.zeros((matches, schema.columns[key].slots), schema.columns[key].dtype)
            for key in layout.outside
        }
        arrays: tuple[Array, Array, Array] = (self.reals, self.flags, self.choices)
        self.tensors = _Flat(*(torch.from_numpy(each) for each in arrays))
        pressed = {key: torch.from_numpy(_wide(each)) for key, each in self.controls.items()}
        self.pressed_tensors = tuple(pressed.values())
        self.seen = layout.views(self.tensors) | pressed  # what the model reads
        self.whole: Columns = layout.views(arrays)  # of all padded matches
        self.columns: Columns = {k: v[:matches] for k, v in self.whole.items()} | self.outside
        self.pressed: Columns = {key: each[:matches] for key, each in self.controls.items()}
        self._typed = dict(self.columns)  # the columns with the types of the schema
        self._conversions: list[tuple[Array, Array]] = []  # (to, from), of a kind and type each
        kinds = (layout.reals, layout.flags, layout.choices)
        array: Array  # of any kind
        for array, places in zip(arrays, kinds, strict=True):
            for dtype in {schema.columns[key].dtype for key in places} - {array.dtype}:
                other = np.zeros((matches, array.shape[1]), dtype)
                self._conversions.append((other, array[:matches]))
                self._typed |= {
                    key: other[:, at : at + schema.columns[key].slots]
                    for key, at in places.items()
                    if schema.columns[key].dtype == dtype
                }

    def copy_from(self, other: _Frame) -> None:
        """Become an equal state, with other controls."""
        self.reals[:], self.flags[:], self.choices[:] = other.reals, other.flags, other.choices
        for key, values in other.outside.items():
            self.outside[key][:] = values

    def typed(self) -> Columns:
        """Columns with the types of the schema; their memory belongs to the frame."""
        for target, values in self._conversions:
            np.copyto(target, values, casting="unsafe")
        return dict(self._typed)

    def put(self, columns: Mapping[str, Array], where: Array) -> None:
        """Write columns [n, slots] into the matches of the mask `where` [N]."""
        for key, target in self.columns.items():
            if key in columns:
                target[where] = columns[key]
        for key, target in self.pressed.items():
            target[where] = columns.get(key, 0)

    def take(self, where: Array) -> dict[str, Array]:
        """Copies of the state and the controls of the chosen matches."""
        return {key: values[where] for key, values in {**self.columns, **self.pressed}.items()}


def _wide(values: Array) -> Any:
    """Controls in a type that torch can index and compare; flags and reals as they are."""
    return values if values.dtype in (np.dtype(bool), np.dtype(np.float32)) else values.view()


def typed(types: Mapping[str, np.dtype[Any]], columns: Mapping[str, Array]) -> Columns:
    """Columns with the types of a schema, as a world returns them."""
    return {key: values.astype(types[key], copy=False) for key, values in columns.items()}


class _Pairs:
    """Rows before and after of N matches, one pair after another, for a game's `events`."""

    def __init__(self, schema: Schema, layout: _Layout, matches: int) -> None:
        self.frame = _Frame(schema, layout, 2 * matches, 2 * matches)

    def of(self, before: _Frame, after: _Frame, matches: int) -> Columns:
        """Columns [2 N, slots]; the controls are those between the two rows of a pair."""
        both = self.frame
        for first, each in enumerate((before, after)):
            for name in ("reals", "flags", "choices"):
                getattr(both, name)[first::2] = getattr(each, name)[:matches]
            for key, values in each.outside.items():
                both.outside[key][first::2] = values
        for key, values in before.pressed.items():
            both.pressed[key][::2] = values
        return both.typed() | both.pressed
