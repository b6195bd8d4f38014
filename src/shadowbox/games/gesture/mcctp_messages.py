"""Messages of MCCTP: JSON from the mod, checked value by value, and the actions that it takes.

MCCTP is a mod of Minecraft with a WebSocket, `ws://HOST:8765/mcctp`; its companion MCSTP adds most
of the state. A message is a handshake, a game state (20 a second), or an error. Nothing of a
message is trusted: sizes, types and finiteness are checked, and a mistake names its field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from shadowbox.errors import ShadowboxError, did_you_mean

LARGEST_MESSAGE = 64 << 10  # bytes; a game state has about two thousand
LONGEST_TEXT = 200  # letters of a name in a message
KINDS = ("handshake", "game_state", "error")
DIRECTIONS = ("forward", "backward", "left", "right")
HOLDABLE = ("sneak", "sprint", "use_item")  # beside the four directions of `move`
ACTIONS: dict[str, dict[str, Any]] = {  # name -> parameters with an example of each
    "move": {"direction": "forward", "state": "start"},
    "look": {"yaw": 0.0, "pitch": 0.0, "relative": True},
    **{name: {"state": "start"} for name in HOLDABLE},
    "jump": {},
    "attack": {},
    "throw_item": {},
    "drop_item": {"full_stack": False},
    "select_slot": {"slot": 0},
    "swap_hands": {},
    "open_inventory": {},
    "close_screen": {},
    "toggle_wheel": {},
    "inventory_click": {"slot": 0, "button": 0, "action": "PICKUP"},
    "send_chat": {"message": ""},
    "cursor": {"x": 0.5, "y": 0.5},
    "click": {"button": "left"},
}
SECTIONS: dict[str, dict[str, Any]] = {  # the parts of a game state that are read, with defaults
    "": {"timestamp": 0, "selectedSlot": 0, "timeOfDay": 0, "gameMode": "survival"},
    "heldItem": {"name": "minecraft:air", "category": "EMPTY"},
    "offhandItem": {"name": "minecraft:air", "category": "EMPTY"},
    "playerState": {
        "health": 20.0,
        "hunger": 20.0,
        "armor": 0.0,
        "x": 0.0,
        "y": 0.0,
        "z": 0.0,
        "yaw": 0.0,
        "pitch": 0.0,
        "onGround": True,
        "inWater": False,
        "swimming": False,
        "flying": False,
        "climbing": False,
        "onFire": False,
        "sprinting": False,
        "sneaking": False,
        "fallDistance": 0.0,
        "velocityY": 0.0,
        "horizontalCollision": False,
        "recentlyHurt": False,
    },
    "combatContext": {
        "attackCooldown": 1.0,  # 1: ready
        "isUsingItem": False,
        "isBlocking": False,
        "itemUseProgress": 0.0,
        "recentlyHurt": False,
        "crosshairTarget": "MISS",
        "crosshairDistance": -1.0,  # -1: nothing there
    },
    "playerInput": {  # the keys of the player, as they are labels of a recording
        "movementForward": 0.0,
        "movementSideways": 0.0,  # left is positive
        **dict.fromkeys(("jump", "sprint", "sneak", "attack", "useItem", "drop"), False),
        "swapOffhand": False,
        "openInventory": False,
        "yawDelta": 0.0,  # degrees in a tick
        "pitchDelta": 0.0,
    },
    "screenState": {
        "screenOpen": False,
        "screenType": "",
        "cursorX": 0.0,
        "cursorY": 0.0,
        "mouseLeft": False,
        "mouseRight": False,
        "shiftHeld": False,
    },
    "statusEffects": {
        "speed": False,
        "slowness": False,
        "strength": False,
        "poison": False,
        "wither": False,
        "fireResistance": False,
    },
    "threat": {
        "targetEntityHostile": False,
        "targetDistance": -1.0,  # -1: the target is not hostile
        "nearestHostileDist": -1.0,  # -1: none within 16 blocks
        "nearestHostileYaw": 0.0,  # degrees in the world, as a player's yaw, from -270 on
        "hostileCount": 0,
    },
}

State = dict[str, Any]  # "section.field" -> value; fields without a section by their name alone


def action(name: str, **params: Any) -> str:
    """Text of an action; an unknown name or parameter raises ShadowboxError."""
    if name not in ACTIONS:
        raise ShadowboxError(f"mcctp: unknown action '{name}': {did_you_mean(name, ACTIONS)}")
    if params.keys() != ACTIONS[name].keys():
        raise ShadowboxError(
            f"mcctp: action '{name}' takes {', '.join(ACTIONS[name]) or 'no parameters'} "
            f"(got {', '.join(params) or 'none'})"
        )
    return json.dumps({"action": name, "params": params}, allow_nan=False)


def parse(text: str | bytes) -> tuple[str, dict[str, Any]]:
    """Kind and content of a message from the mod; a wrong message raises ShadowboxError."""
    if not isinstance(text, str):
        raise ShadowboxError(f"mcctp: a binary message of {len(text)} bytes; JSON text is expected")
    if len(text) > LARGEST_MESSAGE:
        raise ShadowboxError(
            f"mcctp: a message of {len(text):,} letters; at most {LARGEST_MESSAGE:,} are read"
        )
    try:
        data = json.loads(text, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise ShadowboxError(f"mcctp: a message is not valid JSON: {str(error)[:120]}") from None
    if not isinstance(data, dict):
        raise ShadowboxError(f"mcctp: a message is a {_kind(data)}; an object is expected")
    kind = data.get("type")
    if kind not in KINDS:
        raise ShadowboxError(
            f"mcctp: a message of type {str(kind)[:40]!r}; expected {', '.join(KINDS)}"
        )
    return kind, data


def handshake_modules(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Modules that a handshake lists; without `mcstp` the mod sends no game states."""
    modules = data.get("modules")
    if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
        raise ShadowboxError(
            f"mcctp handshake: modules is {str(modules)[:60]!r}; expected a list of names"
        )
    return tuple(name[:LONGEST_TEXT] for name in modules[:20])


