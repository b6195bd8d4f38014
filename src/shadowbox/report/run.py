"""Page of a run (`shadowbox report RUN`): verdict, reasons, and details, in one file.

Targets are checked against the files on disk at the time of the report, so the page is right for
running and partly finished cards as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards.card import Card
from shadowbox.cards.field_types import NAME
from shadowbox.cards.file import CardFile
from shadowbox.core.game import Game
from shadowbox.errors import ShadowboxError, TrainingError, UsageError
from shadowbox.experiment import results, targets
from shadowbox.experiment.outcome import CardResult
from shadowbox.experiment.settings import Games
from shadowbox.page.document import (
    Bar,
    Html,
    Text,
    badge,
    beside,
    code,
    facts,
    folded,
    heading,
    sentence,
    shell,
    table,
)  # fmt: skip
from shadowbox.page.match_page import MODULES, bundle, data_block, match_block
from shadowbox.report import card as card_page
from shadowbox.report import curves, sample_match
from shadowbox.train import log
from shadowbox.train import runs as prior
from shadowbox.train.runs import Run

STYLES = ("style.css", "viewer.css", "chart.css", "card.css")
CARDS = Path("cards")
MOST_EVENTS = 200
MADE_WITH = (
    "game",
    "preset",
    "parameters",
    "commit",
    "fingerprint",
    "facts_hash",
    "coding_hash",
    "card_hash",
)


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
    name = place.relative_to(runs).as_posix() if place.is_relative_to(runs) else place.name
    return ReportSource(name, place, best, finished, file, card)


def report(subject: ReportSource, games: Games, *, match: bool = True) -> str:
    """The report page."""
    game = _game(subject, games)
    sample, why = (
        sample_match.sample(subject.runs[0], game, subject.card)
        if match
        else (None, "It was not asked for.")
    )
    drawn = curves.of_runs(subject.runs)
    blocks: list[Html] = [
        Html(f"<h1>{escape(subject.name)}</h1>"),
        *_verdict(subject),
        *_promise(subject),
        *_curves(subject, drawn),
        *_happened(subject),
        *_cost(subject),
        *_learnt(subject, game, sample, why),
        *_the_rest(subject),
        data_block("figures", drawn),
    ]
    modules = ["parts", "chart", "report"]
    if sample:
        blocks.append(match_block(sample.hello, sample.rows, sample.events, sample.result))
        modules = [*MODULES, "chart", "report", "unpack", "saved"]
    return shell(
        f"Report of {subject.name}",
        Html(f"<main>{''.join(blocks)}</main>"),
        styles=STYLES,
        script=bundle(modules),
    )


# ---- what is on the disk -------------------------------------------------------------------------


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
    """Targets that the run was started with, which may differ from the card's present ones."""
    said = {"id": "run", "targets": run.facts.get("targets") or []}
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
    reason = next((str(run.facts["reason"]) for run in runs if run.facts.get("reason")), "")
    return CardResult(
        card,
        path,
        word,
        outcomes,
        results.cost(card, runs),
        results.stamped(runs),
        (),
        changes,
        reason,
    )


def _must_be_readable(run: Run) -> None:
    for name in (log.METRICS, log.EVENTS):
        try:
            log.read_lines(run.path / name)
        except ValueError as error:
            raise TrainingError(f"{run.path / name} is damaged: {error}") from None


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


def _game(subject: ReportSource, games: Games) -> Game | None:
    name = subject.runs[0].facts.get("game")
    try:
        # a name only: no code is imported because a file says so
        return games(name) if isinstance(name, str) and ":" not in name else None
    except ShadowboxError:
        return None


# ---- the page, from the top ----------------------------------------------------------------------


def _verdict(subject: ReportSource) -> Iterator[Html]:
    done = subject.finished
    yield sentence(badge(done.verdict, card_page.tone(done.verdict)), f" {_headline(subject)}")
    if done.reason:
        yield sentence(f"Why it ended: {done.reason}")
    if done.stamps:
        yield sentence(badge("not as the card says"), f" {', '.join(done.stamps)}")
    if subject.card:
        yield card_page.purpose(subject.card)
    asked = subject.runs[0].facts.get("card_hash")
    if subject.file and asked and asked != subject.file.hash:
        yield sentence(
            badge("edited"),
            " The card was edited after this run; the targets below are those it ran with.",
        )


def _headline(subject: ReportSource) -> str:
    done = subject.finished
    decisive = [each for each in done.outcomes if each.target.primary] or list(done.outcomes)
    count = "1 seed" if len(subject.runs) == 1 else f"{len(subject.runs)} seeds"
    if not decisive:
        best = subject.runs[0].facts.get("best")
        if isinstance(best, dict) and isinstance(best.get("value"), int | float):
            score, step = best.get("score"), best.get("step")
            return f"The best checkpoint has {score} {best['value']:.4g}, at step {step}."
        return "It was not validated yet."
    first = decisive[0]
    said = f"{first.target}: {results.number(first.value)}"
    if first.low is not None and first.high is not None:
        said += f" ({results.number(first.low)} .. {results.number(first.high)})"
    return f"{said}, {count}" + (
        f", the best of {len(done.settings)} settings." if done.settings else "."
    )


