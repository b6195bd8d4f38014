"""Encodings of a Melee frame for models: switches over the schema, and presets of older systems.

Every switch selects or derives columns; none needs another store. The presets repeat the layouts
of older systems value by value, so that their models can be built and compared. Where an older
system had an error in its data (false hitstun, damage without its fraction), the preset has its
layout and our data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from shadowbox.core.encoding import CONTROLS, CategoryInput, Encoding, NumberInput, Values
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.melee.names import CHARACTERS, STAGES
from shadowbox.games.melee.schema import FLAG_NAMES, NAMED_FLAGS, SCHEMA

CORE, VELOCITY, BINARY, DYNAMICS, PROJECTILES, AGE = (
    "core",
    "velocity",
    "binary",
    "dynamics",
    "projectiles",
    "age",
)
BUTTONS = ("a", "b", "x", "y", "z", "l", "r", "d_up")
ALL_BUTTONS = (*BUTTONS, "start", "d_down", "d_left", "d_right")
THRESHOLD = 0.3  # distance from rest at which an axis counts as pushed


@dataclass(frozen=True)
class _EncodingSwitches:
    """Switches that select the inputs of an encoding; the defaults are the smallest preset."""

    # age of the action: one float, a category of 150, or not at all
    state_age: Literal["number", "embed", "no"] = "number"
    # the game's own bits: the 17 documented ones, or all 40
    state_flags: Literal["no", "named", "all"] = "no"
    hitstun: bool = False  # frames left, while the game's flag says hitstun
    projectiles: bool = False  # offset of the nearest item, and the number of items
    l_cancel: bool = True  # result of an L-cancel
    all_buttons: bool = False  # also START and the rest of the D-pad
    both_shoulders: bool = False  # each analog shoulder, not only the larger one
    press_events: bool = False  # for world models: onsets of presses
    # for world models: flags of pushed axes
    controller_thresholds: Literal["no", "centered", "legacy"] = "no"


PRESETS: dict[str, _EncodingSwitches] = {
    "v2": _EncodingSwitches(),
    "v2-embed": _EncodingSwitches(state_age="embed"),
    "v3": _EncodingSwitches(state_age="embed", state_flags="all", hitstun=True),
    "v3-projectiles": _EncodingSwitches(
        state_age="embed", state_flags="all", hitstun=True, projectiles=True
    ),
}


def encoding(name: str = "own", **switches: Any) -> Encoding:
    """Encoding of a preset changed by switches; `own` starts from the defaults of the switches."""
    if name != "own" and name not in PRESETS:
        raise UsageError(f"melee: unknown encoding '{name}': {did_you_mean(name, PRESETS)}")
    names = [field.name for field in dataclasses.fields(_EncodingSwitches)]
    for switch, value in switches.items():
        if switch not in names:
            raise UsageError(
                f"melee: unknown encoding switch '{switch}': {did_you_mean(switch, names)}"
            )
        allowed = _allowed(switch)
        if value not in allowed or isinstance(value, bool) != isinstance(allowed[0], bool):
            raise UsageError(
                f"melee: encoding switch '{switch}' must be {' or '.join(map(str, allowed))} "
                f"(got {value!r})"
            )
    return _build(name, dataclasses.replace(PRESETS.get(name, _EncodingSwitches()), **switches))


def _allowed(switch: str) -> tuple[Any, ...]:
    choices = {
        "state_age": ("number", "embed", "no"),
        "state_flags": ("no", "named", "all"),
        "controller_thresholds": ("no", "centered", "legacy"),
    }
    return choices.get(switch, (True, False))


@lru_cache
def _build(name: str, switches: _EncodingSwitches) -> Encoding:
    controls = _controls(switches)
    numbers = (
        *(NumberInput(n, f"player/{n}", scale=s, block=CORE, target="delta") for n, s in _CORE),
        *(
            NumberInput(n, f"player/{n}", scale=0.05, block=VELOCITY, target="delta")
            for n in _VELOCITY
        ),
        *(
            (NumberInput("age", "player/age", scale=0.01, block=AGE),)
            if switches.state_age == "number"
            else ()
        ),
        NumberInput("hitlag", "player/hitlag", scale=0.1, block=DYNAMICS, target="value"),
        NumberInput("stocks", "player/stocks", scale=0.25, block=DYNAMICS, target="value"),
        NumberInput("combo", "player/combo", scale=0.1, block=DYNAMICS, target="value"),
        *(
            (NumberInput("hitstun", "player/hitstun", scale=0.02, block=DYNAMICS, target="value"),)
            if switches.hitstun
            else ()
        ),
        *(_PROJECTILES if switches.projectiles else ()),
        NumberInput("facing_right", "player/facing_right", block=BINARY, target="value"),
        NumberInput("invulnerable", _invulnerable, block=BINARY, target="value"),
        NumberInput("on_ground", "player/on_ground", block=BINARY, target="value"),
        *(
            NumberInput(n, f"player/{n}", block=BINARY, target="value")
            for n in _FLAGS[switches.state_flags]
        ),
        *controls,
    )
    result = Encoding(
        name,
        SCHEMA.players,
        numbers,
        tuple(c for c in _categories(switches) if switches.l_cancel or c.name != "l_cancel"),
        shared=(CategoryInput("stage", "stage/id", n=len(STAGES), embed=4),),
        order=(CORE, VELOCITY, BINARY, DYNAMICS),
        conditions=(*controls, *_events(switches), *_thresholds(switches)),
        settings=dataclasses.asdict(switches),
        rules={"player/age": "since player/action"},
    )
    result.require(SCHEMA)
    return result


# ---- the parts ----

_CORE = (("percent", 0.01), ("x", 0.05), ("y", 0.05), ("shield", 0.01))
_VELOCITY = ("air_vx", "vy", "ground_vx", "knock_vx", "knock_vy")
_FLAGS: Mapping[str, tuple[str, ...]] = {"no": (), "named": NAMED_FLAGS, "all": FLAG_NAMES}


def _categories(switches: _EncodingSwitches) -> tuple[CategoryInput, ...]:
    age = (
        (CategoryInput("age", _whole_age, n=150, embed=8),) if switches.state_age == "embed" else ()
    )
    return (
        CategoryInput("action", "player/action", n=400, embed=32, target=True),
        CategoryInput("jumps", "player/jumps", n=8, embed=4, target=True),
        CategoryInput("character", "player/character", n=len(CHARACTERS), embed=8),
        CategoryInput("l_cancel", "player/l_cancel", n=3, embed=2, target=True),
        CategoryInput("hurtbox", "player/hurtbox", n=3, embed=2, target=True),
        CategoryInput("ground", "player/ground", n=32, embed=4, target=True),
        CategoryInput("last_attack", "player/last_attack", n=64, embed=8, target=True),
        *age,
    )


def _controls(switches: _EncodingSwitches) -> tuple[NumberInput, ...]:
    """Inputs of a pad: sticks scaled to 0 .. 1 with rest at 0.5, shoulders, buttons."""
    sticks = (
        NumberInput(n, f"pad/{n}", scale=0.5, shift=0.5, block=CONTROLS)
        for n in ("main_x", "main_y", "c_x", "c_y")
    )
    shoulders = (
        tuple(NumberInput(n, f"pad/{n}", block=CONTROLS) for n in ("l_push", "r_push"))
        if switches.both_shoulders
        else (NumberInput("shoulder", _shoulder, block=CONTROLS),)
    )
    buttons = (
        NumberInput(f"button_{n}", f"pad/{n}", block=CONTROLS)
        for n in (ALL_BUTTONS if switches.all_buttons else BUTTONS)
    )
    return (*sticks, *shoulders, *buttons)


def _events(switches: _EncodingSwitches) -> tuple[NumberInput, ...]:
    names = (ALL_BUTTONS if switches.all_buttons else BUTTONS) if switches.press_events else ()
    return tuple(
        NumberInput(f"press_{name}", f"pad/{name}", block=CONTROLS, edge=True) for name in names
    )


def _thresholds(switches: _EncodingSwitches) -> tuple[NumberInput, ...]:
    if switches.controller_thresholds == "no":
        return ()
    pushed = _pushed if switches.controller_thresholds == "centered" else _pushed_from_zero
    axes = (("main_x", 1), ("main_y", 1), ("c_x", 1), ("c_y", 1), ("shoulder", 0))
    return tuple(
        NumberInput(f"pushed_{name}", pushed(name, bool(stick)), block=CONTROLS)
        for name, stick in axes
    )


def _pushed(name: str, stick: bool) -> Any:
    def read(columns: Mapping[str, Values], xp: Any) -> Values:
        return xp.abs(columns[f"pad/{name}"] if stick else _shoulder(columns, xp)) > THRESHOLD

    return read


def _pushed_from_zero(name: str, stick: bool) -> Any:
    """Threshold of older systems: sticks are compared after scaling to 0 .. 1.

    A stick at rest (0.5) therefore counts as pushed.
    """

    def read(columns: Mapping[str, Values], xp: Any) -> Values:
        return (columns[f"pad/{name}"] * 0.5 + 0.5 if stick else _shoulder(columns, xp)) > THRESHOLD

    return read


# ---- derived values: columns [..., slots] -> [..., players] ----


def _invulnerable(columns: Mapping[str, Values], xp: Any) -> Values:
    return columns["player/hurtbox"] != 0


def _whole_age(columns: Mapping[str, Values], xp: Any) -> Values:
    """Age of the action in whole frames; values below zero (unset) count as zero."""
    return xp.clip(columns["player/age"], 0, 149)


def _shoulder(columns: Mapping[str, Values], xp: Any) -> Values:
    return xp.maximum(columns["pad/l_push"], columns["pad/r_push"])


def _nearest(columns: Mapping[str, Values], xp: Any, axis: str) -> Values:
    """Offset of the nearest item along an axis; 0 without an item."""
    alive = columns["item/alive"][..., None, :]
    offsets = {
        name: (columns[f"item/{name}"][..., None, :] - columns[f"player/{name}"][..., :, None])
        * alive
        for name in ("x", "y")
    }  # [..., players, items]
    far = xp.where(alive, xp.abs(offsets["x"]) ** 2 + offsets["y"] ** 2, xp.inf)
    nearest = xp.argmin(far, axis=-1)[..., None]
    pick = getattr(xp, "take_along_axis", None) or xp.take_along_dim  # NumPy's, torch's name
    return pick(offsets[axis], nearest, -1)[..., 0]


def _item_dx(columns: Mapping[str, Values], xp: Any) -> Values:
    return _nearest(columns, xp, "x")


def _item_dy(columns: Mapping[str, Values], xp: Any) -> Values:
    return _nearest(columns, xp, "y")


def _items(columns: Mapping[str, Values], xp: Any) -> Values:
    """Number of items, repeated for each player."""
    count = columns["item/alive"].sum(-1)[..., None]
    return count + 0 * columns["player/x"]


_PROJECTILES = (
    NumberInput("item_dx", _item_dx, scale=0.05, block=PROJECTILES),
    NumberInput("item_dy", _item_dy, scale=0.05, block=PROJECTILES),
    NumberInput("items", _items, scale=0.1, block=PROJECTILES),
)
