"""Checks of whole games."""

from __future__ import annotations

import importlib
import json

from shadowbox.core.game import Game
from shadowbox.core.scenes.default import scene_of
from shadowbox.core.scenes.grammar import validate
from shadowbox.core.schema import Schema
from shadowbox.core.view import from_seat, mirrored
from shadowbox.testing.agents import check_agent
from shadowbox.testing.random_play import (
    must,
    random_rows,
    same_columns,
)
from shadowbox.testing.rewards import check_reward
from shadowbox.testing.worlds import check_world


def check_record(game: Game) -> None:
    """A Game record is whole: schema and scene survive JSON, bots and readers load, views are inverses."""
    schema = game.schema
    must(bool(game.title), "the game has no title")
    must(
        Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema,
        "the schema changes in JSON",
    )
    must(len(set(game.event_kinds)) == len(game.event_kinds), "two kinds of events have one name")
    must(game.held_out <= set(game.bots), "a held-out bot is not among the bots")
    for name, build in game.bots.items():
        must(hasattr(build(), "act"), f"bot '{name}' has no method `act`: it must be an Agent")
    if game.reader:
        module, _, attribute = game.reader.partition(":")
        must(
            callable(getattr(importlib.import_module(module), attribute)),
            "the reader cannot be called: it must be a function",
        )
        must(bool(game.reader_endings), "the reader reads no endings of names")
        for name, options in game.reader_filters.items():
            must(
                options.keys() <= game.reader_options.keys(), f"filter '{name}' has unknown options"
            )
    validate(scene_of(game), schema)
    columns = random_rows(schema, 20)
    for player in range(schema.players):
        twice = from_seat(schema, from_seat(schema, columns, player), player)
        same_columns(columns, twice, f"seat {player}: a view taken twice is another frame")
    same_columns(
        columns, mirrored(schema, mirrored(schema, columns)), "the mirror twice is another frame"
    )


def check_game(game: Game) -> None:
    """All checks of a game: its record, its simulator, its bots and its rewards."""
    check_record(game)
    if game.world is not None:
        check_world(game.world, game)
        for name in game.rewards:
            check_reward(name, game)
    for build in game.bots.values():
        check_agent(build(), game)
