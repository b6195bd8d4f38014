"""Sources of landmarks: a synthetic body, our page, and landmarks over a WebSocket.

A source runs in a thread of its own and keeps the newest frame only: a loop that is late skips
frames and never falls behind. Frames from outside are checked: sizes, shapes, ranges and finiteness.
A wrong one is counted and named in `problems`, and the source goes on.

Two formats are read: a JSON object {"pose": [33][3], "visibility": [33], "left": [21][3] or null,
"right": the same}, or 260 little-endian floats (four bytes each) in the older system's order.
Sources of pictures are in camera/pictures.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.errors import RecordingError
from shadowbox.games.gesture.features import _Landmarks
from shadowbox.games.gesture.listening import listen
from shadowbox.games.gesture.schema import FRAME_VALUES, HAND_LANDMARKS, POSE_LANDMARKS

POSE, HAND = len(POSE_LANDMARKS), len(HAND_LANDMARKS)
LEFT, RIGHT = 3 * POSE, 3 * (POSE + HAND)  # where the hands begin in a frame
PRESENT, VISIBLE = 3 * (POSE + 2 * HAND), 3 * (POSE + 2 * HAND) + 2
FARTHEST = 10.0  # metres of a landmark from the hips or the wrist
SMALLEST_VISIBILITY = 0.5  # of the shoulders, for a person to count as seen
SHOULDERS = tuple(POSE_LANDMARKS.index(f"{side}_shoulder") for side in ("left", "right"))
LARGEST_LANDMARKS = 32 << 10  # bytes of a message
PATH = "/landmarks"


class _PoseFrame(NamedTuple):
    """Landmarks of one frame."""

    values: (
        Array  # f4 [260]: pose [33, 3], left and right hand [21, 3], presence [2], visibility [33]
    )
    at: float  # seconds of the clock at which it arrived
    number: int

    @property
    def seen(self) -> bool:
        """True if there is a person: both shoulders are visible."""
        return bool(self.values[[VISIBLE + n for n in SHOULDERS]].min() >= SMALLEST_VISIBILITY)


class _Source:
    """Newest frame of a source, handed from its thread to a loop."""

    name = ""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.problems: deque[str] = deque(maxlen=20)
        self.counts = {"frames": 0, "skipped": 0, "refused": 0}
        self.ending = threading.Event()
        self._newest: _PoseFrame | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self.run, name=f"source {self.name}", daemon=True)

    def __enter__(self) -> _Source:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self._thread.join(timeout=2)

    @property
    def url(self) -> str:
        """Address that frames are sent to; empty for a source that fetches or makes them."""
        return ""

    @property
    def ended(self) -> bool:
        """True if no frame will come any more, as after a video."""
        return not self._thread.is_alive()

    def run(self) -> None:
        """Put frames until `ending` is set."""
        raise NotImplementedError

    def put(self, values: Array) -> None:
        """Hand over a frame [260]; one that was not taken is skipped."""
        with self._news:
            self.counts["skipped"] += self._newest is not None
            self._newest = _PoseFrame(values, self.clock(), self.counts["frames"])
            self.counts["frames"] += 1
            self._news.notify()

    def take(self, timeout: float) -> _PoseFrame | None:
        """The newest frame, waited for; None if there is none in time."""
        with self._news:
            if self._newest is None:
                self._news.wait(timeout)
            frame, self._newest = self._newest, None
            return frame

    def problem(self, text: str) -> None:
        """Count and name a frame or a connection that failed."""
        self.counts["refused"] += 1
        if not self.problems or self.problems[-1] != text:
            self.problems.append(text)


# ---- formats -------------------------------------------------------------------------------------


def read_landmarks(message: str | bytes) -> Array:
    """Frame f4 [260] of a message with landmarks; a wrong one raises RecordingError."""
    if len(message) > LARGEST_LANDMARKS:
        raise RecordingError(
            f"landmarks: a message of {len(message):,} bytes; at most {LARGEST_LANDMARKS:,} are read"
        )
    if isinstance(message, bytes):
        if len(message) != 4 * FRAME_VALUES:
            raise RecordingError(
                f"landmarks: {len(message)} bytes; expected {FRAME_VALUES} floats of 4 bytes"
            )
        return checked_frame(np.frombuffer(message, "<f4"))
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"landmarks: not valid JSON: {str(error)[:100]}") from None
    if not isinstance(data, dict):
        raise RecordingError("landmarks: expected a JSON object with pose, visibility, left, right")
    frame = np.zeros(FRAME_VALUES, np.float32)
    frame[:LEFT] = _numbers(data, "pose", (POSE, 3)).ravel()
    frame[VISIBLE:] = _numbers(data, "visibility", (POSE,))
    for at, (name, begin) in enumerate((("left", LEFT), ("right", RIGHT))):
        if data.get(name) is not None:
            frame[begin : begin + 3 * HAND] = _numbers(data, name, (HAND, 3)).ravel()
            frame[PRESENT + at] = 1
    return checked_frame(frame)


def checked_frame(frame: Array) -> Array:
    """A copy of the frame [260], if every value is finite and in its range."""
    if not np.isfinite(frame).all():
        at = int(np.flatnonzero(~np.isfinite(frame))[0])
        raise RecordingError(f"landmarks: value {at} is {frame[at]}; every value must be finite")
    positions, flags, visible = frame[:PRESENT], frame[PRESENT:VISIBLE], frame[VISIBLE:]
    if np.abs(positions).max() > FARTHEST:
        at = int(np.abs(positions).argmax())
        raise RecordingError(
            f"landmarks: value {at} is {positions[at]:g}; positions are at most {FARTHEST:g} metres"
        )
    if not np.isin(flags, (0, 1)).all() or visible.min() < 0 or visible.max() > 1:
        raise RecordingError("landmarks: presence must be 0 or 1, and visibility from 0 to 1")
    return np.array(frame, np.float32)


def frame_values(frames: _Landmarks) -> Array:
    """The last of some frames as values f4 [260]; what was not found is zero."""
    values = np.zeros(FRAME_VALUES, np.float32)
    pose, left, right = (bool(found) for found in frames.seen[-1])
    if pose:
        values[:LEFT] = frames.pose[-1].ravel()
        values[VISIBLE:] = frames.visibility[-1]
    for at, found in enumerate((left, right)):
        if found:
            begin = LEFT + 3 * HAND * at
            values[begin : begin + 3 * HAND] = frames.hand[-1, HAND * at : HAND * (at + 1)].ravel()
            values[PRESENT + at] = 1
    return values


def frame_landmarks(values: Array, time: float) -> _Landmarks:
    """A frame [260] in the form of recordings; the inverse of `frame_values`."""
    pose = values[:LEFT].reshape(1, POSE, 3)
    hand = values[LEFT:PRESENT].reshape(1, 2 * HAND, 3)
    seen = np.array([[bool(values[VISIBLE:].any()), *(values[PRESENT:VISIBLE] > 0)]])
    return _Landmarks(np.array([time]), pose, values[None, VISIBLE:], hand, seen)


def landmarks_json(frame: Array) -> str:
    """The message of a frame [260]; `read_landmarks` is its inverse."""
    hands = {
        name: frame[begin : begin + 3 * HAND].reshape(HAND, 3).tolist()
        if frame[PRESENT + at]
        else None
        for at, (name, begin) in enumerate((("left", LEFT), ("right", RIGHT)))
    }
    pose, visible = frame[:LEFT].reshape(POSE, 3).tolist(), frame[VISIBLE:].tolist()
    return json.dumps({"pose": pose, "visibility": visible, **hands}, allow_nan=False)


def _numbers(data: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Array:
    """Array of a list in the message, of exactly this shape."""
    wanted = " x ".join(map(str, shape))
    try:
        array = np.asarray(data.get(name), np.float64)
    except (ValueError, TypeError, OverflowError):
        array = np.zeros(0)
    if array.shape != shape:
        got = " x ".join(map(str, array.shape)) or "none"
        raise RecordingError(f"landmarks: {name} must be {wanted} numbers (got {got})")
    if not np.all(np.abs(array) < 1e30):  # NaN is not, either
        raise RecordingError(f"landmarks: {name} has values that are not finite")
    return array


# ---- sources -------------------------------------------------------------------------------------


class _SyntheticSource(_Source):
    """A simulated person: `pose()` returns the next frame [260], `fps` times a second."""

    name = "synthetic"

    def __init__(
        self,
        pose: Callable[[], Array],
        fps: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self.pose, self.fps = pose, fps

    def run(self) -> None:
        """Put a frame at each tick of the clock; ticks that were missed are left out."""
        due = self.clock()
        while not self.ending.wait(max(0.0, due - self.clock())):
            self.put(checked_frame(self.pose()))
            due = max(due + 1 / self.fps, self.clock() - 1 / self.fps)


class _PageSource(_Source):
    """Landmarks that our page finds in the pictures of a webcam, and hands to `receive`."""

    name = "page"

    def run(self) -> None:
        """Wait until `ending` is set: the page's server receives."""
        self.ending.wait()

    def receive(self, message: str | bytes) -> None:
        """Put the frame of a message, or note what is wrong with it."""
        try:
            self.put(read_landmarks(message))
        except RecordingError as error:
            self.problem(str(error))


