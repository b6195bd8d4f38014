"""Verification of a card's results against the files that are here (`shadowbox card verify-result`).

The contract, the settings, the data, the weights and every figure are computed again from the files
that are here, and compared with the results in the card. The program and the machine are compared,
too, but decide nothing: another machine may give the same results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile
from shadowbox.core.game import Game
from shadowbox.errors import CardError
from shadowbox.experiment import dataset, origin, results, settings, sweep, targets
from shadowbox.train import runs as prior
from shadowbox.train.runs import Run

SAME, DIFFERS, NOT_HERE, NOT_RECORDED = "same", "differs", "not here", "not recorded"
ALIKE = 1e-9  # relative difference of figures that are the same
Row = dict[str, Any]


def verify_result(path: Path, games: settings.Games) -> dict[str, Any]:
    """Compare the results in a card with the files that are here.

    `holds` is false if anything differs that the results claim; parts that are not here are listed.
    """
    file, card = cards.require_card(path)
    known = results.stored_results(file)
    if known is None:
        raise CardError(f"{path} has no results: `shadowbox run {path}` first")
    game = games(card.game)
    rows = [_row("contract", known.get("contract"), file.hash)]
    parts = known.get("settings") or [known]
    for part in parts:
        rows += _setting(file, sweep.apply_setting(card, part.get("set", {})), game, part)
    rows += _around(parts)
    return {
        "card": str(path),
        "holds": not any(row["state"] == DIFFERS and row["decides"] for row in rows),
        "compared": rows,
    }


def _setting(file: CardFile, card: Card, game: Game, part: Mapping[str, Any]) -> Iterator[Row]:
    """Rows of the runs of one setting, and of what they reached."""
    recorded: Sequence[Mapping[str, Any]] = part.get("runs") or []
    folder = Path(str(part.get("run", "")))
    store = dataset.existing_store(card)
    data = dataset.data_fingerprint(card, game, store)
    for each in recorded:
        yield _row(f"{each['run']}: data", each["data"], data)
        config = settings.resolve_settings(card, game, each["seed"])
        yield _row(f"{each['run']}: settings", each["settings_hash"], config.hash)
        there = origin.checkpoints_of(Path(each["run"]))
        for name, wanted in each["checkpoints"].items():
            now = there.get(name)
            text = f"step {now['step']}, {now['weights']}" if now else None
            then = f"step {wanted['step']}, {wanted['weights']}"
            yield _row(f"{each['run']}@{name}", then, text)
    if not recorded:
        yield _row(f"{folder}: data, settings and weights", None, None)
    yield from _figures(card, folder, part)


def _figures(card: Card, folder: Path, part: Mapping[str, Any]) -> Iterator[Row]:
    """Rows of the targets, computed again from the logs of the runs."""
    found = [_run_at(folder / str(seed)) for seed in card.seeds]
    here = [run for run in found if run is not None]
    complete = len(here) == len(card.seeds)
    verdict, outcomes = targets.check_targets(card, here) if complete else ("", [])
    yield _row(f"{folder}: verdict", part["verdict"], verdict or None)
    again = [each.to_json() for each in outcomes] if outcomes else [{}] * len(part["targets"])
    for then, now in zip(part["targets"], again, strict=False):
        name = f"{folder}: {then['metric']} {then['op']} {then['wanted']}"
        same = bool(now) and all(_alike(then[key], now[key]) for key in ("value", "low", "high"))
        same = same and then["verdict"] == now["verdict"]
        yield _row(name, _reached(then), _reached(now) if now else None, same=same)


def _run_at(path: Path) -> Run | None:
    return prior.find_run(path) if path.is_dir() else None


def _around(parts: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Rows of program and machine, one for each that made a run."""
    now, seen = origin.here(), set()
    for each in (run for part in parts for run in part.get("runs") or []):
        for name, then, present in (
            ("commit", _commit(each), _commit(now)),
            ("versions", _pairs(each["versions"]), _pairs(now["versions"])),
            ("processor", each["machine"].get("processor"), now["machine"]["processor"]),
        ):
            if (name, then) not in seen:
                seen.add((name, then))
                yield _row(name, then, present, decides=False)


def _row(name: str, then: Any, now: Any, *, same: bool | None = None, decides: bool = True) -> Row:
    equal = then == now if same is None else same
    state = (
        NOT_RECORDED if then is None else NOT_HERE if now is None else SAME if equal else DIFFERS
    )
    return {"name": name, "then": then, "now": now, "state": state, "decides": decides}


def _alike(one: float | None, other: float | None) -> bool:
    if one is None or other is None or not math.isfinite(other):
        return one is None and (other is None or not math.isfinite(other))
    return math.isclose(one, other, rel_tol=ALIKE, abs_tol=1e-12)


def _reached(target: Mapping[str, Any]) -> str:
    low, high = target["low"], target["high"]
    interval = f" ({results.number(low)} .. {results.number(high)})" if low is not None else ""
    return f"{results.number(target['value'])}{interval}, {target['verdict']}"


def _commit(found: Mapping[str, Any]) -> str | None:
    if not found["commit"]:
        return None
    return str(found["commit"]) + (" with changed files" if found["changed"] else "")


def _pairs(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
