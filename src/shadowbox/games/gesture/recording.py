"""Sessions as episodes: frames of a camera, controls and the game's state at their own times.

Rows are `FPS` a second. A session is split where the camera was silent, and each part becomes an
episode. Of controls that were sampled more often than that, a key is down in a row if it was down
in any sample since the row before; a look is their mean; a change of slot is in one row only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import mirrored
from shadowbox.games.gesture.features import (
    GAME_COLUMNS,
    LONGEST_GAP,
    _Landmarks,
    grid,
    landmark_columns,
    newest,
    rows_at,
)
from shadowbox.games.gesture.schema import (
    ACTIONS,
    CURSOR,
    HOTBAR,
    INVENTORY,
    LOOK,
    LOOK_DEADZONE,
    OLDER_ORDER,
    SCHEMA,
)

SHORTEST = 30  # decisions of a part; shorter ones are left out
SLOWEST = 20  # frames a second of a camera that sees short presses
MOST_DRIFT = 0.1  # of a camera's rate
LONGEST_LAG, MOST_LAG = 1.0, 0.15  # seconds that are looked for, and that are reported
CLEAR_FIT = 0.1  # correlation of movements and keys at a lag that is believed
OPEN_LEAD = 3  # frames before the screen changes in which its key is down


@dataclass(frozen=True)
class _Session:
    """A recorded session: landmarks, controls [K] by name at `control_times`, states of the game.

    Looks are shares of `FULL_TURN_RATE`, cursors from 0 to 1, `hotbar` 0 or the slot from 1.
    """

    frames: _Landmarks
    control_times: Array
    controls: Mapping[str, Array]
    game_times: Array
    game: Mapping[str, Array]  # columns [G, 1]
    meta: Mapping[str, Any] = field(default_factory=dict)


def episodes_of(session: _Session, shortest: int = SHORTEST) -> Iterator[Episode]:
    """An episode of each stretch without a gap, in order; `meta` counts the parts and what is lost.

    Left-handed people (`hand` in the metadata) are mirrored, as they are in live play: the right hand
    of every recording is the better one.
    """
    times = session.frames.time
    cuts = np.flatnonzero(np.diff(times) > LONGEST_GAP) + 1
    stretches = [
        slice(int(a), int(b))
        for a, b in zip([0, *cuts], [*cuts, len(times)], strict=True)
        if times[b - 1] - times[a] > shortest / SCHEMA.fps
    ]
    absent = frozenset(key for key in GAME_COLUMNS if key not in session.game)
    notes = [*session.meta.get("notes", ()), *timing_notes(session)]
    meta = {**session.meta, "notes": notes, "camera_fps": round(rate_of(times), 2)}
    for number, stretch in enumerate(stretches):
        rows = grid(float(times[stretch.start]), float(times[stretch.stop - 1]))
        columns = rows_at(rows, session.frames.part(stretch), session.game_times, session.game)
        for key in absent:
            columns[key] = np.zeros_like(columns[key])
        pressed = controls_at(rows, session.control_times, session.controls)
        columns |= by_mode(pressed, columns["game/screen_open"])
        for key in SCHEMA.control_keys:
            columns[key][-1] = 0  # they led to no row
        if meta.get("hand") == "left":
            columns = mirrored(SCHEMA, columns)
        parts = {"part": number} if len(stretches) > 1 else {}
        yield Episode(columns, {**meta, **parts}, absent=absent)


def rate_of(times: Array) -> float:
    """Frames a second of a camera, from the middle of the steps between its frames."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    return 1 / float(np.median(steps)) if len(steps) else 0.0


def timing_notes(session: _Session) -> list[str]:
    """Sentences about a camera that was slow or changed its rate, and keys that do not fit the body."""
    times, notes = session.frames.time, []
    half = len(times) // 2
    first, second = rate_of(times[:half]), rate_of(times[half:])
    if first and second and abs(second / first - 1) > MOST_DRIFT:
        notes.append(f"the camera's rate drifts from {first:.1f} to {second:.1f} frames a second")
    if rate_of(times) < SLOWEST:
        notes.append(
            f"the camera gives {rate_of(times):.1f} frames a second; short presses need {SLOWEST}"
        )
    lag, fit = lag_of(session.frames, session.control_times, session.controls)
    if abs(lag) > MOST_LAG:
        where = "follows" if lag > 0 else "is ahead of"
        notes.append(
            f"the body {where} the keys by {abs(lag):.2f} s (correlation {fit:.2f}); expected at "
            f"most {MOST_LAG} s"
        )
    return notes


