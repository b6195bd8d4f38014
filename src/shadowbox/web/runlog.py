"""Logs of runs: state, curves, times and events, read incrementally and thinned for a page."""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from shadowbox.core.files import open_plain
from shadowbox.errors import ShadowboxError
from shadowbox.train.log import EVENTS, FACTS, METRICS, Line, read_facts

DEPTH = 3  # folders between the folder of runs and a run.json: a card, a setting, a seed
LARGEST = 1 << 20  # bytes of a run.json, and of a line
POINTS = 600  # points of a curve: about one per pixel of its width
EVENTS_KEPT = 100
LOGS_KEPT = 32  # runs whose points stay in memory
TAIL = 1 << 16  # bytes at the end of a log that `last_lines` reads
READ_S = 0.7  # seconds for which one answer reads on in a long log; the page asks again at once
SILENT_AFTER = 300.0  # seconds without a line, after which a run was probably killed
NO_FIGURES = ("kind", "step", "wall", "epoch")  # keys of a line that are not figures
TIME = "time/"
DECODER = json.JSONDecoder(parse_constant=lambda name: None)  # NaN cannot be sent as JSON
BEGINNINGS = ("begin", "parent", "resume")
OVER = ("finished", "early stop", "called off")


def run_folders(folder: Path) -> dict[str, Path]:
    """Folders of the runs by name.

    A name in an address is only looked up in this mapping, so it never becomes part of a path.
    """
    return {path.relative_to(folder).as_posix(): path for path in _folders(folder, DEPTH)}


def facts_of(run: Path) -> dict[str, Any]:
    """Read `run.json` of a run; raises ShadowboxError if it cannot be read or shown."""
    path = run / FACTS
    try:
        if path.stat().st_size > LARGEST:
            raise ShadowboxError(
                f"{path} is larger than {LARGEST:,} bytes, too large for the facts of a run; "
                "move it out of the folder of runs"
            )
        facts = read_facts(run)
        _check_text(facts)
        return facts
    except UnicodeEncodeError:
        raise ShadowboxError(f"{path} cannot be read: it has half of a surrogate pair") from None
    except OSError as error:
        raise ShadowboxError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise ShadowboxError(f"{path} cannot be read: it is nested too deeply") from None


def state_of(run: Path, facts: dict[str, Any], events: Iterable[Line]) -> str:
    """State of a run: running, silent, finished, early stop, called off or stopped.

    `run.json` knows only the state of the last checkpoint, so the later events count as well.
    """
    status = facts.get("status")
    if status in OVER:
        return str(status)
    turns = [event.get("event") for event in events if event.get("event") in (*BEGINNINGS, "stop")]
    stopped = turns[-1] == "stop" if turns else status == "stopped"
    if stopped:
        return "stopped"
    return "silent" if time.time() - touched(run) > SILENT_AFTER else "running"


def touched(run: Path) -> float:
    """Time at which a run last wrote to one of its files, in seconds since the epoch."""
    return max((time_of(run / name) for name in (METRICS, EVENTS, FACTS)), default=0.0)


