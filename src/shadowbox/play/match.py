"""Agents in a world: matches side by side become episodes, with what happened and how each ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.game import EVENT, Agent, Game, Outcome, World
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import from_seat
from shadowbox.errors import EpisodeError
from shadowbox.play.referee import Referee

SIDE_BY_SIDE = 256  # matches at once; which number it is changes no match, only the speed
CHUNK = 256  # frames that the history grows by
LONGEST = 100_000  # frames; a world that never ends a match is a mistake


@dataclass(frozen=True)
class PlayedMatch:
    """One match: its episode, and how it ended."""

    episode: Episode
    outcome: Outcome


def play(
    game: Game, world: World, agents: Sequence[Agent], players: Sequence[str], seeds: Array
) -> Iterator[PlayedMatch]:
    """Play a match for each of `seeds` to its end, in their order; `players` are the names that the episodes carry.

    `world.matches` of them run side by side; where one ends the next begins, so no place waits for
    the longest match. An agent that crashes or answers with nonsense loses that match by forfeit,
    with the reason; the other matches go on.
    """
    table = _Table(game, world, agents, seeds)
    finished: dict[int, PlayedMatch] = {}
    for due in range(len(seeds)):
        while due not in finished:
            for match, columns, events, forfeit in table.step():
                outcome = forfeit or (
                    game.outcome(columns, events) if game.outcome else Outcome(None, "over")
                )
                meta = _meta(world, agents, players, int(seeds[match]), outcome)
                finished[match] = PlayedMatch(Episode(columns, meta, events), outcome)
        yield finished.pop(due)


def _meta(
    world: World, agents: Sequence[Agent], players: Sequence[str], seed: int, outcome: Outcome
) -> dict[str, Any]:
    result = {"winner": outcome.winner, "reason": outcome.reason, **outcome.facts}
    marks = [mark_of(agent) for agent in agents]
    return {
        "players": list(players),
        "seed": seed,
        "world": world.name,
        "result": result,
        **({"marks": marks} if any(marks) else {}),
    }


def mark_of(agent: Agent) -> str:
    """What everybody who meets an agent should know, such as that it failed the behavior gate.

    Usually nothing.
    """
    return str(getattr(agent, "mark", ""))


class _Table:
    """The places of a world and the matches that sit in them."""

    def __init__(self, game: Game, world: World, agents: Sequence[Agent], seeds: Array) -> None:
        self.game, self.world, self.seeds = game, world, seeds
        places = world.matches
        self.match = np.arange(places)  # which match sits in each place; from len(seeds) on: none
        self.began = np.zeros(places, np.int64)  # the frame of the history at which it began
        self.waiting = places  # the next match that has no place yet
        self.happened: list[list[Array]] = [[] for _ in range(places)]
        self.history = _History()
        here = self._seeds_here()
        self.columns = world.reset(here)
        self.referees = [
            Referee(game.schema, agent, player, here) for player, agent in enumerate(agents)
        ]
        self.pressed: Columns = {
            key: np.zeros_like(self.columns[key]) for key in game.schema.control_keys
        }

    def step(self) -> list[tuple[int, Columns, Array, Outcome | None]]:
        """One frame everywhere.

        The matches that ended with it: number, columns [T + 1, slots], events, forfeit if any.
        """
        state = {key: self.columns[key] for key in self.game.schema.state_keys}
        self.pressed = self._decide({**state, **self.pressed})
        self.history.add({**state, **self.pressed})
        self.columns, events, done = self.world.step(self.pressed)
        for place in np.unique(events["match"]).tolist():
            self.happened[place].append(events[events["match"] == place])
        lost = np.array([referee.lost for referee in self.referees]).any(axis=0)
        ended = np.flatnonzero((done | lost) & (self.match < len(self.seeds)))
        if self.history.length - self.began.min() > LONGEST:
            raise EpisodeError(
                f"{self.world.name}: a match is not over after {LONGEST:,} frames; the world needs a time limit"
            )
        over = [self._take(int(place)) for place in ended]
        if len(ended):
            self._seat(ended)
        return over

    def _decide(self, view: Columns) -> Columns:
        """Everybody's controls [N, players].

        Each agent sees the same frame with its own slot first.
        """
        answers = [
            referee.ask(from_seat(self.game.schema, view, referee.player))
            for referee in self.referees
        ]
        return {
            key: np.concatenate([answer[key] for answer in answers], axis=1)
            for key in self.game.schema.control_keys
        }

    def _take(self, place: int) -> tuple[int, Columns, Array, Outcome | None]:
        """The match in `place`, whole: its rows, and the last state with neutral controls."""
        last = {key: values[place : place + 1].copy() for key, values in self.columns.items()}
        for key in self.game.schema.control_keys:
            last[key][:] = 0
        past = self.history.rows(place, int(self.began[place]))
        columns = {key: np.concatenate([*past[key], last[key]]) for key in self.game.schema.columns}
        events = np.frombuffer(b"".join(part.tobytes() for part in self.happened[place]), EVENT)
        return int(self.match[place]), columns, events, self._forfeit(place)

    def _forfeit(self, place: int) -> Outcome | None:
        """The outcome of a match that somebody lost by forfeit: the others' win; nobody's, where all of them did."""
        losers = {
            referee.player: referee.why[place] for referee in self.referees if referee.lost[place]
        }
        if not losers:
            return None
        left = [referee.player for referee in self.referees if referee.player not in losers]
        facts = {"forfeit": [{"player": player, "reason": why} for player, why in losers.items()]}
        return Outcome(left[0] if len(left) == 1 else None, "forfeit", facts)

    def _seat(self, places: Array) -> None:
        """Give freed places to the matches that wait."""
        self.match[places] = self.waiting + np.arange(len(places))
        self.waiting += len(places)
        self.began[places] = self.history.length
        for place in places:
            self.happened[place] = []
        where = np.zeros(self.world.matches, bool)
        where[places[self.match[places] < len(self.seeds)]] = True
        # empty places hold no history
        self.began[~where & (self.match >= len(self.seeds))] = self.history.length
        if where.any():
            here = self._seeds_here()
            self.columns = self.world.reset(here, where)
            for referee in self.referees:
                referee.seat(here, where)
        for values in self.pressed.values():
            values[places] = 0
        self.history.forget(int(self.began.min()))

    def _seeds_here(self) -> Array:
        return np.asarray(self.seeds)[np.minimum(self.match, len(self.seeds) - 1)]


class _History:
    """Rows of all places, [frames, N, slots] a column, growing by chunks and forgotten once no match needs them."""

    def __init__(self) -> None:
        self.length = 0
        self._chunks: list[Columns] = []
        self._first = 0  # the frame at which the first chunk that is kept begins

    def add(self, columns: Columns) -> None:
        at = self.length % CHUNK
        if at == 0:
            self._chunks.append(
                {key: np.empty((CHUNK, *v.shape), v.dtype) for key, v in columns.items()}
            )
        chunk = self._chunks[-1]
        for key, values in columns.items():
            chunk[key][at] = values
        self.length += 1

    def rows(self, place: int, start: int) -> dict[str, list[Array]]:
        """The rows of one place from frame `start` until now, in pieces."""
        pieces: dict[str, list[Array]] = {key: [] for key in self._chunks[0]}
        for number, chunk in enumerate(self._chunks):
            begins = self._first + number * CHUNK
            kept = slice(max(0, start - begins), max(0, min(CHUNK, self.length - begins)))
            for key, values in chunk.items():
                pieces[key].append(values[kept, place])
        return pieces

    def forget(self, before: int) -> None:
        while self._chunks and self._first + CHUNK <= before:
            self._chunks.pop(0)
            self._first += CHUNK
