"""A run that begins from another policy: its weights, the value's burn-in, and the pull of a teacher."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from small_selfplay import GAME, MODEL, SPEC, inputs

from shadowbox.errors import UsageError
from shadowbox.model import checkpoint, policy
from shadowbox.train.loop import train
from shadowbox.train.observer import ObserverDecision
from shadowbox.train.protocols import ParentCheckpoint

RECURRENT = {**MODEL, "trunk": "gru"}
CHAIN = {**RECURRENT, "head": "chain", "prev_control_dropout": 0.1}
POINTS = [[0.0] * 10, [1.0] + [0.0] * 9, [0.0, 1.0] + [0.0] * 8]  # of the keys, as data has them


@pytest.fixture
def parent(tmp_path):
    """Run of imitation: a policy without a value, with the key combinations of its data."""
    arguments = {**SPEC.summarize(inputs(model={**CHAIN, "value": False})).arguments}
    arguments["vocabulary"] = dict.fromkeys(arguments["vocabulary"], POINTS)
    model = policy.build_policy(GAME.schema, arguments, seed=7)
    about = checkpoint.CheckpointConfig("policy", GAME.schema, "small", arguments)
    checkpoint.save(tmp_path / "imitation", 5, about, model.state_dict(), {})
    return tmp_path / "imitation"


def updates(task, batch, count):
    """Losses of the value in updates of one rollout."""
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=0.01, weight_decay=0.1)

    def descend(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    task.model.train()
    return [
        float(task.learner.update(task.model, copy.copy(batch), descend)["value"])
        for _ in range(count)
    ]


def outputs(task, batch):
    """Outputs of the policy on a rollout."""
    with torch.no_grad():
        found, _ = task.model.seq(batch.columns, batch.pressed, batch.reset, dict(batch.memory))
    return found.output


def rollout_of(task):
    """The first rollout of a task, as tensors."""
    return task.learner.to_device(task.source(8, 0, 1).collect(), torch.device("cpu"))


def test_the_value_learns_alone_first():
    """In the burn-in the value's loss falls while no output of the policy moves; after it they do."""
    task = SPEC.prepare(inputs(value_burn_in=3, target_kl=0.0))
    batch = rollout_of(task)
    batch.step, before = 3, outputs(task, batch)
    losses = updates(task, batch, 8)
    assert losses[-1] < 0.9 * losses[0]
    assert torch.equal(outputs(task, batch), before)
    batch.step = 4
    updates(task, batch, 1)
    assert not torch.equal(outputs(task, batch), before)


def test_teacher_kl_by_hand():
    """The divergence to the teacher is that of the whole distribution, and zero for equal policies."""
    task = SPEC.prepare(
        inputs(model=RECURRENT, given={"teacher": "policy:x", "agents": _agents(None)})
    )
    batch = rollout_of(task)
    assert float(task.learner._loss(batch, 1)[1]["teacher_kl"]) == 0.0
    linear = task.model.head.linear
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.zero_()
        linear.bias[0] = math.log(3.0)  # three times as likely as each of the others
    rest = len(linear.bias) - 1
    batch.teacher = torch.zeros_like(batch.teacher)  # the teacher presses anything
    chances = [3 / (3 + rest)] + [1 / (3 + rest)] * rest
    expected = sum(p * math.log(p * (rest + 1)) for p in chances)
    _, parts = task.learner._loss(batch, 1)
    assert float(parts["teacher_kl"]) == pytest.approx(expected, rel=1e-4)
    share = 1 / task.learner.steps
    weight = task.learner.config.teacher_kl * (1 - share) + 0.003 * share
    assert float(parts["teacher"]) == pytest.approx(weight * expected, rel=1e-4)


def _agents(changed):
    """Agents by spec: a policy of the learner's shape and first weights, or with other settings."""
    from shadowbox.play.policy_agent import PolicyAgent

    return lambda spec: PolicyAgent(
        SPEC.prepare(inputs(model={**RECURRENT, **(changed or {})})).model
    )


def test_a_teacher_remembers_across_rollouts():
    """Unrolled over two rollouts, the teacher says what it says over one long one."""
    given = {"teacher": "policy:x", "agents": _agents(None)}
    outs = []
    for steps, count in ((24, 1), (12, 2)):
        made = inputs(model=RECURRENT, opponents={"self": 1.0}, n_steps=steps, given=given)
        source = SPEC.prepare(made).source(8, 0, 1)
        outs.append(torch.cat([source.collect().teacher for _ in range(count)], 1))
    torch.testing.assert_close(*outs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "what"), [({"repeat": 1}, "repeat"), ({"head": "chain"}, "head")]
)
def test_a_teacher_of_another_shape_is_refused(changed, what):
    """A teacher that decides other things, or at other times, is refused by name."""
    with pytest.raises(UsageError, match=f"another {what}"):
        SPEC.prepare(
            inputs(model=RECURRENT, given={"teacher": "policy:x", "agents": _agents(changed)})
        )


