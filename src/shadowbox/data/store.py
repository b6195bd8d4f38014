"""A store: episodes as packed rows in memory-mapped `.npy` shards.

    STORE/manifest.json           what is here; the only file that is ever replaced
          00000.rows.npy          frames, one packed row each (any NumPy reads it: `np.load(f, mmap_mode="r")["player/x"]`)
          00000.episodes.npy      the episode index: where each begins, its length, its digest
          00000.events.npy        what happened, ordered by episode and frame
          00000.meta.jsonl        one line of metadata an episode
          writer.lock             held (flock) by the one process that writes

Shards never change once they are named in the manifest. A writer collects a shard in memory, writes
its files whole, and then replaces the manifest: before that rename the store is the old one, after
it the new one, and nothing lies between. A killed writer leaves files that nobody names; the next
writer removes them. Readers need no lock and never wait. A last shard that is still small is
written again together with what is appended, so many small appends stay few shards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.schema import Array, Schema, require
from shadowbox.data import manifest
from shadowbox.data.manifest import Manifest, ShardEntry
from shadowbox.errors import StoreError, UsageError

Progress = Callable[[int, int], None]  # done, total

PARTS = {
    "rows": "rows.npy",
    "episodes": "episodes.npy",
    "events": "events.npy",
    "meta": "meta.jsonl",
}
DIGEST_BYTES = 16  # of one episode's content


def index_dtype(schema: Schema) -> np.dtype[Any]:
    """One line of the episode index.

    Positions count from the beginning of the shard's own files.
    """
    return np.dtype(
        [
            ("start", "<u8"),  # first row
            ("rows", "<u4"),
            ("events", "<u4"),
            ("event_start", "<u8"),
            ("meta_start", "<u8"),  # bytes
            ("meta_bytes", "<u4"),
            ("digest", "u1", (DIGEST_BYTES,)),
            # a bit for each column the recording did not have
            ("absent", "u1", ((len(schema.columns) + 7) // 8,)),
        ]
    )


class Shard:
    """The files of one shard, opened when they are first needed."""

    def __init__(self, folder: Path, entry: ShardEntry, schema: Schema) -> None:
        self.folder, self.entry, self.schema = folder, entry, schema

    @cached_property
    def rows(self) -> Array:
        """[rows] packed rows, memory-mapped."""
        return self._map("rows", self.schema.row_dtype, self.entry.rows)

    @cached_property
    def index(self) -> Array:
        """[episodes] of `index_dtype`."""
        return self._map("episodes", index_dtype(self.schema), self.entry.episodes)

    @cached_property
    def events(self) -> Array:
        """[events] of EVENT; `match` is the episode's number in the store."""
        from shadowbox.core.game import EVENT

        return self._map("events", EVENT, self.entry.events)

    @cached_property
    def meta(self) -> Array:
        """The bytes of the metadata lines."""
        path = self.path("meta")
        try:
            return np.fromfile(path, np.uint8)
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error

    def path(self, part: str) -> Path:
        """Where a part of this shard lies."""
        return self.folder / self.entry.files[part].name

    def _map(self, part: str, dtype: np.dtype[Any], length: int) -> Array:
        path = self.path(part)
        try:
            if length == 0:
                return np.zeros(0, dtype)
            array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise StoreError(
                f"{path} is gone: the store was changed while it was open; open it again"
            ) from None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read as an array: {error}") from error
        if array.dtype != dtype or array.shape != (length,):
            raise StoreError(
                f"{path} holds {array.shape} of {array.dtype}, the manifest says ({length},) of {dtype}"
            )
        return array