def lag_of(frames: _Landmarks, times: Array, controls: Mapping[str, Array]) -> tuple[float, float]:
    """Seconds by which the body's movements follow changes of the controls, and the correlation.

    Cross-correlation of the body's speed with the number of keys that change; (0, 0) if no lag
    within `LONGEST_LAG` fits clearly.
    """
    if len(frames) < 2 or len(times) < 2:
        return 0.0, 0.0
    rows = grid(float(frames.time[0]), float(frames.time[-1]))
    columns = landmark_columns(frames)
    speed = sum(columns[f"pose/v{axis}"].astype(np.float64) ** 2 for axis in "xyz")
    moving = np.sqrt(np.asarray(speed)).mean(1)[newest(frames.time, rows)]
    keys = np.stack([controls[name] > 0.5 for name in (*ACTIONS, *INVENTORY)], 1)
    change = np.abs(np.diff(keys.astype(int), axis=0, prepend=keys[:1].astype(int))).sum(1)
    at = np.searchsorted(rows, times)
    counts = np.bincount(at[at < len(rows)], change[at < len(rows)], len(rows))
    changes = np.convolve(counts, np.ones(5), "same")
    reach = round(LONGEST_LAG * SCHEMA.fps)
    if len(rows) < 4 * reach or not changes.any():
        return 0.0, 0.0
    fits = []
    for shift in range(-reach, reach + 1):
        early, late = (
            changes[reach : len(rows) - reach],
            moving[reach + shift : len(rows) - reach + shift],
        )
        spread = early.std() * late.std()
        mean = ((early - early.mean()) * (late - late.mean())).mean()
        fits.append(mean / spread if spread else 0.0)
    best = int(np.argmax(fits))
    if fits[best] < CLEAR_FIT:
        return 0.0, 0.0
    return (best - reach) / SCHEMA.fps, float(fits[best])


def controls_at(rows: Array, times: Array, controls: Mapping[str, Array]) -> Columns:
    """Control columns [R, 1] at the times `rows` [R] of controls by name, [K] at `times` [K]."""
    count = len(rows)
    at = np.searchsorted(rows, times, side="left")  # the first row at or after a sample
    inside = (at < count) & (times > rows[0] - 1 / SCHEMA.fps)
    at = at[inside]
    held = newest(times, rows)  # where no sample is new, the last one goes on
    fresh = np.bincount(at, minlength=count)
    columns = {
        key: values for key, values in SCHEMA.neutral(count).items() if key in SCHEMA.control_keys
    }
    for name in (*ACTIONS, *INVENTORY):
        values = controls[name] > 0.5
        down = np.bincount(at, values[inside], count) > 0
        columns[f"control/{name}"][:, 0] = np.where(fresh > 0, down, (held >= 0) & values[held])
    for name in LOOK:
        mean = np.bincount(at, controls[name][inside], count) / np.maximum(fresh, 1)
        last = np.where(held >= 0, controls[name][held], 0)
        columns[f"control/{name}"][:, 0] = np.clip(np.where(fresh > 0, mean, last), -1, 1)
    looks = np.abs(np.stack([columns[f"control/{name}"][:, 0] for name in LOOK]))
    columns["control/looking"][:, 0] = looks.max(0) > LOOK_DEADZONE
    slot = np.asarray(controls["hotbar"])
    for row, value in zip(at.tolist(), slot[inside].tolist(), strict=True):
        if value:
            columns["control/hotbar"][row, 0] = value
    for name in CURSOR:
        place = np.where(held >= 0, controls[name][held], 0.5) * 2 - 1
        columns[f"control/{name}"][:, 0] = np.clip(place, -1, 1)
    return columns


def by_mode(controls: Columns, screen_open: Array) -> Columns:
    """Controls [R, 1], neutral where their mode is off; looks within the dead zone are neutral."""
    out = {}
    for key, values in controls.items():
        mode = SCHEMA.columns[key].field.when
        on = np.ones_like(screen_open) if not mode else screen_open ^ mode.startswith("!")
        out[key] = np.where(on, values, np.zeros(1, values.dtype))
    for name in LOOK:
        key = f"control/{name}"
        out[key] = np.where(out["control/looking"], out[key], np.float32(0))
    return out


def named_controls(values: Array) -> dict[str, Array]:
    """Controls by name, of the older system's rows [K, 28]."""
    named = {name: values[:, at] for at, name in enumerate(OLDER_ORDER)}
    slots = np.stack([named.pop(name) for name in HOTBAR], axis=1) > 0.5
    return {**named, "hotbar": np.where(slots.any(1), slots.argmax(1) + 1, 0)}
