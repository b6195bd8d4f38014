"""Comparison of two cards, and the index of a folder of cards."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.cards import card as cards
from shadowbox.cards import signatures
from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.experiment import dataset, results, settings
from shadowbox.experiment import targets as verdict
from shadowbox.learners.registry import is_code
from shadowbox.train import runs as prior

DRAFT, SIGNED, READY, CLOSED, WRONG = "to be signed", "signed", "ready", "closed", "wrong"


def compare_cards(one: Path, other: Path) -> dict[str, Any]:
    """Differing fields of two cards, and their targets side by side."""
    found = [cards.require_card(path) for path in (one, other)]
    said = [_flat(card.model_dump(by_alias=True, exclude={"prior"})) for _, card in found]
    names = [
        name
        for name in dict.fromkeys([*said[0], *said[1]])
        if said[0].get(name) != said[1].get(name)
    ]
    differences = [
        {"field": name, "values": [_word(each.get(name)) for each in said]}
        for name in names
        if name != "id"
    ]
    reached = [_reached(file) for file, _ in found]
    metrics = list(dict.fromkeys([*reached[0], *reached[1]]))
    targets = [
        {"metric": metric, "values": [each.get(metric, "-") for each in reached]}
        for metric in metrics
    ]
    return {
        "cards": [file.name for file, _ in found],
        "differences": differences,
        "prior": _prior([card for _, card in found]),
        "targets": targets,
    }


def _prior(compared: Sequence[Card]) -> list[dict[str, Any]]:
    """Figures of runs of others: one row for each run and metric that a card lists."""
    figures = [
        {(run.name, metric): value for run in card.prior for metric, value in run.values.items()}
        for card in compared
    ]
    return [
        {
            "run": key[0],
            "metric": key[1],
            "values": [results.number(each.get(key)) for each in figures],
        }
        for key in dict.fromkeys(key for each in figures for key in each)
    ]


def card_index(
    folder: Path, runs: Path = prior.RUNS, games: settings.Games | None = None
) -> dict[str, Any]:
    """One row per card, and the accuracy of estimates and predictions.

    `games` resolves the settings that signatures are bound to; without it no card is "signed". No
    learner is imported because a card names it as module:SPEC.
    """
    if not os.path.isdir(folder):  # a name that no file can have is none, either
        raise UsageError(f"{folder} is not a folder of cards")
    lines = [_line(path, runs, games) for path in sorted(folder.glob("*.md"))]
    finished = [line for line in lines if line["verdict"] in verdict.FINISHED]
    ratios = [line["ratio"] for line in lines if line["ratio"]]
    summary = {
        "cards": len(lines),
        "finished": len(finished),
        "passed": sum(line["verdict"] == verdict.PASSED for line in finished),
        "median_actual_over_estimate": float(np.median(ratios)) if ratios else None,
    }
    return {"cards": lines, "summary": summary}


def card_status(
    file: CardFile, card: Card, runs: Path = prior.RUNS, games: settings.Games | None = None
) -> str:
    """Status of a card in one word."""
    known = results.stored_results(file)
    if known and known.get("closed"):
        return f"{CLOSED}: {known['verdict']}"
    states = [verdict.verdict_of(run) for run in prior.runs_in(runs / card.id)]
    if states and set(states) != {"finished"}:
        return next(
            state
            for state in (verdict.KILLED, verdict.PAUSED, verdict.UNFINISHED)
            if state in states
        )
    if known:
        return str(known["verdict"])
    if games is not None and _is_signed(file, card, games):
        return SIGNED
    return DRAFT if card.reviewers.min or card.reviewers.required else READY


def _is_signed(file: CardFile, card: Card, games: settings.Games) -> bool:
    """True if the card has valid signatures, and all that it requires."""
    try:
        if is_code(card.learner) or not signatures.read_signatures(file):
            return False
        game = games(card.game)
        hashed = settings.resolve_settings(card, game).hash
        data = dataset.data_fingerprint(card, game, dataset.existing_store(card))
        standing = signatures.signature_status(file, card, hashed, data)
    except ShadowboxError:
        return False  # `card check` says why
    return bool(standing.valid) and standing.enough


def _line(path: Path, runs: Path, games: settings.Games | None) -> dict[str, Any]:
    line: dict[str, Any] = {"card": path.stem, "status": WRONG, "verdict": None, "ratio": None}
    line |= dict.fromkeys(("game", "target", "seconds", "accuracy"), "-")
    try:
        file, card = cards.require_card(path)
    except ShadowboxError as error:
        return line | {"target": str(error).splitlines()[0]}
    known = results.stored_results(file) or {}
    spent: Mapping[str, Any] = known.get("cost") or {}
    ratio = spent.get("actual_over_estimate")
    target = next(
        (each for each in card.targets if each.primary), card.targets[0] if card.targets else None
    )
    reached = _reached(file).get(target.metric) if target else None
    return line | {
        "game": card.game,
        "status": card_status(file, card, runs, games),
        "verdict": known.get("verdict"),
        "target": f"{target or '-'}" + (f": {reached}" if reached else ""),
        "seconds": f"{spent['wall_s']:,.0f}" if "wall_s" in spent else "-",
        "accuracy": f"{ratio:.2f}" if ratio else "-",
        "ratio": ratio,
    }


def _reached(file: CardFile) -> dict[str, str]:
    known = results.stored_results(file)
    if not known:
        return {}
    # of two on a metric the decisive one
    targets = sorted(known["targets"], key=lambda target: bool(target["primary"]))
    return {
        str(target["metric"]): f"{results.number(target['value'])} ({target['verdict']})"
        for target in targets
    }


def _flat(data: Any, before: str = "") -> dict[str, Any]:
    if isinstance(data, dict) and data:
        return {
            name: value
            for key, part in data.items()
            for name, value in _flat(part, f"{before}.{key}" if before else key).items()
        }
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return {
            name: value
            for at, part in enumerate(data)
            for name, value in _flat(part, f"{before}[{at}]").items()
        }
    return {before: data}


def _word(value: Any) -> str:
    return "-" if value in (None, {}, []) else str(value)[:80]
