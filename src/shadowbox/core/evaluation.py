"""Evaluation as plain data: printed by `eval --json` and stored beside a checkpoint.

    {"kind": "policy", "spec": "policy:runs/x@step=1200", "store": "data/brawl",
     "gate": {"passed": false, "why": ["keys/j begins ..."], ...},
     "figures": {"onset_f1": {"value": .7, "low": .6, "high": .8,
                              "baselines": {"copy_last": {...}}}},
     "game": "brawl", "step": 1200, ...}

Every kind of checkpoint has this shape. Keys beyond the first five are context: the settings of the
evaluation. A figure that could not be computed is null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json
from shadowbox.core.stats import Interval
from shadowbox.errors import CheckpointError

FILE = "evaluation.json"  # in a checkpoint's folder, so that it moves along with it
OWN = ("kind", "spec", "store", "gate", "figures")
PASSED, NOT_SHOWN, FAILED = "passed", "not shown", "failed"  # verdicts of a gate


@dataclass(frozen=True)
class Figure:
    """Number with its 95 % interval over episodes, and the scores of its baselines."""

    value: Interval
    baselines: Mapping[str, Interval] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """`{value, low, high, baselines}`; NaN and infinity are null."""
        return {
            **_plain(self.value),
            "baselines": {name: _plain(value) for name, value in self.baselines.items()},
        }

    @staticmethod
    def from_json(data: Any, where: str = "figure") -> Figure:
        """Figure from the data of `to_json`; other data is refused with its place."""
        entry = _mapping(data, where)
        baselines = _mapping(entry.get("baselines", {}), f"{where}.baselines")
        return Figure(
            _interval(entry, where),
            {
                name: _interval(
                    _mapping(value, f"{where}.baselines.{name}"), f"{where}.baselines.{name}"
                )
                for name, value in baselines.items()
            },
        )


@dataclass(frozen=True)
class GateReport:
    """Result of a gate: passed or not, and the reasons. `details` depend on the kind."""

    passed: bool
    why: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Verdict in words; one that is "not shown" has not passed."""
        said = self.details.get("verdict")
        usual = PASSED if self.passed else FAILED
        return NOT_SHOWN if said == NOT_SHOWN and not self.passed else usual

    def to_json(self) -> dict[str, Any]:
        """`{passed, why, ...details}`."""
        return {"passed": self.passed, "why": list(self.why), **self.details}

    @staticmethod
    def from_json(data: Any, where: str = "gate") -> GateReport:
        """Report from the data of `to_json`."""
        entry = _mapping(data, where)
        passed, why = entry.get("passed"), entry.get("why")
        if not isinstance(passed, bool):
            raise _wrong(f"{where}.passed", passed, "true or false")
        if not isinstance(why, list) or not all(isinstance(each, str) for each in why):
            raise _wrong(f"{where}.why", why, "a list of sentences")
        details = {name: value for name, value in entry.items() if name not in ("passed", "why")}
        return GateReport(passed, tuple(why), details)


@dataclass(frozen=True)
class EvaluationReport:
    """Evaluation of a checkpoint of any kind, as it is printed and stored."""

    kind: str
    spec: str  # of the evaluated checkpoint, such as policy:runs/x@step=1200
    store: str
    gate: GateReport
    figures: Mapping[str, Figure]
    context: Mapping[str, Any] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Flat numbers for targets of cards: eval/gate, eval/NAME, its .low, .high and baselines.

        Figures that are not finite are left out.
        """
        metrics = {"eval/gate": float(self.gate.passed)}
        for name, figure in self.figures.items():
            flat = {"": figure.value.value, ".low": figure.value.low, ".high": figure.value.high}
            flat |= {f"/{beside}": interval.value for beside, interval in figure.baselines.items()}
            metrics |= {
                f"eval/{name}{suffix}": float(value)
                for suffix, value in flat.items()
                if math.isfinite(value)
            }
        return metrics

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kind": self.kind,
            "spec": self.spec,
            "store": self.store,
            "gate": self.gate.to_json(),
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            **{name: value for name, value in self.context.items() if name not in OWN},
        }

    @staticmethod
    def from_json(data: Any, where: str = "evaluation") -> EvaluationReport:
        """Report from the data of `to_json`; a missing key or wrong type is refused by name."""
        entry = _mapping(data, where)
        for name in ("kind", "spec", "store"):
            if not isinstance(entry.get(name), str):
                raise _wrong(f"{where}: {name}", entry.get(name), "a text")
        figures = _mapping(entry.get("figures"), f"{where}: figures")
        return EvaluationReport(
            entry["kind"],
            entry["spec"],
            entry["store"],
            GateReport.from_json(entry.get("gate"), f"{where}: gate"),
            {
                name: Figure.from_json(value, f"{where}: figures.{name}")
                for name, value in figures.items()
            },
            {name: value for name, value in entry.items() if name not in OWN},
        )


def read_evaluation(checkpoint: Path) -> EvaluationReport | None:
    """Evaluation beside a checkpoint; None if it was never evaluated."""
    path = checkpoint / FILE
    try:
        data = read_json(path, error=CheckpointError, hint="run `shadowbox eval` again")
    except FileNotFoundError:
        return None
    return EvaluationReport.from_json(data, str(path))


def _plain(interval: Interval) -> dict[str, float | None]:
    return {
        key: float(value) if math.isfinite(value) else None
        for key, value in interval._asdict().items()
    }


def _interval(data: Mapping[str, Any], where: str) -> Interval:
    values = []
    for key in Interval._fields:
        value = data.get(key, ...)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not number:
            raise _wrong(f"{where}.{key}", "nothing" if value is ... else value, "a number or null")
        values.append(math.nan if value is None else float(value))
    return Interval(*values)


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise _wrong(where, data, "an object")
    return data


def _wrong(where: str, got: Any, expected: str) -> CheckpointError:
    return CheckpointError(
        f"{where} is {got!r:.60}, expected {expected}; run `shadowbox eval` again to replace it"
    )
