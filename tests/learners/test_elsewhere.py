"""The learner in environments of Gymnasium and PettingZoo: rollouts, ends of episodes, learning."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

from shadowbox.bench.recall import NAME
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model.checkpoint import find_checkpoint
from shadowbox.play import specs
from shadowbox.play.benchmark import episode_returns
from shadowbox.play.policy_agent import PolicyAgent
from shadowbox.play.rewards import resolve_reward
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train
from shadowbox.train.observer import CONTINUE, ObserverDecision

SPEC = learner_spec("selfplay")
SMALL = {"trunk": "gru", "repeat": 1, "width": 16, "hidden_width": 8, "head_width": 8}
RECALL = f"gym:shadowbox.bench.recall:{NAME}"


class Count(gymnasium.Env):
    """Shows the number of the frame; every frame pays 1 and the third ends the episode somehow."""

    def __init__(self, truncates=False):
        self.truncates = truncates
        self.observation_space = spaces.Box(0, 3, (1,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.frame = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.frame += 1
        over = self.frame == 3
        seen = np.full(1, self.frame, np.float32)
        return seen, 1.0, over and not self.truncates, over and self.truncates, {}


class Guess(ParallelEnv):
    """Each player sees a coin of its own and is paid for naming it; three frames."""

    metadata = {"name": "guess"}  # noqa: RUF012
    possible_agents = ["left", "right"]  # noqa: RUF012

    def observation_space(self, agent):
        return spaces.Discrete(2)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.draws, self.frame = np.random.default_rng(seed), 0
        self.agents = list(self.possible_agents)
        return self._seen(), {name: {} for name in self.agents}

    def step(self, actions):
        rewards = {name: float(actions[name] == self.coin[name]) for name in self.agents}
        self.frame += 1
        over = dict.fromkeys(self.agents, self.frame == 3)
        seen, infos = self._seen(), {name: {} for name in self.agents}
        if self.frame == 3:
            self.agents = []
        return seen, rewards, over, dict.fromkeys(over, False), infos

    def _seen(self):
        self.coin = {name: int(self.draws.integers(2)) for name in self.possible_agents}
        return dict(self.coin)


@pytest.fixture(autouse=True)
def registered():
    """The environment above, as a user registers one."""
    gymnasium.register("Count-v0", entry_point=Count)
    yield
    del gymnasium.registry["Count-v0"]


def inputs(spec, run=None, steps=4, matches=4, model=SMALL, lr=1e-3, **learner):
    """Inputs of a small run in an environment."""
    game = load(spec)
    config = TrainConfig(
        steps=steps, batch=matches, lr=lr, final_lr=0.0, log_every=1, warmup=0, beta2=0.999,
        weight_decay=0.0, max_grad_norm=0.5, precision="fp32", threads=1,
    )  # fmt: skip
    learner = {"n_steps": 12, "n_epochs": 2, "batch_size": 24, **learner}
    return Inputs(
        spec=RunSpec(game, "small", model, learner),
        config=config,
        worlds=specs.world_factory(game.name, game),
        agents=lambda spec: specs.agent(spec, game),
        opponents={"self": 1.0} if game.schema.players > 1 else {},
        reward=resolve_reward("environment", game),
        run=run,
    )


def source_of(given):
    """Task, and its source of rollouts."""
    task = SPEC.prepare(given)
    return task, task.source(given.config.batch, 0, 1)


@pytest.mark.parametrize("spec", ["gym:CartPole-v1", "zoo:test_elsewhere:Guess"])
def test_rollout_and_update_agree_in_environments(spec):
    """Before any step the probability ratio is 1, episodes end inside, and both players are rows."""
    given = inputs(spec, n_steps=40)
    task, source = source_of(given)
    batch = task.learner.to_device(source.collect(), torch.device("cpu"))
    found = task.model.evaluate_actions(
        batch.columns, batch.pressed, batch.reset, dict(batch.memory)
    )
    assert (found.log_prob - batch.log_prob).abs().max() < 1e-5
    assert batch.reset[:, 1:].any()
    assert len(batch) == 4 * given.game.schema.players
    assert batch.rewards.sum() > 0


@pytest.mark.parametrize("truncates", [False, True])
def test_only_truncation_bootstraps(truncates):
    """After a termination nothing follows; after a truncation the value of the last state does."""
    given = inputs(
        f"gym:Count-v0@truncates={str(truncates).lower()}",
        n_steps=6, gamma=0.5, gae_lambda=0.0, normalize_returns=False,
    )  # fmt: skip
    _, source = source_of(given)
    batch = source.collect()
    earned = batch.returns - 1.0  # with lambda 0, gamma times the value that follows
    ends = earned[:, [2, 5]]
    inner = earned[:, [0, 1, 3, 4]]
    np.testing.assert_allclose(inner, 0.5 * batch.value[:, [1, 2, 4, 5]], atol=1e-6)
    assert (batch.columns["obs/value"][:, :, 0] == [0, 1, 2, 0, 1, 2]).all()
    assert (np.abs(ends) > 1e-4).all() if truncates else (ends == 0).all()


def test_players_of_a_pair_do_not_see_each_other():
    """A policy decides by its own observation and action, whatever the other player's are."""
    task, source = source_of(inputs("zoo:test_elsewhere:Guess"))
    source.collect()
    seen = {key: values[:1] for key, values in source.matches.tensors(
        source.matches.seen(), torch.device("cpu")).items()}  # fmt: skip
    memory, noise = task.model.initial(1), torch.zeros(1, task.model.draws)
    task.model.eval()

    def value(slot):
        changed = {k: v.clone() for k, v in seen.items()}
        for values in changed.values():
            values[:, slot] = 1 - values[:, slot]
        return float(task.model.decide(changed, memory, noise).value)

    usual = float(task.model.decide(seen, memory, noise).value)
    assert value(1) == usual
    assert value(0) != usual


