"""`shadowbox card`: write, check, estimate, sign, compare and close run cards.

Each is a Markdown file; `shadowbox run` keeps them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli import card_signing
from shadowbox.cli.card_signing import located, require_right
from shadowbox.cli.terminal import PATH, emit, json_option, number, progress, table
from shadowbox.errors import CardError, UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.experiment.checks.check import CheckedCard
    from shadowbox.experiment.prices import PriceTable
    from shadowbox.experiment.settings import RunSettings


@click.group()
def card() -> None:
    """Work with run cards: new, check, estimate, sign, review, make, compare, verify, index, close."""


def parsed(changes: tuple[str, ...]) -> dict[str, Any]:
    """Parse `--set train.lr=1e-4`; values are parsed as in a card."""
    from shadowbox.cards.front_matter import parse_setting

    found: dict[str, Any] = {}
    for change in changes:
        name, mark, text = change.partition("=")
        if not mark:
            raise UsageError(f"--set {change}: expected NAME=VALUE, as in --set train.lr=1e-4")
        try:
            found[name] = parse_setting(text)
        except UsageError as error:
            raise UsageError(f"--set {change}: {error}") from None
    return found


@card.command()
@click.argument("name")
@click.option("--game", default="brawl", show_default=True, help="Game of the card.")
@click.option(
    "--learner",
    default="imitation",
    show_default=True,
    help="Learner of the card: its name, or MODULE:SPEC of one of your own.",
)
@click.option(
    "--from",
    "source",
    metavar="RUN",
    help="Take settings and data from this run, and use it as the baseline.",
)
@click.option(
    "--ablate",
    "switches",
    multiple=True,
    metavar="SWITCH",
    help="Write one card for each ablation: a flag, or NAME=VALUE (repeatable).",
)
@click.option(
    "--follow-up",
    "follows",
    metavar="RUN",
    help="Copy the card of RUN with the changes that its warnings proposed.",
)
@json_option
def new(
    name: str,
    game: str,
    learner: str,
    source: str | None,
    switches: tuple[str, ...],
    follows: str | None,
    as_json: bool,
) -> None:
    """Write a new card to fill in, with comparable runs on this disk listed in it."""
    from shadowbox.experiment import settings, templates
    from shadowbox.experiment.checks import check

    if source and follows:
        raise UsageError("give either --from or --follow-up")
    record = load(game)  # an unknown game is refused before a file is there
    head = (
        templates.follow_up(name, follows)
        if follows
        else templates.from_run(name, source)
        if source
        else templates.blank(name, record, learner)
    )
    heads = [head]
    if switches:
        from shadowbox.cards import card as cards

        known = cards.parse_value(head)
        settled = settings.resolve_settings(known, load(known.game))
        usual = {each: value for each, (value, _) in settled.origins.items()}
        usual |= settings.encoding_switches(settled)
        heads += templates.ablations(name, head, switches, usual)
    written = []
    for each in heads:
        file = templates.write(each)
        checked = check.check_card(file.path, load)
        if checked.settled:
            file = templates.with_prior(file, checked.card, checked.settled)
            file.write()
        written.append((file.path, len(checked.mistakes)))
    if as_json:
        emit({"cards": [str(path) for path, _ in written]})
    else:
        for path, mistakes in written:
            more = (
                f"; `shadowbox card check {path.stem}` lists {mistakes} mistakes"
                if mistakes
                else ""
            )
            print(f"{path}: fill in the goal, the question and the prediction{more}")


@card.command("check")
@click.argument("names", metavar="CARD...", nargs=-1, required=True)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Check the card with a setting changed, as in `run --set` (repeatable).",
)
@click.option(
    "--write/--no-write",
    default=True,
    show_default=True,
    help="Update the card's block of computed facts.",
)
@json_option
def check_cards(
    names: tuple[str, ...], changes: tuple[str, ...], write: bool, as_json: bool
) -> None:
    """Report every mistake of a card with its line, and compute its facts."""
    from shadowbox.experiment import facts_table as facts
    from shadowbox.experiment.checks import check

    found = [check.check_card(located(name), load, parsed(changes)) for name in names]
    for each in found:
        if write and each.good and not changes:
            facts.write(each)
    if as_json:
        cards = [_checked(each) for each in found]
        emit(
            cards[0]
            if len(cards) == 1
            else {"cards": cards, "errors": [error for each in cards for error in each["errors"]]}
        )
    else:
        for each in found:
            _say_checked(each)
    if not all(each.good for each in found):
        sys.exit(1)


def _checked(found: CheckedCard) -> dict[str, Any]:
    from shadowbox.experiment import facts_table

    errors = [
        {"line": line, "field": field, "message": message}
        for line, field, message in found.mistakes
    ]
    return {
        "card": str(found.file.path),
        "errors": errors,
        "warnings": [
            {"line": line, "field": field, "message": message}
            for line, field, message in found.warnings
        ],
        "facts": found.facts,
        "not_computed_here": facts_table.kept_facts(found),
        "preset_settings": _preset_settings(found),
        "hash": found.file.hash,
        "prior": [run.model_dump() for run in found.card.prior],
        "checks": [check.model_dump() for check in found.card.checks],
    }


def _preset_settings(found: CheckedCard) -> dict[str, Any]:
    """Settings beside the model that the card's preset brings, with their values in this card."""
    origins = found.settled.origins if found.settled else {}
    return {
        name: value
        for name, (value, origin) in origins.items()
        if origin == "preset" and not name.startswith("model.")
    }


