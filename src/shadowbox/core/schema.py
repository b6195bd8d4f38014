"""The one list of fields, and all that follows from it.

A game declares `Real`, `Flag` and `Choice` fields in `Group`s and groups in a `Schema`. Derived here: the columns
("group/field" -> array), the packed row in which a frame is stored, pack and unpack, two hashes, a comparison in
words and a table for the docs. What a kind means to a model stands in `model/codec.py`, nowhere else.

A packed row gathers values by storage class, widest first, so that every class is one contiguous block:

    | f4 ... | u4 ... | f2 ... | u2 ... | u1 ... | bits: 8 flags a byte, little end first | padding to 8 bytes |

Kinds are a closed set; fields are open: adding one is adding a line.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from shadowbox.errors import SchemaError, SchemaMismatch

Array = NDArray[Any]
Columns = dict[str, Array]

NAME = re.compile(r"[a-z][a-z0-9_]*")
BITS = "bits"  # the one member of a packed row that is no column: all flags, eight a byte
ROW_ALIGNMENT = 8  # bytes; a window of rows then starts at an address that every element type may have
LARGEST = {"f2": 65504.0, "f4": 3.4028235e38}  # beyond it a stored real would silently become infinite


@dataclass(frozen=True, kw_only=True)
class _Field:
    """What all kinds share. `predict`: "value", "delta" (reals: the change) or "no" (given, or carried along)."""

    kind: ClassVar[str]
    facts: ClassVar[tuple[str, ...]] = ("unit",)  # what a stored number means; other attributes may change freely
    coding: ClassVar[tuple[str, ...]] = ("predict", "parents")  # what a weight means

    unit: str = ""
    predict: str = "value"
    parents: tuple[str, ...] = ()  # columns that a head chain samples before this one
    mirror: str = "keep"  # left-right mirror: keep | negate (Real) | invert (Flag) | the name of the partner field
    weight: float = 1.0  # of its loss
    doc: str = ""


@dataclass(frozen=True)
class Real(_Field):
    """A number, f32 in memory. Multiplied by `scale` it is of order one. `low` and `high` are the allowed range."""

    kind = "real"
    facts = ("unit", "store")
    coding = ("predict", "parents", "scale", "low", "high", "reset_on")

    name: str
    scale: float = dataclasses.field(default=1.0, kw_only=True)
    low: float | None = dataclasses.field(default=None, kw_only=True)
    high: float | None = dataclasses.field(default=None, kw_only=True)
    store: Literal["f2", "f4"] = dataclasses.field(default="f4", kw_only=True)
    reset_on: str | None = dataclasses.field(default=None, kw_only=True)  # the event at which it jumps
    predict: str = dataclasses.field(default="delta", kw_only=True)

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and largest value that may be stored."""
        largest = LARGEST[self.store]
        low, high = (-largest if self.low is None else self.low, largest if self.high is None else self.high)
        if self.store == "f2":  # a bound such as 0.1 has no exact f2; what it becomes in storage is allowed, too
            near_low, near_high = np.clip((low, high), -largest, largest).astype(np.float16).tolist()
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

    `seat=True` says that the value names a player (n = players, or players + 1 where the last value is "nobody"):
    a seat swap renames it. `embed` is the width of its embedding; without one the codec chooses.
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
KINDS: dict[str, type[Real] | type[Flag] | type[Choice]] = {"real": Real, "flag": Flag, "choice": Choice}
PREDICT = {"real": ("value", "delta", "no"), "flag": ("value", "no"), "choice": ("value", "no")}
MIRROR = {"real": ("keep", "negate"), "flag": ("keep", "invert"), "choice": ("keep",)}


