"""Replay in memory, as `slp.read` returns it and `slp.write` takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shadowbox.games.melee.slp.layout import PIECE_SIZE, Array, Version
from shadowbox.games.melee.slp.start import GameStart

# (port 0..3, True for the follower of that port's leader, the second Ice Climber)
Slot = tuple[int, bool]

END_METHODS = {
    0: "unresolved",
    1: "time",
    2: "game",
    3: "resolved",
    6: "targets",
    7: "no contest",
    9: "home run",
}


@dataclass(frozen=True)
class SlpProblem:
    """Defect of a file that could still be read.

    `kind`: truncated (the file ends within an event), unfinished (its length was never filled in),
    no-end (no game end), no-frames, unlisted (an event of unknown size; the rest cannot be read),
    incomplete-frame, gap (frames are missing), impossible-frame (a number that a game cannot
    reach), another-game (frames begin again; only the first game is read), stray (events of players
    or frames that do not exist), no-metadata, bad-metadata, trailing (bytes after the end).
    """

    kind: str
    where: int | None  # byte of the file, or None for a defect without a single place
    what: str

    def __str__(self) -> str:
        return self.what if self.where is None else f"byte {self.where}: {self.what}"


@dataclass(frozen=True)
class GameEnd:
    """End of a game as recorded; `None` where the version does not record a field."""

    method: int
    lras: int | None = None  # port of the player who quit, or -1
    placements: tuple[int, ...] | None = None  # of each port, 0 the winner; -1: not in the game

    @property
    def name(self) -> str:
        """Name of the method."""
        return END_METHODS.get(self.method, f"method {self.method}")


@dataclass
class SlpReplay:
    """Recorded game of F frames, with rollbacks resolved.

    Rows are structured arrays whose fields are named in `layout.EVENTS`; a field that the file's
    version lacks is not in the dtype (`has`). Row f of `pre` holds the inputs read in `frames[f]`,
    row f of `post` the state after them. Where `present` is False (a player without stocks, a dead
    follower), a row holds zeros without meaning.
    """

    start: GameStart
    frames: Array  # i32[F], ascending; with rollbacks="all" in the order of the file
    pre: dict[Slot, Array]  # structured [F]
    post: dict[Slot, Array]  # structured [F]
    present: dict[Slot, Array]  # bool [F]
    frame_start: Array | None = None  # structured [F]; None: the version has none
    frame_end: Array | None = None
    item: Array | None = None  # structured [I], in order of frame; None: the version has none
    fountain: Array | None = None
    whispy: Array | None = None
    stadium: Array | None = None
    # "item", "fountain", ... -> i64[I], the row of `frames` of each
    rows: dict[str, Array] = field(default_factory=dict)
    end: GameEnd | None = None
    metadata: dict[str, Any] | None = None
    problems: list[SlpProblem] = field(default_factory=list)
    # the loaded game codes as recorded: pieces of `layout.PIECE_SIZE` bytes
    pieces: bytes = b""
    rolled_back: int = 0  # passes through a frame that a later pass replaced

    @property
    def version(self) -> Version:
        """Version of Slippi that recorded the game."""
        return self.start.version

    @property
    def gecko(self) -> bytes:
        """Loaded game codes, joined from their pieces."""
        pieces = (
            self.pieces[at : at + PIECE_SIZE] for at in range(0, len(self.pieces), PIECE_SIZE)
        )
        return b"".join(
            piece[: min(int.from_bytes(piece[512:514], "big"), 512)] for piece in pieces
        )

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Leaders and followers that have frames, by port."""
        return tuple(sorted(self.pre))

    def has(self, event: str, name: str) -> bool:
        """Test whether the file records a field: `has("post", "hitlag")`."""
        rows = (
            next(iter(getattr(self, event).values()), None)
            if event in ("pre", "post")
            else getattr(self, event)
        )
        return rows is not None and name in rows.dtype.names

    @property
    def complete(self) -> bool:
        """True if the recording has its game end and no problem that affects its frames."""
        return self.end is not None and not any(
            problem.kind not in HARMLESS for problem in self.problems
        )


HARMLESS = ("no-metadata", "bad-metadata", "trailing")
