"""Checks of learners."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.metrics import METRICS, find_info
from shadowbox.learners.registry import NEEDS, OPTIONAL, Inputs, LearnerSpec, ModelSummary
from shadowbox.model import checkpoint, kinds
from shadowbox.testing.random_play import must
from shadowbox.train.config import TrainConfig
from shadowbox.train.log import METRICS as LOG
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train
from shadowbox.train.observer import ObserverDecision, TrainProgress
from shadowbox.train.schedule import count

STEPS, LOG_EVERY = 6, 2
CLOCKS = ("wall", "examples_per_s")  # figures that differ from run to run


def check_learner(spec: LearnerSpec, inputs: Inputs, folder: Path, *, steps: int = STEPS) -> None:
    """The promises of a learner, with short runs in an empty folder; `inputs` are what it needs.

    Its settings are plain data; the summary without weights says what is then built and logged,
    each figure within its bounds; the kind of its checkpoints can be loaded; a run that is paused
    and resumed is the run that was not.
    """
    _check_declaration(spec)
    summary = spec.summarize(inputs)
    _check_summary(spec, summary)
    config = dataclasses.replace(
        inputs.config, steps=steps, epochs=None, log_every=LOG_EVERY, save_every=0, keep_every=1
    )
    straight = _run(spec, inputs, folder / "straight", config, summary)
    _check_log(straight, summary)
    resumed = _run(spec, inputs, folder / "resumed", config, summary, pause=max(1, steps // 2))
    _check_same(straight, resumed)


def _check_declaration(spec: LearnerSpec) -> None:
    must(
        spec.needs <= NEEDS.keys(), f"needs {sorted(spec.needs - NEEDS.keys())}, known: {[*NEEDS]}"
    )
    known = {*NEEDS, *OPTIONAL}
    must(spec.takes <= known, f"takes {sorted(spec.takes - known)}, known: {sorted(known)}")
    must(bool(spec.presets()), "a learner has at least one preset")
    for preset in spec.presets():
        possible = {f"train.{name}" for name in TrainConfig(steps=1).to_json()}
        possible |= {f"learner.{name}" for name in spec.defaults}
        for name in spec.preset_settings(preset):
            must(
                name in possible,
                f"preset '{preset}' sets '{name}', expected train.NAME or learner.NAME",
            )
    for name, settings in {"defaults": spec.defaults, **spec.presets()}.items():
        try:
            json.dumps(dict(settings))
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{name}: settings are not plain data: {error}") from error


def _check_summary(spec: LearnerSpec, summary: ModelSummary) -> None:
    must(summary.parameters > 0, "the summary counts no parameters")
    kinds.checkpoint_kind(summary.kind)  # raises where nothing could load the checkpoints
    listed = {f"val/{metric.name}": metric for metric in METRICS if metric.where == "validation"}
    for name, info in summary.metrics.items():
        must(info.low <= info.high, f"{name} is bounded by {info.low:g} .. {info.high:g}")
        same = listed.get(name)
        must(
            same is None or (info.low, info.high) == same.limits,
            f"{name} is in the list of metrics with other bounds: choose another name",
        )


def _run(
    spec: LearnerSpec,
    inputs: Inputs,
    folder: Path,
    config: TrainConfig,
    summary: ModelSummary,
    pause: int = 0,
) -> Path:
    """Train in a folder, with a pause at a step that is then gone on from."""

    def observer(progress: TrainProgress) -> ObserverDecision:
        paused = pause and progress.step == at and progress.kind == "train"
        return ObserverDecision("pause" if paused else "continue", "a check")

    at = -(-pause // LOG_EVERY) * LOG_EVERY
    for resume in (False, True) if pause else (False,):
        task = spec.prepare(dataclasses.replace(inputs, config=config, run=folder))
        built = count(task.model.parameters())
        exact = built == summary.parameters or not summary.exact
        must(exact, f"the model has {built} parameters, the summary says {summary.parameters}")
        must(task.about.kind == summary.kind, f"it makes a {task.about.kind}, not a {summary.kind}")
        train(task, folder, config, resume=resume, observer=None if resume else observer)
    return folder


def _check_log(run: Path, summary: ModelSummary) -> None:
    """Every figure of the log was announced, and is within its bounds."""
    for line in read_lines(run / LOG):
        for name, value in line.items():
            full = f"{line['kind']}/{name}"
            if name in ("kind", "step", "epoch", "wall") or name.startswith("time/"):
                continue
            info = summary.metrics.get(full) or _own(full, summary)
            must(info is not None, f"{full} is logged, and the summary does not announce it")
            assert info is not None
            inside = value is None or info.low - 1e-6 <= value <= info.high + 1e-6
            must(inside, f"{full} is {value}, announced are {info.low:g} .. {info.high:g}")


def _own(full: str, summary: ModelSummary) -> Any:
    return None if full.startswith(("train/", "val/")) else find_info(full, summary.metrics)


def _check_same(one: Path, other: Path) -> None:
    """Weights and log of both are equal but for clocks."""
    first, second = (
        checkpoint.load(checkpoint.find_checkpoint(f"{run}@latest")) for run in (one, other)
    )
    same = all(bool((value == second.weights[key]).all()) for key, value in first.weights.items())
    must(same, "a run that was paused and resumed has other weights")
    lines = [[_plain(line) for line in read_lines(run / LOG)] for run in (one, other)]
    must(lines[0] == lines[1], "a run that was paused and resumed has another log")


def _plain(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in line.items()
        if name not in CLOCKS and not name.startswith("time/")
    }