@dataclass(frozen=True)
class Group:
    """Fields that come together, `slots` times a frame.

    `per="player"`: the slots belong to the players, in their order and equally many each. `mask` names the flag
    that says whether a slot is in use; an unused slot holds zeros.
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


@dataclass(frozen=True)
class Schema:
    """All fields of a game. `controls` has one slot (or equally many) for each player; zero is its neutral value."""

    name: str
    fps: float
    state: tuple[Group, ...]
    controls: Group
    players: int = 0  # 0: as many as the controls have slots

    def __post_init__(self) -> None:
        if self.players == 0:
            object.__setattr__(self, "players", self.controls.slots)
        problems = list(_problems(self))
        if problems:
            raise SchemaError(f"schema '{self.name}': " + "; ".join(problems))

    # ---- columns -----------------------------------------------------------------------------------------------

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every column by its key, in the order of declaration, controls last."""
        return {f"{g.name}/{f.name}": Column(f"{g.name}/{f.name}", g, f) for g in self.groups for f in g.fields}

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
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})

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
        """Columns [..., slots] -> rows [...]. Values are trusted: `core.episode.check` is what refuses bad ones."""
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
        """Rows [...] (structured, or bytes [..., row_bytes]) -> columns [..., slots]; `keys` selects some."""
        rows = self.as_rows(rows)
        wanted = list(self.columns) if keys is None else list(keys)
        out: Columns = {}
        bits: Array | None = None
        for key in wanted:
            column = self.columns[key]
            if column.field.store != "bit":
                out[key] = np.array(rows[key], dtype=column.dtype)  # always a copy: rows may be a file
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
            raise ValueError(f"packed rows of {self.name} are {self.row_dtype.itemsize} bytes wide, not {packed.shape}")
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
        head = ("column", "kind", "slots", "stored", "unit", "range", "predict", "mirror", "meaning")
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
        raise SchemaMismatch(f"{where} was made for another schema ('{found.name}', here '{wanted.name}'): " + "; ".join(lines))


def require_same(wanted: Schema, found: Schema, where: str) -> None:
    """Refuse `found` unless its rows are the same, byte for byte, as those of `wanted`."""
    if wanted.facts_hash != found.facts_hash:
        additional = [f"{key}: not expected, found" for key in found.columns if key not in wanted.columns]
        lines = differences(wanted, found) + additional or ["the fields stand in another order, or the name differs"]
        raise SchemaMismatch(f"{where} has other rows than those of '{wanted.name}': " + "; ".join(lines))


# ---- inside ----------------------------------------------------------------------------------------------------


def _aspects(column: Column, coding: bool) -> dict[str, Any]:
    field, group = column.field, column.group
    names = field.facts + (field.coding if coding else ())
    return {"slots": group.slots, "per": group.per, "mask": group.mask, **{name: getattr(field, name) for name in names}}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _description(schema: Schema, attributes: Any) -> dict[str, Any]:
    """The hashed part of a declaration. The order of fields counts: it is the order inside a row."""
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
                    {"name": f.name, "kind": f.kind, **{name: _hashed(f, name) for name in attributes(f)}} for f in group.fields
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
        given = {a.name: getattr(field, a.name) for a in dataclasses.fields(field) if getattr(field, a.name) != a.default}
        data["fields"].append({"kind": field.kind, **given})
    return data


def _group_from_json(data: Mapping[str, Any]) -> Group:
    rest = dict(data)
    fields = []
    for given in rest.pop("fields"):
        attributes: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in given.items()}
        fields.append(KINDS[attributes.pop("kind")](**attributes))
    return Group(fields=tuple(fields), **rest)


TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {  # by annotation; a bool is no number here
    "str": (lambda value: isinstance(value, str), "a text"),
    "int": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "float": (
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
        "a number",
    ),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "tuple[str, ...]": (lambda value: isinstance(value, tuple) and all(isinstance(v, str) for v in value), "a tuple of texts"),
    "Literal['f2', 'f4']": (lambda value: value in ("f2", "f4"), "f2 or f4"),
    "Literal['player']": (lambda value: value == "player", "'player'"),
}


def _wrongly_typed(declared: Any) -> Iterable[str]:
    """Attributes that hold another type than they are annotated with, in words. JSON and callers may bring anything."""
    for attribute in dataclasses.fields(declared):
        wanted, value = str(attribute.type), getattr(declared, attribute.name)
        optional = wanted.endswith(" | None")
        fits, words = TYPES.get(wanted.removesuffix(" | None"), (None, ""))
        if fits is not None and not (fits(value) or (optional and value is None)):
            yield f"{attribute.name}={_short(value)}, it is {'None or ' if optional else ''}{words}"


