"""What exported datasets hold besides: fields, metadata and events, so that nothing is lost.

Other programs ignore it. Without it a dataset is described by its own spaces or features. A vector
is all columns of a kind side by side, slot by slot, as f32. Where a game of one player has a reward,
it is the dataset's reward and no part of the observation. Neither is a choice of more values than
f32 holds, such as the parts of a seed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.episode import Episode
from shadowbox.core.files import parse_json
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Choice, Columns, Schema
from shadowbox.data.store import Store
from shadowbox.errors import RecordingError, ShadowboxError, UsageError

KEY = "shadowbox"  # of everything that is ours in a dataset
REWARD = "step/reward"
EXACT = 1 << 24  # f32 holds whole numbers below it
LARGEST_EPISODE = 1 << 30  # bytes of one array of an episode
MOST_ROWS = 1 << 22  # of an episode: more than 19 hours of play
BLOCK = {"version": int, "schema": dict, "layout": str, "event_kinds": [str]}
ENTRY = {
    "meta": dict,
    "absent": [str],
    "events": [{str: (int, float)}],
    "reward": float,
    "controls": [float],
    "wide": {str: [[int]]},
}


def vector_keys(schema: Schema) -> tuple[list[str], list[str]]:
    """Columns of the observation and of the action, in order."""
    apart = {*_wide(schema), *([REWARD] if has_reward(schema) else [])}
    return [key for key in schema.state_keys if key not in apart], list(schema.control_keys)


def _wide(schema: Schema) -> list[str]:
    """Columns of the state that do not fit into f32."""
    fields = {key: schema.columns[key].field for key in schema.state_keys}
    return [key for key, field in fields.items() if isinstance(field, Choice) and field.n > EXACT]


def has_reward(schema: Schema) -> bool:
    """True if a column holds the one player's reward."""
    return schema.players == 1 and REWARD in schema.columns and schema.columns[REWARD].slots == 1


def names_of(schema: Schema, keys: Sequence[str]) -> list[str]:
    """Name of each number of a vector: a column, or a column and its slot."""
    names = []
    for key in keys:
        slots = schema.columns[key].slots
        names += [key] if slots == 1 else [f"{key}[{slot}]" for slot in range(slots)]
    return names


def vector_of(schema: Schema, keys: Sequence[str], columns: Columns) -> Array:
    """Vectors f32 [rows, numbers] of some columns."""
    return np.concatenate([columns[key].astype(np.float32) for key in keys], axis=1)


def columns_of_vector(schema: Schema, keys: Sequence[str], vector: Array, where: str) -> Columns:
    """Columns of vectors [rows, numbers]."""
    wanted = len(names_of(schema, keys))
    if vector.ndim != 2 or vector.shape[1] != wanted:
        raise RecordingError(f"{where}: expected {wanted} numbers a row (got {vector.shape})")
    if not np.isfinite(vector).all():
        raise RecordingError(f"{where}: a number is not finite")
    columns: Columns = {}
    at = 0
    for key in keys:
        column = schema.columns[key]
        part = vector[:, at : at + column.slots]
        at += column.slots
        # choices stay signed here, so that the check of the episode sees a negative one
        kind = {"real": np.float32, "flag": np.bool_, "choice": np.int64}[column.field.kind]
        columns[key] = part.astype(kind)
    return columns


def block_of(store: Store, layout: str) -> dict[str, Any]:
    """Description of a store for its dataset; `layout` is "vectors" or "spaces"."""
    return {
        "version": 1,
        "layout": layout,
        "schema": store.schema.to_json(),
        "event_kinds": list(store.manifest.event_kinds),
    }


def schema_of(block: Mapping[str, Any], where: str) -> Schema:
    """Schema of a description; other versions are refused."""
    if block["version"] != 1 or block["layout"] not in ("vectors", "spaces"):
        raise RecordingError(
            f"{where}: '{KEY}' is of version {block['version']}, expected 1: "
            "it was written by a later Shadowbox, update this one"
        )
    try:
        return Schema.from_json(block["schema"])
    except ShadowboxError as error:
        raise RecordingError(f"{where}: '{KEY}' is damaged: {error}") from error


def entry_of(store: Store, number: int, episode: Episode) -> str:
    """JSON text of an episode: what the dataset has no place for."""
    names = EVENT.names or ()
    schema = store.schema
    last = {key: values[-1:] for key, values in episode.columns.items()}
    entry = {
        "meta": dict(store.meta_of(number)),
        "absent": sorted(store.absent_in(number)),
        "events": [dict(zip(names, row.item(), strict=True)) for row in store.events_of(number)],
        "reward": float(episode.columns[REWARD][0, 0]) if has_reward(schema) else 0.0,
        "controls": vector_of(schema, schema.control_keys, last)[0].tolist(),
        "wide": {key: _short(episode.columns[key]).tolist() for key in _wide(schema)},
    }
    return json.dumps(entry)


def _short(values: Array) -> Array:
    """Rows of a column, or the first alone if all are the same."""
    return values[:1] if (values == values[0]).all() else values


def read_entry(text: bytes, where: str) -> dict[str, Any]:
    """Entry of an episode as plain data."""
    entry: dict[str, Any] = parse_json(text, f"{where}: '{KEY}'", ENTRY, error=RecordingError)
    return entry


def episode_of(
    schema: Schema, columns: Columns, entry: Mapping[str, Any], part: int, where: str
) -> Episode:
    """Episode as it was: columns from the dataset, completed by its entry."""
    last = columns_of_vector(
        schema, schema.control_keys, np.array([entry["controls"]], np.float32), where
    )
    for key, values in last.items():
        columns[key] = np.concatenate([columns[key][:-1], values])
    if has_reward(schema):
        columns[REWARD][0] = entry["reward"]
    rows = len(columns[schema.control_keys[0]])
    for key in _wide(schema):
        kept = np.array(entry["wide"].get(key, []), np.int64)
        if kept.shape not in ((1, schema.columns[key].slots), (rows, schema.columns[key].slots)):
            raise RecordingError(f"{where}: '{KEY}' has {key} of shape {kept.shape}")
        columns[key] = np.broadcast_to(kept, (rows, kept.shape[1])).copy()
    events = np.zeros(len(entry["events"]), EVENT)
    for name in EVENT.names or ():
        events[name] = [row.get(name, 0) for row in entry["events"]]
    meta = {k: v for k, v in entry["meta"].items() if k not in ("source", "part")}
    return Episode(columns, {**meta, "part": part}, events, frozenset(entry["absent"]))


def ends_of(meta: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether an episode was terminated, and whether it was truncated, from its metadata."""
    result = meta.get("result")
    result = result if isinstance(result, Mapping) else {}
    truncated = bool(result.get("truncated", False))
    return bool(result.get("terminated", not truncated)), truncated


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Folder beside `out` that becomes `out` when everything in it is written."""
    if out.exists():
        raise UsageError(f"{out} exists already; choose another path or remove it first")
    beside = out.with_name(f"{out.name}.tmp")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        system.replace(beside, out)
    except OSError as error:
        raise ShadowboxError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
