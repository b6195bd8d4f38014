"""Evaluation of a world as plain data: figures, gate and conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from shadowbox.core.evaluation import EvaluationReport, Figure, GateReport
from shadowbox.core.metrics import figure_word, skill_name
from shadowbox.core.stats import Interval
from shadowbox.evaluate.worlds.findings import _Findings
from shadowbox.evaluate.worlds.gate import _Stage
from shadowbox.evaluate.worlds.starts import SHORT


def _alone(value: float) -> Interval:
    return Interval(value, math.nan, math.nan)


def report_of(found: _Findings, stages: Sequence[_Stage]) -> EvaluationReport:
    """The report of an evaluation."""
    figures = {**_skill(found), **_consistency(found), **_events(found), **_rest(found)}
    return EvaluationReport(
        "world",
        found.spec,
        str(found.store),
        _gate(stages),
        figures,
        {
            "game": found.game.name,
            **({"checkpoint": str(found.checkpoint)} if found.checkpoint else {}),
            **_flat(figures),
            "exact": sorted({each.key for each in found.skills if each.exact}),
            "rare": [f"{each.key}@{each.horizon}" for each in found.skills if each.rare],
            "violations": dict(found.violations),
            "projected": None if found.projected is None else dict(found.projected),
            **found.facts,
        },
    )


def _gate(parts: Sequence[_Stage]) -> GateReport:
    why = tuple(f"{stage.name}: {reason}" for stage in parts for reason in stage.why)
    stages = [
        {
            "name": stage.name,
            "passed": stage.passed if stage.known else None,
            "why": list(stage.why),
        }
        for stage in parts
    ]
    return GateReport(not why, why, {"stages": stages})


def _flat(figures: dict[str, Figure]) -> dict[str, Any]:
    """Numbers without their intervals, for scripts."""
    names = ("hit_f1_1", f"hit_f1_{SHORT}", "phantom_damage_ratio", "violations_after")
    flat: dict[str, Any] = {
        name: figures[name].value.value
        for name in names
        if name in figures and math.isfinite(figures[name].value.value)
    }
    skills = {
        name.removeprefix("skill/"): figure.value.value
        for name, figure in figures.items()
        if name.startswith("skill/") and math.isfinite(figure.value.value)
    }
    return {**flat, "skill": skills}


def _skill(found: _Findings) -> dict[str, Figure]:
    figures = {}
    for each in found.skills:
        if each.exact:
            continue
        beside = {name: _alone(value) for name, value in each.beside.items()}
        # the lower bound is the one that holds for all fields together
        bounds = Interval(each.skill.value, min(each.low, each.skill.value), each.skill.high)
        figures[skill_name(each.key, each.horizon)] = Figure(bounds, beside)
        name = f"score_skill/{each.key}@{each.horizon}"
        figures[name] = Figure(each.score_skill, beside)
    return figures


def _consistency(found: _Findings) -> dict[str, Figure]:
    figures = {
        "violations_after": Figure(_alone(float(sum(found.violations.values())))),
    }
    if found.projected is not None:
        share = sum(found.projected.values()) / max(found.frames, 1)
        figures["violations_before"] = Figure(_alone(share))
    for name, rate in found.rates.items():
        real = {"real": _alone(1e4 * rate.real)}
        figures[f"contradictions.{name}"] = Figure(_alone(1e4 * rate.world), real)
    if "damage_without_hit" in found.rates:
        figures["phantom_damage_ratio"] = Figure(_alone(found.rates["damage_without_hit"].ratio))
    return figures


def _events(found: _Findings) -> dict[str, Figure]:
    figures = {}
    for horizon, scores in ((1, found.one_step), (SHORT, found.inside)):
        for (kind, tolerance), score in scores.items():
            hold = {"hold": _alone(0.0)}  # nothing happens
            figures[f"event_f1.{kind}@{horizon}.within{tolerance}"] = Figure(score.f1, hold)
            if tolerance == 2:
                figures[f"event_ratio.{kind}@{horizon}"] = Figure(_alone(score.ratio))
        if ("hit", 2) in scores:
            figures[f"hit_f1_{horizon}"] = Figure(scores["hit", 2].f1, {"hold": _alone(0.0)})
    return figures


def _rest(found: _Findings) -> dict[str, Figure]:
    figures = {}
    for (key, horizon), (precision, recall, f1, _) in found.changes.items():
        for name, value in (
            ("change_precision", precision),
            ("change_recall", recall),
            ("change_f1", f1),
        ):
            figures[f"{name}/{key}@{horizon}"] = Figure(_alone(value), {"hold": _alone(0.0)})
    for (key, horizon), gap in found.calibration.items():
        figures[f"calibration_gap/{key}@{horizon}"] = Figure(_alone(gap))
    if found.effects is not None:
        hold = {"hold": _alone(0.0)}
        figures["control_agreement"] = Figure(found.effects.agreement, hold)
        figures["control_effect"] = Figure(found.effects.size, hold)
    if found.shuffled is not None:
        figures["shuffled_controls"] = Figure(found.shuffled, {"hold": _alone(0.0)})
    for each in found.distances:
        name = f"distance.{figure_word(each.name.replace('/', '.'))}"
        free = {"real": _alone(each.halves)}
        if each.moved is not None:
            free["simulator"] = _alone(each.moved)
        figures[name] = Figure(_alone(each.value), free)
    return figures
