"""Landmarks and the game's state as rows of the schema: one function for recordings and for play.

A camera gives frames at its own times. A row holds the newest frame at or before it, with its
velocity per second; hands that were not found are zero, and have no velocity in the frame in which
they are found again. The game's state is that of the row before, so that no row shows the effect of
its own controls. `_FeatureStream` gives live, one by one, the rows that `rows_at` gives of a
recording: equal bit for bit, because both use `landmark_columns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.games.gesture.game_fields import RESTING
from shadowbox.games.gesture.schema import (
    FPS,
    FRAME_VALUES,
    HAND_OF,
    HANDS,
    POSE_LANDMARKS,
    POSITION_VALUES,
    SCHEMA,
)

LONGEST_GAP = 0.1  # seconds between two frames of a camera; more is a gap
FARTHEST = 10.0  # metres
FASTEST = 100.0  # metres per second
GAME_COLUMNS = tuple(key for key in SCHEMA.state_keys if key.startswith("game/"))


@dataclass(frozen=True)
class _Landmarks:
    """Frames of a camera: times [T] s, landmarks in metres, and what was found.

    `seen` [T, 3] marks the pose, the left and the right hand; landmarks of others are ignored.
    """

    time: Array  # f8 [T]
    pose: Array  # f4 [T, 33, 3]
    visibility: Array  # f4 [T, 33], from 0 to 1
    hand: Array  # f4 [T, 42, 3], the left hand's and then the right's
    seen: Array  # bool [T, 3]

    def __len__(self) -> int:
        return len(self.time)

    def part(self, chosen: slice | Array) -> _Landmarks:
        """Some of the frames."""
        return _Landmarks(
            self.time[chosen],
            self.pose[chosen],
            self.visibility[chosen],
            self.hand[chosen],
            self.seen[chosen],
        )


def frames_of(values: Array, times: Array) -> _Landmarks:
    """Frames of the older system's vectors [T, 260] at `times` [T] s.

    A vector holds pose and hands, the presence of each hand, and the visibility of the pose.
    """
    pose, places = len(POSE_LANDMARKS), POSITION_VALUES
    points = values[:, :places].astype(np.float32).reshape(len(values), -1, 3)
    present = values[:, places : places + len(HANDS)] > 0.5
    return _Landmarks(
        np.asarray(times, np.float64),
        points[:, :pose],
        values[:, places + len(HANDS) :].astype(np.float32),
        points[:, pose:],
        np.concatenate([(points[:, :pose] != 0).any((1, 2))[:, None], present], axis=1),
    )


def landmark_columns(frames: _Landmarks, before: _Landmarks | None = None) -> Columns:
    """Columns [T, slots] of pose, hand and seen, given the frame `before` the first one.

    A part that holds a number that is not finite was not found.
    """
    known = frames if before is None else _joined(before, frames)
    points = np.concatenate([known.pose, known.hand], axis=1)
    parts = {"pose": slice(0, len(POSE_LANDMARKS))}
    parts |= {
        hand: slice(part.start + parts["pose"].stop, part.stop + parts["pose"].stop)
        for hand, part in HAND_OF.items()
    }
    seen = known.seen & np.stack(
        [np.isfinite(points[:, part]).all((1, 2)) for part in parts.values()], axis=1
    )
    shown = np.concatenate(
        [
            np.repeat(seen[:, [at]], part.stop - part.start, 1)
            for at, part in enumerate(parts.values())
        ],
        axis=1,
    )[..., None]
    points = np.where(shown, np.clip(points, -FARTHEST, FARTHEST), np.float32(0))
    passed = np.diff(known.time)
    steady = (passed > 0) & (passed <= LONGEST_GAP)
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = np.diff(points, axis=0) / passed.astype(np.float32)[:, None, None]
    moving = steady[:, None, None] & shown[1:] & shown[:-1]
    speed = np.where(moving, np.clip(speed, -FASTEST, FASTEST), np.float32(0))
    if before is None:
        speed = np.concatenate([np.zeros_like(points[:1]), speed])
    else:
        points, shown, seen = points[1:], shown[1:], seen[1:]
    speed = speed.astype(np.float16).astype(np.float32)  # as it is stored
    columns: Columns = {}
    for group, part in (("pose", parts["pose"]), ("hand", slice(parts["pose"].stop, None))):
        for at, axis in enumerate("xyz"):
            columns[f"{group}/{axis}"] = points[:, part, at]
            columns[f"{group}/v{axis}"] = speed[:, part, at]
    visibility = np.where(seen[:, :1], np.nan_to_num(frames.visibility), np.float32(0))
    columns["pose/visibility"] = np.clip(visibility, 0, 1).astype(np.float16).astype(np.float32)
    for at, name in enumerate(("pose", "left_hand", "right_hand")):
        columns[f"seen/{name}"] = seen[:, [at]]
    return columns


def _joined(first: _Landmarks, second: _Landmarks) -> _Landmarks:
    return _Landmarks(
        np.concatenate([first.time, second.time]),
        np.concatenate([first.pose, second.pose]),
        np.concatenate([first.visibility, second.visibility]),
        np.concatenate([first.hand, second.hand]),
        np.concatenate([first.seen, second.seen]),
    )


# ---- recordings ----------------------------------------------------------------------------------


def grid(start: float, end: float) -> Array:
    """Times of the rows from `start` to `end`, `FPS` a second, f8 [R]."""
    return start + np.arange(int((end - start) * FPS + 1e-6) + 1) / FPS


def newest(times: Array, rows: Array) -> Array:
    """Index of the newest of `times` [T] at or before each row's time [R]; -1: none yet."""
    return np.searchsorted(times, rows, side="right") - 1


