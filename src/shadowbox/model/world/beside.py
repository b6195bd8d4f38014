"""Measures of what recordings have beside a joint choice, beside a flag, and in a place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Array, Columns, Flag, Schema
from shadowbox.model.world.derived import (
    NEAR,
    beside_keys,
    cell_beside,
    cell_counts,
    cell_of,
    place_keys,
)

ENOUGH = 500  # rows from which an option that was never taken is ruled out
ENOUGH_IN_CELL = (20, 100)  # the same, of rows in a cell of places, and of those around it as well
ENOUGH_OF_EVENTS = 200  # the same, of rows in a cell, for events
MOST_FLAGS = 4  # in a pattern; each one more doubles the tables
AROUND = (0, 1, 2, 4)  # radii of the neighbourhood of a cell, tried in turn
Pair = tuple[Columns, Columns]  # rows before and after, [T, slots]


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


def pattern_flags(schema: Schema, rules: _Rules) -> list[str]:
    """Flags of the players that are drawn as one pattern: the first MOST_FLAGS of them."""
    return player_flags(schema, rules)[:MOST_FLAGS]


def pattern_of(schema: Schema, rules: _Rules, rows: Mapping[str, Array]) -> Array:
    """Values of a player's flags as one number, [..., slots]: a bit each, the first the lowest."""
    pattern: Array = np.zeros((), np.int64)
    for at, key in enumerate(pattern_flags(schema, rules)):
        pattern = pattern + (rows[key].astype(np.int64) << at)
    return pattern


def measure_flags(
    schema: Schema, rules: _Rules, chosen: Array, classes: int, after: Columns
) -> Array:
    """Patterns of flags that were seen beside each joint choice, [classes, patterns].

    `chosen`: number of the joint choice after every row.
    """
    counts = np.zeros((classes, 1 << len(pattern_flags(schema, rules))), np.int64)
    np.add.at(counts, (chosen, pattern_of(schema, rules, after)), 1)
    found: Array = (counts > 0) | (counts.sum(-1, keepdims=True) < ENOUGH)
    return found


def measure_cells(schema: Schema, rules: _Rules, pairs: Iterable[Pair]) -> dict[str, Array]:
    """Patterns of flags, and events, that were seen in each cell of places.

    `flags/cell` and `flags/near` [cells, patterns], of the place and of the way from a thing that
    carries, and `events/cell` [events, cells, 2], whether an event happens
    and whether it fails to. In a cell with few rows those around it count as well.
    """
    together = rules.dynamics.together
    places = place_keys(schema, rules, together[0]) if together else []
    if not places:
        return {}
    shape, names = cell_counts(schema, places), list(rules.triggers)
    patterns = 1 << len(pattern_flags(schema, rules))
    flags = np.zeros((math.prod(shape), patterns), np.int64)
    others = beside_keys(schema, places)
    near = np.zeros(((2 * NEAR) ** len(others), patterns), np.int64)
    events = np.zeros((len(names), math.prod(shape), 2), np.int64)
    for before, after in pairs:
        at = cell_of(schema, rules, places, before)
        pattern = pattern_of(schema, rules, after)
        np.add.at(flags, (at, pattern), 1)
        if others:
            np.add.at(near, (cell_beside(schema, rules, places, others, before), pattern), 1)
        for row, happened in zip(events, rules.events_of(before, after).values(), strict=True):
            np.add.at(row, (at, np.broadcast_to(happened, at.shape).astype(np.int64)), 1)
    found = {"flags/cell": _around(flags.reshape(*shape, -1)).reshape(flags.shape)}
    if others:
        box = [2 * NEAR] * len(others)
        found["flags/near"] = _around(near.reshape(*box, patterns)).reshape(near.shape)
    if names:
        few = events.sum(-1, keepdims=True) < ENOUGH_OF_EVENTS
        found["events/cell"] = (events > 0) | few
    return found


def _around(counts: Array) -> Array:
    """Options that were seen in each cell [..., cells, options], or around it where rows are few.

    The neighbourhood grows until it has enough rows; where the largest has too few, any option.
    """
    axes = tuple(range(counts.ndim - 1))
    found, known = np.ones(counts.shape, bool), np.zeros(counts.shape[:-1], bool)
    for radius in AROUND:
        width = 2 * radius + 1
        padded = np.pad(
            counts, [(radius, radius) if axis in axes else (0, 0) for axis in range(counts.ndim)]
        )
        boxes = np.lib.stride_tricks.sliding_window_view(padded, (width,) * len(axes), axes)
        near = boxes.sum(tuple(range(-len(axes), 0)))
        now = ~known & (near.sum(-1) >= ENOUGH_IN_CELL[radius > 0])
        found[now], known = near[now] > 0, known | now
    return found
