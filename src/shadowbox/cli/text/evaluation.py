"""Evaluations, calibrations and probes of policies as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shadowbox.cli.terminal import number, table
from shadowbox.core.evaluation import FAILED, EvaluationReport, Figure
from shadowbox.core.metrics import METRIC_BY_NAME
from shadowbox.core.stats import Interval
from shadowbox.evaluate.offline import bins_sentence
from shadowbox.evaluate.sessions import session_tables
from shadowbox.evaluate.worlds.verdict import gate_sentence

if TYPE_CHECKING:  # it needs torch, which help does not
    from shadowbox.evaluate.calibration import Calibration, ThresholdFit
    from shadowbox.evaluate.probe import Probe


def evaluation_text(found: EvaluationReport) -> str:
    """Tables of the gate by control, if it has any, and of every figure beside its baselines."""
    gate, controls = found.gate, found.gate.details.get("controls") or {}
    parts = [_gate_table(controls)] if controls else []
    for title, figures in _groups(found).items():
        if title == "sessions":
            tables = session_tables(figures, found.context.get("by_person") or {})
            parts += [table(head, rows) for head, rows in tables if rows]
            continue
        lines = [
            _line(name, figure)
            for name, figure in figures.items()
            if math.isfinite(figure.value.value)
        ]
        parts.append(table([title, "value", "95 %", "baselines"], lines))
    if "controller_nll" in found.figures:
        parts.append(bins_sentence(found.context["controller_bins"]))
    parts += [said] if (said := gate_sentence(found.context)) else []
    parts += ["\n".join(gate.why)] if gate.why else []
    if controls and not gate.why:
        parts.append("Every used control is pressed about as often as in the data.")
    return "\n\n".join([*parts, _verdict(found)])


def _verdict(found: EvaluationReport) -> str:
    """The last sentence: the gate, where it was measured, and baselines that are as near."""
    gate, details = found.gate, found.gate.details
    name = "behavior gate" if found.kind == "policy" else "gate"
    if found.context.get("one_frame_ahead"):
        name += " (recorded contexts, one frame ahead)"
    verdict = "FAILED" if gate.verdict == FAILED else gate.verdict
    said = f"{found.context.get('checkpoint', found.spec)}: the {name} is {verdict}"
    if nearer := details.get("as_near_without_learning"):
        others = ", ".join(f"{each} ({distance:.2f})" for each, distance in nearer.items())
        said += (
            f"; {others} {'is' if len(nearer) == 1 else 'are'} as near to the data without learning "
            f"(the policy: {details['distance']:.2f})"
        )
    return said


def _gate_table(controls: Mapping[str, Any]) -> str:
    rows = []
    for control, each in controls.items():
        ratios = [Figure.from_json(each[name]).value for name in ("press_ratio", "onset_ratio")]
        verdict = each.get("verdict") or ("passed" if each["passed"] else "failed")
        verdict = verdict.replace("failed", "FAILED") if each["used"] else "hardly used"
        rows.append([control, f"{each['onsets_in_data']:,}", *map(_ratio, ratios), verdict])
    return table(["control", "onsets in data", "press ratio", "onset ratio", "gate"], rows)


def _groups(found: EvaluationReport) -> dict[str, dict[str, Figure]]:
    """Figures by the place that the list of metrics gives them; those of other kinds together."""
    ahead = found.context.get("one_frame_ahead")
    titles = {"closed_loop": ahead or f"closed loop: {found.context.get('closed_loop_is', '')}"}
    groups: dict[str, dict[str, Figure]] = {}
    for name, figure in found.figures.items():
        metric = METRIC_BY_NAME.get(name.partition(".")[0])
        where = metric.where if metric else "figure"
        if where != "gate":  # in the table of controls
            groups.setdefault(titles.get(where, where), {})[name] = figure
    return groups


def calibration_text(tuned: Calibration) -> str:
    """Tables of temperatures and thresholds, scored on sessions that did not choose them."""
    temperatures = [
        [
            name,
            f"{fit.temperature:.3g}",
            number(fit.before),
            number(fit.after),
            "" if fit.is_default else "far from 1: improve the model",
        ]
        for name, fit in tuned.temperatures.items()
    ]
    parts = [table(["group", "temperature", "nats at 1", "nats at it", ""], temperatures)]
    if tuned.play:
        away = [f"{tuned.play.temperature:g}", number(tuned.play.before), number(tuned.play.after)]
        parts.append(
            table(
                ["in play", "temperature", "gate distance at 1", "at it", ""],
                [["all", *away, "passes below 1"]],
            )
        )
    if tuned.thresholds:
        rows = [
            [
                name,
                f"{fit.threshold:.2f}",
                f"{fit.off:.2f} .. {fit.on:.2f}",
                f"{fit.presses:,}",
                number(fit.f1),
                _tuned(fit),
            ]
            for name, fit in tuned.thresholds.items()
        ]
        parts.append(table(["control", "threshold", "hysteresis", "onsets", "onset F1", ""], rows))
    if tuned.offsets:
        rows = [
            [name, f"{fit.offset:+.2f}", *map(number, (fit.rate, fit.before, fit.after))]
            for name, fit in tuned.offsets.items()
        ]
        parts.append(table(["control", "offset", "rate in data", "policy at 0", "at it"], rows))
    return "\n\n".join(parts)


def _tuned(threshold: ThresholdFit) -> str:
    return "" if threshold.tuned else "too few"


def likeness_text(found: Mapping[str, Any]) -> str:
    """Table of how well players are distinguished, and of what gives the policy away."""
    figure, matches = Figure.from_json(found["likeness_auc"]), found["matches"]
    pairs = {
        "policy and player": (figure.value, f"{matches['policy']:,} and {matches['player']:,}"),
    }
    if "real" in figure.baselines:
        pairs["player and player"] = (
            figure.baselines["real"],
            f"{matches['player']:,} in two halves",
        )
    if "others" in figure.baselines:
        counts = f"{matches['player']:,} and {matches['others']:,}"
        pairs["player and others"] = (figure.baselines["others"], counts)
    rows = [
        [pair, f"{auc.value:.2f}", f"{auc.low:.2f} to {auc.high:.2f}", counts]
        for pair, (auc, counts) in pairs.items()
    ]
    most = [
        [
            each["feature"],
            f"{each['policy']:.3f}",
            f"{each['player']:.3f}",
            f"{each['spreads']:.1f}",
        ]
        for each in found["differences"]
    ]
    return "\n\n".join(
        [
            table(["distinguished", "AUC", "95 %", "matches"], rows),
            table(["differs most in", "policy", "player", "spreads"], most),
            f"AUC of a classifier of {found['seconds']:g} s of play, on other matches than it was "
            "fitted to: 0.5 if it cannot distinguish the two, 1 if it always can.",
        ]
    )


def probe_text(found: Probe) -> str:
    """Tables of buttons, sticks and inputs, and the distance to the nearest recorded frame."""
    rows = [
        [
            name,
            f"{v['probability']:.4f}",
            f"{v['logit']:.2f}",
            *("yes" if v[key] else "-" for key in ("held_before", "pressed")),
        ]
        for name, v in found.buttons.items()
    ]
    parts = [table(["control", "probability", "logit", "held before", "pressed"], rows)]
    if found.sticks:
        sticks = [
            [name, f"{v['says']:.4f}", f"{v['recorded']:.4f}"] for name, v in found.sticks.items()
        ]
        parts.append(table(["stick", "says", "recorded"], sticks))
    shown = [[name, " ".join(f"{value:g}" for value in values[:8]) + (" ..." if len(values) > 8 else "")]
             for name, values in found.inputs.items()]  # fmt: skip
    parts += [
        table(["input", "value"], shown, left=2),
        table(["own state", ""], [[k, str(v)] for k, v in found.state.items()], left=2),
    ]
    near = (
        f"the nearest recorded frame is {found.distance:.2f} away (usual: up to {found.usual:.2f})"
    )
    parts.append(f"warning: {found.warning}" if found.warning else near)
    parts.append(f"{found.where}, frame {found.frame}, player {found.player}")
    return "\n\n".join(parts)


def _ratio(found: Interval) -> str:
    if not math.isfinite(found.value):
        return "-"
    known = math.isfinite(found.low) and math.isfinite(found.high)
    return f"{found.value:.2f}" + (f" ({found.low:.2f} .. {found.high:.2f})" if known else "")


def _line(name: str, figure: Figure) -> list[str]:
    value, low, high = figure.value
    beside = ", ".join(
        f"{baseline} {number(other.value)}"
        for baseline, other in figure.baselines.items()
        if math.isfinite(other.value)
    )
    known = math.isfinite(low) and math.isfinite(high)
    interval = f"{number(low)} .. {number(high)}" if known else "-"
    return [name, number(value), interval, beside or "-"]
