"""Table of a card's computed facts, written into its block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shadowbox.cards import signatures as signing
from shadowbox.cards.card import Card
from shadowbox.experiment.results import number

if TYPE_CHECKING:
    from shadowbox.experiment.checks.check import CheckedCard


def fact_rows(checked: CheckedCard) -> list[list[str]]:
    """Rows of fact, value and origin."""
    found = [
        [name.replace("_", " "), _word(value), "; ".join(["computed", *_beside(checked, name)])]
        for name, value in checked.facts.items()
        if value is not None
    ]
    external = (checked.card.data.external if checked.card.data else None) or ""
    for name, said in checked.card.facts.items():
        if name not in checked.facts:
            found.append(
                [
                    name.replace("_", " "),
                    _word(said),
                    f"external, not checked here: {external}".rstrip(": "),
                ]
            )
    return found


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
        for name, value, origin in fact_rows(checked)
    ]
    content = "\n".join(lines)
    if checked.file.block("facts") != content:
        checked.file = checked.file.with_block("facts", content)
        checked.file.write()


def signature_rows(checked: CheckedCard) -> Iterator[str]:
    """State of the card's signatures, in words."""
    if checked.settled is None:
        return
    standing = signing.signature_status(
        checked.file, checked.card, checked.settled.hash, checked.facts.get("fingerprint")
    )
    for entry in standing.valid:
        by = f" (git: {entry.identity})" if entry.identity else ""
        yield f"{entry.who} {entry.did} on {entry.when}{by}"
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
