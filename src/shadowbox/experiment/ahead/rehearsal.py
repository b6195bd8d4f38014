"""Rehearsal of a card (`run --dry`): every stage with its real settings, on generated data, in few steps.

runs/.dry/data/CARD/        the generated store
runs/.dry/data/CARD-read/   a few of its episodes, read from CARD-read.7z, if the card's data is one
runs/.dry/CARD/SEED/        a run like any other

Only lengths are cut: steps, and episodes, matches and (without a GPU) the segments of a batch. Model,
encoding, split, schedule, kill rules and evaluation are those of the card. Rules warn instead of
stopping, because nothing can be learned from random rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card, require_card
from shadowbox.core import system
from shadowbox.experiment import dataset
from shadowbox.experiment.ahead.archive import recording_writer, rehearse_ingest
from shadowbox.experiment.ahead.generated import generated_store
from shadowbox.experiment.outcome import CardResult
from shadowbox.experiment.run import RunOptions, run_card
from shadowbox.experiment.settings import Games, resolve_settings
from shadowbox.train import runs as prior

FOLDER = ".dry"  # below the folder of runs
STEPS = 4
EVERY = 2  # steps between validations, and between checkpoints
SMALL_BATCH = 2  # segments, on a CPU
LENGTHS = ("steps", "log_every", "validate_every", "save_every", "batch")  # settings of the loop
SHORT = ("episodes", "matches", "starts", "frames")  # numbers of an evaluation
SHORTEST = 20  # frames of a prediction
FEW = 4  # episodes and matches of an evaluation


@dataclass(frozen=True)
class _Rehearsal:
    """A rehearsal that has run: its result, and what was cut."""

    result: CardResult
    changes: Mapping[str, Any]  # of the card

    @property
    def cut(self) -> dict[str, Any]:
        """Lengths that were cut, by setting."""
        named = {f"train.{name}" for name in LENGTHS}
        found = {name: v for name, v in self.changes["set"].items() if name in named}
        few = self.changes.get("eval", {})
        return found | {f"eval.{name}": few[name] for name in SHORT if name in few}

    left_out: tuple[str, ...]  # kill rules whose length does not fit into so few steps
    read: int = 0  # episodes that were read from a .7z archive


def rehearse(
    path: Path,
    games: Games,
    *,
    resume: bool = False,
    changes: Mapping[str, Any] | None = None,
    runs: Path = prior.RUNS,
    console: Callable[[], Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> _Rehearsal:
    """Run every stage of a card on generated data; `changes` are those of --set."""
    _, card = require_card(path, changes)
    place = runs / FOLDER
    cut, left_out = dry_changes(card, games, place)
    cut |= {name: v for name, v in (changes or {}).items() if name.partition(".")[0] not in cut}
    read = 0
    if card.data is not None:
        game = games(card.game)
        say(f"{card.id}: rows of {game.name} are generated")
        store = generated_store(game, _store_of(card, place), _split(card), _rows(card, games, cut))
        if ".7z" in (card.data.external or "") and recording_writer(game):
            read = rehearse_ingest(game, store, place / "data" / f"{card.id}-read")
            say(f"{card.id}: {read} episodes were packed as .7z and read by `ingest`")
    words = ["shadowbox", "run", str(path), "--dry", "--resume", "--runs", str(runs)]
    words += [
        word for name, value in (changes or {}).items() for word in ("--set", f"{name}={value}")
    ]
    options = RunOptions(
        resume=resume and (place / card.id).exists(),
        changes=cut,
        unsigned=True,
        runs=place,
        keep_card=True,
        again=system.command_line(words),
    )
    result = run_card(path, games, options, console=console, say=say)
    return _Rehearsal(result, cut, left_out, read)


def dry_changes(card: Card, games: Games, place: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Changes to a card that cut its lengths and name generated data; and the rules they leave out."""
    rules = [rule.model_dump(by_alias=True) for rule in card.kill]
    kept = [rule for rule in rules if _fits(rule["after"]) and _fits(rule["for"])]
    settled = resolve_settings(card, games(card.game))
    lengths = {"steps": STEPS, "log_every": 1, "validate_every": EVERY, "save_every": EVERY}
    if not _has_gpu():
        lengths["batch"] = min(settled.config.batch, SMALL_BATCH)
    kept_settings = {name: v for name, v in card.settings.items() if name != "train.epochs"}
    cut: dict[str, Any] = {
        "set": kept_settings | {f"train.{name}": value for name, value in lengths.items()},
        "facts": {},
        "baseline": {},
        "milestones": [],
        "kill": [rule | {"action": "warn"} for rule in kept],
    }
    if card.data is not None:
        cut["data"] = {
            "store": str(_store_of(card, place)),
            "split": card.data.split,
            "by": card.data.by,
            "resplit": card.data.resplit,
        }
    if card.eval is not None:
        given = card.eval.model_dump(exclude_unset=True)
        few = {"episodes": FEW, "starts": FEW, "frames": SHORTEST}  # the last two are of worlds
        if "matches" in given or games(card.game).world is not None:
            few["matches"] = FEW
        cut["eval"] = given | few
    return cut, tuple(rule["when"] for rule in rules if rule not in kept)


def _fits(span: str) -> bool:
    """True for a length that is a share of the run, or none."""
    return not span or span.endswith("%")


def _store_of(card: Card, place: Path) -> Path:
    return place / "data" / card.id


def _split(card: Card) -> Any:
    assert card.data is not None
    return dataset.split_of(card.data, min(card.seeds, default=0))


def _rows(card: Card, games: Games, cut: Mapping[str, Any]) -> int:
    """Rows of which an epoch has at least one batch."""
    settled = resolve_settings(card, games(card.game))
    batch = int(cut["set"].get("train.batch", settled.config.batch))
    return 2 * batch * int(settled.plan.learner.get("length", 64))


def _has_gpu() -> bool:
    from shadowbox.train.distributed import choose_device

    return choose_device("auto").type == "cuda"
