"""Curves of runs for `page/chart.js`, with their card's targets and the kill rules that fired."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shadowbox.core.metrics import SHORT, describe
from shadowbox.experiment import results
from shadowbox.report import levels
from shadowbox.train import log
from shadowbox.train.runs import Run

POINTS = 600  # of a curve: about one for each pixel of its width
COLORS = 6  # of runs in one chart; further runs repeat them, with their names beside
BACKGROUND = ("lr", "norm", "examples_per_s")  # figures that explain, folded
FLOORS = (".low", ".high")
APART = ("kind", "step", "epoch", "wall")


def of_runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A chart per metric: training and validation, or a learner's own lines.

    Of several runs a chart has a curve for each.
    """
    if not runs:
        return []
    logs = [_Log(run) for run in runs]
    trained = [name for name in logs[0].names("train") if not name.startswith("time/")]
    scored = [name for name in logs[0].names("val") if _is_score(name)]
    own = list(dict.fromkeys(name for kind in logs[0].own_kinds for name in _own(logs, kind)))
    first = list(dict.fromkeys([*(name for name in trained if name == "loss"), *scored, *own]))
    rest = [name for name in trained if name not in first]
    background = {name: at for at, name in enumerate(BACKGROUND)}
    rest.sort(key=lambda name: background.get(name, len(background)))
    promised = _promised(runs[0].facts)
    asked = {"loss", *promised, *_measured(logs, own)} if promised else set(first)
    shown = [name for name in first if name in asked]
    later = [name for name in [*first, *rest] if name not in shown]
    return [
        figure
        for name in [*shown, *later]
        if (figure := _figure(logs, name, folded=name in later))["curves"]
    ]


def _is_score(name: str) -> bool:
    """True for a score itself: neither a baseline nor the end of an interval."""
    return "/" not in name and not name.endswith(FLOORS)


def _own(logs: Sequence[_Log], kind: str) -> Iterator[str]:
    """Figures of a learner's own kind of line.

    Figures of one run that differ after a dot, as `recent.based` and `recent.random` do, are curves of
    one figure, `recent`.
    """
    for name in logs[0].names(kind):
        if _is_score(name):
            stem = name.partition(".")[0]
            together = len(logs) == 1 and len(logs[0].parts(kind, stem)) > 1
            yield f"{kind}/{stem if together else name}"


def _measured(logs: Sequence[_Log], own: Sequence[str]) -> set[str]:
    """Figures of a learner's own lines that have an interval."""
    found = set()
    for figure in own:
        kind, _, name = figure.partition("/")
        names = set(logs[0].names(kind))
        if any(f"{each}.low" in names for each in (name, *logs[0].parts(kind, name))):
            found.add(figure)
    return found


