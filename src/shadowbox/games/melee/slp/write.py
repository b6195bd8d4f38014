"""Writer of Slippi replays, and a builder of replays from plain arrays."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from shadowbox.errors import RecordingError, did_you_mean
from shadowbox.games.melee.slp import ubjson
from shadowbox.games.melee.slp.data import GameEnd, Slot, SlpReplay
from shadowbox.games.melee.slp.layout import (
    EVENT_SIZES,
    EVENTS,
    FIRST_FRAME,
    GAME_END,
    GAME_START,
    PIECE,
    PIECE_SIZE,
    SPARSE,
    Array,
    Version,
    byte_order,
    sizes,
)
from shadowbox.games.melee.slp.parts import METADATA
from shadowbox.games.melee.slp.read import HEAD
from shadowbox.games.melee.slp.scan import scatter
from shadowbox.games.melee.slp.start import GameStart

Columns = Mapping[str, Any]


def write(replay: SlpReplay) -> bytes:
    """Encode a replay as the bytes of a `.slp`, as a recorder would have written it."""
    pieces = (
        replay.pieces[at : at + PIECE_SIZE] for at in range(0, len(replay.pieces), PIECE_SIZE)
    )
    head = _event_sizes(replay) + bytes([GAME_START]) + replay.start.payload
    raw = (
        head
        + b"".join(bytes([PIECE]) + piece for piece in pieces)
        + _frames(replay)
        + _end(replay.end, replay.version)
    )
    metadata = b"" if replay.metadata is None else METADATA + ubjson.encode(replay.metadata)
    return HEAD + struct.pack(">I", len(raw)) + raw + metadata + b"}"


def _event_sizes(replay: SlpReplay) -> bytes:
    """Event that lists the sizes of all events.

    The size of actual rows wins over that of the version: some recorders were ahead of it.
    """
    listed = sizes(replay.version, gecko=len(replay.gecko)) | {
        GAME_START: len(replay.start.payload)
    }
    listed |= {EVENTS[kind].code: rows.dtype.itemsize for kind, _, rows, _ in _blocks(replay)}
    entries = b"".join(struct.pack(">BH", code, size) for code, size in listed.items())
    return struct.pack(">BB", EVENT_SIZES, len(entries) + 1) + entries


def _blocks(replay: SlpReplay) -> Iterator[tuple[str, int, Array, Array]]:
    """Parts of the frames: kind, rank within a frame, rows [E], frame of each row i64[E]."""
    every = np.arange(len(replay.frames))
    if replay.frame_start is not None:
        yield "frame_start", 0, replay.frame_start, every
    for rank, slot in enumerate(replay.slots):
        present = np.flatnonzero(replay.present[slot])
        yield "pre", 1 + rank, replay.pre[slot][present], present
        yield "post", 40 + rank, replay.post[slot][present], present
    for kind in SPARSE:
        rows = getattr(replay, kind)
        if rows is not None:
            yield kind, 30 if kind == "item" else 20, rows, replay.rows[kind]
    if replay.frame_end is not None:
        yield "frame_end", 60, replay.frame_end, every


def _frames(replay: SlpReplay) -> bytes:
    """Encode all events of all frames, in the order of recorders."""
    blocks = list(_blocks(replay))
    keys = np.concatenate(
        [np.zeros(0, np.int64), *(into * 64 + rank for _, rank, _, into in blocks)]
    )
    lengths = np.concatenate(
        [
            np.zeros(0, np.int64),
            *(np.full(len(rows), rows.dtype.itemsize + 1) for _, _, rows, _ in blocks),
        ]
    )
    order = np.argsort(keys, kind="stable")
    offsets = np.empty(len(keys), np.int64)
    offsets[order] = np.cumsum(lengths[order]) - lengths[order]
    out = np.zeros(int(lengths.sum()), np.uint8)
    begin = 0
    for kind, _, rows, _ in blocks:
        packed = np.ascontiguousarray(rows)
        scatter(
            out,
            offsets[begin : begin + len(rows)],
            byte_order(rows.dtype),
            packed.view(np.uint8).reshape(len(rows), rows.dtype.itemsize),
            EVENTS[kind].code,
        )
        begin += len(rows)
    return out.tobytes()


def _end(end: GameEnd | None, version: Version) -> bytes:
    if end is None:
        return b""
    event = EVENTS["end"]
    record = event.blank(event.size(version), 1)
    record["method"] = end.method
    for name, value in (("lras", end.lras), ("placements", end.placements)):
        if value is not None and name in (record.dtype.names or ()):
            record[name] = value
    return bytes([GAME_END]) + record.tobytes()  # all fields are single bytes


def from_arrays(
    start: GameStart,
    pre: Mapping[Slot, Columns],
    post: Mapping[Slot, Columns],
    *,
    present: Mapping[Slot, Array] | None = None,
    first_frame: int = FIRST_FRAME,
    frames: Array | None = None,
    events: Mapping[str, Columns] | None = None,
    end: GameEnd | None = None,
    metadata: dict[str, Any] | None = None,
) -> SlpReplay:
    """Build a replay from arrays by field name, [F] each; missing fields hold recorders' defaults.

    `frames` (i32[F]) or `first_frame` number the rows. `events` holds "frame_start" and "frame_end"
    fields [F], and "item", "fountain", "whispy" or "stadium" fields [I] with a member "row"
    (i64[I], ascending), the row of each event. Names that the start's version does not have are
    refused.
    """
    if frames is None:
        rows = len(next(iter(next(iter(pre.values())).values()))) if pre else 0
        frames = np.arange(first_frame, first_frame + rows, dtype=np.int32)
    frames = np.asarray(frames, np.int32)
    replay = SlpReplay(start, frames, {}, {}, {}, end=end, metadata=metadata)
    for slot in sorted({*pre, *post}):
        in_play = (
            np.ones(len(frames), bool)
            if present is None or slot not in present
            else np.asarray(present[slot], bool)
        )
        ids = {"frame": frames, "port": slot[0], "follower": slot[1]}
        replay.pre[slot] = _rows(start, "pre", len(frames), {**pre.get(slot, {}), **ids})
        replay.post[slot] = _rows(start, "post", len(frames), {**post.get(slot, {}), **ids})
        replay.present[slot] = in_play
        replay.pre[slot][~in_play] = 0
        replay.post[slot][~in_play] = 0
    rest = {kind: dict(columns) for kind, columns in (events or {}).items()}
    for kind in ("frame_start", "frame_end", *SPARSE):
        if EVENTS[kind].since > start.version[:2]:
            continue
        columns = rest.pop(kind, {})
        if kind in SPARSE:
            into = np.asarray(columns.pop("row", ()), np.int64)
            replay.rows[kind] = into
            setattr(replay, kind, _rows(start, kind, len(into), {**columns, "frame": frames[into]}))
        else:
            ends = (
                {"finalized": frames} if kind == "frame_end" and start.version >= (3, 7, 0) else {}
            )
            setattr(
                replay, kind, _rows(start, kind, len(frames), {**ends, **columns, "frame": frames})
            )
    for kind in rest:
        hint = did_you_mean(kind, replay.rows)
        raise RecordingError(f"version {_dotted(start.version)} has no events '{kind}': {hint}")
    return replay


def _rows(start: GameStart, kind: str, rows: int, columns: Columns) -> Array:
    event = EVENTS[kind]
    values = event.blank(event.size(start.version), rows)
    for name, column in columns.items():
        if name not in (values.dtype.names or ()):
            hint = did_you_mean(name, values.dtype.names or ())
            raise RecordingError(
                f"{kind} events of version {_dotted(start.version)} have no field '{name}': {hint}"
            )
        values[name] = column
    return values


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
