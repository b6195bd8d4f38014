"""Stream of replay events from a running game, decoded by the reader of replay files."""

from __future__ import annotations

import numpy as np

from shadowbox.errors import RecordingError
from shadowbox.games.melee.slp.data import SlpReplay
from shadowbox.games.melee.slp.layout import (
    EVENT_SIZES,
    FRAME_END,
    FRAME_START,
    GAME_END,
    GAME_START,
    PIECE,
    SPARSE,
    Array,
)
from shadowbox.games.melee.slp.read import HEAD, read

KEPT = 16  # frames that may still be rolled back: online games go back by seven
OLDEST = (3, 0, 0)  # the first version that marks where a frame ends
_FRAMELESS = (EVENT_SIZES, GAME_START, GAME_END, PIECE)


class EventStream:
    """Buffer of a running game: `feed` takes whole events, `replay` returns the latest frames.

    Items and stage events of all earlier frames are included (in rows below 0), because their
    effects last. A game start discards the game before. The cost of a frame does not grow with the
    length of the game.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._sizes: dict[int, int] = {}
        self._head = b""
        self._frames: dict[int, bytearray] = {}  # by id, in order
        self._earlier: dict[str, list[Array]] = {kind: [] for kind in SPARSE}
        self._end = b""
        self.frame: int | None = None  # the last complete frame

    @property
    def over(self) -> bool:
        """True once the game has ended."""
        return bool(self._end)

    @property
    def method(self) -> int:
        """Number of the way in which the game ended; -1 before its end."""
        return self._end[1] if self._end else -1

    @property
    def begun(self) -> bool:
        """True once a game has a complete frame."""
        return self.frame is not None

    def feed(self, events: bytes) -> None:
        """Add whole events, in portions of any size."""
        at = 0
        while at < len(events):
            code = events[at]
            if code == EVENT_SIZES:
                self._forget()
                size = events[at + 1]
                self._sizes = {
                    events[i]: int.from_bytes(events[i + 1 : i + 3], "big")
                    for i in range(at + 2, at + 1 + size, 3)
                } | {EVENT_SIZES: size}
            if code not in self._sizes or at + 1 + self._sizes[code] > len(events):
                raise RecordingError(
                    f"the live game sent an event 0x{code:02x} that is cut off or was not "
                    "announced in its list of event sizes"
                )
            self._take(code, events[at : at + 1 + self._sizes[code]])
            at += 1 + self._sizes[code]

    def _take(self, code: int, event: bytes) -> None:
        if code == GAME_START and tuple(event[1:4]) < OLDEST:
            raise RecordingError(
                f"the live game has Slippi version {'.'.join(map(str, event[1:4]))}; "
                "3.0 or later is needed"
            )
        if code in (EVENT_SIZES, GAME_START):
            self._head += event
        elif code == GAME_END:
            self._end = event
        elif code not in _FRAMELESS:
            frame = int.from_bytes(event[1:5], "big", signed=True)
            if code == FRAME_START:
                # a rollback: the game plays these frames again
                for later in [number for number in self._frames if number >= frame]:
                    del self._frames[later]
            self._frames.setdefault(frame, bytearray()).extend(event)
            if code == FRAME_END:
                self.frame = frame
                if len(self._frames) >= 2 * KEPT:
                    self._retire()

    def _read(self, frames: list[int]) -> SlpReplay:
        return read(
            HEAD + bytes(4) + self._head + b"".join(bytes(self._frames[frame]) for frame in frames),
            name="the live game",
        )

    def _retire(self) -> None:
        """Drop the older frames except for their items and stage events."""
        oldest = list(self._frames)[:-KEPT]
        replay = self._read(oldest)
        for kind in SPARSE:
            rows = getattr(replay, kind)
            if rows is not None:
                self._earlier[kind].append(rows)
        for frame in oldest:
            del self._frames[frame]

    def replay(self, frames: int = 2) -> SlpReplay:
        """Replay of the latest complete frames (at most `frames` and `KEPT`), with all items."""
        whole = [frame for frame in self._frames if self.frame is not None and frame <= self.frame]
        latest = whole[-min(frames, KEPT) :]
        replay = self._read(whole)
        first = int(np.searchsorted(replay.frames, latest[0])) if latest else 0
        cut = slice(first, None)
        for kind in SPARSE:
            rows = getattr(replay, kind)
            if rows is None:
                continue
            together = np.concatenate([*self._earlier[kind], rows])
            setattr(replay, kind, together)
            replay.rows[kind] = together["frame"].astype(np.int64) - (latest[0] if latest else 0)
        replay.frames = replay.frames[cut]
        for slot in replay.slots:
            replay.pre[slot], replay.post[slot] = replay.pre[slot][cut], replay.post[slot][cut]
            replay.present[slot] = replay.present[slot][cut]
        for kind in ("frame_start", "frame_end"):
            values = getattr(replay, kind)
            setattr(replay, kind, None if values is None else values[cut])
        return replay
