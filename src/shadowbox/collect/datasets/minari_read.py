"""Minari datasets, read: `data/metadata.json` and `data/main_data.hdf5`, by h5py alone.

An episode of T decisions has T + 1 observations, T actions and T rewards, as here. The spaces of the
dataset become a schema, unless it holds ours (own.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.collect.datasets import own
from shadowbox.core.episode import UNKNOWN, Episode
from shadowbox.core.files import read_json
from shadowbox.core.game import Game, game_of_schema
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.errors import RecordingError, ShadowboxError, UsageError, install_hint
from shadowbox.games import find

DATA, METADATA = "main_data.hdf5", "metadata.json"
READER = "shadowbox.collect.datasets.minari_read:read_minari"
SHAPE = {
    "data_format?": str,
    "dataset_id?": str,
    "jpeg_encoding?": (bool, int),
    "observation_space?": str,
    "action_space?": str,
    "env_spec?": (str, None),
    "total_episodes": int,
    f"{own.KEY}?": own.BLOCK,
}
MOST_EPISODES = 10_000_000


class _Described:
    """Schema of a dataset, and its spaces."""

    def __init__(self, folder: Path) -> None:
        where = folder / METADATA
        try:
            self.metadata = read_json(where, SHAPE, error=RecordingError)
        except FileNotFoundError:
            raise RecordingError(f"{where} does not exist; expected a Minari dataset") from None
        if (kind := self.metadata.get("data_format", "hdf5")) != "hdf5":
            raise RecordingError(
                f"{where}: data_format is '{kind[:40]}', expected hdf5; write the dataset again with "
                "Minari's data_format='hdf5'"
            )
        if not 0 <= self.metadata["total_episodes"] <= MOST_EPISODES:
            raise RecordingError(f"{where}: total_episodes is out of range")
        self.block: Mapping[str, Any] | None = self.metadata.get(own.KEY)
        self.schema, self.spaces = self._schema_and_spaces(str(where))

    def _schema_and_spaces(self, where: str) -> tuple[Schema, Any]:
        if self.block is not None and self.block["layout"] == "vectors":
            return own.schema_of(self.block, where), None
        from shadowbox.collect.datasets.spaces import read_space
        from shadowbox.games.environments.spaces import _Spaces

        if missing := [
            name for name in ("observation_space", "action_space") if name not in self.metadata
        ]:
            raise RecordingError(f"{where}: lacks {' and '.join(missing)}")
        seen, done = (
            read_space(self.metadata[name], f"{where}: {name}")
            for name in ("observation_space", "action_space")
        )
        if self.metadata.get("jpeg_encoding", True) and _images(seen):
            raise RecordingError(
                f"{where}: observations are pictures ({seen}); only numbers can be learned from"
            )
        name = f"minari:{self.metadata.get('dataset_id', UNKNOWN)}"
        known = _Spaces(name, seen, done, fps=1.0)
        wanted = own.schema_of(self.block, where) if self.block else self._registered(known)
        if wanted is not None:
            known = _Spaces(wanted.name, seen, done, fps=wanted.fps)
            if known.schema.facts_hash != wanted.facts_hash:
                raise RecordingError(f"{where}: '{own.KEY}' does not fit to the spaces")
        return known.schema, known

    def _registered(self, known: Any) -> Schema | None:
        """Schema of the registered environment of the dataset, if its spaces are the same."""
        from shadowbox.games.environments.spaces import _Spaces

        try:
            env_id = json.loads(self.metadata.get("env_spec") or "{}").get("id", "")
            game = find(f"gym:{env_id}") if isinstance(env_id, str) and env_id else None
        except (ValueError, AttributeError, RecursionError, ShadowboxError):
            return None  # the spaces suffice
        if game is None:
            return None
        same = _Spaces(game.name, known.observation_space, known.action_space, fps=game.schema.fps)
        return game.schema if same.schema.facts_hash == game.schema.facts_hash else None


def _images(space: Any) -> bool:
    inner = getattr(space, "spaces", None)
    if inner is not None:
        return any(map(_images, inner.values() if isinstance(inner, Mapping) else inner))
    return len(space.shape or ()) == 3 and space.dtype == np.uint8


# ---- reading -------------------------------------------------------------------------------------


def minari_game(place: Path) -> tuple[Game, Path]:
    """Game of a dataset, a folder or the name of one that Minari has downloaded; its file."""
    load_h5py()
    folder = _folder(place)
    known = _Described(folder)
    game = game_of_schema(known.schema, known.block["event_kinds"] if known.block else ())
    return replace(game, reader=READER, reader_endings=(DATA,)), folder / DATA


def _folder(place: Path) -> Path:
    home = os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets"
    for folder in (place, place / "data", place.parent, Path(home) / place / "data"):
        if (folder / DATA).is_file():
            return folder.resolve()
    raise UsageError(
        f"{place} is not a Minari dataset: expected a folder with data/{DATA}, or the name of a "
        f"dataset below {home}; `minari download {place}` gets a public one"
    )


def read_minari(content: Path | bytes, name: str) -> Iterator[Episode]:
    """Episodes of `main_data.hdf5`, by number; `metadata.json` is beside it."""
    h5py = load_h5py()
    path = Path(name)
    if not path.is_file():
        raise RecordingError("its metadata.json is needed as well: unpack the archive first")
    known = _Described(path.parent)
    try:
        with h5py.File(path, "r") as file:
            for number in range(known.metadata["total_episodes"]):
                episode = f"episode_{number}"
                yield _episode(_group(file, episode, name), known, number, f"{name}: {episode}")
    except (OSError, RuntimeError) as error:
        raise RecordingError(f"{name}: cannot be read as HDF5: {error}") from error


def _episode(group: Any, known: _Described, number: int, where: str) -> Episode:
    rewards = _array(group, "rewards", where)
    steps = len(rewards)
    if rewards.ndim != 1 or not 1 <= steps < own.MOST_ROWS:
        raise RecordingError(f"{where}: rewards have shape {rewards.shape}, expected one a step")
    entry = None
    if known.block is not None:
        entry = own.read_entry(_array(group, own.KEY, where).tobytes(), where)
    if known.spaces is None:
        columns = _columns_of_vectors(group, known.schema, rewards, where)
    else:
        from shadowbox.games.environments.arrays import columns_of_arrays

        seen = _nested(group, "observations", known.spaces.observation_space, steps + 1, where)
        done = _nested(group, "actions", known.spaces.action_space, steps, where)
        columns = columns_of_arrays(known.spaces, seen, done, rewards)
    if entry is not None:
        return own.episode_of(known.schema, columns, entry, number, where)
    return Episode(columns, {**_meta(group, rewards, known.schema.name, where), "part": number})


def _columns_of_vectors(group: Any, schema: Schema, rewards: Array, where: str) -> Columns:
    seen, done = own.vector_keys(schema)
    observed = _array(group, "observations", where)
    acted = _array(group, "actions", where)
    if len(observed) != len(rewards) + 1 or len(acted) != len(rewards):
        raise RecordingError(
            f"{where}: {len(observed)} observations and {len(acted)} actions of {len(rewards)} steps"
        )
    columns = own.columns_of_vector(schema, seen, observed, f"{where}: observations")
    columns |= own.columns_of_vector(
        schema, done, np.concatenate([acted, np.zeros_like(acted[:1])]), f"{where}: actions"
    )
    if own.has_reward(schema):
        columns[own.REWARD] = np.concatenate([[0.0], rewards]).astype(np.float32)[:, None]
    return columns


def _meta(group: Any, rewards: Array, name: str, where: str) -> dict[str, Any]:
    """Metadata of an episode that another program wrote."""
    ends = [bool(_array(group, key, where)[-1]) for key in ("terminations", "truncations")]
    meta: dict[str, Any] = {"players": [UNKNOWN], "world": name}
    seed = group.attrs.get("seed")
    if isinstance(seed, int | np.integer) and 0 <= seed < 1 << 63:
        meta["seed"] = int(seed)
    meta["result"] = {
        "reason": "terminated" if ends[0] else "truncated",
        "terminated": ends[0],
        "truncated": ends[1],
        "return": float(np.sum(rewards, dtype=np.float64)),
    }
    return meta


def _group(parent: Any, name: str, where: str) -> Any:
    h5py = load_h5py()
    link = parent.get(name, getlink=True) if name in parent else None
    if not isinstance(link, h5py.HardLink):  # others lead to other files
        raise RecordingError(f"{where}: lacks '{name}'")
    found = parent[name]
    if not isinstance(found, h5py.Group):
        raise RecordingError(f"{where}: '{name}' is not a group")
    return found


def _array(group: Any, name: str, where: str) -> Array:
    """Array of a dataset of numbers, whose size is checked before it is read."""
    h5py = load_h5py()
    link = group.get(name, getlink=True) if name in group else None
    found = group[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset):
        raise RecordingError(f"{where}: lacks '{name}'")
    if found.dtype.kind not in "fiub" or found.is_virtual or found.external or not found.shape:
        raise RecordingError(f"{where}: '{name}' is not an array of numbers ({found.dtype})")
    if found.shape[0] > max(own.MOST_ROWS, own.LARGEST_EPISODE * (name == own.KEY)):
        raise RecordingError(f"{where}: '{name}' has {found.shape[0]:,} rows, which is too many")
    if found.size * found.dtype.itemsize > own.LARGEST_EPISODE:
        raise RecordingError(f"{where}: '{name}' has shape {found.shape}, which is too large")
    return np.asarray(found[()])


def _nested(group: Any, name: str, space: Any, rows: int, where: str) -> Any:
    """Arrays in the form of a space, [rows, ...] each."""
    inner = getattr(space, "spaces", None)
    if inner is not None:
        folder = _group(group, name, where)
        if isinstance(inner, Mapping):
            return {
                k: _nested(folder, k, each, rows, f"{where}/{name}") for k, each in inner.items()
            }
        parts = enumerate(inner)
        return tuple(
            _nested(folder, f"_index_{i}", each, rows, f"{where}/{name}") for i, each in parts
        )
    found = _array(group, name, where)
    if found.shape != (rows, *(space.shape or ())):
        raise RecordingError(
            f"{where}: '{name}' has shape {found.shape}, expected {(rows, *(space.shape or ()))}"
        )
    return found


def load_h5py() -> Any:
    """The module h5py, or the error that says how to install it."""
    try:
        import gymnasium  # noqa: F401
        import h5py
    except ImportError as error:
        raise UsageError(f"Minari needs h5py and Gymnasium: {install_hint('minari')}") from error
    return h5py
