"""Parts of a replay's file before and after its events: their sizes, and the metadata."""

from __future__ import annotations

from typing import Any

import numpy as np

from shadowbox.errors import RecordingError
from shadowbox.games.melee.slp import ubjson
from shadowbox.games.melee.slp.layout import EVENT_SIZES, EVENTS, GAME_START, Array

METADATA = b"U\x08metadata"
MAX_METADATA = 1 << 20

Problem = tuple[str, int | None, str]  # kind, byte, message


def event_sizes(content: bytes, begin: int, end: int) -> Array:
    """Declared sizes of events i32[256], -1 of unlisted ones; at least those of the first version."""
    if end - begin < 2 or content[begin] != EVENT_SIZES:
        raise RecordingError(
            f"byte {begin}: expected the list of event sizes; the file is unreadable without it"
        )
    size = content[begin + 1]
    if size < 1 or (size - 1) % 3 or begin + 1 + size > end:
        raise RecordingError(
            f"byte {begin + 1}: impossible size of the list of event sizes ({size} bytes); "
            "the file is damaged or cut"
        )
    sizes = np.full(256, -1, np.int32)
    sizes[EVENT_SIZES] = size
    for at in range(begin + 2, begin + 1 + size, 3):
        sizes[content[at]] = int.from_bytes(content[at + 1 : at + 3], "big")
    for event in EVENTS.values():
        if 0 <= sizes[event.code] < event.least:
            raise RecordingError(
                f"byte {begin}: {event.name} events must have at least {event.least} bytes "
                f"(declared: {sizes[event.code]})"
            )
    if sizes[GAME_START] < 0:
        raise RecordingError(
            f"byte {begin}: the list of event sizes lacks the game start (0x{GAME_START:02x})"
        )
    return sizes


def read_metadata(content: bytes, at: int) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Metadata from byte `at` on, None where it cannot be read, and everything wrong with it."""
    if not content.startswith(METADATA, at):
        return None, [("no-metadata", at, "no metadata follows the events")]
    try:
        begin = at + len(METADATA)
        value, used = ubjson.decode(content[begin : begin + MAX_METADATA])
        at = begin + used
    except RecordingError as error:
        return None, [("bad-metadata", None, f"the metadata is unreadable: {error}")]
    problems: list[Problem] = []
    if content[at:] != b"}":
        rest = len(content) - at
        problems.append(
            ("trailing", at, f"expected one byte after the metadata, the file has {rest}")
        )
    if isinstance(value, dict):
        return value, problems
    return None, [*problems, ("bad-metadata", at, "the metadata must be a map")]
