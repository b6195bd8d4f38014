"""A live match: agents in a world of one match, stepped at the game's pace by a thread of its own.

All rows and events are kept, packed as a store has them, so that who comes late sees the match from
its start. Readers take what they want when they can; the thread only says that there is more
(`notify`) and waits for nobody.

Moves are those of play/match.py: the same agents and seed give the same match, while everybody
answers in time. Each agent has a clock: every frame adds the time that a frame lasts, every answer
takes what it took, and who is ALLOWANCE behind forfeits, as do those who break the rules of
play/referee.py. `overdue` is asked from outside, for a thread that waits for an answer cannot look
at a clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.game import Agent, Game, Outcome, World, no_events
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import from_seat
from shadowbox.page.match_page import event_list
from shadowbox.play.match import mark_of
from shadowbox.play.referee import Referee

ALLOWANCE = 2.0  # seconds that an agent may be behind
FIRST = 60.0  # seconds for its first answer: models are loaded then, and functions compiled
LATE = 0.25  # seconds behind the pace that are caught up; of more the rest is forgotten
LONGEST = 20_000  # frames; a match that takes longer is broken off
TOO_SLOW = "thought for too long"
SPEEDS = (0.125, 0.25, 0.5, 1, 2, 4, 8)

log = logging.getLogger(__name__)


class LiveLoop:
    """One match.

    What a reader may use: `length`, `rows`, `events`, `result`, `paused`, `speed`, and the verbs.
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
        self.game, self.world, self.agents, self.players, self.seed = (
            game,
            world,
            agents,
            tuple(players),
            seed,
        )
        self.fps, self.width = game.schema.fps, game.schema.row_dtype.itemsize
        self.paused, self.speed = paused, 1.0
        self.result: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []  # as pages take them
        self._rows = bytearray()
        self._happened: list[Array] = [no_events()]
        self._notify = notify
        self._turn = threading.Condition()  # guards pace and end
        self._steps, self._due = int(paused), 0.0  # who waits sees the first frame
        self._left = [FIRST] * len(agents)  # seconds on each clock
        self._thinking: tuple[int, float] | None = None  # who, since when
        self._thread = threading.Thread(target=self._run, name="live match", daemon=True)

    def start(self) -> None:
        """Begin; the first row comes at once, paused or not."""
        self._thread.start()

    # ---- for readers -------------------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        """Rows so far."""
        return len(self._rows) // self.width

    def rows(self, first: int, end: int) -> bytes:
        """The packed rows from `first` up to and without `end`."""
        return bytes(self._rows[first * self.width : end * self.width])

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.result is not None

    @property
    def stuck(self) -> bool:
        """Whether an agent still thinks although the match is over: its thread cannot be stopped."""
        return self.over and self._thread.is_alive()

    def episode(self) -> Episode:
        """All of it, as a store takes it."""
        rows = np.frombuffer(self.rows(0, self.length), self.game.schema.row_dtype)
        meta = {
            "players": list(self.players),
            "seed": self.seed,
            "world": self.world.name,
            "result": self.result,
            "live": True,
        }
        if any(marks := [mark_of(agent) for agent in self.agents]):
            meta["marks"] = marks
        return Episode(self.game.schema.unpack(rows), meta, np.concatenate(self._happened))

    # ---- for those who may lead it -----------------------------------------------------------------------------

    def pause(self, on: bool) -> None:
        """Stand still, or go on."""
        with self._turn:
            self.paused, self._due = on, time.monotonic()
            self._turn.notify()
        self._notify()

    def step(self, frames: int = 1) -> None:
        """So many frames, as fast as they go, while it stands still."""
        with self._turn:
            self._steps += frames if self.paused else 0
            self._turn.notify()

    def pace(self, speed: float) -> None:
        """So many times the game's own speed."""
        with self._turn:
            self.speed, self._due = speed, time.monotonic()
            self._turn.notify()
        self._notify()

    def break_off(self, why: str) -> None:
        """End it without a winner."""
        self._end({"winner": None, "reason": f"broken off: {why}"})

    def overdue(self) -> None:
        """Forfeit for an agent whose clock has run out while it thinks."""
        thinking = self._thinking
        if thinking is not None and time.monotonic() - thinking[1] > self._left[thinking[0]]:
            self._forfeit({thinking[0]: TOO_SLOW})

    # ---- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._play()
        except Exception:
            log.exception("live match of %s", " and ".join(self.players))
            self._end(
                {
                    "winner": None,
                    "reason": "broken off: an error in the world; the terminal shows it",
                }
            )

    def _play(self) -> None:
        schema, seeds = self.game.schema, np.array([self.seed])
        self._columns = self.world.reset(seeds)
        self._referees = [
            Referee(schema, agent, seat, seeds) for seat, agent in enumerate(self.agents)
        ]
        pressed = {key: np.zeros_like(self._columns[key]) for key in schema.control_keys}
        while self._my_turn():
            state = {key: self._columns[key] for key in schema.state_keys}
            view = {**state, **pressed}
            answers = [self._ask(referee, view) for referee in self._referees]
            pressed = {
                key: np.concatenate([answer[key] for answer in answers], axis=1)
                for key in schema.control_keys
            }
            self._publish(schema.pack({**state, **pressed}))
            if self.over:  # while an agent was thinking
                return
            self._columns, events, done = self.world.step(pressed)
            self._note(events)
            if losers := self._losers():
                self._forfeit(losers)
            elif done[0]:
                self._finish()
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

    def _ask(self, referee: Referee, view: Columns) -> Columns:
        """One agent's answer, checked and timed."""
        seat, began = referee.player, time.monotonic()
        self._thinking = seat, began
        answer = referee.ask(from_seat(self.game.schema, view, seat))
        self._thinking = None
        self._left[seat] = min(
            ALLOWANCE, self._left[seat] - (time.monotonic() - began) + 1 / self.fps
        )
        return answer

    def _losers(self) -> dict[int, str]:
        """Who has lost by forfeit, and why: what an agent said when it failed may name files, and stays in the log."""
        losers = {seat: TOO_SLOW for seat, left in enumerate(self._left) if left < 0}
        for referee in self._referees:
            if referee.lost[0]:
                log.warning("live match: %s: %s", self.players[referee.player], referee.why[0])
                kind = referee.broken.partition(":")[0]
                losers[referee.player] = f"failed with {kind}" if kind else referee.why[0]
        return losers

    # ---- what was ----------------------------------------------------------------------------------------------

    def _publish(self, row: Array) -> None:
        with self._turn:
            if not self.over:
                self._rows += row.tobytes()
        self._notify()

    def _note(self, events: Array) -> None:
        if len(events):
            self._happened.append(events.copy())
            self.events += event_list(events)

    def _finish(self) -> None:
        last = self._last_row()
        outcome = Outcome(None, "over")
        if self.game.outcome:
            rows = np.frombuffer(bytes(self._rows) + last, self.game.schema.row_dtype)
            outcome = self.game.outcome(
                self.game.schema.unpack(rows), np.concatenate(self._happened)
            )
        self._end({"winner": outcome.winner, "reason": outcome.reason, **outcome.facts}, last)

    def _forfeit(self, losers: dict[int, str]) -> None:
        others = [player for player in range(len(self.agents)) if player not in losers]
        told = [{"player": player, "reason": why} for player, why in losers.items()]
        winner = others[0] if len(others) == 1 else None
        self._end({"winner": winner, "reason": "forfeit", "forfeit": told}, self._last_row())

    def _last_row(self) -> bytes:
        """The state of now, in which nothing is pressed. The world must stand still meanwhile."""
        neutral = {key: np.zeros_like(self._columns[key]) for key in self.game.schema.control_keys}
        return self.game.schema.pack({**self._columns, **neutral}).tobytes()

    def _end(self, result: dict[str, Any], last: bytes = b"") -> None:
        with self._turn:
            if self.over:
                return
            self._rows += last
            self.result = result
            self._turn.notify()
        self._notify()
