"""Log of a run: `metrics.jsonl` and `events.jsonl`, one line at a time, and the facts in `run.json`.

These files are the truth. Sinks get the same lines; a sink that fails is dropped, and the run
continues.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from shadowbox.core.files import parse_json, read_bytes, read_json, write_whole
from shadowbox.errors import TrainingError, did_you_mean
from shadowbox.train.tables import _Table, _Tables

METRICS, EVENTS, FACTS = "metrics.jsonl", "events.jsonl", "run.json"
FORMAT, VERSION = "shadowbox run", 2  # of run.json
Line = dict[str, Any]


class Sink(Protocol):
    """A destination for the lines of `metrics.jsonl`."""

    def write(self, line: Line) -> None:
        """Write one line; all values but `kind` are numbers."""
        ...

    def close(self) -> None:
        """Close the sink after the last line."""
        ...


class Log:
    """Files of a run, open for appending.

    With `live` false (on ranks other than the first) nothing is written. `kinds` are the declared
    kinds of lines; others are refused. `tables`: CSV files of the learner's own.
    """

    def __init__(
        self,
        run: Path,
        *,
        live: bool = True,
        say: Callable[[str], None] | None = None,
        kinds: Sequence[str] = ("train", "val"),
        tables: Mapping[str, _Table] | None = None,
    ) -> None:
        self.run, self.live, self.say = run, live, say or (lambda text: None)
        self.kinds = tuple(kinds)
        self._sinks: list[tuple[str, Sink]] = []
        self.pages: dict[str, dict[str, str]] = {}  # of sinks: address and number of the run there
        self.began = time.time()
        if live:
            run.mkdir(parents=True, exist_ok=True)
            self._open()
            self.tables = _Tables(run, tables or {})

    def cut(self, step: int) -> int:
        """Take back the lines of figures after `step`, which will be written again; their number.

        The files are closed meanwhile: cutting replaces them, and Windows replaces no open file.
        """
        for file in self._files.values():
            file.close()
        taken_back = truncate_log(self.run, step)
        self._open()
        self.tables.cut(step)
        return taken_back

    def _open(self) -> None:
        # without a buffer a line is one write: it is there, or it is not
        names = (METRICS, EVENTS)
        for name in names:
            if (self.run / name).exists() and not (self.run / name).is_file():
                raise TrainingError(f"{self.run / name} is not a plain file; remove it")
        self._files = {name: open(self.run / name, "ab", buffering=0) for name in names}  # noqa: SIM115

    def add(self, name: str, build: Callable[[], Sink]) -> None:
        """Add a sink; one that cannot be built is reported and left out."""
        if self.live:
            try:
                sink = build()
                self._sinks.append((name, sink))
                self.pages |= {name: dict(page)} if (page := getattr(sink, "page", None)) else {}
            except Exception as error:  # whatever a foreign library does, the run goes on
                self._dropped(name, error)

    def metric(self, kind: str, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Write a line of figures of a declared kind."""
        if kind not in self.kinds:
            raise TrainingError(
                f"a line of kind '{kind}' was not declared: {did_you_mean(kind, self.kinds)}"
            )
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
        """Write an event, and print it."""
        if self.live:
            self._append(
                EVENTS,
                {"event": what, "step": step, "wall": round(time.time(), 3), "text": text, **facts},
            )
            self.say(text)

    def sync(self) -> None:
        """Sync the files, so that the log survives a power cut like the checkpoint that follows."""
        if self.live:
            for file in self._files.values():
                os.fsync(file.fileno())
            self.tables.sync()

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
        self.tables.close()

    def _append(self, name: str, line: Line) -> None:
        file = self._files[name]
        file.write((json.dumps(line, allow_nan=False) + "\n").encode())

    def _dropped(self, name: str, error: Exception) -> None:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        self.event(
            "sink", 0, f"{name} failed and is left out; the run goes on: {reason}", sink=name
        )


def read_lines(path: Path) -> list[Line]:
    """Lines of a log, without a last line that was cut off."""
    try:
        data = read_bytes(path, error=TrainingError)
    except FileNotFoundError:
        return []
    lines = []
    shape = {"kind": str, "step": int} if path.name == METRICS else dict
    for number, text in enumerate(data.split(b"\n")[:-1], start=1):
        lines.append(parse_json(text, f"{path}, line {number}", shape, error=TrainingError))
    return lines


def truncate_log(run: Path, step: int) -> int:
    """Remove the figures after `step`, which will be written again; return their number."""
    lines = read_lines(run / METRICS)
    kept = [line for line in lines if line["step"] <= step]
    write_whole(run / METRICS, [(json.dumps(line) + "\n").encode() for line in kept])
    events = read_lines(run / EVENTS)  # what happened, happened: only a torn last line goes
    write_whole(run / EVENTS, [(json.dumps(line) + "\n").encode() for line in events])
    return len(lines) - len(kept)


def read_facts(run: Path) -> dict[str, Any]:
    """Read `run.json`; refuse one of an earlier version."""
    if is_outdated(run):
        raise TrainingError(
            f"{run} is of an earlier version of the format, this Shadowbox reads {VERSION}: "
            f"run `shadowbox migrate {run}`"
        )
    return parse_facts(run)


def is_outdated(run: Path) -> bool:
    """True if a run must be migrated before it can be read."""
    try:
        facts = parse_facts(run)
    except TrainingError:
        return False
    return facts.get("format") == FORMAT and facts.get("version") != VERSION


def parse_facts(run: Path) -> dict[str, Any]:
    """Parse `run.json` of this version or an earlier one."""
    path = run / FACTS
    try:
        found: dict[str, Any] = read_json(path, error=TrainingError)
    except FileNotFoundError:
        raise TrainingError(f"{run} is not a run: it has no {FACTS}") from None
    version = found.get("version", VERSION)
    if found.get("format") == FORMAT and not (isinstance(version, int) and version <= VERSION):
        raise TrainingError(
            f"{path} has version {version!r}, this Shadowbox reads {VERSION}: update Shadowbox"
        )
    return found


def write_facts(run: Path, facts: Mapping[str, Any]) -> None:
    """Write `run.json`, whole or not at all."""
    write_whole(run / FACTS, (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode())


def numbers(line: Line) -> Iterable[tuple[str, float]]:
    """Figures of a line of `metrics.jsonl` by name."""
    return (
        (k, v)
        for k, v in line.items()
        if k not in ("kind", "step", "wall") and isinstance(v, int | float)
    )
