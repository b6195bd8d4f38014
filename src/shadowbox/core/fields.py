"""Kinds of fields (real, flag, choice) and the groups that hold them.

Kinds are a closed set; fields are open: adding a field is adding a line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Columns = dict[str, Array]

# beyond these limits a stored real would silently become infinite
LARGEST = {"f2": 65504.0, "f4": 3.4028235e38}


@dataclass(frozen=True, kw_only=True)
class _Field:
    """Attributes of all kinds.

    `predict` is "value", "delta" (the change of a real) or "no" (given, or carried along).
    """

    kind: ClassVar[str]
    # attributes that define the meaning of stored numbers; others may change freely
    facts: ClassVar[tuple[str, ...]] = ("unit",)
    coding: ClassVar[tuple[str, ...]] = ("predict", "parents")  # define the meaning of weights

    unit: str = ""
    predict: str = "value"
    parents: tuple[str, ...] = ()  # columns that a head chain samples before this one
    # left-right mirror: keep | negate (Real) | invert (Flag) | name of the partner field
    mirror: str = "keep"
    weight: float = 1.0  # weight of the field's loss
    # flag of the state that must be on (with ! before it: off) for a control to have an effect
    when: str = ""
    doc: str = ""


@dataclass(frozen=True)
class Real(_Field):
    """Number, f32 in memory.

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
    # kind of the event at which the value jumps
    reset_on: str | None = dataclasses.field(default=None, kw_only=True)
    predict: str = dataclasses.field(default="delta", kw_only=True)

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value that may be stored."""
        largest = LARGEST[self.store]
        low, high = (
            -largest if self.low is None else self.low,
            largest if self.high is None else self.high,
        )
        # a bound such as 0.1 has no exact f2; the stored value is allowed, too
        if self.store == "f2":
            near_low, near_high = (
                np.clip((low, high), -largest, largest).astype(np.float16).tolist()
            )
            low, high = min(low, near_low), max(high, near_high)
        return low, high


@dataclass(frozen=True)
class Flag(_Field):
    """True or false: bool in memory, one bit on disk."""

    kind = "flag"

    name: str
    store = "bit"
    limits = (0, 1)


@dataclass(frozen=True)
class Choice(_Field):
    """One of `n` values: the smallest unsigned integer that holds n - 1, in memory and on disk.

    `seat=True` marks a value that names a player (n = players, or players + 1 where the last value
    names no player); a seat swap renames it. `embed` is the width of its embedding; by default the
    codec chooses it.
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
        """Smallest unsigned type that holds n - 1."""
        return "u1" if self.n <= 1 << 8 else "u2" if self.n <= 1 << 16 else "u4"

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value that may be stored."""
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

    With `per="player"` the slots belong to the players, in their order and equally many each.
    `mask` names the flag that marks slots in use; an unused slot holds zeros. Of a `private` group
    each player sees the own slots alone: policies do not read those of the others. In the mirror a
    slot has the values of its partner in `mirror_slots`, such as the left wrist of the right one.
    `shown_by` names for each slot the flag of the state that is off where the slot was not found
    and holds zeros, such as `seen/left_hand` for each landmark of that hand.
    Slots that are the points of a skeleton name in `bones` the points from whose middle each hangs, ()
    for the origin: their fields `x`, `y`, `z` are places, and `vx`, `vy`, `vz` the rates of these.
    """

    name: str
    fields: tuple[Field, ...]
    slots: int = 1
    per: Literal["player"] | None = None
    mask: str | None = None
    doc: str = ""
    private: bool = False
    mirror_slots: tuple[int, ...] = ()
    shown_by: tuple[str, ...] = ()
    bones: tuple[tuple[int, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Group as plain data; attributes at their default are left out."""
        data: dict[str, Any] = {"name": self.name, "slots": self.slots}
        data |= {
            name: value
            for name in ("per", "mask", "doc", "private", "mirror_slots", "shown_by", "bones")
            if (value := getattr(self, name))
        }
        data["fields"] = []
        for field in self.fields:
            attributes = {
                a.name: getattr(field, a.name)
                for a in dataclasses.fields(field)
                if getattr(field, a.name) != a.default
            }
            data["fields"].append({"kind": field.kind, **attributes})
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Group:
        """Group from the data of `to_json`."""
        rest = dict(data)
        fields = []
        for entry in rest.pop("fields"):
            attributes: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in entry.items()
            }
            fields.append(KINDS[attributes.pop("kind")](**attributes))
        partners, flags = (tuple(rest.pop(name, ())) for name in ("mirror_slots", "shown_by"))
        bones = tuple(map(tuple, rest.pop("bones", ())))
        return Group(
            fields=tuple(fields), mirror_slots=partners, shown_by=flags, bones=bones, **rest
        )


@dataclass(frozen=True)
class Column:
    """One field of one group, as an array [..., slots]."""

    key: str
    group: Group
    field: Field

    @property
    def slots(self) -> int:
        """Length of the last axis."""
        return self.group.slots

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type in memory."""
        if isinstance(self.field, Real):
            return np.dtype(np.float32)
        return np.dtype(bool) if isinstance(self.field, Flag) else np.dtype("<" + self.field.store)


@dataclass(frozen=True)
class Block:
    """Columns of one storage class, and their place [offset, offset + nbytes) in a packed row."""

    store: str
    offset: int
    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        """Number of values in a row (for flags: bits)."""
        return sum(column.slots for column in self.columns)

    @property
    def nbytes(self) -> int:
        """Number of bytes in a row."""
        return (self.width + 7) // 8 if self.store == "bit" else self.width * int(self.store[1])
