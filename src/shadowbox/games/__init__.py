"""Games by name: built in, installed by other packages, or named as `module:GAME`.

`gym:ENV_ID` and `zoo:MODULE` name environments of Gymnasium and PettingZoo (games/environments/).

A built-in game is one folder beside this file, one line here, and tests/games/test_every_game.py.
Another package offers games by the entry point group `shadowbox.games`:

    [project.entry-points."shadowbox.games"]
    paddles = "paddles:GAME"

The code of a game is imported only on request, and never because stored data names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from shadowbox.core.game import Game, game_of_schema
from shadowbox.core.imports import import_from_here
from shadowbox.core.schema import Schema
from shadowbox.errors import UsageError, did_you_mean

GAMES: dict[str, str] = {  # name -> module that holds a Game record called GAME; imported on demand
    "brawl": "shadowbox.games.brawl",
    "gesture": "shadowbox.games.gesture",
    "melee": "shadowbox.games.melee",
}
GROUP = "shadowbox.games"  # of entry points
ENVIRONMENTS = ("gym:", "zoo:")  # beginnings of names of environments
SPEC = re.compile(r"[\w.]+:\w+")
ENVIRONMENT = re.compile(r"(gym|zoo):[\w.:/@=-]+")
PLAIN_GYM = re.compile(r"gym:[\w./-]+")  # without a module and options

_named: dict[str, Game] = {}  # loaded in this process as module:GAME, by their own names


@dataclass(frozen=True)
class _InstalledGame:
    """Game that an installed package offers under a name, not imported yet."""

    name: str
    spec: str  # module:GAME
    distribution: str  # name and version of the package


def names() -> list[str]:
    """Names that `load` accepts: built in, installed, and loaded as `module:GAME` before."""
    return sorted({*GAMES, *(game.name for game in installed()), *_named})


def installed() -> list[_InstalledGame]:
    """Games that packages offer by entry point, including clashing names; imports nothing."""
    offers = [
        _InstalledGame(entry.name, entry.value.partition("[")[0].strip(), _distribution(entry))
        for entry in entry_points(group=GROUP)
    ]
    return sorted(offers, key=lambda game: (game.name, game.distribution))


def load(name: str) -> Game:
    """Load the record of a game by its name, or by `module:GAME`.

    A module that is not installed is looked for in the current folder. A game that was loaded by
    `module:GAME` is known by its own name for the rest of the process.
    """
    if name.startswith(ENVIRONMENTS):
        from shadowbox.games.environments import environment_game

        _named[name] = environment_game(name)
        return _named[name]
    if ":" in name:
        game = replace(_record(name, f"game '{name}'"), spec=name)
        _named[game.name] = game
        return game
    if name in GAMES:
        return _record(f"{GAMES[name]}:GAME", f"game '{name}'")
    if name in _named:
        return _named[name]
    offers = [game for game in installed() if game.name == name]
    if not offers:
        raise UsageError(f"unknown game '{name}': {did_you_mean(name, names())}")
    return _offered(offers)


def find(name: str) -> Game | None:
    """Load the game of a name found in stored data; None without a game of this name."""
    exists = name in GAMES or name in _named or any(game.name == name for game in installed())
    return load(name) if exists or _is_registered(name) else None


def _is_registered(name: str) -> bool:
    """True for `gym:ENV_ID` of an environment that Gymnasium knows by itself.

    Not for one that a module of the name or an option would have to make: stored data runs no code.
    """
    if not PLAIN_GYM.fullmatch(name) or find_spec("gymnasium") is None:
        return False
    import gymnasium

    return name.removeprefix("gym:") in gymnasium.registry


def game_of(schema: Schema, event_kinds: Sequence[str] = ()) -> tuple[Game, str]:
    """Game of stored data, and "" or the reason why the game's own record is not used.

    Without its own record, the game consists of its fields and events, which is enough to draw it.
    """
    bare = game_of_schema(schema, event_kinds)
    try:
        game = find(schema.name)
    except UsageError as error:
        return bare, str(error)
    if game is None:
        return bare, f"no game here is called '{schema.name}'"
    if game.schema.facts_hash != schema.facts_hash:
        return bare, f"the data has other fields than the game '{schema.name}' has here"
    return game, ""


def option_for(made: Mapping[str, Any]) -> str:
    """Command-line option that names the game of a store, from `made` in its manifest."""
    call = made.get("record")
    spec = made.get("game") or (call.get("game") if isinstance(call, Mapping) else None)
    valid = isinstance(spec, str) and (SPEC.fullmatch(spec) or ENVIRONMENT.fullmatch(spec))
    return f"--game {spec}" if valid else "--game MODULE:GAME"


def problem(game: _InstalledGame) -> str:
    """Reason why the name of an installed game refers to another game, or ""."""
    if game.name in GAMES:
        return f"a built-in game is called '{game.name}'; this one is {game.spec}"
    others = [other for other in installed() if other.name == game.name and other != game]
    return f"also installed by {others[0].distribution}" if others else ""


def _offered(offers: Sequence[_InstalledGame]) -> Game:
    """Record of an installed game; errors name the package that offers it."""
    first = offers[0]
    if len(offers) > 1:
        packages = " and ".join(f"{game.distribution} ({game.spec})" for game in offers)
        raise UsageError(
            f"game '{first.name}' is installed by {packages}: uninstall one, or name one as "
            "module:GAME"
        )
    game = _record(first.spec, f"game '{first.name}' of {first.distribution}")
    if game.name != first.name:
        raise UsageError(
            f"game '{first.name}' of {first.distribution}: its record says name='{game.name}'; "
            "the entry point must have the same name"
        )
    return game


def _record(spec: str, what: str) -> Game:
    """Game record at `module:NAME`; error messages begin with `what`."""
    module_name, _, attribute = spec.partition(":")
    attribute = attribute or "GAME"
    try:
        module: Any = import_from_here(module_name)
    except Exception as error:  # another package's module may raise anything
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise UsageError(f"{what} cannot be imported: {kind}{error}") from error
    if not hasattr(module, attribute):
        records = [key for key, value in vars(module).items() if isinstance(value, Game)]
        raise UsageError(
            f"{what}: {module.__name__} ({getattr(module, '__file__', 'built in')}) "
            f"has no '{attribute}': {did_you_mean(attribute, records)}"
        )
    game = getattr(module, attribute)
    if not isinstance(game, Game):
        raise UsageError(f"{what}: {attribute} is a {type(game).__name__}, a Game record is needed")
    if game.name != game.schema.name:
        raise UsageError(
            f"{what}: the record is called '{game.name}' and its schema '{game.schema.name}'; "
            "both must have the same name"
        )
    return game


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed package"
