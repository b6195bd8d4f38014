"""The kinds of fields, and the groups that they come in.

Kinds are a closed set; fields are open: adding one is adding a line.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Columns = dict[str, Array]

# beyond it a stored real would silently become infinite
LARGEST = {"f2": 65504.0, "f4": 3.4028235e38}


@dataclass(frozen=True, kw_only=True)
class _Field:
    """What all kinds share.

    `predict`: "value", "delta" (reals: the change) or "no" (given, or carried along).
    """

    kind: ClassVar[str]
    # what a stored number means; other attributes may change freely
    facts: ClassVar[tuple[str, ...]] = ("unit",)
    coding: ClassVar[tuple[str, ...]] = ("predict", "parents")  # what a weight means

    unit: str = ""
    predict: str = "value"
    parents: tuple[str, ...] = ()  # columns that a head chain samples before this one
    # left-right mirror: keep | negate (Real) | invert (Flag) | the name of the partner field
    mirror: str = "keep"
    weight: float = 1.0  # of its loss
    # a control that counts only while this flag of the state is on, or with ! before it, off
    when: str = ""
    doc: str = ""


@dataclass(frozen=True)
class Real(_Field):
    """A number, f32 in memory.

    Multiplied by `scale` it is of order one. `low` and `high` are the allowed range.
    """

    kind = "real"
    facts = ("unit", "store")
    coding = ("predict", "parents", "scale", "low", "high", "reset_on")

    name: str
    scale: float = dataclasses.field(default=1.0, kw_only=True)
    low: float | None = dataclasses.field(default=None, kw_only=True)
    high: float | None = dataclasses.field(default=None, kw_only=True)
    store: Literal["f2", "f4"] = dataclasses.field(default="f4", kw_only=True)
    # the event at which it jumps
    reset_on: str | None = dataclasses.field(default=None, kw_only=True)
    predict: str = dataclasses.field(default="delta", kw_only=True)

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and largest value that may be stored."""
        largest = LARGEST[self.store]
        low, high = (
            -largest if self.low is None else self.low,
            largest if self.high is None else self.high,
        )
        # a bound such as 0.1 has no exact f2; what it becomes in storage is allowed, too
        if self.store == "f2":
            near_low, near_high = (
                np.clip((low, high), -largest, largest).astype(np.float16).tolist()
            )
            low, high = min(low, near_low), max(high, near_high)
        return low, high


@dataclass(frozen=True)
class Flag(_Field):
    """Yes or no: bool in memory, one bit on disk."""

    kind = "flag"

    name: str
    store = "bit"
    limits = (0, 1)


@dataclass(frozen=True)
class Choice(_Field):
    """One of `n`: an unsigned integer in memory and on disk, the smallest that holds n - 1.

    `seat=True` says that the value names a player (n = players, or players + 1 where the last value
    is "nobody"): a seat swap renames it. `embed` is the width of its embedding; without one the
    codec chooses.
    """

    kind = "choice"
    facts = ("unit", "n", "names", "seat")
    coding = ("predict", "parents", "embed")

    name: str
    n: int
    names: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)
    embed: int | None = dataclasses.field(default=None, kw_only=True)
    seat: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def store(self) -> str:
        """The smallest unsigned type that holds n - 1."""
        return "u1" if self.n <= 1 << 8 else "u2" if self.n <= 1 << 16 else "u4"

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and largest value that may be stored."""
        return 0, self.n - 1


Field = Real | Flag | Choice
KINDS: dict[str, type[Real] | type[Flag] | type[Choice]] = {
    "real": Real,
    "flag": Flag,
    "choice": Choice,
}


@dataclass(frozen=True)
class Group:
    """Fields that come together, `slots` times a frame.

    `per="player"`: the slots belong to the players, in their order and equally many each. `mask`
    names the flag that says whether a slot is in use; an unused slot holds zeros.
    """

    name: str
    fields: tuple[Field, ...]
    slots: int = 1
    per: Literal["player"] | None = None
    mask: str | None = None
    doc: str = ""


@dataclass(frozen=True)
class Column:
    """One field of one group, as an array [..., slots]."""

    key: str
    group: Group
    field: Field

    @property
    def slots(self) -> int:
        """The length of the last axis."""
        return self.group.slots

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type in memory."""
        if isinstance(self.field, Real):
            return np.dtype(np.float32)
        return np.dtype(bool) if isinstance(self.field, Flag) else np.dtype("<" + self.field.store)


@dataclass(frozen=True)
class Block:
    """The columns of one storage class and where they lie in a packed row: [offset, offset + nbytes)."""

    store: str
    offset: int
    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        """Values a row (for flags: bits)."""
        return sum(column.slots for column in self.columns)

    @property
    def nbytes(self) -> int:
        """Bytes a row."""
        return (self.width + 7) // 8 if self.store == "bit" else self.width * int(self.store[1])
