"""Closing of a card: its runs are evaluated a last time, and the results become final."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards.file import CardFile
from shadowbox.errors import CardError
from shadowbox.experiment import results, settings
from shadowbox.experiment.results import number
from shadowbox.train import runs as prior


def close_card(
    path: Path, games: settings.Games, note: str = "", runs: Path = prior.RUNS
) -> dict[str, Any]:
    """Close a card that has run; returns deviations from the card, and cost beside the estimate."""
    file, card = cards.require_card(path)
    known = results.stored_results(file)
    if known is None:
        raise CardError(f"{path} has no results: `shadowbox run {path}` first")
    deviations = _deviations(file, known, runs)
    closed = {
        **known,
        "closed": time.strftime("%Y-%m-%d", time.gmtime()),
        "note": " ".join(note.split())[:2000],
        "deviations": deviations,
    }
    CardFile.read(path).with_block(results.BLOCK, block(closed)).write()
    return closed | {"text": _text(card.id, closed)}


def _deviations(file: CardFile, known: dict[str, Any], runs: Path) -> list[str]:
    """Differences between the runs and the present card."""
    found = list(known["stamps"])
    if known.get("contract") != file.hash:
        found.append("the contract was edited after the run")
    for run in prior.runs_in(Path(known["run"])):
        fired = results.firings(run)
        found += [f"{run.path.name}: {each['text']}" for each in fired]
    return found


def block(known: dict[str, Any]) -> str:
    """Results as Markdown, with the closing note of a closed card."""
    text = results.block(known)
    return _with_end(text, known) if "closed" in known else text


def _with_end(text: str, closed: dict[str, Any]) -> str:
    head, mark, data = text.rpartition("\n\n<!-- data ")
    words = [
        f"Closed on {closed['closed']}" + (f": {_safe(closed['note'])}" if closed["note"] else ".")
    ]
    words += [f"- {_safe(line)}" for line in closed["deviations"]]
    return head + "\n\n" + "\n".join(words) + mark + data


def _text(name: str, closed: dict[str, Any]) -> str:
    lines = [f"{name}: {closed['verdict']}"]
    for target in closed["targets"]:
        wanted = target["wanted"] if isinstance(target["wanted"], str) else f"{target['wanted']:g}"
        lines.append(
            f"  {target['metric']} {target['op']} {wanted}: {number(target['value'])}, {target['verdict']}"
        )
    spent = closed["cost"]
    if "actual_over_estimate" in spent:
        ratio = spent["actual_over_estimate"]
        lines.append(
            f"  took {spent['wall_s']:,.1f} s, {ratio:.2f} times the estimate "
            f"of {spent['estimated_s']:,.1f} s"
        )
    else:
        lines.append(f"  took {spent['wall_s']:,.1f} s; there was no estimate")
    lines += [f"  not as it says: {line}" for line in closed["deviations"]]
    return "\n".join(lines)


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
