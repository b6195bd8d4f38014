"""What is wrong with a declaration, in words; all of it at once."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from shadowbox.core.fields import LARGEST, Choice, Field, Flag, Group, Real

NAME = re.compile(r"[a-z][a-z0-9_]*")
PREDICT = {"real": ("value", "delta", "no"), "flag": ("value", "no"), "choice": ("value", "no")}
MIRROR = {"real": ("keep", "negate"), "flag": ("keep", "invert"), "choice": ("keep",)}

TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {  # by annotation; a bool is no number here
    "str": (lambda value: isinstance(value, str), "a text"),
    "int": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "float": (
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
        "a number",
    ),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "tuple[str, ...]": (
        lambda value: isinstance(value, tuple) and all(isinstance(v, str) for v in value),
        "a tuple of texts",
    ),
    "Literal['f2', 'f4']": (lambda value: value in ("f2", "f4"), "f2 or f4"),
    "Literal['player']": (lambda value: value == "player", "'player'"),
}


class _SchemaLike(Protocol):
    """What of a schema is looked at here."""

    @property
    def fps(self) -> float: ...  # noqa: D102
    @property
    def players(self) -> int: ...  # noqa: D102
    @property
    def controls(self) -> Group: ...  # noqa: D102
    @property
    def groups(self) -> tuple[Group, ...]: ...  # noqa: D102


def _wrongly_typed(declared: Any) -> Iterable[str]:
    """Attributes that hold another type than they are annotated with, in words.

    JSON and callers may bring anything.
    """
    for attribute in dataclasses.fields(declared):
        wanted, value = str(attribute.type), getattr(declared, attribute.name)
        optional = wanted.endswith(" | None")
        fits, words = TYPES.get(wanted.removesuffix(" | None"), (None, ""))
        if fits is not None and not (fits(value) or (optional and value is None)):
            yield f"{attribute.name}={repr(value)[:60]}, it is {'None or ' if optional else ''}{words}"


def schema_problems(schema: _SchemaLike) -> Iterable[str]:
    """Everything that is wrong with a declaration, in words.

    What has the wrong type is not looked at further.
    """
    wrong = [*_wrongly_typed(schema)]
    for group in schema.groups:
        wrong += [f"group '{group.name}': {problem}" for problem in _wrongly_typed(group)]
        for field in group.fields:
            wrong += [f"{group.name}/{field.name}: {problem}" for problem in _wrongly_typed(field)]
    yield from wrong or _wrong_values(schema)


def _wrong_values(schema: _SchemaLike) -> Iterable[str]:
    if not schema.fps > 0:
        yield f"fps is {schema.fps}, it must be positive"
    if schema.players < 1:
        yield f"{schema.players} players, at least 1 is needed"
    if schema.controls.per != "player":
        yield f"the controls '{schema.controls.name}' must be declared per='player'"
    yield from _repeated("group", [group.name for group in schema.groups])
    keys = {f"{g.name}/{f.name}" for g in schema.groups for f in g.fields}
    flags = {
        f"{g.name}/{f.name}"
        for g in schema.groups
        for f in g.fields
        if g is not schema.controls and isinstance(f, Flag)
    }
    for group in schema.groups:
        yield from _group_problems(group, schema.players)
        for field in group.fields:
            where = f"{group.name}/{field.name}"
            yield from (
                f"{where}: {problem}" for problem in _field_problems(field, group, schema.players)
            )
            yield from (
                f"{where}: parent '{p}' is no column" for p in field.parents if p not in keys
            )
            if field.when and (
                group is not schema.controls or field.when.removeprefix("!") not in flags
            ):
                yield f"{where}: when='{field.when}', it is for controls, and names a flag of the state"


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
        if (
            partner is None
            or partner.mirror != field.name
            or _aspects_of(partner) != _aspects_of(field)
        ):
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
