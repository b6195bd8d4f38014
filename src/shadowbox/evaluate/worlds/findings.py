"""Measurements of a world, from which the gate, the report and the page are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.core.game import Game
from shadowbox.core.schema import Columns
from shadowbox.core.stats import Interval
from shadowbox.evaluate.worlds import controls, skill
from shadowbox.evaluate.worlds.distributions import _Distance
from shadowbox.evaluate.worlds.events import _EventScore
from shadowbox.evaluate.worlds.starts import _Starts


@dataclass(frozen=True)
class _Rate:
    """Contradictions of one name, per player and frame, in a world and in recordings."""

    world: float
    real: float

    @property
    def ratio(self) -> float:
        """World over recordings; less than 1 in 10,000 in recordings counts as that."""
        return self.world / max(self.real, 1e-4)


@dataclass(frozen=True)
class _Findings:
    """Measurements of one world on one store."""

    spec: str
    checkpoint: Path | None
    store: Path
    game: Game
    starts: _Starts
    skills: Sequence[skill._Skill]
    rates: Mapping[str, _Rate]
    violations: Mapping[str, int]
    projected: Mapping[str, int] | None
    frames: int  # predicted frames of all matches
    changes: Mapping[tuple[str, int], tuple[float, float, float, float]]
    one_step: Mapping[tuple[str, int], _EventScore]
    inside: Mapping[tuple[str, int], _EventScore]  # of the first SHORT frames of predictions
    calibration: Mapping[tuple[str, int], float]
    effects: controls._Effects | None
    shuffled: Interval | None
    distances: Sequence[_Distance]
    frozen: Sequence[str]
    shown: Mapping[int, Columns]  # start -> predicted rows [frames + 1, slots]
    facts: Mapping[str, Any] = field(default_factory=dict)
