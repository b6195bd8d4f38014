"""Messages on the socket of a live match, in both directions.

To a page: one JSON hello, then binary messages of rows, and JSON messages of these kinds:

    hello    columns and their places in a row, fps, players, world, scene (page/match_page.py),
             `tracks` [{name, seat, dtype, shape}], the number of the match, and `sides`, the specs
             of the `game` and of the `dream` between which it can be switched (or neither)
    (bytes)  number of the first row and count of rows (u32 each, little-endian), then the rows,
             packed as in a store, each followed by the values of its tracks in declared order
    events   new events, in order
    state    paused, speed, the number of open pages, the holder of each seat, the world, all worlds
             so far [{from, spec}], and the settings {name: [value, low, high]}
    gap      rows [first, end) were skipped because this page was slow; the page may request them
    end      the result
    saved    the place where the match was stored, or the reason why it was not
    refused  the reason why a message was not obeyed

From a page: JSON text of at most LONGEST characters, of one of the kinds in FIELDS. Any other
message ends the connection.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

from shadowbox.errors import UsageError
from shadowbox.play.live import SPEEDS

LONGEST = 4096  # characters
MOST_KEYS = 64
MOST_STEPS = 300  # frames at once
MOST_SEATS = 16
LONGEST_TEXT = 200  # letters of a name or a spec
MOST_VALUE = 1e9  # of a setting
HEAD = struct.Struct("<II")
FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "own": {"key": str},
    "pause": {"on": bool},
    "step": {"frames": int},
    "speed": {"times": (int, float)},
    "keys": {"held": list},
    "take": {"seat": int, "name": str},
    "give": {"seat": int},
    "world": {"spec": str},
    "set": {"name": str, "value": (int, float)},
    "want": {"first": int, "end": int},
}


@dataclass(frozen=True)
class Message:
    """Message of a page; only the fields of its kind have a meaning."""

    kind: str
    key: str = ""  # own: take control of the match with the key that starting it returned
    on: bool = False  # pause: pause the match, or resume it
    frames: int = 0  # step: number of frames to play while paused
    times: float = 1.0  # speed: multiple of the game's own speed
    held: tuple[str, ...] = ()  # keys: all controls that the person holds from now on
    seat: int = 0  # take, give: the seat to take over from its agent, or to give back
    name: str = ""  # take: the name of the person; set: the setting, such as p0.temperature
    spec: str = ""  # world: the world to continue in, from the current state
    value: float = 0.0  # set: the new value
    first: int = 0  # want: send the rows [first, end) again
    end: int = 0

    def __post_init__(self) -> None:
        match self.kind:
            case "step":
                _check(1 <= self.frames <= MOST_STEPS, f"frames must be 1 to {MOST_STEPS}")
            case "speed":
                speeds = ", ".join(f"{speed:g}" for speed in SPEEDS)
                _check(self.times in SPEEDS, f"times must be one of {speeds}")
            case "keys":
                valid = len(self.held) <= MOST_KEYS and all(isinstance(k, str) for k in self.held)
                _check(valid, f"held must be a list of at most {MOST_KEYS} names")
            case "take" | "give":
                _check(0 <= self.seat < MOST_SEATS, f"seat must be 0 to {MOST_SEATS - 1}")
                valid = len(self.name) <= LONGEST_TEXT
                _check(valid, f"name must have at most {LONGEST_TEXT} letters")
            case "world":
                valid = 0 < len(self.spec) <= LONGEST_TEXT and self.spec.isprintable()
                _check(valid, f"spec must be a text of at most {LONGEST_TEXT} letters")
            case "set":
                valid = len(self.name) <= LONGEST_TEXT and abs(self.value) <= MOST_VALUE
                _check(valid, "value must be a finite number, and name the name of a setting")
            case "want":
                _check(0 <= self.first < self.end, "first and end must be a range of rows")


def parse(text: str) -> Message:
    """Parse and validate a message of a page; raises UsageError, without quoting the message."""
    _check(len(text) <= LONGEST, f"a message must have at most {LONGEST} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("a message must be JSON") from None
    _check(isinstance(data, dict), "a message must be a JSON object")
    kind = str(data.pop("kind", ""))
    types = FIELDS.get(kind)
    if types is None:
        raise UsageError(f"kind must be one of {', '.join(FIELDS)}")
    _check(data.keys() == types.keys(), f"a message of kind {kind} must have {', '.join(types)}")
    for name, allowed in types.items():
        value = data[name]
        valid = isinstance(value, allowed) and (allowed is bool or not isinstance(value, bool))
        _check(valid, f"{name} has the wrong type")
    if kind == "keys":
        data["held"] = tuple(data["held"])
    return Message(kind, **data)


def say(kind: str, **more: Any) -> str:
    """JSON message to a page."""
    return json.dumps({"kind": kind, **more}, allow_nan=False, separators=(",", ":"))


def packed(first: int, rows: bytes, width: int) -> bytes:
    """Binary message to a page: packed rows of `width` bytes each, the first of them `first`."""
    return HEAD.pack(first, len(rows) // width) + rows


def _check(valid: bool, message: str) -> None:
    if not valid:
        raise UsageError(message)
