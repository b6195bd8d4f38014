"""Scripted sessions: keys that a made-up player presses, and the state of the game that follows.

All series are [T], `FPS` a second. Four lanes run side by side, each a sequence of states with
random durations: legs, sideways steps, arms, and the look. Screens and long rests interrupt all of
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.games.gesture.features import GAME_COLUMNS, resting_game
from shadowbox.games.gesture.schema import ACTIONS, CURSOR, FPS, INVENTORY, LOOK, SCREENS, SLOTS

PULSE = 3  # frames for which a key of a pulse is down
BRIEF = 6  # frames of the shortest gesture
MARGIN = 12  # frames without keys before and after a change of the screen
TICK = 1 / 20  # seconds between two states of the game
RESTS = 0.25  # share of the time that is spent in long rests
REST = (90, 300)  # frames of a long rest: the shortest and the longest

LEGS = ("rest", "forward", "sprint", "backward", "sneak")
ARMS = ("rest", "attack", "use", "jump", "drop", "swap", "slot")
_ITEMS = (0, 0, 1, 2, 2, 3, 4, 5, 6)  # category of the item in each slot
_DECELERATION, _LEAP = 0.08, 0.42  # blocks per tick and tick, blocks per tick


@dataclass(frozen=True)
class _Script:
    """A session: gestures that the body makes, controls by name, and columns of the game [T, 1].

    `gestures` are from 0 to 1 (looks and the cursor from -1 to 1) and last as long as a body needs;
    `controls` are the keys that mean them. `rest` marks long rests, in which no key is pressed.
    """

    gestures: dict[str, Array]
    controls: dict[str, Array]
    game: Columns


def write_script(rng: np.random.Generator, frames: int, rests: float = RESTS) -> _Script:
    """Random session of `frames` frames, of which about the share `rests` are long rests."""
    screen, toggles = _screens(rng, frames)
    rest = _rests(rng, frames, rests)
    quiet = _near(toggles, MARGIN) | rest  # nothing around a change of the screen
    play = ~screen & ~quiet
    legs = _whole(_lane(rng, frames, (0.34, 0.3, 0.14, 0.1, 0.12), (20, 90)) * play)
    side = _whole(_lane(rng, frames, (0.76, 0.12, 0.12), (15, 45)) * play)
    arms = _lane(rng, frames, (0.0, 0.3, 0.16, 0.22, 0.08, 0.08, 0.16), (9, 14), 18) * play
    arms = _whole(arms)
    slots = _slots(rng, arms)
    look = _looks(rng, frames) * (play & (arms != ARMS.index("slot")))[:, None]
    cursor = _cursor(rng, frames)
    inside = screen & ~quiet
    click = _whole(_lane(rng, frames, (0.0, 0.65, 0.35), (6, 9), 14) * inside)
    shift = _whole(_lane(rng, frames, (0.75, 0.25), (30, 60)) * inside)
    gestures: dict[str, Array] = {
        "forward": (legs == 1) | (legs == 2),
        "sprint": legs == 2,
        "backward": legs == 3,
        "sneak": legs == 4,
        "left": side == 1,
        "right": side == 2,
        **{name: arms == at for at, name in enumerate(ARMS) if at},
        "slot_of": slots,
        "open": _after(_shifted(toggles, -PULSE), 12),
        "yaw": look[:, 0],
        "pitch": look[:, 1],
        "screen": screen,
        "cursor_x": cursor[:, 0] * screen,
        "cursor_y": cursor[:, 1] * screen,
        "click": click == 1,
        "second": click == 2,
        "shift": shift == 1,
        "rest": rest,
    }
    controls = _controls(gestures, toggles)
    return _Script(gestures, controls, _game(rng, controls, screen))


def _controls(gestures: dict[str, Array], toggles: Array) -> dict[str, Array]:
    """Keys of the gestures: held ones last as long, the others for a pulse."""
    held = ("forward", "backward", "left", "right", "sprint", "sneak", "jump", "attack", "use")
    keys = [
        *(gestures[name] for name in held),
        *(_after(_onset(gestures[name]), PULSE) for name in ("drop", "swap")),
        _after(_shifted(toggles, -PULSE), PULSE),
    ]
    controls: dict[str, Array] = {
        name: key.astype(np.float32) for name, key in zip(ACTIONS, keys, strict=True)
    }
    for name, source in zip(LOOK, ("yaw", "pitch"), strict=True):
        controls[name] = gestures[source]
    controls["hotbar"] = np.where(_onset(gestures["slot"]), gestures["slot_of"], 0)
    for name in CURSOR:
        controls[name] = (gestures[name] + 1) / 2
    for name, source in zip(INVENTORY, ("click", "second", "shift"), strict=True):
        controls[name] = gestures[source].astype(np.float32)
    return controls


# ---- lanes ---------------------------------------------------------------------------------------


def _lane(
    rng: np.random.Generator,
    frames: int,
    weights: tuple[float, ...],
    span: tuple[int, int],
    rest: int = 0,
) -> Array:
    """States [T] in sequence, each for `span` frames, with a pause of `rest` to 4 `rest` between."""
    count = frames // span[0] + 2
    states = rng.choice(len(weights), count, p=np.array(weights) / sum(weights))
    lengths = rng.integers(span[0], span[1] + 1, count)
    if rest:
        pauses = rng.integers(rest, 4 * rest + 1, count)
        states = np.stack([np.zeros(count, int), states], 1).ravel()
        lengths = np.stack([pauses, lengths], 1).ravel()
    return np.asarray(np.repeat(states, lengths)[:frames])


def _screens(rng: np.random.Generator, frames: int) -> tuple[Array, Array]:
    """Frames with an open screen, and the frames in which it has changed, bool [T]."""
    count = frames // 60 + 2
    closed, opened = rng.integers(240, 600, count), rng.integers(90, 240, count)
    lengths = np.stack([closed, opened], 1).ravel()
    screen = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)[:frames]
    return screen, screen != np.concatenate([[False], screen[:-1]])


def _rests(rng: np.random.Generator, frames: int, share: float) -> Array:
    """Long rests, bool [T], of about this share of the time; a session may begin in one."""
    if share <= 0:
        return np.zeros(frames, bool)
    busy = sum(REST) / 2 * (1 - share) / share  # frames between two rests, in the mean
    count = int(frames / (busy + REST[0])) + 4
    between, lengths = (
        rng.uniform(0.5, 1.5, count) * busy,
        rng.integers(REST[0], REST[1] + 1, count),
    )
    spans = np.stack([between.astype(int) + 1, lengths], 1).ravel()
    resting = np.repeat(np.arange(len(spans)) % 2 == 1, spans)
    first = int(rng.integers(0, int(busy) + REST[1]))
    return np.asarray(resting[first : first + frames])


def _slots(rng: np.random.Generator, arms: Array) -> Array:
    """Slot from 1 to 9 that is shown in each frame: a new one each time."""
    began = np.cumsum(_onset(arms == ARMS.index("slot")))
    steps = rng.integers(1, SLOTS, began[-1] + 1 if len(began) else 1)
    return np.asarray(np.cumsum(steps)[began] % SLOTS + 1)


def _looks(rng: np.random.Generator, frames: int) -> Array:
    """Turns [T, 2] that come and go: yaw and pitch as shares of a full turn."""
    on = _lane(rng, frames, (0.55, 0.45), (20, 60))
    part = np.cumsum(_onset(on == 1))
    goal = rng.normal(0, (0.45, 0.3), (part[-1] + 1, 2))
    goal = np.sign(goal) * np.clip(np.abs(goal), 0.1, 1)
    return np.asarray(smooth(goal[part] * (on == 1)[:, None], 5).astype(np.float32))


def _cursor(rng: np.random.Generator, frames: int) -> Array:
    """Path of a cursor [T, 2] from -1 to 1: it moves to a place and waits there."""
    at = np.cumsum(rng.random(frames) < 1 / 25)
    goals = rng.uniform(-0.9, 0.9, (at[-1] + 1, 2))
    return np.asarray(smooth(goals[at], 11).astype(np.float32))


def _onset(on: Array) -> Array:
    return np.asarray(on & ~_shifted(on, 1))


def _shifted(on: Array, by: int) -> Array:
    """The series `by` frames later; false where nothing is known."""
    out = np.zeros_like(on)
    if by >= 0:
        out[by:] = on[: len(on) - by]
    else:
        out[:by] = on[-by:]
    return out


def _after(on: Array, frames: int) -> Array:
    """Frames at or up to `frames` - 1 after a true one."""
    return np.asarray(sum(_shifted(on, by).astype(int) for by in range(frames)) > 0)


def _near(on: Array, frames: int) -> Array:
    """Frames at most `frames` away from a true one."""
    return _after(_shifted(on, -frames), 2 * frames + 1)


def _whole(lane: Array) -> Array:
    """The lane without states that a screen or a rest cut short: no body makes their gesture."""
    return np.where(_duration(lane) >= BRIEF, lane, 0)


def _duration(lane: Array) -> Array:
    """Number of frames for which the state of each frame lasts in all, int [T]."""
    starts = np.flatnonzero(np.concatenate([[True], lane[1:] != lane[:-1]]))
    lengths = np.diff(np.append(starts, len(lane)))
    return np.asarray(np.repeat(lengths, lengths))


def smooth(values: Array, width: int) -> Array:
    """Mean over `width` frames around each, twice: [T, ...] -> [T, ...] f8; odd widths only."""
    out = np.asarray(values, np.float64)
    for _ in range(2):
        half = width // 2
        pad = [(half + 1, half)] + [(0, 0)] * (out.ndim - 1)
        total = np.cumsum(np.pad(out, pad, mode="edge"), axis=0)
        out = (total[width:] - total[:-width]) / width
    return out


# ---- the game ------------------------------------------------------------------------------------


def _game(rng: np.random.Generator, controls: dict[str, Array], screen: Array) -> Columns:
    """State of the game [T, 1] that follows from keys: a flat place, a hostile or none."""
    frames = len(screen)
    rest = resting_game()
    game = {key: np.repeat(rest[key], frames, 0) for key in GAME_COLUMNS}

    def put(name: str, values: Array) -> None:
        game[f"game/{name}"][:, 0] = values

    leap = np.cumsum(np.ones(frames)) - np.maximum.accumulate(
        np.where(_onset(controls["jump"] > 0), np.arange(frames) + 1.0, -1e6)
    )
    ticks = leap / FPS / TICK  # since the last jump
    height = np.maximum(_LEAP * ticks - _DECELERATION * ticks**2 / 2, 0) * (leap >= 0)
    put("on_ground", height <= 0)
    put("velocity_y", np.where(height > 0, _LEAP - _DECELERATION * ticks, 0).clip(-3, 3))
    put("fall_distance", np.where(ticks > _LEAP / _DECELERATION, 0.5 * (height > 0), 0))
    put("sprinting", controls["sprint"] > 0)
    put("sneaking", controls["sneak"] > 0)
    put("using_item", controls["use_item"] > 0)
    put("item_use_progress", controls["use_item"])
    hit = np.maximum.accumulate(np.where(controls["attack"] > 0, np.arange(frames), -60))
    put("attack_cooldown", np.clip((np.arange(frames) - hit) / 18, 0, 1))
    chosen = np.maximum.accumulate(np.where(controls["hotbar"] > 0, np.arange(frames), 0))
    slot = np.maximum(controls["hotbar"][chosen] - 1, 0)
    put("selected_slot", slot)
    put("main_hand", np.array(_ITEMS)[slot])
    put("screen", np.where(screen, SCREENS.index("inventory"), 0))
    put("screen_open", screen)
    put("time_of_day", (rng.integers(24000) + np.arange(frames) / FPS / TICK) % 24000)
    put("survival", np.ones(frames, bool))
    near = np.clip(smooth(rng.uniform(-20, 44, frames // 90 + 2).repeat(90)[:frames], 31), 0, 32)
    put("hostile_distance", near)
    put("hostile_count", near < 32)
    yaw = smooth(rng.uniform(-180, 180, frames // 90 + 2).repeat(90)[:frames], 31)
    put("hostile_yaw", np.where(near < 32, yaw, 0))
    put("target_distance", np.minimum(near, 6))
    put("target_hostile", near < 4)
    put("crosshair_entity", near < 4)
    hurt = _after(rng.random(frames) < 1 / 900, 10) & (near < 3)
    put("recently_hurt", hurt)
    put("health", np.clip(20 - 2 * np.cumsum(_onset(hurt)), 2, 20))
    put("hunger", np.clip(20 - np.cumsum(controls["sprint"]) / 900, 6, 20))
    return game
