"""Feasibility: targets and kill rules that can never hold, or that hold from the start.

Decided by the bounds of metrics, the length of the run, and the baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shadowbox.cards.front_matter import Path as Place
from shadowbox.cards.rules import grammar
from shadowbox.cards.rules.conditions import (
    COMPARISONS,
    Comparison,
    Condition,
    MetricValue,
    RollingMean,
    _Membership,
    _Number,
)
from shadowbox.cards.rules.grammar import Duration
from shadowbox.cards.rules.monitor import RuleMonitor
from shadowbox.cards.sections import SECTIONS, KillRule, Target
from shadowbox.core.metrics import MetricInfo
from shadowbox.experiment.checks.state import CardCheck
from shadowbox.train import runs


def check_targets(case: CardCheck) -> None:
    """Check that each target is logged, can be met, and is not met by the baseline already."""
    if not case.card.targets and "targets" not in case.unread:
        case.add(("targets",), "a card without a target promises nothing")
    baseline = case.baseline()
    for at, target in enumerate(case.card.targets):
        place: Place = ("targets", at)
        case.require_known(place, target.metric)
        if isinstance(target.value, str):
            case.require_known(place, target.value)
            continue
        info = case.info_of(target.metric)
        if info and not _is_reachable(target, info):
            bounds = f"{info.low:g} .. {info.high:g}"
            case.add(place, f"{target} can never be met: {target.metric} is in {bounds}")
        known = baseline.get(target.metric)
        if known is not None and COMPARISONS[target.op](known, target.value):
            case.add(place, f"the baseline meets {target} already: it has {known:.4g}")


def check_milestones(case: CardCheck) -> None:
    """Check that each milestone names a logged metric, at a step of the run."""
    for at, milestone in enumerate(case.card.milestones):
        place: Place = ("milestones", at)
        case.require_known(place, milestone.metric)
        if case.steps and milestone.step > case.steps:
            case.add(place, f"step {milestone.step:,} comes after the run of {case.steps:,.0f}")


def check_rules(case: CardCheck) -> None:
    """Check that kill rules and gates of stages use logged metrics, and that kill rules can fire."""
    for at, stage in enumerate(case.card.stages):
        for key in ("gate", "regress"):
            if rule := getattr(stage, key):
                _require_logged(case, ("stages", at, key), grammar.parse_rule(rule))
    for at, kill in enumerate(case.card.kill):
        place: Place = ("kill", at)
        known = _require_logged(case, place, grammar.parse_rule(kill.when))
        if known and (reason := _why_never(case, kill)):
            case.add(place, f"this rule can never fire: {reason}")
        for name in kill.set:
            if name.partition(".")[0] not in SECTIONS:
                case.add(
                    (*place, "set"),
                    f"'{name}' is not a setting: train.NAME, model.NAME or learner.NAME",
                )
        if kill.set and kill.action != "warn":
            case.add(
                (*place, "set"), f"only a warning proposes settings; this rule is to {kill.action}"
            )
    _require_baseline_spared(case)


def _require_logged(case: CardCheck, place: Place, condition: Condition) -> bool:
    """True if all metrics of a rule are logged during the run."""
    known = True
    for name in dict.fromkeys(condition.metrics):
        if not case.require_known(place, name):
            known = False
        elif name.startswith("eval/"):
            case.add(
                place,
                f"{name} is known only when the run is over: a rule needs train/... or val/...",
            )
    return known


def _require_baseline_spared(case: CardCheck) -> None:
    """Add a mistake for a rule that would have ended the baseline at once."""
    card, baseline = case.card, case.baseline()
    run = runs.find_run(card.baseline.run) if card.baseline.run else None
    lines = run.lines if run else []
    for at, kill in enumerate(card.kill):
        if kill.action == "warn":
            continue
        condition = grammar.parse_rule(kill.when)
        if lines:
            for step in _fires_at_once(kill, condition, lines):
                case.add(
                    ("kill", at),
                    f"this rule would have ended the baseline {card.baseline.run} at once, "
                    f"at step {step:,}",
                )
        elif isinstance(condition, Comparison) and set(condition.metrics) <= baseline.keys():
            condition.see(1, baseline)
            if condition.since() is not None:
                values = ", ".join(f"{name} is {baseline[name]:.4g}" for name in condition.metrics)
                case.add(("kill", at), f"this rule would end the baseline itself ({values})")


def _fires_at_once(
    kill: KillRule, condition: Condition, lines: list[dict[str, Any]]
) -> Iterator[int]:
    """First step at which a log has one of the rule's metrics, if the rule fires there."""
    ends = max(line["step"] for line in lines)
    epochs = max((line.get("epoch", 0) for line in lines), default=0) or 1
    fired = RuleMonitor([kill.rule], ends, ends / epochs).replay(lines)
    first = min((line["step"] for line in lines if _has(line, condition.metrics)), default=None)
    if fired and fired[0].step == first:
        yield fired[0].step


def _has(line: Mapping[str, Any], metrics: tuple[str, ...]) -> bool:
    return any(f"{line['kind']}/{name}" in metrics for name in line)


def _is_reachable(target: Target, info: MetricInfo) -> bool:
    """True if some value within the metric's bounds meets a numeric target."""
    assert isinstance(target.value, float)
    return _may_hold(target.op, target.value, info)


def _why_never(case: CardCheck, kill: KillRule) -> str:
    """Reason why a rule cannot fire in this run, as far as its length is known; empty if it can."""
    total, per_epoch = case.steps, case.facts.get("batches_per_epoch")
    epochs = case.settled.config.epochs if case.settled else None
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
    if not isinstance(condition, Comparison | _Membership):
        return ""
    left = condition.value if isinstance(condition, _Membership) else condition.left
    if not isinstance(left, MetricValue | RollingMean):
        return ""
    info = case.info_of(left.metrics[0])
    if info and not _may_fire(condition, info):
        return f"{left.metrics[0]} is in {info.low:g} .. {info.high:g}"
    return ""


def _may_fire(condition: Comparison | _Membership, info: MetricInfo) -> bool:
    """True if some value within the metric's bounds satisfies the condition."""
    if isinstance(condition, Comparison):
        right = condition.right
        return not isinstance(right, _Number) or _may_hold(condition.sign, right.value, info)
    if condition.outside:
        return not any(low <= info.low and high >= info.high for low, high in condition.ranges)
    return any(low <= info.high and high >= info.low for low, high in condition.ranges)


def _may_hold(sign: str, value: float, info: MetricInfo) -> bool:
    """True if some value within the metric's bounds satisfies the comparison."""
    if sign == "=":
        return info.low <= value <= info.high
    ends = (info.low,) if sign.startswith("<") else (info.high,) if sign != "!=" else info[1:3]
    return any(COMPARISONS[sign](end, value) for end in ends)


def _in_steps(span: Duration, total: float | None, per_epoch: float | None) -> float | None:
    if span.unit == "epochs":
        return span.number * per_epoch if per_epoch else None
    return span.in_steps(int(total), 0) if total else span.number if span.unit == "steps" else None
