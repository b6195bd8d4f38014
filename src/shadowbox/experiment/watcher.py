"""Watcher of a card's run: kill rules, budget and timeout, applied at every line of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shadowbox.cards.card import Card
from shadowbox.cards.rules.monitor import Firing, Rule, RuleMonitor
from shadowbox.experiment.prices import PriceTable, read_prices
from shadowbox.train import log, runs
from shadowbox.train.observer import CONTINUE, Note, ObserverDecision, TrainProgress, stronger

TIMEOUT = "timeout"  # first word of the reason of a run that its timeout paused


@dataclass
class Watcher:
    """Observer of the loop for one run of a card."""

    run: Path
    rules: Sequence[Rule]
    per_epoch: float | None  # steps; None of a run without epochs
    wall: float | None = None  # seconds that all runs of the card may take together
    usd: float | None = None
    machine: str = "local"
    table: PriceTable | None = None
    timeout: float | None = None  # seconds that one run may take, until it is paused
    before_s: float = 0.0  # seconds that the card's other runs have taken
    sessions_s: float = 0.0  # seconds of this run's earlier sessions, which its timeout forgets
    # called after each checkpoint with step, epoch and a function that writes events
    after_save: Callable[[int, int, Note], None] | None = None
    guard: RuleMonitor | None = field(default=None, init=False)

    def __call__(self, progress: TrainProgress) -> ObserverDecision:
        """Decide to continue, pause or stop."""
        if self.guard is None:
            self.guard = RuleMonitor(self.rules, progress.total, self.per_epoch or progress.total)
            # the last one is this line
            self.guard.replay(log.read_lines(self.run / log.METRICS)[:-1])
        decision = self._budget(progress)
        for firing in self.guard.see(progress.kind, progress.step, progress.metrics):
            self._note(progress, firing)
            if firing.rule.action != "warn":
                decision = stronger(decision, ObserverDecision(firing.rule.action, firing.text))
        return decision

    def saved(self, step: int, epoch: int, note: Note) -> None:
        """Pass a checkpoint on to `after_save`."""
        if self.after_save is not None:
            self.after_save(step, epoch, note)

    def _note(self, progress: TrainProgress, firing: Firing) -> None:
        words = f"step {firing.step:,}: {firing.rule.action}: {firing.text}"
        if firing.rule.proposes:
            words += "; it proposes " + ", ".join(
                f"{name}: {value}" for name, value in firing.rule.proposes.items()
            )
        proposes = dict(firing.rule.proposes)
        progress.note(
            "rule",
            words,
            rule=firing.number,
            action=firing.rule.action,
            figures=dict(firing.figures),
            set=proposes,
        )

    def over_budget(self, seconds: float) -> str:
        """Reason why the budget is spent after that many seconds of this run; empty if it is not."""
        spent = self.before_s + seconds
        if self.wall is not None and spent > self.wall:
            return f"budget: {spent:,.0f} s of {self.wall:,.0f} s are spent"
        cost = self.table.cost(self.machine, spent) if self.table is not None else 0.0
        if self.usd is not None and cost > self.usd:
            return f"budget: {cost:.2f} of {self.usd:.2f} US dollars are spent ({self.machine})"
        return ""

    def _budget(self, progress: TrainProgress) -> ObserverDecision:
        if reason := self.over_budget(progress.wall_s):
            return ObserverDecision("stop", reason)
        session = progress.wall_s - self.sessions_s
        if self.timeout is not None and session > self.timeout:
            return ObserverDecision(
                "pause", f"{TIMEOUT}: {session:,.0f} s of {self.timeout:,.0f} s are over"
            )
        return CONTINUE


def watch(card: Card, run: Path, folder: Path, per_epoch: float | None = None) -> Watcher:
    """Watcher of one run of a card whose runs are in `folder`, with the card's rules and limits."""
    return Watcher(
        run,
        [rule.rule for rule in card.kill],
        per_epoch,
        card.budget.wall,
        card.budget.usd,
        card.budget.machine,
        read_prices(),
        card.timeout,
        spent_seconds(folder, besides=run),
        _sessions_before(run),
    )


def spent_seconds(folder: Path, besides: Path | None = None) -> float:
    """Seconds that the runs of a card have taken so far, with their evaluations."""
    found = [run for run in runs.runs_in(folder) if run.path != besides]
    return sum(float(run.facts["cost"]["wall_s"]) for run in found if "cost" in run.facts)


def _sessions_before(run: Path) -> float:
    """Seconds that earlier sessions of a run have taken; its timeout is one of each session."""
    if not (run / log.FACTS).exists():
        return 0.0
    return float((log.read_facts(run).get("cost") or {}).get("wall_s", 0.0))
