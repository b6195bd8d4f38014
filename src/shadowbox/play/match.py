"""Matches side by side: agents play in a world, and every match becomes an episode with its outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode, PackedEpisode
from shadowbox.core.game import EVENT, Agent, Game, Outcome, World, no_events
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.tracks import blank_rows
from shadowbox.errors import EpisodeError
from shadowbox.play.turn import MatchBatch, compiled_matches

SIDE_BY_SIDE = 256  # matches at once; which number it is changes no match, only the speed
CHUNK = 256  # frames that the history grows by
LONGEST = 100_000  # frames; a world that never ends a match is a mistake
CUT = "the limit of frames"  # the reason of matches that `most` cuts off


@dataclass(frozen=True)
class PlayedMatch:
    """A match: its recording and its outcome."""

    recording: Episode | PackedEpisode
    outcome: Outcome
    schema: Schema

    @cached_property
    def episode(self) -> Episode:
        """The recording in columns."""
        found = self.recording
        return found.unpack(self.schema) if isinstance(found, PackedEpisode) else found


def play(
    game: Game,
    world: World,
    agents: Sequence[Agent],
    players: Sequence[str],
    seeds: Array,
    *,
    past: Mapping[str, Array] | None = None,
    tracks: bool = False,
    more: Mapping[str, Any] | None = None,
    most: int | None = None,
) -> Iterator[PlayedMatch]:
    """Play a match for each of `seeds` to its end, in their order.

    `world.matches` of them run side by side; where one ends the next begins, so no place waits for
    the longest match. An agent that crashes or answers with nonsense loses that match by forfeit,
    with the reason; the other matches go on. `players` are names for the episodes.

    `past` [K + 1, slots]: recorded rows; every match begins from the last one, after its agents
    have watched the others, and its episode begins there. `tracks` records the tracks of the
    agents. `more` is metadata for every episode. `most`: frames after which a match is cut off.
    """
    whole = past is None and not tracks and most is None
    if whole and (compiled := compiled_matches(world, agents)):
        for seed, (rows, events) in zip(seeds, compiled.play(seeds), strict=True):
            outcome = _last_outcome(game, rows, events)
            meta = _meta(world, agents, players, int(seed), outcome) | dict(more or {})
            yield PlayedMatch(PackedEpisode(rows, meta, events), outcome, game.schema)
        return
    places = _Places(game, world, agents, seeds, past, tracks, most)
    finished: dict[int, PlayedMatch] = {}
    for due in range(len(seeds)):
        while due not in finished:
            for match, episode, outcome in places.step():
                meta = _meta(world, agents, players, int(seeds[match]), outcome) | dict(more or {})
                recording = Episode(episode.columns, meta, episode.events, tracks=episode.tracks)
                finished[match] = PlayedMatch(recording, outcome, game.schema)
        yield finished.pop(due)


def _last_outcome(game: Game, rows: Array, events: Array) -> Outcome:
    """Outcome of a match of packed rows, as `MatchBatch` finds it: from the last row."""
    if game.outcome is None:
        return Outcome(None, "over")
    return game.outcome(game.schema.unpack(rows[-1:]), events[events["frame"] == len(rows) - 1])


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
    """A warning for everybody who meets an agent, such as a failed behavior gate; usually empty."""
    return str(getattr(agent, "mark", ""))


class _Places:
    """The places of a world, and the matches in them."""

    def __init__(
        self,
        game: Game,
        world: World,
        agents: Sequence[Agent],
        seeds: Array,
        past: Mapping[str, Array] | None,
        tracks: bool,
        most: int | None,
    ) -> None:
        self.game, self.schema, self.seeds, self.past = game, game.schema, seeds, past
        self.most = LONGEST + 1 if most is None else most
        self.batch = MatchBatch(game, world, agents, tracks=tracks)
        places = world.matches
        self.match = np.arange(places)  # the match in each place; from len(seeds) on: none
        self.began = np.zeros(places, np.int64)  # the frame of the history at which it began
        self.waiting = places  # the next match that has no place yet
        self.happened: list[list[Array]] = [[] for _ in range(places)]
        self.history, self.shown = _History(), _History()
        self.batch.begin(self._seeds_here(), past=self._past_of(places))
        self.batch.over[self.match >= len(seeds)] = True

    def step(self) -> list[tuple[int, Episode, Outcome]]:
        """Play one frame everywhere; returns the matches that ended: number, episode, outcome."""
        turn = self.batch.turn(record=self._record)
        for place in np.unique(turn.events["match"]).tolist():
            self.happened[place].append(turn.events[turn.events["match"] == place])
        if self.history.length - self.began.min() > LONGEST:
            raise EpisodeError(
                f"{self.batch.world.name}: a match is not over after {LONGEST:,} frames; "
                "the world needs a time limit"
            )
        outcomes = dict(turn.outcomes)
        long = ~self.batch.over & (self.history.length - self.began >= self.most)
        outcomes |= {place: self._cut(place) for place in np.flatnonzero(long).tolist()}
        over = [(int(self.match[p]), self._take(p), outcome) for p, outcome in outcomes.items()]
        if over:
            self.batch.over |= long
            self._seat(np.flatnonzero(turn.ended | long))
        return over

    def _cut(self, place: int) -> Outcome:
        """Outcome of a match that is cut off in `place`: a draw, whatever the score."""
        if self.game.outcome is None:
            return Outcome(None, CUT)
        last = {key: values[place : place + 1] for key, values in self.batch.view.items()}
        return Outcome(None, CUT, self.game.outcome(last, no_events()).facts)

    def _record(self, row: Columns, tracks: Columns) -> None:
        self.history.add(row)
        if tracks:
            self.shown.add(tracks)

    def _take(self, place: int) -> Episode:
        """The match in `place`, whole: its rows, and the last state with neutral controls."""
        last = {key: values[place : place + 1].copy() for key, values in self.batch.view.items()}
        for key in self.schema.control_keys:
            last[key][:] = 0
        began = int(self.began[place])
        rows = self.history.rows(place, began)
        columns = {key: np.concatenate([*rows[key], last[key]]) for key in self.schema.columns}
        events = np.frombuffer(b"".join(part.tobytes() for part in self.happened[place]), EVENT)
        shown = self.shown.rows(place, began) if self.batch.tracks else {}
        blank = blank_rows(self.batch.tracks, 1)
        tracks = {key: np.concatenate([*shown[key], blank[key]]) for key in shown}
        return Episode(columns, {}, events, tracks=tracks)

    def _seat(self, places: Array) -> None:
        """Start waiting matches in freed places."""
        self.match[places] = self.waiting + np.arange(len(places))
        self.waiting += len(places)
        self.began[places] = self.history.length
        for place in places:
            self.happened[place] = []
        where = np.zeros(len(self.match), bool)
        where[places[self.match[places] < len(self.seeds)]] = True
        # empty places hold no history
        self.began[~where & (self.match >= len(self.seeds))] = self.history.length
        if where.any():
            self.batch.begin(self._seeds_here(), where, self._past_of(int(where.sum())))
        for history in (self.history, self.shown):
            history.forget(int(self.began.min()))

    def _seeds_here(self) -> Array:
        return np.asarray(self.seeds)[np.minimum(self.match, len(self.seeds) - 1)]

    def _past_of(self, matches: int) -> Columns | None:
        if self.past is None:
            return None
        return {key: np.repeat(rows[:, None], matches, axis=1) for key, rows in self.past.items()}


class _History:
    """Rows of all places, [frames, N, slots] a column: growing by chunks, forgotten after use."""

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