def _promise(subject: ReportSource) -> Iterator[Html]:
    """Table of targets beside baselines; without a card, of the validation's scores."""
    done = subject.finished
    for outcome in done.outcomes:
        found = outcome.to_json()
        yield heading(
            Html(
                f"{code(str(outcome.target))} {badge(outcome.verdict, card_page.tone(outcome.verdict))}"
            )
        )
        yield sentence(card_page.in_words(found, outcome.wanted))
        yield card_page.bars(found, outcome.wanted)
    if not done.outcomes:
        yield from _best(subject.runs[0])
    if done.settings:
        yield heading("Settings of the sweep")
        yield sentence(
            "Every setting with what it reached; the best by the target that decides is in bold."
        )
        yield card_page.settings_table(
            [each.to_json() | {"set": dict(each.changes)} for each in done.settings]
        )


def _best(run: Run) -> Iterator[Html]:
    best = run.facts.get("best")
    if not isinstance(best, dict) or not isinstance(best.get("value"), int | float):
        return
    floors = best.get("baselines")
    rows = [Bar(str(best.get("score")), float(best["value"]), results.number(best["value"]), "p1")]
    known = floors.items() if isinstance(floors, dict) else ()
    rows += [
        Bar(name, float(value), results.number(value))
        for name, value in known
        if isinstance(value, int | float)
    ]
    yield heading("The best checkpoint")
    yield sentence("What the score is beside what needs no learning.")
    yield beside(rows)


def _curves(subject: ReportSource, drawn: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    if not drawn:
        yield sentence("Nothing was logged yet.")
        return
    yield heading("Curves" + (" of the best setting" if subject.finished.settings else ""))
    choices = (("step", "Steps", " checked"), ("seconds", "Wall time", ""))
    options = "".join(
        f'<label><input type="radio" name="axis" value="{value}"{on}><span>{word}</span></label>'
        for value, word, on in choices
    )
    yield Html(
        f'<fieldset class="switch"><legend class="hidden">Along the axis</legend>{options}</fieldset>'
    )
    yield Html(
        '<div id="curves"></div><noscript><p>Turn on JavaScript to see the curves.</p></noscript>'
    )


def _happened(subject: ReportSource) -> Iterator[Html]:
    rows = [
        _event(run, each) for run in subject.runs for each in log.read_lines(run.path / log.EVENTS)
    ]
    yield heading("Events")
    yield (
        table(["run", "event", "", "step"], rows[:MOST_EVENTS], left=3)
        if rows
        else sentence("No events.")
    )
    if len(rows) > MOST_EVENTS:
        yield sentence(f"{len(rows) - MOST_EVENTS:,} further events are in events.jsonl.")


def _event(run: Run, event: Mapping[str, Any]) -> list[Text]:
    step = event.get("step")
    words = card_page.words(str(event.get("text")))
    return [
        run.path.name,
        str(event.get("event")),
        words,
        f"{step:,}" if isinstance(step, int) else "",
    ]


def _cost(subject: ReportSource) -> Iterator[Html]:
    spent = subject.finished.cost
    yield heading("What it took")
    yield sentence(card_page.cost(spent))
    if "estimated_s" in spent:
        rows = [Bar("took", spent["wall_s"], f"{spent['wall_s']:,.1f} s", "p1"),
                Bar("estimated", spent["estimated_s"], f"{spent['estimated_s']:,.1f} s")]  # fmt: skip
        yield beside(rows)


def _learnt(
    subject: ReportSource, game: Game | None, sample: sample_match.SampleMatch | None, why: str
) -> Iterator[Html]:
    yield heading("Sample of the policy")
    if sample:
        yield sentence(f"One match of the policy, {sample.caption}.")
        yield Html("<match-viewer></match-viewer>")
    else:
        yield sentence(f"No match to show: {why}")
    rates, caption = sample_match.rates(subject.runs[0], game)
    if rates:
        yield heading("Press rates")
        yield sentence(caption + (" Below each: the policy in the match above." if sample else ""))
        yield beside(sample_match.rows(rates, sample.rates if sample else {}))
    else:
        yield sentence(caption)


def _the_rest(subject: ReportSource) -> Iterator[Html]:
    """Folded details."""
    run = subject.runs[0]
    settings = run.facts.get("settings")
    if isinstance(settings, dict):
        rows: list[list[Text]] = [
            [name, card_page.words(_text(each.get("value")), mono=True), str(each.get("from"))]
            for name, each in settings.items() if isinstance(each, dict)
        ]  # fmt: skip
        rows.sort(key=lambda row: row[2] == "default")
        yield folded(
            "Settings and their origin",
            [table(["setting", "value", "from"], rows, left=3)],
        )
    else:
        yield folded(
            "Settings", [facts((name, code(_text(value))) for name, value in run.settings.items())]
        )
    if subject.card and subject.file:
        yield folded(
            "The card",
            [
                *card_page.promise(subject.card),
                heading("Settings"),
                card_page.settings(subject.card),
                card_page.text(subject.file),
            ],
        )
        for name, title in (
            ("facts", "Facts"),
            ("signatures", "Signatures and reviews"),
            ("prior", "Comparable runs"),
        ):
            if subject.file.block(name):
                yield folded(title, [card_page.block(subject.file, name)])
    made = [
        (name.replace("_", " "), code(_text(run.facts[name])))
        for name in MADE_WITH
        if run.facts.get(name) is not None
    ]
    for part in ("versions", "machine", "episodes"):
        found = run.facts.get(part)
        made += (
            [(name.replace("_", " "), code(_text(value))) for name, value in (found or {}).items()]
            if isinstance(found, dict)
            else []
        )
    yield folded("What it was made with", [facts([*made, ("folder", code(str(subject.folder)))])])


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, default=str)[:2000]


def to_json(subject: ReportSource) -> dict[str, Any]:
    """Object of `report --json`."""
    return {"report": subject.name, **subject.finished.to_json(), "run": str(subject.folder)}
