"""Benchmark of an agent: matches against others, each seed once from either seat, and who won.

A draw does not count as a win. The two matches of a seed share their luck, so that intervals count seeds, and
matches that are copies of each other count once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shadowbox.core.game import Agent, Game, Reward, World, no_events
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.stats import Interval, bootstrap_ratio, wilson
from shadowbox.play.rewards import result_for
from shadowbox.play.turn import MatchBatch

SIDE_BY_SIDE = 256  # matches at once
KEPT = 32  # of which the rows are kept
MOST_FRAMES = 20_000  # of a match whose world does not end it


@dataclass(frozen=True)
class _BenchmarkResult:
    """Matches of an agent against an opponent: [2, n] by seat and seed."""

    results: Array  # 1, 0 or -1 from the agent's view
    frames: Array  # of each match
    rewards: Array  # sum over each match, of the reward that was asked for
    places: Array  # where the agent began, as a text; "" where the game has no places
    prints: Array  # equal for copies of a match
    # of the agent in each match, [2, n, figures, 2]: a count and its denominator (Game.tactics)
    tactics: Array

    @property
    def wins(self) -> Interval:
        """Share of matches won, with an interval over seeds."""
        return win_interval(self.results == 1)

    @property
    def draws(self) -> float:
        """Share of draws."""
        return float((self.results == 0).mean())

    @property
    def distinct(self) -> int:
        """Number of different matches."""
        return len(np.unique(self.prints))

    def by_place(self) -> dict[str, Interval]:
        """Share of matches won from each starting place; each match is a unit."""
        return {
            str(place): wilson(
                float((self.results[self.places == place] == 1).sum()),
                int((self.places == place).sum()),
            )
            for place in np.unique(self.places)
            if place
        }

    def tactic_intervals(self, game: Game) -> dict[str, Interval]:
        """Figures of the game's tactics over all matches, with intervals over seeds."""
        sums = self.tactics.sum(axis=0)  # of the two matches of a seed
        return {name: bootstrap_ratio(*sums[:, at].T) for at, name in enumerate(tactic_names(game))}


def tactic_names(game: Game) -> tuple[str, ...]:
    """Names of the figures of a game's tactics; none for a game without them."""
    if game.tactics is None:
        return ()
    return tuple(game.tactics(game.schema.neutral(1), no_events()))


def win_interval(won: Array) -> Interval:
    """Wilson's interval of wins [2, n], whose unit is the seed: a pair of matches."""
    pairs = won.mean(axis=0)
    return wilson(float(pairs.sum()), len(pairs))


