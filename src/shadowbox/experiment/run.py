"""Running of a card (`shadowbox run`): its settings are trained, its rules enforced, results recorded.

runs/<card>/<seed>/             a run of the loop (`train/loop.py`), with the card's facts in its run.json
runs/<card>/<setting>/<seed>/   the same for each setting of a sweep
runs/<card>/verdict.json        verdict, targets and cost
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards import signatures
from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile
from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.data.store import Progress, Store
from shadowbox.errors import CardError
from shadowbox.experiment import (
    dataset,
    estimate,
    limits,
    origin,
    results,
    settings,
    sweep,
    targets,
)
from shadowbox.experiment.checks import before_run, check, inputs
from shadowbox.experiment.outcome import CardResult
from shadowbox.experiment.sweeps import halving
from shadowbox.experiment.watcher import TIMEOUT, spent_seconds, watch
from shadowbox.learners.registry import learner_spec
from shadowbox.train import log
from shadowbox.train import runs as prior
from shadowbox.train.observer import Note

Reporter = Callable[[str], None]


@dataclass(frozen=True)
class RunOptions:
    """Options of running a card."""

    resume: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)  # of --set
    unsigned: bool = False
    runs: Path = prior.RUNS
    keep_card: bool = False  # results are not written into it
    # seconds until this call pauses its run, which the caller resumes; without it a run that its
    # timeout paused goes on by itself
    session_s: float | None = None
    # called after each checkpoint with step, epoch and a function that writes events of the run
    after_save: Callable[[int, int, Note], None] | None = None
    again: str = (
        ""  # the command that resumes the run, where it is another than `run CARD --resume`
    )


def run_card(
    path: Path,
    games: settings.Games,
    options: RunOptions | None = None,
    *,
    console: Callable[[], Any] | None = None,
    progress: Progress | None = None,
    say: Reporter | None = None,
) -> CardResult:
    """Validate a card, get its data, train each seed under its rules, evaluate, record the results."""
    options, say = options or RunOptions(), say or (lambda text: None)
    case = _CardRun(path, games, options, console, say)
    case.require_runnable()
    if case.card.data is not None:
        case.store = _get_store(case, progress)
        if case.first and (other := dataset.judged_on(case.card)) is not None:
            dataset.get_store(other, case.game, progress)
        case.require_valid()  # its data is here now, and says more
    case.require_signed()
    case.estimate = _estimated(case)
    case.make_room()
    case.stamps += ["--unsigned"] * (options.unsigned and not case.is_signed)
    finished = _sweep(case) if case.card.sweep else _setting(case, case.card, case.folder)
    if case.first:
        results.write(case.file, finished, case.folder, keep_card=options.keep_card)
    return finished


def require_runnable(path: Path, games: settings.Games, options: RunOptions) -> None:
    """Refuse a card that could not run, before anything is made for it or for another one."""
    _CardRun(path, games, options, None, lambda text: None).require_runnable()


class _CardRun:
    """A card that is being run: its file, its data, and its reporter."""

    def __init__(
        self,
        path: Path,
        games: settings.Games,
        options: RunOptions,
        console: Callable[[], Any] | None,
        say: Reporter,
    ) -> None:
        self.path, self.games, self.options = path, games, options
        self.console, self.say = console, say
        self.first = int(os.environ.get("RANK", "0")) == 0
        self.file = CardFile.read(path)
        self.card = cards.read_card(self.file, options.changes).card
        self.folder = options.runs / self.card.id
        self.store: Store | None = None
        self.estimate: dict[str, Any] | None = None
        self.began = time.monotonic()
        self.stamps = [f"--set {name}={value}" for name, value in options.changes.items()]

    @property
    def game(self) -> Game:
        """Game of the card."""
        return self.games(self.card.game)

    def require_runnable(self) -> None:
        """Check the card, the machine, the folder of runs and the signatures, before any work."""
        self.require_valid()
        before_run.require_possible(self.card, self.game)
        self.require_room()
        self.store = dataset.existing_store(self.card)
        self.require_signed()

    def require_room(self) -> None:
        """Refuse a folder of runs that is none, and runs that have not finished."""
        resume = self.options.resume or not self.first
        before_run.require_room(self.options.runs, self.folder, resume=resume)

    def require_valid(self) -> None:
        """Raise an error that lists the mistakes of the card, if it has any."""
        checked = check.check_card(self.path, self.games, self.options.changes)
        if checked.mistakes:
            raise CardError(cards.list_cards(self.path, checked.mistakes))

    def require_signed(self) -> None:
        """Require the signatures, unless none is required or `unsigned` is set, which is then noted."""
        standing = self._signatures
        if standing.enough:
            return
        lines = [
            *standing.missing,
            *(f"the signature of {entry.who} is void: {why}" for entry, why in standing.void),
        ]
        if not self.options.unsigned:
            advice = (
                f"`shadowbox card sign {self.card.id}`, or --unsigned, "
                "which is noted in everything that the run writes"
            )
            raise CardError(f"{self.path} is not signed: " + "\n".join(lines) + f"\n{advice}")

    @property
    def is_signed(self) -> bool:
        """True if the required signatures are there and valid."""
        return self._signatures.enough

    @property
    def _signatures(self) -> signatures.SignatureStatus:
        hashed = settings.resolve_settings(cards.require_card(self.path)[1], self.game).hash
        return signatures.signature_status(
            self.file, self.card, hashed, dataset.data_fingerprint(self.card, self.game, self.store)
        )

    def make_room(self) -> None:
        """Move finished runs out of the way of new ones.

        Unfinished runs must be resumed, or deleted by hand.
        """
        self.require_room()
        if not self.first or self.options.resume or not self.folder.exists():
            return
        for found in prior.runs_in(self.folder):
            shutil.rmtree(found.path)

    @property
    def again(self) -> str:
        """The command that resumes the card."""
        if self.options.again:
            return self.options.again
        words = ["shadowbox", "run", str(self.path), "--resume"]
        words += [
            word
            for name, value in self.options.changes.items()
            for word in ("--set", f"{name}={value}")
        ]
        if self.options.runs != prior.RUNS:
            words += ["--runs", str(self.options.runs)]
        words += ["--unsigned"] * self.options.unsigned
        return system.command_line(words + ["--keep-card"] * self.options.keep_card)


def _estimated(case: _CardRun) -> dict[str, Any] | None:
    """The card's estimate, made now if it has none of this machine; refuses limits that it exceeds.

    Several processes do not time steps: they take the card's estimate, if it has one.
    """
    options = case.options
    known = estimate.stored_estimate(case.file) if not options.changes else None
    fits = known is not None and estimate.is_of_here(case.card, known)
    if fits or options.resume or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return known
    case.say("no estimate of this machine yet: some steps are timed")
    settled = settings.resolve_settings(case.card, case.game, None, options.changes)
    found = limits.require_affordable(case.path, case.card, settled, case.store, case.say)
    if not options.keep_card and not options.changes:
        estimate.with_estimate(CardFile.read(case.path), found).write()
    return found


def _get_store(case: _CardRun, progress: Progress | None) -> Store:
    """The data. The first process makes it if it is missing; the others wait for it."""
    data = case.card.data
    assert data is not None
    while not case.first and dataset.existing_store(case.card) is None:
        time.sleep(0.2)  # the first one either makes it, or fails and torchrun ends us
    if dataset.existing_store(case.card) is None and data.make:
        case.say(f"{data.store} is not here: it is made as the card says")
    return dataset.get_store(case.card, case.game, progress)


def _setting(
    case: _CardRun,
    card: Card,
    folder: Path,
    changes: Mapping[str, Any] | None = None,
    *,
    steps: int | None = None,
    resume: bool = False,
) -> CardResult:
    """Train every seed, one after the other; a rule that ends one ends all.

    `steps`: pause each run at its first validation from there on, for another setting's sake.
    """
    resume |= case.options.resume
    for number, seed in enumerate(card.seeds):
        place = folder / str(seed)
        found = prior.find_run(place) if resume and (place / log.FACTS).exists() else None
        if found and steps is not None and halving.reached(found, steps):
            continue
        if found and targets.verdict_of(found) == "finished":
            before_run.require_same_run(
                card, case.game, case.store, seed, found, case.options.changes
            )
            if not _evaluate(case, card, place, seed):
                break
            continue
        if len(card.seeds) > 1:
            case.say(f"seed {seed} ({number + 1} of {len(card.seeds)})")
        _train(case, card, seed, place, resume=found is not None, steps=steps)
        trained = prior.find_run(place)
        for _ in range(0 if case.options.session_s else card.resumes):
            if trained is None or not str(trained.facts.get("reason")).startswith(TIMEOUT):
                break
            case.say(f"{place}: {trained.facts['reason']}; it goes on by itself")
            _train(case, card, seed, place, resume=True, steps=steps)
            trained = prior.find_run(place)
        if trained and halving.dropped(trained):
            continue
        if trained is None or targets.verdict_of(trained) != "finished":
            break
        if not _evaluate(case, card, place, seed):
            break
    done = [found for seed in card.seeds if (found := prior.find_run(folder / str(seed)))]
    word, outcomes = targets.check_targets(card, done)
    return CardResult(
        card,
        folder,
        word,
        outcomes,
        results.cost(card, done),
        results.stamps(case.stamps, done),
        (),
        changes or {},
        targets.reason_of(done),
        case.first,
        tuple(origin.origin_of(each) for each in done),
        prior.milestone_results([each.model_dump() for each in card.milestones], done),
    )


def _train(
    case: _CardRun, card: Card, seed: int, place: Path, *, resume: bool, steps: int | None = None
) -> None:
    """Train one seed under the card's rules."""
    from shadowbox.train.loop import train
    from shadowbox.train.protocols import ParentCheckpoint

    settled = settings.resolve_settings(card, case.game, seed, case.options.changes)
    chosen = learner_spec(card.learner)
    store = case.store
    if resume and store:  # of a store that has grown, the run knows the first episodes
        store = store.as_of(log.read_facts(place).get("fingerprint"))
    given = inputs.inputs_of(
        card,
        case.game,
        settled,
        store,
        seed=seed,
        run=place,
        facts=origin.facts_of(
            card,
            settled,
            dataset.data_fingerprint(card, case.game, case.store) if card.data else None,
            card_hash=case.file.hash,
            stamps=case.stamps,
            estimate=case.estimate,
        ),
        resume=case.again,
    )
    watcher = watch(card, place, case.folder, inputs.batches_per_epoch(chosen, given))
    watcher.after_save = case.options.after_save
    if case.options.session_s is not None:
        left = max(0.0, case.options.session_s - (time.monotonic() - case.began))
        watcher.timeout = left if watcher.timeout is None else min(left, watcher.timeout)
    parent = (
        ParentCheckpoint(card.parent, card.parent_optimizer) if card.parent and not resume else None
    )
    train(
        chosen.prepare(given),
        place,
        settled.config,
        parent=parent,
        resume=resume,
        console=case.console() if case.console and case.first else None,
        observer=halving.until(watcher, steps),
    )


