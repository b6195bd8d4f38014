"""Verification of a store: every file is hashed again, and damage is traced to its episodes."""

from __future__ import annotations

from shadowbox.data.soundness import (
    has_other_header,
    in_words,
    is_file_sound,
    unsound_episodes,
)
from shadowbox.data.store import Progress, Shard, Store, missing_or_resized


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
            if not is_file_sound(shard, part):
                lines.append(
                    f"{path} is damaged (its digest differs): {_damaged(shard, part)}; "
                    f"restore it from a copy"
                )
            if progress:
                progress(bytes_done, total)
    return lines


def _damaged(shard: Shard, part: str) -> str:
    """Episodes of a shard, as text, whose content differs from the index."""
    if part != "rows":
        return f"it holds {shard.entry.episode_range()}"
    if has_other_header(shard, part):
        return f"its header, and with it {shard.entry.episode_range()}"
    return in_words(unsound_episodes(shard)) or "no episode's content differs"
