"""Schema: the list of a game's fields, and all that follows from it.

A game declares `Real`, `Flag` and `Choice` fields in `Group`s and groups in a `Schema`. Derived
here: the columns ("group/field" -> array), the packed row in which a frame is stored, pack and
unpack, two hashes, a comparison as text and a table for the docs. The meaning of a kind to a model
is defined in `model/` alone.

A packed row gathers values by storage class, widest first, so that every class is one contiguous
block:

    | f4 ... | u4 ... | f2 ... | u2 ... | u1 ... | bits: 8 flags a byte, low bit first | padding |

The padding extends a row to a multiple of 8 bytes. Kinds are defined in `core/fields.py`, checks of
a declaration in `core/declaration.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shadowbox.core.declaration import schema_problems
from shadowbox.core.fields import (
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

BITS = "bits"  # the member of a packed row that holds all flags, eight a byte
# bytes; a window of rows then starts at an address that suits every element type
ROW_ALIGNMENT = 8


@dataclass(frozen=True)
class Schema:
    """Fields of a game.

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
        if problems := list(schema_problems(self)):
            raise SchemaError(f"schema '{self.name}': " + "; ".join(problems))

    # ---- columns ---------------------------------------------------------------------------------

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns by key, in the order of declaration, controls last."""
        return {
            f"{g.name}/{f.name}": Column(f"{g.name}/{f.name}", g, f)
            for g in self.groups
            for f in g.fields
        }

    @property
    def groups(self) -> tuple[Group, ...]:
        """State groups, then the controls."""
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
        """Columns of zeros [*lead, slots]: an empty frame without presses."""
        return {key: np.zeros((*lead, c.slots), c.dtype) for key, c in self.columns.items()}

    # ---- the packed row --------------------------------------------------------------------------

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Blocks of the packed row, widest storage class first."""
        blocks, offset = [], 0
        for store in ("f4", "u4", "f2", "u2", "u1", "bit"):
            columns = tuple(c for c in self.columns.values() if c.field.store == store)
            if columns:
                blocks.append(Block(store, offset, columns))
                offset += blocks[-1].nbytes
        return tuple(blocks)

    @cached_property
    def row_dtype(self) -> np.dtype[Any]:
        """Structured dtype of a stored frame: a member for each real and choice, and `bits`."""
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
        """First bit of each flag column inside `bits`; its slots follow."""
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
        """Pack columns [..., slots] into rows [...].

        Values are not checked here; `core.episode.check` refuses bad ones.
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
        """Unpack rows [...] (structured, or bytes [..., row_bytes]) into columns [..., slots].

        `keys` selects some columns.
        """
        rows = self.as_rows(rows)
        out: Columns = {}
        bits: Array | None = None
        for key in self.columns if keys is None else keys:
            column = self.columns[key]
            if column.field.store != "bit":
                # always a copy, since rows may be a memory-mapped file
                out[key] = np.array(rows[key], dtype=column.dtype)
                continue
            if bits is None:
                bits = np.unpackbits(rows[BITS], axis=-1, bitorder="little").view(bool)
            first = self.flag_bits[key]
            out[key] = np.array(bits[..., first : first + column.slots])
        return out

    def as_rows(self, packed: Array) -> Array:
        """View bytes [..., row_bytes] as rows [...] without a copy; rows stay as they are."""
        if packed.dtype != np.uint8:
            return packed
        if packed.shape[-1:] != (self.row_dtype.itemsize,):
            raise ValueError(
                f"packed rows of {self.name} must be {self.row_dtype.itemsize} bytes wide "
                f"(got shape {packed.shape})"
            )
        return packed.view(self.row_dtype)[..., 0]

    # ---- identity --------------------------------------------------------------------------------

    @cached_property
    def facts_hash(self) -> str:
        """Hash of the meaning of stored numbers: names, kinds, sizes, units, storage precision."""
        return _digest(_description(self, lambda field: field.facts))

    @cached_property
    def coding_hash(self) -> str:
        """Hash of the meaning of weights: facts, scales, ranges, predict rules and parents."""
        return _digest(_description(self, lambda field: field.facts + field.coding))

    def to_json(self) -> dict[str, Any]:
        """Whole declaration as plain data; attributes at their default are left out."""
        return {
            "name": self.name,
            "fps": self.fps,
            "players": self.players,
            "state": [group.to_json() for group in self.state],
            "controls": self.controls.to_json(),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Schema:
        """Schema from the data of `to_json`; unknown or missing entries raise SchemaError."""
        try:
            rest = dict(data)
            state = tuple(Group.from_json(group) for group in rest.pop("state"))
            return Schema(state=state, controls=Group.from_json(rest.pop("controls")), **rest)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaError(
                f"expected a schema as written by to_json: {type(error).__name__}: {error}"
            ) from error

    def table(self) -> str:
        """Markdown table of all columns, for the docs."""
        head = "| column | kind | slots | stored | unit | range | predict | mirror | meaning |"
        lines = [head, "|---" * (head.count("|") - 1) + "|"]
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


# ---- two schemas ---------------------------------------------------------------------------------


def differences(wanted: Schema, found: Schema, *, coding: bool = False) -> list[str]:
    """Differences that keep a reader of `wanted` from using data of `found`, one line a field.

    Fields only in `found` are ignored. `coding=True` also compares attributes that weights depend
    on.
    """
    lines = []
    for attribute in ("fps", "players"):
        expected, got = getattr(wanted, attribute), getattr(found, attribute)
        if expected != got:
            lines.append(f"{attribute}: {expected:g} expected, {got:g} found")
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
                f"{key}: {name} {_short(expected)} expected, {_short(pairs[1][name])} found"
                for name, expected in pairs[0].items()
                if expected != pairs[1][name]
            ]
    return lines


def require(wanted: Schema, found: Schema, where: str, *, coding: bool = False) -> None:
    """Refuse `found`, listing every difference that matters to a reader of `wanted`."""
    lines = differences(wanted, found, coding=coding)
    if lines:
        raise SchemaMismatch(
            f"{where} was made for another schema ('{found.name}', here '{wanted.name}'): "
            + "; ".join(lines)
        )


def require_same(wanted: Schema, found: Schema, where: str) -> None:
    """Refuse `found` unless its rows equal those of `wanted` byte for byte."""
    if wanted.facts_hash != found.facts_hash:
        additional = [
            f"{key}: not expected, found" for key in found.columns if key not in wanted.columns
        ]
        lines = differences(wanted, found) + additional or [
            "the fields are in another order, or the name differs"
        ]
        raise SchemaMismatch(
            f"{where} has other rows than those of '{wanted.name}': " + "; ".join(lines)
        )


# ---- inside --------------------------------------------------------------------------------------


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
    """Hashed part of a declaration; it includes the order of fields, which is that of a row."""
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
                **({"private": True} if group.private else {}),
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
    """Attribute in the form in which it is hashed; 1 and 1.0 declare the same number."""
    value = getattr(field, name)
    return float(value) if isinstance(value, int) and name in ("scale", "low", "high") else value


def _digest(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
