"""Migration of cards, runs and checkpoints of an earlier version.

Everything is planned before anything is written, and each file is written whole or not at all. A
second migration has nothing to do. Stores have had one format so far.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowbox.cards.file import CardFile
from shadowbox.core import renames
from shadowbox.core.files import write_whole
from shadowbox.data import manifest
from shadowbox.errors import UsageError
from shadowbox.experiment import results, settings
from shadowbox.experiment.migration.card import present_card, present_results
from shadowbox.train import log

DEEPEST = 5  # folders below a given one: runs/CARD/SETTING/SEED
CHECKPOINTS, CONFIG, DONE = "checkpoints", "config.json", "done"
Hashes = Mapping[str, str]  # of a contract as it was -> as it is now


@dataclass(frozen=True)
class Migration:
    """A file or checkpoint, and the changes that this version needs."""

    path: Path
    kind: str  # card, run, checkpoint, results, store
    changes: Sequence[str]
    write: Callable[[], None]

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `migrate --json`."""
        return {"path": str(self.path), "kind": self.kind, "changes": list(self.changes)}


def migrate(
    paths: Sequence[Path], games: settings.Games, *, dry_run: bool = False
) -> list[Migration]:
    """Migrate everything at these paths; with `dry_run`, only list the changes."""
    places = dict.fromkeys(place for path in paths for place in _places(path))
    hashes: dict[str, str] = {}
    plans = [_card(path, games, hashes) for kind, path in places if kind == "card"]
    for kind, path in places:
        if kind != "card":
            plans += _PLANS[kind](path, hashes)
    if not dry_run:
        for plan in plans:
            if plan.changes:
                plan.write()
    return plans


# ---- what is there -------------------------------------------------------------------------------


