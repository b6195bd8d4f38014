"""Table of the `.slp` format: every event, its fields in order, and each field's first version.

Reader, writer, defaults and payload sizes all come from `EVENTS`. Events have only grown at their
end, so a field's offset never changes and a shorter payload is an older one. Integers and floats
are big-endian in the file; rows of frame events are returned little-endian (see `byte_order`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Version = tuple[int, int, int]
Since = tuple[int, int]

FIRST_FRAME = -123  # the clock starts at 0; from -39 on controllers count
NEWEST: Version = (3, 18, 0)

EVENT_SIZES, GAME_START, PRE, POST, GAME_END = 0x35, 0x36, 0x37, 0x38, 0x39
FRAME_START, ITEM, FRAME_END, GECKO, PIECE = 0x3A, 0x3B, 0x3C, 0x3D, 0x10
FOUNTAIN, WHISPY, STADIUM = 0x3F, 0x40, 0x41
# 512 bytes of content, the number of valid ones (u16), the event they belong to, a flag of the last
PIECE_SIZE = 516
NO_GROUND, NO_PLAYER = 0xFFFF, 6


@dataclass(frozen=True)
class _SlpField:
    """Field of an event: name, NumPy format without byte order, first version, unset value."""

    name: str
    format: str
    since: Since = (0, 1)
    default: float = 0
    count: int = 1  # more than one: an array

    @property
    def size(self) -> int:
        """Size in the file, in bytes."""
        return int(np.dtype(self.format).itemsize) * self.count


@dataclass(frozen=True)
class _SlpEvent:
    """Kind of event: its command byte and its fields, in the order of the file."""

    code: int
    name: str
    fields: tuple[_SlpField, ...]

    @property
    def since(self) -> Since:
        """First version that has the event."""
        return self.fields[0].since

    @property
    def least(self) -> int:
        """Smallest payload of any version, in bytes."""
        return sum(field.size for field in self.fields if field.since == self.since)

    def size(self, version: Version) -> int:
        """Size of the payload in a version, in bytes; 0 where the version lacks the event."""
        return sum(field.size for field in self.fields if field.since <= version[:2])

    def dtype(self, size: int, order: str = "<") -> np.dtype[Any]:
        """Packed dtype of the fields that fit completely into a payload of `size` bytes."""
        members: list[tuple[Any, ...]] = []
        at = 0
        for field in self.fields:
            at += field.size
            if at > size:
                break
            kind = order + field.format
            members.append(
                (field.name, kind) if field.count == 1 else (field.name, kind, (field.count,))
            )
        return np.dtype(members)

    def blank(self, size: int, rows: int) -> Array:
        """Rows with the default in every field."""
        values = np.zeros(rows, self.dtype(size))
        for field in self.fields:
            if field.default and field.name in (values.dtype.names or ()):
                values[field.name] = field.default
        return values


@cache
def byte_order(dtype: np.dtype[Any]) -> Array:
    """Position in the big-endian file of each byte of a little-endian row, int64[itemsize].

    The permutation is its own inverse.
    """
    order = np.arange(dtype.itemsize)
    for name in dtype.names or ():
        member, at = dtype.fields[name][:2]  # type: ignore[index]
        width = member.base.itemsize
        for start in range(at, at + member.itemsize, width):
            order[start : start + width] = order[start : start + width][::-1]
    return order


def fields(formats: str, since: Since = (0, 1), default: float = 0) -> tuple[_SlpField, ...]:
    """Parse fields of one version from `"x y:f4 state:u2"`.

    A name without a format takes the next format to its right.
    """
    named: list[_SlpField] = []
    waiting: list[str] = []
    for word in formats.split():
        name, _, kind = word.partition(":")
        waiting.append(name)
        if kind:
            named += [_SlpField(each, kind, since, default) for each in waiting]
            waiting.clear()
    assert not waiting, "the last field of a list needs a format"
    return tuple(named)


_WHO = fields("frame:i4 port follower:u1")

EVENTS: dict[str, _SlpEvent] = {
    event.name: event
    for event in (
        _SlpEvent(
            GAME_START,
            "start",
            (
                _SlpField("version", "u1", count=4),
                _SlpField("block", "u1", count=312),  # the game's own settings: `start.BLOCK`
                *fields("seed:u4"),
                # dash back and shield drop of each port
                _SlpField("controller_fixes", "u4", (1, 0), count=8),
                _SlpField("nametags", "u1", (1, 3), count=4 * 16),
                *fields("is_pal:u1", (1, 5)),
                *fields("frozen_stadium:u1", (2, 0)),
                *fields("minor_scene major_scene:u1", (3, 7)),
                _SlpField("display_names", "u1", (3, 9), count=4 * 31),
                _SlpField("connect_codes", "u1", (3, 9), count=4 * 10),
                _SlpField("user_ids", "u1", (3, 11), count=4 * 29),
                *fields("language:u1", (3, 12)),
                _SlpField("match_id", "u1", (3, 14), count=51),
                *fields("game_number tiebreak:u4", (3, 14)),
            ),
        ),
        _SlpEvent(
            PRE,
            "pre",
            (
                *_WHO,
                *fields("seed:u4 state:u2 x y facing main_x main_y c_x c_y trigger:f4"),
                *fields("buttons:u4 buttons_physical:u2 trigger_l trigger_r:f4"),
                *fields("raw_main_x:i1", (1, 2)),
                *fields("percent:f4", (1, 4)),
                *fields("raw_main_y:i1", (3, 15)),
                *fields("raw_c_x raw_c_y:i1", (3, 17)),
            ),
        ),
        _SlpEvent(
            POST,
            "post",
            (
                *_WHO,
                *fields("character:u1 state:u2 x y facing percent shield:f4 last_attack combo:u1"),
                *fields("last_hit_by:u1", default=NO_PLAYER),
                *fields("stocks:u1"),
                *fields("state_age:f4", (0, 2)),
                _SlpField("flags", "u1", (2, 0), count=5),
                # misc: hitstun left while the flag says so, else a union
                *fields("misc:f4 airborne:u1", (2, 0)),
                *fields("ground:u2", (2, 0), NO_GROUND),
                *fields("jumps l_cancel:u1", (2, 0)),
                *fields("hurtbox:u1", (2, 1)),
                *fields("air_vx vy knockback_vx knockback_vy ground_vx:f4", (3, 5)),
                *fields("hitlag:f4", (3, 8)),
                *fields("animation:u4", (3, 11)),
                *fields("instance_hit_by instance:u2", (3, 16)),
            ),
        ),
        _SlpEvent(
            GAME_END,
            "end",
            (
                *fields("method:u1"),
                *fields("lras:i1", (2, 0), -1),
                _SlpField("placements", "i1", (3, 13), -1, count=4),
            ),
        ),
        _SlpEvent(
            FRAME_START,
            "frame_start",
            (*fields("frame:i4 seed:u4", (2, 2)), *fields("scene_counter:u4", (3, 10))),
        ),
        _SlpEvent(
            ITEM,
            "item",
            (
                *fields(
                    "frame:i4 type:u2 state:u1 facing vx vy x y:f4 damage:u2 timer:f4 spawn:u4",
                    (3, 0),
                ),
                _SlpField("misc", "u1", (3, 2), count=4),
                *fields("owner:i1", (3, 6), -1),
                *fields("instance:u2", (3, 16)),
            ),
        ),
        _SlpEvent(
            FRAME_END, "frame_end", (*fields("frame:i4", (3, 0)), *fields("finalized:i4", (3, 7)))
        ),
        _SlpEvent(FOUNTAIN, "fountain", fields("frame:i4 platform:u1 height:f4", (3, 18))),
        _SlpEvent(WHISPY, "whispy", fields("frame:i4 blowing:u1", (3, 18))),
        _SlpEvent(STADIUM, "stadium", fields("frame:i4 event type:u2", (3, 18))),
    )
}
SPARSE = ("item", "fountain", "whispy", "stadium")  # any number per frame, usually none


def sizes(version: Version, *, gecko: int = 0) -> dict[int, int]:
    """Payload sizes of a version's events in bytes, in the order of recorders.

    `gecko` is the size of the list of game codes; without such a list its events are not listed,
    because a size of 0 stops other readers.
    """
    listed = {
        event.code: event.size(version) for event in EVENTS.values() if event.since <= version[:2]
    }
    if not gecko:
        return listed
    late = {
        event.code: listed.pop(event.code)
        for event in EVENTS.values()
        if event.since > (3, 3) and event.code in listed
    }
    # the true size of the list may not fit into 16 bits; its pieces hold it
    return listed | {GECKO: gecko & 0xFFFF, PIECE: PIECE_SIZE} | late
