"""Another game for the body: a live match of it on a page of its own, and the table of gestures."""

from __future__ import annotations

import contextlib
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.core.schema import Flag
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.core.game import Game
    from shadowbox.games.gesture.any_game import _Table

NAME = "body"
TABLES: Mapping[str, Mapping[str, Any]] = {
    "brawl": {
        "game": "brawl",
        "keys": {
            "keys/a": ["strafe_left"],
            "keys/d": ["strafe_right"],
            "keys/w": ["move_forward", "look_up"],
            "keys/s": ["sneak", "look_down"],
            "keys/space": ["jump"],
            "keys/j": ["attack"],
            "keys/k": ["use_item"],
            "keys/l": ["sprint"],
            "keys/h": ["drop_item"],
            "keys/g": ["swap_offhand"],
        },
    },
}


def table_for(game: str, path: str | None) -> _Table:
    """Table of a game: of a file, or the built-in one."""
    from shadowbox.games.gesture.any_game import read_table, table_of

    if path is not None:
        found = read_table(Path(path), lambda name: keys_of(load(name)))
        if found.game != game:
            raise UsageError(f"{path}: a table for {found.game:.40}; --game names {game}")
        return found
    if game not in TABLES:
        raise UsageError(
            f"--game {game}: a table of gestures is missing: {did_you_mean(game, TABLES)}; "
            "or give one with --table FILE"
        )
    return table_of(TABLES[game], keys_of(load(game)))


def keys_of(game: Game) -> tuple[str, ...]:
    """Keys of a game that can be pressed; a game with other controls is refused."""
    fields = [game.schema.columns[key].field for key in game.schema.control_keys]
    if game.schema.controls.slots != game.schema.players or not all(
        isinstance(field, Flag) for field in fields
    ):
        raise UsageError(
            f"{game.name} cannot be played with the body: its controls must all be flags, with a "
            "set for each player"
        )
    return game.schema.control_keys


@contextlib.contextmanager
def match_of(table: _Table, opponent: str, port: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """A live match of the body against `opponent`: address of its page, of its socket, and its key."""
    from shadowbox.web.app import application
    from shadowbox.web.live_page import served
    from shadowbox.web.site import Site

    game = load(table.game)
    with tempfile.TemporaryDirectory(prefix="shadowbox-") as folder:
        site = Site(
            game=game,
            known=lambda name: game if name == game.name else None,
            out=Path(folder) / "played",
            tournaments=Path(folder) / "tournaments",
            runs=Path(folder) / "runs",
            cards=Path(folder) / "cards",
        )
        with served(application(site), "127.0.0.1", port, None) as address:
            request = {"p0": NAME, "p1": opponent, "seat": 0, "seed": seed}
            number, key = _begin(address, request)
            page = f"{address}live/{number}"
            yield page, page.replace("http", "ws", 1) + "/socket", key


def _begin(address: str, match: Mapping[str, Any]) -> tuple[int, str]:
    """Start a match on a server; its number, and the key that controls it."""
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{address}live",
        json.dumps(match).encode(),
        {"content-type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise UsageError(f"the match was refused: {error.read(500).decode()}") from None
    return int(found["match"]), str(found["key"])
