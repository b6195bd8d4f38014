"""`shadowbox run CARD`: the card is the configuration, and what it promises is enforced and written back.

runs/<card>/<seed>/             a run of the loop (`train/loop.py`), with the card's facts in its run.json
runs/<card>/<setting>/<seed>/   the same for each setting of a sweep
runs/<card>/verdict.json        the verdict, each target, and what it cost
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
from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import check, dataset, estimate, prices, results, settings, sweep, targets
from shadowbox.experiment.outcome import CardResult
from shadowbox.experiment.watcher import Watcher
from shadowbox.learners.registry import learner_spec
from shadowbox.train import log
from shadowbox.train import runs as prior

Reporter = Callable[[str], None]


@dataclass(frozen=True)
class RunOptions:
    """How a card is to be run."""

    resume: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)  # of --set
    unsigned: bool = False
    runs: Path = prior.RUNS
    keep_card: bool = False  # results are not written into it


def run_card(
    path: Path,
    games: settings.Games,
    wish: RunOptions | None = None,
    *,
    console: Callable[[], Any] | None = None,
    progress: Progress | None = None,
    say: Reporter | None = None,
) -> CardResult:
    """Check a card, make its data, train every seed of every setting under its rules, judge, and write the verdict back."""
    wish, say = wish or RunOptions(), say or (lambda text: None)
    case = _Case(path, games, wish, console, say)
    case.must_be_right()
    case.store = _obtained(case, progress)
    case.must_be_right()  # its data is here now, and says more
    case.must_be_signed()
    case.make_room()
    finished = _sweep(case) if case.card.sweep else _setting(case, case.card, case.folder)
    if case.first:
        results.write(case.file, finished, case.folder, keep_card=wish.keep_card)
    return finished


class _Case:
    """A card on its way."""

    def __init__(
        self,
        path: Path,
        games: settings.Games,
        wish: RunOptions,
        console: Callable[[], Any] | None,
        say: Reporter,
    ) -> None:
        self.path, self.games, self.wish, self.console, self.say = path, games, wish, console, say
        self.first = int(os.environ.get("RANK", "0")) == 0
        self.file = CardFile.read(path)
        self.card = cards.read_card(self.file, wish.changes).card
        self.folder = wish.runs / self.card.id
        self.store: Store | None = None
        self.stamps: list[str] = [f"--set {name}={value}" for name, value in wish.changes.items()]

    @property
    def game(self) -> Game:
        return self.games(self.card.game)

    def must_be_right(self) -> None:
        checked = check.check_card(self.path, self.games, self.wish.changes)
        if checked.mistakes:
            raise CardError(cards.list_cards(self.path, checked.mistakes))

    def must_be_signed(self) -> None:
        """Unless nobody has to, or it is said that it runs without: then everything it makes says so, too."""
        hashed = settings.resolve_settings(cards.require_card(self.path)[1], self.game).hash
        standing = signatures.signature_status(
            self.file, self.card, hashed, dataset.data_fingerprint(self.card, self.game, self.store)
        )
        if standing.enough:
            return
        lines = [
            *standing.missing,
            *(f"the signature of {entry.who} is void: {why}" for entry, why in standing.void),
        ]
        if not self.wish.unsigned:
            advice = f"`shadowbox card sign {self.card.id}`, or --unsigned, which is stamped on everything it makes"
            raise CardError(f"{self.path} is not signed: " + "\n".join(lines) + f"\n{advice}")
        self.stamps.append("--unsigned")

    def make_room(self) -> None:
        """Runs that are over make room for new ones.

        One that is not is gone on with, or thrown away by hand.
        """
        if not self.first or not self.folder.exists():
            return
        left = [
            found for found in prior.runs_in(self.folder) if targets.verdict_of(found) != "finished"
        ]
        if self.wish.resume:
            return
        if left:
            raise UsageError(
                f"{left[0].path} is {targets.verdict_of(left[0])} at step {left[0].facts.get('step', 0):,}: go on with --resume, "
                f"or remove {self.folder} to begin anew"
            )
        for found in prior.runs_in(self.folder):
            shutil.rmtree(found.path)

    @property
    def again(self) -> str:
        """The command that goes on."""
        words = ["shadowbox", "run", str(self.path), "--resume"]
        words += [
            word
            for name, value in self.wish.changes.items()
            for word in ("--set", f"{name}={value}")
        ]
        return system.command_line(words + ["--unsigned"] * self.wish.unsigned)


def _obtained(case: _Case, progress: Progress | None) -> Store:
    """The data.

    The first process makes it where it is missing, the others wait until it is there.
    """
    while not case.first and dataset.existing_store(case.card) is None:
        time.sleep(0.2)  # the first one either makes it, or fails and torchrun ends us
    if dataset.existing_store(case.card) is None and case.card.data.make:
        case.say(f"{case.card.data.store} is not here: it is made as the card says")
    return dataset.get_store(case.card, case.game, progress)


def _setting(
    case: _Case, card: Card, folder: Path, changes: Mapping[str, Any] | None = None
) -> CardResult:
    """Every seed, one after the other; a rule that ends one ends them all."""
    for number, seed in enumerate(card.seeds):
        place = folder / str(seed)
        found = prior.find_run(place) if case.wish.resume and (place / log.FACTS).exists() else None
        if found and targets.verdict_of(found) == "finished":
            _must_be_as_the_card_says(case, card, seed, found)
            _judge_by_playing(case, card, place, seed)
            continue
        if len(card.seeds) > 1:
            case.say(f"seed {seed} ({number + 1} of {len(card.seeds)})")
        _train(case, card, seed, place, resume=found is not None)
        trained = prior.find_run(place)
        if trained is None or targets.verdict_of(trained) != "finished":
            break
        _judge_by_playing(case, card, place, seed)
    done = [found for seed in card.seeds if (found := prior.find_run(folder / str(seed)))]
    word, outcomes = targets.check_targets(card, done)
    reason = next((str(each.facts["reason"]) for each in done if each.facts.get("reason")), "")
    return CardResult(
        card,
        folder,
        word,
        outcomes,
        results.cost(card, done),
        _stamps(case, done),
        (),
        changes or {},
        reason,
        case.first,
    )


def _train(case: _Case, card: Card, seed: int, place: Path, *, resume: bool) -> None:
    """One run of the loop, watched."""
    from shadowbox.train.loop import train
    from shadowbox.train.protocols import ParentCheckpoint

    assert case.store is not None
    settled = settings.resolve_settings(card, case.game, seed, case.wish.changes)
    expected = estimate.stored_estimate(case.file)
    split = dataset.split_of(card.data, seed)
    facts = {
        "card": card.id,
        "card_hash": case.file.hash,
        "learner": card.learner,
        "settings": settled.to_json(),
        "data": {
            **card.data.model_dump(exclude_defaults=True),
            "fingerprint": dataset.data_fingerprint(card, case.game, case.store),
        },
        "stamps": case.stamps,
        "estimate": expected,
        "targets": [target.model_dump() for target in card.targets],
        "kill": [rule.model_dump(by_alias=True) for rule in card.kill],
    }
    task = learner_spec(card.learner).prepare(
        case.store, settled.plan, split, settled.config, facts=facts, resume=case.again
    )
    per_epoch = task.source(settled.config.batch, 0, 1).batches_in(0)
    others = sum(float(found.facts["cost"]["wall_s"]) for found in prior.runs_in(case.folder)
                 if found.path != place and "cost" in found.facts)  # fmt: skip
    budget = card.budget
    watcher = Watcher(
        place,
        [rule.rule for rule in card.kill],
        per_epoch,
        budget.wall,
        budget.usd,
        budget.machine,
        prices.read_prices(),
        card.timeout,
        others,
    )
    parent = (
        ParentCheckpoint(card.parent, card.parent_optimizer) if card.parent and not resume else None
    )
    console = case.console() if case.console and case.first else None
    train(
        task, place, settled.config, parent=parent, resume=resume, console=console, observer=watcher
    )


def _must_be_as_the_card_says(case: _Case, card: Card, seed: int, found: prior.Run) -> None:
    """A finished run counts for the card only if it was trained as the card says now."""
    settled = settings.resolve_settings(card, case.game, seed, case.wish.changes)
    mine = {name: value for name, (value, _) in settled.origins.items()}
    if other := prior.deltas(mine, found.settings):
        raise UsageError(
            f"{found.path} was trained with other settings ({', '.join(other[:5])}): run without --resume to replace it"
        )


def _judge_by_playing(case: _Case, card: Card, place: Path, seed: int) -> None:
    """What only playing shows is added to the run's facts."""
    facts = log.read_facts(place)
    wish = card.eval.model_dump() if card.eval else None
    if wish is None or not case.first or facts.get("judged") == wish:
        return
    from shadowbox.experiment import evaluation

    assert case.store is not None
    case.say(f"{place}: judged by playing")
    log.write_facts(
        place,
        facts
        | {
            "eval": evaluation.evaluate_run(place, case.store, case.game, card, seed),
            "judged": wish,
        },
    )