class Store:
    """A store, read. Opening it reads the manifest alone."""

    def __init__(
        self, path: str | Path, schema: Schema | None = None, *, whole: bool = True
    ) -> None:
        """Open; with `schema` refuse data whose fields it could not use.

        `whole=False` skips the check of file sizes.
        """
        self.path = Path(path)
        self.manifest: Manifest = manifest.read_manifest(self.path)
        self.schema = self.manifest.schema
        if schema is not None:
            require(schema, self.schema, f"store {self.path}")
        self.shards = [Shard(self.path, entry, self.schema) for entry in self.manifest.shards]
        if whole:
            for problem in missing_or_resized(self):
                raise StoreError(problem)

    def __len__(self) -> int:
        return self.manifest.episodes

    @property
    def frames(self) -> int:
        """Decisions in all episodes."""
        return self.manifest.rows - self.manifest.episodes

    @cached_property
    def index(self) -> Array:
        """The episode index of all shards, [E]."""
        parts = [shard.index for shard in self.shards]
        return np.concatenate(parts) if parts else np.zeros(0, index_dtype(self.schema))

    @cached_property
    def lengths(self) -> Array:
        """Rows of each episode, int64 [E]."""
        return self.index["rows"].astype(np.int64)

    @cached_property
    def shard_of(self) -> Array:
        """The shard (position in `shards`) of each episode, [E]."""
        return np.repeat(
            np.arange(len(self.shards)), [shard.entry.episodes for shard in self.shards]
        )

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content: facts hash and every episode's digest, in order.

        Where and when do not count.
        """
        import hashlib

        digest = hashlib.blake2b(self.schema.facts_hash.encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.index["digest"]).tobytes())
        return digest.hexdigest()

    def rows_of(self, episode: int) -> Array:
        """The packed rows [T + 1] of one episode, memory-mapped."""
        shard, line = self._line(episode)
        start = int(line["start"])
        return shard.rows[start : start + int(line["rows"])]

    def events_of(self, episode: int) -> Array:
        """The events of one episode."""
        shard, line = self._line(episode)
        start = int(line["event_start"])
        return shard.events[start : start + int(line["events"])]

    def meta_of(self, episode: int) -> dict[str, Any]:
        """The metadata of one episode."""
        shard, line = self._line(episode)
        start = int(line["meta_start"])
        meta: dict[str, Any] = json.loads(
            shard.meta[start : start + int(line["meta_bytes"])].tobytes()
        )
        return meta

    def absent_in(self, episode: int) -> frozenset[str]:
        """The columns that this episode's recording did not have."""
        bits = np.unpackbits(self._line(episode)[1]["absent"], bitorder="little")
        return frozenset(key for key, bit in zip(self.schema.columns, bits, strict=False) if bit)

    def episode(self, episode: int) -> Episode:
        """One episode, unpacked."""
        columns = self.schema.unpack(self.rows_of(episode))
        return Episode(
            columns, self.meta_of(episode), self.events_of(episode), self.absent_in(episode)
        )

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(number) for number in range(len(self)))

    def _line(self, episode: int) -> tuple[Shard, Any]:
        if not 0 <= episode < len(self):
            raise UsageError(
                f"{self.path} has no episode {episode}: it holds {len(self)}, numbered from 0"
            )
        shard = self.shards[int(self.shard_of[episode])]
        return shard, shard.index[episode - shard.entry.first]


def missing_or_resized(store: Store) -> Iterator[str]:
    """One line for each file that is not as long as the manifest says."""
    for shard in store.shards:
        for entry in shard.entry.files.values():
            path = store.path / entry.name
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                yield f"{path} is missing; it holds {shard.entry.episode_range()}: restore it, or the store from a copy"
            except OSError as error:
                yield f"{path} cannot be read: {error.strerror}"
            else:
                if size != entry.bytes:
                    yield (
                        f"{path} is {size:,} bytes long, {entry.bytes:,} were written; it holds "
                        f"{shard.entry.episode_range()}: restore it from a copy"
                    )


def parse_episode_spec(where: str) -> tuple[Path, int | None]:
    """`PATH` or `PATH#12` -> the store's folder and the episode."""
    path, mark, number = where.partition("#")
    if not mark:
        return Path(path), None
    if not number.isdecimal():
        raise UsageError(f"'{where}': after # comes the number of an episode, as in {path}#12")
    return Path(path), int(number)
