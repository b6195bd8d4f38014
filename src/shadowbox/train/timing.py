"""Where the time of the loop goes, so that a slow run says where it is slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

PARTS = ("data", "transfer", "forward", "backward", "optimizer", "log", "wait", "validate", "save")


class StepTimer:
    """Seconds by part.

    On a GPU work is only started in `forward` and `backward`; its length shows as `wait`.
    """

    def __init__(self) -> None:
        self.total = dict.fromkeys(PARTS, 0.0)
        self.recent = dict.fromkeys(PARTS, 0.0)
        self._last = perf_counter()

    def start(self) -> None:
        """What came before is not counted."""
        self._last = perf_counter()

    def add(self, part: str) -> None:
        """The time since the last call was spent on `part`."""
        now = perf_counter()
        self.recent[part] += now - self._last
        self._last = now

    def take(self) -> dict[str, float]:
        """Seconds by part since the last `take`."""
        taken, self.recent = self.recent, dict.fromkeys(PARTS, 0.0)
        for part, seconds in taken.items():
            self.total[part] += seconds
        return taken

    @contextmanager
    def aside(self, part: str) -> Iterator[None]:
        """Everything inside counts as `part`, whatever it calls."""
        before = dict(self.recent)
        began = self._last = perf_counter()
        yield
        self._last = perf_counter()
        self.recent = before
        self.recent[part] += self._last - began
