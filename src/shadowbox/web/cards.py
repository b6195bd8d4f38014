"""Cards: what was promised and what came of it; one of them with everything that is known, and two beside each other."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from shadowbox.cards import signatures
from shadowbox.cards.file import CardFile
from shadowbox.core.game import Game
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.experiment import check, compare, estimate, facts_table, results
from shadowbox.experiment.check import CheckedCard
from shadowbox.experiment.settings import Games
from shadowbox.page.document import Html, badge, code, facts, folded, heading, sentence, table
from shadowbox.report import card as card_page
from shadowbox.web import runlog
from shadowbox.web.markup import element, empty, framed, link
from shadowbox.web.site import PageNotFound, Site


def all_cards(site: Site) -> str:
    """Every card of the folder: how it stands, what it promises, what it took."""
    blocks: list[str] = [element("h1", "Cards")]
    known = found(site.cards)
    if known:
        lines = compare.card_index(site.cards, site.runs)
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
            if line["card"] in known
        ]
        listed = table(
            ["", "card", "status", "game", "decides", "s", "took / estimate"], rows, left=5
        )
        go = element("button", "Compare", type="submit")
        hint = element("p", "Mark two cards to see what they say otherwise.", class_="soft")
        choice = element("div", go, hint, class_="row")
        blocks.append(element("p", _summary(lines["summary"]), class_="soft"))
        blocks.append(element("form", listed, choice, action="/cards/compare", class_="runs"))
    else:
        then = "A card says what a run is for, what it must reach and what ends it. This writes one to fill in:"
        blocks.append(
            empty(
                f"No card is in {site.cards}.",
                then,
                f"shadowbox card new NAME --game {site.game.name}",
            )
        )
    return framed("Cards", "/cards", blocks, module="web")


def warm_up(site: Site) -> None:
    """Check a card while nobody waits for it: what builds its model takes seconds to load, the first time only."""
    for name in sorted(found(site.cards))[:1]:
        with contextlib.suppress(ShadowboxError):  # its own page says what is wrong with it
            check.check_card(_path(site, name), _games(site))


def one_card(site: Site, name: str) -> str:
    """Its verdict or its mistakes first, then what it promises, then everything else."""
    path = _path(site, name)
    try:
        checked = check.check_card(path, _games(site))
    except ShadowboxError as error:
        return framed(
            name,
            "/cards",
            [element("h1", name), element("p", badge("wrong", "bad"), f" {error}")],
            module="web",
        )
    file, card = checked.file, checked.card
    known = results.stored_results(file)
    blocks: list[str] = [
        element("h1", name),
        *_status(site, checked),
        card_page.purpose(card),
        *_results(file, known),
        *_runs(site, card.id),
        *card_page.promise(card),
        heading("What it runs"),
        card_page.settings(card),
        *_facts(checked),
        heading("Signatures and reviews"),
        *_signatures(checked),
        heading("What its author says"),
        card_page.text(file),
        *(
            [folded("Comparable runs", [card_page.block(file, "prior")])]
            if file.block("prior")
            else []
        ),
        *(
            []
            if checked.mistakes
            else [folded("The head as it stands in the file", [card_page.numbered(file)])]
        ),
        folded("File", [facts([("path", code(str(path))), ("contract", code(file.hash))])]),
    ]
    return framed(name, "/cards", blocks, module="web")


def two_cards(site: Site, names: list[str]) -> str:
    """What they say otherwise: by field, and line by line."""
    names = list(dict.fromkeys(names))
    if len(names) != 2:
        raise UsageError(
            f"Two cards can be compared, these are {len(names)}; mark two in the list of cards."
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
        card_page.changes(changed) if changed else sentence("The heads are the same."),
    ]
    return framed(title, "/cards", blocks, module="web")


def found(folder: Path) -> dict[str, Path]:
    """Name -> file. What a page asks for is looked up here and never becomes part of a path."""
    try:
        return {
            path.stem: path
            for path in sorted(folder.glob("*.md"))
            if path.stem.isprintable() and path.is_file()
        }
    except OSError:
        return {}


def address(name: str) -> str:
    """Of a card's page."""
    return f"/cards/{quote(name, safe='')}"


