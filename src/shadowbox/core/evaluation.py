"""An evaluation as plain data: the object that `eval --json` prints and that lies beside a checkpoint.

    {"kind": "policy", "spec": "policy:runs/x@step=1200", "store": "data/brawl",
     "gate": {"passed": false, "why": ["keys/j begins ..."], ...},
     "figures": {"onset_f1": {"value": .7, "low": .6, "high": .8, "baselines": {"copy_last": {...}}}},
     "game": "brawl", "step": 1200, ...}

Every kind of checkpoint has this shape. Keys beyond the first five are context: how it was
evaluated. A figure that could not be computed is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.core.stats import Interval
from shadowbox.errors import CheckpointError

FILE = "evaluation.json"  # in a checkpoint's folder: it goes where the checkpoint goes
OWN = ("kind", "spec", "store", "gate", "figures")
LARGEST = 32 << 20  # bytes of the file


@dataclass(frozen=True)
class Figure:
    """A number, its 95 % interval over episodes, and the scores of its baselines."""

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
        """The inverse of `to_json`; anything else is refused with its place."""
        found = _mapping(data, where)
        beside = _mapping(found.get("baselines", {}), f"{where}.baselines")
        return Figure(
            _interval(found, where),
            {
                name: _interval(
                    _mapping(value, f"{where}.baselines.{name}"), f"{where}.baselines.{name}"
                )
                for name, value in beside.items()
            },
        )


@dataclass(frozen=True)
class GateReport:
    """The verdict of a gate: passed or not, and why not, in sentences. `details` depend on the kind."""

    passed: bool
    why: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """`{passed, why, ...details}`."""
        return {"passed": self.passed, "why": list(self.why), **self.details}

    @staticmethod
    def from_json(data: Any, where: str = "gate") -> GateReport:
        """The inverse of `to_json`."""
        found = _mapping(data, where)
        passed, why = found.get("passed"), found.get("why")
        if not isinstance(passed, bool):
            raise _wrong(f"{where}.passed", passed, "true or false")
        if not isinstance(why, list) or not all(isinstance(each, str) for each in why):
            raise _wrong(f"{where}.why", why, "a list of sentences")
        details = {name: value for name, value in found.items() if name not in ("passed", "why")}
        return GateReport(passed, tuple(why), details)


@dataclass(frozen=True)
class EvaluationReport:
    """An evaluation of a checkpoint of any kind, as it is printed and stored."""

    kind: str
    spec: str  # of what was evaluated, such as policy:runs/x@step=1200
    store: str
    gate: GateReport
    figures: Mapping[str, Figure]
    context: Mapping[str, Any] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Flat numbers for targets of cards: eval/gate, eval/NAME, its .low, .high and baselines.

        Figures that are not finite are left out.
        """
        found = {"eval/gate": float(self.gate.passed)}
        for name, figure in self.figures.items():
            flat = {"": figure.value.value, ".low": figure.value.low, ".high": figure.value.high}
            flat |= {f"/{beside}": interval.value for beside, interval in figure.baselines.items()}
            found |= {
                f"eval/{name}{suffix}": float(value)
                for suffix, value in flat.items()
                if math.isfinite(value)
            }
        return found

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
        """The inverse of `to_json`; a key that is missing or of another type is refused by name."""
        found = _mapping(data, where)
        for name in ("kind", "spec", "store"):
            if not isinstance(found.get(name), str):
                raise _wrong(f"{where}: {name}", found.get(name), "a text")
        figures = _mapping(found.get("figures"), f"{where}: figures")
        return EvaluationReport(
            found["kind"],
            found["spec"],
            found["store"],
            GateReport.from_json(found.get("gate"), f"{where}: gate"),
            {
                name: Figure.from_json(value, f"{where}: figures.{name}")
                for name, value in figures.items()
            },
            {name: value for name, value in found.items() if name not in OWN},
        )


def read_evaluation(checkpoint: Path) -> EvaluationReport | None:
    """The evaluation beside a checkpoint; None where it was never evaluated."""
    path = checkpoint / FILE
    try:
        if path.stat().st_size > LARGEST:
            raise CheckpointError(
                f"{path} has more than {LARGEST:,} bytes; run `shadowbox eval` again"
            )
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}; run `shadowbox eval` again"
        ) from error
    return EvaluationReport.from_json(data, str(path))


def _plain(interval: Interval) -> dict[str, float | None]:
    return {
        key: value if math.isfinite(value) else None for key, value in interval._asdict().items()
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


def _wrong(where: str, found: Any, wanted: str) -> CheckpointError:
    return CheckpointError(
        f"{where} is {found!r:.60}, expected {wanted}; run `shadowbox eval` again to replace it"
    )
