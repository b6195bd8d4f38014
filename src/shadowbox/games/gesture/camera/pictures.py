"""Sources of pictures: a phone's stream, a camera of this machine, and a video.

MediaPipe finds pose and hands in them, in a process of its own (worker.py) whose Python is another:
`.venv-camera`. What it sends is checked like landmarks from anywhere. A phone sends a TCP stream of
JPEG pictures, each after its size as four bytes, big-endian.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.errors import (
    RecordingError,
    ShadowboxError,
    UsageError,
    checkout,
    separate_hint,
    system_error,
)
from shadowbox.games.gesture.schema import FRAME_VALUES
from shadowbox.games.gesture.sources import _Source, checked_frame

LARGEST_PICTURE = 4 << 20  # bytes of a JPEG
LARGEST_MESSAGE = 1 << 12  # bytes of the worker
PYTHON = "SHADOWBOX_CAMERA"  # variable that names the interpreter; else .venv-camera
NO_PERSON = np.zeros(FRAME_VALUES, np.float32)
ENDED = "the pictures have ended"  # last message of a worker


def camera_python() -> str:
    """Python that has MediaPipe: that of `SHADOWBOX_CAMERA`, or of `.venv-camera`."""
    named = os.environ.get(PYTHON)
    if named:
        return named
    program = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    for folder in (Path.cwd(), checkout()):
        if folder is not None and (path := folder / ".venv-camera" / program).exists():
            return str(path)
    needs = Path(__file__).with_name("requirements.txt")
    raise ShadowboxError(
        "MediaPipe has a Python of its own, .venv-camera, which is not here. Make it with `make camera`"
        f", or by a Python of version 3.11 or 3.12: {separate_hint('.venv-camera', needs)}"
    )


def own_models(pose: str, hand: str) -> list[str]:
    """Arguments of a worker for files of own models; "" is the model inside MediaPipe."""
    found = []
    for part, path in (("pose", pose), ("hand", hand)):
        if not path:
            continue
        if not path.endswith(".task") or not Path(path).is_file():
            raise UsageError(
                f"--{part}-model {path}: expected a bundle of MediaPipe's tasks, a file that ends in .task"
            )
        found.append(f"{part}={Path(path).absolute()}")
    return found


class _Worker:
    """MediaPipe in another process, while the block of `with` is entered."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Worker:
        command = [camera_python(), str(Path(__file__).with_name("worker.py")), *self.arguments]
        try:
            self.process = subprocess.Popen(  # noqa: S603  no shell; the path is ours
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise ShadowboxError(
                f"{command[0]} cannot be started: {system_error(error)}"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            self.process.kill()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
            self.process.wait()

    def message(self) -> Array | str:
        """Next message: a frame [260], which is zeros without a person, or a problem as text."""
        assert self.process is not None
        assert self.process.stdout is not None
        size = int.from_bytes(_read(self.process.stdout, 4), "big")
        if size > LARGEST_MESSAGE:
            raise RecordingError(
                f"camera: a message of {size:,} bytes; at most {LARGEST_MESSAGE:,}"
            )
        content = _read(self.process.stdout, size)
        if not content:
            return NO_PERSON
        if size == 4 * FRAME_VALUES:
            return checked_frame(np.frombuffer(content, "<f4"))
        return f"camera: {content.decode(errors='replace')}"

    def estimate(self, picture: bytes) -> Array | None:
        """Landmarks [260] of a JPEG; a problem raises RecordingError."""
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(len(picture).to_bytes(4, "big") + picture)
            self.process.stdin.flush()
            answer = self.message()
        except (OSError, EOFError, ValueError) as error:  # a closed pipe is a ValueError
            raise RecordingError("camera: MediaPipe's process has ended") from error
        if isinstance(answer, str):
            raise RecordingError(answer)
        return answer


def _read(pipe: IO[bytes], count: int) -> bytes:
    content = pipe.read(count)
    if len(content) < count:
        raise EOFError
    return content


class _CameraSource(_Source):
    """Camera of this machine (`camera`, its number) or a video (`video`, its file), by MediaPipe.

    `models` are those of `own_models`.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        models: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = kind
        super().__init__(clock)
        self.worker = _Worker(kind, name, *models)

    def __enter__(self) -> _CameraSource:
        self.worker.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self.worker.__exit__()
        super().__exit__(*error)

    def run(self) -> None:
        """Put the frames of the worker until it or the source ends."""
        while not self.ending.is_set():
            try:
                message = self.worker.message()
            except (EOFError, OSError, ValueError):
                if not self.ending.is_set():
                    self.problem(f"{self.name}: MediaPipe's process has ended")
                return
            except RecordingError as error:
                self.problem(str(error))
                continue
            if isinstance(message, str):
                self.problem(message)
                if message.endswith(ENDED):
                    return
            else:
                self.put(message)


# ---- a phone --------------------------------------------------------------------------------------


def read_picture(receive: Callable[[int], bytes]) -> bytes:
    """The next JPEG of a phone's stream; `receive(n)` returns exactly n bytes, or raises EOFError."""
    size = int.from_bytes(receive(4), "big")
    if not 4 <= size <= LARGEST_PICTURE:
        raise RecordingError(
            f"phone: a picture of {size:,} bytes; expected 4 to {LARGEST_PICTURE:,}, so that this is "
            "not a stream of pictures"
        )
    picture = receive(size)
    if picture[:2] != b"\xff\xd8":
        raise RecordingError(f"phone: {size:,} bytes that are not a JPEG picture")
    return picture


class _PhoneSource(_Source):
    """Pictures of a phone's camera, turned into landmarks by `estimate(jpeg) -> [260] or None`.

    The phone is the server of the stream. A picture that arrives while another is being estimated
    replaces the one that waits.
    """

    name = "phone"
    silence_s = 2.0  # without a byte for longer, the connection counts as lost

    def __init__(
        self,
        host: str,
        port: int,
        estimate: Callable[[bytes], Array | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self.host, self.port, self.estimate = host, port, estimate
        self._picture: bytes | None = None
        self._pictures = threading.Condition()

    def run(self) -> None:
        """Read pictures until `ending` is set, and connect again after a loss."""
        worker = threading.Thread(target=self._estimates, name="pose of the phone", daemon=True)
        worker.start()
        pause = 0.25
        while not self.ending.is_set():
            try:
                with socket.create_connection((self.host, self.port), timeout=3) as stream:
                    stream.settimeout(self.silence_s)
                    pause = 0.25
                    while not self.ending.is_set():
                        self._arrived(read_picture(lambda count: _exactly(stream, count)))
            except (OSError, EOFError, RecordingError) as error:
                text = str(error) if not isinstance(error, OSError) else system_error(error)
                self.problem(f"phone {self.host}:{self.port}: {text}")
            self.ending.wait(pause)
            pause = min(2 * pause, 4.0)
        with self._pictures:
            self._pictures.notify()
        worker.join(timeout=1)

    def _arrived(self, picture: bytes) -> None:
        with self._pictures:
            self.counts["skipped"] += self._picture is not None
            self._picture = picture
            self._pictures.notify()

    def _estimates(self) -> None:
        while not self.ending.is_set():
            with self._pictures:
                if self._picture is None:
                    self._pictures.wait(0.1)
                picture, self._picture = self._picture, None
            if picture is None:
                continue
            try:
                frame = self.estimate(picture)
                if frame is not None:
                    self.put(checked_frame(np.asarray(frame, np.float32).reshape(FRAME_VALUES)))
            except (RecordingError, ValueError) as error:
                self.problem(str(error))


def _exactly(stream: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes of the stream; EOFError if it ends before."""
    parts, left = [], count
    while left:
        part = stream.recv(min(left, 1 << 16))
        if not part:
            raise EOFError(f"the stream ended {left:,} bytes before the end of a picture")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
