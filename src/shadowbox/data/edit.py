"""Edits of whole stores: merge, split, drop, salvage, export. Packed rows are copied unchanged."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.files import write_whole
from shadowbox.core.schema import Array, Columns, require_same
from shadowbox.data.exchange.parquet import PARQUET, write_parquet
from shadowbox.data.frames_json import frame_lines
from shadowbox.data.lock import LOCK
from shadowbox.data.manifest import NAME
from shadowbox.data.soundness import damage_in, reasons, require_sound
from shadowbox.data.split import SIDES, Split
from shadowbox.data.store import Progress, Store
from shadowbox.data.write import Writer
from shadowbox.errors import (
    SchemaMismatch,
    ShadowboxError,
    StoreError,
    UsageError,
)


def copy(source: Store, episodes: Iterable[int], writer: Writer) -> int:
    """Append episodes of one store to another of the same schema. Return their number.

    A damaged episode is refused; sound ones keep their digests.
    """
    before = writer.episodes
    for number in episodes:
        require_sound(source, [number])
        line = source.line_of(number)
        writer.add_packed(
            source.rows_of(number),
            source.events_of(number),
            source.meta_of(number),
            np.array(line["absent"]),
            line["digest"].tobytes(),
            source.tracks_of(number),
        )
    return writer.episodes - before


def merge(
    sources: Sequence[Store], out: Path, *, unique: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Write all episodes of several stores, in order, into a new one. Return counts.

    `unique` leaves out episodes whose content came before.
    """
    _must_be_new(out, sources)
    for source in sources[1:]:
        require_same(sources[0].schema, source.schema, f"store {source.path}")
        if source.manifest.event_kinds != sources[0].manifest.event_kinds:
            raise SchemaMismatch(
                f"{source.path} has the event kinds {source.manifest.event_kinds}, expected "
                f"{sources[0].manifest.event_kinds} as in {sources[0].path}; "
                f"only stores with the same event kinds can be merged"
            )
    for source in sources:
        require_sound(source, range(len(source)))  # before the first of them is visible
    total, done, seen = sum(map(len, sources)), 0, set[bytes]()
    with _like(sources[0], out, {"merged": [source.fingerprint for source in sources]}) as writer:
        for source in sources:
            digests = [line.tobytes() for line in source.index["digest"]]
            for number, digest in enumerate(digests):
                if not (unique and digest in seen):
                    copy(source, [number], writer)
                seen.add(digest)
                done += 1
                if progress:
                    progress(done, total)
    return {"episodes": len(Store(out)), "left_out": total - len(Store(out))}


def split(source: Store, out: Path, shares: Split) -> dict[str, int]:
    """Write one store for each side that has episodes, in the folder `out`. Return their counts.

    `dropped` counts the episodes that are on no side.
    """
    for side in SIDES:
        _must_be_new(out / side, [source])
    if (out / NAME).exists():
        raise UsageError(f"{out} is a store: choose another folder for the sides")
    sides = {side: shares.episodes(source, side).tolist() for side in SIDES}
    for episodes in sides.values():
        require_sound(source, episodes)  # before the first of them is visible
    made = {"split": shares.to_json(), "from": source.fingerprint}
    for side, episodes in sides.items():
        if episodes:
            with _like(source, out / side, made) as writer:
                copy(source, episodes, writer)
    counts = {side: len(episodes) for side, episodes in sides.items()}
    return {**counts, "dropped": len(source) - sum(counts.values())}


def drop(source: Store, episodes: Sequence[int]) -> int:
    """Rewrite a store without some episodes. Return how many remain.

    Later episodes get new numbers; readers see the change all at once. A store that was changed
    since it was opened is refused, since its episodes may have other numbers by now.
    """
    for number in episodes:
        source.rows_of(number)  # refuses an unknown number before anything is written
    kept = [number for number in range(len(source)) if number not in set(episodes)]
    with Writer(source.path, source.schema, replace=source.manifest) as writer:
        return copy(source, kept, writer)


