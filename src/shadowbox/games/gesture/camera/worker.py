"""Pose and hands by MediaPipe, in a process of its own.

    python worker.py pictures            a JPEG from standard input, after its size: a frame each
    python worker.py camera NUMBER       a camera of this machine
    python worker.py video FILE          a video, at the speed at which it was filmed

Runs under any Python with the packages of requirements.txt, without Shadowbox. Messages go to
standard output, each after its size as four bytes, big-endian: 260 little-endian floats in the older
system's order, nothing where a picture shows no person, or else a problem as text.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

LARGEST_PICTURE = 4 << 20  # bytes of a JPEG
POSE, HAND = 33, 21
OFTEN_S = 1 / 30


class _Finder:
    """MediaPipe's holistic model: pose in metres from the hips, hands in metres from the wrist."""

    def __init__(self) -> None:
        import mediapipe

        self.model = mediapipe.solutions.holistic.Holistic(model_complexity=1)

    def frame(self, picture: Any) -> Any:
        """Values f4 [260] of a picture [H, W, 3] in RGB; None without a person."""
        found = self.model.process(picture)
        if not found.pose_world_landmarks or not found.pose_landmarks:
            return None
        height, width = picture.shape[:2]
        world = _points(found.pose_world_landmarks)
        seen = np.array([each.visibility for each in found.pose_landmarks.landmark])
        scale = metres_per_pixel(world, _points(found.pose_landmarks), seen, width, height)
        hands, present = [], []
        for hand in (found.left_hand_landmarks, found.right_hand_landmarks):
            points = np.zeros((HAND, 3)) if hand is None else _points(hand)
            sizes = np.array([width, height, width]) * scale
            hands.append(np.clip((points - points[0]) * sizes, -1, 1).ravel())
            present.append(float(hand is not None))
        values = [np.clip(world, -9, 9).ravel(), *hands, present, np.clip(seen, 0, 1)]
        return np.concatenate(values).astype("<f4")


def metres_per_pixel(world: Any, picture: Any, seen: Any, width: int, height: int) -> float:
    """Scale, by least squares between the pose in metres and in the picture [33, 3], weights [33]."""
    pixels = picture[:, :2] * (width, height)
    weights = seen[:, None] / seen.sum()
    pixels = pixels - (weights * pixels).sum(0)
    metres = world[:, :2] - (weights * world[:, :2]).sum(0)
    return float((weights * pixels * metres).sum() / max((weights * pixels**2).sum(), 1e-9))


def _points(landmarks: Any) -> Any:
    return np.array([(each.x, each.y, each.z) for each in landmarks.landmark])


# ---- pictures ------------------------------------------------------------------------------------


def jpegs() -> Iterator[Any]:
    """Pictures from standard input in RGB; None for one that cannot be decoded."""
    import cv2

    while len(size := sys.stdin.buffer.read(4)) == 4:
        count = int.from_bytes(size, "big")
        if count > LARGEST_PICTURE:
            raise ValueError(f"a picture of {count:,} bytes; at most {LARGEST_PICTURE:,} are read")
        content = sys.stdin.buffer.read(count)
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        yield None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def filmed(name: str, is_file: bool) -> Iterator[Any]:
    """Pictures of a camera, the newest each, or of a video, as late as they were filmed."""
    import cv2

    capture = cv2.VideoCapture(name if is_file else int(name))
    if not capture.isOpened():
        raise ValueError(f"{name}: cannot be opened; is it a {'video' if is_file else 'camera'}?")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    step = 1 / (capture.get(cv2.CAP_PROP_FPS) or 30) if is_file else 0.0
    began, number = time.monotonic(), 0
    while True:
        read, picture = capture.read()
        if not read:
            return
        late = time.monotonic() - began - number * step
        number += 1
        if is_file and late > step + OFTEN_S:  # too late to be found in time
            continue
        if is_file and late < 0:
            time.sleep(-late)
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def send(message: bytes) -> None:
    """Write a message after its size."""
    OUTPUT.write(len(message).to_bytes(4, "big") + message)
    OUTPUT.flush()


def main(kind: str, name: str = "") -> None:
    """Find landmarks in the pictures of a source until it ends."""
    try:
        finder = _Finder()
        for picture in jpegs() if kind == "pictures" else filmed(name, kind == "video"):
            if picture is None:
                send(b"a picture cannot be decoded")
                continue
            values = finder.frame(picture)
            send(b"" if values is None else values.tobytes())
        send(b"the pictures have ended")
    except Exception as error:
        send(f"{type(error).__name__}: {error}".encode(errors="replace")[:1000])


if __name__ == "__main__":
    OUTPUT = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between messages
    main(*sys.argv[1:])
