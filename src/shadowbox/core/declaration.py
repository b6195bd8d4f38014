"""Checks of a schema's declaration: all problems at once, as text."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from shadowbox.core.fields import LARGEST, Choice, Field, Flag, Group, Real

NAME = re.compile(r"[a-z][a-z0-9_]*")
NAME_RULE = "a name must be lower-case letters, digits and _, beginning with a letter"
MOST_SLOTS = 4096  # of a group; a file that says more is damaged, and a row has no such size
PREDICT = {"real": ("value", "delta", "no"), "flag": ("value", "no"), "choice": ("value", "no")}
PLACES, RATES = ("x", "y", "z"), ("vx", "vy", "vz")  # fields of the points of a skeleton
MIRROR = {"real": ("keep", "negate"), "flag": ("keep", "invert"), "choice": ("keep",)}

TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {  # by annotation; bools are not numbers
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
    "tuple[int, ...]": (
        lambda value: (
            isinstance(value, tuple)
            and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
        ),
        "a tuple of whole numbers",
    ),
    "tuple[tuple[int, ...], ...]": (
        lambda value: (
            isinstance(value, tuple)
            and all(isinstance(v, tuple) for v in value)
            and all(isinstance(n, int) and not isinstance(n, bool) for v in value for n in v)
        ),
        "a tuple of tuples of whole numbers",
    ),
    "Literal['f2', 'f4']": (lambda value: value in ("f2", "f4"), "f2 or f4"),
    "Literal['player']": (lambda value: value == "player", "'player'"),
}


class _SchemaLike(Protocol):
    """Attributes of a schema that are checked here."""

    @property
    def fps(self) -> float: ...
    @property
    def players(self) -> int: ...
    @property
    def controls(self) -> Group: ...
    @property
    def groups(self) -> tuple[Group, ...]: ...


def _wrongly_typed(declared: Any) -> Iterable[str]:
    """Problems of attributes whose type differs from their annotation; JSON may hold any type."""
    for attribute in dataclasses.fields(declared):
        annotation, value = str(attribute.type), getattr(declared, attribute.name)
        optional = annotation.endswith(" | None")
        is_valid, expected = TYPES.get(annotation.removesuffix(" | None"), (None, ""))
        if is_valid is not None and not (is_valid(value) or (optional and value is None)):
            none = "None or " if optional else ""
            yield f"{attribute.name} must be {none}{expected} (got {repr(value)[:60]})"


def schema_problems(schema: _SchemaLike) -> Iterable[str]:
    """All problems of a declaration as text; values are checked only if all types are correct."""
    wrong = [*_wrongly_typed(schema)]
    for group in schema.groups:
        wrong += [f"group '{group.name}': {problem}" for problem in _wrongly_typed(group)]
        for field in group.fields:
            wrong += [f"{group.name}/{field.name}: {problem}" for problem in _wrongly_typed(field)]
    yield from wrong or _wrong_values(schema)


def _wrong_values(schema: _SchemaLike) -> Iterable[str]:
    if not schema.fps > 0:
        yield f"fps must be positive (got {schema.fps})"
    if not 1 <= schema.players <= MOST_SLOTS:
        yield f"players must be from 1 to {MOST_SLOTS} (got {schema.players})"
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
        if group.shown_by and (
            len(group.shown_by) != group.slots or not flags.issuperset(group.shown_by)
        ):
            yield (
                f"group '{group.name}': shown_by must name a flag of the state for each of the "
                f"{group.slots} slots (got {str(group.shown_by)[:60]})"
            )
        for field in group.fields:
            where = f"{group.name}/{field.name}"
            yield from (
                f"{where}: {problem}" for problem in _field_problems(field, group, schema.players)
            )
            yield from (
                f"{where}: parents must be columns (got '{p}')"
                for p in field.parents
                if p not in keys
            )
            if field.when and (
                group is not schema.controls or field.when.removeprefix("!") not in flags
            ):
                yield (
                    f"{where}: when must name a flag of the state, and only controls have it "
                    f"(got when='{field.when}')"
                )


def _group_problems(group: Group, players: int) -> Iterable[str]:
    if not NAME.fullmatch(group.name):
        yield f"group '{group.name}': {NAME_RULE}"
    if not group.fields:
        yield f"group '{group.name}' has no fields"
    if not 1 <= group.slots <= MOST_SLOTS:
        yield f"group '{group.name}': slots must be from 1 to {MOST_SLOTS} (got {group.slots})"
    if group.per and players >= 1 and group.slots % players:
        yield (
            f"group '{group.name}': slots must be a multiple of the {players} players "
            f"(got {group.slots})"
        )
    if group.private and not group.per:
        yield f"group '{group.name}': private needs per='player', since it hides other players' slots"
    if group.mask and not any(isinstance(f, Flag) and f.name == group.mask for f in group.fields):
        yield f"group '{group.name}': mask must name a flag of the group (got '{group.mask}')"
    partners = group.mirror_slots
    if partners and (
        sorted(partners) != list(range(group.slots))
        or any(partners[p] != s for s, p in enumerate(partners))
    ):
        yield (
            f"group '{group.name}': mirror_slots must name the partner of each of the "
            f"{group.slots} slots, in pairs (got {str(partners)[:60]})"
        )
    if group.bones and not _is_skeleton(group):
        yield (
            f"group '{group.name}': bones must name for each of the {group.slots} slots those that it "
            f"hangs from, without a circle, and the group needs the reals "
            f"{', '.join((*PLACES, *RATES))} (got {str(group.bones)[:60]})"
        )
    yield from _repeated(f"field of '{group.name}'", [field.name for field in group.fields])


def _is_skeleton(group: Group) -> bool:
    """True if every slot hangs from the origin in the end, and has a place and its rate."""
    reals = {field.name for field in group.fields if isinstance(field, Real)}
    if len(group.bones) != group.slots or not reals.issuperset((*PLACES, *RATES)):
        return False
    held: set[int] = set()
    while len(held) < group.slots:
        more = {
            slot
            for slot, parents in enumerate(group.bones)
            if slot not in held and held.issuperset(parents)
        }
        if not more:
            return False
        held |= more
    return True


def _field_problems(field: Field, group: Group, players: int) -> Iterable[str]:
    if not NAME.fullmatch(field.name):
        yield NAME_RULE
    if field.predict not in PREDICT[field.kind]:
        allowed = ", ".join(PREDICT[field.kind])
        yield f"predict of a {field.kind} must be one of {allowed} (got '{field.predict}')"
    partners = {f.name: f for f in group.fields}
    if group.mask == field.name and field.mirror != "keep":
        yield (
            f"mirror of a mask must be keep, since a mirrored slot stays in use "
            f"(got '{field.mirror}')"
        )
    elif field.mirror not in MIRROR[field.kind]:
        partner = partners.get(field.mirror)
        if (
            partner is None
            or partner.mirror != field.name
            or _aspects_of(partner) != _aspects_of(field)
        ):
            allowed = ", ".join(MIRROR[field.kind])
            yield (
                f"mirror of a {field.kind} must be one of {allowed}, or a field of the same kind, "
                f"range and storage that names this one (got '{field.mirror}')"
            )
    if isinstance(field, Real):
        low, high = field.limits
        if not (-LARGEST[field.store] <= low < high <= LARGEST[field.store]):
            yield f"range {low:g} .. {high:g} is empty or does not fit into {field.store}"
        elif field.mirror == "negate" and low != -high:
            yield f"mirror='negate' needs a symmetric range (got {low:g} .. {high:g})"
        if not field.scale > 0:
            yield f"scale must be positive (got {field.scale})"
    if isinstance(field, Choice):
        if not 1 <= field.n <= 1 << 32:
            yield f"n must be from 1 to {1 << 32} (got {field.n})"
        if field.names and len(field.names) != field.n:
            yield f"names must be {field.n}, one for each value (got {len(field.names)})"
        if field.seat and field.n not in (players, players + 1):
            yield (
                f"n must be {players}, or {players + 1} with a last value for no player, "
                f"because seat=True (got {field.n})"
            )


def _aspects_of(field: Field) -> tuple[Any, ...]:
    return (field.kind, field.limits, field.store)


def _repeated(what: str, names: Sequence[str]) -> Iterable[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{what} '{name}' is declared twice"