class _LandmarkSource(_PageSource):
    """Landmarks that a page or a program sends to a WebSocket of this machine.

    `origins`: pages that may send, such as "http://127.0.0.1:8777"; programs name no origin.
    """

    name = "landmarks"

    def __init__(
        self,
        port: int = 0,
        origins: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self.port, self.origins = port, origins
        self._started = threading.Event()
        self._failed: Exception | None = None

    def __enter__(self) -> _LandmarkSource:
        super().__enter__()
        self._started.wait(10)
        if self._failed is not None:
            raise self._failed
        return self

    @property
    def url(self) -> str:
        """Address that landmarks are sent to."""
        return f"ws://127.0.0.1:{self.port}{PATH}"

    def run(self) -> None:
        """Listen until `ending` is set."""
        try:
            asyncio.run(self._main())
        except Exception as error:  # raised again where the source was started
            self._failed = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        listening = await listen(
            self._client,
            self.port,
            "--landmarks-port",
            max_size=LARGEST_LANDMARKS,
            origins=[None, *self.origins],
        )
        self.port = listening.sockets[0].getsockname()[1]
        self._started.set()
        async with listening:
            while not self.ending.is_set():
                await asyncio.sleep(0.05)

    async def _client(self, client: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            async for message in client:
                self.receive(message)
