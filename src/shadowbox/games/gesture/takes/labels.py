"""Keys of a take: those of prompts that the person follows, or those that the game reports.

Prompts need no game. A prompt is announced ahead, so that a person can be on time; what lag remains
is estimated from the body's movements and removed when the take is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.game import stable_hash
from shadowbox.games.gesture.mcctp_messages import State
from shadowbox.games.gesture.schema import ACTIONS, CURSOR, INVENTORY, LOOK, PULSES

NAMES = (*ACTIONS, *LOOK, "hotbar", *CURSOR, *INVENTORY)  # order of a row of controls
NOTHING = {**dict.fromkeys(NAMES, 0.0), **dict.fromkeys(CURSOR, 0.5)}
GESTURES: Mapping[str, Mapping[str, float]] = {  # words -> controls, in the order of a calibration
    "Rest": {},
    "Walk": {"move_forward": 1},
    "Run": {"move_forward": 1, "sprint": 1},
    "Walk back": {"move_backward": 1},
    "Step left": {"strafe_left": 1},
    "Step right": {"strafe_right": 1},
    "Sneak": {"sneak": 1},
    "Jump": {"jump": 1},
    "Attack": {"attack": 1},
    "Use": {"use_item": 1},
    "Drop": {"drop_item": 1},
    "Swap hands": {"swap_offhand": 1},
    "Open the inventory": {"open_inventory": 1},
    "Look left": {"look_yaw": -0.5},
    "Look right": {"look_yaw": 0.5},
    "Look up": {"look_pitch": -0.4},
    "Look down": {"look_pitch": 0.4},
}
CUES: Mapping[str, Mapping[str, float]] = {  # words -> controls
    **{words: controls for words, controls in GESTURES.items() if controls},
    "Walk and look left": {"move_forward": 1, "look_yaw": -0.5},
    "Walk and look right": {"move_forward": 1, "look_yaw": 0.5},
    "Walk and jump": {"move_forward": 1, "jump": 1},
    "Walk and attack": {"move_forward": 1, "attack": 1},
    **{f"Show {slot} finger{'s' * (slot > 1)}": {"hotbar": slot} for slot in range(1, 10)},
}
HELD_S, SHORT_S, LOOK_S = 2.0, 0.2, 1.0  # of a held key, of a press, of a look
SHOWN_S = 1.0  # in which a short gesture is made
RESTS = (1.2, 2.2)  # seconds between two prompts
FIRST_S = 2.0
DEGREES_A_TICK = 15.0  # of a look that counts as 1


class _Cue(NamedTuple):
    """A prompt: words, and the controls that are down from `begin` to `end` seconds."""

    words: str
    controls: Mapping[str, float]
    begin: float
    end: float


def prompts(seed: int, seconds: float) -> list[_Cue]:
    """Prompts of a take: all of `CUES` in a new order each round, with rests of unequal length."""
    rng = np.random.default_rng(stable_hash("prompts", seed))
    names, time = list(CUES), FIRST_S
    out: list[_Cue] = []
    order: list[int] = []
    while True:
        order = order or rng.permutation(len(names)).tolist()
        words = names[order.pop()]
        shown = HELD_S if _is_held(CUES[words]) else SHOWN_S
        if time + shown > seconds:
            return out
        out.append(_Cue(words, CUES[words], time, time + shown))
        time += shown + float(rng.uniform(*RESTS))


def _is_held(controls: Mapping[str, float]) -> bool:
    return any(name in ACTIONS and name not in PULSES for name in controls)


def prompted(cues: Sequence[_Cue], before: float, now: float) -> dict[str, float]:
    """Controls of the prompts at `now` seconds, of which `before` was the last time asked for."""
    controls = dict(NOTHING)
    for cue in cues:
        for name, value in cue.controls.items():
            if name == "hotbar":  # in one frame
                down = before < cue.begin <= now
            else:
                long = SHORT_S if name in PULSES else LOOK_S if name in LOOK else HELD_S
                down = cue.begin <= now < cue.begin + long
            if down:
                controls[name] = float(value)
    return controls


def shown_prompts(cues: Sequence[_Cue], now: float) -> dict[str, Any]:
    """The prompt of now and the next one, with the seconds until it begins and its share done."""
    due = [cue for cue in cues if cue.end > now]
    if not due:
        return {"now": "", "next": "", "wait": 0.0, "done": 1.0}
    current = due[0] if due[0].begin <= now else None
    after = due[1:] if current else due
    return {
        "now": current.words if current else "",
        "next": after[0].words if after else "",
        "wait": round(after[0].begin - now, 2) if after else 0.0,
        "done": round((now - current.begin) / (current.end - current.begin), 3) if current else 0.0,
    }


def reported(state: State, before: State | None) -> dict[str, float]:
    """Controls that the game reports with a state; `before` is the state of the last frame."""
    said = {key.partition(".")[2]: value for key, value in state.items() if "playerInput" in key}
    screen = bool(state["screenState.screenOpen"])
    was_open = screen if before is None else bool(before["screenState.screenOpen"])
    slot = int(state["selectedSlot"])
    changed = before is not None and slot != int(before["selectedSlot"])
    look = (said["yawDelta"], said["pitchDelta"])
    controls = {
        "move_forward": said["movementForward"] > 0,
        "move_backward": said["movementForward"] < 0,
        "strafe_left": said["movementSideways"] > 0,
        "strafe_right": said["movementSideways"] < 0,
        "sprint": said["sprint"],
        "sneak": said["sneak"],
        "jump": said["jump"],
        "attack": said["attack"],
        "use_item": said["useItem"],
        "drop_item": said["drop"],
        "swap_offhand": said["swapOffhand"],
        "open_inventory": said["openInventory"] or screen != was_open,
        "hotbar": slot + 1 if changed else 0,
        **{
            name: np.clip(turn / DEGREES_A_TICK, -1, 1)
            for name, turn in zip(LOOK, look, strict=True)
        },
    }
    if screen:
        controls |= {
            "cursor_x": np.clip(state["screenState.cursorX"], 0, 1),
            "cursor_y": np.clip(state["screenState.cursorY"], 0, 1),
            "inv_left": state["screenState.mouseLeft"],
            "inv_right": state["screenState.mouseRight"],
            "inv_shift_held": state["screenState.shiftHeld"],
        }
    return {**NOTHING, **{name: float(value) for name, value in controls.items()}}
