"""Reader of Slippi replays: container, events, passes through frames, rows, metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from shadowbox.errors import RecordingError, UsageError
from shadowbox.games.melee.slp.data import GameEnd, Slot, SlpProblem, SlpReplay
from shadowbox.games.melee.slp.layout import (
    EVENTS,
    FIRST_FRAME,
    GAME_END,
    GAME_START,
    PIECE,
    PIECE_SIZE,
    SPARSE,
    Array,
    byte_order,
)
from shadowbox.games.melee.slp.parts import METADATA, event_sizes, read_metadata
from shadowbox.games.melee.slp.scan import CUT, UNLISTED, gather, walk
from shadowbox.games.melee.slp.start import PORTS, GameStart

Rollbacks = Literal["last", "first", "all"]
HEAD = b"{U\x03raw[$U#l"
MAX_BYTES = 1 << 28  # an hour of four players is 140 MB
MAX_ROLLBACK = 7  # frames that a game online can go back
EXTRA_FRAMES = 60 * 60  # that a game can last beyond its clock
UNTIMED_FRAMES = 100 * 60 * 60  # longest game without a clock
# rows may take this many times the file's bytes; undamaged files need at most 2, with absent
# players
MAX_GROWTH = 4


def read(
    source: str | Path | bytes, rollbacks: Rollbacks = "last", *, name: str | None = None
) -> SlpReplay:
    """Read the replay in a file or in bytes.

    Where the game was rolled back, `rollbacks` selects the passes through a frame to keep: the
    `last` (the true game), the `first` (as shown on screen, with predicted inputs), or `all` in the
    order of the file. Data of another format raises `RecordingError`. A damaged replay is read as
    far as possible, with `problems` that say what is wrong and where.
    """
    if rollbacks not in ("last", "first", "all"):
        raise UsageError(f"rollbacks must be last, first or all (got '{rollbacks}')")
    name = name or (str(source) if not isinstance(source, bytes) else "the replay")
    content = source if isinstance(source, bytes) else _content(Path(source))
    if len(content) > MAX_BYTES:
        raise RecordingError(f"{name}: {len(content):,} bytes; a replay has at most {MAX_BYTES:,}")
    try:
        return _Reading(content, rollbacks).replay()
    except RecordingError as error:
        raise RecordingError(f"{name}: {error}") from None


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordingError(
                f"{path}: {path.stat().st_size:,} bytes; a replay has at most {MAX_BYTES:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error


class _Reading:
    """State of reading one file; every step stores its results for the next."""

    def __init__(self, content: bytes, rollbacks: Rollbacks) -> None:
        self.content, self.rollbacks = content, rollbacks
        self.data = np.frombuffer(content, np.uint8)
        self.problems: list[SlpProblem] = []

    def replay(self) -> SlpReplay:
        begin, end = self.container()
        self.sizes = event_sizes(self.content, begin, end)
        stop = self.find_events(begin, end)
        metadata = self.metadata(stop if self.unfinished else end)
        start = self.start()
        chosen = self.choose_passes(start)
        replay = SlpReplay(
            start, self.frames, metadata=metadata, problems=self.problems, **self.fill_rows(chosen)
        )
        replay.end, replay.rolled_back = self.end(), self.rolled_back
        replay.pieces = b"".join(
            self.payload(int(offset)) for offset in self.offsets[self.of(PIECE)]
        )
        return replay

    def note(self, kind: str, where: int | None, what: str) -> None:
        self.problems.append(SlpProblem(kind, where, what))

    def container(self) -> tuple[int, int]:
        """Range of bytes with events, by the declared length and the actual size of the file."""
        head = len(HEAD)
        if not self.content:
            raise RecordingError("the file is empty")
        if self.content[:head] != HEAD[: len(self.content)] or len(self.content) < head + 4:
            raise RecordingError(
                f"not a Slippi replay: it must begin with {HEAD!r} (got {self.content[:head]!r})"
            )
        begin, claimed = head + 4, int.from_bytes(self.content[head : head + 4], "big")
        self.unfinished = claimed == 0
        if self.unfinished:
            self.note("unfinished", head, "the recording was not finished: its length is 0")
            return begin, len(self.content)
        if begin + claimed > len(self.content):
            self.note(
                "truncated",
                head,
                f"{claimed:,} bytes of events are declared, the file has "
                f"{len(self.content) - begin:,}",
            )
        return begin, min(begin + claimed, len(self.content))

    def find_events(self, begin: int, end: int) -> int:
        """Find offsets and passes of all known events; return the byte at which the walk ended."""
        keep = np.zeros(256, bool)
        keep[[PIECE, *(event.code for event in EVENTS.values())]] = True
        if self.sizes[PIECE] != PIECE_SIZE:
            keep[PIECE] = False
        self.offsets, self.passes, self.frame_of, stop, reason = walk(
            self.data, begin, end, self.sizes, keep
        )
        if reason == CUT and not (self.problems and self.problems[0].kind == "truncated"):
            self.note(
                "truncated",
                stop,
                f"an event 0x{self.content[stop]:02x} is cut off by the end of the events",
            )
        metadata = self.unfinished and self.content.startswith(METADATA, stop)
        if reason == UNLISTED and not metadata:
            self.note(
                "unlisted",
                stop,
                f"an event 0x{self.content[stop]:02x} has an unknown size; the rest is unreadable",
            )
        self.kinds = self.data[self.offsets]
        return stop

    def of(self, code: int) -> Array:
        """Indices of the events with a command byte."""
        return np.flatnonzero(self.kinds == code)

    def payload(self, offset: int) -> bytes:
        return self.content[offset + 1 : offset + 1 + int(self.sizes[self.content[offset]])]

    def start(self) -> GameStart:
        index = self.of(GAME_START)
        if not len(index):
            raise RecordingError("the file lacks the game start; it is damaged or cut")
        return GameStart(self.payload(int(self.offsets[index[0]])))

    def end(self) -> GameEnd | None:
        index = self.of(GAME_END)
        index = index[self.offsets[index] < self.first_game_ends]
        if not len(index):
            self.note("no-end", None, "the recording has no game end")
            return None
        payload = self.payload(int(self.offsets[index[-1]]))
        record = np.frombuffer(payload, EVENTS["end"].dtype(len(payload), ">"), count=1)[0]
        names = record.dtype.names
        return GameEnd(
            int(record["method"]),
            int(record["lras"]) if "lras" in names else None,
            tuple(int(place) for place in record["placements"]) if "placements" in names else None,
        )

    def choose_passes(self, start: GameStart) -> Array:
        """Choose the passes that become rows, i64[F]; sets `frames` and `rolled_back`."""
        self.events, complete, partial = self.players(start)
        cut = self.unfinished or any(
            problem.kind in ("truncated", "unlisted") for problem in self.problems
        )
        if len(complete) and cut and (partial[-1] or not self.ended(len(complete) - 1)):
            # the file ends within this pass, which is therefore not the whole frame
            complete[-1] = partial[-1] = False
        if partial.any():
            at = self.frame_of[partial][0]
            self.note(
                "incomplete-frame",
                None,
                f"{partial.sum():,} frames lack a player's inputs or state, first frame {at}",
            )
        usable = self.first_game(np.flatnonzero(complete), start)
        self.rolled_back = 0
        if self.rollbacks == "last":
            ids, back = np.unique(self.frame_of[usable][::-1], return_index=True)
            chosen = usable[len(usable) - 1 - back]
        elif self.rollbacks == "first":
            ids, at = np.unique(self.frame_of[usable], return_index=True)
            chosen = usable[at]
        else:
            chosen, ids = usable, np.unique(self.frame_of[usable])
        self.rolled_back = len(usable) - len(ids)
        self.frames = self.frame_of[chosen]
        if not len(ids):
            self.note("no-frames", None, "the recording has no complete frame")
        elif (missing := int(ids[-1]) - int(ids[0]) + 1 - len(ids)) > 0:
            at = int(ids[np.flatnonzero(np.diff(ids) > 1)[0]])
            self.note("gap", None, f"{missing:,} frames are missing, the first after frame {at}")
        return chosen

    def first_game(self, usable: Array, start: GameStart) -> Array:
        """Select the passes of the first game of the file, i64[P]; sets `first_game_ends`.

        A frame further back than a rollback can go begins another game, which is not read. Frame
        numbers that a game cannot reach are named and take no part in that.
        """
        self.first_game_ends = len(self.content)
        longest = start.timer * 60 + EXTRA_FRAMES if start.timer else UNTIMED_FRAMES
        ids = self.frame_of[usable].astype(np.int64)
        possible = (ids >= FIRST_FRAME) & (ids <= longest)
        if len(beyond := ids[~possible]):
            self.note(
                "impossible-frame",
                None,
                f"{len(beyond):,} frames have a number outside {FIRST_FRAME} to {longest}, in which "
                f"a game with {start.timer} seconds on its clock ends (first: {beyond[0]})",
            )
        counted, ids = usable[possible], ids[possible]
        back = np.flatnonzero(np.maximum.accumulate(ids)[:-1] + 1 - ids[1:] > MAX_ROLLBACK)
        if not len(back):
            return usable
        at = int(back[0]) + 1
        first_pass = int(counted[at])
        self.first_game_ends = int(self.offsets[np.argmax(self.passes >= first_pass)])
        self.note(
            "another-game",
            self.first_game_ends,
            f"frame {ids[at]} follows frame {ids[at - 1]}: a rollback goes back by at most "
            f"{MAX_ROLLBACK} frames, so another game begins here; it is not read",
        )
        return usable[usable < first_pass]

    def ended(self, number: int) -> bool:
        """Test whether a pass has its frame end, or the version lacks this event."""
        ends = self.of(EVENTS["frame_end"].code)
        return self.sizes[EVENTS["frame_end"].code] < 0 or bool((self.passes[ends] == number).any())

    def players(self, start: GameStart) -> tuple[dict[tuple[str, Slot], Array], Array, Array]:
        """Player events by kind and slot, and masks of passes [P].

        The masks mark passes that have both events of a player, and passes with one of the two.
        """
        passes = len(self.frame_of)
        events: dict[tuple[str, Slot], Array] = {}
        playing = np.zeros(256, bool)
        playing[[player.port for player in start.players]] = True
        stray = 0
        halves: dict[str, dict[Slot, Array]] = {"pre": {}, "post": {}}
        for kind in ("pre", "post"):
            index = self.of(EVENTS[kind].code)
            at = self.offsets[index]
            port, follower = self.data[at + 5], self.data[at + 6]
            valid = playing[port] & (follower < 2)
            stray += len(index) - int(valid.sum())
            slot_number = np.where(valid, port * 2 + follower, 255)
            for number in range(2 * PORTS):
                selected = index[slot_number == number]
                if not len(selected):
                    continue
                key = (number // 2, bool(number % 2))
                events[kind, key] = selected
                in_pass = np.bincount(self.passes[selected], minlength=passes)
                halves[kind][key] = in_pass.astype(bool)
        if stray:
            self.note(
                "stray", None, f"{stray:,} events name players who are not in the game's settings"
            )
        complete, partial = np.zeros(passes, bool), np.zeros(passes, bool)
        none = np.zeros(passes, bool)
        self.whole: dict[Slot, Array] = {}
        for slot in sorted({*halves["pre"], *halves["post"]}):
            pre, post = halves["pre"].get(slot, none), halves["post"].get(slot, none)
            complete |= pre & post
            partial |= pre ^ post
            if (pre & post).any():
                self.whole[slot] = pre & post
        return events, complete, partial

    def fill_rows(self, chosen: Array) -> dict[str, Any]:
        """Rows of players and frames (one per frame), items and stage events (any number)."""
        row_of = np.full(len(self.frame_of) + 1, -1, np.int64)  # last: events without a pass
        row_of[chosen] = np.arange(len(chosen))
        sizes = {kind: max(int(self.sizes[EVENTS[kind].code]), 0) for kind in EVENTS}
        needed = len(chosen) * len(self.whole) * (sizes["pre"] + sizes["post"])
        if needed > MAX_GROWTH * len(self.content) + (1 << 20):
            raise RecordingError(
                f"{len(chosen):,} frames of {len(self.whole)} players would take {needed:,} bytes; "
                "the file is damaged"
            )
        filled: dict[str, Any] = {"pre": {}, "post": {}, "present": {}, "rows": {}}
        for slot, whole in self.whole.items():
            filled["present"][slot] = whole[chosen]
            for kind in ("pre", "post"):
                filled[kind][slot] = self.dense(kind, self.events[kind, slot], row_of, len(chosen))
                filled[kind][slot][~filled["present"][slot]] = 0
        for kind in ("frame_start", "frame_end"):
            if self.sizes[EVENTS[kind].code] >= 0:
                index = self.of(EVENTS[kind].code)
                filled[kind] = self.dense(kind, index, row_of, len(chosen))
                with_one = np.zeros(len(row_of), bool)
                with_one[self.passes[index]] = True
                if missing := len(chosen) - int(with_one[chosen].sum()):
                    self.note(
                        "incomplete-frame",
                        None,
                        f"{missing:,} frames lack their {EVENTS[kind].name} event",
                    )
        for kind in SPARSE:
            if self.sizes[EVENTS[kind].code] >= 0:
                filled[kind], filled["rows"][kind] = self.sparse(kind, row_of)
        return filled

    def dense(self, kind: str, index: Array, row_of: Array, rows: int) -> Array:
        """Rows of a kind with one event per frame; the last event of a pass counts."""
        into = row_of[self.passes[index]]
        kept = into >= 0
        return self.move(kind, self.offsets[index[kept]], into[kept], rows)

    def sparse(self, kind: str, row_of: Array) -> tuple[Array, Array]:
        """Events of a kind in order of their frames, and the row of each frame."""
        index = self.of(EVENTS[kind].code)
        into = row_of[self.passes[index]]
        if stray := int((self.passes[index] < 0).sum()):
            self.note(
                "stray",
                None,
                f"{stray:,} {kind} events name another frame than the one around them",
            )
        order = np.argsort(into, kind="stable")
        order = order[into[order] >= 0]
        return self.move(kind, self.offsets[index[order]], np.arange(len(order)), len(order)), into[
            order
        ]

    def move(self, kind: str, offsets: Array, into: Array, rows: int) -> Array:
        event = EVENTS[kind]
        dtype = event.dtype(int(self.sizes[event.code]))
        out = np.zeros((rows, dtype.itemsize), np.uint8)
        gather(self.data, offsets, into, byte_order(dtype), out)
        return out.view(dtype)[:, 0] if rows else np.zeros(0, dtype)

    def metadata(self, at: int) -> dict[str, Any] | None:
        value, problems = read_metadata(self.content, at)
        for problem in problems:
            self.note(*problem)
        return value
