"""Source of a report: the runs that it is of, judged by the files on disk, and their card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards.card import Card
from shadowbox.cards.field_types import NAME
from shadowbox.cards.file import CardFile
from shadowbox.core.game import Game
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.experiment import results, targets
from shadowbox.experiment.outcome import CardResult
from shadowbox.experiment.settings import Games
from shadowbox.train import log
from shadowbox.train import runs as prior
from shadowbox.train.runs import Run, milestone_results

CARDS = Path("cards")


@dataclass(frozen=True)
class ReportSource:
    """Source of a report: all runs of a card, one seed of it, or a run without a card."""

    name: str
    folder: Path
    runs: Sequence[Run]  # of a sweep those of its best setting
    finished: CardResult  # judged now; a sweep has its settings in it
    file: CardFile | None  # the card, where it is here and can be read
    card: Card | None


def find_source(where: str, folder: Path = CARDS, runs: Path = prior.RUNS) -> ReportSource:
    """Find a run's folder, a card's folder of runs, or a card by name or path."""
    place = _place(where, runs)
    groups: dict[Path, list[Run]] = {}
    for run in prior.runs_in(place):
        groups.setdefault(place if run.path == place else run.path.parent, []).append(run)
    if not groups:
        prior.require_migrated(place)
        raise UsageError(
            f"no run found in {place}: give a run's folder, or a card that has run (`shadowbox run CARD`)"
        )
    every = [run for group in groups.values() for run in group]
    names = {run.facts.get("card") for run in every}
    if len(names) > 1 or (None in names and len(groups) > 1):
        raise UsageError(
            f"{place} holds runs of several cards; name one: {', '.join(sorted(map(str, groups))[:5])}"
        )
    file, card = _card(names.pop(), folder)
    promised = _promised(every[0], card, whole=place == runs / str(every[0].facts.get("card")))
    judged = [
        _judged(promised, path, group, _changes(path, group[0], every))
        for path, group in groups.items()
    ]
    finished = judged[0]
    if len(judged) > 1:
        finished = replace(
            judged[results.best_of(judged)],
            cost=results.total(each.cost for each in judged),
            settings=tuple(judged),
        )
    best = next(group for path, group in groups.items() if path == finished.run)
    name = _name(place, runs, str(every[0].facts.get("card")))
    return ReportSource(name, place, best, finished, file, card)


def _name(place: Path, runs: Path, card: str) -> str:
    """Path below the folder of runs; of a run elsewhere, from its card's folder on."""
    if place.is_relative_to(runs):
        return place.relative_to(runs).as_posix()
    parts = place.parts
    return "/".join(parts[parts.index(card) :]) if card in parts else place.name


def game_of(subject: ReportSource, games: Games) -> Game | None:
    """The game of the runs; None where no game here is called so."""
    name = subject.runs[0].facts.get("game")
    try:
        # a name only: no code is imported because a file says so
        return games(name) if isinstance(name, str) and ":" not in name else None
    except ShadowboxError:
        return None


# ---- inside ---------------------------------------------------------------------------------------


def _place(where: str, runs: Path) -> Path:
    if where.endswith(".md"):
        return runs / cards.read_card(CardFile.read(Path(where))).card.id
    return next((path for path in (Path(where), runs / where) if path.is_dir()), Path(where))


def _card(name: Any, folder: Path) -> tuple[CardFile | None, Card | None]:
    """The card of that name, if it exists and can be parsed."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return None, None
    try:
        return cards.require_card(folder / f"{name}.md")
    except ShadowboxError:
        return None, None


def _promised(run: Run, card: Card | None, *, whole: bool) -> Card:
    """Targets and milestones that the run was started with; the card may have others by now."""
    said = {"id": "run"} | {key: run.facts.get(key) or [] for key in ("targets", "milestones")}
    found = cards.parse_value(said)
    if card and whole:
        found = found.model_copy(update={"seeds": card.seeds, "budget": card.budget})
    return found


def _judged(card: Card, path: Path, runs: Sequence[Run], changes: Mapping[str, Any]) -> CardResult:
    for run in runs:
        _must_be_readable(run)
    if card.targets:
        word, outcomes = targets.check_targets(card, runs)
    else:
        states = {targets.verdict_of(run) for run in runs} - {"finished"}
        word, outcomes = (sorted(states)[0] if states else "finished"), []
    return CardResult(
        card,
        path,
        word,
        outcomes,
        results.cost(card, runs),
        results.stamped(runs),
        (),
        changes,
        targets.reason_of(runs),
        milestones=milestone_results([each.model_dump() for each in card.milestones], runs),
    )


def _must_be_readable(run: Run) -> None:
    for name in (log.METRICS, log.EVENTS):
        log.read_lines(run.path / name)  # raises where a line is damaged


def _changes(path: Path, run: Run, every: Sequence[Run]) -> dict[str, Any]:
    """Name of the sweep's setting, or the settings that differ between runs, without seeds."""
    mine = run.settings
    if (
        path != run.path
        and "=" not in path.name
        and len({other.path.parent for other in every}) > 1
    ):
        return {"name": path.name}
    names = [name for name in mine if name not in ("train.seed", "train.device", "train.sinks")]
    return {
        name: mine[name]
        for name in names
        if any(other.settings.get(name) != mine[name] for other in every)
    }
