"""A session of matches in a live game: turns as fast as the game, newer checkpoints, and its figures.

A seat has an agent, or None where a person or the game itself plays. What those press is read from
the game's own frames (`controls_read` of the world), so that agents see it as in recordings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import Game, Outcome
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import ShadowboxError
from shadowbox.play.live_games.newest import _NewestAgent
from shadowbox.play.turn import MatchBatch

WATCHED = 32  # rows that a newer policy watches when it is taken in the middle of a match
ONCE, BETWEEN, NEVER = "now", "match", "off"  # when a newer checkpoint is taken
Say = Callable[[str], None]


class _LiveSession:
    """Matches one after another; `figures` may be asked at any time, also after a failure.

    `world` is a live one: besides the protocol's, it has `thinking`, `dropped` and
    `controls_read`. `ended` is how the session ended.
    """

    def __init__(
        self,
        game: Game,
        world: Any,
        seats: Sequence[_NewestAgent | None],
        names: Sequence[str],
        *,
        reload: str = BETWEEN,
        say: Say = lambda text: None,
        after: Callable[[int], Mapping[str, Any]] = lambda number: {},
    ) -> None:
        """`names` of seats without an agent are used as they are.

        `after` is called with the number of a match that has ended, and returns facts for it.
        """
        self.game, self.world, self.seats, self._names = game, world, list(seats), list(names)
        self.reload, self.say, self._after = reload, say, after
        self.matches: list[dict[str, Any]] = []
        self.reloads: list[dict[str, Any]] = []
        self.ended, self.failed = "", False
        self._frames = 0  # of the match that is played
        self._past: deque[Columns] = deque(maxlen=WATCHED)

    @property
    def players(self) -> list[str]:
        """Names of the seats, with the steps of checkpoints."""
        pairs = zip(self.seats, self._names, strict=True)
        return [name if seat is None else seat.name for seat, name in pairs]

    def run(self, matches: int | None = None, frames: int | None = None) -> None:
        """Play until `matches` are over, or `frames` of a match, or Ctrl-C, or a failure.

        Ctrl-C and errors that a user can act on end the session; they are not raised.
        """
        try:
            while matches is None or len(self.matches) < matches:
                self._take_newer(0)
                if not self._match(frames):
                    self.ended = f"after {frames} frames of a match"
                    return
            self.ended = "all matches are played"
        except KeyboardInterrupt:
            self.ended = "stopped"
        except ShadowboxError as error:
            self.ended, self.failed = str(error), True

    def figures(self) -> dict[str, Any]:
        """Matches, times from a frame to its controls, and frames that were late or dropped."""
        thinking = 1000 * np.array(self.world.thinking[1:])  # the first one loads and compiles
        frame = 1000 / self.game.schema.fps
        latency = {
            "median": float(np.median(thinking)) if len(thinking) else None,
            "p95": float(np.quantile(thinking, 0.95)) if len(thinking) else None,
            "p99": float(np.quantile(thinking, 0.99)) if len(thinking) else None,
            "max": float(thinking.max()) if len(thinking) else None,
        }
        return {
            "players": self.players,
            "matches": self.matches,
            "unfinished_frames": self._frames,
            "reloads": self.reloads,
            "frames": len(self.world.thinking),
            "decision_ms": latency,
            "late": int((thinking > frame).sum()),
            "dropped": int(self.world.dropped),
            "ended": self.ended,
            "failed": self.failed,
        }

    # ---- inside ----------------------------------------------------------------------------------

    def _match(self, frames: int | None) -> bool:
        """One match; False if it was cut after `frames`."""
        number = len(self.matches)
        agents = [None if seat is None else seat.agent for seat in self.seats]
        batch = MatchBatch(self.game, self.world, agents)
        seeds, nothing = np.array([number], np.int64), self._nothing()
        outside = dict.fromkeys(batch.outside, nothing)
        self._past.clear()
        batch.begin(seeds)
        self.say(f"match {number + 1}: {' against '.join(self.players)}")
        players = self.players
        while True:
            seen = batch.view
            turn = batch.turn(outside)
            self._frames += 1
            if turn.ended[0]:
                break
            if self._frames == frames:
                return False
            if self.reload == ONCE:
                self._past.append({**_copied(seen), **_copied(batch.pressed)})
                self._take_newer(self._frames, batch, seeds)
        outcome = turn.outcomes[0]
        self._record(number, players, outcome)
        if forfeits := outcome.facts.get("forfeit"):
            lost = ", ".join(f"{players[each['player']]}: {each['reason']}" for each in forfeits)
            raise ShadowboxError(f"an agent failed, so the session ends: {lost}")
        return True

    def _record(self, number: int, players: list[str], outcome: Outcome) -> None:
        ending = str(getattr(self.world, "ending", ""))
        facts = {
            "players": players,
            "winner": outcome.winner,
            "reason": outcome.reason,
            "ending": ending,
            "frames": self._frames,
            **outcome.facts,
            **self._after(number),
        }
        self._frames = 0
        self.matches.append(facts)
        who = "no winner" if outcome.winner is None else f"won by {players[outcome.winner]}"
        self.say(f"match {number + 1}: {who} ({outcome.reason}), {facts['frames']} frames")

    def _take_newer(self, row: int, batch: MatchBatch | None = None, seeds: Any = None) -> None:
        """Let newer checkpoints play; in the middle of a match they watch its last rows first."""
        if self.reload == NEVER:
            return
        for number, seat in enumerate(self.seats):
            agent = None if seat is None else seat.take()
            if agent is None or seat is None:
                continue
            if batch is not None:
                referee = batch.referees[number]
                referee.agent = agent
                referee.seat(seeds, past=_stacked(self._past))
            self.reloads.append(
                {"match": len(self.matches), "frame": row, "seat": number, "player": seat.name}
            )
            self.say(f"seat {number}: {seat.name} plays from here on")

    def _nothing(self) -> Columns:
        """Neutral controls of one seat, for a player outside."""
        schema = self.game.schema
        slots = schema.controls.slots // schema.players
        return {key: np.zeros((1, slots), schema.columns[key].dtype) for key in schema.control_keys}


def _copied(columns: Mapping[str, Array]) -> Columns:
    return {key: values.copy() for key, values in columns.items()}


def _stacked(rows: Sequence[Columns] | deque[Columns]) -> Columns:
    """Rows as columns [K, n, slots]."""
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
