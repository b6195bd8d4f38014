"""A sign of life in a terminal until a command prints its first letter."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

QUIET = 0.8  # seconds before the first sign
EVERY = 0.5  # seconds between two
SLOW_PARTS = {  # module -> what takes its time once it is being imported
    "torch": "loading PyTorch",
    "numba": "loading the compiler of simulators",
    "gymnasium": "loading Gymnasium",
}
CLEAR = "\r\x1b[K"


@contextmanager
def sign_of_life() -> Iterator[None]:
    """Show one line on standard error while nothing else was printed, if it is a terminal.

    The line disappears at the first letter that the command prints, and does not come back:
    progress, prompts and servers speak for themselves.
    """
    stream = sys.stderr
    if not stream.isatty():
        yield
        return
    sign = _Sign(stream)
    try:
        yield
    finally:
        sign.end()


class _Sign:
    """The line, the thread that writes it, and the streams whose first letter ends it."""

    def __init__(self, stream: TextIO) -> None:
        self.write, self.flush = stream.write, stream.flush
        self.lock, self.ended, self.shown = threading.Lock(), threading.Event(), False
        self.watched: list[tuple[Any, Callable[[str], int]]] = []
        for each in (sys.stdout, sys.stderr):
            with suppress(AttributeError):  # a stream that cannot be watched is left as it is
                self._watch(each)
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        """Remove the line, and write no other."""
        with self.lock:
            if self.ended.is_set():
                return
            self.ended.set()
            for stream, write in self.watched:
                stream.write = write
            if self.shown:
                self.write(CLEAR)
                self.flush()

    def _watch(self, stream: Any) -> None:
        write = stream.write

        def first(text: str) -> int:
            self.end()
            written: int = write(text)
            return written

        stream.write = first
        self.watched.append((stream, write))

    def _run(self) -> None:
        began = time.monotonic()
        self.ended.wait(QUIET)
        while not self.ended.is_set():
            with self.lock:
                if self.ended.is_set():
                    return
                part = [text for name, text in SLOW_PARTS.items() if name in sys.modules]
                seconds = time.monotonic() - began
                self.write(f"{CLEAR}{(part or ['preparing'])[0]} ... {seconds:.0f} s")
                self.flush()
                self.shown = True
            self.ended.wait(EVERY)
