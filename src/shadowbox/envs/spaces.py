"""Gymnasium spaces of observations and actions."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from shadowbox.core.schema import Choice, Columns, Schema
from shadowbox.play.observations import Actions, Observation

PROBES = 4096  # rows of extreme values from which the bounds of an observation are taken


def observation_space(seen: Observation, schema: Schema) -> spaces.Box:
    """The space of an observation: its extremes over rows at the ends of the schema's ranges.

    A part of an observation depends on few columns, so thousands of rows hold every combination
    that is extreme for it.
    """
    draws = np.random.default_rng(0)
    columns: Columns = {}
    for key, column in schema.columns.items():
        low, high = column.field.limits
        values = np.where(draws.random((PROBES, column.slots)) < 0.5, low, high)
        if isinstance(column.field, Choice):
            inside = draws.integers(0, column.field.n, values.shape)
            values = np.where(draws.random(values.shape) < 0.5, values, inside)
        columns[key] = values.astype(column.dtype)
    # where a column has no range, the sum of two of its ends is infinite
    with np.errstate(all="ignore"):
        shown = seen.observe(columns)
    least, most = shown.min(axis=0), shown.max(axis=0)
    least[~np.isfinite(least)], most[~np.isfinite(most)] = -np.inf, np.inf
    return spaces.Box(least, most, dtype=np.float32)


def action_space(actions: Actions) -> spaces.Space[Any]:
    """The space of one player's action, with a generator of its own."""
    if actions.name == "multibinary":
        return spaces.MultiBinary(actions.size)
    if actions.name == "box":
        return spaces.Box(actions.low.astype(np.float32), actions.high.astype(np.float32))
    return spaces.Discrete(len(actions.table))