def salvage(source: Store, out: Path, progress: Progress | None = None) -> dict[int, str]:
    """Write all sound episodes of a damaged store into a new one. Return the reason for the others.

    Open the store with `whole=False`, so that missing files cost only the episodes in them.
    """
    _must_be_new(out, [source])
    damage = {at: why for shard in source.shards for at, why in damage_in(shard).items()}
    sound = [number for number in range(len(source)) if number not in damage]
    if not sound:
        raise StoreError(
            f"{source.path}: none of its {len(source)} episodes is sound "
            f"({'; '.join(reasons(damage))}); restore it from a copy"
        )
    made = {**source.manifest.made, "salvaged": {"left_out": len(damage)}}
    with _like(source, out, made) as writer:
        for done, number in enumerate(sound, start=1):
            copy(source, [number], writer)
            if progress:
                progress(done, len(sound))
    return damage


def export(source: Store, episodes: Sequence[int], out: Path) -> None:
    """Export columns of some episodes to a `.npz`, `.parquet` or `.jsonl` file for other programs.

    A row of a parquet file (data/exchange/parquet.py), and a line of JSON (data/frames_json.py), is
    one frame.
    """
    if out.suffix not in (".npz", PARQUET, ".jsonl"):
        raise UsageError(f"{out}: expected a name that ends with .npz, .parquet or .jsonl")
    if not len(episodes):
        raise UsageError(f"{source.path}: no episode to export; name at least one")
    require_sound(source, episodes)
    if out.suffix == PARQUET:
        file = io.BytesIO()
        write_parquet(source, episodes, file)
        _write(out, file.getvalue())
        return
    parts = [source.episode(number) for number in episodes]
    if out.suffix == ".jsonl":
        _write(out, _json_lines(source, episodes, parts))
        return
    columns: Columns = {
        "episode": np.repeat(np.asarray(episodes, np.int32), [part.rows for part in parts]),
        "frame": np.concatenate([np.arange(part.rows, dtype=np.int32) for part in parts]),
        **{
            key: np.concatenate([part.columns[key] for part in parts])
            for key in source.schema.columns
        },
    }
    meta = json.dumps([dict(part.meta) for part in parts])
    events = np.concatenate([part.events for part in parts])
    _write(out, _npz(columns, events, meta))


def _write(out: Path, content: bytes) -> None:
    try:
        write_whole(out, content)
    except OSError as error:
        raise ShadowboxError(f"{out} cannot be written: {error.strerror}") from error


def _json_lines(source: Store, episodes: Sequence[int], parts: Sequence[Episode]) -> bytes:
    """Lines of JSON of some episodes, each with its episode."""
    kinds = source.manifest.event_kinds
    lines = [
        line
        for number, part in zip(episodes, parts, strict=True)
        for line in frame_lines(source.schema, part, kinds, {"episode": int(number)})
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _like(source: Store, out: Path, made: dict[str, Any]) -> Writer:
    kinds = source.manifest.event_kinds
    return Writer(out, source.schema, event_kinds=kinds, made=made, new=True)


def _npz(columns: Columns, events: Array, meta: str) -> bytes:
    """Content of an npz file: arrays by column, structured `events`, and `meta` as JSON text."""
    file = io.BytesIO()
    members: dict[str, Any] = {**columns, "events": events, "meta": np.array(meta)}
    np.savez_compressed(file, **members)
    return file.getvalue()


def _must_be_new(path: Path, sources: Sequence[Store]) -> None:
    for source in sources:
        folder = source.path.resolve()
        if folder == path.resolve() or folder in path.resolve().parents:
            raise UsageError(f"{path} is inside the store {source.path}; choose another path")
    if not path.exists():
        return
    if not path.is_dir() or any(each.name != LOCK for each in path.iterdir()):
        raise UsageError(f"{path} exists already; choose another path or remove it first")
