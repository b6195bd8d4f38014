"""Options of the simulator that are texts: the spec of a world, and where its moves come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.errors import UsageError
from shadowbox.games.brawl.moves import Arsenal
from shadowbox.games.brawl.rules import TIME_LIMIT
from shadowbox.games.brawl.schema import STOCKS
from shadowbox.games.brawl.warehouse.checkout import PREFIX, read_arsenal

USUAL = {
    "stage": "warehouse",
    "weapons": True,
    "time_limit": TIME_LIMIT,
    "stocks": STOCKS,
    "rules": "usual",
    "randomize": "",
}


def world_name(options: Mapping[str, Any]) -> str:
    """Spec of a world: the options that differ from the defaults, but for a table of moves."""
    texts = {name: options[name] for name, usual in USUAL.items() if options[name] != usual}
    if isinstance(options["arsenal"], str):
        texts["arsenal"] = options["arsenal"]
    values = {name: "off" if value is False else value for name, value in texts.items()}
    return "@".join(["brawl", *(f"{name}={value}" for name, value in values.items())])


def moves_of(arsenal: Arsenal | str) -> Arsenal:
    """A table of moves, or the one that `warehouse:PATH` names."""
    if not isinstance(arsenal, str):
        return arsenal
    if not arsenal.startswith(PREFIX):
        raise UsageError(
            f"brawl: arsenal '{arsenal}': expected {PREFIX}PATH, a checkout of Warehouse Brawl"
        )
    return read_arsenal(Path(arsenal.removeprefix(PREFIX)))
