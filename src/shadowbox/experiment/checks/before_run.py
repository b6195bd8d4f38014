"""Checks before a card runs: the machine, the folder of runs, and finished runs that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.experiment import dataset, settings, sweep, targets
from shadowbox.experiment.checks import inputs
from shadowbox.experiment.sweeps import halving
from shadowbox.train import runs as prior


def require_possible(card: Card, game: Game) -> None:
    """Refuse settings that this machine cannot follow: device and precision of every setting."""
    from shadowbox.train.distributed import require_possible

    for changes in sweep.sweep_settings(card) if card.sweep else [{}]:
        swept = sweep.apply_setting(card, changes) if changes else card
        require_possible(settings.resolve_settings(swept, game).config)


def require_room(runs: Path, folder: Path, *, resume: bool) -> None:
    """Refuse a folder of runs that is none, and a card's runs in `folder` that have not finished."""
    if runs.exists() and not runs.is_dir():
        raise UsageError(f"--runs {runs}: this is a file, a folder for runs is needed")
    if resume or not folder.exists():
        return
    every = list(prior.runs_in(folder))
    over = any(targets.verdict_of(run) == "finished" for run in every)
    for found in every:
        if over and halving.dropped(found):  # its sweep has ended without it
            continue
        if (state := targets.verdict_of(found)) != "finished":
            raise UsageError(
                f"{found.path} is {state} at step {found.facts.get('step', 0):,}: continue with "
                f"--resume, or remove {folder} to start over"
            )


def require_same_run(
    card: Card,
    game: Game,
    store: Store | None,
    seed: int,
    found: prior.Run,
    changes: Mapping[str, Any],
) -> None:
    """Accept a finished run only with the card's present settings, on its data or the first part."""
    settled = settings.resolve_settings(card, game, seed, changes)
    own = {name: value for name, (value, _) in settled.origins.items()} | inputs.input_facts(card)
    before = found.settings | {key: found.facts[key] for key in inputs.FACTS if key in found.facts}
    if other := prior.deltas(own, before):
        raise UsageError(
            f"{found.path} was trained with other settings ({', '.join(other[:5])}): "
            "run without --resume to replace it"
        )
    now = dataset.data_fingerprint(card, game, store)
    then = (found.facts.get("data") or {}).get("fingerprint")
    if str(then).startswith("made:") and not str(now).startswith("made:"):
        then = found.facts.get("fingerprint")  # replays were once identified by their call
    grown = store is not None and store.as_of(then) is not store
    if None not in (now, then) and now != then and not grown:
        raise UsageError(
            f"{found.path} was trained on other data ({then}, here is {now}): "
            "run without --resume to replace it"
        )
