"""Signals that ask a long job to end: remembered, so that the job ends between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from shadowbox.core import system


@contextmanager
def stop_signal() -> Iterator[Callable[[], int]]:
    """Remember SIGINT and SIGTERM instead of acting on them. A second signal acts at once.

    Yields a function that returns the number of the signal, or 0 before there is one. Outside the
    main thread, where Python allows no handlers, nothing changes.
    """
    received = 0
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received = number
        restore()

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, note) for number in system.STOP_SIGNALS}
    try:
        yield lambda: received
    finally:
        restore()
