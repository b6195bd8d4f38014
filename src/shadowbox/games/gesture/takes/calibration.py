"""Calibration of a person: each gesture once, and which of them look alike.

A gesture is judged by half seconds of it: the mean place of each landmark, and its spread, since
walking is a movement and not a place. Every second half second is compared with the centroids of the
others. A gesture that is nearer to another gesture's centroid than to its own is confused with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.games.gesture.schema import POSE_LANDMARKS
from shadowbox.games.gesture.sources import PRESENT, VISIBLE, _PoseFrame
from shadowbox.games.gesture.takes.labels import GESTURES

READY_S, HELD_S = 2.0, 3.0  # to get ready, and to hold a gesture
WINDOWS = 6  # parts of a gesture that are judged, half a second each; three times as many overlap
FEWEST = 12  # frames of a gesture
ALIKE = 0.25  # share of the windows from which on two gestures are confused
SMALLEST = 0.015  # metres below which a difference counts as the camera's noise
UPPER = tuple(
    at for at, name in enumerate(POSE_LANDMARKS) if not any(w in name for w in ("eye", "mouth"))
)


def gesture_features(frames: Array) -> Array:
    """Features [W, F] of frames [T, 260]: mean and spread of the landmarks in windows.

    The pose is measured in widths of the shoulders, so that distance and size do not count.
    """
    pose = frames[:, : 3 * len(POSE_LANDMARKS)].reshape(len(frames), -1, 3)
    shoulders = [POSE_LANDMARKS.index(f"{side}_shoulder") for side in ("left", "right")]
    width = np.linalg.norm(pose[:, shoulders[0]] - pose[:, shoulders[1]], axis=1)
    scale = 0.36 / max(float(np.median(width)), 0.05)  # of a usual person, metres
    body = pose[:, list(UPPER)].reshape(len(frames), -1) * scale
    hands = frames[:, 3 * len(POSE_LANDMARKS) : PRESENT] * 0.5  # noisier, and often lost
    seen = np.repeat(frames[:, PRESENT:VISIBLE] > 0, hands.shape[1] // 2, 1)
    values = np.concatenate([body, np.where(seen, hands, 0)], 1)
    long = max(len(values) // WINDOWS, 2)
    starts = range(0, max(len(values) - long, 0) + 1, max(long // 3, 1))
    windows = [values[at : at + long] for at in starts]
    return np.stack([np.concatenate([each.mean(0), each.std(0)]) for each in windows])


def confusions(samples: Mapping[str, Array]) -> dict[str, Any]:
    """Which gestures look alike: shares of nearest centroids, from frames [T, 260] by gesture.

    `shares[gesture][other]` is the share of a gesture's windows that are nearest to the other's
    centroid; `confused` lists pairs above `ALIKE`, `clear` the share that is nearest to its own.
    """
    names = list(samples)
    features = [gesture_features(np.asarray(samples[name], np.float64)) for name in names]
    learned = [each[: max(len(each) // 2, 1)] for each in features]
    judged = [each[len(each) // 2 :] for each in features]
    centroids = np.stack([each.mean(0) for each in learned])
    spread = np.sqrt(np.mean([each.var(0) for each in learned], 0)) + SMALLEST
    shares: dict[str, dict[str, float]] = {}
    for name, windows in zip(names, judged, strict=True):
        distance = (((windows[:, None] - centroids) / spread) ** 2).sum(-1)
        nearest = distance.argmin(1)
        shares[name] = {
            other: round(float((nearest == at).mean()), 3)
            for at, other in enumerate(names)
            if (nearest == at).any()
        }
    confused = [
        {"gesture": name, "with": other, "share": share}
        for name in names
        for other, share in shares[name].items()
        if other != name and share >= ALIKE
    ]
    clear = float(np.mean([shares[name].get(name, 0.0) for name in names]))
    return {"shares": shares, "confused": confused, "clear": round(clear, 3)}


class _Calibration:
    """Calibration that begins at `begin`: each gesture is announced, and then held."""

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.samples: dict[str, list[_PoseFrame]] = {}
        self.result: dict[str, Any] = {}

    @property
    def done(self) -> bool:
        """True when every gesture was held."""
        return bool(self.result)

    def step(self, now: float) -> tuple[str, float, bool]:
        """Gesture of `now`, its share done from 0 to 1, and whether it is to be held."""
        at, since = divmod(max(now - self.begin, 0.0), READY_S + HELD_S)
        if at >= len(GESTURES):
            return "", 1.0, False
        held = since >= READY_S
        share = (since - READY_S) / HELD_S if held else since / READY_S
        return list(GESTURES)[int(at)], share, held

    def see(self, frame: _PoseFrame) -> None:
        """Take a frame; the last one of the last gesture gives the result."""
        words, _, held = self.step(frame.at)
        if frame.at < self.begin:
            return
        if not words:
            long = {name: frames for name, (_, frames) in self.clips().items()}
            missing = [name for name in GESTURES if name not in long]
            self.result = {**confusions(long), "missing": missing} if long else {"missing": missing}
        elif held and frame.seen:
            self.samples.setdefault(words, []).append(frame)

    def clips(self) -> dict[str, tuple[Array, Array]]:
        """Times [T] and frames [T, 260] of each gesture that was seen often enough."""
        return {
            words: (
                np.array([each.at for each in frames]),
                np.stack([each.values for each in frames]),
            )
            for words, frames in self.samples.items()
            if len(frames) >= FEWEST
        }

    def snapshot(self, now: float) -> dict[str, Any]:
        """State for a page."""
        words, share, held = self.step(now)
        return {
            "gesture": words,
            "share": round(share, 3),
            "held": held,
            "number": list(GESTURES).index(words) + 1 if words else len(GESTURES),
            "of": len(GESTURES),
            "result": self.result or None,
        }
