"""Benchmark of the learner in games of others (`shadowbox bench elsewhere`), beside sb3-contrib.

    cartpole  Gymnasium's CartPole-v1: frames until the pole falls, at most 500
    recall    a cue that is asked for later (bench/recall.py): 1 if it is remembered, 0.5 by chance
    spread    simple_spread of mpe2 for PettingZoo: two players cover two places; both learn

Our learner (the preset `small` with a GRU of 64 units, a decision every frame) and sb3-contrib's
RecurrentPPO (an LSTM of 64 units, else its defaults) get the same environment steps and the same
settings of PPO.
Figures are interquartile means over seeds of the mean return of new episodes, with sampled actions.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.game import Game, stable_hash
from shadowbox.core.schema import Array
from shadowbox.core.stats import interquartile_mean
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.play import specs
from shadowbox.play.benchmark import episode_returns
from shadowbox.play.rewards import resolve_reward
from shadowbox.train.config import TrainConfig

EPISODES = 100  # of an evaluation
MATCHES, EPOCHS, MAX_GRAD_NORM, CLIP, LAMBDA, UNITS = 16, 4, 0.5, 0.2, 0.95, 64
MODEL = {
    "trunk": "gru",
    "depth": 1,
    "repeat": 1,
    "width": UNITS,
    "hidden_width": UNITS,
    "head_width": UNITS,
}


class _Task(NamedTuple):
    """A game, the rollouts of a run, and the settings that both learners get."""

    game: str
    rollouts: int
    n_steps: int = 64
    gamma: float = 0.99
    lr: float = 1e-3
    ent_coef: float = 0.01
    batch_size: int = 512
    options: Mapping[str, Any] = MappingProxyType({})  # of the environment

    @property
    def spec(self) -> str:
        """The game's spec."""
        return "@".join([self.game, *(f"{key}={value}" for key, value in self.options.items())])


TASKS = {
    "cartpole": _Task("gym:CartPole-v1", 20),
    "recall": _Task(
        "gym:shadowbox.bench.recall:shadowbox/Recall-v0", 40, lr=3e-3, ent_coef=0.005
    ),
    "spread": _Task(
        "zoo:mpe2.simple_spread_v3", 20, n_steps=50, gamma=0.95, lr=3e-3, ent_coef=0.005,
        batch_size=800, options={"N": 2},
    ),
}  # fmt: skip


def bench_elsewhere(
    seeds: int = 5,
    tasks: Sequence[str] = tuple(TASKS),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Returns and CPU seconds of both learners in each task; None where something is not installed."""
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = {"seeds": seeds, "episodes": EPISODES}
    learners: dict[str, Callable[[_Task, Game, int], Array]] = {"ours": _ours, "sb3": _sb3}
    done = 0
    for name in tasks:
        task = TASKS[name]
        found[f"{name}_steps"] = task.rollouts * task.n_steps * MATCHES
        try:
            game = load(task.spec)
        except UsageError:
            game = None
        for label, learn in learners.items():
            returns, spent = [], 0.0
            for seed in range(1, seeds + 1):
                began = time.process_time()
                try:
                    returns += [float(learn(task, game, seed).mean())] if game else []
                except ImportError:
                    break
                spent += time.process_time() - began
                done += 1
                if progress:
                    progress(done, 2 * seeds * len(tasks))
            found |= _figures(f"{name}_{label}", returns, spent)
        if game:
            agents = [specs.agent("random", game)] * game.schema.players
            found[f"{name}_random"] = float(_returns(game, agents, 0).mean())
    return found


def _figures(name: str, returns: Sequence[float], spent: float) -> dict[str, Any]:
    if not returns:
        return {name: None}
    mean = interquartile_mean(returns)
    return {
        name: mean.value,
        f"{name}_low": mean.low,
        f"{name}_high": mean.high,
        f"{name}_by_seed": " ".join(f"{value:.4g}" for value in returns),
        f"{name}_cpu_s": spent / len(returns),
    }


def _returns(game: Game, agents: Sequence[Any], seed: int) -> Array:
    """Return of each episode and player, [EPISODES, players]."""
    reward = resolve_reward("environment", game)
    return episode_returns(
        game, specs.world_factory(game.name, game), agents, reward, _seeds(seed)
    )[0]


def _seeds(seed: int) -> Array:
    """Seeds of the episodes of an evaluation, which no training run plays."""
    drawn = [stable_hash("elsewhere", seed, at) >> 33 for at in range(EPISODES)]
    return np.array(drawn, np.int64)


def _ours(task: _Task, game: Game, seed: int) -> Array:
    from shadowbox.play.policy_agent import PolicyAgent
    from shadowbox.train.loop import train

    learner = {
        "n_steps": task.n_steps, "n_epochs": EPOCHS, "batch_size": task.batch_size,
        "gamma": task.gamma, "gae_lambda": LAMBDA, "clip_range": CLIP, "target_kl": 0.0,
        "ent_coef": task.ent_coef, "ent_coef_final": task.ent_coef, "ent_floor": 0.0,
    }  # fmt: skip
    config = TrainConfig(
        steps=task.rollouts, batch=MATCHES, lr=task.lr, final_lr=0.0, warmup=0, beta2=0.999,
        weight_decay=0.0, max_grad_norm=MAX_GRAD_NORM, seed=seed, precision="fp32", threads=1,
        device="cpu", log_every=task.rollouts,
    )  # fmt: skip
    inputs = Inputs(
        spec=RunSpec(game, "small", MODEL, learner),
        config=config,
        worlds=specs.world_factory(game.name, game),
        opponents={"self": 1.0} if game.schema.players > 1 else {},
        reward=resolve_reward("environment", game),
    )
    trained = learner_spec("selfplay").prepare(inputs)
    with tempfile.TemporaryDirectory() as folder:
        train(trained, Path(folder) / "run", config)
    agent = PolicyAgent(trained.model)  # type: ignore[arg-type]
    return _returns(game, [agent] * game.schema.players, seed)


def _sb3(task: _Task, game: Game, seed: int) -> Array:
    from sb3_contrib import RecurrentPPO

    from shadowbox.bench.sb3_world import _Sb3Environments

    def world(count: int) -> Any:
        return _Sb3Environments(task.game, task.options, count)

    lr = task.lr
    model = RecurrentPPO(
        "MlpLstmPolicy",
        world(MATCHES),
        n_steps=task.n_steps,
        batch_size=task.batch_size,
        n_epochs=EPOCHS,
        gamma=task.gamma,
        gae_lambda=LAMBDA,
        clip_range=CLIP,
        ent_coef=task.ent_coef,
        max_grad_norm=MAX_GRAD_NORM,
        learning_rate=lambda left: lr * left,
        policy_kwargs={"lstm_hidden_size": UNITS, "net_arch": [UNITS]},
        seed=seed,
        device="cpu",
    )
    judged = world(EPISODES)
    model.learn(task.rollouts * model.n_steps * model.n_envs)
    return _sb3_returns(model, judged, _seeds(seed))


def _sb3_returns(model: Any, world: Any, seeds: Array) -> Array:
    """Return of each environment's first episode, [rows]."""
    seen = world.begin(seeds)
    state, starts = None, np.ones(world.num_envs, bool)
    over, returns = np.zeros(world.num_envs, bool), np.zeros(world.num_envs)
    act = partial(model.predict, deterministic=False)
    while not over.all():
        actions, state = act(seen, state=state, episode_start=starts)
        seen, rewards, starts, _ = world.step(actions)
        returns += np.where(over, 0.0, rewards)
        over |= starts
    return returns
