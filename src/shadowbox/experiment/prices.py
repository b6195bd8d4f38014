"""Prices of machines: a small dated table, which a file in the working folder may replace."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from shadowbox.cards import front_matter
from shadowbox.errors import UsageError, did_you_mean

OWN = Path("prices.yaml")


@dataclass(frozen=True)
class PriceTable:
    """Dollars an hour by machine, and the date of the prices."""

    date: str
    per_hour: Mapping[str, float]
    source: str

    def of(self, machine: str) -> float:
        """Dollars an hour of a machine."""
        if machine not in self.per_hour:
            raise UsageError(
                f"{self.source} has no price of '{machine}': {did_you_mean(machine, self.per_hour)}"
            )
        return self.per_hour[machine]

    def age_days(self, today: datetime.date | None = None) -> int:
        """Days since the prices were written down; 0 if their date cannot be read."""
        try:
            written = datetime.date.fromisoformat(self.date)
        except ValueError:
            return 0
        return ((today or datetime.datetime.now(datetime.UTC).date()) - written).days

    def cost(self, machine: str, seconds: float) -> float:
        """Dollars of that many seconds on a machine."""
        return self.of(machine) * seconds / 3600


def read_prices(own: Path = OWN) -> PriceTable:
    """The table in the working folder, or the one of this package."""
    if own.exists():
        return _parsed(own.read_text(encoding="utf-8", errors="replace"), str(own))
    return _parsed(
        files("shadowbox.experiment").joinpath("prices.yaml").read_text(encoding="utf-8"),
        "the table of prices",
    )


def _parsed(text: str, source: str) -> PriceTable:
    found = front_matter.parse_front_matter(text)
    table = found.data.get("usd_per_hour")
    if found.mistakes or not isinstance(table, dict) or set(found.data) != {"date", "usd_per_hour"}:
        words = (
            found.mistakes[0].message
            if found.mistakes
            else "`date` and `usd_per_hour: {MACHINE: NUMBER}` are needed"
        )
        raise UsageError(f"{source} cannot be used: {words}")
    for name, price in table.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or price < 0:
            raise UsageError(
                f"{source}: the price of {name} is {price!r}, a number from 0 up is needed"
            )
    return PriceTable(str(found.data["date"]), {"local": 0.0, **table}, source)