def _problems(schema: Schema) -> Iterable[str]:
    """Everything that is wrong with a declaration, in words; what has the wrong type is not looked at further."""
    wrong = [*_wrongly_typed(schema)]
    for group in schema.groups:
        wrong += [f"group '{group.name}': {problem}" for problem in _wrongly_typed(group)]
        for field in group.fields:
            wrong += [f"{group.name}/{field.name}: {problem}" for problem in _wrongly_typed(field)]
    yield from wrong or _wrong_values(schema)


def _wrong_values(schema: Schema) -> Iterable[str]:
    if not schema.fps > 0:
        yield f"fps is {schema.fps}, it must be positive"
    if schema.players < 1:
        yield f"{schema.players} players, at least 1 is needed"
    if schema.controls.per != "player":
        yield f"the controls '{schema.controls.name}' must be declared per='player'"
    yield from _repeated("group", [group.name for group in schema.groups])
    keys = {f"{g.name}/{f.name}" for g in schema.groups for f in g.fields}
    for group in schema.groups:
        yield from _group_problems(group, schema.players)
        for field in group.fields:
            where = f"{group.name}/{field.name}"
            yield from (f"{where}: {problem}" for problem in _field_problems(field, group, schema.players))
            yield from (f"{where}: parent '{p}' is no column" for p in field.parents if p not in keys)


def _group_problems(group: Group, players: int) -> Iterable[str]:
    if not NAME.fullmatch(group.name):
        yield f"group '{group.name}': a name is lower-case letters, digits and _, beginning with a letter"
    if not group.fields:
        yield f"group '{group.name}' has no fields"
    if group.slots < 1:
        yield f"group '{group.name}': {group.slots} slots, at least 1 is needed"
    if group.per and players >= 1 and group.slots % players:
        yield f"group '{group.name}': {group.slots} slots cannot be shared equally by {players} players"
    if group.mask and not any(isinstance(f, Flag) and f.name == group.mask for f in group.fields):
        yield f"group '{group.name}': its mask '{group.mask}' is no flag of the group"
    yield from _repeated(f"field of '{group.name}'", [field.name for field in group.fields])


def _field_problems(field: Field, group: Group, players: int) -> Iterable[str]:
    if not NAME.fullmatch(field.name):
        yield "a name is lower-case letters, digits and _, beginning with a letter"
    if field.predict not in PREDICT[field.kind]:
        yield f"predict='{field.predict}', a {field.kind} has {', '.join(PREDICT[field.kind])}"
    partners = {f.name: f for f in group.fields}
    if group.mask == field.name and field.mirror != "keep":
        yield f"mirror='{field.mirror}', a mask is kept: a slot is used on both sides of a mirror"
    elif field.mirror not in MIRROR[field.kind]:
        partner = partners.get(field.mirror)
        if partner is None or partner.mirror != field.name or _aspects_of(partner) != _aspects_of(field):
            known = ", ".join(MIRROR[field.kind])
            yield f"mirror='{field.mirror}', a {field.kind} has {known} or a partner of its own form that names it"
    if isinstance(field, Real):
        low, high = field.limits
        if not (-LARGEST[field.store] <= low < high <= LARGEST[field.store]):
            yield f"range {low:g} .. {high:g} is empty or does not fit into {field.store}"
        elif field.mirror == "negate" and low != -high:
            yield f"mirror='negate' leaves the range {low:g} .. {high:g}"
        if not field.scale > 0:
            yield f"scale is {field.scale}, it must be positive"
    if isinstance(field, Choice):
        if not 1 <= field.n <= 1 << 32:
            yield f"a choice of {field.n}, 1 to {1 << 32} is possible"
        if field.names and len(field.names) != field.n:
            yield f"{len(field.names)} names for a choice of {field.n}"
        if field.seat and field.n not in (players, players + 1):
            yield f"seat=True needs n={players} or n={players + 1} (the last one: nobody), not {field.n}"


def _aspects_of(field: Field) -> tuple[Any, ...]:
    return (field.kind, field.limits, field.store)


def _repeated(what: str, names: Sequence[str]) -> Iterable[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{what} '{name}' is declared twice"
