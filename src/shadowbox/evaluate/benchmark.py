"""Evaluation of a policy by matches alone: how often it wins against scripted agents.

evaluate_matches("runs/x") -> _MatchEvaluation, with the figures
    wins.OPPONENT                 share of matches won (draws do not count), each seed from both seats
    wins                          the same against all opponents
    wins_from.OPPONENT.PLACE      wins by starting place
    draws.OPPONENT, frames.OPPONENT

With several reaction delays of the policy, OPPONENT.delayN is a figure at a delay of N frames, and
wins_at_delay.N the share of matches won against all opponents.

In a game of one player the figures are `return`, beside that of random play, and
`frames`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.evaluation import FILE, EvaluationReport, Figure, GateReport
from shadowbox.core.files import write_whole
from shadowbox.core.game import Agent, Game, World, stable_hash
from shadowbox.core.metrics import figure_word
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap_mean
from shadowbox.errors import UsageError
from shadowbox.evaluate.policy import Evaluation, evaluate
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.play import checkpoints, specs
from shadowbox.play.benchmark import (
    SIDE_BY_SIDE,
    _BenchmarkResult,
    benchmark,
    episode_returns,
    win_interval,
)
from shadowbox.play.match import play
from shadowbox.play.rewards import resolve_reward

EVEN = Interval(0.5, 0.5, 0.5)
SEED = "benchmark"  # of matches that no training run plays


@dataclass(frozen=True)
class _MatchEvaluation:
    """Results of a policy against each opponent, and at each delay."""

    checkpoint: Path
    game: Game
    world: str
    agent: str  # spec of the policy, without a delay
    results: Mapping[str, _BenchmarkResult]  # by opponent as people read it
    met: Mapping[str, tuple[str, int]]  # spec of the opponent, and delay of the policy in frames
    # of a game of one player: return, frames, and return of random play
    alone: tuple[Interval, Interval, Interval] | None = None

    def replay(self, name: str, seat: int, number: int) -> Episode:
        """Play one match of `results[name]` again, with the tracks of its agents.

        `seat`, `number`: place of the match in the results. Matches do not depend on those beside
        them, so it is the same match.
        """
        opponent, delay = self.met[name]
        seeds = benchmark_seeds(opponent, self.results[name].results.size)
        both = (f"{self.agent}@delay={delay}", opponent)
        agents = [specs.agent(spec, self.game) for spec in both]
        names, order = ("policy", opponent), (1, -1)[seat]
        (played,) = play(
            self.game,
            specs.world(self.world, self.game, 1),
            agents[::order],
            names[::order],
            seeds[[number]],
            tracks=True,
        )
        return played.episode

    def report(self) -> EvaluationReport:
        """The report that is printed and stored."""
        figures: dict[str, Figure] = {}
        if self.alone:
            returns, frames, random = self.alone
            figures = {"return": Figure(returns, {"random": random}), "frames": Figure(frames)}
        for label, found in self.results.items():
            spec, delay = self.met[label]
            name = figure_word(spec) + (f".delay{delay}" if delay else "")
            figures[f"wins.{name}"] = Figure(found.wins, {"even": EVEN})
            for place, wins in found.by_place().items():
                figures[f"wins_from.{name}.{place}"] = Figure(wins, {"even": EVEN})
            for label, value in (("draws", found.draws), ("frames", float(found.frames.mean()))):
                figures[f"{label}.{name}"] = Figure(Interval(value, value, value))
        delays = sorted({delay for _, delay in self.met.values()})
        if delays != [0]:
            figures |= {f"wins_at_delay.{delay}": self._at_delay(delay) for delay in delays}
        elif self.results:
            figures["wins"] = self._at_delay(0)
        opponents = list(dict.fromkeys(spec for spec, _ in self.met.values()))
        context = {
            "checkpoint": str(self.checkpoint),
            "game": self.game.name,
            "world": self.world,
            "opponents": opponents,
            "held_out": specs.held_out(opponents, self.game),
            **({"delays": delays} if delays != [0] else {}),
            "matches": {spec: int(found.results.size) for spec, found in self.results.items()},
            "distinct_matches": {spec: found.distinct for spec, found in self.results.items()},
        }
        return EvaluationReport(
            "policy", f"policy:{self.checkpoint}", "", self._gate(), figures, context
        )

    def _at_delay(self, delay: int) -> Figure:
        """Wins against all opponents at a delay, beside an even match."""
        parts = [found for label, found in self.results.items() if self.met[label][1] == delay]
        won = np.concatenate([found.results == 1 for found in parts], axis=1)
        return Figure(win_interval(won), {"even": EVEN})

    def _gate(self) -> GateReport:
        """Passed if it surely wins more than half of its matches against every opponent.

        Alone: if its return is surely above that of random play.
        """
        if self.alone:
            returns, _, random = self.alone
            poor = (
                f"the return {returns.value:g} ({returns.low:g} to {returns.high:g}) is not surely "
            )
            poor += f"above that of random play, {random.value:g} (at most {random.high:g})"
            return GateReport(
                returns.low > random.high, () if returns.low > random.high else (poor,)
            )
        why = tuple(
            f"against {spec} it wins {found.wins.value:.1%} ({found.wins.low:.1%} to "
            f"{found.wins.high:.1%}) of {found.results.size:,} matches"
            for spec, found in self.results.items()
            if not found.wins.low > 0.5
        )
        return GateReport(not why, why)


def evaluate_matches(
    checkpoint: str | Path,
    settings: EvalConfig,
    *,
    game: Game | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> _MatchEvaluation:
    """Play a checkpoint against the opponents of `settings`, or all bots that nobody holds out.

    The report is written beside the checkpoint.
    """
    where, _, which = str(checkpoint).partition("@")
    folder = checkpoints.checkpoint_folder(where, which)
    game = game or _game_of(folder)
    if game.world is None and not settings.world:
        raise UsageError(
            f"{game.name} has no simulator to play matches in: evaluate on recordings (give a "
            "STORE), or name a world"
        )
    against = (settings.against,) if settings.against else ()
    opponents = settings.opponents or against or _bots(game)
    block = min(SIDE_BY_SIDE, max(settings.to_play // 2, 1))
    own = f"policy:{folder}@{settings.temperature:g}@device={settings.device}@block={block}"
    agents = {delay: specs.agent(f"{own}@delay={delay}", game) for delay in settings.delays}
    worlds = specs.world_factory(settings.world, game)
    results, met = {}, {}
    own_play = next(iter(agents.values()))
    alone = _alone(game, worlds, own_play, settings) if game.schema.players == 1 else None
    for spec, delay in itertools.product(() if alone else opponents, agents):
        label = f"{spec}, delay {delay}" if delay else spec
        met[label] = spec, delay
        results[label] = benchmark(
            game,
            worlds,
            agents[delay],
            specs.agent(spec, game),
            benchmark_seeds(spec, settings.to_play),
            progress=_as_progress(progress, label),
        )
    found = _MatchEvaluation(folder, game, worlds(1).name, own, results, met, alone)
    text = json.dumps(found.report().to_json(), indent=1, allow_nan=False) + "\n"
    write_whole(folder / FILE, text.encode())
    return found


def _alone(
    game: Game, worlds: Callable[[int], World], agent: Agent, settings: EvalConfig
) -> tuple[Interval, Interval, Interval]:
    """Return and frames of the agent, and return of random play, for the game's first reward."""
    reward = resolve_reward(next(iter(game.rewards), None), game)
    seeds = benchmark_seeds("", 2 * settings.to_play)
    returns, frames = episode_returns(game, worlds, [agent], reward, seeds)
    random, _ = episode_returns(game, worlds, [specs.agent("random", game)], reward, seeds)
    return bootstrap_mean(returns[:, 0]), bootstrap_mean(frames), bootstrap_mean(random[:, 0])


def evaluate_policy(
    checkpoint: str | Path,
    store: str | Path | None,
    settings: EvalConfig | None = None,
    *,
    game: Game | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation | _MatchEvaluation:
    """Evaluate a policy on recordings, or without a store by matches alone."""
    settings = settings or EvalConfig()
    if store is None:
        return evaluate_matches(checkpoint, settings, game=game, progress=progress)
    return evaluate(checkpoint, store, settings, game=game, progress=progress)


def benchmark_seeds(opponent: str, matches: int) -> Array:
    """Seeds of a benchmark [matches / 2], the same for every policy."""
    numbers = [stable_hash(SEED, opponent, at) >> 2 for at in range(max(matches // 2, 1))]
    return np.array(numbers, np.int64)


def _bots(game: Game) -> tuple[str, ...]:
    return tuple(name for name in game.bots if name not in game.held_out)


def _game_of(folder: Path) -> Game:
    from shadowbox.games import load
    from shadowbox.model import checkpoint

    return load(checkpoint.load(folder, kind="policy").about.schema.name)


def _as_progress(
    progress: Callable[[str, int, int], None] | None, what: str
) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, what)
