"""Page of a run (`shadowbox report RUN`): verdict, reasons, and details, in one file.

Targets are checked against the files on disk at the time of the report, so the page is right for
running and partly finished cards as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from shadowbox.core.game import Game
from shadowbox.experiment import results
from shadowbox.experiment.origin import dashboards_of
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
from shadowbox.report import curves, own_parts, sample_match
from shadowbox.report.source import ReportSource, game_of
from shadowbox.train import log
from shadowbox.train.runs import Run, first_missed

STYLES = ("style.css", "viewer.css", "chart.css", "card.css")
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


def report(subject: ReportSource, games: Games, *, match: bool = True) -> str:
    """The report page."""
    game = game_of(subject, games)
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
        *_sample(subject, game, sample, why),
        *own_parts.blocks(subject.runs[0], game),
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


# ---- the page, from the top ----------------------------------------------------------------------


def _verdict(subject: ReportSource) -> Iterator[Html]:
    done = subject.finished
    yield sentence(badge(done.verdict, card_page.tone(done.verdict)), f" {_headline(subject)}")
    if done.reason:
        yield sentence(f"Why it ended: {done.reason}")
    if done.stamps:
        yield sentence(badge("not as the card says"), f" {', '.join(done.stamps)}")
    for name, url in (page for run in subject.runs for page in dashboards_of(run.facts).items()):
        address = escape(url, quote=True)
        yield sentence(Html(f'{escape(name)}: <a href="{address}" rel="noreferrer">{address}</a>'))
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
    yield from _milestones(done.milestones)
    if done.settings:
        yield heading("Settings of the sweep")
        yield sentence(
            "Every setting with what it reached; the best by the target that decides is in bold."
        )
        yield card_page.settings_table(
            [each.to_json() | {"set": dict(each.changes)} for each in done.settings]
        )


def _milestones(milestones: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    """Table of milestones, reached, missed and open, with the first missed one in words."""
    if not milestones:
        return
    yield heading("Milestones")
    if missed := first_missed(milestones):
        yield sentence(badge("missed", card_page.tone("missed")), f" {missed}.")
    rows: list[list[Text]] = [
        [
            f"{each['step']:,}",
            code(each["metric"]),
            " to ".join("any" if end is None else f"{end:g}" for end in each["band"]),
            ", ".join("-" if v is None else results.number(v) for v in each["values"]),
            str(each["verdict"]),
        ]
        for each in milestones
    ]
    yield table(["step", "metric", "band", "value of each seed", ""], rows, left=2)


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


def _sample(
    subject: ReportSource, game: Game | None, sample: sample_match._SampleMatch | None, why: str
) -> Iterator[Html]:
    kind = str(subject.runs[0].facts.get("kind", "policy"))
    yield heading(f"Sample of the {kind}")
    if sample:
        yield sentence(f"One match of the {kind}, {sample.caption}.")
        yield Html("<match-viewer></match-viewer>")
    else:
        yield sentence(f"No match to show: {why}")
    rates, caption = sample_match.rates(subject.runs[0], game)
    if rates:
        yield heading("Press rates")
        yield sentence(caption + (f" Below each: the {kind} in the match above." if sample else ""))
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
                *card_page.prior(subject.card),
                heading("Settings"),
                card_page.settings(subject.card),
                *card_page.checks(subject.card),
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
