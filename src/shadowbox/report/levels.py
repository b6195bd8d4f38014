"""Horizontal lines in a run's curves: targets and kill thresholds of its card."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

from shadowbox.cards.rules import grammar
from shadowbox.cards.rules.conditions import (
    Condition,
    MetricValue,
    RollingMean,
    _Number,
    comparisons,
)

LOOP = ("train", "val")  # kinds of lines of the loop; others are a learner's own
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
MOST = 8  # lines of one figure: more would hide its curves
LONGEST = 300  # letters of a line's title


@dataclass(frozen=True)
class _Level:
    """A horizontal line."""

    value: float
    name: str  # as in `target > 0.3`
    tone: str  # target or kill: a color class of the style
    title: str  # all of it


def of_run(facts: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Lines by figure (`figure_of`). `facts` come from a run.json and may have any content."""
    found: dict[str, list[dict[str, Any]]] = {}
    for metric, level in (*_targets(_listed(facts, "targets")), *_kills(_listed(facts, "kill"))):
        figure = found.setdefault(figure_of(metric), [])
        drawn = not metric.startswith("eval/")  # evaluations have no curves
        if drawn and len(figure) < MOST and asdict(level) not in figure:
            figure.append(asdict(level))
    return {name: figure for name, figure in found.items() if figure}


def figure_of(metric: str) -> str:
    """The figure that a metric is drawn in: val/loss in `loss`, play/win_rate in one of its own."""
    kind, slash, name = metric.partition("/")
    return name if slash and kind in LOOP else metric


def _targets(targets: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, _Level]]:
    """Lines of numeric targets; a target that is another metric has a curve of its own."""
    for target in targets:
        metric, sign, value = target.get("metric"), target.get("op"), target.get("value")
        if isinstance(metric, str) and sign in FLIPPED and _finite(value):
            words = f"target: {metric} {sign} {value:g}"[:LONGEST]
            yield metric, _Level(float(value), f"target {sign} {value:g}", "target", words)


def _kills(kills: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, _Level]]:
    """Lines of all comparisons of a metric with a number in the kill rules."""
    for number, kill in enumerate(kills):
        when, action = kill.get("when"), kill.get("action")
        if not isinstance(when, str) or action not in ("stop", "pause", "warn"):
            continue
        try:
            condition = grammar.parse_rule(when)
        except grammar.RuleError:
            continue  # `card check` says so
        for metric, sign, value in _plain(condition):
            if _finite(value):
                yield (
                    metric,
                    _Level(
                        value,
                        f"{action} {sign} {value:g}",
                        "kill",
                        f"kill[{number}], {action}: {when}"[:LONGEST],
                    ),
                )


def _plain(condition: Condition) -> Iterator[tuple[str, str, float]]:
    """Metric, operator and number of each comparison between a metric and a number."""
    for each in comparisons(condition):
        sides, sign = (each.left, each.right), each.sign
        if isinstance(sides[0], _Number):
            sides, sign = (each.right, each.left), FLIPPED[each.sign]
        left, right = sides
        if isinstance(left, MetricValue | RollingMean) and isinstance(right, _Number):
            yield left.metrics[0], sign, right.value


def _finite(value: Any) -> TypeGuard[float]:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 1e300
        and math.isfinite(value)
    )


def _listed(facts: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = facts.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
