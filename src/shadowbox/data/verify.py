"""Verification of a store: every file is hashed again, and damage is traced to its episodes."""

from __future__ import annotations

import hashlib

from shadowbox.data.store import Progress, Shard, Store, missing_or_resized
from shadowbox.data.write import episode_digest, npy_chunks


def verify(store: Store, progress: Progress | None = None) -> list[str]:
    """Hash every file of a store again. Return a line for each damaged file and its episodes.

    Open the store with `whole=False`, so that missing files are reported here with all the others.
    """
    lines = list(missing_or_resized(store))
    total = sum(entry.bytes for shard in store.manifest.shards for entry in shard.files.values())
    bytes_done = 0
    for shard in store.shards:
        for part, entry in shard.entry.files.items():
            path = store.path / entry.name
            bytes_done += entry.bytes
            if any(line.startswith(f"{path} ") for line in lines):
                continue
            with open(path, "rb") as file:
                digest = hashlib.file_digest(
                    file, lambda: hashlib.blake2b(digest_size=32)
                ).hexdigest()
            if digest != entry.blake2b:
                lines.append(
                    f"{path} is damaged (its digest differs): {_damaged(store, shard, part)}; "
                    f"restore it from a copy"
                )
            if progress:
                progress(bytes_done, total)
    return lines


def _damaged(store: Store, shard: Shard, part: str) -> str:
    """Episodes of a shard, as text, whose content differs from the index."""
    if part != "rows":
        return f"it holds {shard.entry.episode_range()}"
    header = bytes(npy_chunks([], store.schema.row_dtype, shard.entry.rows)[0])
    with open(shard.path("rows"), "rb") as file:
        if file.read(len(header)) != header:
            return f"its header, and with it {shard.entry.episode_range()}"
    broken = []
    for at, line in enumerate(shard.index):
        start, events = int(line["start"]), int(line["event_start"])
        rows = shard.rows[start : start + int(line["rows"])]
        digest = episode_digest(
            rows, shard.events[events : events + int(line["events"])], line["absent"]
        )
        if digest != line["digest"].tobytes():
            broken.append(str(shard.entry.first + at))
    names = ", ".join(broken[:20]) + (f" and {len(broken) - 20} more" if len(broken) > 20 else "")
    return (
        f"episode{'s' if len(broken) > 1 else ''} {names}"
        if broken
        else "no episode's content differs"
    )
