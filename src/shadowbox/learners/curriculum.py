"""Curriculum: stages of a card, each with opponents, a reward, settings and frozen parts of its own.

A stage ends when its `gate` holds, and gives way to the one before when its `regress` rule holds.
Both are rules over the lines that the learner writes, such as `play/recent.based.low >= 0.9`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shadowbox.cards.rules.monitor import Rule, RuleMonitor
from shadowbox.cards.sections import Stage
from shadowbox.errors import UsageError

CHANGEABLE = (
    "learner",
    "reward",
)  # what `set` of a stage may name; the loop's settings are a run's


class _Curriculum:
    """The stage that a run is in. `total`: steps of the run."""

    def __init__(self, stages: Sequence[Stage], total: int) -> None:
        self.stages, self.total, self.at = tuple(stages), total, 0
        for stage in self.stages:
            for name in stage.set:
                if name.partition(".")[0] not in CHANGEABLE:
                    raise UsageError(
                        f"stage '{stage.name}': '{name}' cannot change within a run; a stage of "
                        "self-play sets learner.NAME and reward"
                    )
        self._enter(0)

    @property
    def stage(self) -> Stage | None:
        """The stage of now; None for a card without stages."""
        return self.stages[self.at] if self.stages else None

    def see(self, kind: str, step: int, figures: Mapping[str, float]) -> str:
        """Read a line; the name of the stage that begins with it, or nothing."""
        if self.stage is None:
            return ""
        self.lines.append([kind, step, {name: float(v) for name, v in figures.items()}])
        fired = self.monitor.see(kind, step, figures)
        if not fired:
            return ""
        moves = [self.moves[firing.number] for firing in fired]
        self._enter(self.at + (1 if 1 in moves else -1))
        return self.stages[self.at].name

    def state(self) -> dict[str, Any]:
        """State as plain data: the stage, and the lines that were read in it."""
        return {"at": self.at, "lines": [list(line) for line in self.lines]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self._enter(int(state["at"]))
        for kind, step, figures in state["lines"]:
            self.lines.append([kind, step, dict(figures)])
            self.monitor.see(kind, step, figures)

    def _enter(self, at: int) -> None:
        self.at = at
        self.lines: list[list[Any]] = []
        rules: list[Rule] = []
        self.moves: list[int] = []
        stage = self.stage
        if stage is not None:
            ways = ((stage.gate, 1, at + 1 < len(self.stages)), (stage.regress, -1, at > 0))
            for rule, move, possible in ways:
                if rule and possible:
                    rules.append(Rule(rule))
                    self.moves.append(move)
        self.monitor = RuleMonitor(rules, self.total, self.total)