def test_the_winner_has_earned_more():
    """Without a reward the result counts: the player with the larger sum of rewards wins."""
    game = load("zoo:test_elsewhere:Guess")
    agents = [specs.agent("neutral", game)] * 2
    seeds = np.arange(20)
    returns, frames = episode_returns(
        game, game.world, agents, resolve_reward("environment", game), seeds
    )
    results, _ = episode_returns(game, game.world, agents, None, seeds)
    assert (frames == 3).all()
    assert (results[:, 0] == np.sign(returns[:, 0] - returns[:, 1])).all()
    assert set(results[:, 0]) == {-1, 0, 1}


class _Stopper:
    """Pauses a run after a number of lines."""

    def __init__(self, lines):
        self.left = lines

    def __call__(self, progress):
        self.left -= 1
        return ObserverDecision("pause", "enough") if self.left == 0 else CONTINUE


@pytest.mark.parametrize("spec", ["gym:CartPole-v1", "zoo:test_elsewhere:Guess"])
def test_resuming_in_an_environment_is_exact(tmp_path, spec):
    """Episodes are played again up to their states, so that a resumed run has the bits of a whole one."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for run in (whole, cut):
        given = inputs(spec, run)
        train(SPEC.prepare(given), run, given.config, observer=_Stopper(2) if run == cut else None)
    given = inputs(spec, cut)
    train(SPEC.prepare(given), cut, given.config, resume=True)
    weights = [
        (find_checkpoint(f"{run}@latest") / "model.safetensors").read_bytes()
        for run in (whole, cut)
    ]
    assert weights[0] == weights[1]


def returns_of(task, spec, episodes=40):
    """Mean return of new episodes."""
    game = load(spec)
    agent = PolicyAgent(task.model)
    reward = resolve_reward("environment", game)
    return episode_returns(game, game.world, [agent], reward, np.arange(episodes))[0].mean()


@pytest.mark.slow
def test_cartpole_is_learned(tmp_path):
    """From a pole that falls after 20 frames to one that stands for more than 150, in 15,000 steps."""
    spec = "gym:CartPole-v1"
    given = inputs(
        spec, steps=16, matches=16, n_steps=64, n_epochs=4, batch_size=512, gamma=0.99, lr=2e-3,
        model={"repeat": 1, "width": 64, "head_width": 64},
    )  # fmt: skip
    task = SPEC.prepare(given)
    assert returns_of(task, spec) < 60
    train(task, tmp_path, given.config)
    assert returns_of(task, spec) >= 150


@pytest.mark.slow
def test_a_cue_is_remembered(tmp_path):
    """A cue of ten frames ago is answered; without its memory the same policy answers by chance."""
    spec = f"{RECALL}@wait=10"
    given = inputs(
        spec, steps=24, matches=16, n_steps=44, n_epochs=4, batch_size=352, lr=4e-3,
        gamma=0.9, gae_lambda=0.5, ent_coef=0.0, ent_coef_final=0.0, ent_floor=0.0,
        model={"trunk": "gru", "depth": 1, "repeat": 1, "width": 32, "hidden_width": 32, "head_width": 32},
    )  # fmt: skip
    task = SPEC.prepare(given)
    train(task, tmp_path, given.config)
    assert returns_of(task, spec, 100) >= 0.95
    usual = task.model.decide

    def forgetful(view, memory, *rest, **named):
        nothing = task.model.initial(len(view["obs/value"]))
        return usual(view, nothing, *rest, **named)

    task.model.decide = forgetful
    assert 0.3 <= returns_of(task, spec, 100) <= 0.7
