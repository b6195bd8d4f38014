"""The matches of an environment, of a game that may be given by its name."""

from __future__ import annotations

from typing import Any

from shadowbox.core.game import Game
from shadowbox.games import load
from shadowbox.play.vector_matches import VectorMatches


def vector_matches(game: Game | str, matches: int, **setup: Any) -> VectorMatches:
    """`VectorMatches` of a game or of a game's name, such as `brawl` or `module:GAME`."""
    return VectorMatches(load(game) if isinstance(game, str) else game, matches, **setup)
