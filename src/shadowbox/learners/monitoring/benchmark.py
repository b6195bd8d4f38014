"""Benchmark during training: the policy of now against named agents, each seed from both seats.

It is played on a copy of the policy in a world of its own, with seeds of its own, so that training
goes on as if it had not been. The seeds are the same each time: curves move with the policy alone.

A run in a learned world is also played in the true one (`true_world`): what the policy gains in the
first and not in the second, it takes from mistakes of the world.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowbox.core.game import Agent, Game, World, stable_hash
from shadowbox.core.metrics import MetricInfo, figure_word
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap_mean, wilson
from shadowbox.errors import UsageError
from shadowbox.learners.opponents import LEAGUE, SELF
from shadowbox.learners.registry import Inputs
from shadowbox.model.policy import Policy
from shadowbox.play.benchmark import _BenchmarkResult, benchmark, paired_returns, tactic_names
from shadowbox.play.policy_agent import PolicyAgent
from shadowbox.play.rewards import over_budget
from shadowbox.play.specs import training_opponents, world_factory
from shadowbox.train.tables import TRUE, _Table

KIND = "bench"  # of its lines
SEED = "curve"  # of matches that neither training nor an evaluation plays
FIGURES: dict[str, MetricInfo] = {
    # by opponent, with their intervals over seeds; without one: over all opponents
    "win_rate": MetricInfo("high", 0.0, 1.0, ("even",)),
    "draws": MetricInfo("", 0.0, 1.0),
    # sum of the rewards of a match, by the weights at the beginning of the run
    "return": MetricInfo("high"),
    "frames": MetricInfo("", 0.0),  # of a match
    # of whole matches in the true world
    "true_win_rate": MetricInfo("high", 0.0, 1.0, ("even",)),
    # of matches in the true world that begin from the rows, and end with the frames, of the others
    "true_return": MetricInfo("high"),
    # by how much the return is larger than that, with its interval over starts
    "return_gap": MetricInfo(""),
}
ENDS = ("low", "high")
Sums = dict[str, tuple[float, float]]  # numerators and denominators


@dataclass(frozen=True, kw_only=True)
class _BenchmarkConfig:
    """Settings of the benchmark during training."""

    benchmark_every: int = 0  # rollouts between two benchmarks; 0: none
    # agents to play against; empty: those of the card, without the policy itself
    benchmark_opponents: tuple[str, ...] = ()
    benchmark_matches: int = 32  # against each, half of them from each seat
    true_world: str = ""  # spec of a world to play in as well, such as the game's simulator

    def __post_init__(self) -> None:
        object.__setattr__(self, "benchmark_opponents", tuple(self.benchmark_opponents))
        if self.benchmark_every < 0:
            raise UsageError(f"benchmark_every must be at least 0 (got {self.benchmark_every})")
        if self.benchmark_matches < 2 or self.benchmark_matches % 2:
            raise UsageError(
                "benchmark_matches must be an even number, for two seats "
                f"(got {self.benchmark_matches})"
            )


class _Benchmark:
    """Benchmark of a run of self-play."""

    def __init__(self, inputs: Inputs, config: _BenchmarkConfig) -> None:
        game = inputs.game
        named = config.benchmark_opponents or tuple(
            name for name in inputs.opponents if name not in (SELF, LEAGUE)
        )
        if game.schema.players != 2 or not named:
            raise UsageError(
                "benchmark_every needs opponents in a game of two: name some in benchmark_opponents"
            )
        self.inputs, self.config = inputs, config
        self.opponents = training_opponents(named, game)  # held-out ones are for evaluations
        self.reward = over_budget(inputs.reward, inputs.config.steps or 1)
        self.true = world_factory(config.true_world, game) if config.true_world else None

    def due(self, step: int) -> bool:
        """True after the rollouts in which it is played."""
        return step > 0 and step % self.config.benchmark_every == 0

    def play(self, policy: Policy) -> tuple[Sums, list[dict[str, Any]]]:
        """Figures of a line, and a row of the table for each opponent."""
        inputs, figures, rows = self.inputs, dict[str, tuple[float, float]](), []
        assert inputs.worlds is not None
        assert inputs.agents is not None
        pairs = self.config.benchmark_matches // 2
        agent = PolicyAgent(copy.deepcopy(policy).cpu().eval(), block=pairs)
        results, gaps = {}, []
        for spec in self.opponents:
            seeds = np.array([stable_hash(SEED, spec, at) >> 2 for at in range(pairs)], np.int64)
            opponent = inputs.agents(spec)
            results[spec] = found = benchmark(
                inputs.game,
                inputs.worlds,
                agent,
                opponent,
                seeds,
                reward=self.reward,
                tactics=True,
            )
            figures |= _figures(found, f".{figure_word(spec)}")
            row = dict(_row(spec, found, inputs.game))
            if self.true is not None:
                wins, both = self._true(self.true, (agent, opponent), seeds)
                figures |= _true_figures(wins, both, f".{figure_word(spec)}")
                row |= _true_row(wins, both)
                gaps.append((wins, both))
            rows.append(row)
        parts = [_figures(found, "") for found in results.values()]
        for name in ("win_rate", "draws", "return", "frames"):
            figures[name] = (sum(p[name][0] for p in parts), sum(p[name][1] for p in parts))
        if gaps:
            won = wilson(sum(w.value for w, _ in gaps) * pairs, len(gaps) * pairs)
            figures |= _true_figures(won, np.concatenate([both for _, both in gaps]), "")
            figures["true_win_rate/even"] = (0.5, 1.0)
        return {**figures, "win_rate/even": (0.5, 1.0)}, rows

    def _true(
        self, true: Callable[[int], World], agents: tuple[Agent, Agent], seeds: Array
    ) -> tuple[Interval, Array]:
        """Wins of whole matches in the true world, and returns [n, 2] in both from equal starts."""
        assert self.inputs.worlds is not None
        game, pairs = self.inputs.game, len(seeds)
        wins = benchmark(game, true, *agents, seeds).wins
        worlds = self.inputs.worlds(pairs), true(pairs)
        return wins, paired_returns(game, worlds, agents, seeds, reward=self.reward)


def benchmark_table(game: Game, true: bool = False) -> _Table:
    """Table of the benchmarks of a run; with a true world, its columns come last."""
    columns = ("step", "opponent", "matches", "wins", "draws", "win_rate", "low", "high")
    return _Table((*columns, "return", "frames", *tactic_names(game), *(TRUE if true else ())))


def _figures(found: _BenchmarkResult, of: str) -> Sums:
    matches = float(found.results.size)
    wins = found.wins
    return {
        f"win_rate{of}": (float((found.results == 1).sum()), matches),
        f"win_rate{of}.low": (wins.low, 1.0),
        f"win_rate{of}.high": (wins.high, 1.0),
        f"draws{of}": (float((found.results == 0).sum()), matches),
        f"return{of}": (float(found.rewards.sum()), matches),
        f"frames{of}": (float(found.frames.sum()), matches),
    }


def _true_figures(wins: Interval, both: Array, of: str) -> Sums:
    gap = bootstrap_mean(both[:, 0] - both[:, 1])
    found = {f"true_win_rate{of}": wins, f"return_gap{of}": gap}
    ends = {f"{name}.{end}": getattr(each, end) for name, each in found.items() for end in ENDS}
    means = {f"true_return{of}": float(both[:, 1].mean())}
    means |= {name: each.value for name, each in found.items()} | ends
    return {name: (float(value), 1.0) for name, value in means.items()}


def _true_row(wins: Interval, both: Array) -> dict[str, float]:
    gap = bootstrap_mean(both[:, 0] - both[:, 1])
    return dict(zip(TRUE, (*wins, float(both[:, 1].mean()), *map(float, gap)), strict=True))


def _row(spec: str, found: _BenchmarkResult, game: Game) -> Mapping[str, Any]:
    """A row; figures of tactics are empty where there was nothing to be counted."""
    sums, wins = found.tactics.sum(axis=(0, 1)), found.wins
    tactics = {
        name: float(top / bottom) if bottom else None
        for name, (top, bottom) in zip(tactic_names(game), sums, strict=True)
    }
    return {
        "opponent": spec,
        "matches": found.results.size,
        "wins": int((found.results == 1).sum()),
        "draws": int((found.results == 0).sum()),
        "win_rate": wins.value,
        "low": wins.low,
        "high": wins.high,
        "return": float(found.rewards.mean()),
        "frames": float(found.frames.mean()),
        **tactics,
    }
