"""Evaluations of worlds as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping

from shadowbox.cli.terminal import number, table
from shadowbox.core.evaluation import EvaluationReport, Figure
from shadowbox.core.metrics import SKILL


def world_text(found: EvaluationReport) -> str:
    """The gate part by part, skill by field and horizon, and all other figures."""
    figures = found.figures
    parts = [_stages(found), _skills(figures, found)]
    for title, prefix in (
        ("contradiction, in 10,000 frames", "contradictions."),
        ("F1 of events", "event_f1."),
        ("distance of distributions", "distance."),
    ):
        parts.append(_figures(title, {k: f for k, f in figures.items() if k.startswith(prefix)}))
    alone = {
        name: figure
        for name, figure in figures.items()
        if not any(mark in name for mark in (".", "/"))
    }
    parts.append(_figures("figure", alone))
    if found.context.get("rare"):
        rare = {name.rpartition("@")[0] for name in found.context["rare"]}
        parts.append(f"changes too rarely to be judged at some horizon: {', '.join(sorted(rare))}")
    why = "\n".join(found.gate.why)
    verdict = "passed" if found.gate.passed else "FAILED"
    return "\n\n".join(filter(None, [*parts, why, f"{found.spec}: the gate is {verdict}"]))


def ladder_text(found: EvaluationReport) -> str:
    """Returns of each policy in the world and in the simulator, best first, and how alike they rank."""
    rows = sorted(found.context["policies"], key=lambda row: -row["simulator"]["value"])
    dreamt = sorted(rows, key=lambda row: -row["world"]["value"])
    lines = [
        [row["policy"], str(at), str(dreamt.index(row) + 1)]
        + [f"{row[side]['value']:.1f} ({row[side]['low']:.1f} .. {row[side]['high']:.1f})"
           for side in ("simulator", "world")]
        for at, row in enumerate(rows, 1)
    ]  # fmt: skip
    head = ["policy", "rank", "rank in the world", "return", "return in the world"]
    left_out = ", ".join(found.context["left_out"])
    parts = [
        table(head, lines),
        f"left out, as further ones of the same run: {left_out}" if left_out else "",
        _figures("figure", found.figures),
        "\n".join(found.gate.why),
        f"{found.spec}: the gate is {'passed' if found.gate.passed else 'FAILED'}",
    ]
    return "\n\n".join(filter(None, parts))


def _stages(found: EvaluationReport) -> str:
    words = {True: "passed", False: "FAILED", None: "not known for this game"}
    stages = found.gate.details.get("stages", [])
    return table(
        ["gate", ""], [[stage["name"], words[stage["passed"]]] for stage in stages], left=2
    )


def _skills(figures: Mapping[str, Figure], found: EvaluationReport) -> str:
    """Skill by field and horizon; a star marks a lower bound that is not above 0."""
    horizons = [int(each) for each in found.context.get("horizons", [])]
    rows: dict[str, dict[int, str]] = {}
    for name, figure in figures.items():
        if (match := SKILL.fullmatch(name)) and math.isfinite(figure.value.value):
            star = "" if figure.value.low > 0 else "*"
            cells = rows.setdefault(match["field"], {})
            cells[int(match["horizon"])] = f"{figure.value.value:.2f}{star or ' '}"
    lines = [
        [field, *(cells.get(horizon, "-") for horizon in horizons)] for field, cells in rows.items()
    ]
    text = table(["skill over the best baseline", *map(str, horizons)], lines)
    exact = ", ".join(found.context.get("exact", []))
    return (
        f"{text}\n(columns: frames ahead; * the lower bound, which holds for all fields together, "
        f"is not above 0; 1 is perfect, 0 the best baseline)\n"
        f"without any error of a baseline at some horizon, and so to be exact: {exact or '-'}"
    )


def _figures(title: str, figures: Mapping[str, Figure]) -> str:
    rows = []
    for name, figure in figures.items():
        value, low, high = figure.value
        if not math.isfinite(value):
            continue
        known = math.isfinite(low) and math.isfinite(high)
        beside = ", ".join(f"{n} {number(b.value)}" for n, b in figure.baselines.items())
        rows.append(
            [
                name.partition(".")[2] or name,
                number(value),
                f"{number(low)} .. {number(high)}" if known else "-",
                beside or "-",
            ]
        )
    return table([title, "value", "95 %", "beside"], rows) if rows else ""
