"""LeRobot datasets of versions 2.0, 2.1 and 3.0, read: every vector of numbers, no picture.

A frame holds an observation and the action chosen. The action of an episode's last frame led to a
state that was not recorded, so it is left out. A dataset that we wrote gives the same episodes again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.collect.datasets import own
from shadowbox.collect.datasets.lerobot_write import (
    ACTION,
    DONE,
    OWN,
    REWARD,
    STATE,
    load_pyarrow,
)
from shadowbox.core.episode import UNKNOWN, Episode
from shadowbox.core.files import parse_json, read_json
from shadowbox.core.game import Game, game_of_schema
from shadowbox.core.schema import Array, Columns, Flag, Group, Real, Schema
from shadowbox.errors import RecordingError, UsageError

INFO = "info.json"
READER = "shadowbox.collect.datasets.lerobot_read:read_lerobot"
VERSIONS = ("v2.0", "v2.1", "v3.0")
FEATURE = {"dtype": str, "shape": [int], "names?": object}
SHAPE = {"codebase_version": str, "fps": float, "features": {str: FEATURE}}
NUMBERS = ("float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16")
PICTURES = ("image", "video")
WIDEST = 4096  # numbers of a vector
MOST_NAMED = 64  # numbers that are fields with names of their own


class _Described:
    """Schema of a dataset, and the features of which it consists."""

    def __init__(self, folder: Path) -> None:
        self.folder, where = folder, folder / "meta" / INFO
        try:
            info = read_json(where, SHAPE, error=RecordingError)
        except FileNotFoundError:
            raise UsageError(f"{where} does not exist; expected a LeRobot dataset") from None
        if info["codebase_version"] not in VERSIONS:
            raise RecordingError(
                f"{where}: codebase_version is '{info['codebase_version'][:20]}', expected one of "
                f"{', '.join(VERSIONS)}"
            )
        self.features: dict[str, Any] = info["features"]
        self.block: Mapping[str, Any] | None = None
        self.left_out = sorted(k for k, v in self.features.items() if v["dtype"] in PICTURES)
        own_file = folder / "meta" / OWN
        if own_file.is_file():
            self.schema = self._read_block(own_file)
        else:
            self.schema = self._describe(info, folder.resolve().name, str(where))

    def _read_block(self, path: Path) -> Schema:
        _, pyarrow = load_pyarrow()
        try:
            texts = _open(path).schema_arrow.metadata or {}
        except (pyarrow.ArrowException, OSError) as error:
            raise RecordingError(f"{path}: cannot be read as parquet: {error}") from error
        block: dict[str, Any] = parse_json(
            texts.get(own.KEY.encode(), b"{}"), str(path), own.BLOCK, error=RecordingError
        )
        schema, self.block = own.schema_of(block, str(path)), block
        keys = own.vector_keys(schema)
        self.widths = {
            name: len(own.names_of(schema, each))
            for name, each in zip((STATE, ACTION), keys, strict=True)
        }
        if own.has_reward(schema):
            self.widths[REWARD] = 1
        return schema

    def _describe(self, info: Mapping[str, Any], name: str, where: str) -> Schema:
        seen = [
            key for key in self.features if key.startswith("observation.") and self._is_vector(key)
        ]
        missing = [] if ACTION in self.features and self._is_vector(ACTION) else [ACTION]
        missing += [] if seen else ["observation.*"]
        if missing:
            found = ", ".join(f"{k} ({v['dtype']})" for k, v in list(self.features.items())[:12])
            raise RecordingError(
                f"{where}: lacks {' and '.join(missing)} as vectors of numbers; it has {found}"
            )
        fps = float(info["fps"])
        if not 0 < fps <= 10_000:
            raise RecordingError(f"{where}: fps is {fps:g}, expected 1 to 10,000")
        self.widths = {key: self._width(key) for key in (*seen, ACTION)}
        state = [self._group(key, "obs" + key.removeprefix("observation")) for key in seen]
        if REWARD in self.features:
            self.widths[REWARD] = 1
            state.append(Group("step", (Real("reward", predict="value"),)))
        safe = re.sub(r"[^\w.-]", "_", name)
        return Schema(
            f"lerobot:{safe}", fps=fps, state=tuple(state), controls=self._controls(), players=1
        )

    def _is_vector(self, key: str) -> bool:
        feature = self.features[key]
        return feature["dtype"] in NUMBERS and 0 < self._width(key) <= WIDEST

    def _width(self, key: str) -> int:
        shape = self.features[key]["shape"]
        return math.prod(shape) if all(0 < n <= WIDEST for n in shape) and len(shape) < 4 else 0

    def _names(self, key: str) -> list[str]:
        """Names of the numbers of a vector as names of fields, or none."""
        names: Any = self.features[key].get("names")
        if isinstance(names, dict) and len(names) == 1:
            names = next(iter(names.values()))
        width = self._width(key)
        if not isinstance(names, list) or len(names) != width or width > MOST_NAMED:
            return []
        safe = [re.sub(r"[^a-z0-9_]", "_", str(each).lower())[:40] for each in names]
        ok = len(set(safe)) == width and all(each[:1].isalpha() for each in safe)
        return safe if ok else []

    def _group(self, key: str, name: str) -> Group:
        name = re.sub(r"[^a-z0-9_]", "_", name.lower())
        kind: Any = Flag if self.features[key]["dtype"] == "bool" else Real
        if names := self._names(key):
            return Group(name, tuple(kind(each) for each in names))
        return Group(name, (kind("value"),), slots=self._width(key))

    def _controls(self) -> Group:
        kind: Any = Flag if self.features[ACTION]["dtype"] == "bool" else Real
        names = self._names(ACTION) or [f"value_{i}" for i in range(self._width(ACTION))]
        return Group("action", tuple(kind(each) for each in names), per="player")


def lerobot_game(place: Path) -> tuple[Game, Path]:
    """Game of a dataset in a folder, and its file."""
    load_pyarrow()
    known = _Described(place)
    game = game_of_schema(known.schema, known.block["event_kinds"] if known.block else ())
    return replace(game, reader=READER, reader_endings=(INFO,)), place / "meta" / INFO


def read_lerobot(content: Path | bytes, name: str) -> Iterator[Episode]:
    """Episodes of the dataset of `meta/info.json`, in the order of its files."""
    _, pyarrow = load_pyarrow()
    path = Path(name)
    if not path.is_file():
        raise RecordingError("its data is needed as well: unpack the archive first")
    known = _Described(path.parent.parent)
    try:
        entries = _entries(known)
        for at, (number, arrays) in enumerate(_episodes(known)):
            yield _episode(known, arrays, entries, at, f"{known.folder}: episode {number}")
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordingError(f"{known.folder}: cannot be read as parquet: {error}") from error


def _entries(known: _Described) -> Iterator[tuple[dict[str, Any], Array]]:
    """Entry and last state of each episode, if the dataset is ours."""
    if known.block is None:
        return
    path = known.folder / "meta" / OWN
    for _, table in _groups(path, ["entry", STATE]):
        states = _numbers(table, STATE, known.widths[STATE], str(path))
        for text, state in zip(table["entry"].to_pylist(), states, strict=True):
            yield own.read_entry(text.encode(), str(path)), state


def _episodes(known: _Described) -> Iterator[tuple[int, dict[str, Array]]]:
    """Number and arrays [T, numbers] of each episode, which may span files or share one."""
    paths = sorted((known.folder / "data").glob("*/*.parquet"))
    if not paths:
        raise RecordingError(f"{known.folder}: no file data/chunk-*/*.parquet")
    names = ["episode_index", *known.widths]
    held: list[dict[str, Array]] = []
    for path in paths:
        for _, table in _groups(path, names):
            arrays = {key: _numbers(table, key, n, str(path)) for key, n in known.widths.items()}
            arrays["episode_index"] = table["episode_index"].to_numpy()
            arrays |= {DONE: table[DONE].to_numpy()} if DONE in table.column_names else {}
            numbers = arrays["episode_index"]
            ends = [*(np.flatnonzero(np.diff(numbers)) + 1), len(numbers)]
            for first, end in zip([0, *ends], ends, strict=False):
                if held and held[-1]["episode_index"][0] != numbers[first]:
                    yield int(held[-1]["episode_index"][0]), _joined(held)
                    held = []
                held.append({key: values[first:end] for key, values in arrays.items()})
                if sum(len(each["episode_index"]) for each in held) > own.MOST_ROWS:
                    raise RecordingError(f"{path}: an episode has more than {own.MOST_ROWS:,} rows")
    if held:
        yield int(held[-1]["episode_index"][0]), _joined(held)


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _open(path: Path) -> Any:
    parquet, _ = load_pyarrow()
    return parquet.ParquetFile(path)


def _groups(path: Path, wanted: list[str]) -> Iterator[tuple[int, Any]]:
    """Row groups of a file, with the wanted columns, each checked before it is read."""
    file = _open(path)
    found = file.schema_arrow.names
    if missing := [name for name in wanted if name not in found]:
        raise RecordingError(f"{path}: lacks the columns {', '.join(missing)}")
    names = [*wanted, *([DONE] if DONE in found and DONE not in wanted else [])]
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if group.num_rows > own.MOST_ROWS or group.total_byte_size > own.LARGEST_EPISODE:
            raise RecordingError(
                f"{path}: a row group has {group.num_rows:,} rows and {group.total_byte_size:,} "
                "bytes, which is too large; write smaller ones"
            )
        if group.num_rows:
            yield number, file.read_row_group(number, columns=names)


def _numbers(table: Any, name: str, width: int, where: str) -> Array:
    """Vectors f32 [rows, width] of a column of numbers or of lists of them."""
    _, pyarrow = load_pyarrow()
    column = table[name].combine_chunks()
    column = column.chunk(0) if isinstance(column, pyarrow.ChunkedArray) else column
    if column.null_count:
        raise RecordingError(f"{where}: {name} has {column.null_count:,} empty values")
    while pyarrow.types.is_list(column.type) or pyarrow.types.is_fixed_size_list(column.type):
        column = column.flatten()
    kind = column.type
    if not (
        pyarrow.types.is_floating(kind)
        or pyarrow.types.is_integer(kind)
        or pyarrow.types.is_boolean(kind)
    ):
        raise RecordingError(f"{where}: {name} holds {kind}, expected numbers")
    if len(column) != len(table) * width or column.null_count:
        raise RecordingError(
            f"{where}: {name} has {len(column):,} numbers in {len(table):,} rows, expected {width} each"
        )
    flat = column.to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(table), width)


def _episode(
    known: _Described,
    arrays: Mapping[str, Array],
    entries: Iterator[tuple[dict[str, Any], Array]],
    at: int,
    where: str,
) -> Episode:
    schema = known.schema
    if known.block is None:
        return _other_episode(known, arrays, at)
    entry, last = next(entries, (None, None))
    if entry is None or last is None:
        raise RecordingError(f"{where}: '{OWN}' lacks its entry")
    seen, done = own.vector_keys(schema)
    acted = arrays[ACTION]
    columns = own.columns_of_vector(schema, seen, np.vstack([arrays[STATE], last[None]]), where)
    columns |= own.columns_of_vector(
        schema, done, np.vstack([acted, np.zeros_like(acted[:1])]), where
    )
    if own.has_reward(schema):
        columns[own.REWARD] = np.vstack([np.zeros((1, 1), np.float32), arrays[REWARD]])
    return own.episode_of(schema, columns, entry, at, where)


def _other_episode(known: _Described, arrays: Mapping[str, Array], at: int) -> Episode:
    """Episode of a dataset that another program wrote: T frames are T rows, T - 1 decisions."""
    schema = known.schema
    columns: Columns = {}
    vectors = [arrays[key] for key in known.widths if key not in (REWARD, ACTION)]
    groups = [group for group in schema.state if group.name != "step"]
    for group, vector in zip(groups, vectors, strict=True):
        for i, field in enumerate(group.fields):
            part = vector if group.slots > 1 else vector[:, i : i + 1]
            columns[f"{group.name}/{field.name}"] = (
                part.astype(bool) if field.kind == "flag" else part
            )
    for i, key in enumerate(schema.control_keys):
        part = arrays[ACTION][:, i : i + 1].copy()
        part[-1] = 0
        flags = schema.columns[key].field.kind == "flag"
        columns[key] = part.astype(bool) if flags else part
    result: dict[str, Any] = {"reason": "over"}
    if REWARD in known.widths:
        earned = arrays[REWARD]
        columns[own.REWARD] = np.vstack([np.zeros((1, 1), np.float32), earned[:-1]])
        result["return"] = float(np.sum(earned, dtype=np.float64))
    if DONE in arrays:
        result["terminated"] = bool(arrays[DONE][-1])
    meta: dict[str, Any] = {"players": [UNKNOWN], "world": schema.name, "result": result}
    if at == 0 and known.left_out:
        meta["notes"] = [f"left out, as pictures: {', '.join(known.left_out)}"]
    return Episode(columns, {**meta, "part": at})
