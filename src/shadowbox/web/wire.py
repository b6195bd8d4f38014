"""What goes over a socket, in both directions.

To a page: one JSON hello; then binary messages of rows and JSON messages of all else, by `kind`:

    hello    page/match_page.py: columns and where they lie, fps, players, world, scene; and `match`, its number
    (bytes)  number of the first row and how many (u32 each, little end first), then the rows as a store has them
    events   what happened, in the order in which it did
    state    paused, speed, and how many are watching
    gap      rows [first, end) were skipped, because this page was too slow; it may ask for them
    end      the result
    saved    where the match was stored, or why it was not
    refused  why a message was not obeyed

From a page: JSON of at most LONGEST characters, one of the classes below. Everything else ends the
connection.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, fields
from typing import Any

from shadowbox.errors import UsageError
from shadowbox.play.live import SPEEDS

LONGEST = 4096  # characters
MOST_KEYS = 64
MOST_STEPS = 300  # frames at once
HEAD = struct.Struct("<II")


@dataclass(frozen=True)
class OwnKey:
    """Whoever holds the key that starting the match gave may lead it."""

    key: str


@dataclass(frozen=True)
class Pause:
    """Stand still, or go on."""

    on: bool


@dataclass(frozen=True)
class Step:
    """Go on by so many frames while paused."""

    frames: int

    def __post_init__(self) -> None:
        _must(1 <= self.frames <= MOST_STEPS, f"frames is 1 to {MOST_STEPS}")


@dataclass(frozen=True)
class Speed:
    """Times the game's own."""

    times: float

    def __post_init__(self) -> None:
        _must(
            self.times in SPEEDS, f"times is one of {', '.join(f'{speed:g}' for speed in SPEEDS)}"
        )


@dataclass(frozen=True)
class Keys:
    """The controls that a person holds from now on."""

    held: list[str]

    def __post_init__(self) -> None:
        fit = len(self.held) <= MOST_KEYS and all(isinstance(key, str) for key in self.held)
        _must(fit, f"held is a list of at most {MOST_KEYS} names")


@dataclass(frozen=True)
class RowRange:
    """Send the rows [first, end) again."""

    first: int
    end: int

    def __post_init__(self) -> None:
        _must(0 <= self.first < self.end, "first and end are a range of rows")


Message = OwnKey | Pause | Step | Speed | Keys | RowRange
KINDS: dict[str, type[Message]] = {
    "own": OwnKey,
    "pause": Pause,
    "step": Step,
    "speed": Speed,
    "keys": Keys,
    "want": RowRange,
}
TYPES = {"str": str, "bool": bool, "int": int, "float": (int, float), "list[str]": list}


def parse(text: str) -> Message:
    """A message of a page; anything that is none is a UsageError."""
    _must(len(text) <= LONGEST, f"a message has at most {LONGEST} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("this is not JSON") from None
    _must(isinstance(data, dict), "a message is an object")
    kind = KINDS.get(str(data.pop("kind", "")))
    if kind is None:
        raise UsageError(f"a message has a kind: {', '.join(KINDS)}")
    wanted = {field.name: TYPES[str(field.type)] for field in fields(kind)}
    _must(data.keys() == wanted.keys(), f"such a message has {', '.join(wanted)}")
    for name, allowed in wanted.items():
        value = data[name]
        fits = isinstance(value, allowed) and (allowed is bool or not isinstance(value, bool))  # type: ignore[arg-type]
        _must(fits, f"{name} has the wrong type")
    return kind(**data)


def say(kind: str, **more: Any) -> str:
    """A JSON message to a page."""
    return json.dumps({"kind": kind, **more}, allow_nan=False, separators=(",", ":"))


def packed(first: int, rows: bytes, width: int) -> bytes:
    """A binary message to a page."""
    return HEAD.pack(first, len(rows) // width) + rows


def _must(fits: bool, words: str) -> None:
    if not fits:
        raise UsageError(words)
