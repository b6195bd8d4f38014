"""What a run writes down: `metrics.jsonl` and `events.jsonl`, a line at a time, and `run.json`, its facts.

These files are the truth. Sinks get the same lines; one that fails is dropped, and the run goes on.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from shadowbox.core.files import write_whole
from shadowbox.errors import TrainingError

METRICS, EVENTS, FACTS = "metrics.jsonl", "events.jsonl", "run.json"
FORMAT, VERSION = "shadowbox run", 2  # of run.json
Line = dict[str, Any]


class Sink(Protocol):
    """Another place that the lines of `metrics.jsonl` go to."""

    def write(self, line: Line) -> None:
        """One line; numbers only, but for `kind`."""
        ...

    def close(self) -> None:
        """No more lines come."""
        ...


class Log:
    """The files of a run, open for appending.

    With `live` false (another rank than the first) nothing is written.
    """

    def __init__(
        self, run: Path, *, live: bool = True, say: Callable[[str], None] | None = None
    ) -> None:
        self.run, self.live, self.say = run, live, say or (lambda text: None)
        self._sinks: list[tuple[str, Sink]] = []
        self.began = time.time()
        if live:
            run.mkdir(parents=True, exist_ok=True)
            self._open()

    def cut(self, step: int) -> int:
        """Take back the lines of figures after `step`, which will be written again; their number.

        The files are closed meanwhile: cutting replaces them, and Windows replaces no open file.
        """
        for file in self._files.values():
            file.close()
        taken_back = truncate_log(self.run, step)
        self._open()
        return taken_back

    def _open(self) -> None:
        # without a buffer a line is one write: it is there, or it is not
        names = (METRICS, EVENTS)
        self._files = {name: open(self.run / name, "ab", buffering=0) for name in names}  # noqa: SIM115

    def add(self, name: str, build: Callable[[], Sink]) -> None:
        """Give the lines to a sink, too; one that cannot be built is reported and left out."""
        if self.live:
            try:
                self._sinks.append((name, build()))
            except Exception as error:  # whatever a foreign library does, the run goes on
                self._dropped(name, error)

    def metric(self, kind: str, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One line of figures."""
        if not self.live:
            return
        figures = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = {
            "kind": kind,
            "step": step,
            "epoch": epoch,
            "wall": round(time.time(), 3),
            **figures,
        }
        self._append(METRICS, line)
        for name, sink in list(self._sinks):
            try:
                sink.write(line)
            except Exception as error:  # as above
                self._sinks.remove((name, sink))
                self._dropped(name, error)

    def event(self, what: str, step: int, text: str, **facts: Any) -> None:
        """Something happened: kept, and said."""
        if self.live:
            self._append(
                EVENTS,
                {"event": what, "step": step, "wall": round(time.time(), 3), "text": text, **facts},
            )
            self.say(text)

    def sync(self) -> None:
        """What was written so far survives a power cut, as the checkpoint that follows will."""
        if self.live:
            for file in self._files.values():
                os.fsync(file.fileno())

    def close(self) -> None:
        """Close files and sinks."""
        if not self.live:
            return
        for name, sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # as above
                self._dropped(name, error)
        for file in self._files.values():
            file.close()

    def _append(self, name: str, line: Line) -> None:
        file = self._files[name]
        file.write((json.dumps(line, allow_nan=False) + "\n").encode())

    def _dropped(self, name: str, error: Exception) -> None:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        self.event(
            "sink", 0, f"{name} failed and is left out; the run goes on: {reason}", sink=name
        )


def read_lines(path: Path) -> list[Line]:
    """The lines of a log; a last one that was cut off in the middle is not there."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = []
    for text in data.splitlines(keepends=True):
        if not text.endswith(b"\n"):
            break
        lines.append(json.loads(text))
    return lines


def truncate_log(run: Path, step: int) -> int:
    """Take back the figures after `step`, which will be written again; how many there were."""
    lines = read_lines(run / METRICS)
    kept = [line for line in lines if line["step"] <= step]
    write_whole(run / METRICS, [(json.dumps(line) + "\n").encode() for line in kept])
    events = read_lines(run / EVENTS)  # what happened, happened: only a torn last line goes
    write_whole(run / EVENTS, [(json.dumps(line) + "\n").encode() for line in events])
    return len(lines) - len(kept)


def read_facts(run: Path) -> dict[str, Any]:
    """`run.json`; one with the names of an earlier version is refused."""
    if is_outdated(run):
        raise TrainingError(
            f"{run} is of an earlier version of the format, this Shadowbox reads {VERSION}: "
            f"run `shadowbox migrate {run}`"
        )
    return parse_facts(run)


def is_outdated(run: Path) -> bool:
    """Whether the run must be migrated before it can be read."""
    try:
        facts = parse_facts(run)
    except TrainingError:
        return False
    return facts.get("format") == FORMAT and facts.get("version") != VERSION


def parse_facts(run: Path) -> dict[str, Any]:
    """`run.json` of this version or an earlier one."""
    path = run / FACTS
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise TrainingError(f"{run} is no run: there is no {FACTS} in it") from None
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise TrainingError(f"{path} holds a {type(found).__name__}, an object is needed")
    version = found.get("version", VERSION)
    if found.get("format") == FORMAT and not (isinstance(version, int) and version <= VERSION):
        raise TrainingError(
            f"{path} has version {version!r}, this Shadowbox reads {VERSION}: update Shadowbox"
        )
    return found


def write_facts(run: Path, facts: Mapping[str, Any]) -> None:
    """`run.json`, whole."""
    write_whole(run / FACTS, (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode())


def numbers(line: Line) -> Iterable[tuple[str, float]]:
    """The figures of a line of `metrics.jsonl` by name."""
    return (
        (k, v)
        for k, v in line.items()
        if k not in ("kind", "step", "wall") and isinstance(v, int | float)
    )