def error_text(data: Mapping[str, Any]) -> str:
    """Words of an error message, at most `LONGEST_TEXT` printable letters."""
    text = str(data.get("message", "without words"))[:LONGEST_TEXT]
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def game_state(data: Mapping[str, Any]) -> State:
    """Fields of a game state that are used, flat, each of its declared type.

    A field that is missing has its default, since revisions of the mods differ. One of another
    type, a number that is not finite, or a long text raises ShadowboxError, which names it.
    """
    state: State = {}
    for section, fields in SECTIONS.items():
        values = data if section == "" else data.get(section, {})
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            raise ShadowboxError(
                f"mcctp game_state: {section} is a {_kind(values)}; an object is expected"
            )
        for name, default in fields.items():
            key = f"{section}.{name}" if section else name
            state[key] = _checked(key, values.get(name, default), default)
    if not 0 <= state["selectedSlot"] <= 8:
        raise ShadowboxError(
            f"mcctp game_state: selectedSlot is {state['selectedSlot']:g}; expected 0 to 8"
        )
    return state


def _checked(key: str, value: Any, default: Any) -> Any:
    """The value, if it is of the default's type; a whole number may be written as 1.0."""
    if value is None and isinstance(default, str):
        return default
    right: bool
    if isinstance(default, bool):
        right = isinstance(value, bool)
    elif isinstance(default, str):
        right = isinstance(value, str) and len(value) <= LONGEST_TEXT
    else:
        right = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and abs(value) < 1e15
            and math.isfinite(value)
            and (isinstance(default, float) or value == int(value))
        )
    if not right:
        expected = {bool: "true or false", str: f"at most {LONGEST_TEXT} letters"}.get(
            type(default), "a finite number" if isinstance(default, float) else "a whole number"
        )
        raise ShadowboxError(
            f"mcctp game_state: {key} is {str(value)[:60]!r} ({_kind(value)}); expected {expected}"
        )
    return type(default)(value)


def _not_a_number(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "list", str: "text", bool: "flag", type(None): "null"}
    return kinds.get(type(value), "number")
