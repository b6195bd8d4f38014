"""From the answers of a policy to the controls that are pressed: pure functions, and a watchdog.

A policy answers probabilities and values for one frame (`_Answers`). `process` turns them into
`_Controls` by thresholds with hysteresis, a dead zone, smoothing and a limit of the look, smoothing
of the cursor, votes for a slot of the hotbar, and a mode that changes only when the game has been
in the other mode for some frames. All memory is in `_Memory`, so that a recorded series of answers
gives the same controls again. Times are in seconds and rates per second, so that the frame rate
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.games.gesture.schema import (
    ACTIONS,
    ALWAYS,
    FPS,
    FULL_TURN_RATE,
    INVENTORY,
    LOOK_DEADZONE,
    SCHEMA,
    SLOTS,
)

KEYS = (*ACTIONS, *INVENTORY)  # the controls that are pressed or not
SCREEN_KEYS = np.array([name in INVENTORY for name in KEYS])
ALWAYS_KEYS = np.array([SCHEMA.columns[f"control/{name}"].field.when == ALWAYS for name in KEYS])
_TYPES = [(key, key.partition("/")[2], SCHEMA.columns[key].dtype) for key in SCHEMA.control_keys]
LIMIT_S = 0.15  # age at which a pose, a state or an order counts as lost; released within 0.2 s


class _Answers(NamedTuple):
    """Answers of a policy for one frame."""

    keys: Array  # probability of each of KEYS, [15]
    looking: float  # probability that the person turns at all
    look: Array  # yaw and pitch, [2] in [-1, 1], as in the schema
    hotbar: Array  # probability of no change and of each slot, [10]
    cursor: Array  # x and y from the middle of the screen, [2] in [-1, 1]


class _Controls(NamedTuple):
    """Controls of one frame, as in the schema's group `control`."""

    keys: Array  # bool [15], in the order of KEYS
    look: Array  # degrees a second, yaw to the right and pitch downward, [2]
    slot: int  # 0: no change, else the slot from 1 on
    cursor: Array  # [2] in [-1, 1]; meaningful with a screen open
    screen: bool  # mode in which the controls were decided

    @property
    def idle(self) -> bool:
        """True if nothing is pressed or turned."""
        return not (self.keys.any() or self.slot or np.any(self.look))


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Settings of `process`; thresholds by control, the others for all."""

    threshold: float = 0.5  # of every control that `thresholds` does not name
    thresholds: Mapping[str, float] = field(default_factory=dict)
    hysteresis: float = 0.05  # on above threshold + hysteresis, off below threshold - hysteresis
    look_gate: float = 0.5  # threshold of `looking`, with the same hysteresis
    look_deadzone: float = 0.08  # of each axis, in the schema's unit
    look_alpha: float = 0.35  # weight of the newest frame at 30 frames a second
    look_brake: float = 0.8  # the same once the person turns no longer: a late stop overshoots
    look_speed: float = FULL_TURN_RATE  # degrees a second of a look of 1
    look_most: float = 180.0  # degrees a second at most
    look_change: float = 900.0  # change of the turning speed, degrees a second in a second
    cursor_alpha: float = 0.5
    slot_frames: int = 3  # frames in which gate and slot agree before the slot changes
    mode_frames: int = 3  # frames of a new mode before its controls count


class _Memory(NamedTuple):
    """Memory of `process` from one frame to the next."""

    keys: Array  # bool [15]
    looking: bool
    look: Array  # smoothed look, degrees a second, [2]
    cursor: Array  # [2]
    slot: int  # candidate, 0: none
    votes: int  # frames for which the candidate has been the same
    screen: bool  # mode that counts
    waiting: int  # frames for which the game has been in the other mode


def at_rest(screen: bool = False) -> _Memory:
    """Memory with nothing pressed and the cursor in the middle."""
    zeros = np.zeros(2)
    return _Memory(np.zeros(len(KEYS), bool), False, zeros, zeros, 0, 0, screen, 0)


def thresholds(settings: _Settings) -> Array:
    """Threshold of each of KEYS, f8 [15]."""
    return np.array([settings.thresholds.get(name, settings.threshold) for name in KEYS])


def process(
    settings: _Settings,
    memory: _Memory,
    answers: _Answers,
    *,
    screen_open: bool,
    dt: float,
) -> tuple[_Controls, _Memory]:
    """Controls of a frame, and the memory for the next.

    `screen_open` is the game's mode now, and `dt` the seconds since the frame before. While the
    mode changes nothing is pressed except what counts always; the cursor stays where it is.
    """
    screen, waiting = _mode(settings, memory, screen_open)
    changing = screen_open != screen
    counts = ALWAYS_KEYS if changing else ALWAYS_KEYS | (screen == SCREEN_KEYS)
    limits = thresholds(settings)
    keys = _hysteresis(memory.keys, answers.keys, limits, settings.hysteresis) & counts
    playing = not screen and not changing
    looking = playing and bool(
        _hysteresis(
            np.array(memory.looking),
            np.array(answers.looking),
            np.array(settings.look_gate),
            settings.hysteresis,
        )
    )
    look = _look(settings, memory.look, answers.look, looking, dt) if playing else np.zeros(2)
    slot, votes, emitted = _vote(settings, memory, answers.hotbar) if playing else (0, 0, 0)
    cursor = memory.cursor
    if screen and not changing:
        weight = share_of(settings.cursor_alpha, dt)
        cursor = np.clip(cursor + weight * (answers.cursor - cursor), -1.0, 1.0)
    if screen != memory.screen:
        cursor = np.zeros(2)
    after = _Memory(keys, looking, look, cursor, slot, votes, screen, waiting)
    return _Controls(keys, look, emitted, cursor, screen), after


def share_of(alpha: float, dt: float) -> float:
    """Weight of the newest value after `dt` seconds, for a weight of `alpha` a frame at 30 a second."""
    return 1.0 - float((1.0 - alpha) ** (max(dt, 0.0) * FPS))


def control_columns(controls: _Controls) -> Columns:
    """Controls as columns of the schema, [1, 1] each, for recordings and a policy's next view."""
    values: dict[str, float] = dict(zip(KEYS, controls.keys.tolist(), strict=True))
    look = np.clip(controls.look / FULL_TURN_RATE, -1, 1)
    values |= {
        "looking": bool(np.any(look)),
        "look_yaw": float(look[0]),
        "look_pitch": float(look[1]),
        "hotbar": controls.slot,
        "cursor_x": float(controls.cursor[0]) if controls.screen else 0.0,
        "cursor_y": float(controls.cursor[1]) if controls.screen else 0.0,
    }
    return {key: np.array(((values[name],),), dtype) for key, name, dtype in _TYPES}


