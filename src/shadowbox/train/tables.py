"""Tables of a run: CSV files beside the log, with rows that a learner writes at a step.

A row is on disk as soon as its step is over. When a run is resumed, the rows after its checkpoint
are taken back like the lines of the log, so that no row is lost or there twice.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from shadowbox.core.files import read_bytes, write_whole
from shadowbox.errors import TrainingError

# of runs of self-play (learners/monitoring)
MONITOR, BEHAVIOR, REWARDS = "monitor.csv", "behavior_metrics.csv", "reward_breakdown.csv"
STRATEGY, OPPONENTS, ROLLOUTS = "strategy_analysis.csv", "opponents.csv", "rollouts.csv"
BENCHMARK = "benchmark.csv"
# columns of a benchmark that is also played in the true world
TRUE = ("true_win_rate", "true_low", "true_high", "true_return", "gap", "gap_low", "gap_high")
UPDATES = "updates.csv"  # a row for each update, for learners that take their own steps
STEP, EPISODE, SECONDS = "step", "episode", "t"  # columns that the run fills in


class _Table(NamedTuple):
    """A CSV file of a run: its columns, and the facts of a first line that begins with #.

    Of the columns `step`, `episode` (number of the row) and `t` (seconds since the file began) are
    filled in by the run. A table has a step.
    """

    columns: tuple[str, ...]
    preamble: Mapping[str, str] | None = None


class _Tables:
    """Open tables of a run by file name."""

    def __init__(self, run: Path, tables: Mapping[str, _Table]) -> None:
        self.run, self.tables = run, tables
        self._files: dict[str, BinaryIO] = {}
        self._rows: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._open()

    def write(self, step: int, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Append rows; `step`, the row's number `episode` and the seconds `t` are added here."""
        for name, found in rows.items():
            columns, number = self.tables[name].columns, self._rows[name]
            lines = [
                {STEP: step, EPISODE: at, SECONDS: round(time.time() - self._began[name], 3), **row}
                for at, row in enumerate(found, start=number + 1)
            ]
            if lines:
                text = _as_csv([[_cell(line[column]) for column in columns] for line in lines])
                self._files[name].write(text.encode())
                self._rows[name] += len(lines)

    def cut(self, step: int) -> None:
        """Take back the rows after `step`, and a last one that was cut off."""
        self.close()
        for name, table in self.tables.items():
            head, rows = _read(self.run / name, table)
            at = table.columns.index(STEP)
            kept = [row for row in rows if row[at].isdigit() and int(row[at]) <= step]
            write_whole(self.run / name, (head + _as_csv(kept)).encode())
        self._open()

    def sync(self) -> None:
        """Sync the files, as the log does before a checkpoint."""
        for file in self._files.values():
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _open(self) -> None:
        for name, table in self.tables.items():
            path = self.run / name
            if path.exists() and not path.is_file():
                raise TrainingError(f"{path} is not a plain file; remove it")
            head, rows = _read(path, table)
            text = (head + _as_csv(rows)).encode()
            if not path.exists() or path.read_bytes() != text:  # torn, or of an earlier version
                write_whole(path, text)
            self._rows[name], self._began[name] = len(rows), _began(head)
            # without a buffer, rows are one write: they are there, or they are not
            self._files[name] = open(path, "ab", buffering=0)  # noqa: SIM115


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a table by column, without its preamble and a last row that was cut off.

    Empty if the file is missing.
    """
    try:
        data = read_bytes(path, error=TrainingError)
    except FileNotFoundError:
        return []
    text = data[: data.rfind(b"\n") + 1].decode(errors="replace")
    lines = text[text.find("\n") + 1 :] if text.startswith("#") else text
    rows = list(csv.reader(io.StringIO(lines)))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:] if len(row) == len(rows[0])]


def numbers_in(rows: Sequence[Mapping[str, str]], name: str) -> list[tuple[float, float]]:
    """Finite numbers of a column with their steps; cells that hold none are left out."""
    found = []
    for row in rows:
        try:
            step, value = float(row[STEP]), float(row[name])
        except (KeyError, ValueError):
            continue
        if math.isfinite(step) and math.isfinite(value):
            found.append((step, value))
    return found


def _read(path: Path, table: _Table) -> tuple[str, list[list[str]]]:
    """Head and whole rows of a table; those of an empty one if there is none yet."""
    rows = [[row.get(column, "") for column in table.columns] for row in read_table(path)]
    columns = _as_csv([table.columns])
    if table.preamble is None:
        return columns, rows
    first = (
        path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        if path.exists()
        else ""
    )
    if first.startswith("#"):
        return f"{first}\n{columns}", rows
    facts = {"t_start": round(time.time(), 3), **table.preamble}
    return f"#{json.dumps(facts)}\n{columns}", rows


def _began(head: str) -> float:
    """Time of a table's beginning, from its preamble; now for one without."""
    if not head.startswith("#"):
        return time.time()
    try:
        return float(json.loads(head[1 : head.find("\n")])["t_start"])
    except (ValueError, LookupError, TypeError):
        return time.time()


def _as_csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    """A value as text: numbers with six digits, nothing for what is not known."""
    if isinstance(value, float):
        return f"{value:.6g}" if value == value else ""
    return "" if value is None else str(value)