def benchmark(
    game: Game,
    worlds: Callable[[int], World],
    agent: Agent,
    opponent: Agent,
    seeds: Array,
    *,
    reward: Reward | None = None,
    tactics: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> _BenchmarkResult:
    """Play every seed [n] twice, the agent first in seat 0 and then in seat 1.

    `reward`: None: the result of a match is its reward. `tactics`: count those of the game, for
    which the rows of some matches are kept.
    """
    found: list[Mapping[str, Array]] = []
    most = KEPT if tactics and game.tactics is not None else SIDE_BY_SIDE
    for seat in (0, 1):
        agents = (agent, opponent) if seat == 0 else (opponent, agent)
        batch = MatchBatch(game, worlds(min(most, len(seeds))), agents, reward=reward)
        parts = []
        for first in range(0, len(seeds), batch.matches):
            kept = _Kept(batch, seat) if most == KEPT else None
            parts.append(_play(batch, seeds[first : first + batch.matches], seat, kept))
            if progress:
                progress(seat * len(seeds) + first + batch.matches, 2 * len(seeds))
        found.append({key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
    return _BenchmarkResult(**{key: np.stack([each[key] for each in found]) for key in found[0]})


def episode_returns(
    game: Game,
    worlds: Callable[[int], World],
    agents: Sequence[Agent],
    reward: Reward | None,
    seeds: Array,
) -> tuple[Array, Array]:
    """Sum of the rewards of each player [n, players], and frames [n], of one match a seed."""
    returns, frames = [], []
    for first in range(0, len(seeds), SIDE_BY_SIDE):
        part = seeds[first : first + SIDE_BY_SIDE]
        batch = MatchBatch(game, worlds(len(part)), agents, reward=reward)
        batch.begin(part)
        sums = np.zeros((len(part), game.schema.players))
        while not batch.over.all():
            live = ~batch.over[:, None]
            sums += np.where(live, batch.turn().rewards, 0.0)
        returns.append(sums)
        frames.append(batch.rows.copy())
    return np.concatenate(returns), np.concatenate(frames)


def paired_returns(
    game: Game,
    worlds: Sequence[World],
    agents: Sequence[Agent],
    seeds: Array,
    *,
    frames: int = 0,
    reward: Reward | None = None,
) -> Array:
    """Returns [n, worlds] of the first of two agents, mean of both seats, of a start a seed [n].

    Matches of the first world begin where it begins, those of the others from the same rows. A
    match that goes on after `frames` is cut there; 0: where the first world truncated it, or after
    as many frames as the longest match there.
    """
    found = np.zeros((len(seeds), len(worlds)))
    places = worlds[0].matches
    for first in range(0, len(seeds), places):
        part = np.resize(seeds[first : first + places], places)  # the surplus is not counted
        count = min(places, len(seeds) - first)
        for seat in (0, 1):
            order = agents if seat == 0 else agents[::-1]
            began: Columns | None = None
            most = np.full(places, frames or MOST_FRAMES)
            for number, world in enumerate(worlds):
                batch = MatchBatch(game, world, order, reward=reward)
                batch.begin(part, past=began)
                began = _rows(batch) if began is None else began
                total, cut = _total(batch, seat, most)
                found[first : first + count, number] += total[:count] / 2
                if number == 0 and not frames:
                    most = np.where(cut, batch.rows, batch.rows.max())
    return found


def _rows(batch: MatchBatch) -> Columns:
    """Rows [K + 1, N, slots] that the matches of a batch begin from: their context, and now."""
    now = {key: np.array(values)[None] for key, values in batch.view.items()}
    for key in batch.schema.control_keys:
        now[key][:] = 0
    return {
        key: np.concatenate([batch.context[key], values]) if batch.context else values
        for key, values in now.items()
    }


def _total(batch: MatchBatch, seat: int, most: Array) -> tuple[Array, Array]:
    """Sum of the rewards [N] of the player in a seat, over at most `most` [N] frames.

    Also the mask [N] of matches that the world truncated.
    """
    total, cut = np.zeros(batch.matches), np.zeros(batch.matches, bool)
    for frame in range(int(most.max(initial=0))):
        live = ~batch.over & (frame < most)
        if not live.any():
            break
        turn = batch.turn()
        total += np.where(live, turn.rewards[:, seat], 0.0)
        cut |= turn.truncated
    return total, cut


class _Kept:
    """Rows and events of matches side by side, until their tactics are counted."""

    def __init__(self, batch: MatchBatch, seat: int) -> None:
        self.batch, self.seat = batch, seat
        self.rows: list[Columns] = []
        self.events: list[Array] = []

    def add(self, columns: Columns, events: Array) -> None:
        """Keep a row of all matches, and the events that it shows."""
        keys = self.batch.schema.state_keys
        self.rows.append({key: columns[key].copy() for key in keys})
        self.events.append(events.copy())

    def counts(self, n: int) -> Array:
        """Counts and denominators of the player in the seat, of the first n matches."""
        game, events = self.batch.game, np.concatenate(self.events)
        assert game.tactics is not None
        rows = {key: np.stack([row[key] for row in self.rows]) for key in self.rows[0]}
        found = []
        for match in range(n):
            own = slice(int(self.batch.rows[match]) + 1), match
            columns = {key: values[own] for key, values in rows.items()}
            figures = game.tactics(columns, events[events["match"] == match])
            found.append([pair[self.seat] for pair in figures.values()])
        return np.array(found)


def _play(
    batch: MatchBatch, seeds: Array, seat: int, kept: _Kept | None = None
) -> dict[str, Array]:
    """One match of each seed, to its end; places beyond them play along and are not counted."""
    n = len(seeds)
    batch.begin(np.resize(seeds, batch.matches))
    batch.over[n:] = True
    results, rewards = np.zeros(n, np.int64), np.zeros(n)
    prints = np.zeros(n, np.uint64)
    first = {key: values[:n].copy() for key, values in batch.view.items()}
    if kept is not None:
        kept.add(batch.view, no_events())
    while not batch.over.all():
        live = ~batch.over[:n]
        turn = batch.turn()
        if kept is not None:
            kept.add(turn.columns, turn.events)
        rewards += np.where(live, turn.rewards[:n, seat], 0.0)
        prints = np.where(live, _mixed(prints, turn.columns, batch.game.schema, n), prints)
        for match, outcome in turn.outcomes.items():
            results[match] = result_for(outcome, seat)
    return {
        "results": results,
        "frames": batch.rows[:n].copy(),
        "rewards": rewards,
        "places": _places(batch.game, first, seat, n),
        "prints": prints,
        "tactics": np.zeros((n, 0, 2)) if kept is None else kept.counts(n),
    }


def _places(game: Game, first: Columns, seat: int, n: int) -> Array:
    """Starting place of the player in a seat, [n]."""
    if game.places is None:
        return np.full(n, "")
    rows = ({key: values[[at]] for key, values in first.items()} for at in range(n))
    return np.array([game.places(row)[seat] for row in rows])


def _mixed(prints: Array, columns: Columns, schema: Schema, n: int) -> Array:
    """Running fingerprints [n] of the players' positions.

    Other effects of a seed, in places that no player went to, do not make a match distinct.
    """
    total = np.zeros(n)
    for at, (key, column) in enumerate(schema.columns.items()):
        if column.group.per and key in schema.state_keys and column.field.kind == "real":
            weights = (at + 1.618) * np.arange(1, column.slots + 1)
            total += columns[key][:n].astype(np.float64) @ weights
    with np.errstate(over="ignore"):
        return np.asarray((prints ^ total.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15))
