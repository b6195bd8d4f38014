"""Minari datasets, written: `data/metadata.json` and `data/main_data.hdf5`, by h5py alone.

A store of a registered environment is written in the environment's spaces, any other as vectors
(own.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox import __version__
from shadowbox.collect.datasets import own
from shadowbox.collect.datasets.minari_read import DATA, METADATA, load_h5py
from shadowbox.core.files import write_whole
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.games import find

WRITTEN = "0.5.3"  # version of the format
ID = re.compile(r"[\w-]+-v\d+")


def write_minari(store: Store, episodes: Sequence[int], out: Path) -> None:
    """Write episodes of a store as the Minari dataset `out`, whose name ends with its version."""
    h5py = load_h5py()
    if not ID.fullmatch(out.name):
        name = re.sub(r"[^\w-]", "-", out.name) or "mine"
        raise UsageError(
            f"--minari {out}: a dataset of Minari is called NAME-vN, such as {name}-v0"
        )
    known = _spaces_of(store)
    steps = 0
    with own.new_folder(out) as beside:
        (beside / "data").mkdir()
        with h5py.File(beside / "data" / DATA, "w", track_order=True) as file:
            for at, number in enumerate(episodes):
                steps += _write_episode(file.create_group(f"episode_{at}"), store, number, known)
        size = (beside / "data" / DATA).stat().st_size
        metadata = _metadata(store, known, out.name) | {
            "total_episodes": len(episodes),
            "total_steps": steps,
            "dataset_size": round(size / 1e6, 1),
        }
        write_whole(beside / "data" / METADATA, json.dumps(metadata).encode())


def _spaces_of(store: Store) -> Any:
    """Spaces of the registered environment that a store was recorded in, or None."""
    if not store.schema.name.startswith("gym:"):
        return None
    try:
        game = find(store.schema.name)
    except ShadowboxError:
        return None  # its package is not installed; vectors need none
    if game is None or game.schema.facts_hash != store.schema.facts_hash:
        return None
    from shadowbox.games.environments import make_gym
    from shadowbox.games.environments.spaces import spaces_of

    env = make_gym(store.schema.name.removeprefix("gym:"))
    try:
        return spaces_of(env, store.schema.name)
    finally:
        env.close()


def _metadata(store: Store, known: Any, dataset_id: str) -> dict[str, Any]:
    from gymnasium import spaces

    from shadowbox.collect.datasets.spaces import space_text

    metadata: dict[str, Any] = {
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "dataset_id": dataset_id,
        "minari_version": WRITTEN,
        "author": [],
        "author_email": [],
        "algorithm_name": f"shadowbox {__version__}",
        own.KEY: own.block_of(store, "vectors" if known is None else "spaces"),
    }
    if known is not None:
        import gymnasium

        env_id = store.schema.name.removeprefix("gym:")
        seen, done = known.observation_space, known.action_space
        metadata["env_spec"] = gymnasium.spec(env_id).to_json()
    else:
        seen, done = (
            spaces.Box(-np.inf, np.inf, (len(own.names_of(store.schema, keys)),), np.float32)
            for keys in own.vector_keys(store.schema)
        )
    return {**metadata, "observation_space": space_text(seen), "action_space": space_text(done)}


def _write_episode(group: Any, store: Store, number: int, known: Any) -> int:
    """Write one episode; its number of steps."""
    episode, meta, schema = store.episode(number), store.meta_of(number), store.schema
    columns, steps = episode.columns, episode.frames
    if known is None:
        keys = own.vector_keys(schema)
        seen, done = (own.vector_of(schema, each, columns) for each in keys)
        done = done[:-1]
    else:
        from shadowbox.games.environments.arrays import (
            actions_of_columns,
            observations_of_columns,
        )

        seen = observations_of_columns(known, columns)
        done = actions_of_columns(known, columns)
    _put(group, "observations", seen)
    _put(group, "actions", done)
    reward = columns[own.REWARD][1:, 0] if own.has_reward(schema) else np.zeros(steps, np.float32)
    _put(group, "rewards", reward)
    for name, ended in zip(("terminations", "truncations"), own.ends_of(meta), strict=True):
        flags = np.zeros(steps, bool)
        flags[-1] = ended
        _put(group, name, flags)
    group.create_group("infos")
    group.attrs["id"], group.attrs["total_steps"] = int(group.name.split("_")[-1]), steps
    if isinstance(seed := meta.get("seed"), int):
        group.attrs["seed"] = seed
    text = own.entry_of(store, number, episode).encode()
    group.create_dataset(own.KEY, data=np.frombuffer(text, np.uint8))
    return steps


def _put(group: Any, name: str, values: Any) -> None:
    if isinstance(values, Mapping):
        folder = group.create_group(name)
        for key, each in values.items():
            _put(folder, key, each)
    elif isinstance(values, tuple):
        _put(group, name, {f"_index_{i}": each for i, each in enumerate(values)})
    else:
        shape = (None, *values.shape[1:])
        group.create_dataset(name, data=values, chunks=True, maxshape=shape)
