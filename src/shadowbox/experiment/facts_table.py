"""Table of a card's computed facts, written into its block.

A fact that cannot be computed now, because the data is not here, keeps its place in the block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shadowbox.cards import signatures as signing
from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile, data_line
from shadowbox.experiment.checks.facts import is_as_stated
from shadowbox.experiment.results import number

if TYPE_CHECKING:
    from shadowbox.experiment.checks.check import CheckedCard

BLOCK = "facts"
COMPUTED, STATED = "computed", "as stated"
OUTDATED = "computed before the card was edited"
NOT_HERE = "not computed here"
ROW = re.compile(r"^\| (?!fact \|)([^|]+) \| ([^|]*) \| ([^|]*) \|$", re.M)
# the second stands in for the first where the data is missing
PROVISIONAL = ("parameters", "parameters before data")


def fact_rows(checked: CheckedCard) -> list[list[str]]:
    """Rows of fact, value and origin; a fact of the block that is not computed here says so."""
    now = {row[0]: row for row in _rows_now(checked)}
    found = []
    for name, value, origin in _rows_to_write(checked):
        beside = [] if (name, value, origin) == tuple(now.get(name, ())) else [NOT_HERE]
        words = "; ".join([origin, *beside, *_beside(checked, name.replace(" ", "_"))])
        found.append([name, value, words])
    return found


def kept_facts(checked: CheckedCard) -> dict[str, str]:
    """Facts of the block that cannot be computed here, by name."""
    rows = fact_rows(checked)
    return {name.replace(" ", "_"): value for name, value, origin in rows if NOT_HERE in origin}


def _beside(checked: CheckedCard, fact: str) -> Iterator[str]:
    """The same fact of earlier runs."""
    for run, found in checked.beside.items():
        if fact in found:
            yield f"{run}: {_word(found[fact])}"


def write(checked: CheckedCard) -> None:
    """Update the block of facts, if it changed."""
    lines = ["| fact | value | |", "|---|---|---|"]
    lines += [
        f"| {name} | {value} | {origin} |".replace("<", "&lt;")
        for name, value, origin in _rows_to_write(checked)
    ]
    content = "\n".join([*lines, "", data_line({"contract": checked.file.hash})])
    if checked.file.block(BLOCK) != content:
        checked.file = checked.file.with_block(BLOCK, content)
        checked.file.write()


def _rows_now(checked: CheckedCard) -> Iterator[list[str]]:
    """Rows of the facts that are computed or stated now."""
    stated = {
        name: _word(value)
        for name, value in checked.card.facts.items()
        if is_as_stated(checked.card, name, checked.facts)
    }
    for name, value in checked.facts.items():
        if value is not None:
            beside = f"; {STATED}: {stated[name]}" if name in stated else ""
            yield [name.replace("_", " "), _word(value), COMPUTED + beside]
    for name, said in checked.card.facts.items():
        if name not in checked.facts:
            yield [name.replace("_", " "), _word(said), f"{STATED}; the data is elsewhere"]


def _rows_to_write(checked: CheckedCard) -> list[list[str]]:
    """Rows of the block: the present ones, and computed ones that cannot be computed now."""
    now = {row[0]: row for row in _rows_now(checked)}
    kept = {}
    for name, value, origin in _stored_rows(checked.file):
        if name not in now and origin.startswith(COMPUTED):
            outdated = _contract(checked.file) not in (None, checked.file.hash)
            kept[name] = [name, value, OUTDATED if outdated else origin]
    exact, provisional = PROVISIONAL
    if exact in now or exact in kept:
        kept.pop(provisional, None)
        now.pop(provisional, None)
    order = [name for name, _, _ in _stored_rows(checked.file)]
    names = dict.fromkeys([*(name for name in order if name in now or name in kept), *now])
    return [now.get(name) or kept[name] for name in names]


def _stored_rows(file: CardFile) -> list[tuple[str, str, str]]:
    return [(row[1], row[2], row[3]) for row in ROW.finditer(file.block(BLOCK) or "")]


def _contract(file: CardFile) -> object:
    """Hash of the front matter that the block belongs to; None if it does not say."""
    try:
        data = file.data(BLOCK)
    except ValueError:
        return None
    return data.get("contract") if isinstance(data, dict) else None


def signature_rows(checked: CheckedCard) -> Iterator[str]:
    """State of the card's signatures, in words."""
    if checked.settled is None:
        return
    standing = signing.signature_status(
        checked.file, checked.card, checked.settled.hash, checked.facts.get("fingerprint")
    )
    for entry in standing.valid:
        by = f" (git: {entry.identity})" if entry.identity else ""
        unbound = "" if entry.data or checked.card.data is None else ", before the data was here"
        yield f"{entry.who} {entry.did} on {entry.when}{by}{unbound}"
    yield from standing.shared
    yield from (f"the signature of {entry.who} is void: {why}" for entry, why in standing.void)
    yield from (f"before it runs: {missing}" for missing in standing.missing)


def prior_table(card: Card) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of results of others (`prior`); no rows without any."""
    metrics = list(dict.fromkeys(name for each in card.prior for name in each.values))
    rows = [
        [
            each.name,
            each.data or "-",
            *(number(each.values.get(name)) for name in metrics),
            each.source,
        ]
        for each in card.prior
    ]
    return ["run of others", "data", *metrics, "source"], rows


def check_rows(card: Card) -> list[list[str]]:
    """State and text of each point of the reviewers' list."""
    return [["done" if each.done else "open", each.text] for each in card.checks]


def _word(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
