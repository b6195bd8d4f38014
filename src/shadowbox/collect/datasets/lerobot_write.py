"""LeRobot datasets, written in version 3.0: parquet files, statistics, tasks and episodes.

A frame is a decision: `observation.state` and `action` are vectors (own.py) of the same row. The
state after the last decision, which the format has no place for, is in `meta/shadowbox.parquet`,
with what else is ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.collect.datasets import own
from shadowbox.core.files import write_whole
from shadowbox.core.schema import Array
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, install_hint

VERSION = "v3.0"
STATE, ACTION, REWARD, DONE = "observation.state", "action", "next.reward", "next.done"
OWN = "shadowbox.parquet"  # in meta/
FILE_MB, CHUNK = 100, 1000  # of a file of frames, and files of a folder
INDEX = ("frame_index", "episode_index", "index", "task_index")


def write_lerobot(store: Store, episodes: Sequence[int], out: Path) -> None:
    """Write episodes of a store as the LeRobot dataset `out`, one task for all."""
    load_pyarrow()
    task = f"play {store.schema.name}"
    with own.new_folder(out) as beside:
        (beside / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
        frames = _Frames(beside)
        lines: list[dict[str, Any]] = []
        entries: dict[str, list[Any]] = {"entry": [], STATE: []}
        for at, number in enumerate(episodes):
            episode = store.episode(number)
            features = _features_of(store, number, at, frames.rows)
            place = frames.add(features)
            lines.append(_line(at, task, features, place))
            entries["entry"].append(own.entry_of(store, number, episode))
            seen, _ = own.vector_keys(store.schema)
            last = {key: episode.columns[key][-1:] for key in seen}
            entries[STATE].append(own.vector_of(store.schema, seen, last)[0])
        frames.close()
        _write_meta(beside, store, task, lines, entries, frames)


def _features_of(store: Store, number: int, at: int, first: int) -> dict[str, Array]:
    """Arrays [T] or [T, numbers] of an episode by feature; `first` is its first frame's index."""
    episode, schema = store.episode(number), store.schema
    steps = episode.frames
    seen, done = own.vector_keys(schema)
    rows = np.arange(steps)
    ended = np.zeros(steps, bool)
    ended[-1] = True
    features = {
        STATE: own.vector_of(schema, seen, episode.columns)[:-1],
        ACTION: own.vector_of(schema, done, episode.columns)[:-1],
    }
    if own.has_reward(schema):
        features[REWARD] = episode.columns[own.REWARD][1:, 0]
    return {
        **features,
        DONE: ended,
        "timestamp": (rows / schema.fps).astype(np.float32),
        "frame_index": rows,
        "episode_index": np.full(steps, at),
        "index": first + rows,
        "task_index": np.zeros(steps, np.int64),
    }


class _Frames:
    """Files of frames: an episode is a row group, a file is closed when it is large."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows, self.number = folder, 0, -1
        self._writer: Any = None
        self._bytes = 0
        self._total: dict[str, Mapping[str, Array]] = {}

    def add(self, features: Mapping[str, Array]) -> tuple[int, int]:
        """Append an episode; the numbers of its folder and of its file."""
        parquet, pyarrow = load_pyarrow()
        table = pyarrow.table({name: _column(values) for name, values in features.items()})
        if self._writer is None or self._bytes + table.nbytes > FILE_MB << 20:
            self.close()
            self.number += 1
            path = self.folder / "data" / f"chunk-{self.number // CHUNK:03d}"
            path.mkdir(parents=True, exist_ok=True)
            path = path / f"file-{self.number % CHUNK:03d}.parquet"
            self._writer, self._bytes = parquet.ParquetWriter(path, table.schema), 0
        self._writer.write_table(table, row_group_size=own.MOST_ROWS)
        self._bytes += table.nbytes
        self.rows += len(table)
        for name, values in features.items():
            self._total[name] = _joined(self._total.get(name), _statistics(values))
        return self.number // CHUNK, self.number % CHUNK

    def close(self) -> None:
        """Finish the present file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    @property
    def statistics(self) -> dict[str, dict[str, list[Any]]]:
        """Statistics of all frames by feature, as plain data."""
        return {name: _plain(each) for name, each in self._total.items()}


def _column(values: Array) -> Any:
    """Column of a table; a vector of one number is a number, as the format has it."""
    _, pyarrow = load_pyarrow()
    if values.ndim == 1 or values.shape[1] == 1:
        return pyarrow.array(np.ascontiguousarray(values.reshape(-1)))
    flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    starts = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pyarrow.ListArray.from_arrays(pyarrow.array(starts), flat)


