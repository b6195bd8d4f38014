"""Time of the loop by part (data, forward, backward, ...), to see why a run is slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

PARTS = ("data", "transfer", "forward", "backward", "optimizer", "log", "wait", "validate", "save")


class _StepTimer:
    """Seconds by part.

    On a GPU, `forward` and `backward` only launch work; its duration shows up as `wait`.
    """

    def __init__(self) -> None:
        self.total = dict.fromkeys(PARTS, 0.0)
        self.recent = dict.fromkeys(PARTS, 0.0)
        self._last = perf_counter()

    def start(self) -> None:
        """Start the clock; earlier time is not counted."""
        self._last = perf_counter()

    def add(self, part: str) -> None:
        """Assign the time since the last call to `part`."""
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
        """Context whose whole time counts as `part`."""
        before = dict(self.recent)
        began = self._last = perf_counter()
        yield
        self._last = perf_counter()
        self.recent = before
        self.recent[part] += self._last - began