def _sweep(case: _Case) -> CardResult:
    """Every setting, each with all seeds; the best by the primary target stands for the card."""
    assert case.card.sweep is not None
    found: list[CardResult] = []
    began = time.monotonic()
    chosen = sweep.sweep_settings(case.card)
    for number, changes in enumerate(chosen):
        if case.card.sweep.wall is not None and time.monotonic() - began > case.card.sweep.wall:
            case.say(
                f"the sweep's {case.card.sweep.wall:,.0f} s are over after {number} of {len(chosen)} settings"
            )
            break
        name = sweep.setting_name(changes)
        case.say(f"setting {number + 1} of {len(chosen)}: {name}")
        card = sweep.apply_setting(case.card, changes)
        found.append(_setting(case, card, case.folder / name, changes))
        if found[-1].verdict == targets.UNFINISHED:
            break
    cost = results.total(each.cost for each in found)
    return replace(
        found[results.best_of(found)],
        card=case.card,
        run=case.folder,
        cost=cost,
        settings=tuple(found),
    )


def _stamps(case: _Case, done: Sequence[prior.Run]) -> list[str]:
    """Whatever was not as the card says, in any of the runs."""
    return list(
        dict.fromkeys(
            [*case.stamps, *(stamp for found in done for stamp in found.facts.get("stamps") or ())]
        )
    )
