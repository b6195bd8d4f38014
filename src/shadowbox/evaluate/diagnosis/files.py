"""Files of a run as the checks of the doctor read them, and the form of a check."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

from shadowbox.train import log, tables
from shadowbox.train.runs import Run


class _Finding(NamedTuple):
    """Result of a check: its figure in words, and whether that is a problem."""

    sick: bool
    figure: float
    words: str


class _Check(NamedTuple):
    """A known problem: how it is found, from which figure on, and what to change."""

    name: str
    problem: str  # number of the problem in the documentation, or "error"
    symptom: str
    threshold: str
    change: str
    find: Callable[[_Files], _Finding | None]


class _Files:
    """Files of a run, each read when it is asked for."""

    def __init__(self, run: Run) -> None:
        self.run, self.path, self.facts = run, run.path, run.facts
        self.settings = run.settings

    @cached_property
    def matches(self) -> list[dict[str, str]]:
        """Finished matches, oldest first."""
        rows = tables.read_table(self.path / tables.MONITOR)
        return [row for row in rows if _numeric(row, ("step", "r", "won"))]

    @property
    def anchors(self) -> list[dict[str, str]]:
        """Matches against opponents that do not change: neither the policy nor its past."""
        return [row for row in self.matches if not row.get("snapshot")]

    @cached_property
    def lines(self) -> list[log.Line]:
        """Lines of the log."""
        return self.run.lines

    @cached_property
    def events(self) -> list[log.Line]:
        """Events of the log."""
        return log.read_lines(self.path / log.EVENTS)

    @cached_property
    def _tables(self) -> dict[str, list[dict[str, str]]]:
        names = (tables.UPDATES, tables.ROLLOUTS, tables.STRATEGY)
        return {name: tables.read_table(self.path / name) for name in names}

    def rows(self, table: str) -> list[dict[str, str]]:
        """Rows of a table."""
        return self._tables[table]

    def column(self, table: str, name: str) -> list[float]:
        """Finite numbers of a column."""
        return [value for _, value in tables.numbers_in(self.rows(table), name)]

    def setting(self, name: str, default: float) -> float:
        """A setting of the run as a number."""
        value = self.settings.get(name, default)
        return float(value) if isinstance(value, int | float) else default


def _numeric(row: Mapping[str, str], names: tuple[str, ...]) -> bool:
    try:
        return all(math.isfinite(float(row[name])) for name in names)
    except (KeyError, ValueError):
        return False


_Find = Callable[[_Files], _Finding | None]


def _registering(
    checks: list[_Check],
) -> Callable[[str, str, str, str, str], Callable[[_Find], _Find]]:
    """Decorator of functions that find a problem, which adds them to `checks`.

    Its arguments are those of a check, up to `change`.
    """

    def check(
        name: str, problem: str, symptom: str, threshold: str, change: str
    ) -> Callable[[_Find], _Find]:
        def register(find: _Find) -> _Find:
            checks.append(_Check(name, problem, symptom, threshold, change, find))
            return find

        return register

    return check
