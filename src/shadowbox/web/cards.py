"""Cards page: a list of the experiment cards, one card with its results, and two compared."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from shadowbox.cards import signatures
from shadowbox.cards.card import read_card
from shadowbox.cards.file import CardFile
from shadowbox.core.game import Game
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.experiment import compare, estimate, facts_table, results
from shadowbox.experiment.checks import check
from shadowbox.experiment.checks.check import CheckedCard
from shadowbox.experiment.settings import Games
from shadowbox.experiment.sweep import learners_of
from shadowbox.learners.registry import is_code
from shadowbox.page.document import Html, badge, code, facts, folded, heading, sentence, table
from shadowbox.report import card as card_page
from shadowbox.web import runlog
from shadowbox.web.markup import element, empty, framed, link
from shadowbox.web.site import PageNotFound, Site


def all_cards(site: Site) -> str:
    """Cards page: every card with its status, its deciding target, and its time."""
    blocks: list[str] = [element("h1", "Cards")]
    names = card_files(site.cards)
    if names:
        lines = compare.card_index(site.cards, site.runs, _games(site))
        rows = [
            [
                element(
                    "input",
                    type="checkbox",
                    name="card",
                    value=line["card"],
                    aria_label=f"compare {line['card']}",
                ),
                link(address(line["card"]), code(line["card"])),
                badge(line["status"], card_page.tone(line["status"])),
                line["game"],
                card_page.words(line["target"]),
                line["seconds"],
                line["accuracy"],
            ]
            for line in lines["cards"]
            if line["card"] in names
        ]
        listed = table(
            ["", "card", "status", "game", "deciding target", "time, s", "time / estimate"],
            rows,
            left=5,
        )
        go = element("button", "Compare", type="submit")
        hint = element("p", "Mark two cards to compare them.", class_="soft")
        choice = element("div", go, hint, class_="row")
        blocks.append(element("p", _summary(lines["summary"]), class_="soft"))
        blocks.append(element("form", listed, choice, action="/cards/compare", class_="runs"))
    else:
        what_next = (
            "A card states the goal of an experiment, its targets and its kill rules. "
            "Write one from the template:"
        )
        example = f"shadowbox card new NAME --game {site.game.name}"
        blocks.append(empty(f"No cards in {site.cards} yet.", what_next, example))
    return framed("Cards", "/cards", blocks, module="web")


def warm_up(site: Site) -> None:
    """Check one card in advance: loading the packages that build its model takes seconds, once."""
    for name in sorted(card_files(site.cards))[:1]:
        with contextlib.suppress(ShadowboxError):  # the page of the card shows the error
            _checked(site, _path(site, name))


def one_card(site: Site, name: str) -> str:
    """Page of one card: its status and results or its mistakes first, then its contents."""
    path = _path(site, name)
    try:
        checked = _checked(site, path)
    except ShadowboxError as error:
        return framed(
            name,
            "/cards",
            [element("h1", name), element("p", badge("wrong", "bad"), f" {error}")],
            module="web",
        )
    file, card = checked.file, checked.card
    blocks: list[str] = [
        element("h1", name),
        *_status(site, checked),
        card_page.purpose(card),
        *_results(file, results.stored_results(file)),
        *_runs(site, card.id),
        *card_page.promise(card),
        *card_page.prior(card),
        heading("Settings"),
        card_page.settings(card),
        *_facts(checked),
        *card_page.checks(card),
        heading("Signatures and reviews"),
        *_signatures(checked),
        heading("Description"),
        card_page.text(file),
        *(
            [folded("Comparable runs", [card_page.block(file, "prior")])]
            if file.block("prior")
            else []
        ),
        *([] if checked.mistakes else [folded("Front matter", [card_page.numbered(file)])]),
        folded("File", [facts([("path", code(str(path))), ("contract", code(file.hash))])]),
    ]
    return framed(name, "/cards", blocks, module="web")


def two_cards(site: Site, names: list[str]) -> str:
    """Page of the differences between two cards: by field, and line by line."""
    names = list(dict.fromkeys(names))
    if len(names) != 2:
        raise UsageError(
            f"Comparing takes two cards (got {len(names)}). Mark two in the list of cards."
        )
    paths = [_path(site, name) for name in names]
    title = f"{names[0]} and {names[1]}"
    blocks: list[str] = [element("h1", title)]
    links = [link(address(name), code(name)) for name in names]
    try:
        blocks += _differences(compare.compare_cards(*paths), links)
    except ShadowboxError as error:
        blocks.append(element("p", badge("wrong", "bad"), f" {error}", class_="words"))
    before, after = (CardFile.read(path).head.splitlines() for path in paths)
    changed = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    blocks += [
        heading("Line by line"),
        card_page.changes(changed) if changed else sentence("The front matter is the same."),
    ]
    return framed(title, "/cards", blocks, module="web")


def card_files(folder: Path) -> dict[str, Path]:
    """Files of the cards by name.

    A name in an address is only looked up in this mapping, so it never becomes part of a path.
    """
    try:
        return {
            path.stem: path
            for path in sorted(folder.glob("*.md"))
            if path.stem.isprintable() and path.is_file()
        }
    except OSError:
        return {}


def address(name: str) -> str:
    """Address of the page of a card."""
    return f"/cards/{quote(name, safe='')}"


def _checked(site: Site, path: Path) -> CheckedCard:
    """A card as `card check` finds it. No page imports code because a file names it."""
    file = CardFile.read(path)  # once: a file that changes meanwhile is not looked at again
    for name in learners_of(read_card(file).card):
        if is_code(name):
            raise UsageError(
                f"this page imports no code, so the learner '{name[:80]}' is not known here: "
                f"`shadowbox card check {path.stem}` checks the card, or install the learner under a name"
            )
    return check.check_card(file, _games(site))


# ---- parts of a page ----


def _path(site: Site, name: str) -> Path:
    path = card_files(site.cards).get(name)
    if path is None:
        raise PageNotFound("Card not found. The Cards page lists all of them.")
    return path


def _games(site: Site) -> Games:
    def game(name: str) -> Game:
        loaded = site.known(name)
        if loaded is None:
            raise UsageError(
                f"unknown game '{name[:80]}': install it, or start the server with --game"
            )
        return loaded

    return game


def _summary(summary: dict[str, object]) -> str:
    if not summary["finished"]:
        return "No card has finished yet."
    ratio = summary["median_actual_over_estimate"]
    passed = f"{summary['passed']} of {summary['finished']} finished cards passed"
    if not isinstance(ratio, float):
        return f"{passed}."
    return f"{passed}; their median time was {ratio:.2f} times the estimate."


def _status(site: Site, checked: CheckedCard) -> Iterator[Html]:
    if checked.mistakes:
        yield from card_page.wrong(checked.mistakes)
        yield card_page.numbered(checked.file, {mistake.line for mistake in checked.mistakes})
        return
    word = compare.card_status(checked.file, checked.card, site.runs, _games(site))
    yield sentence(badge(word, card_page.tone(word)), " The card is valid.")
    for _, place, message in checked.warnings:
        yield sentence(badge("warning", "bad"), f" {place}: {message}")


def _results(file: CardFile, stored: dict[str, object] | None) -> Iterator[Html]:
    if stored is not None:
        yield heading("Results")
        yield from card_page.result(stored)
    elif file.block(results.BLOCK) is not None:
        yield heading("Results")
        yield sentence(
            badge("edited by hand", "bad"),
            " The results were changed after they were recorded. Restore them or run it again.",
        )
        yield card_page.block(file, results.BLOCK)


def _runs(site: Site, name: str) -> Iterator[Html]:
    own = [
        run for run in runlog.run_folders(site.runs) if run == name or run.startswith(f"{name}/")
    ]
    if not own:
        return
    yield heading("Runs")
    yield Html(
        element("ul", *(element("li", link(f"/runs/{quote(run)}", code(run))) for run in own))
    )
    if 1 < len(own) <= 6:
        query = "&".join(f"run={quote(run, safe='')}" for run in own)
        yield element("p", link(f"/runs/compare?{query}", "Compare these runs"))


def _facts(checked: CheckedCard) -> Iterator[Html]:
    rows = facts_table.fact_rows(checked)
    yield heading("Facts")
    if rows:
        yield table(
            ["fact", "value", ""],
            [[name, value, card_page.words(origin)] for name, value, origin in rows],
        )
    else:
        yield sentence("No facts could be computed.")
    yield heading("Estimate")
    expected = estimate.stored_estimate(checked.file)
    if expected is None:
        yield sentence(
            "No estimate of the current card yet. Make one: ",
            code(f"shadowbox card estimate {checked.file.name}"),
        )
        return
    rows = []
    for case in ("optimistic", "expected", "pessimistic"):
        usd = expected.get(f"{case}_usd")
        cost = results.number(usd) if isinstance(usd, int | float) else "-"
        rows.append([case, f"{expected[f'{case}_s']:,.1f}", cost])
    yield table(["", "seconds", "US dollars"], rows)


def _signatures(checked: CheckedCard) -> Iterator[Html]:
    try:
        if checked.settled is None:
            yield from card_page.unjudged(signatures.read_signatures(checked.file))
            return
        hashed, data = checked.settled.hash, checked.facts.get("fingerprint")
        yield from card_page.signatures(
            signatures.signature_status(checked.file, checked.card, hashed, data)
        )
    except ShadowboxError as error:
        yield sentence(badge("unreadable", "bad"), f" {error}")


def _differences(
    comparison: dict[str, list[dict[str, object]]], links: list[Html]
) -> Iterator[Html]:
    rows = [
        [str(each["field"]), *(card_page.words(str(value)) for value in _pair(each))]
        for each in comparison["differences"]
    ]
    yield table(["field", *links], rows, left=3) if rows else sentence("No field differs.")
    if comparison["prior"]:
        yield heading("Results of others")
        yield table(
            ["run", "metric", *links],
            [
                [str(each["run"]), str(each["metric"]), *map(str, _pair(each))]
                for each in comparison["prior"]
            ],
            left=2,
        )
    if comparison["targets"]:
        yield heading("Results")
        yield table(
            ["target", *links],
            [[str(each["metric"]), *map(str, _pair(each))] for each in comparison["targets"]],
            left=3,
        )


def _pair(entry: dict[str, object]) -> list[object]:
    values = entry["values"]
    assert isinstance(values, list)
    return values
