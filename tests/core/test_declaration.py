"""Mistakes in the declaration of a schema are refused, all at once."""

from __future__ import annotations

import math

import pytest
from small_schemas import PAD, small

from shadowbox.core.schema import (
    Choice,
    Flag,
    Group,
    Real,
    Schema,
)
from shadowbox.errors import SchemaError

MISTAKES = {
    "fps": (lambda: Schema("s", 0, (), PAD), ["fps must be positive (got 0)"]),
    "controls": (
        lambda: Schema("s", 60, (), Group("pad", (Flag("a"),))),
        ["'pad' must be declared per='player'"],
    ),
    "group twice": (lambda: Schema("s", 60, (PAD,), PAD), ["group 'pad' is declared twice"]),
    "field twice": (lambda: small(Flag("f"), Flag("f")), ["field of 'g' 'f' is declared twice"]),
    "group name": (
        lambda: Schema("s", 60, (Group("G g", (Flag("f"),)),), PAD),
        ["group 'G g': a name must be lower-case"],
    ),
    "field name": (lambda: small(Flag("1st")), ["g/1st: a name must be lower-case"]),
    "no fields": (lambda: small(), ["group 'g' has no fields"]),
    "no slots": (
        lambda: small(Flag("f"), slots=0),
        ["group 'g': slots must be from 1 to 4096 (got 0)"],
    ),
    "per": (
        lambda: small(Flag("f"), per="team"),
        ["per must be None or 'player' (got 'team')"],
    ),
    "unequal shares": (
        lambda: small(Flag("f"), slots=3, per="player"),
        ["slots must be a multiple of the 2 players (got 3)"],
    ),
    "mask": (
        lambda: small(Flag("f"), mask="alive"),
        ["mask must name a flag of the group (got 'alive')"],
    ),
    "mask of another kind": (
        lambda: small(Choice("c", 2), mask="c"),
        ["mask must name a flag of the group (got 'c')"],
    ),
    "predict": (
        lambda: small(Flag("f", predict="delta")),
        ["g/f: predict of a flag must be one of value, no (got 'delta')"],
    ),
    "parent": (
        lambda: small(Flag("f", parents=("g/z",))),
        ["g/f: parents must be columns (got 'g/z')"],
    ),
    "mirror word": (
        lambda: small(Flag("f", mirror="negate")),
        ["g/f: mirror of a flag must be one of keep, invert, or", "(got 'negate')"],
    ),
    "mirror one way": (
        lambda: small(Flag("f", mirror="h"), Flag("h")),
        ["g/f: mirror of a flag must be", "(got 'h')"],
    ),
    "mirror other kind": (
        lambda: small(Flag("f", mirror="h"), Real("h", mirror="f")),
        ["g/f: mirror of a flag must be", "g/h: mirror of a real must be"],
    ),
    "mirror other n": (
        lambda: small(Choice("f", 2, mirror="h"), Choice("h", 3, mirror="f")),
        ["g/f: mirror of a choice must be", "(got 'h')"],
    ),
    "store": (lambda: small(Real("x", store="f8")), ["g/x: store must be f2 or f4 (got 'f8')"]),
    "empty range": (lambda: small(Real("x", low=2, high=1)), ["g/x: range 2 .. 1 is empty"]),
    "point range": (lambda: small(Real("x", low=1, high=1)), ["g/x: range 1 .. 1 is empty"]),
    "range beyond f2": (
        lambda: small(Real("x", high=70000, store="f2")),
        ["70000", "does not fit into f2"],
    ),
    "nan range": (
        lambda: small(Real("x", low=math.nan, high=1)),
        ["g/x: low must be None or a number (got nan)"],
    ),
    "lopsided negate": (
        lambda: small(Real("x", low=-1, high=2, mirror="negate")),
        ["g/x: mirror='negate' needs a symmetric range (got -1 .. 2)"],
    ),
    "scale": (lambda: small(Real("x", scale=0)), ["g/x: scale must be positive (got 0)"]),
    "no choice": (
        lambda: small(Choice("c", 0)),
        ["g/c: n must be from 1 to 4294967296 (got 0)"],
    ),
    "huge choice": (lambda: small(Choice("c", (1 << 32) + 1)), ["g/c: n must", "4294967297"]),
    "names": (
        lambda: small(Choice("c", 3, names=("a", "b"))),
        ["g/c: names must be 3, one for each value (got 2)"],
    ),
    "seat": (
        lambda: small(Choice("c", 4, seat=True)),
        ["g/c: n must be 2, or 3 with", "because seat=True (got 4)"],
    ),
    "all at once": (
        lambda: Schema(
            "s", -1, (Group("g", (Flag("F"), Choice("c", 0), Real("x", scale=-1))),), PAD
        ),
        ["fps must be positive", "g/F:", "g/c: n must be from 1", "g/x: scale must be positive"],
    ),
}


@pytest.mark.parametrize(("declare", "parts"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_of_a_declaration_is_named(declare: object, parts: list[str]) -> None:
    """The error names the wrong field and the allowed values, for all mistakes at once."""
    with pytest.raises(SchemaError) as caught:
        declare()
    for part in parts:
        assert part in str(caught.value)


def test_what_is_just_allowed_is_allowed() -> None:
    """Limits are inclusive: the largest f2, both forms of a seat, a symmetric range, n = 1."""
    schema = small(
        Real("x", high=65504, store="f2"),
        Real("y", low=-3, high=3, mirror="negate"),
        Choice("one", 1),
        Choice("who", 2, seat=True),
        Choice("whom", 3, seat=True),
        Choice("all", 1 << 32),
    )
    assert [key.partition("/")[2] for key in schema.state_keys] == [
        "x",
        "y",
        "one",
        "who",
        "whom",
        "all",
    ]
