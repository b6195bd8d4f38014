"""Compiled loops over the bytes of a replay: one finds its events, others move them into rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from shadowbox.games.melee.slp.layout import (
    FOUNTAIN,
    FRAME_END,
    FRAME_START,
    ITEM,
    POST,
    PRE,
    STADIUM,
    WHISPY,
)

Array = np.ndarray[Any, Any]
Function = TypeVar("Function", bound=Callable[..., Any])
UNLISTED, CUT = 1, 2  # reasons why a walk stopped early: unknown size of an event, end of data


def _compiled(function: Function) -> Function:
    return cast(Function, numba.njit(nogil=True, cache=True)(function))


@_compiled
def walk(
    data: Array, at: int, end: int, sizes: Array, keep: Array
) -> tuple[Array, Array, Array, int, int]:
    """Find the events of `data[at:end]` and the pass through a frame that each belongs to.

    data u8[N], sizes i32[256] (payload bytes; -1: not listed), keep bool[256] -> offsets i64[E] of
    the command bytes of the events to keep, rows i32[E], the frame of each row i32[P], the byte at
    which the walk stopped, and the reason (0: the end).

    A pass ("row") begins with a frame start, or with a player's event of another frame or of a
    player who already had one: old recordings have no frame starts, and rollbacks record a frame
    again. Events without a frame have row -1, as have items and stage events that name another
    frame than the one around them.
    """
    least = 1 << 30
    for code in range(256):
        if keep[code] and sizes[code] >= 0:
            least = min(least, sizes[code] + 1)
    room = (end - at) // least + 1
    offsets = np.empty(room, np.int64)
    rows = np.empty(room, np.int32)
    frames = np.empty(room, np.int32)
    count, row, frame, before, after = 0, -1, 0, 0, 0
    while at < end:
        code = data[at]
        size = sizes[code]
        if size < 0:
            return offsets[:count], rows[:count], frames[: row + 1], at, UNLISTED
        if at + 1 + size > end:
            return offsets[:count], rows[:count], frames[: row + 1], at, CUT
        if keep[code]:
            event_row = -1
            if code in (PRE, POST, FRAME_START):
                event_frame = _big_endian(data, at + 1)
                new = row < 0 or event_frame != frame or code == FRAME_START
                player_bit = 0
                if code != FRAME_START:
                    player_bit = 1 << ((data[at + 5] & 3) * 2 + (data[at + 6] & 1))
                    new |= bool((before if code == PRE else after) & player_bit)
                if new:
                    row, frame, before, after = row + 1, event_frame, 0, 0
                    frames[row] = frame
                if code == PRE:
                    before |= player_bit
                elif code == POST:
                    after |= player_bit
                event_row = row
            elif code in (ITEM, FRAME_END, FOUNTAIN, WHISPY, STADIUM):
                event_row = row if row >= 0 and _big_endian(data, at + 1) == frame else -1
            offsets[count] = at
            rows[count] = event_row
            count += 1
        at += 1 + size
    return offsets[:count], rows[:count], frames[: row + 1], at, 0


@_compiled
def _big_endian(data: Array, at: int) -> int:
    value = (
        (np.int64(data[at]) << 24)
        | (np.int64(data[at + 1]) << 16)
        | (np.int64(data[at + 2]) << 8)
        | np.int64(data[at + 3])
    )
    return int(value - (np.int64(1) << 32) if value >= (np.int64(1) << 31) else value)


@_compiled
def gather(data: Array, offsets: Array, into: Array, order: Array, out: Array) -> None:
    """Set `out[into[e]]` to the payload at `offsets[e]`, with its bytes in `order`.

    data u8[N], offsets i64[E], into i64[E], order i64[B], out u8[F, B].
    """
    for event in range(len(offsets)):
        start, row = offsets[event] + 1, into[event]
        for byte in range(len(order)):
            out[row, byte] = data[start + order[byte]]


@_compiled
def scatter(out: Array, offsets: Array, order: Array, rows: Array, code: int) -> None:
    """Write the command byte and payload of each row at its offset: the inverse of `gather`.

    out u8[N], offsets i64[E], order i64[B], rows u8[E, B].
    """
    for event in range(len(offsets)):
        start = offsets[event]
        out[start] = code
        for byte in range(len(order)):
            out[start + 1 + order[byte]] = rows[event, byte]
