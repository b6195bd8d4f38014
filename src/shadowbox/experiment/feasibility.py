"""Can a promise be kept, and can a rule ever fire? What the bounds of metrics and the length of a run already tell."""

from __future__ import annotations

from collections.abc import Mapping

from shadowbox.cards.card import KillRule, Target
from shadowbox.cards.rules import grammar
from shadowbox.cards.rules.conditions import (
    COMPARISONS,
    Comparison,
    MetricValue,
    RollingMean,
    _Number,
)
from shadowbox.cards.rules.grammar import Duration
from shadowbox.learners.registry import MetricInfo


def is_reachable(target: Target, grade: MetricInfo) -> bool:
    """Whether some value within the metric's bounds meets a target that names a number."""
    assert isinstance(target.value, float)
    return _may_hold(target.op, target.value, grade)


def why_never(
    kill: KillRule,
    metric_info: Mapping[str, MetricInfo],
    total: float | None,
    per_epoch: float | None,
    epochs: int | None,
) -> str:
    """Why a rule cannot fire in a run of `total` steps (or of `epochs`), as far as these are known.

    Empty if it can.
    """
    spans = [Duration.of(text) for text in (kill.after, kill.lasting) if text]
    lengths = [_in_steps(span, total, per_epoch) for span in spans]
    if (
        total
        and None not in lengths
        and (needed := sum(length for length in lengths if length)) > total
    ):
        return f"after {needed:,.0f} steps the run of {total:,.0f} is over"
    if sum(span.number for span in spans if span.unit == "%") > 100:
        return "that is more than 100% of the run"
    if epochs and sum(span.number for span in spans if span.unit == "epochs") > epochs:
        return f"the run has {epochs} epochs"
    condition = grammar.parse_rule(kill.when)
    if not isinstance(condition, Comparison):
        return ""
    left, right = condition.left, condition.right
    if isinstance(left, MetricValue | RollingMean) and isinstance(right, _Number):
        grade = metric_info.get(left.metrics[0])
        if grade and not _may_hold(condition.sign, right.value, grade):
            return f"{left.metrics[0]} is in {grade.low:g} .. {grade.high:g}"
    return ""


def _may_hold(sign: str, value: float, grade: MetricInfo) -> bool:
    """Whether some value within a metric's bounds compares so."""
    return COMPARISONS[sign](grade.low if sign.startswith("<") else grade.high, value)


def _in_steps(span: Duration, total: float | None, per_epoch: float | None) -> float | None:
    if span.unit == "epochs":
        return span.number * per_epoch if per_epoch else None
    return span.in_steps(int(total), 0) if total else span.number if span.unit == "steps" else None
