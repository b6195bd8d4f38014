"""Episodes as a parquet file, written and read: a row is a frame, a row group an episode.

A column is named by its key, or by key and slot ("player/x[0]"); `episode` and `frame` come first.
Events, metadata, the columns that an episode lacks, and the hash of the fields are JSON texts in the
metadata of the file. One row group at a time is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.files import parse_json
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.data.store import Store
from shadowbox.errors import RecordingError, UsageError, install_hint

PARQUET = ".parquet"
LARGEST_GROUP = 1 << 22  # rows: more than 19 hours of play
SHAPE = {"events": [{str: (int, float)}], "meta": [dict], "absent": [[str]]}


def write_parquet(store: Store, episodes: Sequence[int], file: IO[bytes]) -> None:
    """Write some episodes of a store, one after another."""
    parquet, pyarrow = _pyarrow()
    names = EVENT.names or ()
    events = [store.events_of(number) for number in episodes]
    known: dict[str, Any] = {
        "events": [dict(zip(names, row.item(), strict=True)) for each in events for row in each],
        "meta": [dict(store.meta_of(number)) for number in episodes],
        "absent": [sorted(store.absent_in(number)) for number in episodes],
    }
    texts = {name: json.dumps(value) for name, value in known.items()}
    texts["facts_hash"] = store.schema.facts_hash
    writer = None
    for number in episodes:
        table = pyarrow.table(_flat(store.episode(number), number, store.schema))
        if writer is None:
            writer = parquet.ParquetWriter(file, table.schema.with_metadata(texts))
        writer.write_table(table.replace_schema_metadata(texts), row_group_size=LARGEST_GROUP)
    if writer is not None:
        writer.close()


def _flat(part: Episode, number: int, schema: Schema) -> dict[str, Array]:
    rows = part.rows
    flat: dict[str, Array] = {
        "episode": np.full(rows, number, np.int32),
        "frame": np.arange(rows, dtype=np.int32),
    }
    for key in schema.columns:
        values = part.columns[key]
        if values.ndim == 1:
            flat[key] = values
        else:
            flat |= {
                f"{key}[{slot}]": np.ascontiguousarray(values[:, slot])
                for slot in range(values.shape[1])
            }
    return flat


def read_parquet(source: Path | bytes, name: str, schema: Schema) -> Iterator[Episode]:
    """Read the episodes of a file, in its order. Columns of other names are ignored."""
    parquet, pyarrow = _pyarrow()
    try:
        file = parquet.ParquetFile(
            source if isinstance(source, Path) else pyarrow.BufferReader(source)
        )
        found = file.schema_arrow
        texts = {
            key.decode(errors="replace"): value
            for key, value in (file.metadata.metadata or {}).items()
        }
        known = {
            key: parse_json(texts[key], f"{name}: metadata '{key}'", shape, error=RecordingError)
            for key, shape in SHAPE.items()
            if key in texts
        }
        if missing := [key for key in _names(schema) if key not in found.names]:
            raise RecordingError(
                f"{name}: lacks {len(missing)} columns of {schema.name}, the first is "
                f"'{missing[0]}'; expected a table as `store export --out x.parquet` writes it"
            )
        for at, (number, columns) in enumerate(_episodes(file, schema, name)):
            yield _episode(columns, known, at, number)
    except pyarrow.ArrowException as error:
        raise RecordingError(f"{name}: cannot be read as parquet: {error}") from error


def _names(schema: Schema) -> list[str]:
    """Columns of the table for a schema, in order."""
    names = []
    for key, column in schema.columns.items():
        names += [f"{key}[{slot}]" for slot in range(column.slots)]
    return names


def _episodes(file: Any, schema: Schema, name: str) -> Iterator[tuple[int, Columns]]:
    """Number and columns [rows, slots] of each episode, which may span row groups or share one."""
    held: list[dict[str, Array]] = []
    for group in range(file.num_row_groups):
        if file.metadata.row_group(group).num_rows > LARGEST_GROUP:
            raise RecordingError(
                f"{name}: a row group has more than {LARGEST_GROUP:,} rows; write smaller ones"
            )
        table = file.read_row_group(group, columns=["episode", *_names(schema)])
        arrays = {column: table[column].to_numpy() for column in table.column_names}
        numbers = arrays.pop("episode")
        ends = [*(np.flatnonzero(np.diff(numbers)) + 1), len(numbers)]
        for first, end in zip([0, *ends], ends, strict=False):
            part = {key: values[first:end] for key, values in arrays.items()}
            if held and held[-1]["episode"][0] != numbers[first]:
                yield int(held[-1]["episode"][0]), _joined(held, schema)
                held = []
            held.append({**part, "episode": numbers[first:end]})
            if sum(len(each["episode"]) for each in held) > LARGEST_GROUP:
                raise RecordingError(f"{name}: an episode has more than {LARGEST_GROUP:,} rows")
    if held:
        yield int(held[-1]["episode"][0]), _joined(held, schema)


def _joined(parts: Sequence[dict[str, Array]], schema: Schema) -> Columns:
    columns: Columns = {}
    for key, column in schema.columns.items():
        slots = [
            np.concatenate([part[f"{key}[{slot}]"] for part in parts])
            for slot in range(column.slots)
        ]
        columns[key] = np.stack(slots, -1).astype(column.dtype)
    return columns


def _episode(columns: Columns, known: dict[str, Any], at: int, number: int) -> Episode:
    """Episode at a position of the file, with what the file's metadata says about its number."""
    rows = [row for row in known.get("events", ()) if row.get("match") == number]
    events = np.zeros(len(rows), EVENT)
    for name in EVENT.names or ():
        events[name] = [row.get(name, 0) for row in rows]
    meta, absent = (
        each[at] if at < len(each) else usual
        for each, usual in ((known.get("meta", ()), {}), (known.get("absent", ()), []))
    )
    own = {key: value for key, value in meta.items() if key not in ("source", "part")}
    return Episode(columns, {**own, "part": at}, events, frozenset(absent))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(f"Parquet needs pyarrow: {install_hint('arrow')}") from error
    return pyarrow.parquet, pyarrow