class _Log:
    """Lines of a run by kind, with the training seconds until each."""

    def __init__(self, run: Run) -> None:
        self.run, self.lines = run, run.lines
        self.fired = results.firings(run)
        self.seconds = _seconds(self.lines, log.read_lines(run.path / log.EVENTS))

    @property
    def own_kinds(self) -> list[str]:
        """Kinds of lines that the learner declares."""
        kinds = dict.fromkeys(str(line.get("kind")) for line in self.lines)
        return [kind for kind in kinds if kind not in levels.LOOP]

    def place(self, figure: str) -> tuple[str, str]:
        """Kind of line and name of a figure.

        Of training and validation the latter, if it has it.
        """
        kind, slash, name = figure.partition("/")
        if slash and kind in self.own_kinds:
            return kind, name
        return ("val" if figure in self.names("val") else "train"), figure

    def names(self, kind: str) -> list[str]:
        """Names of the figures of a kind of line."""
        return [
            name
            for name in dict.fromkeys(key for line in self._of(kind) for key in line)
            if name not in APART
        ]

    def parts(self, kind: str, stem: str) -> list[str]:
        """Names of the figures `STEM.PART`."""
        return [
            name for name in self.names(kind) if name.startswith(f"{stem}.") and _is_score(name)
        ]

    def curve(self, kind: str, metric: str, name: str, tone: str) -> dict[str, Any] | None:
        """A curve in the format of the script; None if nothing finite was logged."""
        found = [
            (line, at)
            for line, at in zip(self.lines, self.seconds, strict=True)
            if line.get("kind") == kind
        ]
        thin = found[:: max(1, len(found) // POINTS)]
        thin += found[-1:] if found and thin[-1] is not found[-1] else []
        values = [_finite(line.get(metric)) for line, _ in thin]
        if all(value is None for value in values):
            return None
        curve = {
            "name": name,
            "tone": tone,
            "step": [line["step"] for line, _ in thin],
            "seconds": [at for _, at in thin],
            "y": values,
        }
        if any(f"{metric}.low" in line for line, _ in thin):
            curve |= {
                end: [_finite(line.get(f"{metric}.{end}")) for line, _ in thin]
                for end in ("low", "high")
            }
        return curve

    def marks(self, figure: str) -> list[dict[str, Any]]:
        """Steps at which rules about this figure fired."""
        found = []
        for each in self.fired:
            seen = each.get("figures")
            if isinstance(seen, Mapping) and any(
                levels.figure_of(str(name)) == figure for name in seen
            ):
                step = each.get("step", 0)
                at = min(
                    range(len(self.lines)),
                    key=lambda n: abs(self.lines[n]["step"] - step),
                    default=None,
                )
                words = {
                    "name": str(each.get("action", "")),
                    "tone": "kill",
                    "title": str(each.get("text", ""))[:500],
                }
                found.append(
                    {"step": step, "seconds": 0.0 if at is None else self.seconds[at], **words}
                )
        return found

    def _of(self, kind: str) -> list[log.Line]:
        return [line for line in self.lines if line.get("kind") == kind]


def _figure(logs: Sequence[_Log], figure: str, *, folded: bool) -> dict[str, Any]:
    kind, metric = logs[0].place(figure)
    scored = kind if kind != "train" else "val"
    baselines = [
        name
        for name in logs[0].names(scored)
        if name.startswith(f"{metric}/") and not name.endswith(FLOORS)
    ]
    curves = [logs[0].curve(scored, name, name.partition("/")[2], "baseline") for name in baselines]
    for curve in curves:
        if curve:
            curve |= {"low": None, "high": None}
    curves += _curves_of(logs, kind, metric)
    interval = any(curve and curve.get("low") for curve in curves)
    words = [_title(logs, kind) + (" with its 95 % interval" if interval else "")]
    words += ["dashed lines are baselines"] if baselines else []
    return {
        "name": figure,
        "words": SHORT.get(figure, ""),
        "means": describe(figure),
        "folded": folded,
        "summary": f"{'; '.join(words)}.",
        "curves": [curve for curve in curves if curve],
        "levels": levels.of_run(logs[0].run.facts).get(figure, []),
        "marks": [mark for each in logs for mark in each.marks(figure)],
    }


def _curves_of(logs: Sequence[_Log], kind: str, metric: str) -> list[dict[str, Any] | None]:
    """The curves of one run by kind, or one of each of several runs."""
    if len(logs) > 1:
        return [
            each.curve(kind, metric, f"seed {each.run.path.name}", f"run{at % COLORS + 1}")
            for at, each in enumerate(logs)
        ]
    if kind not in levels.LOOP and (parts := logs[0].parts(kind, metric)):
        names = [*([metric] if metric in logs[0].names(kind) else []), *parts]
        found = [
            logs[0].curve(kind, name, name[len(metric) + 1 :] or "all", f"run{at % COLORS + 1}")
            for at, name in enumerate(names)
        ]
        # many bands on top of each other hide the curves
        return [curve and curve | {"low": None, "high": None} for curve in found]
    if kind not in levels.LOOP:
        return [logs[0].curve(kind, metric, kind, "p1")]
    return [
        logs[0].curve("train", metric, "training", "p1"),
        logs[0].curve("val", metric, "validation", "p2"),
    ]


def _title(logs: Sequence[_Log], kind: str) -> str:
    names = {"train": "training", "val": "validation"}
    if len(logs) > 1:
        return f"Every seed's {names.get(kind, f'lines {kind!r}')}"
    return "Training and validation" if kind in names else f"The learner's lines '{kind}'"


def _promised(facts: Mapping[str, Any]) -> set[str]:
    """Figures that are targets of the card: the charts that answer its question."""
    targets = facts.get("targets")
    metrics = (
        [each.get("metric") for each in targets if isinstance(each, dict)]
        if isinstance(targets, list)
        else []
    )
    return {levels.figure_of(metric) for metric in metrics if isinstance(metric, str)}


def _seconds(lines: Sequence[log.Line], events: Sequence[log.Line]) -> list[float]:
    """Training seconds until each line; pauses before a resume are not counted."""
    begun = sorted(
        float(each["wall"])
        for each in events
        if each.get("event") in ("begin", "parent", "resume") and "wall" in each
    )
    found: list[float] = []
    spent, before = 0.0, -math.inf
    for line in lines:
        wall = float(line.get("wall", 0.0))
        start = max([before, *(at for at in begun if at <= wall)])
        spent += max(0.0, wall - start) if math.isfinite(start) else 0.0
        before = wall
        found.append(round(spent, 2))
    return found


def _finite(value: Any) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(f"{value:.6g}") if fits else None
