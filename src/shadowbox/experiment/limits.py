"""Limits of a card, its timeout and its budget, compared with its estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.cards.front_matter import Path as Place
from shadowbox.data.store import Store
from shadowbox.errors import CardError
from shadowbox.experiment import estimate as estimates
from shadowbox.experiment import prices
from shadowbox.experiment.prices import PriceTable
from shadowbox.experiment.settings import RunSettings

OLD_PRICES = 90  # days
LONGEST_SILENCE = 300  # seconds between two lines of the log


def require_affordable(
    path: Path,
    card: Card,
    settings: RunSettings,
    store: Store | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """A new estimate of a card; refuses limits that it exceeds, and says what may go wrong."""
    table = prices.read_prices()
    found = estimates.estimate(card, settings.plan.game, settings, store, table)
    say(
        f"{found['expected_s']:,.0f} s expected, {found['pessimistic_s']:,.0f} s at worst, "
        f"{found['expected_usd']:,.2f} US dollars"
    )
    if problems := list(limit_problems(card, found, table)):
        lines = [f"{'.'.join(map(str, place))}: {message}" for place, message in problems]
        raise CardError(f"{path} is not run: " + "\n".join(lines))
    for place, message in limit_warnings(card, found, table, settings.config.log_every):
        say(f"{'.'.join(map(str, place))}: {message}")
    return found


def limit_problems(
    card: Card, found: Mapping[str, Any], table: PriceTable
) -> Iterator[tuple[Place, str]]:
    """Place and message of each limit that keeps the card from running.

    These are time limits below the expected time, and a budget below the pessimistic price.
    """
    for place, limit, seconds in _time_limits(card, found, "expected"):
        if limit < seconds:
            yield place, f"{limit:,.0f} s are less than the expected {seconds:,.0f} s"
    price = table.cost(card.budget.machine, found["pessimistic_s"])
    if card.budget.usd is not None and price > card.budget.usd:
        yield (
            ("budget", "usd"),
            f"{card.budget.usd:g} are less than the pessimistic price of {price:.2f}",
        )


def limit_warnings(
    card: Card, found: Mapping[str, Any], table: PriceTable, log_every: int
) -> Iterator[tuple[Place, str]]:
    """Place and message of what may go wrong: long runs, old prices, and rare lines of the log."""
    for place, limit, seconds in _time_limits(card, found, "pessimistic"):
        resumed = place == ("timeout",) and limit * (1 + card.resumes) >= seconds
        if limit < seconds and not resumed:
            advice = (
                f": with `resumes: {int(-(-seconds // limit)) - 1}` the run goes on by itself"
                if place == ("timeout",)
                else ": the run would end there; go on with --resume and a larger budget"
            )
            yield place, f"{limit:,.0f} s are less than the pessimistic {seconds:,.0f} s{advice}"
    if table.of(card.budget.machine) and (days := table.age_days()) > OLD_PRICES:
        yield (
            ("budget", "machine"),
            f"the price of {card.budget.machine} is {days} days old ({table.date}): "
            f"give today's in {prices.OWN}",
        )
    if (pause := log_every * found.get("step_s", 0.0)) > LONGEST_SILENCE:
        yield ("set", "train", "log_every"), f"{pause:,.0f} s pass between two lines of the log"


def _time_limits(
    card: Card, found: Mapping[str, Any], case: str
) -> Iterator[tuple[Place, float, float]]:
    """Place, limit and estimated seconds: a timeout is that of one run, a budget that of all."""
    total = float(found[f"{case}_s"])
    if card.timeout is not None:
        yield ("timeout",), card.timeout, total / max(1, int(found.get("runs", 1)))
    if card.budget.wall is not None:
        yield ("budget", "wall"), card.budget.wall, total
