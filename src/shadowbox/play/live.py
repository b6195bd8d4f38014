"""A live match: agents in a world of one match, stepped at the game's pace by a thread of its own.

All rows and events are kept, packed as a store has them, so that a page that comes late sees the
match from its start. Readers take rows when they can; the thread only says that there is more
(`notify`) and waits for no reader.

Turns are those of play/turn.py: the same agents and seed give the same match as `play`, while every
agent answers in time. Each agent has a clock: every frame adds the time that a frame lasts, every
answer takes its time off. An agent that is ALLOWANCE behind forfeits, as does one that breaks the
rules of play/referee.py. `overdue` is called from outside, for a thread that waits for an answer
cannot look at a clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.game import Agent, Game, Outcome, World, no_events
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.spans import Span
from shadowbox.core.tracks import blank_rows, pack_tracks, tracks_dtype, unpack_tracks
from shadowbox.errors import UsageError
from shadowbox.page.match_page import event_list
from shadowbox.play.match import mark_of
from shadowbox.play.referee import Referee
from shadowbox.play.shared_seat import _SharedSeat
from shadowbox.play.turn import MatchBatch

ALLOWANCE = 2.0  # seconds that an agent may be behind
FIRST = 60.0  # seconds for its first answer: models are loaded then, and functions compiled
LATE = 0.25  # seconds behind the pace that are caught up; of more the rest is forgotten
LONGEST = 20_000  # frames; a match that takes longer is broken off
WATCHED = 32  # rows that a world watches before it goes on from the last one
TOO_SLOW = "thought for too long"
SPEEDS = (0.125, 0.25, 0.5, 1, 2, 4, 8)

log = logging.getLogger(__name__)


class LiveLoop:
    """A live match.

    Readers use `length`, `rows`, `events`, `result`, `paused`, `speed` and `holders`.
    """

    def __init__(
        self,
        game: Game,
        world: World,
        agents: Sequence[Agent],
        players: Sequence[str],
        seed: int,
        *,
        notify: Callable[[], None] = lambda: None,
        paused: bool = False,
    ) -> None:
        self.game, self.agents, self.players, self.seed = game, agents, tuple(players), seed
        self.paused, self.speed = paused, 1.0
        self.result: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []  # as pages take them
        self.seats = [_SharedSeat(*each) for each in zip(agents, players, strict=True)]
        clocks = partial(_TimedReferee, players=self.players, fps=game.schema.fps)
        self.batch = MatchBatch(game, world, self.seats, tracks=True, referee=clocks)
        self.tracks = self.batch.tracks
        self.fps = game.schema.fps
        self._joined = np.dtype(
            [("row", game.schema.row_dtype), ("tracks", tracks_dtype(self.tracks))]
        )
        self.width = self._joined.itemsize  # bytes of a row with its tracks
        self._rows = bytearray()
        self._happened: list[Array] = [no_events()]
        self._spans: list[list[Span]] = [[] for _ in agents]
        self._worlds: list[dict[str, Any]] = [{"from": 0, "spec": world.name}]
        self._changes: list[dict[str, Any]] = []  # of settings
        self._notify = notify
        self._turn = threading.Condition()  # guards pace and end
        self._moving = threading.Lock()  # held during a turn
        self._steps, self._due = int(paused), 0.0  # a paused match shows its first frame
        self._thread = threading.Thread(target=self._run, name="live match", daemon=True)

    def start(self) -> None:
        """Start the thread; the first row is there at once, paused or not."""
        self._thread.start()

    # ---- for readers -----------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """The world of the match."""
        return self.batch.world

    @property
    def worlds(self) -> list[dict[str, Any]]:
        """The worlds so far, each as the row `from` which the match was in it, and its `spec`."""
        return list(self._worlds)

    @property
    def length(self) -> int:
        """Rows so far."""
        return len(self._rows) // self.width

    def rows(self, first: int, end: int) -> bytes:
        """The packed rows from `first` up to and without `end`, each with its tracks."""
        return bytes(self._rows[first * self.width : end * self.width])

    @property
    def over(self) -> bool:
        """True if the match has ended."""
        return self.result is not None

    @property
    def stuck(self) -> bool:
        """True if an agent still computes although the match is over: its thread cannot be stopped."""
        return self.over and self._thread.is_alive()

    @property
    def holders(self) -> list[str]:
        """Name of the player that decides next in each seat."""
        return [seat.holder for seat in self.seats]

    @property
    def settings(self) -> dict[str, tuple[float, float, float]]:
        """Numbers that may be set, as (value, low, high): `p0.NAME` of an agent, `world.NAME`."""
        owners = {f"p{seat}": agent for seat, agent in enumerate(self.agents)}
        return {
            f"{owner}.{name}": values
            for owner, one in {**owners, "world": self.world}.items()
            for name, values in _settings(one).items()
        }

    def episode(self) -> Episode:
        """The whole match as an episode."""
        joined = np.frombuffer(self.rows(0, self.length), self._joined)
        meta: dict[str, Any] = {
            "players": list(self.players),
            "seed": self.seed,
            "world": self._worlds[0]["spec"],
            "result": self.result,
            "live": True,
        }
        if any(marks := [mark_of(agent) for agent in self.agents]):
            meta["marks"] = marks
        if any(span.by != self.players[span.seat] for spans in self._spans for span in spans):
            meta["spans"] = [span.to_json() for spans in self._spans for span in spans]
        if len(self._worlds) > 1:
            meta["worlds"] = self._worlds
        if self._changes:
            meta["settings"] = self._changes
        columns = self.game.schema.unpack(np.ascontiguousarray(joined["row"]))
        tracks = unpack_tracks(np.ascontiguousarray(joined["tracks"])) if self.tracks else {}
        return Episode(columns, meta, np.concatenate(self._happened), tracks=tracks)

    # ---- verbs of those who may lead it ----------------------------------------------------------

    def pause(self, on: bool) -> None:
        """Pause or resume the clock."""
        with self._turn:
            self.paused, self._due = on, time.monotonic()
            self._turn.notify()
        self._notify()

    def step(self, frames: int = 1) -> None:
        """Play some frames as fast as possible while paused."""
        with self._turn:
            self._steps += frames if self.paused else 0
            self._turn.notify()

    def pace(self, speed: float) -> None:
        """Set the speed as a multiple of the game's own."""
        with self._turn:
            self.speed, self._due = speed, time.monotonic()
            self._turn.notify()
        self._notify()

    def take(self, seat: int, guest: Agent, name: str) -> None:
        """Let a guest decide in a seat from the next frame on; the seat's agent watches."""
        self._seat(seat).take(guest, name)
        self._notify()

    def give(self, seat: int) -> None:
        """Give a seat back to its agent."""
        self._seat(seat).give()
        self._notify()

    def move_to(self, world: World) -> None:
        """Continue in another world of one match, from the present state.

        A learned world watches the last rows before it, and draws by the seed of this match.
        """
        world.reset(np.array([self.seed]))
        with self._between_turns():
            last = self.rows(max(self.length - WATCHED, 0), self.length)
            rows = np.ascontiguousarray(np.frombuffer(last, self._joined)["row"])
            past = self.game.schema.unpack(rows)
            self.batch.move_to(world, {key: values[:, None] for key, values in past.items()})
            self._worlds.append({"from": max(self.length, 1) - 1, "spec": world.name})
        self._notify()

    def set(self, name: str, value: float) -> None:
        """Change one of `settings` from the next frame on."""
        owner, _, setting = name.partition(".")
        known = self.settings
        if name not in known:
            listed = ", ".join(known) or "none"
            raise UsageError(f"unknown setting '{name[:60]}'; this match has {listed}")
        _, low, high = known[name]
        if not low <= value <= high:
            raise UsageError(f"{name} is {value:g}, expected {low:g} to {high:g}")
        one: Any = self.world if owner == "world" else self.agents[int(owner[1:])]
        with self._between_turns():
            one.set(setting, value)
            self._changes.append({"row": self.length, "name": name, "value": value})
        self._notify()

    def break_off(self, why: str) -> None:
        """End the match without a winner."""
        self._end({"winner": None, "reason": f"broken off: {why}"})

    def overdue(self) -> None:
        """Forfeit for an agent whose clock has run out while it thinks."""
        for seat, referee in self.batch.referees.items():
            assert isinstance(referee, _TimedReferee)
            if referee.late and not self.over:
                if self.seats[seat].guest:  # the guest has done nothing wrong
                    self.break_off(f"{self.players[seat]} {TOO_SLOW} while its seat was taken")
                else:
                    referee.lost[0], referee.why[0] = True, TOO_SLOW
                    self._finish(self.batch.forfeit(0) or Outcome(None, TOO_SLOW))

    # ---- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._play()
        except _Over:
            pass
        except Exception:
            log.exception("live match of %s", " and ".join(self.players))
            self._end(
                {
                    "winner": None,
                    "reason": "broken off: an error in the world; the terminal shows it",
                }
            )

    def _play(self) -> None:
        self.batch.begin(np.array([self.seed]))
        while self._my_turn():
            with self._moving:
                turn = self.batch.turn(record=self._publish)
                if len(turn.events):
                    self._happened.append(turn.events.copy())
                    self.events += event_list(turn.events)
                if turn.ended[0]:
                    self._finish(turn.outcomes[0])
                elif self.length >= LONGEST:
                    self.break_off(f"not over after {LONGEST:,} frames")

    def _my_turn(self) -> bool:
        """Wait for the next frame; False when there is none."""
        with self._turn:
            while not self.over:
                now = time.monotonic()
                if self.length < 2:
                    self._due = now  # the pace counts from here: before, functions were compiled
                if self._steps:
                    self._steps -= 1
                    return True
                if self.paused:
                    self._turn.wait()
                elif now < self._due:
                    self._turn.wait(self._due - now)
                else:
                    self._due = max(self._due, now - LATE) + 1 / (self.fps * self.speed)
                    return True
        return False

    def _publish(self, row: Columns, tracks: Columns) -> None:
        """Show a row before the world moves on. The match may be over since an agent thought."""
        at, packed = self.length, self._packed(row, tracks)
        with self._turn:
            if self.over:
                raise _Over
            self._rows += packed
        for seat, (spans, shared) in enumerate(zip(self._spans, self.seats, strict=True)):
            if spans and spans[-1].by == shared.by:
                spans[-1] = Span(seat, spans[-1].start, at + 1, shared.by)
            else:
                spans.append(Span(seat, at, at + 1, shared.by))
        self._notify()

    # ---- inside ----------------------------------------------------------------------------------

    def _seat(self, seat: int) -> _SharedSeat:
        if self.over:
            raise UsageError("the match is over")
        if not 0 <= seat < len(self.seats):
            raise UsageError(f"no seat {seat}: seats are 0 to {len(self.seats) - 1}")
        return self.seats[seat]

    @contextmanager
    def _between_turns(self) -> Iterator[None]:
        if self.over:
            raise UsageError("the match is over")
        if not self._moving.acquire(timeout=ALLOWANCE):
            raise UsageError("an agent is thinking; try again when the match goes on")
        try:
            yield
        finally:
            self._moving.release()

    def _packed(self, row: Mapping[str, Array], tracks: Mapping[str, Array]) -> bytes:
        shown = pack_tracks(tracks).tobytes() if tracks else b""
        return self.game.schema.pack(row).tobytes() + shown

    def _finish(self, outcome: Outcome) -> None:
        """End the match with a result. The world must not be stepped meanwhile."""
        neutral = {key: np.zeros_like(values) for key, values in self.batch.pressed.items()}
        last = self._packed({**self.batch.view, **neutral}, blank_rows(self.tracks, 1))
        result = {"winner": outcome.winner, "reason": outcome.reason, **outcome.facts}
        self._end(result, last)

    def _end(self, result: dict[str, Any], last: bytes = b"") -> None:
        with self._turn:
            if self.over:
                return
            self._rows += last
            self.result = result
            self._turn.notify()
        self._notify()