def time_of(path: Path) -> float:
    """Time at which a file was last written, in seconds since the epoch; 0 without a file."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def last_lines(path: Path) -> list[Line]:
    """Complete lines near the end of a log; unreadable ones are left out."""
    try:
        with open_plain(path) as file:
            file.seek(0, os.SEEK_END)
            start = max(0, file.tell() - TAIL)
            file.seek(start)
            text = file.read(TAIL)
    except (OSError, ShadowboxError):
        return []
    whole = text.split(b"\n")[1 if start else 0 : -1]
    return [line for line in map(_parsed, whole) if line is not None]


# ---- following a run ----


@dataclass
class _Point:
    """A line of a log; its figures are read once it is shown, since most lines are thinned out."""

    step: int
    seconds: float  # of training until the line, without pauses
    line: Line

    @property
    def figures(self) -> dict[str, float | None]:
        """Numbers of the line, without those of its place and its times."""
        return {
            name: number(value)
            for name, value in self.line.items()
            if name not in NO_FIGURES and not name.startswith(TIME)
        }


@dataclass
class _ThinnedCurve:
    """Lines of one kind, thinned evenly to at most twice `POINTS`, and always the newest one."""

    points: list[_Point] = field(default_factory=list)
    every: int = 1
    seen: int = 0
    newest: _Point | None = None

    def add(self, point: _Point) -> None:
        """Append a line; beyond twice `POINTS` every second one is dropped."""
        if self.seen % self.every == 0:
            self.points.append(point)
        self.seen += 1
        self.newest = point
        if len(self.points) > 2 * POINTS:
            self.points = self.points[::2]
            self.every *= 2

    def after(self, step: int) -> list[_Point]:
        """Kept lines after a step, and the newest one."""
        later = [point for point in self.points if point.step > step]
        if self.newest and self.newest.step > step and (not later or later[-1] is not self.newest):
            later.append(self.newest)
        return later


class _LogReader:
    """Incremental reader of a log; an incomplete last line is read once it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode, self.offset, self.number = -1, 0, 0
        self.share = 1.0  # of the file that has been read; 1 at its last complete line
        self.damaged = ""

    def replaced(self) -> bool:
        """Test for a new file, which a resumed run puts in place of its log; then start over."""
        try:
            stat = self.path.stat()
        except OSError:
            return self._reset(-1)
        return (
            self._reset(stat.st_ino)
            if stat.st_ino != self.inode or stat.st_size < self.offset
            else False
        )

    def lines(self, seconds: float = math.inf) -> Iterator[Line]:
        """Read the lines that were written since the last call, for some seconds; see `share`."""
        until, self.share = time.monotonic() + seconds, 1.0
        try:
            file = open_plain(self.path)
        except FileNotFoundError:
            return
        except ShadowboxError as error:
            self.damaged = str(error)
            return
        with file:
            file.seek(self.offset)
            while (text := file.readline(LARGEST)).endswith(b"\n"):
                self.offset += len(text)
                self.number += 1
                line = _parsed(text)
                if line is not None:
                    yield line
                else:
                    self.damaged = self.damaged or (
                        f"{self.path.name} is damaged: line {self.number} is not a JSON object"
                    )
                if time.monotonic() > until:
                    size = os.fstat(file.fileno()).st_size  # 0 if it was emptied meanwhile
                    self.share = min(self.offset / max(size, 1), 1.0)
                    return

    def _reset(self, inode: int) -> bool:
        changed = inode != self.inode or self.offset > 0
        self.inode, self.offset, self.number, self.damaged = inode, 0, 0, ""
        return changed


