"""Origin of results: data, program, machine, settings and checkpoints of each run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.core import system
from shadowbox.errors import ShadowboxError
from shadowbox.experiment.checks import inputs
from shadowbox.experiment.settings import RunSettings
from shadowbox.train.runs import Run

MACHINE = ("processor", "cores", "device", "precision", "ranks")
CHANGED = "-changed"  # ends the commit of a program whose files differ from it


def origin_of(run: Run) -> dict[str, Any]:
    """Origin of a run's figures, as plain data; parts that the run does not say are None."""
    facts = run.facts
    commit = facts.get("commit")
    commit = commit if isinstance(commit, str) else None
    data = facts.get("data")
    named = data.get("fingerprint") if isinstance(data, Mapping) else None
    machine = facts.get("machine") or {}
    return {
        "run": str(run.path),
        "seed": (facts.get("config") or {}).get("seed"),
        "data": named or facts.get("fingerprint"),
        "settings_hash": facts.get("settings_hash"),
        "commit": commit.removesuffix(CHANGED) if commit else None,
        "changed": commit.endswith(CHANGED) if commit else None,
        "versions": dict(facts.get("versions") or {}),
        "machine": {name: machine[name] for name in MACHINE if name in machine},
        "checkpoints": checkpoints_of(run.path),
        "evaluated": facts.get("evaluated"),
        **({"dashboards": pages} if (pages := dashboards_of(facts)) else {}),
    }


def facts_of(
    card: Card, settled: RunSettings, fingerprint: str | None, **more: Any
) -> dict[str, Any]:
    """Facts of a card for run.json, with `more` of the run itself."""
    found: dict[str, Any] = {
        "card": card.id,
        "learner": card.learner,
        "settings": settled.to_json(),
        "settings_hash": settled.hash,
        "targets": [target.model_dump() for target in card.targets],
        "kill": [rule.model_dump(by_alias=True) for rule in card.kill],
        **more,
        **inputs.input_facts(card),
    }
    if tracking := card.tracking.model_dump(exclude_defaults=True):
        found["tracking"] = tracking
    if card.data is not None:
        found["data"] = {**card.data.model_dump(exclude_defaults=True), "fingerprint": fingerprint}
    return found


def dashboards_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Address of a run in other dashboards, by their names."""
    pages = facts.get("dashboards")
    return {
        str(name): str(page["url"])
        for name, page in (pages.items() if isinstance(pages, Mapping) else ())
        if isinstance(page, Mapping) and str(page.get("url", "")).startswith("https://")
    }


def checkpoints_of(run: Path) -> dict[str, dict[str, Any]]:
    """Step and digest of the weights of `best` and `latest`, read from the files."""
    from shadowbox.model import checkpoint
    from shadowbox.model.checkpoint_files import WEIGHTS

    found = {}
    for name in checkpoint.POINTERS:
        try:
            step = checkpoint.pointed(run, name)
            if step is None:
                continue
            folder = checkpoint.find_checkpoint(f"{run}@step={step}")
            with open(folder / WEIGHTS, "rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32))
        except (ShadowboxError, OSError):
            continue  # gone or never finished: nothing can be said about it
        found[name] = {"step": step, "weights": f"blake2b:{digest.hexdigest()}"}
    return found


def in_words(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Origin of several runs as lines of text."""
    if not runs:
        return []
    seeds = ", ".join(dict.fromkeys(str(each["seed"]) for each in runs))
    data = _distinct(str(each["data"])[:24] for each in runs if each["data"])
    commits = _distinct(
        f"{each['commit'][:12]}{' with changed files' if each['changed'] else ''}"
        for each in runs
        if each["commit"]
    )
    versions = _distinct(
        ", ".join(f"{name} {version}" for name, version in each["versions"].items())
        for each in runs
    )
    machines = _distinct(_machine(each["machine"]) for each in runs)
    weights = [
        f"{each['run']}@{name}: step {there['step']:,}, {there['weights'][:24]}"
        for each in runs
        for name, there in each["checkpoints"].items()
        if name == "best" or "best" not in each["checkpoints"]
    ]
    lines = [
        f"Seeds {seeds}; data {data or 'none'}; commit {commits or 'unknown'}; {versions}.",
        f"On {machines}.",
    ]
    judged = _distinct(str(each["evaluated"]) for each in runs if each.get("evaluated"))
    lines += [f"Evaluated on {judged}."] * bool(judged)
    pages = _distinct(
        f"{name}: {url}" for each in runs for name, url in (each.get("dashboards") or {}).items()
    )
    lines += [f"Dashboards: {pages}"] * bool(pages)
    return [*lines, f"Weights: {'; '.join(weights)}."] if weights else lines


def _machine(machine: Mapping[str, Any]) -> str:
    words = [str(machine.get("processor") or "an unknown processor")]
    words += [f"{machine['cores']} cores"] if "cores" in machine else []
    words += [str(machine[name]) for name in ("device", "precision") if name in machine]
    return ", ".join(words)


def _distinct(texts: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(text for text in texts if text))


def here() -> dict[str, Any]:
    """The program and the processor of this process, in the form of `origin_of`."""
    from shadowbox.train import provenance

    commit = provenance.commit()
    return {
        "commit": commit.removesuffix(CHANGED) if commit else None,
        "changed": commit.endswith(CHANGED) if commit else None,
        "versions": provenance.versions(),
        "machine": {"processor": system.processor()},
    }