class _TimedReferee(Referee):
    """A referee with a clock, whose reasons may be shown to everybody.

    An agent's own words may name files, so they go to the log and the reason names their type only.
    """

    def __init__(
        self,
        schema: Schema,
        agent: Agent,
        player: int,
        matches: int,
        *,
        players: Sequence[str],
        fps: float,
    ) -> None:
        super().__init__(schema, agent, player, matches)
        self.name, self.frame = players[player], 1 / fps
        self.left = FIRST  # seconds on its clock
        self._since: float | None = None  # since when the agent thinks

    @property
    def late(self) -> bool:
        """True if the agent is computing and its clock has run out."""
        since = self._since
        return since is not None and time.monotonic() - since > self.left

    def ask(self, view: Columns) -> Columns:
        """Controls of the agent; the time is taken off its clock."""
        began = self._since = time.monotonic()
        answer = super().ask(view)
        self._since = None
        self.left = min(ALLOWANCE, self.left - (time.monotonic() - began) + self.frame)
        watching = isinstance(self.agent, _SharedSeat) and self.agent.guest is not None
        if watching:
            self.left = max(self.left, 0.0)  # the time is the agent's, the seat its guest's
        elif self.left < 0 and not self.lost[0]:
            self._forfeit(np.ones(self.matches, bool), TOO_SLOW)
        return answer

    def _break(self, error: Exception) -> None:
        log.warning("live match: %s: %s: %s", self.name, type(error).__name__, error)
        self.broken = f"failed with {type(error).__name__}"
        self._forfeit(~self.lost, self.broken)


class _Over(Exception):
    """The match has ended while a turn was being taken."""


def _settings(one: object) -> dict[str, tuple[float, float, float]]:
    """Numbers of an agent or a world that may be set; usually none."""
    return dict(getattr(one, "settings", {}))
