"""Journal of a take: a row for each frame, written as it comes, so that a crash loses a second at most.

The first line is JSON: the metadata of the take. Rows of `ROW` follow. A row that a crash cut off is
ignored, and so is a journal without a row.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.files import read_bytes
from shadowbox.core.schema import Array
from shadowbox.errors import RecordingError
from shadowbox.games.gesture.features import GAME_COLUMNS, frames_of
from shadowbox.games.gesture.recording import _Session, episodes_of, lag_of
from shadowbox.games.gesture.schema import FRAME_VALUES, SCHEMA
from shadowbox.games.gesture.takes.labels import NAMES

ROW = np.dtype(
    [
        ("at", "<f8"),  # seconds
        ("frame", "<f4", (FRAME_VALUES,)),
        ("controls", "<f4", (len(NAMES),)),
        ("game", "<f4", (len(GAME_COLUMNS),)),  # NaN: not known
    ]
)
SYNCED_S = 1.0  # between two times that the disk has everything
LARGEST = 2 << 30  # bytes, five hours


class _Journal:
    """Open journal of a take at `path`."""

    def __init__(self, path: Path, meta: Mapping[str, Any]) -> None:
        self.path, self.rows, self._synced = path, 0, time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._file.write(json.dumps(dict(meta), allow_nan=False).encode() + b"\n")
        self._sync()

    def add(self, at: float, frame: Array, controls: Mapping[str, float], game: Any) -> None:
        """Append a frame [260] with its controls and the game's fields by name, or None."""
        row = np.zeros((), ROW)
        row["at"], row["frame"] = at, frame
        row["controls"] = [controls[name] for name in NAMES]
        known = [key.removeprefix("game/") for key in GAME_COLUMNS]
        row["game"] = [game[name] for name in known] if game else np.nan
        self._file.write(row.tobytes())
        self.rows += 1
        if time.monotonic() - self._synced > SYNCED_S:
            self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Write what is left."""
        if not self._file.closed:
            self._sync()
            self._file.close()

    def discard(self) -> None:
        """Close the journal and remove it."""
        self.close()
        self.path.unlink(missing_ok=True)


def episodes_in(path: Path) -> list[Episode]:
    """Episodes of a journal; controls are absent from a take without labels."""
    session = session_of(path)
    episodes = [] if session is None else list(episodes_of(session))
    if session is None or session.meta.get("labels") != "none":
        return episodes
    unknown = frozenset(SCHEMA.control_keys)
    return [
        replace(
            each,
            columns={
                key: np.zeros_like(values) if key in unknown else values
                for key, values in each.columns.items()
            },
            absent=each.absent | unknown,
        )
        for each in episodes
    ]


def session_of(path: Path) -> _Session | None:
    """The session in a journal, the person's lag behind prompts removed; None without two rows."""
    content = read_bytes(path, error=RecordingError, largest=LARGEST)
    head, _, body = content.partition(b"\n")
    try:
        meta = json.loads(head)
    except (ValueError, RecursionError):
        raise RecordingError(
            f"{path}: expected the journal of a take, whose first line is JSON"
        ) from None
    rows = np.frombuffer(body[: len(body) // ROW.itemsize * ROW.itemsize], ROW)
    if len(rows) < 2 or not isinstance(meta, dict):
        return None
    times = rows["at"] - rows["at"][0]
    if not np.isfinite(rows["frame"]).all() or not (np.diff(times) >= 0).all():
        raise RecordingError(f"{path}: its rows are damaged: expected finite landmarks, in order")
    frames = frames_of(rows["frame"], times)
    named = {name: rows["controls"][:, at] for at, name in enumerate(NAMES)}
    known = np.isfinite(rows["game"]).all(1)
    game = {
        key: rows["game"][known, at].astype(SCHEMA.columns[key].dtype)[:, None]
        for at, key in enumerate(GAME_COLUMNS)
        if known.any()
    }
    notes, late = list(meta.get("notes", ())), 0.0
    if meta.get("labels") == "prompts":
        lag, fit = lag_of(frames, times, named)
        late = max(lag, 0.0)
        if late:
            notes.append(
                f"the body follows the prompts by {lag:.2f} s (correlation {fit:.2f}): removed"
            )
    meta = {**meta, "notes": notes}
    return _Session(frames, times + late, named, times[known], game, meta)
