"""Named encodings: inputs and targets of a model as a fixed row of numbers and categories.

A schema defines what is stored; an encoding is a frozen, typed selection over it. Each
`NumberInput` (one float) and `CategoryInput` (one integer with a vocabulary) reads a column or
derives its value from several; data is never stored again for another encoding. The same arithmetic
runs on NumPy arrays and on torch tensors: `xp` is the module, `numpy` or `torch`.

Columns are [..., slots]; P players, F numbers and I categories of each, S categories of the frame:

    floats   [..., P * F]      player 0's numbers, then player 1's, ...
    ints     [..., P * I + S]  player 0's categories, player 1's, ..., then the frame's
    targets  [..., sum]        of the next row: block by block, in each block player by player;
                               then the categories

Controls are encoded as given. A policy's input is state_t beside controls_{t-1}: pass `state |
previous` of `data.sample.Aligned`, and the inputs never contain a target.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from shadowbox.core.schema import Columns, Schema
from shadowbox.errors import SchemaError, UsageError

CONTROLS = "controls"  # name of the block of controls

Values = Any  # a NumPy array or a torch tensor
# a column, or (columns, xp) -> [..., players]
Read = str | Callable[[Mapping[str, Values], Any], Values]


@dataclass(frozen=True)
class NumberInput:
    """One float of each player: a value that is read, times `scale`, plus `shift`.

    `target` says how a world model predicts it: not at all, as the next value, or as the change to
    it. `edge` makes a flag true only where it was false in the row before (a press that begins).
    """

    name: str
    read: Read
    scale: float = field(default=1.0, kw_only=True)
    shift: float = field(default=0.0, kw_only=True)
    block: str = field(kw_only=True)
    target: Literal["no", "value", "delta"] = field(default="no", kw_only=True)
    edge: bool = field(default=False, kw_only=True)

    def of(
        self, columns: Mapping[str, Values], xp: Any, before: Mapping[str, Values] | None = None
    ) -> Values:
        """Values [..., players]."""
        values = _read(self.read, columns, xp)
        if self.edge:
            if before is None:
                raise ValueError(f"{self.name} is an edge and needs the columns of the row before")
            values = values & ~_read(self.read, before, xp)
        return values * self.scale + self.shift


@dataclass(frozen=True)
class CategoryInput:
    """One integer of each player (or of the frame), clipped to the range from 0 to n - 1.

    `embed` is the width of its embedding.
    """

    name: str
    read: Read
    n: int = field(kw_only=True)
    embed: int = field(kw_only=True)
    target: bool = field(default=False, kw_only=True)

    def of(self, columns: Mapping[str, Values], xp: Any) -> Values:
        """Values [..., players], or [..., 1] of the frame."""
        values = xp.asarray(_read(self.read, columns, xp), dtype=xp.int64)
        return xp.clip(values, 0, self.n - 1)


@dataclass(frozen=True)
class Encoding:
    """Numbers and categories of each player and of the frame, and conditions and targets of worlds.

    `settings` are the switches that it was built with, from which it can be built again. `order` is
    the order of the blocks in the float target.
    """

    name: str
    players: int
    numbers: tuple[NumberInput, ...]
    categories: tuple[CategoryInput, ...]
    shared: tuple[CategoryInput, ...] = ()
    order: tuple[str, ...] = ()
    # numbers of the controls that lead to the next row, for a world model
    conditions: tuple[NumberInput, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    # of columns that a world on this encoding derives, in the grammar of core/dynamics
    rules: Mapping[str, str] = field(default_factory=dict)

    # ---- widths and names ------------------------------------------------------------------------

    @property
    def floats(self) -> int:
        """Number of floats of a frame."""
        return self.players * len(self.numbers)

    @property
    def ints(self) -> int:
        """Number of integers of a frame."""
        return self.players * len(self.categories) + len(self.shared)

    @property
    def frame_width(self) -> int:
        """Number of features of a frame after categories are embedded."""
        return (
            self.floats
            + self.players * sum(c.embed for c in self.categories)
            + sum(c.embed for c in self.shared)
        )

    @property
    def float_targets(self) -> int:
        """Number of floats that a world model predicts."""
        return self.players * sum(len(numbers) for numbers in self._blocks)

    @property
    def int_targets(self) -> int:
        """Number of categories that a world model predicts."""
        return self.players * sum(category.target for category in self.categories)

    @cached_property
    def vocabularies(self) -> tuple[CategoryInput, ...]:
        """Category of each column of `ints`."""
        return self.categories * self.players + self.shared

    @cached_property
    def float_names(self) -> tuple[str, ...]:
        """Name of each column of `floats`, such as "p0.x"."""
        return tuple(
            f"p{player}.{number.name}" for player in range(self.players) for number in self.numbers
        )

    @cached_property
    def target_names(self) -> tuple[str, ...]:
        """Name of each column of the float target, such as "p0.x"."""
        return tuple(
            f"p{p}.{number.name}"
            for block in self._blocks
            for p in range(self.players)
            for number in block
        )

    @property
    def widths(self) -> dict[str, int]:
        """Widths of its inputs, predicted fields by block, and bytes of an encoded frame."""
        each = {block: sum(n.block == block and n.target != "no" for n in self.numbers)
                for block in self.order}  # fmt: skip
        return {
            "floats_per_player": len(self.numbers),
            "ints_per_player": len(self.categories),
            "frame_width": self.frame_width,
            **{f"predicted_{block}": self.players * count for block, count in each.items()},
            "predicted_categories": self.int_targets,
            "encoded_frame_bytes": 4 * self.floats + 8 * self.ints,
        }

    # ---- encoding and decoding -------------------------------------------------------------------

    def encode(self, columns: Mapping[str, Values], xp: Any = np) -> tuple[Values, Values]:
        """Columns [..., slots] -> floats f32 [..., floats], ints i64 [..., ints]."""
        floats = _side_by_side([number.of(columns, xp) for number in self.numbers], xp)
        ints = _side_by_side([category.of(columns, xp) for category in self.categories], xp)
        shared = [category.of(columns, xp) for category in self.shared]
        return xp.asarray(floats, dtype=xp.float32), xp.concatenate([ints, *shared], axis=-1)

    def controls(self, columns: Mapping[str, Values], xp: Any = np) -> Values:
        """Controls of each player, f32 [..., players, C], as at the end of a player's floats."""
        pressed = [number.of(columns, xp) for number in self.numbers if number.block == CONTROLS]
        return xp.asarray(xp.stack(pressed, axis=-1), dtype=xp.float32)

    def condition(
        self, columns: Mapping[str, Values], before: Mapping[str, Values], xp: Any = np
    ) -> Values:
        """Controls as inputs of a world model, f32 [..., players * len(conditions)].

        `before` are the columns of the row before.
        """
        values = [number.of(columns, xp, before) for number in self.conditions]
        return xp.asarray(_side_by_side(values, xp), dtype=xp.float32)

    def targets(
        self, columns: Mapping[str, Values], following: Mapping[str, Values], xp: Any = np
    ) -> tuple[Values, Values]:
        """Targets of a world model from two consecutive rows.

        Floats f32 [..., float_targets], ints i64 [..., int_targets].
        """
        blocks = []
        for numbers in self._blocks:
            parts = []
            for number in numbers:
                value = number.of(following, xp)
                parts.append(value - number.of(columns, xp) if number.target == "delta" else value)
            blocks.append(_side_by_side(parts, xp))
        kinds = _side_by_side([c.of(following, xp) for c in self.categories if c.target], xp)
        return xp.asarray(xp.concatenate(blocks, axis=-1), dtype=xp.float32), kinds

    def read_back(self, floats: Values, ints: Values) -> Columns:
        """Columns [..., players] that an encoded frame holds; derived values cannot be decoded."""
        columns: Columns = {}
        for at, number in enumerate(self.numbers):
            if isinstance(number.read, str):
                columns[number.read] = (
                    floats[..., at :: len(self.numbers)] - number.shift
                ) / number.scale
        each = len(self.categories)
        for at, category in enumerate(self.categories):
            if isinstance(category.read, str):
                columns[category.read] = ints[..., at : self.players * each : each]
        for at, category in enumerate(self.shared):
            if isinstance(category.read, str):
                columns[category.read] = ints[..., self.players * each + at :][..., :1]
        return columns

    def require(self, schema: Schema) -> None:
        """Refuse a schema that lacks a column, or has another number of players."""
        parts: Iterable[NumberInput | CategoryInput] = (
            *self.numbers,
            *self.categories,
            *self.shared,
            *self.conditions,
        )
        missing = sorted(
            {part.read for part in parts if isinstance(part.read, str)} - schema.columns.keys()
        )
        if missing:
            raise SchemaError(
                f"encoding '{self.name}' reads {', '.join(missing)}, "
                f"which schema '{schema.name}' does not have"
            )
        if schema.players != self.players:
            raise SchemaError(
                f"encoding '{self.name}' is for {self.players} players, "
                f"schema '{schema.name}' has {schema.players}"
            )

    @cached_property
    def _blocks(self) -> tuple[tuple[NumberInput, ...], ...]:
        """Predicted numbers, block by block."""
        chosen = (
            tuple(n for n in self.numbers if n.block == block and n.target != "no")
            for block in self.order
        )
        return tuple(numbers for numbers in chosen if numbers)


