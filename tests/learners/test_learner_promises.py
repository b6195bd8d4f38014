"""Learners and kinds of checkpoints keep the promises that `shadowbox.testing` checks.

Broken promises are found.
"""

from __future__ import annotations

import dataclasses

import bandits
import pytest
from apprentice import HALF, make_store
from conftest import TOY

from shadowbox.core.game import Game
from shadowbox.core.metrics import MetricInfo
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model import kinds
from shadowbox.play import rewards, specs
from shadowbox.testing import check_checkpoint_kind, check_learner
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train

BRAWL = load("brawl")
LOOP = TrainConfig(steps=6, batch=4, warmup=0, lr=0.05, device="cpu", score="play/reward")


@pytest.fixture
def registered():
    """The kind of the bandit's checkpoints, registered in this process by hand."""
    kinds.register(bandits.KIND)
    yield
    del kinds.KINDS["bandit"]


def bandit(**changes):
    """All that the bandit needs."""
    return Inputs(
        spec=RunSpec(BRAWL, "even"),
        config=LOOP,
        worlds=specs.world_factory("brawl@time_limit=60", BRAWL),
        agents=lambda spec: specs.agent(spec, BRAWL),
        opponents={"constant": 0.5, "random": 0.5},
        reward=rewards.resolve_reward("sparse", BRAWL),
        **changes,
    )


def test_a_learner_of_somebody_else(registered, tmp_path):
    """One that needs a world, a reward and opponents, has a state and lines of its own, and its own kind."""
    check_learner(bandits.SPEC, bandit(), tmp_path / "runs")
    kind = bandits.KIND
    check_checkpoint_kind(kind, tmp_path / "runs" / "straight", BRAWL, tmp_path / "out")


def test_imitation(tmp_path):
    """Imitation keeps the same promises, on recordings."""
    game = Game(name="toy", title="A toy", schema=TOY, encodings={"default": ("player/on_ground",)})
    spec = RunSpec(game, "tiny", {"width": 16, "head_width": 16}, {"length": 8})
    config = TrainConfig(steps=6, batch=4, warmup=0, device="cpu", threads=1, validate_every=4)
    inputs = Inputs(spec=spec, config=config, store=make_store(tmp_path / "s"), split=HALF)
    check_learner(learner_spec("imitation"), inputs, tmp_path / "runs")


@pytest.mark.slow
def test_policies(tmp_path):
    """A policy is built, shipped, played and evaluated as its kind says."""
    from judging import SHORT, run, store

    from shadowbox.data.split import Split
    from shadowbox.evaluate.setup import EvalConfig

    config = EvalConfig(matches=4, most=3, split=Split(0.5, 0.5, 0.0))
    run(tmp_path / "r")
    store(tmp_path / "s")
    check_checkpoint_kind(
        kinds.checkpoint_kind("policy"),
        tmp_path / "r",
        SHORT,
        tmp_path / "out",
        store=tmp_path / "s",
        config=config,
    )


def broken(**attributes):
    """A copy of the bandit's spec with something changed."""
    return type("Broken", (bandits.Spec,), attributes)()


class Forgetful(bandits.Learner):
    """Has a state and does not take it back."""

    def load(self, state):
        pass


def forgets(self, inputs):
    """A task whose learner forgets."""
    task = bandits.Spec.prepare(self, inputs)
    return dataclasses.replace(task, learner=Forgetful(task.model, 0.0))


def understated(self, inputs):
    """A summary that announces tighter bounds than hold."""
    summary = bandits.Spec.summarize(self, inputs)
    metrics = {**summary.metrics, "play/press_rate": MetricInfo("", 0.9, 1.0)}
    return dataclasses.replace(summary, metrics=metrics)


def unannounced(self, inputs):
    """A summary that leaves a metric out."""
    summary = bandits.Spec.summarize(self, inputs)
    metrics = {name: info for name, info in summary.metrics.items() if "press_rate" not in name}
    return dataclasses.replace(summary, metrics=metrics)


def miscounted(self, inputs):
    """A summary with another number of parameters."""
    return dataclasses.replace(bandits.Spec.summarize(self, inputs), parameters=3)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"needs": frozenset({"worlds"})}, "needs \\['worlds'\\]"),
        ({"takes": frozenset({"coffee"})}, "takes \\['coffee'\\]"),
        ({"defaults": {"reward": object()}}, "not plain data"),
        ({"prepare": forgets}, "paused and resumed has other weights"),
        ({"summarize": understated}, "play/press_rate is 0.5.*announced are 0.9 .. 1"),
        (
            {"summarize": unannounced},
            "play/press_rate is logged, and the summary does not announce it",
        ),
        ({"summarize": miscounted}, "has 10 parameters, the summary says 3"),
    ],
)
def test_broken_promises_are_found(registered, tmp_path, attributes, message):
    """Each promise that a learner breaks is named."""
    with pytest.raises(AssertionError, match=message):
        check_learner(broken(**attributes), bandit(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figures": {}}, "the figure certainty is not announced"),
        ({"figures": {"certainty": MetricInfo("high", 0.4, 0.5, ("even",))}}, "announced are 0.4 .. 0.5"),
        ({"figures": {"certainty": MetricInfo("high", 0.0, 0.5)}}, "baselines that are not announced"),
    ],
)  # fmt: skip
def test_broken_kinds_are_found(tmp_path, changes, message):
    """Each promise that a kind of checkpoints breaks is named."""
    kind = dataclasses.replace(bandits.KIND, **changes)
    kinds.register(kind)
    try:
        train(bandits.SPEC.prepare(bandit()), tmp_path / "r", LOOP)
        with pytest.raises(AssertionError, match=message):
            check_checkpoint_kind(kind, tmp_path / "r", BRAWL, tmp_path / "out")
    finally:
        del kinds.KINDS["bandit"]