def certain(keys: Mapping[str, float]) -> _Answers:
    """Answers that are sure of these controls (names of the schema's group `control`, with values)."""
    hotbar = np.zeros(1 + SLOTS)
    hotbar[int(keys.get("hotbar", 0))] = 1.0
    look = np.array([keys.get("look_yaw", 0.0), keys.get("look_pitch", 0.0)])
    return _Answers(
        np.array([float(keys.get(name, 0.0)) for name in KEYS]),
        float(keys.get("looking", np.any(look))),
        look,
        hotbar,
        np.array([keys.get("cursor_x", 0.0), keys.get("cursor_y", 0.0)]),
    )


def answers_of(chances: Mapping[str, Array]) -> _Answers:
    """Answers from the chances of controls by key: [1] each, of the hotbar [1, 10]."""
    value = {key.partition("/")[2]: values[0] for key, values in chances.items()}
    look = np.array([value["look_yaw"], value["look_pitch"]], np.float64)
    # without a gate, a look beyond the dead zone
    looking = value.get("looking", np.abs(look).max() > LOOK_DEADZONE)
    return _Answers(
        np.array([float(value[name]) for name in KEYS]),
        float(looking),
        look,
        np.asarray(value["hotbar"], np.float64),
        np.array([value["cursor_x"], value["cursor_y"]], np.float64),
    )


def finite(answers: _Answers) -> bool:
    """True if every answer is a finite number."""
    return all(bool(np.isfinite(part).all()) for part in answers)


