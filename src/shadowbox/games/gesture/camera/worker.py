"""Pose and hands by MediaPipe, in a process of its own.

    python worker.py pictures            a JPEG from standard input, after its size: a frame each
    python worker.py camera NUMBER       a camera of this machine
    python worker.py video FILE          a video, at the speed at which it was filmed

After these, `pose=FILE` and `hand=FILE` name own models in place of those inside MediaPipe: bundles of
its tasks (`.task`) for the landmarks of a pose and of hands.

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
    """Pose in metres from the hips, and hands in metres from the wrist, of pictures in sequence.

    By MediaPipe's holistic model, or where `pose` or `hand` names an own model, by that.
    """

    def __init__(self, pose: str = "", hand: str = "") -> None:
        self.pose = _OwnPose(pose) if pose else None
        self.hands = _OwnHands(hand) if hand else None
        self.model: Any = None
        if not pose or not hand:
            import mediapipe

            self.model = mediapipe.solutions.holistic.Holistic(model_complexity=1)

    def frame(self, picture: Any) -> Any:
        """Values f4 [260] of a picture [H, W, 3] in RGB; None without a person."""
        found: Any = self.model.process(picture) if self.model else None
        body = self.pose.of(picture) if self.pose else _holistic_pose(found)
        if body is None:
            return None
        world, points, seen = body
        height, width = picture.shape[:2]
        if self.hands:
            hands = self.hands.of(picture)
        else:
            scale = metres_per_pixel(world, points, seen, width, height)
            sizes = np.array([width, height, width]) * scale
            both = (found.left_hand_landmarks, found.right_hand_landmarks)
            hands = [None if hand is None else _points(hand.landmark) * sizes for hand in both]
        empty = np.zeros((HAND, 3))
        values = [np.clip(world, -9, 9).ravel()]
        values += [
            empty.ravel() if hand is None else np.clip(hand - hand[0], -1, 1).ravel()
            for hand in hands
        ]
        values += [np.array([float(hand is not None) for hand in hands]), np.clip(seen, 0, 1)]
        return np.concatenate(values).astype("<f4")


def _holistic_pose(found: Any) -> Any:
    """Pose in metres and in the picture [33, 3], and visibility [33]; None without a person."""
    if not found.pose_world_landmarks or not found.pose_landmarks:
        return None
    landmarks = found.pose_landmarks.landmark
    seen = np.array([each.visibility for each in landmarks])
    return _points(found.pose_world_landmarks.landmark), _points(landmarks), seen


class _Task:
    """An own model of one of MediaPipe's tasks, which follows what it found from picture to picture."""

    def __init__(self, task: str, path: str, **options: Any) -> None:
        from mediapipe.tasks.python import BaseOptions, vision

        kind, settings = getattr(vision, task), getattr(vision, f"{task}Options")
        with open(path, "rb") as file:
            content = file.read()
        given = {"base_options": BaseOptions(model_asset_buffer=content), **options}
        self.model = kind.create_from_options(
            settings(running_mode=vision.RunningMode.VIDEO, **given)
        )
        self.began, self.last = time.monotonic(), -1

    def found(self, picture: Any) -> Any:
        """Result for a picture [H, W, 3] in RGB."""
        import mediapipe

        at = int(1000 * (time.monotonic() - self.began))
        self.last = max(at, self.last + 1)  # a task refuses a time that does not grow
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
        )
        return self.model.detect_for_video(image, self.last)


class _OwnPose:
    """Pose by an own model."""

    def __init__(self, path: str) -> None:
        self.task = _Task("PoseLandmarker", path)

    def of(self, picture: Any) -> Any:
        """Pose in metres and in the picture [33, 3], and visibility [33]; None without a person."""
        found = self.task.found(picture)
        if not found.pose_world_landmarks:
            return None
        landmarks = found.pose_landmarks[0]
        seen = np.array([each.visibility for each in landmarks])
        return _points(found.pose_world_landmarks[0]), _points(landmarks), seen


class _OwnHands:
    """Hands by an own model."""

    def __init__(self, path: str) -> None:
        self.task = _Task("HandLandmarker", path, num_hands=2)

    def of(self, picture: Any) -> list[Any]:
        """Left and right hand in metres [21, 3]; None for one that was not found."""
        found = self.task.found(picture)
        hands: list[Any] = [None, None]
        sure = [0.0, 0.0]
        for sides, points in zip(found.handedness, found.hand_world_landmarks, strict=True):
            # the task's sides are those of a mirrored picture
            side = int(sides[0].category_name == "Left")
            if sides[0].score > sure[side]:
                hands[side], sure[side] = _points(points), sides[0].score
        return hands


def metres_per_pixel(world: Any, picture: Any, seen: Any, width: int, height: int) -> float:
    """Scale, by least squares between the pose in metres and in the picture [33, 3], weights [33]."""
    pixels = picture[:, :2] * (width, height)
    weights = seen[:, None] / seen.sum()
    pixels = pixels - (weights * pixels).sum(0)
    metres = world[:, :2] - (weights * world[:, :2]).sum(0)
    return float((weights * pixels * metres).sum() / max((weights * pixels**2).sum(), 1e-9))


def _points(landmarks: Any) -> Any:
    return np.array([(each.x, each.y, each.z) for each in landmarks])


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


def main(kind: str, *rest: str) -> None:
    """Find landmarks in the pictures of a source until it ends."""
    name = rest[0] if kind != "pictures" else ""
    models = dict(each.split("=", 1) for each in rest[kind != "pictures" :])
    try:
        finder = _Finder(**models)
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