class _RunLog:
    """Curves, times and events of one run; safe to use from several threads."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._metrics, self._events = _LogReader(run / METRICS), _LogReader(run / EVENTS)
        self._lock = Lock()
        self.before: float | None = None  # wall clock of the last line
        self.elapsed = 0.0  # seconds of training, without pauses
        self._forget()
        self._forget_events()

    def news(self, facts: dict[str, Any], after: int, events: int) -> dict[str, Any]:
        """State and points after step `after`, as plain data.

        The events are included unless their number is `events`, which the page has already.
        """
        with self._lock:
            self._read()
            curves = {kind: _columns(thinned.after(after)) for kind, thinned in self.kinds.items()}
            changed = {} if events == self.happened else {"events": list(self.events)}
            return changed | {
                "part": str(self._metrics.inode),  # after a change the page starts over
                "state": state_of(self.run, facts, self.events),
                "step": self.step,
                "total": number(facts.get("total")),
                "elapsed": self.elapsed,
                "curves": curves,
                "read": self._metrics.share,
                "every": max((thinned.every for thinned in self.kinds.values()), default=1),
                "time": self.time,
                "happened": self.happened,
                "damaged": [
                    words for words in (self._metrics.damaged, self._events.damaged) if words
                ],
            }

    def _read(self) -> None:
        if self._events.replaced():
            self._forget_events()
        for line in self._events.lines():
            self.happened += 1
            self.events.append(_event(line))
            wall = number(line.get("wall"))
            if wall is not None and line.get("event") in BEGINNINGS:
                self.begun.append(wall)
        if self._metrics.replaced():
            self._forget()
        for line in self._metrics.lines(READ_S):
            self._take(line)

    def _take(self, line: Line) -> None:
        kind, step, wall = line.get("kind"), line.get("step"), number(line.get("wall"))
        if (
            not isinstance(kind, str)
            or not isinstance(step, int)
            or not 0 <= step < 2**53
            or wall is None
        ):
            self._metrics.damaged = self._metrics.damaged or (
                f"{METRICS} is damaged: line {self._metrics.number} has no kind, step or wall"
            )
            return
        resumed = max((begun for begun in self.begun if begun <= wall), default=wall)
        self.elapsed += max(
            0.0, wall - (resumed if self.before is None else max(resumed, self.before))
        )
        self.before, self.step = wall, step
        for name in [name for name in line if name.startswith(TIME)]:
            part = name.removeprefix(TIME)
            self.time[part] = self.time.get(part, 0.0) + (number(line[name]) or 0.0)
        self.kinds.setdefault(kind, _ThinnedCurve()).add(_Point(step, self.elapsed, line))

    def _forget(self) -> None:
        self.kinds: dict[str, _ThinnedCurve] = {}
        self.time: dict[str, float] = {}  # seconds by part of the loop
        self.step, self.elapsed, self.before = 0, 0.0, None

    def _forget_events(self) -> None:
        self.events: deque[Line] = deque(maxlen=EVENTS_KEPT)
        self.happened = 0
        self.begun: list[float] = []  # wall clock at each start or resumption of the run


LogCache = Callable[[Path], _RunLog]


def log_cache() -> LogCache:
    """Cache of the logs that pages follow, by folder; the least recently used ones are dropped."""
    return lru_cache(maxsize=LOGS_KEPT)(_RunLog)


def number(value: Any) -> float | None:
    """Finite number as a float; None for NaN, infinity and any other value."""
    # comparing with NaN is false, too
    finite = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if finite else None


# ---- inside ----


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(
            path for path in folder.iterdir() if path.name.isprintable() and os.path.isdir(path)
        )
    except OSError:
        return
    for path in inside:
        if os.path.isfile(path / FACTS):  # unlike Path.is_file, it is false for a forbidden folder
            yield path
        elif depth > 1:
            yield from _folders(path, depth - 1)


def _parsed(text: bytes) -> Line | None:
    try:
        line = DECODER.decode(text.decode())
        if b"\\u" in text:
            _check_text(line)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _check_text(data: Any) -> None:
    """Raise UnicodeEncodeError, a ValueError, for half of a surrogate pair in any text."""
    json.dumps(data, ensure_ascii=False).encode()


def _event(line: Line) -> Line:
    """Parts of an event that a page shows; for a rule that fired also its action and metrics."""
    event: Line = {"step": number(line.get("step"))} | {
        key: str(line.get(key, ""))[:500] for key in ("event", "text")
    }
    figures = line.get("figures")
    if line.get("event") == "rule" and isinstance(figures, dict):
        event |= {
            "action": str(line.get("action", ""))[:20],
            "metrics": [str(name)[:200] for name in list(figures)[:20]],
        }
    return event


def _columns(points: list[_Point]) -> dict[str, Any]:
    """Points as columns, which are short as JSON and are drawn as they are."""
    rows = [point.figures for point in points]
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        "step": [point.step for point in points],
        "seconds": [round(point.seconds, 2) for point in points],
        "figures": {name: [_rounded(row.get(name)) for row in rows] for name in names},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
