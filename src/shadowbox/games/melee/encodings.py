"""What a model is shown of a frame of Melee: switches over the one schema, and the four layouts that others trained on.

Every switch selects or derives; none needs another store. The presets repeat the layouts of older
systems value by value, so that their models can be built and compared. Where an older system had an
error in its data (hit stun that was none, damage without its fraction), the preset has its layout
and our data.
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
THRESHOLD = 0.3  # how far from its rest an axis counts as pushed


@dataclass(frozen=True)
class EncodingSwitches:
    """What goes into an encoding. The defaults are the smallest of the older layouts."""

    # of the action: one float, a category of 150, or not at all
    state_age: Literal["number", "embed", "no"] = "number"
    # the game's own bits: 17 that are documented, or all 40
    state_flags: Literal["no", "named", "all"] = "no"
    hitstun: bool = False  # frames left, where the game says that they count
    projectiles: bool = False  # way to the nearest item, and how many there are
    l_cancel: bool = True
    all_buttons: bool = False  # START and the rest of the D-pad, too
    both_shoulders: bool = False  # each analog shoulder, not the larger one
    press_events: bool = False  # to a world model: presses that begin
    # to a world model: axes that are pushed
    controller_thresholds: Literal["no", "centered", "legacy"] = "no"


PRESETS: dict[str, EncodingSwitches] = {
    "v2": EncodingSwitches(),
    "v2-embed": EncodingSwitches(state_age="embed"),
    "v3": EncodingSwitches(state_age="embed", state_flags="all", hitstun=True),
    "v3-projectiles": EncodingSwitches(
        state_age="embed", state_flags="all", hitstun=True, projectiles=True
    ),
}


def encoding(name: str = "own", **switches: Any) -> Encoding:
    """A preset by name, changed by switches; `own` begins with the defaults of `EncodingSwitches`."""
    if name != "own" and name not in PRESETS:
        raise UsageError(f"melee has no encoding '{name}': {did_you_mean(name, PRESETS)}")
    known = {field.name: field for field in dataclasses.fields(EncodingSwitches)}
    for switch, value in switches.items():
        if switch not in known:
            raise UsageError(
                f"an encoding of melee has no switch '{switch}': {did_you_mean(switch, known)}"
            )
        allowed = _allowed(switch)
        if value not in allowed or isinstance(value, bool) != isinstance(allowed[0], bool):
            raise UsageError(f"{switch}={value!r}: {' or '.join(map(str, allowed))} is possible")
    return _built(name, dataclasses.replace(PRESETS.get(name, EncodingSwitches()), **switches))


def _allowed(switch: str) -> tuple[Any, ...]:
    choices = {
        "state_age": ("number", "embed", "no"),
        "state_flags": ("no", "named", "all"),
        "controller_thresholds": ("no", "centered", "legacy"),
    }
    return choices.get(switch, (True, False))


@lru_cache
def _built(name: str, on: EncodingSwitches) -> Encoding:
    controls = _controls(on)
    numbers = (
        *(NumberInput(n, f"player/{n}", scale=s, block=CORE, target="delta") for n, s in _CORE),
        *(
            NumberInput(n, f"player/{n}", scale=0.05, block=VELOCITY, target="delta")
            for n in _VELOCITY
        ),
        *(
            (NumberInput("age", "player/age", scale=0.01, block=AGE),)
            if on.state_age == "number"
            else ()
        ),
        NumberInput("hitlag", "player/hitlag", scale=0.1, block=DYNAMICS, target="value"),
        NumberInput("stocks", "player/stocks", scale=0.25, block=DYNAMICS, target="value"),
        NumberInput("combo", "player/combo", scale=0.1, block=DYNAMICS, target="value"),
        *(
            (NumberInput("hitstun", "player/hitstun", scale=0.02, block=DYNAMICS, target="value"),)
            if on.hitstun
            else ()
        ),
        *(_PROJECTILES if on.projectiles else ()),
        NumberInput("facing_right", "player/facing_right", block=BINARY, target="value"),
        NumberInput("invulnerable", _invulnerable, block=BINARY, target="value"),
        NumberInput("on_ground", "player/on_ground", block=BINARY, target="value"),
        *(
            NumberInput(n, f"player/{n}", block=BINARY, target="value")
            for n in _FLAGS[on.state_flags]
        ),
        *controls,
    )
    found = Encoding(
        name,
        SCHEMA.players,
        numbers,
        tuple(c for c in _categories(on) if on.l_cancel or c.name != "l_cancel"),
        shared=(CategoryInput("stage", "stage/id", n=len(STAGES), embed=4),),
        order=(CORE, VELOCITY, BINARY, DYNAMICS),
        conditions=(*controls, *_events(on), *_thresholds(on)),
        settings=dataclasses.asdict(on),
    )
    found.require(SCHEMA)
    return found


# ---- the parts -------------------------------------------------------------------------------------------------

_CORE = (("percent", 0.01), ("x", 0.05), ("y", 0.05), ("shield", 0.01))
_VELOCITY = ("air_vx", "vy", "ground_vx", "knock_vx", "knock_vy")
_FLAGS: Mapping[str, tuple[str, ...]] = {"no": (), "named": NAMED_FLAGS, "all": FLAG_NAMES}


def _categories(on: EncodingSwitches) -> tuple[CategoryInput, ...]:
    age = (CategoryInput("age", _whole_age, n=150, embed=8),) if on.state_age == "embed" else ()
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


def _controls(on: EncodingSwitches) -> tuple[NumberInput, ...]:
    """Sticks from 0 to 1 with 0.5 in the middle, shoulders, buttons."""
    sticks = (
        NumberInput(n, f"pad/{n}", scale=0.5, shift=0.5, block=CONTROLS)
        for n in ("main_x", "main_y", "c_x", "c_y")
    )
    shoulders = (
        tuple(NumberInput(n, f"pad/{n}", block=CONTROLS) for n in ("l_push", "r_push"))
        if on.both_shoulders
        else (NumberInput("shoulder", _shoulder, block=CONTROLS),)
    )
    buttons = (
        NumberInput(f"button_{n}", f"pad/{n}", block=CONTROLS)
        for n in (ALL_BUTTONS if on.all_buttons else BUTTONS)
    )
    return (*sticks, *shoulders, *buttons)


def _events(on: EncodingSwitches) -> tuple[NumberInput, ...]:
    names = (ALL_BUTTONS if on.all_buttons else BUTTONS) if on.press_events else ()
    return tuple(
        NumberInput(f"press_{name}", f"pad/{name}", block=CONTROLS, edge=True) for name in names
    )


def _thresholds(on: EncodingSwitches) -> tuple[NumberInput, ...]:
    if on.controller_thresholds == "no":
        return ()
    pushed = _pushed if on.controller_thresholds == "centered" else _pushed_from_zero
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
    """As older systems had it: compared after the sticks were moved to 0 ..

    1, so at rest it is true.
    """

    def read(columns: Mapping[str, Values], xp: Any) -> Values:
        return (columns[f"pad/{name}"] * 0.5 + 0.5 if stick else _shoulder(columns, xp)) > THRESHOLD

    return read


# ---- derived values: columns [..., slots] -> [..., players] ------------------------------------------------------


def _invulnerable(columns: Mapping[str, Values], xp: Any) -> Values:
    return columns["player/hurtbox"] != 0


def _whole_age(columns: Mapping[str, Values], xp: Any) -> Values:
    """Whole frames; below zero (unset) counts as zero."""
    return xp.clip(columns["player/age"], 0, 149)


def _shoulder(columns: Mapping[str, Values], xp: Any) -> Values:
    return xp.maximum(columns["pad/l_push"], columns["pad/r_push"])


def _nearest(columns: Mapping[str, Values], xp: Any, axis: str) -> Values:
    """The way to the nearest item along an axis, 0 where there is none."""
    alive = columns["item/alive"][..., None, :]
    ways = {
        name: (columns[f"item/{name}"][..., None, :] - columns[f"player/{name}"][..., :, None])
        * alive
        for name in ("x", "y")
    }  # [..., players, items]
    far = xp.where(alive, xp.abs(ways["x"]) ** 2 + ways["y"] ** 2, xp.inf)
    nearest = xp.argmin(far, axis=-1)[..., None]
    pick = getattr(xp, "take_along_axis", None) or xp.take_along_dim  # one thing, two names
    return pick(ways[axis], nearest, -1)[..., 0]


def _item_dx(columns: Mapping[str, Values], xp: Any) -> Values:
    return _nearest(columns, xp, "x")


def _item_dy(columns: Mapping[str, Values], xp: Any) -> Values:
    return _nearest(columns, xp, "y")


def _items(columns: Mapping[str, Values], xp: Any) -> Values:
    """How many items there are, the same for everybody."""
    count = columns["item/alive"].sum(-1)[..., None]
    return count + 0 * columns["player/x"]


_PROJECTILES = (
    NumberInput("item_dx", _item_dx, scale=0.05, block=PROJECTILES),
    NumberInput("item_dy", _item_dy, scale=0.05, block=PROJECTILES),
    NumberInput("items", _items, scale=0.1, block=PROJECTILES),
)
