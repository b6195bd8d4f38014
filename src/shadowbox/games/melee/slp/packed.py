"""Packed replays (`.slpz`), unpacked into the bytes of the `.slp` that they were made from.

Header of 24 bytes, six big-endian numbers: version (0), places of the event sizes, the game start, the
metadata and the packed events, and the size of the unpacked events. The first three parts are those
of a `.slp`, byte for byte. The events are one zstd frame: their number, the code of each, and then the
payloads by code, all first bytes, all second bytes, and so on.
"""

from __future__ import annotations

import importlib
import struct
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.files import read_bytes
from shadowbox.errors import RecordingError, install_hint
from shadowbox.games.melee.slp.layout import EVENT_SIZES
from shadowbox.games.melee.slp.read import HEAD, MAX_BYTES

HEADER = struct.Struct(">6I")
VERSION = 0
# unpacked over packed bytes, beyond a megabyte: a replay packs to about a tenth
MOST_PACKED, SMALL = 100, 1 << 20


def unpack_file(source: Path | bytes, name: str) -> bytes:
    """The replay in a `.slpz`, given as a file or as its bytes."""
    if isinstance(source, Path):
        source = read_bytes(source, error=RecordingError, largest=MAX_BYTES)
    return unpack(source, name)


def unpack(content: bytes, name: str) -> bytes:
    """The replay in the bytes of a `.slpz`; `name` begins the messages."""
    if len(content) < HEADER.size:
        raise RecordingError(f"{name}: {len(content)} bytes, {HEADER.size} of a header are needed")
    version, sizes_at, start_at, meta_at, events_at, size = HEADER.unpack_from(content)
    if version != VERSION:
        raise RecordingError(f"{name}: version {version} of .slpz; only {VERSION} is known")
    if not HEADER.size <= sizes_at <= start_at <= meta_at <= events_at <= len(content):
        raise RecordingError(
            f"{name}: its parts begin at {sizes_at:,}, {start_at:,}, {meta_at:,} and {events_at:,} of "
            f"{len(content):,} bytes; they must follow one another"
        )
    sizes = _event_sizes(content[sizes_at:start_at], name)
    head = content[sizes_at:meta_at]
    events = _in_order(_unpacked(content[events_at:], size, name), sizes, name)
    raw = struct.pack(">I", len(head) + len(events))
    return b"".join((HEAD, raw, head, events, content[meta_at:events_at]))


def _event_sizes(part: bytes, name: str) -> dict[int, int]:
    """Payload bytes of each event code."""
    if len(part) < 2 or part[0] != EVENT_SIZES or len(part) != 1 + part[1] or part[1] % 3 != 1:
        raise RecordingError(f"{name}: its list of event sizes is damaged")
    return {part[at]: int.from_bytes(part[at + 1 : at + 3], "big") for at in range(2, len(part), 3)}


def _unpacked(packed: bytes, size: int, name: str) -> bytes:
    """The zstd frame, of exactly `size` bytes; more memory than that is never taken."""
    allowed = min(MAX_BYTES, max(SMALL, MOST_PACKED * len(packed)))
    if not 4 <= size <= allowed:
        raise RecordingError(
            f"{name}: {len(packed):,} bytes of events say that they unpack to {size:,}; 4 to "
            f"{allowed:,} are allowed"
        )
    zstd = _zstd()
    decoder = zstd.ZstdDecompressor()
    try:
        found: bytes = decoder.decompress(packed, size + 1)
    except (zstd.ZstdError, EOFError, MemoryError) as error:
        raise RecordingError(f"{name}: its events cannot be unpacked: {error}") from error
    if not decoder.eof or len(found) != size or decoder.unused_data:
        raise RecordingError(f"{name}: its events unpack to other than the {size:,} bytes it says")
    return found


def _in_order(data: bytes, sizes: dict[int, int], name: str) -> bytes:
    """Events one after another, each with its code, from codes and payloads by byte."""
    count = int.from_bytes(data[:4], "big")
    codes = np.frombuffer(data, np.uint8, count=min(count, len(data) - 4), offset=4)
    unknown = sorted(set(np.unique(codes).tolist()) - set(sizes))
    lengths = np.array([sizes.get(code, 0) for code in range(256)], np.int64)
    wanted = 4 + count + int(lengths[codes].sum())
    if len(codes) != count or unknown or wanted != len(data):
        why = f"unknown codes {unknown[:5]}" if unknown else f"{wanted:,} of {len(data):,} bytes"
        raise RecordingError(f"{name}: {count:,} events do not fit together ({why})")
    ends = np.cumsum(1 + lengths[codes])
    starts = ends - 1 - lengths[codes]
    found = np.empty(int(ends[-1]) if count else 0, np.uint8)
    found[starts] = codes
    at = 4 + count
    for code in np.unique(codes).tolist():
        here, length = starts[codes == code], int(lengths[code])
        columns = np.frombuffer(data, np.uint8, count=len(here) * length, offset=at)
        at += len(here) * length
        rows = columns.reshape(length, len(here)).T
        found[here[:, None] + 1 + np.arange(length)] = rows
    return found.tobytes()


def _zstd() -> Any:
    """The standard library's zstd, or its backport for earlier versions of Python."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise RecordingError(f".slpz needs zstd: {install_hint('sevenzip')}")
