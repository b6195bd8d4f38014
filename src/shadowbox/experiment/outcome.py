"""Result of running a card, or one setting of its sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.cards.sections import shares_of
from shadowbox.experiment import targets as verdict
from shadowbox.experiment.targets import TargetResult


@dataclass(frozen=True)
class CardResult:
    """Verdict, targets, cost and runs of a card, or of one setting of its sweep."""

    card: Card
    run: Path
    verdict: str
    outcomes: Sequence[TargetResult]
    cost: Mapping[str, float]
    stamps: Sequence[str]
    settings: Sequence[CardResult] = ()  # of a sweep
    changes: Mapping[str, Any] = field(default_factory=dict)  # of this setting
    reason: str = ""
    first: bool = True  # this process speaks for all
    runs: Sequence[Mapping[str, Any]] = ()  # origin of each seed's run
    milestones: Sequence[Mapping[str, Any]] = ()  # with the value of each seed

    @property
    def exit_code(self) -> int:
        """0 for a complete run, whatever it reached.

        75 if the card ended it; 130 if a signal did, as for every command.
        """
        if self.verdict in (verdict.KILLED, verdict.PAUSED):
            return verdict.EXIT_KILLED
        return verdict.EXIT_INTERRUPTED if self.verdict == verdict.UNFINISHED else 0

    def to_json(self) -> dict[str, Any]:
        """Object of `run --json` and verdict.json."""
        found: dict[str, Any] = {
            "card": self.card.id,
            "run": str(self.run),
            "verdict": self.verdict,
            "reason": self.reason,
            "targets": [outcome.to_json() for outcome in self.outcomes],
            "cost": dict(self.cost),
            "stamps": list(self.stamps),
            "runs": [dict(each) for each in self.runs],
        }
        if self.card.opponents:  # a result lists the opponents that were met
            found["opponents"] = shares_of(self.card.opponents)
        if self.milestones:
            found["milestones"] = [dict(each) for each in self.milestones]
        if self.settings:
            found["settings"] = [
                each.to_json() | {"set": dict(each.changes)} for each in self.settings
            ]
        return found
