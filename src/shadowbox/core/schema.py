"""The one list of fields, and all that follows from it.

A game declares `Real`, `Flag` and `Choice` fields in `Group`s and groups in a `Schema`. Derived
here: the columns ("group/field" -> array), the packed row in which a frame is stored, pack and
unpack, two hashes, a comparison in words and a table for the docs. What a kind means to a model
stands in `model/codec.py`, nowhere else.

A packed row gathers values by storage class, widest first, so that every class is one contiguous
block:

    | f4 ... | u4 ... | f2 ... | u2 ... | u1 ... | bits: 8 flags a byte, little end first | padding
    to 8 bytes |

The kinds stand in `core/fields.py`; what can be wrong with a declaration in `core/declaration.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shadowbox.core.declaration import schema_problems
from shadowbox.core.fields import (
    KINDS,
    Array,
    Block,
    Choice,
    Column,
    Columns,
    Field,
    Flag,
    Group,
    Real,
)
from shadowbox.errors import SchemaError, SchemaMismatch

__all__ = [
    "Array",
    "Block",
    "Choice",
    "Column",
    "Columns",
    "Field",
    "Flag",
    "Group",
    "Real",
    "Schema",
    "differences",
    "require",
    "require_same",
]

BITS = "bits"  # the one member of a packed row that is no column: all flags, eight a byte
# bytes; a window of rows then starts at an address that every element type may have
ROW_ALIGNMENT = 8


@dataclass(frozen=True)
class Schema:
    """All fields of a game.

    `controls` has one slot (or equally many) for each player; zero is its neutral value.
    """

    name: str
    fps: float
    state: tuple[Group, ...]
    controls: Group
    players: int = 0  # 0: as many as the controls have slots

    def __post_init__(self) -> None:
        if self.players == 0:
            object.__setattr__(self, "players", self.controls.slots)
        if found := list(schema_problems(self)):
            raise SchemaError(f"schema '{self.name}': " + "; ".join(found))

    # ---- columns -----------------------------------------------------------------------------------------------

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every column by its key, in the order of declaration, controls last."""
        return {
            f"{g.name}/{f.name}": Column(f"{g.name}/{f.name}", g, f)
            for g in self.groups
            for f in g.fields
        }

    @property
    def groups(self) -> tuple[Group, ...]:
        """The state groups, then the controls."""
        return (*self.state, self.controls)

    @cached_property
    def control_keys(self) -> tuple[str, ...]:
        """Keys of the columns that players produce."""
        return tuple(f"{self.controls.name}/{f.name}" for f in self.controls.fields)

    @cached_property
    def state_keys(self) -> tuple[str, ...]:
        """Keys of the columns that the game produces."""
        return tuple(key for key in self.columns if key not in self.control_keys)

    def neutral(self, *lead: int) -> Columns:
        """Columns of zeros [*lead, slots]: a frame in which nothing is and nobody presses anything."""
        return {key: np.zeros((*lead, c.slots), c.dtype) for key, c in self.columns.items()}

    # ---- the packed row ----------------------------------------------------------------------------------------

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The packed row's blocks, widest storage class first."""
        blocks, offset = [], 0
        for store in ("f4", "u4", "f2", "u2", "u1", "bit"):
            columns = tuple(c for c in self.columns.values() if c.field.store == store)
            if columns:
                blocks.append(Block(store, offset, columns))
                offset += blocks[-1].nbytes
        return tuple(blocks)

    @cached_property
    def row_dtype(self) -> np.dtype[Any]:
        """The structured dtype of one stored frame: a member for each real and choice column, and `bits`."""
        names, formats, offsets = [], [], []
        end = 0
        for block in self.blocks:
            end = block.offset + block.nbytes
            if block.store == "bit":
                names.append(BITS)
                formats.append(("u1", (block.nbytes,)))
                offsets.append(block.offset)
                continue
            at = block.offset
            for column in block.columns:
                names.append(column.key)
                formats.append(("<" + block.store, (column.slots,)))
                offsets.append(at)
                at += column.slots * int(block.store[1])
        itemsize = -(-end // ROW_ALIGNMENT) * ROW_ALIGNMENT
        return np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize}
        )

    @cached_property
    def flag_bits(self) -> dict[str, int]:
        """The first bit of each flag column inside `bits`; its slots follow."""
        bits, at = {}, 0
        for column in self.columns.values():
            if column.field.store == "bit":
                bits[column.key] = at
                at += column.slots
        return bits

    @cached_property
    def content_bytes(self) -> int:
        """Bytes of a row without its padding."""
        return sum(block.nbytes for block in self.blocks)

    def pack(self, columns: Mapping[str, Array]) -> Array:
        """Columns [..., slots] -> rows [...].

        Values are trusted: `core.episode.check` is what refuses bad ones.
        """
        lead = columns[next(iter(self.columns))].shape[:-1]
        rows = np.zeros(lead, self.row_dtype)
        for block in self.blocks:
            if block.store == "bit":
                flags = [np.asarray(columns[c.key], bool) for c in block.columns]
                rows[BITS] = np.packbits(np.concatenate(flags, axis=-1), axis=-1, bitorder="little")
            else:
                for column in block.columns:
                    rows[column.key] = columns[column.key]
        return rows

    def unpack(self, rows: Array, keys: Iterable[str] | None = None) -> Columns:
        """Rows [...] (structured, or bytes [..., row_bytes]) -> columns [..., slots].

        `keys` selects some.
        """
        rows = self.as_rows(rows)
        wanted = list(self.columns) if keys is None else list(keys)
        out: Columns = {}
        bits: Array | None = None
        for key in wanted:
            column = self.columns[key]
            if column.field.store != "bit":
                # always a copy: rows may be a file
                out[key] = np.array(rows[key], dtype=column.dtype)
                continue
            if bits is None:
                bits = np.unpackbits(rows[BITS], axis=-1, bitorder="little").view(bool)
            first = self.flag_bits[key]
            out[key] = np.array(bits[..., first : first + column.slots])
        return out

    def as_rows(self, packed: Array) -> Array:
        """Bytes [..., row_bytes] seen as rows [...]; rows stay as they are. No copy."""
        if packed.dtype != np.uint8:
            return packed
        if packed.shape[-1:] != (self.row_dtype.itemsize,):
            raise ValueError(
                f"packed rows of {self.name} are {self.row_dtype.itemsize} bytes wide, not {packed.shape}"
            )
        return packed.view(self.row_dtype)[..., 0]

    # ---- identity ----------------------------------------------------------------------------------------------

    @cached_property
    def facts_hash(self) -> str:
        """Identity of what a stored number means: names, kinds, sizes, units, storage precision."""
        return _digest(_description(self, lambda field: field.facts))

    @cached_property
    def coding_hash(self) -> str:
        """Identity of what a weight means: the facts, and scales, ranges, predict rules and parents."""
        return _digest(_description(self, lambda field: field.facts + field.coding))

    def to_json(self) -> dict[str, Any]:
        """The whole declaration as plain data; attributes at their default are left out."""
        return {
            "name": self.name,
            "fps": self.fps,
            "players": self.players,
            "state": [_group_to_json(group) for group in self.state],
            "controls": _group_to_json(self.controls),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Schema:
        """The inverse of `to_json`; anything unknown or missing is a SchemaError."""
        try:
            rest = dict(data)
            state = tuple(_group_from_json(group) for group in rest.pop("state"))
            return Schema(state=state, controls=_group_from_json(rest.pop("controls")), **rest)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaError(f"this is no schema: {type(error).__name__}: {error}") from error

    def table(self) -> str:
        """A Markdown table of all columns, for the docs."""
        head = (
            "column",
            "kind",
            "slots",
            "stored",
            "unit",
            "range",
            "predict",
            "mirror",
            "meaning",
        )
        lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for key, column in self.columns.items():
            field = column.field
            low, high = field.limits
            kind = f"choice of {field.n}" if isinstance(field, Choice) else field.kind
            unbounded = isinstance(field, Real) and field.low is None and field.high is None
            span = "" if unbounded or isinstance(field, Flag) else f"{low:g} .. {high:g}"
            slots = f"{column.slots} (per player)" if column.group.per else str(column.slots)
            cells = (
                f"`{key}`",
                kind,
                slots,
                field.store,
                field.unit,
                span,
                field.predict,
                field.mirror,
                field.doc.replace("|", "\\|"),
            )
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


# ---- two schemas -----------------------------------------------------------------------------------------------


def differences(wanted: Schema, found: Schema, *, coding: bool = False) -> list[str]:
    """What keeps a reader of `wanted` from using data of `found`, one line a field; fields only in `found` are ignored.

    `coding=True` compares what weights depend on as well.
    """
    lines = []
    for attribute in ("fps", "players"):
        ours, theirs = getattr(wanted, attribute), getattr(found, attribute)
        if ours != theirs:
            lines.append(f"{attribute}: {ours:g} expected, {theirs:g} found")
    if wanted.controls.name != found.controls.name:
        lines.append(f"controls: '{wanted.controls.name}' expected, '{found.controls.name}' found")
    for key, column in wanted.columns.items():
        other = found.columns.get(key)
        if other is None:
            lines.append(f"{key}: expected, not found")
        elif other.field.kind != column.field.kind:
            lines.append(f"{key}: a {column.field.kind} expected, a {other.field.kind} found")
        else:
            pairs = _aspects(column, coding), _aspects(other, coding)
            lines += [
                f"{key}: {name} {_short(ours)} expected, {_short(pairs[1][name])} found"
                for name, ours in pairs[0].items()
                if ours != pairs[1][name]
            ]
    return lines


def require(wanted: Schema, found: Schema, where: str, *, coding: bool = False) -> None:
    """Refuse `found` with every difference that matters to a reader of `wanted`."""
    lines = differences(wanted, found, coding=coding)
    if lines:
        raise SchemaMismatch(
            f"{where} was made for another schema ('{found.name}', here '{wanted.name}'): "
            + "; ".join(lines)
        )


def require_same(wanted: Schema, found: Schema, where: str) -> None:
    """Refuse `found` unless its rows are the same, byte for byte, as those of `wanted`."""
    if wanted.facts_hash != found.facts_hash:
        additional = [
            f"{key}: not expected, found" for key in found.columns if key not in wanted.columns
        ]
        lines = differences(wanted, found) + additional or [
            "the fields stand in another order, or the name differs"
        ]
        raise SchemaMismatch(
            f"{where} has other rows than those of '{wanted.name}': " + "; ".join(lines)
        )


# ---- inside ----------------------------------------------------------------------------------------------------


def _aspects(column: Column, coding: bool) -> dict[str, Any]:
    field, group = column.field, column.group
    names = field.facts + (field.coding if coding else ())
    return {
        "slots": group.slots,
        "per": group.per,
        "mask": group.mask,
        **{name: getattr(field, name) for name in names},
    }


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _description(schema: Schema, attributes: Callable[[Field], tuple[str, ...]]) -> dict[str, Any]:
    """The hashed part of a declaration.

    The order of fields counts: it is the order inside a row.
    """
    return {
        "name": schema.name,
        "fps": float(schema.fps),
        "players": schema.players,
        "controls": schema.controls.name,
        "groups": [
            {
                "name": group.name,
                "slots": group.slots,
                "per": group.per,
                "mask": group.mask,
                "fields": [
                    {
                        "name": f.name,
                        "kind": f.kind,
                        **{name: _hashed(f, name) for name in attributes(f)},
                    }
                    for f in group.fields
                ],
            }
            for group in schema.groups
        ],
    }


def _hashed(field: Field, name: str) -> Any:
    """An attribute as it is hashed: 1 and 1.0 declare the same number."""
    value = getattr(field, name)
    return float(value) if isinstance(value, int) and name in ("scale", "low", "high") else value


def _digest(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _group_to_json(group: Group) -> dict[str, Any]:
    data: dict[str, Any] = {"name": group.name, "slots": group.slots}
    if group.per:
        data["per"] = group.per
    if group.mask:
        data["mask"] = group.mask
    if group.doc:
        data["doc"] = group.doc
    data["fields"] = []
    for field in group.fields:
        given = {
            a.name: getattr(field, a.name)
            for a in dataclasses.fields(field)
            if getattr(field, a.name) != a.default
        }
        data["fields"].append({"kind": field.kind, **given})
    return data


def _group_from_json(data: Mapping[str, Any]) -> Group:
    rest = dict(data)
    fields = []
    for given in rest.pop("fields"):
        attributes: dict[str, Any] = {
            n: tuple(value) if isinstance(value, list) else value for n, value in given.items()
        }
        fields.append(KINDS[attributes.pop("kind")](**attributes))
    return Group(fields=tuple(fields), **rest)
