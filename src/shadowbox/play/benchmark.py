"""Benchmark of an agent: matches against others, each seed once from either seat, and who won.

A draw does not count as a win. The two matches of a seed share their luck, so that intervals count seeds, and
matches that are copies of each other count once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shadowbox.core.game import Agent, Game, Reward, World
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.stats import Interval, wilson
from shadowbox.play.rewards import result_for
from shadowbox.play.turn import MatchBatch

SIDE_BY_SIDE = 256  # matches at once


@dataclass(frozen=True)
class _BenchmarkResult:
    """Matches of an agent against an opponent: [2, n] by seat and seed."""

    results: Array  # 1, 0 or -1 from the agent's view
    frames: Array  # of each match
    rewards: Array  # sum over each match, of the reward that was asked for
    places: Array  # where the agent began, as a text; "" where the game has no places
    prints: Array  # equal for copies of a match

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
    progress: Callable[[int, int], None] | None = None,
) -> _BenchmarkResult:
    """Play every seed [n] twice, the agent first in seat 0 and then in seat 1."""
    found: list[Mapping[str, Array]] = []
    for seat in (0, 1):
        agents = (agent, opponent) if seat == 0 else (opponent, agent)
        batch = MatchBatch(game, worlds(min(SIDE_BY_SIDE, len(seeds))), agents)
        parts = []
        for first in range(0, len(seeds), batch.matches):
            parts.append(_play(batch, seeds[first : first + batch.matches], seat))
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


def _play(batch: MatchBatch, seeds: Array, seat: int) -> dict[str, Array]:
    """One match of each seed, to its end; places beyond them play along and are not counted."""
    n = len(seeds)
    batch.begin(np.resize(seeds, batch.matches))
    batch.over[n:] = True
    results, rewards = np.zeros(n, np.int64), np.zeros(n)
    prints = np.zeros(n, np.uint64)
    first = {key: values[:n].copy() for key, values in batch.view.items()}
    while not batch.over.all():
        live = ~batch.over[:n]
        turn = batch.turn()
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
