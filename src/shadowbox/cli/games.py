"""`shadowbox games`: the games that can be played, and every field of one of them."""

from __future__ import annotations

from typing import Any

import click

from shadowbox.cli.terminal import emit, json_option, table
from shadowbox.core.game import Game
from shadowbox.core.schema import Field
from shadowbox.errors import UsageError
from shadowbox.games import GAMES, _InstalledGame, installed, load, problem


@click.command()
@click.argument("name", required=False)
@json_option
def games(name: str | None, as_json: bool) -> None:
    """List the games, or describe the fields of the game NAME.

    NAME is a built-in game, a game that an installed package brings, or MODULE:GAME, a record in a
    module of the current folder or of an installed package.
    """
    if name is None:
        entries = [*map(_built_in, sorted(GAMES)), *map(_installed, installed())]
        emit({"games": entries}) if as_json else _list(entries)
        return
    game = load(name)
    if as_json:
        emit({**_summary(game), "schema": game.schema.to_json()})
        return
    schema = game.schema
    print(f"{game.name}: {game.title}\n")
    rows = [
        [
            key,
            field.kind if column.group.per is None else f"{field.kind}, per player",
            str(column.slots),
            field.unit,
            _meaning(field),
        ]
        for key, column in schema.columns.items()
        for field in (column.field,)
    ]
    print(table(["column", "kind", "slots", "unit", "meaning"], rows, left=5))
    row_bytes = schema.row_dtype.itemsize
    print(
        f"\n{len(rows)} columns, {row_bytes} bytes a frame, {schema.fps:g} frames a second, "
        f"facts {schema.facts_hash}"
    )
    for part in (_bots(game), _rivals(game), _choices(game)):
        if part:
            print(f"\n{part}")


def _bots(game: Game) -> str:
    """Agents that need no training, each with a line on its style."""
    lines = []
    if game.bots:
        names = [f"{bot} (held out)" if bot in game.held_out else bot for bot in game.bots]
        notes = [game.bot_notes.get(bot, "") for bot in game.bots]
        lines.append(table(["bot", "style"], list(zip(names, notes, strict=True)), left=2))
        if game.held_out:
            lines.append("No learner trains against a bot that is held out.")
    if shipped := _shipped(game):
        lines.append(f"ships: {', '.join(shipped)}")
    if game.bots:
        lines.append(
            "Any agent may be slowed down: @delay=N frames late, at most @apm=N key presses a minute, "
            "each held for at least @hold=N frames."
        )
    return "\n".join(lines)


def _rivals(game: Game) -> str:
    """Opponents for people, from easy to hard, with their reaction delays."""
    head = ["opponent for people", "level", "style"]
    return table(head, game.rivals, left=3) if game.rivals else ""


def _choices(game: Game) -> str:
    """Stages and other choices of the simulator's options."""
    if not game.world_choices:
        return ""
    rows = [[name, ", ".join(values)] for name, values in game.world_choices.items()]
    name, values = next(iter(game.world_choices.items()))
    example = f"as in --world {game.name}@{name}={values[-1]}"
    return f"{table(['world option', 'values'], rows, left=2)}\n{example}"


def _meaning(field: Field) -> str:
    """Meaning of a field, with the mode in which a control counts."""
    off, mode = field.when.startswith("!"), field.when.removeprefix("!")
    counts = mode and f"while {mode} is {'off' if off else 'on'}"
    return "; ".join(filter(None, (field.doc, counts)))


def _list(entries: list[dict[str, Any]]) -> None:
    rows = [
        [
            entry["name"],
            f"cannot be used: {entry['error']}" if "error" in entry else entry["title"],
            ", ".join(entry.get("learns_by", ())),
            entry["distribution"] or "built in",
        ]
        for entry in entries
    ]
    print(table(["game", "what it is", "learns by", "from"], rows, left=4))


def _built_in(name: str) -> dict[str, Any]:
    return {**_summary(load(name)), "distribution": None}


def _installed(game: _InstalledGame) -> dict[str, Any]:
    """A game of another package; one that cannot be used is listed with the reason."""
    known = {"name": game.name, "spec": game.spec, "distribution": game.distribution}
    reason = problem(game)
    if reason:
        return {**known, "error": reason}
    try:
        return {**_summary(load(game.name)), **known}
    except UsageError as error:
        return {**known, "error": str(error)}


def _shipped(game: Game) -> list[str]:
    """Specs of the policies and learned worlds that come with a game."""
    policies = [f"policy:{name}" for name in sorted(game.policies)]
    return [*policies, *(f"dream:{name}" for name in sorted(game.worlds))]


def _summary(game: Game) -> dict[str, Any]:
    return {
        "name": game.name,
        "title": game.title,
        "fps": game.schema.fps,
        "players": game.schema.players,
        "columns": len(game.schema.columns),
        "row_bytes": game.schema.row_dtype.itemsize,
        "facts_hash": game.schema.facts_hash,
        "coding_hash": game.schema.coding_hash,
        "world": game.world is not None,
        "scene": "own" if game.scene else "default",
        "reader": game.reader is not None,
        "bots": sorted(game.bots),
        "bot_notes": dict(game.bot_notes),
        "rivals": [list(rival) for rival in game.rivals],
        "world_choices": {name: list(values) for name, values in game.world_choices.items()},
        "ships": _shipped(game),
        "learns_by": list(game.learns_by),
    }
