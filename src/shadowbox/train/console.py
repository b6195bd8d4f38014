"""Console of a run: an aligned table with a line per validation, and a progress bar."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TextIO

WIDTH, NARROW = 12, 6  # of a column, and of one of many
MANY = 8  # columns
MOST_SHOWN = 6  # figures of a line of the learner's own kind
PLAIN_EVERY = 10.0  # seconds between lines without a terminal


class Console:
    """Writes to a text stream: a progress bar on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO, what: str = "training") -> None:
        self.stream, self.what = stream, what
        self._bar: Any = None
        self._task: Any = None
        self._head: tuple[str, ...] = ()
        self._began = self._shown = time.monotonic()
        self._first = -1

    def say(self, text: str) -> None:
        """Print a sentence on its own line."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            self.stream.write(text + "\n")
            self.stream.flush()

    def step(self, step: int, total: int, loss: float) -> None:
        """Update the progress; nothing is shown in the first two seconds."""
        now = time.monotonic()
        if self._first < 0:
            self._first, self._began = step, now
        if now - self._began < 2:
            return
        if self.stream.isatty():
            self._show(step, total)
        elif now - self._shown > PLAIN_EVERY:
            self._shown = now
            left = (now - self._began) / max(1, step - self._first) * (total - step)
            self.say(
                f"{self.what}: step {step:,} of {total:,}, loss {loss:.4g}, about {_duration(left)} left"
            )

    def row(self, epoch: int, figures: Mapping[str, float], best: bool) -> None:
        """Print a row of the table; the header is repeated when the columns change."""
        wide = WIDTH if len(figures) <= MANY else NARROW
        if tuple(figures) != self._head:
            self._head = tuple(figures)
            head = f"{'Ep':>4}" + "".join(f"{name[-wide:]:>{wide + 2}}" for name in figures)
            self.say(f"{head}\n{'-' * (len(head) + 2)}")
        cells = "".join(f"{_short(name, value):>{wide + 2}}" for name, value in figures.items())
        self.say(f"{epoch:>4}{cells}{' *' if best else ''}")

    def line(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        """Print the first figures of a line of the learner's own kind."""
        shown = list(figures.items())[:MOST_SHOWN]
        words = ", ".join(f"{name} {_short(name, value)}" for name, value in shown)
        self.say(f"{kind}, step {step:,}: {words}")

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, step: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console as Rich
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Rich(file=self.stream), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=total, completed=step)
        self._bar.update(self._task, completed=step, total=total)


def _short(name: str, value: float) -> str:
    if value != value:
        return "-"
    return (
        f"{value:.1e}" if name == "LR" else f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