def settings_of(thresholds: Mapping[str, float], usual: float | None) -> _Settings:
    """Settings with thresholds by control (`control/jump`), and `usual` for the others."""
    named = {key.partition("/")[2]: value for key, value in thresholds.items()}
    gate = named.pop("looking", _Settings.look_gate)
    limits = {name: value for name, value in named.items() if name in KEYS}
    usual = _Settings.threshold if usual is None else usual
    return _Settings(threshold=usual, thresholds=limits, look_gate=gate)


def decide(
    settings: _Settings, memory: _Memory, chances: Mapping[str, Array], row: Columns
) -> tuple[Columns, _Memory]:
    """Controls [1] of a recorded row [1], as in live play, and the memory for the next."""
    screen = bool(row["game/screen_open"][0])
    controls, memory = process(
        settings, memory, answers_of(chances), screen_open=screen, dt=1 / FPS
    )
    return {key: values[0] for key, values in control_columns(controls).items()}, memory


def _mode(settings: _Settings, memory: _Memory, screen_open: bool) -> tuple[bool, int]:
    """Mode that counts, and the frames for which the game has been in the other one."""
    if screen_open == memory.screen:
        return memory.screen, 0
    waiting = memory.waiting + 1
    return (screen_open, 0) if waiting >= settings.mode_frames else (memory.screen, waiting)


def _hysteresis(held: Array, probability: Array, threshold: Array, margin: float) -> Array:
    """Pressed or not: bool, from probabilities of the same shape."""
    on = np.minimum(threshold + margin, 1.0)  # a threshold of 1 needs a probability of 1
    pressed: Array = np.where(held, probability >= threshold - margin, probability >= on)
    return pressed


def _look(settings: _Settings, before: Array, look: Array, looking: bool, dt: float) -> Array:
    """Turning speed in degrees a second, [2]."""
    wanted = np.where(np.abs(look) > settings.look_deadzone, look, 0.0) * settings.look_speed
    moved: Array
    if looking:
        smooth = before + share_of(settings.look_alpha, dt) * (wanted - before)
        step = settings.look_change * max(dt, 0.0)
        moved = before + np.clip(smooth - before, -step, step)
    else:
        moved = before * (1 - share_of(settings.look_brake, dt))
    moved[np.abs(moved) < 0.5] = 0.0  # half a degree a second; otherwise it would never end
    return np.asarray(np.clip(moved, -settings.look_most, settings.look_most))


def _vote(settings: _Settings, memory: _Memory, hotbar: Array) -> tuple[int, int, int]:
    """Candidate for the slot, its votes, and the slot that is chosen now (0: none)."""
    slot = 1 + int(np.argmax(hotbar[1:])) if hotbar[0] < 0.5 else 0
    votes = memory.votes + 1 if slot and slot == memory.slot else int(slot > 0)
    return slot, votes, slot if votes == settings.slot_frames else 0


class _AnyHands(Protocol):
    """Keys that a game holds, as `_Hands` has them."""

    held: set[str]
    notes: set[str]

    def messages(
        self, controls: _Controls, now: float, slot: int, screen_open: bool
    ) -> Iterator[str]: ...

    def release(self) -> list[str]: ...

    def release_all(self) -> list[str]: ...

    def forget(self) -> None: ...


# ---- watchdog ------------------------------------------------------------------------------------


class _Signs(NamedTuple):
    """Times of the latest signs of life, in seconds of one clock; None: never."""

    pose: float | None  # a person was seen
    state: float | None  # the game sent its state
    order: float | None  # the loop asked for controls
    connected: bool
    panic: bool = False
    ending: bool = False


def alarms(signs: _Signs, now: float, limit_s: float = LIMIT_S) -> tuple[str, ...]:
    """Reasons to release everything now; empty: the controls may be pressed."""
    late = {
        "pose lost": signs.pose,
        "game state stale": signs.state,
        "loop stopped": signs.order,
    }
    found = [name for name, at in late.items() if at is None or now - at > limit_s]
    found += ["not connected"] * (not signs.connected)
    return tuple(found + ["panic"] * signs.panic + ["ending"] * signs.ending)