def rows_at(
    rows: Array, frames: _Landmarks, game_times: Array, game: Mapping[str, Array]
) -> Columns:
    """State columns [R, slots] at the times `rows` [R], the first at or after the first frame.

    `game` are columns [G, 1] of the game's state at `game_times` [G]; without any, the state is
    that of `resting_game`.
    """
    landmarks, at = landmark_columns(frames), newest(frames.time, rows)
    columns = {key: values[at] for key, values in landmarks.items()}
    known = np.concatenate([[-1], newest(game_times, rows)[:-1]])  # of the row before
    rest = resting_game()
    for key in GAME_COLUMNS:
        values = np.concatenate([game[key], rest[key]]) if key in game else rest[key]
        columns[key] = values[
            np.where(known < 0, len(values) - 1, known) if key in game else 0 * known
        ]
    return columns


def game_columns(fields: Mapping[str, float]) -> Columns:
    """Columns [1, 1] of the group game from its fields by name (`game_fields.game_fields`)."""
    return {
        key: np.full((1, 1), fields[key.removeprefix("game/")], SCHEMA.columns[key].dtype)
        for key in GAME_COLUMNS
    }


def resting_game() -> Columns:
    """State of a game of which nothing is known, columns [1, 1]: at full health, in play."""
    return game_columns(RESTING)


# ---- live ----------------------------------------------------------------------------------------


class _FeatureStream:
    """Rows of a live camera and a live game, one by one.

    `see` takes each frame of the camera and `know` each state of the game, as they come; `row`
    gives the row of a tick, 30 times a second.
    """

    def __init__(self) -> None:
        self._last: _Landmarks | None = None
        self._columns = landmark_columns(frames_of(np.zeros((1, FRAME_VALUES)), np.zeros(1)))
        self._game = self._game_before = resting_game()

    def see(self, frame: _Landmarks) -> None:
        """Take one frame; a frame that is not newer than the last one is ignored."""
        if self._last is not None and not frame.time[0] > self._last.time[0]:
            return
        self._columns, self._last = landmark_columns(frame, self._last), frame

    def know(self, game: Mapping[str, Array]) -> None:
        """Take columns [1, 1] of the game's state."""
        self._game = {**resting_game(), **game}

    def row(self) -> Columns:
        """State columns [1, slots] of this tick, with the game's state of the tick before."""
        columns = {**self._columns, **self._game_before}
        self._game_before = self._game
        return columns
