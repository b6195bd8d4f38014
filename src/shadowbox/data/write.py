"""Writer of a store: one at a time, whole shards, and a manifest that is replaced last."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from shadowbox import __version__
from shadowbox.core import system
from shadowbox.core.episode import Episode, PackedEpisode, check, check_packed
from shadowbox.core.files import write_whole
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Schema, require_same
from shadowbox.core.tracks import pack_tracks
from shadowbox.data import manifest
from shadowbox.data.lock import _Lock
from shadowbox.data.manifest import Manifest, ShardEntry, _FileEntry
from shadowbox.data.soundness import damage_in, episode_digest, npy_chunks, reasons
from shadowbox.data.store import PARTS, Shard, Store, index_dtype
from shadowbox.data.tracks import tracks_file
from shadowbox.errors import SchemaMismatch, StoreError, UsageError

# a shard is held in memory until it is written; a power cut loses at most this much
SHARD_BYTES = 256 << 20
LARGEST_SHARD = 2 << 30
FOLD_BYTES = 16 << 20  # a last shard below this is written again together with new episodes


class Writer:
    """Appends episodes to a store, creating the store if there is none.

    Use it as a context: leaving it commits, an exception leaves the store at its last commit.

        with Writer("data/paddles", SCHEMA) as writer:
            writer.add(episode)
    """

    def __init__(
        self,
        path: str | Path,
        schema: Schema,
        *,
        event_kinds: Sequence[str] = (),
        made: Mapping[str, Any] | None = None,
        shard_bytes: int = SHARD_BYTES,
        replace: Manifest | None = None,
        new: bool = False,
    ) -> None:
        """Open or create a store for writing.

        `event_kinds` names the kinds of events and `made` describes the origin of the data; both
        are used when the store is created. `replace` is the manifest of a store whose content is
        written again, which becomes visible only at the end; a store that changed since is refused.
        `new` refuses a store that exists.
        """
        if not 0 < shard_bytes <= LARGEST_SHARD:
            raise UsageError(
                f"shard_bytes must be from 1 to {LARGEST_SHARD:,} (got {shard_bytes:,})"
            )
        self.path = Path(path)
        self.schema = schema
        self._shard_bytes = shard_bytes
        self._replace = replace is not None
        self._lock = _Lock(self.path)
        try:
            self._manifest = self._open(schema, tuple(event_kinds), made)
            self._require_expected(replace, new)
            self._remove_unnamed_files()
            self._shards: list[ShardEntry] = [] if replace else list(self._manifest.shards)
            self._next_shard = self._manifest.next_shard
            self._pending = _Pending(schema, 0 if replace else self._manifest.episodes)
        except BaseException:
            self._lock.release()
            raise

    @property
    def episodes(self) -> int:
        """Number of episodes in the store, including those that are not committed yet."""
        return self._pending.first + len(self._pending.index)

    def add(self, episode: Episode | PackedEpisode) -> int:
        """Check, pack and append an episode. Return its number in the store."""
        name = f"episode {self.episodes}" + _source(episode.meta)
        if isinstance(episode, PackedEpisode):
            check_packed(episode, self.schema, name, self._manifest.event_kinds)
            none = np.packbits(np.zeros(len(self.schema.columns), bool), bitorder="little")
            return self.add_packed(episode.rows, episode.events, episode.meta, none)
        check(episode, self.schema, name, self._manifest.event_kinds)
        absent = np.packbits(~episode.valid(self.schema), bitorder="little")
        return self.add_packed(
            self.schema.pack(episode.columns),
            episode.events,
            dict(episode.meta),
            absent,
            tracks=episode.tracks,
        )

    def add_packed(
        self,
        rows: Array,
        events: Array,
        meta: Mapping[str, Any],
        absent: Array,
        digest: bytes | None = None,
        tracks: Mapping[str, Array] | None = None,
    ) -> int:
        """Append an episode that was packed by the same schema. Return its number in the store.

        `digest` is its `episode_digest`, if already computed. `tracks` [T + 1, ...] by `SEAT/NAME`.
        """
        if rows.nbytes > LARGEST_SHARD:
            raise StoreError(
                f"an episode must have at most {LARGEST_SHARD:,} bytes of rows "
                f"(got {rows.nbytes:,}); split it into shorter ones"
            )
        if self._pending.nbytes and self._pending.nbytes + rows.nbytes > self._shard_bytes:
            self._write_shard()
            if not self._replace:
                self._publish()
        return self._pending.add(
            rows, events, meta, absent, digest or episode_digest(rows, events, absent), tracks
        )

    def commit(self) -> None:
        """Make all episodes added so far part of the store."""
        if self._replace:
            raise UsageError(
                "a writer that replaces a store cannot commit before its end; leave its context"
            )
        self._write_shard()
        self._publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._write_shard()
                self._publish()
        finally:
            self._remove_unnamed_files()
            self._lock.release()

    # ---- inside ----------------------------------------------------------------------------------

    def _open(
        self, schema: Schema, event_kinds: tuple[str, ...], made: Mapping[str, Any] | None
    ) -> Manifest:
        if not (self.path / manifest.NAME).exists():
            facts = {
                "by": f"shadowbox {__version__}",
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            return Manifest(schema, made={**facts, **(made or {})}, event_kinds=event_kinds)
        existing = Store(self.path).manifest
        require_same(schema, existing.schema, f"store {self.path}")
        if event_kinds and event_kinds != existing.event_kinds:
            raise SchemaMismatch(
                f"store {self.path} has the event kinds {existing.event_kinds}, got {event_kinds}; "
                f"write to another store"
            )
        return existing

    def _require_expected(self, replace: Manifest | None, new: bool) -> None:
        """Compare the store with the one that the caller saw; called under the lock."""
        there = self._manifest
        if new and (self.path / manifest.NAME).exists():
            raise StoreError(
                f"{self.path} exists already: another process has written it; choose another path"
            )
        if replace is not None and (replace.shards, replace.next_shard) != (
            there.shards,
            there.next_shard,
        ):
            raise StoreError(f"{self.path} was changed since it was opened: open it again")
        # said before the caller's work, which a damaged shard would lose at the end
        if not self._replace and there.shards and self._may_fold(there.shards[-1], 0):
            _require_sound(Shard(self.path, there.shards[-1], self.schema))

    def _write_shard(self) -> None:
        if not len(self._pending.index):
            return
        last = self._shards[-1] if self._shards else None
        if (
            last is not None
            and last in self._manifest.shards
            and self._may_fold(last, self._pending.nbytes)
        ):
            shard = Shard(self.path, last, self.schema)
            _require_sound(shard)
            self._pending.put_before(shard)
            self._shards.pop()
        entry = self._pending.write(self.path, self._next_shard)
        self._shards.append(entry)
        self._next_shard += 1
        self._pending = _Pending(self.schema, entry.first + entry.episodes)

    def _may_fold(self, last: ShardEntry, more: int) -> bool:
        last_bytes = last.files["rows"].bytes
        return last_bytes < FOLD_BYTES and last_bytes + more <= self._shard_bytes

    def _publish(self) -> None:
        if tuple(self._shards) == self._manifest.shards and (self.path / manifest.NAME).exists():
            return
        fresh = self._manifest.with_shards(tuple(self._shards), self._next_shard)
        try:
            manifest.write_manifest(self.path, fresh)
        except OSError as error:
            raise _not_written(self.path / manifest.NAME, error) from error
        self._manifest = fresh
        self._remove_unnamed_files()

    def _remove_unnamed_files(self) -> None:
        """Remove files that killed or replaced writers left behind.

        Called only under the lock, and limited to files named as a writer names them.
        """
        named = {entry.name for shard in self._manifest.shards for entry in shard.files.values()}
        for path in self.path.iterdir():
            ours = path.name.endswith(".tmp") or path.name.partition(".")[2] in PARTS.values()
            if ours and path.name not in named:
                system.discard(path)  # where a reader has it open, a later writer removes it


class _Pending:
    """Packed rows and index lines of a shard that is not written yet, in memory."""

    def __init__(self, schema: Schema, first: int) -> None:
        self.schema, self.first = schema, first
        self.rows: list[Array] = []
        self.events: list[Array] = []
        self.meta: list[bytes] = []
        self.index: list[tuple[Any, ...]] = []
        self.tracks: dict[int, Array] = {}  # packed, by position in the shard
        self.n_rows = self.n_events = self.n_meta = self.nbytes = 0

    def add(
        self,
        rows: Array,
        events: Array,
        meta: Mapping[str, Any],
        absent: Array,
        digest: bytes,
        tracks: Mapping[str, Array] | None,
    ) -> int:
        number = self.first + len(self.index)
        if tracks:
            packed = self.tracks[len(self.index)] = pack_tracks(tracks)
            self.nbytes += packed.nbytes
        line = json.dumps(dict(meta), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        numbered = events.copy()
        numbered["match"] = number
        identity = np.frombuffer(digest, np.uint8)
        self.index.append(
            (
                self.n_rows,
                len(rows),
                len(events),
                self.n_events,
                self.n_meta,
                len(line),
                identity,
                absent,
            )
        )
        self.rows.append(rows)
        self.events.append(numbered)
        self.meta.append(line)
        self.n_rows += len(rows)
        self.n_events += len(events)
        self.n_meta += len(line)
        self.nbytes += rows.nbytes
        return number

    def put_before(self, shard: Shard) -> None:
        """Insert the content of an existing shard in front; its episodes keep their numbers."""
        shift = (shard.entry.rows, shard.entry.events, len(shard.meta))
        before = {at: shard.tracks_at(at) for at in range(shard.entry.episodes)}
        self.tracks = {
            **{at: pack_tracks(tracks) for at, tracks in before.items() if tracks},
            **{at + shard.entry.episodes: packed for at, packed in self.tracks.items()},
        }
        moved = [
            (s + shift[0], n, e, es + shift[1], ms + shift[2], *rest)
            for s, n, e, es, ms, *rest in self.index
        ]
        self.index = [*(tuple(line) for line in shard.index), *moved]
        self.rows.insert(0, np.array(shard.rows))
        self.events.insert(0, np.array(shard.events))
        self.meta.insert(0, shard.meta.tobytes())
        self.n_rows, self.n_events, self.n_meta = (
            self.n_rows + shift[0],
            self.n_events + shift[1],
            self.n_meta + shift[2],
        )
        self.first = shard.entry.first

    def write(self, folder: Path, number: int) -> ShardEntry:
        """Write the files, which no manifest names yet."""
        index = np.array(self.index, index_dtype(self.schema))
        content = {
            "rows": npy_chunks(self.rows, self.schema.row_dtype, self.n_rows),
            "episodes": npy_chunks([index], index.dtype, len(index)),
            "events": npy_chunks(self.events, EVENT, self.n_events),
            "meta": [memoryview(line) for line in self.meta],
        }
        if self.tracks:
            content["tracks"] = [memoryview(tracks_file(self.tracks))]
        files = {}
        for part, chunks in content.items():
            path = folder / f"{number:05d}.{PARTS[part]}"
            digest = hashlib.blake2b(digest_size=32)
            for chunk in chunks:
                digest.update(chunk)
            try:
                write_whole(path, chunks)
            except OSError as error:
                raise _not_written(path, error) from error
            files[part] = _FileEntry(
                path.name, sum(chunk.nbytes for chunk in chunks), digest.hexdigest()
            )
        return ShardEntry(number, self.first, len(index), self.n_rows, self.n_events, files)


def _source(meta: Mapping[str, Any]) -> str:
    source = meta.get("source")
    return f" ({source})" if isinstance(source, str) else ""


def _require_sound(shard: Shard) -> None:
    """Refuse to write a damaged shard again, which would give its episodes a new digest."""
    if damage := damage_in(shard):
        raise StoreError(
            f"{shard.folder} cannot be appended to: its last episodes are damaged "
            f"({'; '.join(reasons(damage))}); restore it from a copy, or keep what is sound with: "
            f"shadowbox store salvage {shard.folder} --out NEW"
        )


def _not_written(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written: {error.strerror}; the store is unchanged since its last commit"
    )