def _say_checked(found: CheckedCard) -> None:
    from shadowbox.cards import card as cards
    from shadowbox.experiment import facts_table as facts
    from shadowbox.experiment.ahead import prediction

    if found.mistakes:
        print(cards.list_cards(found.file.path, found.mistakes))
        return
    print(f"{found.file.path}: no mistakes")
    for warning in found.warnings:
        print(f"{found.file.path}:{warning.line}: warning: {warning.field}: {warning.message}")
    if brought := _preset_settings(found):
        words = ", ".join(f"{name} {value}" for name, value in brought.items())
        print(f"preset {found.card.preset}: {words}")
    print(table(["fact", "", ""], facts.fact_rows(found), left=2))
    head, rows = facts.prior_table(found.card)
    if rows:
        print("\n" + table(head, rows, left=2))
    if points := facts.check_rows(found.card):
        print("\n" + table(["reviewers' list", ""], points, left=2))
    for line in (*facts.signature_rows(found), prediction.prediction_words(found.file)):
        if line:
            print(line)


@card.command()
@click.argument("name", metavar="CARD")
@click.option("--make", is_flag=True, help="Make the card's data first if it is missing.")
@click.option(
    "--machine",
    metavar="NAME",
    help="Estimate for another machine, such as H100; the card stays as it is.",
)
@json_option
def estimate(name: str, make: bool, machine: str | None, as_json: bool) -> None:
    """Estimate how long the card will take and what it will cost.

    Some training steps are timed. Another machine is taken from the table of throughput, and a card
    without its data from its results.
    """
    from shadowbox.experiment import estimate as estimates
    from shadowbox.experiment import limits, prices, settings

    checked = require_right(name, {"budget.machine": machine} if machine else None)
    settled = settings.resolve_settings(checked.card, load(checked.card.game))
    table_of_prices = prices.read_prices()
    found = _estimated(checked, settled, table_of_prices, make=make)
    if not machine:
        estimates.with_estimate(checked.file, found).write()
    if as_json:
        emit(found)
        return
    rows = [
        [word, number(found[f"{word}_s"]), number(found[f"{word}_usd"])] for word in estimates.CASES
    ]
    print(table(["", "seconds", "US dollars"], rows))
    row = found.get("throughput")
    basis = (
        f"from its results of {found['results_of']}"
        if "results_of" in found
        else f"from {row['examples_per_s']:,.0f} examples a second ({row['basis']}: {row['source']})"
        if row
        else f"from a probe of {found['step_s'] * 1000:.2f} ms a step"
    )
    print(f"\n{found['runs']} runs of {found['per_run_s']:,.1f} s each, {basis}")
    every = settled.config.log_every
    for place, message in limits.limit_warnings(checked.card, found, table_of_prices, every):
        print(f"warning: {'.'.join(map(str, place))}: {message}")


