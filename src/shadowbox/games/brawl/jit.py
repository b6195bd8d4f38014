"""Compilation of the simulator with Numba: typed decorators, a safe cache, a progress bar.

Numba's own cache looks only at the file of the function that is called, so an edit in `combat.py`
would go unnoticed by a cached `loop.run`. `fingerprint` therefore becomes part of a type that this
function receives.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import numba
import numpy as np
from numba.core import event

Function = TypeVar("Function", bound=Callable[..., Any])

SOURCES = (
    "schema", "rules", "arsenal", "moves", "tables",
    "warehouse/platform", "warehouse/paths",
    "movement", "combat", "items", "physics", "brain", "signals", "loop",
)  # fmt: skip
USUAL_S = 20  # seconds that compiling takes on one core
QUIET_S = 2.0  # seconds before the bar appears
BAR = 24  # characters

_inner: set[Callable[..., Any]] = set()  # functions whose compilation moves the bar


def inner(function: Function) -> Function:
    """Compile a function into its callers, without a cache of its own.

    Python cannot call it: the wrappers for that would be a quarter of the time that compiling takes.
    Never with fastmath: a replay must give the same bits.
    """
    _inner.add(function)
    njit: Any = numba.njit  # its types lack the two options
    compiled: Function = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    _take_constants_as_integers(compiled)
    return compiled


def _take_constants_as_integers(compiled: Any) -> None:
    """Compile a function once for all constants that its callers pass.

    Numba compiles it again for each of them, as for the seats 0 and 1, with all that it calls: a
    third of the time that compiling takes.
    """
    if hasattr(compiled, "get_call_template"):  # not with NUMBA_DISABLE_JIT=1
        template, types = compiled.get_call_template, cast(Any, numba.types)
        compiled.get_call_template = lambda args, kws: template(
            tuple(types.unliteral(each) for each in args), kws
        )


def entry(function: Function) -> Function:
    """Compile a function that Python calls, and cache it on disk."""
    return cast(Function, numba.njit(nogil=True, cache=True)(function))


def direct(function: Any, arguments: tuple[Any, ...]) -> Callable[..., Any] | None:
    """A compiled entry without Numba's look at the types of its arguments, a microsecond for many.

    Only for arguments of the same types as these: others would be read as if they had them. None if
    it is not compiled for them yet.
    """
    found = function.overloads.get(tuple(cast(Any, numba).typeof(each) for each in arguments))
    return cast(Callable[..., Any], found.entry_point) if found else None


@cache
def fingerprint() -> np.ndarray[Any, Any]:
    """Array [1] of a record type named after a digest of the compiled source files.

    An edit of these files gives another type, for which Numba compiles anew.
    """
    digest = hashlib.blake2b(digest_size=6)
    for name in SOURCES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return np.zeros(1, np.dtype([(f"sources_{digest.hexdigest()}", "u1")]))


@contextmanager
def compiling(stream: TextIO | None = None) -> Iterator[None]:
    """Show a bar on standard error while calls in this block compile what the cache on disk lacks.

    Silent when everything is cached, and in worker processes: their parent shows the bar.
    """
    stream = stream or sys.stderr
    worker = multiprocessing.parent_process() is not None or os.environ.get("RANK", "0") != "0"
    if worker or stream is None:  # pythonw has no standard error
        yield
        return
    bar: Any = _Bar(stream)
    numba_events: Any = event
    numba_events.register("numba:compile", bar)
    try:
        yield
        bar.close(done=True)
    finally:
        numba_events.unregister("numba:compile", bar)
        bar.close(done=False)


class _Bar(event.Listener):
    """Progress bar: the share of the inner functions that are compiled, which take most time."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.compiled: set[Callable[..., Any]] = set()
        self.began = 0.0
        self.shown = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def on_start(self, event: Any) -> None:
        """Start the clock at the first function that the cache did not hold."""
        if not self.began:
            self.began = time.monotonic()
            self._thread.start()

    def on_end(self, event: Any) -> None:
        """Count a compiled function."""
        self.compiled.add(event.data["dispatcher"].py_func)

    def line(self) -> str:
        """Text of the bar, with progress and time on a terminal."""
        text = f"compiling the simulator, once: about {USUAL_S} s"
        if not self.stream.isatty():
            return text
        share = len(self.compiled & _inner) / len(_inner)
        bar = ("#" * int(share * BAR)).ljust(BAR, ".")
        return f"{text} [{bar}] {time.monotonic() - self.began:.0f} s"

    def close(self, *, done: bool) -> None:
        """Stop drawing; where a bar was shown, end with the measured time."""
        self._closed.set()
        if not self.began:
            return
        self._thread.join()
        if self.shown and done:
            seconds = time.monotonic() - self.began
            self._write(
                f"compiled the simulator in {seconds:.0f} s; from now on it is loaded", "\n"
            )
        elif self.shown and self.stream.isatty():
            self.stream.write("\n")
        self.shown = False

    def _draw(self) -> None:
        terminal = self.stream.isatty()
        pause = QUIET_S
        while not self._closed.wait(pause):
            if terminal or not self.shown:
                self._write(self.line(), "" if terminal else "\n")
            self.shown, pause = True, 0.25

    def _write(self, text: str, end: str) -> None:
        """Overwrite the line before; padding to 79 characters clears it on any terminal."""
        again = "\r" if self.stream.isatty() else ""
        self.stream.write(f"{again}{text.ljust(79) if again else text}{end}")
        self.stream.flush()
