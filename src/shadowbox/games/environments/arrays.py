"""Whole episodes of an environment: arrays in the form of its spaces, as columns, and back.

An array has the rows of the episode as its first axis; a Dict of spaces is a dict of them, a Tuple a
tuple.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
from gymnasium import spaces

from shadowbox.core.schema import Array, Columns
from shadowbox.games.environments.spaces import REWARD, _Leaf, _Spaces


def columns_of_arrays(known: _Spaces, observations: Any, actions: Any, rewards: Array) -> Columns:
    """Columns [T + 1, slots] of T + 1 observations, T actions and T rewards; the last row is neutral."""
    columns: Columns = {REWARD: np.concatenate([[0.0], rewards]).astype(np.float32)[:, None]}
    for leaf, group in zip(known.seen, known.groups, strict=True):
        values = leaf.stored_rows(_leaf_in(observations, leaf), shared=leaf.alike)
        parts = [values] if leaf.alike else np.split(values, values.shape[1], axis=1)
        for field, part in zip(group.fields, parts, strict=True):
            columns[f"{group.name}/{field.name}"] = part
    keys = iter(known.schema.control_keys)
    for leaf in known.done:
        values = leaf.stored_rows(_leaf_in(actions, leaf), shared=False)
        for part in np.split(values, values.shape[1], axis=1):
            columns[next(keys)] = np.concatenate([part, np.zeros_like(part[:1])])
    return columns


def observations_of_columns(known: _Spaces, columns: Columns) -> Any:
    """Observations [T + 1, ...] of columns, in the form of their space."""
    leaves = []
    for leaf, group in zip(known.seen, known.groups, strict=True):
        found = [columns[f"{group.name}/{field.name}"] for field in group.fields]
        numbers = np.concatenate(found, axis=1)
        leaves.append(leaf.restored_rows(numbers, shared=leaf.alike))
    return _nested(known.observation_space, iter(leaves))


def actions_of_columns(known: _Spaces, columns: Columns) -> Any:
    """Actions [T, ...] of columns [T + 1, slots], in the form of their space."""
    keys, leaves = list(known.schema.control_keys), []
    for leaf in known.done:
        mine, keys = keys[: len(leaf.low)], keys[len(leaf.low) :]
        numbers = np.concatenate([columns[key][:-1] for key in mine], axis=1)
        leaves.append(leaf.restored_rows(numbers, shared=False))
    return _nested(known.action_space, iter(leaves))


def _leaf_in(values: Any, leaf: _Leaf) -> Array:
    return np.asarray(reduce(getitem, leaf.keys, values))


def _nested(space: spaces.Space[Any], leaves: Iterator[Array]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _nested(inner, leaves) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        inner_spaces: Sequence[Any] = space.spaces
        return tuple(_nested(inner, leaves) for inner in inner_spaces)
    return next(leaves)