def _evaluate(case: _CardRun, card: Card, place: Path, seed: int) -> bool:
    """Add the figures of an evaluation to the run's facts, if the card asks for one.

    Its seconds are part of the run's cost. Returns False if the budget ended it.
    """
    if card.eval is None or not case.first:
        return True
    if log.read_facts(place).get("judged") == card.eval.asked:
        return True
    from shadowbox.experiment import evaluation

    case.say(f"{place}: judged by playing")
    watcher = watch(card, place, case.folder)
    watcher.before_s = spent_seconds(case.folder)
    return evaluation.judge_run(place, case.store, case.game, card, seed, watcher.over_budget)


def _sweep(case: _CardRun) -> CardResult:
    """Run every setting with all seeds; the best by the primary target gives the card's result."""
    assert case.card.sweep is not None
    chosen = sweep.sweep_settings(case.card)

    def train(at: int, steps: int | None = None, resume: bool = False) -> CardResult:
        changes = chosen[at]
        folder = case.folder / sweep.setting_name(changes)
        card = sweep.apply_setting(case.card, changes)
        return _setting(case, card, folder, changes, steps=steps, resume=resume)

    if case.card.sweep.method == halving.METHOD:
        found = halving.halve(case.card, len(chosen), train, case.say)
    else:
        found = _all_settings(case, chosen, train)
    cost = results.total(each.cost for each in found)
    return replace(
        found[results.best_of(found)],
        card=case.card,
        run=case.folder,
        cost=cost,
        settings=tuple(found),
    )


def _all_settings(
    case: _CardRun, chosen: Sequence[Mapping[str, Any]], train: Callable[[int], CardResult]
) -> list[CardResult]:
    """Every setting, trained to its end, as long as the sweep has time."""
    assert case.card.sweep is not None
    found: list[CardResult] = []
    began, wall = time.monotonic(), case.card.sweep.wall
    for number, changes in enumerate(chosen):
        # one setting at least: a sweep without any has no best
        if found and wall is not None and time.monotonic() - began > wall:
            many = f"{number} of {len(chosen)} settings"
            case.say(f"the sweep's {wall:,.0f} s are over after {many}")
            break
        case.say(f"setting {number + 1} of {len(chosen)}: {sweep.setting_name(changes)}")
        found.append(train(number))
        if found[-1].verdict == targets.UNFINISHED:
            break
    return found
