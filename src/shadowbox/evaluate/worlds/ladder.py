"""Ladder: ranks of policies in a world beside their ranks in the true simulator.

rank_in("dream:runs/w", ["based", "policy:runs/x@step=40", ...], config) -> _Ladder
    .report()  the content of `shadowbox eval WORLD --ladder ... --json`

Every policy plays the same opponents from the same starts, each from both seats, once in the world
and once in the simulator, which begins from the rows that the world began from. The return of a
match is that of the game's first reward (of the result, where it has none); a match that goes on
after `frames` is cut there. Intervals resample starts, which all policies share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shadowbox.core.evaluation import EvaluationReport, Figure, GateReport
from shadowbox.core.game import Game, stable_hash
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap, bootstrap_mean, rank_correlation
from shadowbox.errors import UsageError
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds.starts import is_world_spec
from shadowbox.play import checkpoints, specs
from shadowbox.play.benchmark import SIDE_BY_SIDE, paired_returns
from shadowbox.play.rewards import resolve_reward

FROM_ONE = 6  # policies of one run, or one bot with different options, that count
FEWEST, WANTED = 3, 20  # policies that a correlation has at least, and that the gate asks for
ALIKE = 0.8  # rank correlation that the gate asks for
FEWEST_STARTS = 2  # for an interval
SEED = "ladder"  # of matches that no training run plays


@dataclass(frozen=True)
class _Ladder:
    """Returns of policies in a world and in the simulator."""

    spec: str  # of the world
    simulator: str
    game: Game
    policies: Sequence[str]
    left_out: Sequence[str]  # beyond FROM_ONE of the same run
    opponents: Sequence[str]
    frames: int
    seed: int
    returns: Array  # [starts, 2, policies]: in the world and in the simulator, mean of both seats

    @property
    def means(self) -> Array:
        """Mean return of each policy in the world and in the simulator, [2, policies]."""
        return np.asarray(self.returns.mean(axis=0))

    @property
    def intervals(self) -> list[tuple[Interval, Interval]]:
        """Return of each policy in the world and in the simulator, with their intervals."""
        return [
            (bootstrap_mean(self.returns[:, 0, at]), bootstrap_mean(self.returns[:, 1, at]))
            for at in range(len(self.policies))
        ]

    def report(self) -> EvaluationReport:
        """The report that is printed."""
        rank = bootstrap(lambda sums: rank_correlation(sums[:, 0], sums[:, 1]), self.returns)
        halves = [self.returns[at::2, 1].mean(axis=0) for at in (0, 1)]
        again = float(rank_correlation(*(half[None] for half in halves))[0])
        bias = bootstrap_mean((self.returns[:, 0] - self.returns[:, 1]).mean(axis=1))
        figures = {
            "rank_correlation": Figure(
                rank, {"simulator_halves": Interval(again, math.nan, math.nan)}
            ),
            "return_correlation": Figure(bootstrap(_pearson, self.returns)),
            "return_bias": Figure(bias),
        }
        rows = [
            {"policy": spec, "world": world._asdict(), "simulator": simulator._asdict()}
            for spec, (world, simulator) in zip(self.policies, self.intervals, strict=True)
        ]
        return EvaluationReport(
            "ladder",
            self.spec,
            "",
            self._gate(rank),
            figures,
            {
                "game": self.game.name,
                "simulator": self.simulator,
                "policies": rows,
                "left_out": list(self.left_out),
                "opponents": list(self.opponents),
                "starts": len(self.returns),
                "frames": self.frames,
                "seed": self.seed,
            },
        )

    def _gate(self, rank: Interval) -> GateReport:
        """Passed if many policies surely rank alike."""
        why = []
        if len(self.policies) < WANTED:
            why.append(f"{len(self.policies)} policies were compared, at least {WANTED} are needed")
        if not rank.low >= ALIKE:
            why.append(
                f"the rank correlation is {rank.value:.2f} ({rank.low:.2f} to {rank.high:.2f}); "
                f"the lower bound must be at least {ALIKE}"
            )
        return GateReport(not why, tuple(why))


def rank_in(
    world: str,
    policies: Sequence[str],
    settings: EvalConfig | None = None,
    *,
    game: Game | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> _Ladder:
    """Rank policies in a world (a spec, a run or a checkpoint's folder) and in the simulator.

    `settings`: opponents, matches of each policy, frames of a match at most, and the seed.
    """
    settings = settings or EvalConfig()
    game = game or _game_of(world)
    if game.world is None:
        raise UsageError(f"{game.name} has no simulator to compare a world with")
    if game.schema.players != 2:
        raise UsageError(f"a ladder needs a game of two players; {game.name} has another number")
    spec = world if is_world_spec(world, game) else f"dream:{world}"
    opponents = settings.opponents or tuple(n for n in game.bots if n not in game.held_out)
    counted, left_out = _counted(policies, game)
    pairs = max(settings.to_play // (2 * len(opponents)), -(-FEWEST_STARTS // len(opponents)))
    both = [specs.world(each, game, min(pairs, SIDE_BY_SIDE)) for each in (spec, "")]
    reward = resolve_reward(next(iter(game.rewards), None), game)
    returns = np.zeros((len(opponents), pairs, 2, len(counted)))
    against = [specs.agent(each, game) for each in opponents]
    for at, policy in enumerate(counted):
        agent = specs.agent(policy, game)
        for number, (name, opponent) in enumerate(zip(opponents, against, strict=True)):
            seeds = [stable_hash(SEED, settings.seed, name, one) >> 2 for one in range(pairs)]
            returns[number, :, :, at] = paired_returns(
                game,
                both,
                (agent, opponent),
                np.array(seeds),
                frames=settings.frames,
                reward=reward,
            )
            if progress is not None:
                progress(policy, at * len(opponents) + number + 1, len(counted) * len(opponents))
    return _Ladder(
        spec,
        both[1].name,
        game,
        counted,
        left_out,
        opponents,
        settings.frames,
        settings.seed,
        returns.reshape(-1, 2, len(counted)),
    )


# ---- inside --------------------------------------------------------------------------------------


def _pearson(sums: Array) -> Array:
    """Correlation of the returns [tries, 2, policies] themselves."""
    apart = sums - sums.mean(axis=-1, keepdims=True)
    scale = np.sqrt((apart**2).sum(-1).prod(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(apart.prod(axis=1).sum(-1) / scale)


def _counted(policies: Sequence[str], game: Game) -> tuple[list[str], list[str]]:
    """Policies that count, and those beyond FROM_ONE of the same run or bot."""
    chosen: dict[str, list[str]] = {}
    left_out: list[str] = []
    for spec in dict.fromkeys(policies):
        own = chosen.setdefault(_source(spec, game), [])
        (own if len(own) < FROM_ONE else left_out).append(spec)
    counted = [spec for spec in dict.fromkeys(policies) if spec not in left_out]
    if len(counted) < FEWEST:
        raise UsageError(
            f"--ladder: {len(counted)} policies, at least {FEWEST} are needed for a correlation, "
            f"and {WANTED} to pass; those of one run count {FROM_ONE} times at most"
        )
    return counted, left_out


def _source(spec: str, game: Game) -> str:
    """Run that a policy comes from, or the name of another agent, without its options."""
    text, *options = spec.split("@")
    name, _, argument = text.partition(":")
    if name != "policy":
        return text
    seed = next((each.removeprefix("seed=") for each in options if each.startswith("seed=")), "")
    run = checkpoints.run_of_seed(
        Path(game.policies.get(argument, argument)), seed, spec, game
    ).resolve()
    return str(run.parent.parent if run.parent.name == checkpoints.FOLDER else run)


def _game_of(world: str) -> Game:
    """Game of a world that is named by a run, by a checkpoint, or by the name of a shipped one."""
    from shadowbox.games import load, names
    from shadowbox.model import checkpoint

    where, _, which = world.removeprefix("dream:").partition("@")
    for name in names():
        if where == name or where in load(name).worlds:
            return load(name)
    if where.startswith("py:"):
        raise UsageError(f"--ladder: name the game of '{world}' with --game")
    options = which.split("@")
    chosen = next((each for each in options if each.startswith(("best", "latest", "step="))), "")
    seed = next((each.removeprefix("seed=") for each in options if each.startswith("seed=")), "")
    folder = checkpoints.checkpoint_folder(where, chosen, seed, world)
    return load(checkpoint.load(folder, kind="world").about.schema.name)
