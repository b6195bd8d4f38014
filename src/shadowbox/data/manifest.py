"""`manifest.json`, the list of a store's shards and the only file that is ever replaced.

Replacing it is the moment at which a write becomes visible. It holds the schema, the layout of a
row for readers without this package, the shards with the digest of each of their files, and the
origin of the data. A seal over its own text distinguishes an edit by hand from a commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shadowbox.core.files import mismatches, read_json, write_whole
from shadowbox.core.schema import Schema
from shadowbox.errors import SchemaError, StoreError

NAME = "manifest.json"
FORMAT = "shadowbox store"
VERSION = 1
PARTS = {
    "rows": "rows.npy",
    "episodes": "episodes.npy",
    "events": "events.npy",
    "meta": "meta.jsonl",
    "tracks": "tracks.npz",  # only where an episode of the shard has tracks
}
NEEDED = ("rows", "episodes", "events", "meta")  # parts of every shard
_FILE = {"name": str, "bytes": int, "blake2b": str}
_SHARD = {"number": int, "first": int, "episodes": int, "rows": int, "events": int}
SHAPE = {
    "facts_hash": str,
    "event_kinds": [str],
    "made": dict,
    "next_shard": int,
    "shards": [{**_SHARD, "files": {str: _FILE}}],
    "schema": dict,
}


@dataclass(frozen=True)
class _FileEntry:
    """File of a shard: its name, and its size and digest when it was written."""

    name: str
    bytes: int
    blake2b: str


@dataclass(frozen=True)
class ShardEntry:
    """Shard that holds the episodes `first` to `first + episodes - 1`: its counts and files."""

    number: int
    first: int
    episodes: int
    rows: int
    events: int
    files: Mapping[str, _FileEntry]  # rows, episodes, events, meta

    def episode_range(self) -> str:
        """Episodes of the shard as text."""
        last = self.first + self.episodes - 1
        return f"episode {self.first}" if last == self.first else f"episodes {self.first} to {last}"


@dataclass(frozen=True)
class Manifest:
    """Description of a store: schema, shards and origin."""

    schema: Schema
    shards: tuple[ShardEntry, ...] = ()
    # numbers are never used twice, so an old reader never sees a new file under an old name
    next_shard: int = 0
    made: Mapping[str, Any] = field(default_factory=dict)
    # names of the events' `kind`, so that a store can be read without its game
    event_kinds: tuple[str, ...] = ()

    @property
    def episodes(self) -> int:
        """Number of episodes in all shards."""
        return sum(shard.episodes for shard in self.shards)

    @property
    def rows(self) -> int:
        """Number of rows in all shards: the frames, and one more for each episode."""
        return sum(shard.rows for shard in self.shards)

    def with_shards(self, shards: tuple[ShardEntry, ...], next_shard: int) -> Manifest:
        """Copy of the manifest with other shards."""
        return replace(self, shards=shards, next_shard=next_shard)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Publish a manifest: after this rename its shards are the store."""
    data = _to_json(manifest)
    data["seal"] = _seal(data)
    write_whole(folder / NAME, (json.dumps(data, indent=1) + "\n").encode())


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a store; StoreError in one line if there is none."""
    path = folder / NAME
    try:
        data = read_json(path, error=StoreError)
    except FileNotFoundError:
        raise StoreError(f"{folder} is not a store: expected a {NAME} in it") from None
    if data.get("format") != FORMAT:
        raise StoreError(
            f"{path} is not the manifest of a store: format must be '{FORMAT}' "
            f"(got {data.get('format')!r:.80})"
        )
    if data.get("version") != VERSION:
        raise StoreError(
            f"{path} has version {data.get('version')!r}, this Shadowbox reads {VERSION}; "
            f"update Shadowbox"
        )
    if data.pop("seal", None) != _seal(data):
        raise StoreError(
            f"{path} was changed by hand: its seal does not match its text; "
            f"undo the change or restore a copy"
        )
    for problem in mismatches(data, SHAPE):
        raise StoreError(f"{path} cannot be used: {problem}; restore a copy")
    try:
        return _from_json(data)
    except (ValueError, SchemaError) as error:
        raise StoreError(f"{path} cannot be used: {error}; restore a copy") from error


def _seal(data: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in data.items() if key != "seal"}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _to_json(manifest: Manifest) -> dict[str, Any]:
    schema = manifest.schema
    return {
        "format": FORMAT,
        "version": VERSION,
        "game": schema.name,
        "facts_hash": schema.facts_hash,
        "counts": {
            "episodes": manifest.episodes,
            "rows": manifest.rows,
            "frames": manifest.rows - manifest.episodes,
        },
        "row": {
            "bytes": schema.row_dtype.itemsize,
            "flags": schema.flag_bits,  # the first bit of each flag inside the row's member `bits`
            "units": {
                key: column.field.unit
                for key, column in schema.columns.items()
                if column.field.unit
            },
        },
        "event_kinds": list(manifest.event_kinds),
        "made": dict(manifest.made),
        "next_shard": manifest.next_shard,
        "shards": [
            {
                "number": shard.number,
                "first": shard.first,
                "episodes": shard.episodes,
                "rows": shard.rows,
                "events": shard.events,
                "files": {part: vars(entry) for part, entry in shard.files.items()},
            }
            for shard in manifest.shards
        ],
        "schema": schema.to_json(),
    }


def _from_json(data: Mapping[str, Any]) -> Manifest:
    schema = Schema.from_json(data["schema"])
    shards: list[ShardEntry] = []
    for at, entry in enumerate(data["shards"]):
        files = {
            part: _FileEntry(**{name: file[name] for name in _FILE})
            for part, file in entry["files"].items()
        }
        shards.append(ShardEntry(**{**{name: entry[name] for name in _SHARD}, "files": files}))
        first = shards[-2].first + shards[-2].episodes if at else 0
        for problem in _shard_problems(shards[-1], first, schema):
            raise ValueError(f"shards[{at}].{problem}")
    manifest = Manifest(
        schema=schema,
        shards=tuple(shards),
        next_shard=data["next_shard"],
        made=data["made"],
        event_kinds=tuple(data["event_kinds"]),
    )
    if manifest.schema.facts_hash != data["facts_hash"]:
        raise ValueError("facts_hash does not match schema")
    numbers = [shard.number for shard in shards]
    if len({*numbers}) < len(numbers) or manifest.next_shard <= max(numbers, default=-1):
        raise ValueError("next_shard must be above the numbers of the shards, all different")
    return manifest


def _shard_problems(shard: ShardEntry, first: int, schema: Schema) -> Iterator[str]:
    """Contradictions of a shard's entry, each with its key.

    No count is larger than its file can hold, so that none makes a reader reserve memory for it.
    """
    if shard.first != first:
        yield f"first must be {first}, after the shard before (got {shard.first})"
    if shard.number < 0:
        yield f"number must be 0 or more (got {shard.number})"
    for part in (*NEEDED, *shard.files):
        if part not in PARTS or part not in shard.files:
            yield f"files must be {', '.join(NEEDED)} and perhaps tracks (got {sorted(shard.files)})"
        elif shard.files[part].name != f"{shard.number:05d}.{PARTS[part]}":
            yield (
                f"files.{part}.name must be {shard.number:05d}.{PARTS[part]} "
                f"(got {shard.files[part].name[:80]!r})"
            )
    for name, part, each in (
        ("rows", "rows", schema.row_dtype.itemsize),
        ("episodes", "episodes", 1),
        ("events", "events", 1),
    ):
        count, there = getattr(shard, name), shard.files[part].bytes
        if not (name == "events" or count >= 1) or not 0 <= count * each <= there:
            yield f"{name} must fit into a file of {there} bytes (got {count})"
