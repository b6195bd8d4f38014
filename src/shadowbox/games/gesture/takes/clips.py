"""Sessions from clips of single gestures: `FOLDER/GESTURE/*.npz`, the source `bootstrap`.

A folder's name says which controls its clips show; several are joined by `+`. Session `number` holds
the clip of that number of each gesture, so that a split by session keeps clips apart. Each clip is an
episode of its own. What such data cannot teach is in `WARNING`, and in the metadata of each episode.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.files import write_whole
from shadowbox.core.schema import Array
from shadowbox.errors import RecordingError, UsageError, did_you_mean
from shadowbox.games.gesture.features import _Landmarks
from shadowbox.games.gesture.npz import clip_of
from shadowbox.games.gesture.recording import _Session, episodes_of
from shadowbox.games.gesture.schema import PULSES
from shadowbox.games.gesture.takes.labels import GESTURES, NAMES, NOTHING

WARNING = (
    "made from clips of single gestures: a clip begins and ends in its gesture, so that a policy sees "
    "no beginning, no end and no change from one gesture to another, no rest between them, no look of "
    "a measured speed, no hotbar, no screen and no state of the game. Onsets, timing and false triggers "
    "at rest must be learned from takes"
)
# folder -> controls; the second line has names of an older collection
MEANINGS: Mapping[str, Mapping[str, float]] = {
    **{re.sub(r"\W+", "_", words.lower()): controls for words, controls in GESTURES.items()},
    **{name: {name: 1} for name in NAMES if NOTHING[name] == 0 and name != "hotbar"},
    "idle": {}, "invalid": {}, "walking": {"move_forward": 1}, "crouching": {"sneak": 1},
    "sprinting": {"move_forward": 1, "sprint": 1}, "draw_bow": {"use_item": 1}, "swing": {"attack": 1},
    "throw": {"attack": 1}, "place_block": {"use_item": 1},
}  # fmt: skip
SKIPPED = ("sword_draw",)  # a gesture without a control
PEAK = 2  # frames before and after the fastest one in which a short key is down
SHORTEST = 8  # decisions of a clip

log = logging.getLogger(__name__)


def meaning(folder: str) -> dict[str, float]:
    """Controls of a folder's name, such as `walking+crouching`."""
    controls: dict[str, float] = {}
    for part in re.split(r"\+|_?plus_?", folder.lower()):
        name = part.strip().replace("-", "_").replace(" ", "_")
        if name not in MEANINGS:
            raise UsageError(
                f"clips of '{folder}': unknown gesture '{name}': {did_you_mean(name, MEANINGS)}; "
                "rename the folder, or move it away"
            )
        controls |= MEANINGS[name]
    return controls


def labelled(frames: _Landmarks, controls: Mapping[str, float]) -> dict[str, Array]:
    """Controls [T] of a clip: held keys in all frames, short ones around the fastest frame."""
    count = len(frames)
    out = {name: np.full(count, value) for name, value in NOTHING.items()}
    points = np.concatenate([frames.pose, frames.hand], 1)
    steps = np.maximum(np.diff(frames.time, prepend=frames.time[0] - 1), 1e-3)
    shown = np.concatenate(
        [np.repeat(frames.seen[:, :1], frames.pose.shape[1], 1),
         np.repeat(frames.seen[:, 1:], frames.hand.shape[1] // 2, 1)], 1)  # fmt: skip
    both = shown[1:] & shown[:-1]
    moved = np.where(both, np.linalg.norm(np.diff(points, axis=0), axis=2), 0)
    speed = np.concatenate([[0.0], moved.sum(1) / np.maximum(both.sum(1), 1) / steps[1:]])
    peak = int(speed.argmax())
    for name, value in controls.items():
        if name in PULSES:
            out[name][max(peak - PEAK, 0) : peak + PEAK + 1] = value
        else:
            out[name][:] = value
    return out


def record(seed: int, number: int, *, clips: str, person: str) -> Iterator[Episode]:
    """Session `number` of a folder of clips: the clip of that number of each gesture."""
    if number == 0:
        log.warning("%s: %s", clips, WARNING)
    folders = _folders(Path(clips))
    most = max(len(paths) for paths in folders.values())
    if number >= most:
        raise UsageError(f"{clips} has clips for {most} sessions: --matches {most}")
    for folder, paths in folders.items():
        if number >= len(paths):
            continue
        path = paths[number]
        try:
            frames = clip_of(path)
        except RecordingError as error:
            log.warning("%s: %s: left out", path, error)
            continue
        meta = {
            "players": [person],
            "person": person,
            "session": f"clips-{number}",
            "source_kind": "clips",
            "gesture": folder,
            "notes": [WARNING],
        }
        controls = labelled(frames, meaning(folder))
        made = _Session(frames, frames.time, controls, frames.time[:0], {}, meta)
        yield from episodes_of(made, SHORTEST)


def _folders(root: Path) -> dict[str, list[Path]]:
    """Clips by gesture, in the order of their names."""
    if not root.is_dir():
        raise UsageError(f"{root}: no folder of clips; --set clips=FOLDER names one")
    folders = {
        folder.name: sorted(folder.glob("*.npz"))
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name not in SKIPPED
    }
    folders = {name: paths for name, paths in folders.items() if paths}
    if not folders:
        raise UsageError(f"{root}: expected clips as GESTURE/NAME.npz, such as walk/1.npz")
    for name in folders:
        meaning(name)
    return folders


def write_clip(root: Path, words: str, name: str, times: Array, frames: Array) -> None:
    """Write frames [T, 260] at `times` [T] as a clip of the gesture `words` of a calibration."""
    folder = root / re.sub(r"\W+", "_", words.lower())
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez_compressed(content, frames=frames.astype(np.float32), timestamps=times)
    write_whole(folder / f"{name}.npz", content.getvalue())
