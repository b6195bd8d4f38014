"""Monitor of kill rules: reads every line of a run's log and reports the rules that fire.

The monitor is a pure function of the log: the same lines give the same state. A resumed run replays
its log, and a new rule is tried on old runs before it may stop a new one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shadowbox.cards.rules import grammar

Action = Literal["stop", "pause", "warn"]
SEVERITY: tuple[Action, ...] = ("warn", "pause", "stop")


@dataclass(frozen=True)
class Rule:
    """A kill rule: its condition, when it starts to apply, how long it must hold, and its action."""

    when: str
    action: Action = "stop"
    after: str = ""
    lasting: str = ""
    proposes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        words = f"{self.when}" + (f" for {self.lasting}" if self.lasting else "")
        return f"{words} after {self.after}" if self.after else words


@dataclass(frozen=True)
class Firing:
    """A rule that fires now."""

    number: int  # of the rule, from 0
    rule: Rule
    step: int
    figures: Mapping[str, float]  # of the rule's metrics

    @property
    def text(self) -> str:
        """The firing as a sentence."""
        values = ", ".join(f"{name} is {value:.4g}" for name, value in self.figures.items())
        return f"kill[{self.number}]: {self.rule} ({values})"


class _RuleState:
    """One rule and its state."""

    def __init__(self, number: int, rule: Rule, total: int, per_epoch: float) -> None:
        self.number, self.rule = number, rule
        self.condition = grammar.parse_rule(rule.when)
        self.after = (
            grammar.Duration.of(rule.after).in_steps(total, per_epoch) if rule.after else 0.0
        )
        self.lasting = (
            grammar.Duration.of(rule.lasting).in_steps(total, per_epoch) if rule.lasting else 0.0
        )
        self.fired = False  # and has held since: said once, until it stops holding
        self.latest: dict[str, float] = {}

    def see(self, step: int, line: Mapping[str, float]) -> Firing | None:
        """Read a line and return whether the rule fires; lines without its metrics are ignored."""
        mine = {name: line[name] for name in self.condition.metrics if name in line}
        if not mine:
            return None
        self.latest |= mine
        self.condition.see(step, line)
        since = self.condition.since()
        if since is None:
            self.fired = False
            return None
        long_enough = step - since >= self.lasting - 1e-6
        if step < self.after - 1e-6 or not long_enough or self.fired:
            return None
        self.fired = True
        return Firing(self.number, self.rule, step, dict(self.latest))


class RuleMonitor:
    """All rules of a run."""

    def __init__(self, given: Sequence[Rule], total: int, per_epoch: float) -> None:
        """`total`: steps of the run; `per_epoch`: steps of an epoch."""
        self.watches = [
            _RuleState(number, rule, total, per_epoch) for number, rule in enumerate(given)
        ]

    def see(self, kind: str, step: int, figures: Mapping[str, Any]) -> list[Firing]:
        """Rules that fire at a line of the log, the most severe first.

        A value of None in the line means that the number was not finite.
        """
        line = {
            f"{kind}/{name}": math.nan if value is None else float(value)
            for name, value in figures.items()
            if value is None or isinstance(value, int | float)
        }
        found = [firing for watch in self.watches if (firing := watch.see(step, line))]
        return sorted(found, key=lambda firing: -SEVERITY.index(firing.rule.action))

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> list[Firing]:
        """Firings of a whole log, in order."""
        return [
            firing
            for line in lines
            for firing in self.see(str(line.get("kind")), int(line["step"]), _figures(line))
        ]


def _figures(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in line.items() if name not in ("kind", "step", "epoch", "wall")
    }
