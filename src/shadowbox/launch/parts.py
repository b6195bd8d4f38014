"""Parts of a card, its settings and seeds, trained by a backend: several at a time, anywhere.

Each part is a run of its own, with the same seed and the same order of data as if it were trained
after the others; what `run --resume` then finds is what it would have trained itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.core.work.executor import _Backend, run_tasks
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.experiment import dataset, estimate, sweep, targets
from shadowbox.experiment.run import RunOptions, _CardRun, _estimated, _get_store, _train
from shadowbox.games import load
from shadowbox.train import log
from shadowbox.train import runs as prior


class _Part(NamedTuple):
    """One seed of a card, or of a setting of its sweep."""

    path: Path
    options: RunOptions
    changes: Mapping[str, Any] | None  # of the setting
    seed: int


def train_parts(
    path: Path, options: RunOptions, backend: _Backend, say: Callable[[str], None]
) -> None:
    """Train all parts of a card; they are finished afterwards, or an error lists those that are not.

    The card is checked, its data made and its estimate compared with its limits first, as by `run`.
    """
    case = _CardRun(path, load, options, None, say)
    if case.card.sweep and case.card.sweep.method != "all":
        raise UsageError(
            f"{path}: a sweep by {case.card.sweep.method} decides after each rung which settings go "
            "on: leave --workers out"
        )
    case.require_runnable()
    if case.card.data is not None:
        case.store = _get_store(case, None)
        case.require_valid()
    case.require_signed()
    _estimated(case)
    case.make_room()
    chosen = sweep.sweep_settings(case.card) if case.card.sweep else [None]
    parts = [_Part(path, options, changes, seed) for changes in chosen for seed in case.card.seeds]
    say(f"{len(parts)} runs, {min(len(parts), backend.workers)} at a time")
    ended = []
    for part, (place, state) in run_tasks(backend, _train_part, parts):
        ended.append((place, state))
        say(f"{len(ended)} of {len(parts)}: {place} is {state} (seed {part.seed})")
    if left := [f"{place} is {state}" for place, state in sorted(ended) if state != "finished"]:
        error = ShadowboxError(f"{path}: {'; '.join(left)}: go on with --resume")
        ended_by_card = any(state in (targets.KILLED, targets.PAUSED) for _, state in ended)
        error.exit_code = targets.EXIT_KILLED if ended_by_card else 1
        raise error


def _train_part(part: _Part) -> tuple[str, str]:
    """Train one part to its end; its folder, and its state."""
    case = _CardRun(part.path, load, part.options, None, lambda text: None)
    card, folder = case.card, case.folder
    if card.data is not None:
        case.store = dataset.get_store(card, case.game, None)
    case.estimate = estimate.stored_estimate(case.file) if not part.options.changes else None
    case.stamps += ["--unsigned"] * (part.options.unsigned and not case.is_signed)
    if part.changes is not None:
        card = sweep.apply_setting(card, part.changes)
        folder = folder / sweep.setting_name(part.changes)
    place = folder / str(part.seed)
    found = prior.find_run(place) if (place / log.FACTS).exists() else None
    if found is None or targets.verdict_of(found) != "finished":
        # a worker that died left a run, which the same task goes on with on another one
        _train(case, card, part.seed, place, resume=found is not None)
    trained = prior.find_run(place)
    return str(place), targets.verdict_of(trained) if trained else targets.UNFINISHED