def _places(path: Path) -> Iterator[tuple[str, Path]]:
    """Kind and path of everything at a path; refuses a path without any."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    places = list(_below(path, DEEPEST))
    if path.is_file() and path.suffix == ".md":
        places = [("card", path)]
    if not places:
        raise UsageError(
            f"{path}: no card, run, checkpoint or store is here; name one, or a folder of them"
        )
    yield from places


def _below(path: Path, depth: int) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        if path.suffix == ".md" and path.read_bytes()[:4] == b"---\n":
            yield "card", path
        elif path.name == results.NAME:
            yield "results", path
    elif (path / log.FACTS).is_file():
        yield "run", path
    elif (path / CONFIG).is_file() and (path / DONE).is_file():
        run = path.parent.parent
        yield ("run", run) if (run / log.FACTS).is_file() else ("checkpoint", path)
    elif (path / manifest.NAME).is_file():
        yield "store", path
    elif path.is_dir() and depth:
        for below in sorted(path.iterdir()):
            if not below.is_symlink() and not below.name.startswith("."):
                yield from _below(below, depth - 1)


# ---- one kind after the other --------------------------------------------------------------------


def _card(path: Path, games: settings.Games, hashes: dict[str, str]) -> Migration:
    file = CardFile.read(path)
    present, changes = present_card(file, games)
    if present.hash != file.hash:
        hashes[file.hash] = present.hash
    moved = (results.stored_results(present) or {}).get("moved")
    if isinstance(moved, dict):  # of an earlier call: runs may come after their card
        hashes[str(moved.get("from"))] = str(moved.get("to"))
    return Migration(path, "card", changes, present.write)


def _results(path: Path, hashes: Hashes) -> list[Migration]:
    """Migrate verdict.json, which has the same content as the results in a card."""
    data = json.loads(path.read_bytes())
    present = present_results(data, hashes) if isinstance(data, dict) else data
    changes = _names(data, present)
    text = (json.dumps(present, indent=1) + "\n").encode()
    return [Migration(path, "results", changes, lambda: write_whole(path, text))]


def _checkpoint(path: Path, _hashes: Hashes) -> list[Migration]:
    from shadowbox.model import checkpoint
    from shadowbox.model.migrate import plan_checkpoint

    changes, files = plan_checkpoint(path)
    return [Migration(path, "checkpoint", changes, lambda: checkpoint.rewrite(path, files))]


def _run(run: Path, hashes: Hashes) -> list[Migration]:
    """Migrate a run: its checkpoints, its log, and last `run.json`, whose version marks completion."""
    folders = sorted(done.parent for done in (run / CHECKPOINTS).glob(f"[0-9]*/{DONE}"))
    plans = [plan for folder in folders for plan in _checkpoint(folder, hashes)]
    facts = log.parse_facts(run)
    present = _present_facts(facts, hashes)
    changes = [] if facts == present else _names(facts, present) or ["format version"]
    if changes and facts.get("version") != present["version"]:
        plans += [
            _log(run / log.METRICS, _present_figures),
            _log(run / log.EVENTS, _present_event),
        ]
    plans.append(Migration(run / log.FACTS, "run", changes, lambda: log.write_facts(run, present)))
    return [_locked(run, plan) for plan in plans]


def _store(path: Path, _hashes: Hashes) -> list[Migration]:
    manifest.read_manifest(path)  # a version that is unknown is refused
    return [Migration(path, "store", [], lambda: None)]


_PLANS: Mapping[str, Callable[[Path, Hashes], list[Migration]]] = {
    "results": _results,
    "checkpoint": _checkpoint,
    "run": _run,
    "store": _store,
}


# ---- the files of a run --------------------------------------------------------------------------


def _locked(run: Path, plan: Migration) -> Migration:
    """The same change, refused while another process trains the run."""

    def write() -> None:
        from shadowbox.train.guardrails import lock_run

        with lock_run(run) if plan.changes else nullcontext():
            plan.write()

    return Migration(plan.path, plan.kind, plan.changes, write)


def _present_facts(facts: Mapping[str, Any], hashes: Hashes) -> dict[str, Any]:
    present = renames.rename_keys(facts, renames.RUN_FACTS) | {"version": log.VERSION}
    if isinstance(present.get("config"), dict):
        present["config"] = renames.rename_settings({"train": present["config"]})["train"]
    if isinstance(present.get("imitation"), dict):
        present["imitation"] = renames.rename_settings({"learner": present["imitation"]})["learner"]
    if isinstance(present.get("settings"), dict):
        present["settings"] = dict(
            _present_setting(name, entry) for name, entry in present["settings"].items()
        )
    if isinstance(present.get("best"), dict):
        present["best"] = renames.rename_best(present["best"])
    if isinstance(present.get("parent"), dict):
        present["parent"] = renames.rename_keys(present["parent"], renames.TRAINER_KEYS)
    present |= {key: _present_rules(present[key]) for key in ("targets", "kill") if key in present}
    if isinstance(present.get("eval"), dict):
        present["eval"] = {renames.rename_metric(k): v for k, v in present["eval"].items()}
    if "learner" in present:
        present["learner"] = renames.LEARNERS.get(present["learner"], present["learner"])
    if present.get("card_hash") in hashes:
        present["card_hash"] = hashes[present["card_hash"]]
    return present


def _present_setting(name: str, entry: Any) -> tuple[str, Any]:
    if not isinstance(entry, dict) or "value" not in entry:
        return renames.rename_setting(name, None)[0], entry
    present, value = renames.rename_setting(name, entry["value"])
    return present, entry | {"value": value}


def _present_rules(items: Any) -> Any:
    """Rename metrics in targets and kill rules, and the settings that rules propose."""
    present = []
    for item in items:
        words: dict[str, Any] = {
            key: renames.rename_metrics_in(value) if isinstance(value, str) else value
            for key, value in item.items()
        }
        if isinstance(words.get("set"), dict):
            words["set"] = renames.rename_settings(words["set"])
        present.append(words)
    return present


def _present_figures(line: Mapping[str, Any]) -> dict[str, Any]:
    if line.get("kind") != "val":
        return dict(line)
    return {renames.rename_score(name): value for name, value in line.items()}


def _present_event(line: Mapping[str, Any]) -> dict[str, Any]:
    if line.get("event") != "rule":
        return dict(line)
    present = dict(line)
    present["text"] = renames.rename_settings_in(
        renames.rename_metrics_in(str(line.get("text", "")))
    )
    if isinstance(line.get("figures"), dict):
        present["figures"] = {renames.rename_metric(k): v for k, v in line["figures"].items()}
    if isinstance(proposed := line.get("set"), dict):
        present["set"] = renames.rename_settings(proposed)
    return present


def _log(path: Path, present: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Migration:
    """Rename the figures of a log; a last line that was cut off is dropped."""
    before = log.read_lines(path)
    after = [present(line) for line in before]
    text = [(json.dumps(line) + "\n").encode() for line in after]
    changes = [change for change in _names(before, after) if not change.endswith((".low", ".high"))]
    return Migration(path, "run", changes, lambda: write_whole(path, text))


def _names(old: Any, new: Any) -> list[str]:
    """Keys and short values that differ, each once, as `old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = [f"{a} -> {b}" for a, b in zip(old, new, strict=False) if a != b]
        for a, b in zip(old.values(), new.values(), strict=False):
            lines += _names(a, b)
        lines += [f"{name} is added" for name in list(new)[len(old) :]]
        return list(dict.fromkeys(lines))
    if isinstance(old, list) and isinstance(new, list):
        return list(
            dict.fromkeys(each for a, b in zip(old, new, strict=True) for each in _names(a, b))
        )
    return [] if old == new else [f"{old!s:.80} -> {new!s:.80}"]