# ---- parts of a page ----


def _path(site: Site, name: str) -> Path:
    path = found(site.cards).get(name)
    if path is None:
        raise PageNotFound("There is no such card.")
    return path


def _games(site: Site) -> Games:
    def game(name: str) -> Game:
        known = site.known(name)
        if known is None:
            raise UsageError(f"this server knows no game '{name[:80]}'")
        return known

    return game


def _summary(summary: dict[str, object]) -> str:
    ratio = summary["median_actual_over_estimate"]
    said = f"{summary['passed']} of {summary['finished']} that ran to their end passed"
    return said + (
        f"; they took {ratio:.2f} times their estimate in the median."
        if isinstance(ratio, float)
        else "."
    )


def _status(site: Site, checked: CheckedCard) -> Iterator[Html]:
    if checked.mistakes:
        yield from card_page.wrong(checked.mistakes)
        yield card_page.numbered(checked.file, {mistake.line for mistake in checked.mistakes})
        return
    word = compare.card_status(checked.file, checked.card, site.runs)
    yield sentence(
        badge(word, card_page.tone(word)),
        " The card is right: everything in it that can be checked was.",
    )


def _results(file: CardFile, known: dict[str, object] | None) -> Iterator[Html]:
    if known is None:
        if file.block(results.BLOCK) is not None:
            yield heading("Results")
            yield sentence(
                badge("edited by hand", "bad"), " The block of results is not as it was written."
            )
            yield card_page.block(file, results.BLOCK)
        return
    yield heading("Results")
    yield from card_page.result(known)


def _runs(site: Site, name: str) -> Iterator[Html]:
    own = [
        run
        for run in runlog.find_run_folder(site.runs)
        if run == name or run.startswith(f"{name}/")
    ]
    if not own:
        return
    yield heading("Its runs")
    yield Html(
        element("ul", *(element("li", link(f"/runs/{quote(run)}", code(run))) for run in own))
    )
    if 1 < len(own) <= 6:
        asked = "&".join(f"run={quote(run, safe='')}" for run in own)
        yield element("p", link(f"/runs/compare?{asked}", "All of them over each other"))


def _facts(checked: CheckedCard) -> Iterator[Html]:
    rows = facts_table.fact_rows(checked)
    yield heading("Facts")
    if rows:
        yield table(
            ["fact", "value", ""],
            [[name, value, card_page.words(origin)] for name, value, origin in rows],
        )
    else:
        yield sentence("None could be computed.")
    yield heading("Estimate")
    expected = estimate.stored_estimate(checked.file)
    if expected is None:
        yield sentence(
            "There is none of the card as it stands: ",
            code(f"shadowbox card estimate {checked.file.name}"),
        )
        return
    words = ("optimistic", "expected", "pessimistic")
    usd = [expected.get(f"{word}_usd") for word in words]
    rows = [[word, f"{expected[f'{word}_s']:,.1f}", results.number(cost) if isinstance(cost, int | float) else "-"]
            for word, cost in zip(words, usd, strict=True)]  # fmt: skip
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


def _differences(found: dict[str, list[dict[str, object]]], links: list[Html]) -> Iterator[Html]:
    rows = [
        [str(each["field"]), *(card_page.words(str(value)) for value in _pair(each))]
        for each in found["differences"]
    ]
    yield table(["field", *links], rows, left=3) if rows else sentence("They say the same.")
    if found["targets"]:
        yield heading("What they reached")
        yield table(
            ["target", *links],
            [[str(each["metric"]), *map(str, _pair(each))] for each in found["targets"]],
            left=3,
        )


def _pair(entry: dict[str, object]) -> list[object]:
    values = entry["values"]
    assert isinstance(values, list)
    return values
