"""Store of episodes: packed rows in memory-mapped `.npy` shards.

    STORE/manifest.json           list of shards; the only file that is ever replaced
          00000.rows.npy          frames, one packed row each; NumPy alone reads them:
                                  `np.load(f, mmap_mode="r")["player/x"]`
          00000.episodes.npy      episode index: first row, length and digest of each
          00000.events.npy        events, ordered by episode and frame
          00000.meta.jsonl        one line of metadata for each episode
          00000.tracks.npz        tracks that agents showed, if there are any (data/tracks.py)
          writer.lock             locked by the one process that writes

Shards never change once they are named in the manifest. A writer collects a shard in memory, writes
its files whole, and then replaces the manifest: before that rename the store is the old one, after
it the new one. A killed writer leaves files that no manifest names; the next writer removes them.
Readers need no lock and never wait. A small last shard is written again together with new episodes,
so many small appends give few shards.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.files import parse_json
from shadowbox.core.schema import Array, Columns, Schema, require
from shadowbox.data import manifest
from shadowbox.data.manifest import PARTS as PARTS
from shadowbox.data.manifest import Manifest, ShardEntry
from shadowbox.data.tracks import read_tracks
from shadowbox.errors import StoreError, UsageError

Progress = Callable[[int, int], None]  # done, total

DIGEST_BYTES = 16  # length of the digest of an episode's content


def index_dtype(schema: Schema) -> np.dtype[Any]:
    """Structure of a line of the episode index; positions count within the shard's own files."""
    return np.dtype(
        [
            ("start", "<u8"),  # first row
            ("rows", "<u4"),
            ("events", "<u4"),
            ("event_start", "<u8"),
            ("meta_start", "<u8"),  # bytes
            ("meta_bytes", "<u4"),
            ("digest", "u1", (DIGEST_BYTES,)),
            # a bit for each column, set if the recording did not have it
            ("absent", "u1", ((len(schema.columns) + 7) // 8,)),
        ]
    )


class Shard:
    """Files of one shard, opened on first use."""

    damage: dict[int, str] | None = None  # damaged episodes, once known (data/soundness.py)

    def __init__(self, folder: Path, entry: ShardEntry, schema: Schema) -> None:
        self.folder, self.entry, self.schema = folder, entry, schema

    @cached_property
    def rows(self) -> Array:
        """Packed rows [rows], memory-mapped."""
        return self._map("rows", self.schema.row_dtype, self.entry.rows)

    @cached_property
    def index(self) -> Array:
        """Lines of the episode index, [episodes] of `index_dtype`."""
        index = self._map("episodes", index_dtype(self.schema), self.entry.episodes)
        meta_bytes = self.entry.files["meta"].bytes
        for start, count, total in (
            ("start", "rows", self.entry.rows),
            ("event_start", "events", self.entry.events),
            ("meta_start", "meta_bytes", meta_bytes),
        ):
            ends = np.cumsum(index[count], dtype=np.uint64)
            wrong = np.append(np.uint64(0), ends[:-1]) != index[start]
            wrong[-1] |= ends[-1] != total
            wrong |= (index[count] == 0) & (count != "events")
            if wrong.any():
                at = int(wrong.argmax())
                raise StoreError(
                    f"{self.path('episodes')}, episode {self.entry.first + at}: {start} "
                    f"{index[start][at]} and {count} {index[count][at]} do not continue the "
                    f"episode before up to {total}; restore it from a copy"
                )
        return index

    @cached_property
    def events(self) -> Array:
        """Events [events] of EVENT; `match` is the number of the episode in the store."""
        from shadowbox.core.game import EVENT

        return self._map("events", EVENT, self.entry.events)

    @cached_property
    def meta(self) -> Array:
        """Bytes of the metadata lines."""
        path = self.path("meta")
        try:
            return np.fromfile(path, np.uint8)
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error

    def tracks_at(self, position: int) -> Columns:
        """Tracks of the episode at a position of this shard; usually there are none."""
        if "tracks" not in self.entry.files:
            return {}
        return read_tracks(self.path("tracks"), position, int(self.index[position]["rows"]))

    def path(self, part: str) -> Path:
        """Path of the file that holds a part of this shard."""
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
        except Exception as error:  # NumPy parses a header as Python; a damaged one raises anything
            raise StoreError(
                f"{path} cannot be read as an array: {error}; restore it from a copy"
            ) from error
        if array.dtype != dtype or array.shape != (length,):
            raise StoreError(
                f"{path}: expected an array of shape ({length},) and type {dtype}, as in the "
                f"manifest, got {array.shape} and {array.dtype}; restore it from a copy"
            )
        return array


class Store:
    """Store opened for reading. Opening reads the manifest alone."""

    def __init__(
        self,
        path: str | Path,
        schema: Schema | None = None,
        *,
        whole: bool = True,
        most: int | None = None,
    ) -> None:
        """Open a store; with `schema`, refuse data whose fields that schema cannot use.

        `whole=False` skips the check of file sizes. `most` opens its first episodes only.
        """
        self.path = Path(path)
        self.manifest: Manifest = manifest.read_manifest(self.path)
        self.schema = self.manifest.schema
        if schema is not None:
            require(schema, self.schema, f"store {self.path}")
        self._most = most
        self.shards = [Shard(self.path, entry, self.schema) for entry in self.manifest.shards]
        if whole:
            for problem in missing_or_resized(self):
                raise StoreError(problem)

    def __len__(self) -> int:
        there = self.manifest.episodes
        return there if self._most is None else min(self._most, there)

    @property
    def frames(self) -> int:
        """Number of decisions in all episodes."""
        if self._most is not None:
            return int(self.lengths.sum()) - len(self)
        return self.manifest.rows - self.manifest.episodes

    def as_of(self, fingerprint: str | None) -> Store:
        """The first episodes of a store that has only grown since it had this fingerprint.

        This store itself, if it still has the fingerprint or never had it.
        """
        if fingerprint in (None, self.fingerprint):
            return self
        digest = _fingerprint_of(self.schema)
        for number, line in enumerate(self.index["digest"]):
            if digest.copy().hexdigest() == fingerprint:
                return Store(self.path, most=number)
            digest.update(line.tobytes())
        return self

    @cached_property
    def index(self) -> Array:
        """Episode index of all shards, [E]."""
        parts = [shard.index for shard in self.shards]
        index = np.concatenate(parts) if parts else np.zeros(0, index_dtype(self.schema))
        return index[: len(self)]

    @cached_property
    def lengths(self) -> Array:
        """Number of rows of each episode, int64 [E]."""
        return self.index["rows"].astype(np.int64)

    @cached_property
    def shard_of(self) -> Array:
        """Position in `shards` of each episode's shard, [E]."""
        return np.repeat(
            np.arange(len(self.shards)), [shard.entry.episodes for shard in self.shards]
        )[: len(self)]

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content: a hash of the facts hash and every episode's digest, in order.

        It is independent of the path, the time and the division into shards.
        """
        digest = _fingerprint_of(self.schema)
        digest.update(np.ascontiguousarray(self.index["digest"]).tobytes())
        return digest.hexdigest()

    def rows_of(self, episode: int) -> Array:
        """Packed rows [T + 1] of an episode, memory-mapped."""
        shard, line = self._line(episode)
        start = int(line["start"])
        return shard.rows[start : start + int(line["rows"])]

    def rows_together(self, episodes: Array, last: bool = True) -> Array:
        """Packed rows of episodes, one after another; without the last row of each if not `last`.

        Much faster than `rows_of` for many short episodes.
        """
        episodes = np.asarray(episodes, np.int64)
        lengths = self.lengths[episodes] - (0 if last else 1)
        ends = np.cumsum(lengths)
        shards = np.repeat(self.shard_of[episodes], lengths)
        first = self.index["start"][episodes].astype(np.int64) - (ends - lengths)
        at = np.repeat(first, lengths) + np.arange(len(shards))  # row of its shard
        rows = np.empty(len(at), self.schema.row_dtype)
        for shard in np.unique(shards):
            chosen = shards == shard
            rows[chosen] = np.asarray(self.shards[int(shard)].rows)[at[chosen]]
        return rows

    def events_of(self, episode: int) -> Array:
        """Events of an episode."""
        shard, line = self._line(episode)
        start = int(line["event_start"])
        return shard.events[start : start + int(line["events"])]

    def meta_of(self, episode: int) -> dict[str, Any]:
        """Metadata of an episode."""
        shard, line = self._line(episode)
        start = int(line["meta_start"])
        meta: dict[str, Any] = parse_json(
            shard.meta[start : start + int(line["meta_bytes"])].tobytes(),
            f"{shard.path('meta')}, episode {episode}",
            error=StoreError,
        )
        return meta

    @cached_property
    def absent(self) -> Array:
        """Mask of the columns that each episode's recording did not have, bool [E, columns]."""
        bits = np.unpackbits(self.index["absent"], axis=-1, bitorder="little")
        return np.asarray(bits[:, : len(self.schema.columns)] == 1)

    def absent_in(self, episode: int) -> frozenset[str]:
        """Columns that the recording of an episode did not have."""
        bits = np.unpackbits(self._line(episode)[1]["absent"], bitorder="little")
        return frozenset(key for key, bit in zip(self.schema.columns, bits, strict=False) if bit)

    def episode(self, episode: int) -> Episode:
        """Unpacked episode."""
        columns = self.schema.unpack(self.rows_of(episode))
        return Episode(
            columns,
            self.meta_of(episode),
            self.events_of(episode),
            self.absent_in(episode),
            self.tracks_of(episode),
        )

    def tracks_of(self, episode: int) -> Columns:
        """Tracks of one episode, [T + 1, ...] by `SEAT/NAME`; usually there are none."""
        shard, _ = self._line(episode)
        return shard.tracks_at(episode - shard.entry.first)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(number) for number in range(len(self)))

    def line_of(self, episode: int) -> Any:
        """Line of the index for an episode."""
        return self._line(episode)[1]

    def _line(self, episode: int) -> tuple[Shard, Any]:
        shard = self.shard_at(episode)
        return shard, shard.index[episode - shard.entry.first]

    def shard_at(self, episode: int) -> Shard:
        """Shard that holds an episode; an unknown number is refused."""
        if not 0 <= episode < len(self):
            raise UsageError(
                f"{self.path} has no episode {episode}: it holds {len(self)}, numbered from 0"
            )
        return self.shards[int(self.shard_of[episode])]


def _fingerprint_of(schema: Schema) -> hashlib.blake2b:
    """Hash of a store without episodes, which takes their digests."""
    return hashlib.blake2b(schema.facts_hash.encode(), digest_size=16)


def missing_or_resized(store: Store) -> Iterator[str]:
    """Lines of text, one for each file whose size differs from the manifest."""
    for shard in store.shards:
        for entry in shard.entry.files.values():
            path = store.path / entry.name
            try:
                about = path.stat()
            except FileNotFoundError:
                yield (
                    f"{path} is missing; it holds {shard.entry.episode_range()}: "
                    f"restore it, or the whole store, from a copy"
                )
            except OSError as error:
                yield f"{path} cannot be read: {error.strerror}"
            else:
                if not stat.S_ISREG(about.st_mode):
                    yield f"{path} is not a plain file; it holds {shard.entry.episode_range()}"
                elif about.st_size != entry.bytes:
                    yield (
                        f"{path} is {about.st_size:,} bytes long, expected {entry.bytes:,}; it holds "
                        f"{shard.entry.episode_range()}: restore it from a copy"
                    )


def parse_episode_spec(spec: str) -> tuple[Path, int | None]:
    """Folder of a store and number of an episode from `PATH#12`; the number is None for `PATH`."""
    path, mark, number = spec.partition("#")
    if not mark:
        return Path(path), None
    if not number.isdecimal():
        raise UsageError(f"'{spec}': expected the number of an episode after #, as in {path}#12")
    return Path(path), int(number)
