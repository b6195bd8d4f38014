"""Measures of what recordings have beside a joint choice, beside a flag, and in a place."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Array, Columns, Flag, Schema
from shadowbox.model.world.derived import cell_counts, cell_of, place_keys

ENOUGH = 500  # rows from which an option that was never taken is ruled out
ENOUGH_IN_CELL = 20  # the same, of rows in a cell of places
ENOUGH_OF_EVENTS = 200  # the same, of rows in a cell, for events


def player_flags(schema: Schema, rules: _Rules) -> list[str]:
    """Flags of the players that are drawn before reals, of the group of the joint choice."""
    together = rules.dynamics.together
    return [
        key
        for key in rules.drawn
        if together
        and isinstance(schema.columns[key].field, Flag)
        and same_slots(schema, key, together[0])
    ]


def same_slots(schema: Schema, key: str, other: str) -> bool:
    """True if the slots of two columns are those of one group."""
    return schema.columns[key].group is schema.columns[other].group


def taken_with(
    conditions: list[tuple[Array, int]], which: Array, used: Array, options: int
) -> Array:
    """Whether an option was taken beside each value of each condition, [values, options].

    True as well where the recordings have too few of a value to say so.
    """
    found = []
    for values, many in conditions:
        counts = np.zeros((many, options), np.int64)
        np.add.at(counts, (values[used], which), 1)
        found.append((counts > 0) | (counts.sum(-1, keepdims=True) < ENOUGH))
    return np.concatenate(found)


def measure_flags(
    schema: Schema,
    rules: _Rules,
    joint: tuple[Array, int],
    before: Columns,
    after: Columns,
    tables: dict[str, Array],
) -> None:
    """Values of flags beside each joint choice, and in each cell of places, [flags, cells, 2].

    `joint`: numbers of the joint choices after every row, and how many there are.
    """
    names = player_flags(schema, rules)
    places = place_keys(schema, rules, rules.dynamics.together[0])
    by = {"class": (*joint, ENOUGH)}
    if places:
        cells = math.prod(cell_counts(schema, places))
        by["cell"] = (cell_of(schema, rules, places, before), cells, ENOUGH_IN_CELL)
    for name, (values, many, enough) in by.items():
        counts = np.zeros((len(names), many, 2), np.int64)
        for row, key in zip(counts, names, strict=True):
            np.add.at(row, (values, after[key].astype(np.int64)), 1)
        tables[f"flags/{name}"] = (counts > 0) | (counts.sum(-1, keepdims=True) < enough)


def measure_places(
    schema: Schema,
    rules: _Rules,
    events: Mapping[str, Array],
    before: Columns,
    tables: dict[str, Array],
) -> None:
    """Whether an event happens, and whether it fails to, in each cell of places, [events, cells, 2]."""
    places = place_keys(schema, rules, rules.dynamics.together[0])
    if not places:
        return
    at = cell_of(schema, rules, places, before)
    counts = np.zeros((len(events), math.prod(cell_counts(schema, places)), 2), np.int64)
    for row, happened in zip(counts, events.values(), strict=True):
        np.add.at(row, (at, np.broadcast_to(happened, at.shape).astype(np.int64)), 1)
    tables["events/cell"] = (counts > 0) | (counts.sum(-1, keepdims=True) < ENOUGH_OF_EVENTS)
