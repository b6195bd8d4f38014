"""Named encodings: what a model is shown of a frame, as a fixed row of numbers and categories, derived from the one schema.

A schema says what is stored; an encoding is a frozen, typed selection over it. Each `NumberInput` (one
float) and `CategoryInput` (one integer with a vocabulary) reads a column or derives its value from
several; nothing is ever stored again for another encoding. The same arithmetic runs on NumPy arrays
and on torch tensors: `xp` is the module, `numpy` or `torch`.

Columns are [..., slots]; P players, F numbers and I categories of each, S categories of the frame:

    floats      [..., P * F]       player 0's numbers, then player 1's, ...
    ints        [..., P * I + S]   player 0's categories, player 1's, ..., then those of the frame
    targets     [..., sum]         of the next row: block by block, in each block player by player; then the categories

Controls are encoded as they stand in the columns handed over. A policy's input is state_t beside
controls_{t-1}: hand over `state | previous` of `data.sample.Aligned` and no target is ever among
the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from shadowbox.core.schema import Columns, Schema
from shadowbox.errors import SchemaError

CONTROLS = "controls"  # the block of what players press

Values = Any  # a NumPy array or a torch tensor
# a column, or (columns, xp) -> [..., players]
Read = str | Callable[[Mapping[str, Values], Any], Values]


@dataclass(frozen=True)
class NumberInput:
    """One float of each player: what it reads, times `scale`, plus `shift`.

    `target`: whether a world model predicts it, as its next value or as the change to it. `edge`:
    true only where it is true now and was not in the row before (a press that begins).
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
        """[..., players]."""
        values = _read(self.read, columns, xp)
        if self.edge:
            if before is None:
                raise ValueError(
                    f"{self.name} is an edge: the columns of the row before are needed, too"
                )
            values = values & ~_read(self.read, before, xp)
        return values * self.scale + self.shift


@dataclass(frozen=True)
class CategoryInput:
    """One integer of each player (or of the frame), clipped to 0 ..

    N - 1; `embed` is the width of its embedding.
    """

    name: str
    read: Read
    n: int = field(kw_only=True)
    embed: int = field(kw_only=True)
    target: bool = field(default=False, kw_only=True)

    def of(self, columns: Mapping[str, Values], xp: Any) -> Values:
        """[..., players], or [..., 1] of the frame."""
        values = xp.asarray(_read(self.read, columns, xp), dtype=xp.int64)
        return xp.clip(values, 0, self.n - 1)


@dataclass(frozen=True)
class Encoding:
    """The numbers and categories of each player, the categories of the frame, and what a world model is given and asked.

    `settings` are the switches that it was built with: enough to build it again. `order` is the
    order of the blocks in the float target.
    """

    name: str
    players: int
    numbers: tuple[NumberInput, ...]
    categories: tuple[CategoryInput, ...]
    shared: tuple[CategoryInput, ...] = ()
    order: tuple[str, ...] = ()
    # of the controls that lead to the next row, for a world model
    conditions: tuple[NumberInput, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    # ---- how wide it is ----------------------------------------------------------------------------------------

    @property
    def floats(self) -> int:
        """Floats a frame."""
        return self.players * len(self.numbers)

    @property
    def ints(self) -> int:
        """Integers a frame."""
        return self.players * len(self.categories) + len(self.shared)

    @property
    def frame_width(self) -> int:
        """Features a frame, after the categories were embedded."""
        return (
            self.floats
            + self.players * sum(c.embed for c in self.categories)
            + sum(c.embed for c in self.shared)
        )

    @property
    def float_targets(self) -> int:
        """Floats that a world model predicts."""
        return self.players * sum(len(numbers) for numbers in self._blocks)

    @property
    def int_targets(self) -> int:
        """Categories that a world model predicts."""
        return self.players * sum(category.target for category in self.categories)

    @cached_property
    def vocabularies(self) -> tuple[CategoryInput, ...]:
        """The category of each column of `ints`."""
        return self.categories * self.players + self.shared

    @cached_property
    def float_names(self) -> tuple[str, ...]:
        """The name of each column of `floats`, "p0.x"."""
        return tuple(
            f"p{player}.{number.name}" for player in range(self.players) for number in self.numbers
        )

    @cached_property
    def target_names(self) -> tuple[str, ...]:
        """The name of each column of the float target, "p0.x"."""
        return tuple(
            f"p{p}.{number.name}"
            for block in self._blocks
            for p in range(self.players)
            for number in block
        )

    # ---- what it makes of columns ------------------------------------------------------------------------------

    def encode(self, columns: Mapping[str, Values], xp: Any = np) -> tuple[Values, Values]:
        """Columns [..., slots] -> floats f32 [..., floats], ints i64 [..., ints]."""
        floats = _side_by_side([number.of(columns, xp) for number in self.numbers], xp)
        ints = _side_by_side([category.of(columns, xp) for category in self.categories], xp)
        shared = [category.of(columns, xp) for category in self.shared]
        return xp.asarray(floats, dtype=xp.float32), xp.concatenate([ints, *shared], axis=-1)

    def controls(self, columns: Mapping[str, Values], xp: Any = np) -> Values:
        """What each player presses, f32 [..., players, C], in the order in which it ends a player's floats."""
        pressed = [number.of(columns, xp) for number in self.numbers if number.block == CONTROLS]
        return xp.asarray(xp.stack(pressed, axis=-1), dtype=xp.float32)

    def condition(
        self, columns: Mapping[str, Values], before: Mapping[str, Values], xp: Any = np
    ) -> Values:
        """What a world model is told of the controls, f32 [..., players * len(conditions)].

        `before`: the row before.
        """
        told = [number.of(columns, xp, before) for number in self.conditions]
        return xp.asarray(_side_by_side(told, xp), dtype=xp.float32)

    def targets(
        self, columns: Mapping[str, Values], following: Mapping[str, Values], xp: Any = np
    ) -> tuple[Values, Values]:
        """Two rows that follow each other -> floats f32 [..., float_targets], ints i64 [..., int_targets]."""
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
        """The columns [..., players] that an encoded frame holds as they are.

        What is derived cannot be read back.
        """
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
        """Refuse a schema that lacks a column that is read by name, or has another number of players."""
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
                f"encoding '{self.name}' reads {', '.join(missing)}, which '{schema.name}' does not have"
            )
        if schema.players != self.players:
            raise SchemaError(
                f"encoding '{self.name}' is for {self.players} players, '{schema.name}' has {schema.players}"
            )

    @cached_property
    def _blocks(self) -> tuple[tuple[NumberInput, ...], ...]:
        """The predicted numbers, block by block."""
        chosen = (
            tuple(n for n in self.numbers if n.block == block and n.target != "no")
            for block in self.order
        )
        return tuple(numbers for numbers in chosen if numbers)


def _read(read: Read, columns: Mapping[str, Values], xp: Any) -> Values:
    return columns[read] if isinstance(read, str) else read(columns, xp)


def _side_by_side(parts: list[Values], xp: Any) -> Values:
    """V arrays [..., players] -> [..., players * V], one player after the other."""
    stacked = xp.stack(parts, axis=-1)
    return stacked.reshape(*stacked.shape[:-2], -1)
