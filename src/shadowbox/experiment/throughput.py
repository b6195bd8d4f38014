"""Throughput of machines: a small dated table of examples a second, by preset and machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from shadowbox.cards import front_matter
from shadowbox.errors import UsageError

OWN = Path("throughput.yaml")
BASES = ("stated", "measured", "reckoned")
TEXTS = ("preset", "machine", "basis", "date", "source")
OPTIONAL = ("card",)
NUMBERS = ("examples", "seconds", "load_s")


@dataclass(frozen=True)
class _Throughput:
    """Speed of a preset on a machine, and where the number comes from."""

    preset: str
    machine: str
    examples: float  # that took `seconds`
    seconds: float
    basis: str  # one of BASES
    date: str
    source: str
    load_s: float = 0.0  # before the first step
    card: str = ""  # the only card it holds for, where a preset alone says too little

    @property
    def per_s(self) -> float:
        """Examples a second."""
        return self.examples / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the estimate in a card."""
        found = {**asdict(self), "examples_per_s": round(self.per_s, 1)}
        return {name: value for name, value in found.items() if value or name != "card"}


def find_throughput(preset: str, machine: str, card: str = "", own: Path = OWN) -> _Throughput:
    """The row of a card or a preset and a machine: of the working folder's table, else of this package's."""
    fits = [row for row in _rows(own) if (row.preset, row.machine) == (preset, machine)]
    for name in (card, ""):
        for row in fits:
            if row.card == name:
                return row
    raise UsageError(
        f"no throughput of preset '{preset}' on {machine} is known: add a row to {own} "
        f"(preset, machine, examples, seconds, basis: {' or '.join(BASES)}, date, source)"
    )


def _rows(own: Path) -> Iterator[_Throughput]:
    if own.exists():
        yield from _parsed(own.read_text(encoding="utf-8", errors="replace"), str(own))
    text = files("shadowbox.experiment").joinpath("throughput.yaml").read_text(encoding="utf-8")
    yield from _parsed(text, "the table of throughput")


def _parsed(text: str, source: str) -> Iterator[_Throughput]:
    found = front_matter.parse_front_matter(text)
    rows = found.data.get("rows")
    if found.mistakes or not isinstance(rows, list):
        words = found.mistakes[0].message if found.mistakes else "a list `rows` is needed"
        raise UsageError(f"{source} cannot be used: {words}")
    for at, row in enumerate(rows):
        yield _row(row, f"{source}: rows[{at}]")


def _row(row: Any, place: str) -> _Throughput:
    if not isinstance(row, Mapping):
        raise UsageError(f"{place} is {row!r:.60}, a map is needed")
    if unknown := set(row) - {*TEXTS, *OPTIONAL, *NUMBERS}:
        raise UsageError(f"{place}: unknown key '{min(map(str, unknown))}'")
    for name in (*TEXTS, *(name for name in OPTIONAL if name in row)):
        if not isinstance(row.get(name), str):
            raise UsageError(f"{place}: {name} is {row.get(name)!r:.60}, a text is needed")
    if row["basis"] not in BASES:
        raise UsageError(f"{place}: basis is '{row['basis']:.60}', {' or '.join(BASES)} is needed")
    for name in NUMBERS:
        value = row.get(name, 0.0 if name == "load_s" else None)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value < 0 or (value == 0 and name != "load_s"):
            raise UsageError(f"{place}: {name} is {value!r:.60}, a positive number is needed")
    return _Throughput(**row)
