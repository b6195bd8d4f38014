"""Measures of recordings that a learned world is built from: vocabulary, tables and starts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from shadowbox.core.dynamics.declaration import _Dynamics
from shadowbox.core.dynamics.rules import periodic_tables
from shadowbox.core.game import stable_hash
from shadowbox.core.schema import Array, Columns
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.learners.imitation_data import split_episodes
from shadowbox.learners.registry import Inputs, parent_arguments
from shadowbox.model.world.beside import measure_cells
from shadowbox.model.world.heads import HEADS
from shadowbox.model.world.reach import measure_reach, reach_keys
from shadowbox.model.world.spans import measure_motion
from shadowbox.model.world.vocabulary import measure
from shadowbox.model.world.world import WORLDS, _WorldConfig, blank_vocabulary, rules_of

MEASURED = 600_000  # rows that the vocabulary is measured on


class _Starts(Protocol):
    """Numbers of the starts that a world carries along."""

    @property
    def contexts(self) -> int: ...
    @property
    def past_contexts(self) -> int: ...
    @property
    def past_rows(self) -> int: ...


def dynamics_of(inputs: Inputs) -> _Dynamics:
    """The game's dynamics; of a game without any, all fields are learned."""
    return inputs.game.dynamics or _Dynamics()


def measured(
    inputs: Inputs, config: _Starts
) -> tuple[dict[str, Any], dict[str, Array], dict[str, Array]]:
    """Arguments of the model, tables of its vocabulary, and those of its periodic columns.

    A run with a parent has the parent's vocabulary and tables, which its weights belong to; of its
    own recordings it has the choices that usually follow, and the periodic columns.
    """
    spec, dynamics = inputs.spec, dynamics_of(inputs)
    settings = _WorldConfig.of({**_preset(spec.preset), **spec.model})
    rules, store = rules_of(inputs.schema, dynamics, settings), inputs.store
    tables: dict[str, Array] = {}
    if store is None:
        vocabulary = blank_vocabulary(rules)
    else:
        train = split_episodes(store, inputs.split or Split())["train"]
        chained = HEADS[settings.heads].chained
        vocabulary = measure(inputs.schema, rules, _pairs(store, train), chained=chained)
        if chained:
            rows = int(store.lengths.sum())
            cells = measure_cells(inputs.schema, rules, _pairs(store, train, most=rows))
            vocabulary.tables.update(cells)
            measure_motion(inputs.schema, rules, _pairs(store, train), vocabulary)
        for event in dynamics.reach:
            if reach_keys(inputs.schema, rules, event):
                pairs = _pairs(store, train, most=int(store.lengths.sum()))
                box = measure_reach(inputs.schema, rules, event, pairs)
                vocabulary.tables[f"reach/{event}"] = box
        every = max(1, len(train) // 32)
        tables = periodic_tables(rules, (store.episode(int(e)).columns for e in train[::every]))
    arguments = {
        "config": settings.flat(),
        "dynamics": dynamics.to_json(),
        "vocabulary": vocabulary.to_json(),
        "contexts": [config.contexts + config.past_contexts, config.past_rows],
    }
    if "usual" in vocabulary.tables:  # by joint choice: the one that usually follows
        usual = vocabulary.tables["usual"]
        vocabulary.tables["usual"] = np.asarray(vocabulary.together or [0])[usual]
    parent = parent_arguments(inputs, "world")
    if not parent:
        return arguments, vocabulary.tables, tables
    for name in ("config", "dynamics"):
        if parent[name] != arguments[name]:
            asked, found = json.dumps(arguments[name]), json.dumps(parent[name])
            raise UsageError(
                f"parent: its {name} is {found}, that of this run is {asked}: give the run the "
                "parent's settings"
            )
    kept = {name: table for name, table in vocabulary.tables.items() if name == "usual"}
    return {**arguments, "vocabulary": parent["vocabulary"]}, kept, tables


def _preset(name: str) -> Mapping[str, Any]:
    if name not in WORLDS:
        raise UsageError(f"unknown preset '{name}' of a world: {did_you_mean(name, WORLDS)}")
    return WORLDS[name]


def _pairs(
    store: Store, episodes: Array, most: int = MEASURED
) -> Iterator[tuple[Columns, Columns]]:
    """Rows before and after of evenly spread episodes, up to `most` rows."""
    rows, every = 0, max(1, int(store.lengths[episodes].sum()) // most)
    for number in episodes[::every]:
        columns = store.episode(int(number)).columns
        yield (
            {key: values[:-1] for key, values in columns.items()},
            {key: values[1:] for key, values in columns.items()},
        )
        rows += len(columns[store.schema.state_keys[0]])
        if rows >= most:
            return


def contexts_of(store: Store, episodes: Array, config: _Starts) -> tuple[Array, Array]:
    """Packed rows [S, K, row_bytes] to start from, and how many of them count [S].

    First starts of matches, then moments inside of them, each from another episode while there are
    enough; the choice depends on the store alone.
    """
    starts, past, rows = config.contexts, config.past_contexts, config.past_rows
    width = store.schema.row_dtype.itemsize
    found = np.zeros((starts + past, rows, width), np.uint8)
    length = np.ones(starts + past, np.int64)
    for at in range(starts + past):
        episode = int(episodes[at % len(episodes)])
        packed = np.asarray(store.rows_of(episode))
        packed = packed.view(np.uint8).reshape(len(packed), width)
        if at < starts:
            found[at, -1] = packed[0]
            continue
        last = stable_hash(store.fingerprint, at) % max(1, len(packed) - 2)
        first = max(0, last + 1 - rows)
        length[at] = last + 1 - first
        found[at, -int(length[at]) :] = packed[first : last + 1]
    return found, length