class _NamedEncodings(Mapping[str, Any]):
    """Encodings by name; `NAME@SWITCH=VALUE...` is a named one with other switches."""

    def __init__(self, named: Mapping[str, Any], build: Callable[..., Encoding]) -> None:
        self.named, self.build = named, build

    def __getitem__(self, name: str) -> Any:
        base, *changes = str(name).split("@")
        if not changes:
            return self.named[base]
        if not isinstance(self.named[base], Encoding):
            raise UsageError(f"encoding '{base}' has no switches: it is a list of columns")
        switches: dict[str, Any] = {}
        for change in changes:
            switch, _, value = change.partition("=")
            switches[switch] = {"true": True, "false": False}.get(value, value)
        built = self.build(base, **switches)
        return dataclasses.replace(built, name=encoding_name({"preset": base, **switches}))

    def __iter__(self) -> Iterator[str]:
        return iter(self.named)

    def __len__(self) -> int:
        return len(self.named)


def encoding_name(choice: str | Mapping[str, Any]) -> str:
    """Name of an encoding that is given by name, or as `{preset: NAME, SWITCH: VALUE}`."""
    if isinstance(choice, str):
        return choice
    if not isinstance(choice, Mapping) or not isinstance(choice.get("preset"), str):
        raise UsageError(
            f"{choice!r:.80} is not an encoding: give its name, or {{preset: NAME, SWITCH: VALUE}}"
        )
    words = [
        f"{switch}={str(value).lower() if isinstance(value, bool) else value}"
        for switch, value in sorted(choice.items())
        if switch != "preset"
    ]
    return "@".join([choice["preset"], *words])


def _read(read: Read, columns: Mapping[str, Values], xp: Any) -> Values:
    return columns[read] if isinstance(read, str) else read(columns, xp)


def _side_by_side(parts: list[Values], xp: Any) -> Values:
    """V arrays [..., players] -> [..., players * V], one player after the other."""
    stacked = xp.stack(parts, axis=-1)
    return stacked.reshape(*stacked.shape[:-2], -1)
