"""Files of the older system, made from sessions of the simulated body."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shadowbox.core.schema import Choice, Real
from shadowbox.games.gesture import body
from shadowbox.games.gesture.features import GAME_COLUMNS, _Landmarks, newest
from shadowbox.games.gesture.recording import _Session
from shadowbox.games.gesture.schema import GAME_KEYS, HOTBAR, OLDER_ORDER, ONE_HOT, SCHEMA


def made(seconds=20.0, number=0, seed=0) -> _Session:
    """A session of a person of the simulated body, without long rests."""
    return body.session(body.person(7, number), seed, seconds, rests=0.0)


def frame_values(frames: _Landmarks) -> np.ndarray:
    """Vectors [T, 260] of landmarks; lost hands are zero."""
    hand = frames.hand.copy()
    hand[:, :21] *= frames.seen[:, 1, None, None]
    hand[:, 21:] *= frames.seen[:, 2, None, None]
    count = len(frames)
    parts = [frames.pose.reshape(count, -1), hand.reshape(count, -1), frames.seen[:, 1:]]
    return np.concatenate([*parts, frames.visibility], 1).astype(np.float32)


def state_values(game) -> np.ndarray:
    """Vectors [T, 46] of columns of the game."""
    parts = []
    for key in GAME_KEYS:
        field, values = SCHEMA.columns[key].field, game[key][:, 0]
        if key in ONE_HOT:
            parts.append(np.eye(field.n)[values])
        elif key == "game/screen":
            parts.append(np.array([0, 0.33, 0.66, 1])[values][:, None])
        elif isinstance(field, Choice):
            parts.append(values[:, None] / (field.n - 1))
        else:
            parts.append(values[:, None] * (field.scale if isinstance(field, Real) else 1))
    return np.concatenate(parts, 1).astype(np.float32)


def control_values(controls) -> np.ndarray:
    """Vectors [K, 28] of controls by name."""
    hotbar = np.eye(10)[controls["hotbar"].astype(int)][:, 1:]
    named = {**controls, **dict(zip(HOTBAR, hotbar.T, strict=True))}
    return np.stack([named[name] for name in OLDER_ORDER], 1).astype(np.float32)


def at_frames(session: _Session) -> dict[str, np.ndarray]:
    """Arrays of version 2: all as it was when the camera gave a frame."""
    times = session.frames.time
    keys = np.maximum(newest(session.control_times, times), 0)
    states = np.maximum(newest(session.game_times, times), 0)
    return {
        "frames": frame_values(session.frames),
        "controls": control_values(session.controls)[keys],
        "game_state": state_values({k: session.game[k][states] for k in GAME_COLUMNS}),
        "timestamps": times + 1.7e9,
        "fps": np.float32(30),
        "version": np.int32(2),
        "session_type": np.array("mixed"),
    }


def write_merged(folder: Path, session: _Session, lag: float, pause: int = 0) -> Path:
    """Version 3 and its playback, whose body follows the video by `lag` seconds."""
    arrays = at_frames(session)
    frames = arrays.pop("frames")
    rows = len(frames)
    video = np.arange(rows, dtype=np.int32) + 1
    path = folder / "session_20260222_101010.npz"
    np.savez_compressed(
        path,
        **{**arrays, "version": np.int32(3)},
        frame_indices=video,
        raw_state_dicts=np.void(b"\x80\x04cos\nsystem\n"),
        recorder_id=np.array("me"),
    )
    clock = arrays["timestamps"] - arrays["timestamps"][0]
    # the body's frame at playback time t is that of the video at t - lag
    body_at = np.clip(np.searchsorted(clock, clock - lag), 0, rows - 1)
    order = np.concatenate(
        [np.arange(rows // 2), np.full(pause, rows // 2), np.arange(rows // 2, rows)]
    )
    stamps = np.concatenate([clock[: rows // 2], clock[rows // 2] + np.arange(pause) / 30,
                             clock[rows // 2 :] + pause / 30])  # fmt: skip
    np.savez_compressed(
        folder / f"playback_{path.name}",
        frames=frames[body_at[order]],
        video_frame_indices=video[order],
        timestamps=stamps,
        source_recording=np.array(path.name),
    )
    return path
