"""The games, by name.

A new game is one folder beside this file, one line here, and tests/games/test_every_game.py.
"""

from __future__ import annotations

from importlib import import_module

from shadowbox.core.game import Game
from shadowbox.errors import UsageError, did_you_mean

GAMES: dict[str, str] = {  # name -> module that holds a Game record called GAME; imported on demand
    "brawl": "shadowbox.games.brawl",
    "melee": "shadowbox.games.melee",
}


def load(name: str) -> Game:
    """The record of a game. A name with a colon, `module:NAME`, is a game outside this package."""
    module, _, attribute = name.partition(":")
    if not attribute:
        if name not in GAMES:
            raise UsageError(f"unknown game '{name}': {did_you_mean(name, GAMES)}")
        module, attribute = GAMES[name], "GAME"
    try:
        game = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"game '{name}' cannot be imported: {error}") from error
    if not isinstance(game, Game):
        raise UsageError(
            f"game '{name}': {attribute} is a {type(game).__name__}, a Game record is needed"
        )
    return game
