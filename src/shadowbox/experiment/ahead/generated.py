"""A small store of generated rows with the shape of a card's data: every column, seat, side and name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.game import Game, no_events
from shadowbox.core.schema import Array, Choice, Flag, Real, Schema
from shadowbox.data.soundness import episode_digest
from shadowbox.data.split import DATE, SIDES, Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import CardError

ROWS = 240  # of an episode
WHOLE = 8  # episodes that are generated; the others are these, begun at another row
FEWEST = 4  # episodes of a side; an evaluation and its look-up table need two
MOST = 100_000  # episodes that are tried, until every side has enough
PEOPLE = 2_000  # pseudonyms, so that players can be held out
HELD = 6  # frames for which generated values stay as they are, at the least


def generated_store(game: Game, folder: Path, split: Split, rows: int) -> Store:
    """The store in `folder`; generated first if it is missing. No side of the split is empty.

    Values are random and within the schema's limits, without events; equal calls give equal stores.
    `rows`: fewest rows on the training side.
    """
    if (folder / "manifest.json").exists():
        return Store(folder, game.schema)
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.making")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Writer(temporary, game.schema, event_kinds=game.event_kinds) as writer:
            for packed, meta in _episodes(game.schema, split, rows):
                writer.add_packed(packed, no_events(), meta, _none_absent(game.schema))
        system.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Store(folder, game.schema)


def _episodes(schema: Schema, split: Split, rows: int) -> Iterator[tuple[Array, dict[str, Any]]]:
    """Packed rows and metadata of episodes of all sides of a split, as many as each needs."""
    left = [FEWEST if getattr(split, side) > 0 else 0 for side in SIDES]
    left[0] = max(left[0], -(-rows // ROWS))
    whole = [
        schema.pack({key: _column(schema, key, np.random.default_rng([at, place]))
                     for place, key in enumerate(schema.columns)})
        for at in range(WHOLE)
    ]  # fmt: skip
    # as bytes: NumPy copies the fields of a structured array, but not the padding after them
    whole = [rows.view(np.uint8).reshape(len(rows), -1) for rows in whole]
    recorded = _none_absent(schema)
    for number in range(MOST):
        shifted = np.roll(whole[number % WHOLE], number // WHOLE, axis=0)
        packed = schema.as_rows(shifted)
        meta = _meta(schema, number)
        side = split.side_of(episode_digest(packed, no_events(), recorded), meta)
        if side < len(left) and left[side]:
            left[side] -= 1
            yield packed, meta
        if not any(left):
            return
    raise CardError(
        f"{MOST:,} generated episodes do not fill every side of the split {split}: give each side a "
        "larger share"
    )


def _none_absent(schema: Schema) -> Array:
    return np.packbits(np.zeros(len(schema.columns), bool), bitorder="little")


def _meta(schema: Schema, number: int) -> dict[str, Any]:
    """Two players, a day and a winner."""
    people = np.random.default_rng(number).choice(PEOPLE, schema.players, replace=False)
    day = f"{2000 + number // 84 % 100}-{1 + number % 12:02d}-{1 + number % 28:02d}"
    return {
        "seed": number,
        "players": [f"player-{at}" for at in people],
        "result": {"winner": number % schema.players},
        DATE: day,
    }


def _column(schema: Schema, key: str, draws: np.random.Generator) -> Array:
    """Values [ROWS, slots] of one column."""
    column = schema.columns[key]
    field, shape = column.field, (ROWS // HELD, column.slots)
    if isinstance(field, Flag):
        values: Array = draws.random(shape) < 0.25
    elif isinstance(field, Choice):
        values = draws.integers(0, min(field.n, 8), shape)  # few, so that each occurs often
    else:
        assert isinstance(field, Real)
        low, high = np.clip(field.limits, -100, 100)
        parts = 4 if key in schema.control_keys else 64  # of a control few positions, each often
        drawn = low + (high - low) * draws.integers(0, parts + 1, shape) / parts
        values = np.clip(drawn.astype(field.store).astype(np.float32), *field.limits)
    if column.group.mask:  # every slot is used, so that no hidden one holds a value
        values = values | True if field.name == column.group.mask else values
    return np.repeat(values, HELD, axis=0).astype(column.dtype)
