"""Runs on disk: their scores, their costs, and the runs that a card can be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowbox.errors import ShadowboxError
from shadowbox.train import log

RUNS = Path("runs")
DEEPEST = 3  # runs/<card>/<setting>/<seed>


@dataclass(frozen=True)
class Run:
    """A run's folder and the facts in its `run.json`."""

    path: Path
    facts: Mapping[str, Any]

    @property
    def lines(self) -> list[log.Line]:
        """Lines of its log, in the order in which they were written."""
        return log.read_lines(self.path / log.METRICS)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by name."""
        said = self.facts.get("settings") or {}
        known = {
            name: entry.get("value") for name, entry in said.items() if isinstance(entry, dict)
        }
        return known or {
            f"train.{name}": value for name, value in (self.facts.get("config") or {}).items()
        }

    def figures(self, at: str = "best") -> dict[str, float]:
        """Metrics by name (val/loss): of the best or the last validation, and the last ones of training."""
        found: dict[str, float] = {}
        best = (self.facts.get("best") or {}).get("step")
        for line in self.lines:
            # a validation has its line at the very step; other kinds write theirs now and then
            known = best is None and line["kind"] != "val"
            if line["kind"] == "train" or at == "last" or known or line["step"] <= (best or 0):
                found |= {
                    f"{line['kind']}/{name}": float(value) for name, value in log.numbers(line)
                }
        judged = self.facts.get("eval") or {}
        return found | {name: float(value) for name, value in judged.items()}


def milestone_results(
    milestones: Sequence[Mapping[str, Any]], runs: Sequence[Run]
) -> list[dict[str, Any]]:
    """Milestones of a card beside each run's value, in the order of their steps.

    The value is that of the first line at the milestone's step or after it. The verdict is `missed`
    if any run is outside of the band, `open` while a run has no such line, else `reached`.
    """
    lines = [run.lines for run in runs]
    found = []
    for milestone in sorted(milestones, key=lambda each: int(each["step"])):
        values = [_value_at(own, milestone["metric"], milestone["step"]) for own in lines]
        low, high = (math.nan if end is None else end for end in milestone["band"])
        inside = [None if v is None else not (v < low or v > high) for v in values]
        late = not runs or None in inside
        verdict = "missed" if False in inside else "open" if late else "reached"
        found.append({**milestone, "values": values, "verdict": verdict})
    return found


def first_missed(milestones: Sequence[Mapping[str, Any]]) -> str:
    """The first missed milestone in words; empty if none is missed."""
    for each in milestones:
        if each["verdict"] == "missed":
            low, high = ("any" if end is None else f"{end:g}" for end in each["band"])
            values = ", ".join("none" if v is None else f"{v:.4g}" for v in each["values"])
            return f"{each['metric']} at step {each['step']:,} was {values}; the band is {low} to {high}"
    return ""


def _value_at(lines: Sequence[log.Line], metric: str, step: int) -> float | None:
    kind, _, name = metric.partition("/")
    for line in lines:
        value = line.get(name)
        if line.get("kind") == kind and line["step"] >= step and isinstance(value, int | float):
            return float(value)
    return None


def runs_in(folder: Path = RUNS) -> Iterator[Run]:
    """All runs below a folder, ordered by name.

    Folders that cannot be read as a run are skipped.
    """
    yield from _below(folder, DEEPEST)


def require_migrated(folder: Path) -> None:
    """Refuse a folder with runs of an earlier version, which `runs_in` would skip."""
    for depth in range(DEEPEST + 1):
        for facts in sorted(folder.glob(f"{'*/' * depth}{log.FACTS}")):
            if log.is_outdated(facts.parent):
                log.read_facts(facts.parent)  # raises, and says how it becomes readable


def find_run(where: str | Path) -> Run | None:
    """The run of a name such as runs/x, runs/x/0 or x; the first seed if there are several."""
    for path in (Path(where), RUNS / where):
        require_migrated(path)
        found = next(_below(path, DEEPEST), None)
        if found:
            return found
    return None


def comparable(
    card: Any, settings: Mapping[str, Any], folder: Path = RUNS, most: int = 5
) -> list[tuple[Run, list[str]]]:
    """Runs of the same game and learner, ordered by the number of differing settings, with these."""
    found = []
    for run in runs_in(folder):
        same = (
            run.facts.get("game") == card.game
            and run.facts.get("learner", "imitation") == card.learner
        )
        if same and run.facts.get("card") != card.id:
            found.append((run, deltas(settings, run.settings)))
    return sorted(found, key=lambda entry: (len(entry[1]), str(entry[0].path)))[:most]


def deltas(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Settings that differ from another run, in words; seeds are ignored."""
    words = []
    for name in sorted({*mine, *theirs} - {"train.seed", "train.device", "train.sinks"}):
        if name in theirs and _plain(mine.get(name)) != _plain(theirs[name]):
            words.append(f"{name} {_word(theirs[name])} -> {_word(mine.get(name))}")
    return words


def _below(folder: Path, depth: int) -> Iterator[Run]:
    if folder.is_symlink() or not folder.is_dir():
        return
    if (folder / log.FACTS).is_file():
        try:
            yield Run(folder, log.read_facts(folder))
        except ShadowboxError:
            return
    elif depth:
        for below in sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name)):
            yield from _below(below, depth - 1)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Any) -> str:
    return (
        "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)[:60]
    )
