"""`manifest.json`: the one file of a store that ever changes, and the moment at which a write becomes true.

It holds the schema, the layout of a row for readers without this package, the list of shards with
the digest of each of their files, and who made the data. A seal over its own text tells an edit by
hand from a commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shadowbox.core.files import write_whole
from shadowbox.core.schema import Schema
from shadowbox.errors import SchemaError, StoreError

NAME = "manifest.json"
FORMAT = "shadowbox store"
VERSION = 1


@dataclass(frozen=True)
class FileEntry:
    """One file of a shard, as it was when it was written."""

    name: str
    bytes: int
    blake2b: str


@dataclass(frozen=True)
class ShardEntry:
    """One shard: rows, episode index, events and metadata of the episodes `first` ..

    `first + episodes - 1`.
    """

    number: int
    first: int
    episodes: int
    rows: int
    events: int
    files: Mapping[str, FileEntry]  # rows, episodes, events, meta

    def episode_range(self) -> str:
        """The episodes in words."""
        last = self.first + self.episodes - 1
        return f"episode {self.first}" if last == self.first else f"episodes {self.first} to {last}"


@dataclass(frozen=True)
class Manifest:
    """What a store says of itself."""

    schema: Schema
    shards: tuple[ShardEntry, ...] = ()
    # numbers are never used twice, so an old reader never sees a new file under an old name
    next_shard: int = 0
    made: Mapping[str, Any] = field(default_factory=dict)
    # names of the events' `kind`, so that a store explains itself
    event_kinds: tuple[str, ...] = ()

    @property
    def episodes(self) -> int:
        """Episodes in all shards."""
        return sum(shard.episodes for shard in self.shards)

    @property
    def rows(self) -> int:
        """Rows in all shards: the frames, and one more for each episode."""
        return sum(shard.rows for shard in self.shards)

    def with_shards(self, shards: tuple[ShardEntry, ...], next_shard: int) -> Manifest:
        """The same store with other shards."""
        return replace(self, shards=shards, next_shard=next_shard)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Publish: after this rename the shards that it names are the store."""
    data = _to_json(manifest)
    data["seal"] = _seal(data)
    write_whole(folder / NAME, (json.dumps(data, indent=1) + "\n").encode())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a store, or one clear line why there is none."""
    path = folder / NAME
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{folder} is no store: there is no {NAME} in it") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}; restore it from a copy") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise StoreError(f"{path} is not the manifest of a store: its format is not '{FORMAT}'")
    if data.get("version") != VERSION:
        raise StoreError(
            f"{path} has version {data.get('version')!r}, this Shadowbox reads {VERSION}: update Shadowbox"
        )
    if data.pop("seal", None) != _seal(data):
        raise StoreError(
            f"{path} was changed by hand: its seal does not fit its text; undo the change or restore a copy"
        )
    try:
        return _from_json(data)
    except (KeyError, TypeError, ValueError, SchemaError) as error:
        raise StoreError(f"{path} cannot be understood: {type(error).__name__}: {error}") from error


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
    shards = []
    for given in data["shards"]:
        files = {part: FileEntry(**entry) for part, entry in given["files"].items()}
        shards.append(ShardEntry(**{**given, "files": files}))
    manifest = Manifest(
        schema=Schema.from_json(data["schema"]),
        shards=tuple(shards),
        next_shard=data["next_shard"],
        made=data["made"],
        event_kinds=tuple(data["event_kinds"]),
    )
    if manifest.schema.facts_hash != data["facts_hash"]:
        raise ValueError("its facts hash does not fit its schema")
    return manifest
