"""Evaluation of a policy of Melee: nats a frame of its controller, and play in a learned world."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import small_melee
from small_melee import MELEE

from shadowbox.cli.text.evaluation import evaluation_text
from shadowbox.data.split import Split
from shadowbox.evaluate.offline import bins_sentence
from shadowbox.evaluate.policy import evaluate
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.report.evaluation import evaluation_page
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train

HALF = Split(0.5, 0.5, 0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A store of six fights."""
    return small_melee.recorded(tmp_path_factory.mktemp("melee") / "s")


@pytest.fixture(scope="module")
def policy(data, tmp_path_factory):
    """The run of a policy that learned for a few steps."""
    folder, spec = tmp_path_factory.mktemp("policy") / "p", learner_spec("imitation")
    config = TrainConfig(steps=4, batch=4, threads=1, device="cpu")
    run = RunSpec(MELEE, "tiny", {"width": 16, "head_width": 16}, {})
    train(spec.prepare(Inputs(spec=run, config=config, store=data, split=HALF)), folder, config)
    return folder


def settings(**changes):
    """Settings of a short evaluation."""
    return EvalConfig(side="val", split=HALF, **changes)


@pytest.fixture(scope="module")
def asked(data, policy):
    """Evaluation at recorded frames."""
    return evaluate(policy, data.path, settings())


def test_the_controller_has_one_likelihood(asked):
    """It is that of buttons and of sticks together, beside the same sums of every baseline."""
    figures = asked.offline
    both = figures["controller_nll"]
    sums = (figures["nll"], figures["stick_nll"])
    assert both.value.value == pytest.approx(sum(each.value.value for each in sums))
    assert set(both.baselines) == {"copy_last", "rate", "look_up"}
    for name, value in both.baselines.items():
        assert value.value == pytest.approx(sum(each.baselines[name].value for each in sums))
    assert both.value.low < both.value.value < both.value.high


def test_its_bins_are_listed(asked):
    """The options of every part of the head, and a fingerprint by which figures are comparable."""
    bins = asked.facts["controller_bins"]
    controls = [
        name for part in bins.values() if isinstance(part, dict) for name in part["controls"]
    ]
    assert {"pad/main_x", "pad/main_y", "pad/c_x", "pad/a", "pad/b"} <= set(controls)
    assert all(part["options"] >= 1 for part in bins.values() if isinstance(part, dict))
    text = bins_sentence(bins)
    assert bins["fingerprint"] in text
    assert text in evaluation_text(asked.report())
    assert text.partition(" (")[0] in evaluation_page(asked)


def test_it_plays_in_a_learned_world(data, policy, asked, tmp_path):
    """Recorded among people, it plays itself in the dream, whose own gate is named in text and page."""
    run = small_melee.trained(data, tmp_path / "w", "tiny")
    spec = f"dream:{run}@frames=40"
    played = evaluate(policy, data.path, settings(world=spec, matches=4))
    assert asked.facts["world_gate"] is None
    assert not asked.in_play
    assert played.in_play
    assert played.facts["opponents"] == [f"policy:{policy}"]
    assert played.facts["world_gate"]["passed"] is None
    assert {name for name in played.closed_loop if name.startswith("state_distance")}
    sentence = f"It played in a learned world: {spec} was never evaluated on melee"
    assert sentence in evaluation_text(played.report())
    assert sentence in evaluation_page(played)
    passed = dict(played.facts["world_gate"]) | {"passed": True, "warning": ""}
    facts = {**played.facts, "world_gate": passed}
    assert "which passed its own gate" in evaluation_page(dataclasses.replace(played, facts=facts))
    assert np.isfinite(played.offline["controller_nll"].value.value)