def _statistics(values: Array) -> dict[str, Array]:
    """Count, smallest, largest, mean and spread by number."""
    numbers = values.reshape(len(values), -1).astype(np.float64)
    return {
        "min": numbers.min(axis=0),
        "max": numbers.max(axis=0),
        "mean": numbers.mean(axis=0),
        "std": numbers.std(axis=0),
        "count": np.array([len(numbers)]),
    }


def _joined(one: Mapping[str, Array] | None, other: Mapping[str, Array]) -> Mapping[str, Array]:
    """Statistics of two sets of rows as one."""
    if one is None:
        return other
    count = one["count"] + other["count"]
    share = other["count"] / count
    gap = other["mean"] - one["mean"]
    spread = (
        one["std"] ** 2 * (1 - share) + other["std"] ** 2 * share + gap**2 * share * (1 - share)
    )
    return {
        "min": np.minimum(one["min"], other["min"]),
        "max": np.maximum(one["max"], other["max"]),
        "mean": one["mean"] + gap * share,
        "std": np.sqrt(spread),
        "count": count,
    }


def _plain(statistics: Mapping[str, Array]) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in statistics.items()}


def _line(
    at: int, task: str, features: Mapping[str, Array], place: tuple[int, int]
) -> dict[str, Any]:
    """Row of `meta/episodes`: where an episode is, its tasks, and its statistics."""
    line: dict[str, Any] = {
        "episode_index": at,
        "tasks": [task],
        "length": len(features["index"]),
        "data/chunk_index": place[0],
        "data/file_index": place[1],
        "dataset_from_index": int(features["index"][0]),
        "dataset_to_index": int(features["index"][-1]) + 1,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }
    for name, values in features.items():
        for kind, numbers in _plain(_statistics(values)).items():
            line[f"stats/{name}/{kind}"] = numbers
    return line


def _write_meta(
    folder: Path,
    store: Store,
    task: str,
    lines: Sequence[Mapping[str, Any]],
    entries: Mapping[str, list[Any]],
    frames: _Frames,
) -> None:
    parquet, pyarrow = load_pyarrow()
    meta = folder / "meta"
    columns = {name: [line[name] for line in lines] for name in lines[0]}
    parquet.write_table(pyarrow.table(columns), meta / "episodes/chunk-000/file-000.parquet")
    types = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    index = {  # as pandas reads an index
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": n, "field_name": n, "pandas_type": p, "numpy_type": t, "metadata": None}
            for n, (p, t) in types.items()
        ],
    }
    tasks = pyarrow.table({"task_index": pyarrow.array([0]), "task": pyarrow.array([task])})
    parquet.write_table(
        tasks.replace_schema_metadata({"pandas": json.dumps(index)}), meta / "tasks.parquet"
    )
    block = json.dumps(own.block_of(store, "vectors"))
    kept = pyarrow.table({"entry": entries["entry"], STATE: _column(np.stack(entries[STATE]))})
    parquet.write_table(
        kept.replace_schema_metadata({own.KEY: block}), meta / OWN, row_group_size=256
    )
    write_whole(meta / "stats.json", _text(frames.statistics))
    write_whole(meta / "info.json", _text(_info(store, len(lines), frames)))


def _text(data: Any) -> bytes:
    return json.dumps(data, indent=4).encode()


def _info(store: Store, episodes: int, frames: _Frames) -> dict[str, Any]:
    schema = store.schema
    fps = int(schema.fps) if float(schema.fps).is_integer() else schema.fps
    return {
        "codebase_version": VERSION,
        "robot_type": schema.name,
        "total_episodes": episodes,
        "total_frames": frames.rows,
        "total_tasks": 1,
        "chunks_size": CHUNK,
        "data_files_size_in_mb": FILE_MB,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": dict(_declared(store)),
    }


def _declared(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = store.schema
    for name, keys in zip((STATE, ACTION), own.vector_keys(schema), strict=True):
        names = own.names_of(schema, keys)
        yield name, {"dtype": "float32", "shape": [len(names)], "names": names}
    single: dict[str, str] = {REWARD: "float32"} if own.has_reward(schema) else {}
    single |= {DONE: "bool", "timestamp": "float32", **dict.fromkeys(INDEX, "int64")}
    for name, dtype in single.items():
        yield name, {"dtype": dtype, "shape": [1], "names": None}


def load_pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow.parquet and pyarrow, or the error that says how to install them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(f"LeRobot needs pyarrow: {install_hint('arrow')}") from error
    return pyarrow.parquet, pyarrow
