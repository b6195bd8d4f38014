"""Prediction of a card's result from small finished runs, written into the card before it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.cards import signatures
from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile, data_line
from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import estimate, results
from shadowbox.experiment.ahead.scaling import (
    _Law,
    _Point,
    fit_law,
    operations_of,
    predict_loss,
)
from shadowbox.experiment.checks import check, inputs
from shadowbox.experiment.settings import Games
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.train import runs as prior

BLOCK = "prediction"


def predict_card(
    path: Path,
    folders: Sequence[Path],
    games: Games,
    *,
    metric: str = "",
    who: str = "",
    note: str = "",
) -> dict[str, Any]:
    """Predict the metric (default: of the first primary target) and write it, signed, into the card."""
    checked = check.check_card(path, games)
    if checked.mistakes or checked.settled is None:
        raise CardError(f"{path} has mistakes: `shadowbox card check {path.stem}` lists them")
    file, card = checked.file, checked.card
    if results.stored_results(file) is not None:
        raise CardError(f"{path} has results already: a prediction is made before the run")
    signer = who or signatures.default_signer()
    if not signer:
        raise UsageError("no name to sign the prediction with: give one with --as")
    metric = metric or _first_metric(card)
    points = [_point(run, metric, games) for run in _runs(folders, card)]
    game = games(card.game)
    given = inputs.inputs_of(card, game, checked.settled, None, seed=min(card.seeds, default=0))
    facts = checked.facts
    parameters = float(facts.get("parameters", facts.get("parameters_before_data", 0)))
    operations = operations_of(parameters, estimate.examples_of_run(card, given))
    law, said = fit_law(points), predict_loss(points, operations)
    found: dict[str, Any] = {
        "metric": metric,
        "value": said.value,
        "low": said.low,
        "high": said.high,
        "operations": operations,
        "law": {"offset": law.offset, "scale": law.scale, "exponent": law.exponent,
                "reference": law.reference, "residual": law.residual},
        "runs": [{"run": point.name, "operations": point.operations, "value": point.loss}
                 for point in points],
        "who": signer,
        "identity": signatures.git_identity(),
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "note": " ".join(note.split()),
        "contract": file.hash,
        "settings": checked.settled.hash,
    }  # fmt: skip
    file.with_block(BLOCK, _block(found, law, operations)).write()
    return found


def stored_prediction(file: CardFile) -> dict[str, Any] | None:
    """The prediction in a card, if it was made for the card's present text."""
    try:
        data = file.data(BLOCK)
    except ValueError:
        return None
    return data if isinstance(data, dict) and data.get("contract") == file.hash else None


def prediction_words(file: CardFile) -> str:
    """A sentence about the prediction in a card, and about what was reached; empty without one."""
    found = stored_prediction(file)
    if found is None:
        return "" if file.block(BLOCK) is None else "its prediction was made for another text: void"
    said = f"{found['metric']} {found['value']:.4g} ({found['low']:.4g} .. {found['high']:.4g})"
    words = f"{found['who']} predicted {said} on {found['when']}"
    known = results.stored_results(file) or {}
    for target in known.get("targets", []):
        value = target.get("value")
        if target.get("metric") == found["metric"] and isinstance(value, int | float):
            inside = "inside" if found["low"] <= value <= found["high"] else "outside"
            return f"{words}; reached: {value:.4g}, {inside} the interval"
    return words


def _first_metric(card: Card) -> str:
    chosen = [target for target in card.targets if target.primary] or list(card.targets)
    if not chosen:
        raise UsageError("the card has no target: name what to predict with --metric")
    return chosen[0].metric


def _runs(folders: Sequence[Path], card: Card) -> list[prior.Run]:
    """All finished runs of cards below these folders, of the card's game and learner."""
    found: list[prior.Run] = []
    for folder in folders:
        place = folder if folder.exists() else prior.RUNS / folder
        here = [run for run in prior.runs_in(place) if run.facts.get("status") == "finished"]
        if not here:
            raise UsageError(f"{folder}: no finished run is there")
        found += here
    for run in found:
        for name in ("game", "learner"):
            if run.facts.get(name) != getattr(card, name):
                raise UsageError(
                    f"{run.path}: its {name} is {run.facts.get(name)!r}, that of the card is "
                    f"'{getattr(card, name)}': only runs of cards like it foretell its result"
                )
    return found


def _point(run: prior.Run, metric: str, games: Games) -> _Point:
    figures = run.figures()
    if metric not in figures:
        raise UsageError(
            f"{run.path} has no {metric}: give its card an `eval`, or name another with --metric"
        )
    low, high = (figures.get(f"{metric}.{end}", figures[metric]) for end in ("low", "high"))
    examples = int(run.facts["step"]) * _examples_a_step(run, games)
    return _Point(
        str(run.path),
        operations_of(float(run.facts["parameters"]), examples),
        figures[metric],
        (high - low) / 2,
    )


def _examples_a_step(run: prior.Run, games: Games) -> float:
    parts: dict[str, Mapping[str, Any]] = {
        section: {
            name.partition(".")[2]: value
            for name, value in run.settings.items()
            if name.startswith(f"{section}.")
        }
        for section in ("train", "model", "learner")
    }
    facts = run.facts
    spec = RunSpec(games(facts["game"]), facts["preset"], parts["model"], parts["learner"])
    return float(parts["train"]["batch"]) * learner_spec(facts["learner"]).examples(
        Inputs(spec=spec)
    )


def _block(found: Mapping[str, Any], law: _Law, operations: float) -> str:
    rows = [
        f"| {each['run']} | {each['operations']:.3g} | {each['value']:.4f} | "
        f"{law.at(each['operations']):.4f} |"
        for each in found["runs"]
    ]
    note = found["note"].replace("<", "&lt;")
    by = f" (git: {found['identity']})" if found["identity"] else ""
    lines = [
        f"**{found['metric']}: {found['value']:.4f}, {found['low']:.4f} .. {found['high']:.4f}** "
        f"(95 %), predicted by {found['who']}{by} on {found['when']}, before the run."
        + (f" {note}" if note else ""),
        "",
        f"Law: {law.offset:.4f} + {law.scale:.4f} * (C / {law.reference:.3g}) ^ -{law.exponent:.3f}, "
        f"of C operations, six a parameter and example. The card takes {operations:.3g}, "
        f"{operations / max(each['operations'] for each in found['runs']):,.0f} times those of the "
        "largest run: the interval assumes that the law holds that far.",
        "",
        "| run | operations | value | law |",
        "|---|---|---|---|",
        *rows,
        "",
        data_line(dict(found)),
    ]
    return "\n".join(lines)
