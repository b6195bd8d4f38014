"""Checkpoint to export, by a run, a checkpoint's folder, or a spec of what a game ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from shadowbox import games
from shadowbox.core.files import read_json
from shadowbox.core.game import Game
from shadowbox.errors import CheckpointError, UsageError
from shadowbox.model.kinds import KINDS, kind_of
from shadowbox.play.checkpoints import checkpoint_folder, folder_of_spec


class _Source(NamedTuple):
    """Checkpoint to export."""

    spec: str  # policy:RUN@..., dream:RUN@... or encoder:RUN
    kind: str  # policy, world or encoder
    game: Game
    folder: Path


def find_source(what: str, game: Game | None = None) -> _Source:
    """Checkpoint of a run, of a folder, or of `policy:NAME@OPTION...` or `dream:NAME@OPTION...`.

    A name that a game ships is looked for in `game`, or without one in every game.
    """
    prefixes = {kind.spec_name: name for name, kind in KINDS.items()}
    prefix, colon, argument = what.partition(":")
    if not colon or prefix not in prefixes:
        folder = _folder(what, game)
        kind = kind_of(folder).name
        return _Source(f"{KINDS[kind].spec_name}:{what}", kind, game or _game_at(folder), folder)
    name, kind = argument.partition("@")[0], prefixes[prefix]
    if game is None and not Path(name).exists():
        game = _shipping(prefix, name)
    if kind == "encoder":
        folder = _folder(argument, game)
    else:
        any_game = game or _game_at(_folder(argument, None))
        folder = folder_of_spec(what, any_game) or _folder(argument, any_game)
    if (found := kind_of(folder).name) != kind and kind != "encoder":
        raise UsageError(f"'{what}': {folder} holds a {found}, expected a {kind}")
    return _Source(what, kind, game or _game_at(folder), folder)


def _folder(argument: str, game: Game | None) -> Path:
    """Folder of the checkpoint of RUN or RUN@best, RUN@latest, RUN@step=N."""
    name, *options = argument.split("@")
    which = [each for each in options if each in ("best", "latest") or each.startswith("step=")]
    seed = [each.removeprefix("seed=") for each in options if each.startswith("seed=")]
    return checkpoint_folder(name, (which or [""])[-1], (seed or [""])[-1], argument, game)


def _game_at(folder: Path) -> Game:
    """Game that a checkpoint was trained in, by its config."""
    name = read_json(folder / "config.json", error=CheckpointError).get("game")
    found = games.find(name) if isinstance(name, str) else None
    if found is None:
        raise UsageError(f"{folder}: no game here is called '{name}'; name its record with --game")
    return found


def _shipping(prefix: str, name: str) -> Game | None:
    """Game that ships a policy or a world of this name; None if none does."""
    for each in games.GAMES:
        game = games.load(each)
        shipped: Mapping[str, str] = {"policy": game.policies, "dream": game.worlds}.get(prefix, {})
        if name in shipped:
            return game
    return None
