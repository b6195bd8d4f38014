"""`shadowbox games`: what can be played, and every field of a game."""

from __future__ import annotations

import click

from shadowbox.cli.terminal import emit, json_option, table
from shadowbox.core.game import Game
from shadowbox.games import GAMES, load


@click.command()
@click.argument("name", required=False)
@json_option
def games(name: str | None, as_json: bool) -> None:
    """List the games; with NAME (or module:GAME for one of your own) describe its fields."""
    if name is None:
        records = [load(name) for name in sorted(GAMES)]
        emit({"games": [_summary(game) for game in records]}) if as_json else _list(records)
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
            field.doc,
        ]
        for key, column in schema.columns.items()
        for field in (column.field,)
    ]
    print(table(["column", "kind", "slots", "unit", "meaning"], rows, left=5))
    row_bytes = schema.row_dtype.itemsize
    print(
        f"\n{len(rows)} columns, {row_bytes} bytes a frame, {schema.fps:g} frames a second, facts {schema.facts_hash}"
    )


def _list(records: list[Game]) -> None:
    if not records:
        print("no game is built in yet; docs/add-a-game.md shows how to describe your own")
        return
    rows = [[game.name, game.title, ", ".join(game.learns_by)] for game in records]
    print(table(["game", "what it is", "learns by"], rows, left=3))


def _summary(game: Game) -> dict[str, object]:
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
        "reader": game.reader is not None,
        "bots": sorted(game.bots),
        "learns_by": list(game.learns_by),
    }
