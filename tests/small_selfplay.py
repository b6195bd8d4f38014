"""Runs of self-play small enough for tests: matches of half a second, a policy of a few numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.play import rewards, specs
from shadowbox.train.config import TrainConfig

GAME = load("brawl")
SPEC = learner_spec("selfplay")
MIX = {"self": 0.25, "league": 0.25, "constant": 0.25, "based": 0.25}
MODEL = {"width": 16, "hidden_width": 8, "head_width": 8, "repeat": 2}


def inputs(
    run=None, steps=4, opponents=MIX, matches=8, model=MODEL, stages=(), given=None, **learner
):
    """Inputs of a small run; `given`: further ones by name."""
    learner = {"n_steps": 12, "n_epochs": 2, "batch_size": 48, "snapshot_every": 1, **learner}
    config = TrainConfig(
        steps=steps, batch=matches, lr=1e-3, log_every=1, warmup=0, precision="fp32", threads=1
    )
    usual = Inputs(
        spec=RunSpec(GAME, "small", model, learner),
        config=config,
        worlds=partial(GAME.world, time_limit=15),
        agents=lambda spec: specs.agent(spec, GAME),
        opponents=opponents,
        reward=rewards.resolve_reward("sparse", GAME),
        run=run,
        stages=stages,
    )
    return replace(usual, **(given or {}))
