"""Soundness of what a store holds: digests of its files and episodes, checked before a copy."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array
from shadowbox.data.store import DIGEST_BYTES, Shard, Store
from shadowbox.errors import StoreError

OWN_DIGEST = ("rows", "events")  # parts whose damage the digest of an episode shows


def episode_digest(rows: Array, events: Array, absent: Array) -> bytes:
    """Digest of an episode's rows, absent columns and events, independent of its number."""
    digest = hashlib.blake2b(
        np.ascontiguousarray(rows).view(np.uint8).data, digest_size=DIGEST_BYTES
    )
    digest.update(absent.tobytes())
    unnumbered = events.copy()
    unnumbered["match"] = 0
    digest.update(unnumbered.tobytes())
    return digest.digest()


def npy_chunks(arrays: list[Array], dtype: np.dtype[Any], length: int) -> list[memoryview]:
    """Chunks of an `.npy` file: its header, then the arrays one after another, not joined."""
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        header,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)},
    )
    data = (np.ascontiguousarray(array).view(np.uint8).data for array in arrays if len(array))
    return [memoryview(header.getvalue()), *data]


def is_file_sound(shard: Shard, part: str) -> bool:
    """Return true if a file of a shard has the size and digest that the manifest names."""
    entry = shard.entry.files[part]
    try:
        with open(shard.path(part), "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32))
            return file.tell() == entry.bytes and digest.hexdigest() == entry.blake2b
    except OSError:
        return False


def damage_in(shard: Shard) -> dict[int, str]:
    """Reason by number for each episode of a shard that is not proven to be as it was written.

    Every file is hashed again, once for an opened store. Rows and events are proven episode by
    episode. The index, metadata and tracks have one digest for the whole shard, so damage there
    concerns all its episodes.
    """
    if shard.damage is None:
        shard.damage = _damage(shard)
    return shard.damage


def _damage(shard: Shard) -> dict[int, str]:
    broken = [part for part in shard.entry.files if not is_file_sound(shard, part)]
    if not broken:
        return {}
    numbers = range(shard.entry.first, shard.entry.first + shard.entry.episodes)
    if others := [part for part in broken if part not in OWN_DIGEST]:
        reason = ", ".join(shard.path(part).name for part in others)
        return dict.fromkeys(numbers, f"the digest of {reason} differs")
    names = ", ".join(shard.path(part).name for part in broken)
    if any(has_other_header(shard, part) for part in broken):
        return dict.fromkeys(numbers, f"the header of {names} is damaged")
    return dict.fromkeys(unsound_episodes(shard), f"its digest differs, in {names}")


def require_sound(store: Store, episodes: Iterable[int]) -> None:
    """Refuse damaged episodes, by number: a copy of them would get a new digest."""
    for number in episodes:
        if reason := damage_in(store.shard_at(number)).get(number):
            raise StoreError(
                f"{store.path}#{number} is damaged ({reason}): restore {store.path} from a copy, "
                f"or keep what is sound with: shadowbox store salvage {store.path} --out NEW"
            )


def reasons(damage: Mapping[int, str]) -> list[str]:
    """Lines of text, one for each reason, with its episodes."""
    by_reason: dict[str, list[int]] = {}
    for number, reason in sorted(damage.items()):
        by_reason.setdefault(reason, []).append(number)
    return [f"{in_words(numbers)}: {reason}" for reason, numbers in by_reason.items()]


def in_words(numbers: Sequence[int]) -> str:
    """Episodes by number as text; empty for none."""
    if not numbers:
        return ""
    names = ", ".join(map(str, numbers[:20]))
    more = f" and {len(numbers) - 20:,} more" if len(numbers) > 20 else ""
    return f"episode{'s' if len(numbers) > 1 else ''} {names}{more}"


def unsound_episodes(shard: Shard) -> list[int]:
    """Episodes of a shard whose rows, events or absent columns differ from their digest."""
    return [
        shard.entry.first + at for at in range(shard.entry.episodes) if not _is_sound(shard, at)
    ]


def _is_sound(shard: Shard, at: int) -> bool:
    line = shard.index[at]
    start, events = int(line["start"]), int(line["event_start"])
    found = episode_digest(
        shard.rows[start : start + int(line["rows"])],
        shard.events[events : events + int(line["events"])],
        line["absent"],
    )
    return found == bytes(line["digest"].tobytes())


def has_other_header(shard: Shard, part: str) -> bool:
    """Return true if the header of a file of rows or events differs from what a writer writes."""
    dtype, length = {
        "rows": (shard.schema.row_dtype, shard.entry.rows),
        "events": (EVENT, shard.entry.events),
    }[part]
    header = bytes(npy_chunks([], dtype, length)[0])
    try:
        with open(shard.path(part), "rb") as file:
            return file.read(len(header)) != header
    except OSError:
        return True
