"""Targets of a card, compared with its runs over all seeds, and the card's verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.cards.rules.conditions import COMPARISONS
from shadowbox.cards.sections import Target
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.stats import Interval, mean_interval
from shadowbox.experiment.evaluation import eval_info
from shadowbox.train.runs import Run

PASSED, NOT_SHOWN, MISSED, KILLED, PAUSED, VOID, UNFINISHED = (
    "passed",
    "not shown",
    "missed",
    "killed",
    "paused",
    "void",
    "unfinished",
)
EXIT_KILLED = 75  # of a run that its card ended or paused
EXIT_INTERRUPTED = 130  # of a run that a signal ended
FINISHED = (PASSED, NOT_SHOWN, MISSED)  # verdicts of a card that ran to its end


@dataclass(frozen=True)
class TargetResult:
    """A target and the reached value."""

    target: Target
    value: float | None  # mean over the seeds
    low: float | None  # of its 95 % interval: over seeds, or over episodes where there is one seed
    high: float | None
    verdict: str
    # the target's number; of a target that is another metric, that metric's value
    wanted: float | None
    baselines: Mapping[str, float]  # what predicting nothing scores
    seeds: tuple[float | None, ...]

    @property
    def for_free(self) -> list[str]:
        """Baselines that meet the target as well."""
        compare, wanted = COMPARISONS[self.target.op], self.wanted
        return (
            []
            if wanted is None
            else [name for name, value in self.baselines.items() if compare(value, wanted)]
        )

    def to_json(self) -> dict[str, Any]:
        """Object of `run --json`."""
        return {
            "metric": self.target.metric,
            "op": self.target.op,
            "wanted": self.target.value,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "passed": self.verdict == PASSED,
            "verdict": self.verdict,
            "primary": self.target.primary,
            "baselines": dict(self.baselines),
            "met_for_free_by": self.for_free,
            "seeds": list(self.seeds),
        }


def verdict_of(run: Run) -> str:
    """State of one seed's run: finished, killed, paused or unfinished."""
    status = str(run.facts.get("status"))
    if status in ("finished", "early stop"):
        return "finished"
    if status == "called off":
        return KILLED
    return PAUSED if status == "stopped" and run.facts.get("reason") else UNFINISHED


def check_targets(card: Card, runs: Sequence[Run]) -> tuple[str, list[TargetResult]]:
    """Verdict of the card and of each target."""
    states = [verdict_of(run) for run in runs]
    for grave in (KILLED, PAUSED, UNFINISHED):
        if grave in states or (grave == UNFINISHED and len(runs) < len(card.seeds)):
            whole = grave
            break
    else:
        whole = ""
    figures = {
        at: [run.figures(at) for run in runs] for at in {target.at for target in card.targets}
    }
    outcomes = [_outcome(target, figures[target.at], whole) for target in card.targets]
    decide = [outcome for outcome in outcomes if outcome.target.primary] or outcomes
    if whole:
        return whole, outcomes
    if any(outcome.verdict == VOID for outcome in decide):
        return VOID, outcomes
    words = {outcome.verdict for outcome in decide}
    return next(word for word in (MISSED, NOT_SHOWN, PASSED) if word in words), outcomes


def reason_of(runs: Sequence[Run]) -> str:
    """Reason for which the first of the runs that have one ended."""
    return next((str(run.facts["reason"]) for run in runs if run.facts.get("reason")), "")


def _outcome(target: Target, figures: Sequence[Mapping[str, float]], whole: str) -> TargetResult:
    values = [found.get(target.metric) for found in figures]
    known = [value for value in values if value is not None and math.isfinite(value)]
    wanted = (
        _mean([found.get(target.value) for found in figures])
        if isinstance(target.value, str)
        else target.value
    )
    value, low, high = _interval(target.metric, known, figures)
    if whole in (KILLED, PAUSED, UNFINISHED):
        verdict = KILLED if whole == KILLED else VOID
    elif len(known) < len(figures) or value is None or wanted is None:
        verdict = VOID
    else:
        verdict = target_verdict(target.op, wanted, value, low, high)
    return TargetResult(
        target, value, low, high, verdict, wanted, _baselines(target.metric, figures), tuple(values)
    )


def target_verdict(
    op: str, wanted: float, value: float, low: float | None, high: float | None
) -> str:
    """Verdict of a measured target: passed only if the near end of its interval meets it.

    A value that meets the target with an interval that does not is "not shown". A figure without an
    interval is compared as it is.
    """
    compare = COMPARISONS[op]
    if not compare(value, wanted):
        return MISSED
    bound = low if op.startswith(">") else high
    if bound is None or not math.isfinite(bound):
        return PASSED
    return PASSED if compare(bound, wanted) else NOT_SHOWN


def _interval(
    metric: str, known: list[float], figures: Sequence[Mapping[str, float]]
) -> Interval | tuple[None, None, None]:
    """Interval over seeds; for a single seed over its episodes, as validation reports it."""
    if not known:
        return None, None, None
    if len(known) > 1:
        found, info = mean_interval(known), eval_info(metric) or MetricInfo()
        return Interval(found.value, max(found.low, info.low), min(found.high, info.high))
    low, high = (figures[0].get(f"{metric}.{end}") for end in ("low", "high"))
    return known[0], low, high  # type: ignore[return-value]


def _baselines(metric: str, figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = (
        [
            name
            for name in figures[0]
            if name.startswith(f"{metric}/") and not name.endswith((".low", ".high"))
        ]
        if figures
        else []
    )
    found = {
        name.removeprefix(f"{metric}/"): _mean([each.get(name) for each in figures])
        for name in names
    }
    return {name: value for name, value in found.items() if value is not None}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