def _estimated(
    checked: CheckedCard, settled: RunSettings, prices: PriceTable, *, make: bool
) -> dict[str, Any]:
    """The estimate of a card: from its data if it is here or made now, else from its results."""
    from shadowbox.experiment import dataset as source
    from shadowbox.experiment import estimate as estimates
    from shadowbox.experiment import results

    game, store = load(checked.card.game), source.existing_store(checked.card)
    if store is None and checked.card.data is not None and make:
        with progress("making data") as update:
            store = source.get_store(checked.card, game, update)
    elsewhere = store is None and checked.card.data is not None
    if elsewhere and checked.card.budget.machine == estimates.LOCAL:
        known = results.stored_results(checked.file)
        if known is None or known.get("contract") != checked.file.hash:
            raise CardError(
                f"the data of {checked.card.id} is missing: use --make to make it as the card says"
            )
        return estimates.estimate_again(checked.card, known, prices)
    return estimates.estimate(checked.card, game, settled, store, prices)


@card.command()
@click.argument("name", metavar="CARD")
@json_option
def make(name: str, as_json: bool) -> None:
    """Make the card's data if it is missing."""
    from shadowbox.experiment import dataset as source

    checked = require_right(name)
    with progress("making data") as update:
        store = source.get_store(checked.card, load(checked.card.game), update)
    facts = {"store": str(store.path), "episodes": len(store), "frames": int(store.frames)}
    if as_json:
        emit(facts)
    else:
        print(f"{store.path}: {len(store):,} episodes, {store.frames:,} frames")


@card.command()
@click.argument("names", metavar="CARD CARD", nargs=2)
@json_option
def compare(names: tuple[str, str], as_json: bool) -> None:
    """Compare two cards: the differences in their text and in their results."""
    from shadowbox.experiment import compare

    found = compare.compare_cards(*(located(name) for name in names))
    if as_json:
        emit(found)
        return
    rows = [[each["field"], each["values"][0], each["values"][1]] for each in found["differences"]]
    print(table(["field", *found["cards"]], rows, left=3) if rows else "they say the same")
    if found["prior"]:
        rows = [[each["run"], each["metric"], *each["values"]] for each in found["prior"]]
        print("\n" + table(["run of others", "metric", *found["cards"]], rows, left=2))
    if found["targets"]:
        print()
        print(
            table(
                ["target", *found["cards"]],
                [[each["metric"], *each["values"]] for each in found["targets"]],
                left=3,
            )
        )


@card.command()
@click.argument("folder", default="cards", type=PATH)
@json_option
def index(folder: Path, as_json: bool) -> None:
    """List the cards of a folder: status, results, and accuracy of the estimates."""
    from shadowbox.experiment import compare

    found = compare.card_index(folder, games=load)
    if as_json:
        emit(found)
        return
    rows = [
        [
            each["card"],
            each["game"],
            each["status"],
            each["target"],
            each["seconds"],
            each["accuracy"],
        ]
        for each in found["cards"]
    ]
    print(
        table(["card", "game", "status", "target", "s", "took / estimate"], rows, left=4)
        if rows
        else f"no cards in {folder}"
    )
    summary = found["summary"]
    if summary["finished"]:
        ratio = summary["median_actual_over_estimate"]
        print(
            f"\n{summary['passed']} of {summary['finished']} passed"
            + (f"; estimates: x {ratio:.2f} in the median" if ratio else "")
        )


for command in (card_signing.predict, card_signing.verify_result, card_signing.close):
    card.add_command(command)


card.add_command(card_signing.sign)
card.add_command(card_signing.review)