@pytest.mark.slow
def test_from_imitation_to_self_play(parent, tmp_path):
    """A run begins from a policy of imitation, which is its teacher, too, and resumes exactly."""
    given = {"parent": str(parent), "teacher": f"policy:{parent}"}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    begin = ParentCheckpoint(str(parent))
    for run, observer in ((whole, None), (cut, _pause_at_once)):
        made = inputs(run, model=CHAIN, given=given, value_burn_in=2, opponents={"self": 1.0})
        train(SPEC.prepare(made), run, made.config, parent=begin, observer=observer)
    # a rollout of the burn-in later it is still the policy of imitation, with its key combinations
    paused = checkpoint.load(checkpoint.find_checkpoint(f"{cut}@latest"))
    began = checkpoint.load(checkpoint.find_checkpoint(parent))
    assert paused.step == 1
    assert {name for name in paused.weights if name not in began.weights} >= {"value.0.weight"}
    assert all(torch.equal(paused.weights[key], values) for key, values in began.weights.items())
    assert paused.about.arguments["vocabulary"] == began.about.arguments["vocabulary"]
    train(SPEC.prepare(made), cut, made.config, resume=True)
    ends = [checkpoint.find_checkpoint(f"{run}@latest") for run in (whole, cut)]
    weights = [checkpoint.load(end).weights for end in ends]
    memories = [
        torch.load(end / "trainer.pt", weights_only=True)["ranks"][0]["source"]["teacher"]
        for end in ends
    ]
    for one, other in (weights, memories):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not torch.equal(weights[0]["head.begin.weight"], began.weights["head.begin.weight"])


def _pause_at_once(progress):
    return ObserverDecision("pause", "enough")


@pytest.mark.parametrize("trunk", ["window", "gru", "lstm"])
def test_a_delay_is_learned_on_top_of_a_policy_without_one(tmp_path, trunk):
    """A policy with delays that begins from one without decides as its parent until it has learned."""
    parent, child = tmp_path / "parent", tmp_path / "child"
    model = {**MODEL, "trunk": trunk, "frames": 1}
    first = inputs(parent, model=model, steps=1, opponents={"self": 1.0})
    train(SPEC.prepare(first), parent, first.config)
    begin = ParentCheckpoint(str(parent))
    late = inputs(
        child,
        model={**model, "delays": [0, 4]},
        given={"parent": str(parent)},
        value_burn_in=2,
        opponents={"self": 1.0},
    )
    train(SPEC.prepare(late), child, late.config, parent=begin, observer=_pause_at_once)
    weights = [
        checkpoint.load(checkpoint.find_checkpoint(f"{run}@latest")).weights
        for run in (parent, child)
    ]
    (wider,) = (
        name for name, values in weights[0].items() if values.shape != weights[1][name].shape
    )
    old, new = (each[wider] for each in weights)
    assert torch.equal(new[:, :-1], old)
    assert not new[:, -1].any()
    again = tmp_path / "again"
    task = SPEC.prepare(replace(late, run=again))
    both = ParentCheckpoint(str(parent), optimizer=True)
    with pytest.raises(UsageError, match="leave parent_optimizer out"):
        train(task, again, late.config, parent=both)


@pytest.mark.parametrize("trunk", ["window", "gru"])
def test_an_encoder_is_learned_on_top_of_a_policy_without_one(tmp_path, trunk):
    """A policy with an encoder that begins from one without decides as its parent until it has learned."""
    parent, child = tmp_path / "parent", tmp_path / "child"
    model = {**MODEL, "trunk": trunk, "frames": 1}
    first = inputs(parent, model=model, steps=1, opponents={"self": 1.0})
    train(SPEC.prepare(first), parent, first.config)
    later = inputs(
        child,
        model={**model, "strategy": "gru", "opponents": ["based"]},
        given={"parent": str(parent)},
        value_burn_in=2,
        opponents={"self": 1.0},
    )
    begin = ParentCheckpoint(str(parent))
    train(SPEC.prepare(later), child, later.config, parent=begin, observer=_pause_at_once)
    old, new = (
        checkpoint.load(checkpoint.find_checkpoint(f"{run}@latest")).weights
        for run in (parent, child)
    )
    (wider,) = (name for name in old if old[name].shape != new[name].shape)
    many = old[wider].shape[1]
    assert torch.equal(new[wider][:, :many], old[wider])
    assert new[wider].shape[1] > many + 8  # the latent
    assert not new[wider][:, many:].any()
