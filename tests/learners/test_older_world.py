"""The world of an older system: its size, its losses and metrics, on its own encoding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shadowbox.core.episode import Episode
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.games.melee import GAME
from shadowbox.learners.dynamics.older import _OlderLearner, encoding_of
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model.world.older import SETTINGS, build_older_world
from shadowbox.train.config import TrainConfig
from shadowbox.train.schedule import count

PRESET = "mamba2-v3"
USUAL = {name.partition(".")[2]: value for name, value in SETTINGS[PRESET].items()}
SMALL = {"width": 16, "depth": 1, "ssm_state": 4, "dropout": 0.0}


def inputs(store=None, model=None, **learner):
    """Inputs of a run with changes of the model and of the learner."""
    spec = RunSpec(GAME, PRESET, model or {}, {**USUAL, **learner})
    config = TrainConfig(steps=1, batch=4, device="cpu")
    return Inputs(spec=spec, config=config, store=store, split=Split(0.5, 0.5, 0.0))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Six short episodes of Melee: everybody moves at a steady speed and acts anew now and then."""
    path = tmp_path_factory.mktemp("older") / "store"
    with Writer(path, GAME.schema) as writer:
        for seed in range(6):
            draws, columns = np.random.default_rng(seed), {}
            for key, column in GAME.schema.columns.items():
                columns[key] = np.zeros((41, column.slots), column.dtype)
            columns["player/x"] += draws.normal(size=2) * np.arange(41)[:, None]
            columns["player/action"] += draws.integers(20, 60, (41, 2), dtype=np.uint16)
            columns["player/stocks"] += 4
            writer.add(Episode(columns, {"seed": seed}))
    return Store(path)


def test_parameters_follow_from_the_encoding():
    """The preset has 4,347,748 parameters; 4,349,284 with thresholds instead of projectiles."""
    spec = learner_spec("dynamics")
    assert spec.summarize(inputs()).parameters == 4_347_748
    thresholds = {"preset": "v3", "controller_thresholds": "legacy"}
    assert spec.summarize(inputs(encoding=thresholds)).parameters == 4_349_284
    assert spec.summarize(inputs(model={"ssm_init": "reference"})).parameters == 4_347_748
    facts = spec.input_facts(inputs().spec)
    assert (facts["floats_per_player"], facts["ints_per_player"]) == (72, 8)
    assert (facts["frame_width"], facts["predicted_binary"]) == (284, 86)


def test_its_parts_are_those_that_were_counted_by_hand():
    """16 heads, 15,080 embeddings, 109,440 of the input, 3,777,040 of the trunk, 10,368 of controls."""
    summary = learner_spec("dynamics").summarize(inputs())
    with torch.device("meta"):
        model = build_older_world(GAME.schema, encoding_of(inputs().spec), summary.arguments)
    enter = count(model.trunk.enter.parameters())
    assert len(model.heads) == 16
    assert count(model.embed.parameters()) == 15_080
    assert enter == 109_440
    assert count(model.trunk.parameters()) - enter == 3_777_040
    assert count(model.controls.parameters()) == 10_368
    assert count(model.heads.parameters()) == 435_820


def test_the_loss_is_the_weighted_sum_and_falls(store):
    """Ten losses with the weights of the older system; a few steps lower their sum."""
    task = learner_spec("dynamics").prepare(inputs(store, SMALL))
    weights = {name[5:]: weight for name, weight in task.learner.losses.items()}
    assert weights == {
        "continuous": 1.0, "velocity": 0.5, "binary": 0.5, "dynamics": 0.5, "action": 2.0,
        "jumps": 0.5, "l_cancel": 0.3, "hurtbox": 0.3, "ground": 0.3, "last_attack": 0.3,
    }  # fmt: skip
    batch = task.learner.to_device(next(iter(task.source(4, 0, 1))), torch.device("cpu"))
    adam, seen = torch.optim.Adam(task.model.parameters(), 0.01), []
    for _ in range(15):
        total, parts = task.learner.loss(task.model, batch)
        seen.append(float(total.detach()))
        expected = sum(weights[name[5:]] * float(value) for name, value in parts.items())
        assert seen[-1] == pytest.approx(expected, rel=1e-5)
        adam.zero_grad()
        total.backward()
        adam.step()
    assert seen[-1] < 0.8 * seen[0]


def test_scores_have_their_baselines(store):
    """At a steady speed constant velocity has no error after a segment's first frame; holding has."""
    task = learner_spec("dynamics").prepare(inputs(store, SMALL))
    sums: dict[str, list[torch.Tensor]] = {}
    for batch in task.validation():
        found = task.learner.score(task.model.eval(), task.learner.to_device(batch, "cpu"))
        for name, score in found.items():
            top, bottom = sums.setdefault(name, [torch.zeros(()), torch.zeros(())])
            sums[name] = [top + score.top.sum(), bottom + score.bottom.sum()]
    means = {name: float(top / bottom) for name, (top, bottom) in sums.items()}
    assert means["change_acc/copy_last"] == 0
    assert 0 <= means["change_acc"] <= 1
    assert 0 < means["pos_mae/constant_velocity"] < 0.3 * means["pos_mae/copy_last"]


def test_steps_are_the_sequence(store):
    """Frame by frame the heads say the same as over a whole segment, so a window is never needed.

    The controls of the frame before are remembered, and forgotten where a match begins.
    """
    task = learner_spec("dynamics").prepare(inputs(store, SMALL))
    batch = task.learner.to_device(next(iter(task.source(4, 0, 1))), torch.device("cpu"))
    model, many = task.model.eval(), batch.reset.shape[1] - 1
    whole, _ = model(batch.view, batch.pressed, batch.reset)
    columns = {key: values[:, :-1] for key, values in batch.view.items()}
    columns |= {key: batch.view[key][:, 1:] for key in GAME.schema.control_keys}
    memory, level = model.initial(4, torch.device("cpu")), torch.zeros(4, many)
    h, _ = model.seq(columns, memory, batch.reset[:, :-1], level)
    for t in range(many):
        view = {key: values[:, t] for key, values in columns.items()}
        one, memory = model.step(view, memory, batch.reset[:, t], level[:, t])
        for features in (one, h[:, t]):
            for name, output in model.heads.outputs(features).items():
                torch.testing.assert_close(output, whole[name][:, t], atol=1e-5, rtol=0)


def test_scheduled_sampling_never_corrupts_what_changes_in_steps(store):
    """After its first epochs, noise is on positions, percent and velocities of late frames alone."""
    task = learner_spec("dynamics").prepare(
        inputs(store, SMALL, scheduled_sampling=1.0, scheduled_frames=2)
    )
    learner = task.learner
    assert isinstance(learner, _OlderLearner)
    batch = learner.to_device(next(iter(task.source(4, 0, 1))), torch.device("cpu"))
    assert all(torch.equal(learner._noisy_view(batch)[k], v) for k, v in batch.view.items())
    learner.batches = 1000
    noisy = learner._noisy_view(batch)
    changed = {key for key in noisy if not torch.equal(noisy[key], batch.view[key])}
    names = ("percent", "x", "y", "shield", "air_vx", "vy", "ground_vx", "knock_vx", "knock_vy")
    assert changed == {f"player/{name}" for name in names}
    assert torch.equal(noisy["player/x"][:, :-2], batch.view["player/x"][:, :-2])


def test_settings_that_do_nothing_are_refused():
    """A setting of other worlds, and an encoding that is none, are refused with their names."""
    spec = learner_spec("dynamics")
    for learner, message in (
        ({"binary_weight": 0.1}, "learner.binary_weight must be 1.0 .*model.binary_weight"),
        ({"swap_seats": True}, "learner.swap_seats must be False"),
        ({"encoding": "default"}, "learner.encoding: .* needs a named encoding of melee"),
    ):
        with pytest.raises(UsageError, match=message):
            spec.summarize(inputs(**learner))
    chain = RunSpec(GAME, "tiny", {}, {**spec.defaults, "encoding": "v3"})
    with pytest.raises(UsageError, match=r"learner\.encoding must be default with preset 'tiny'"):
        spec.summarize(Inputs(spec=chain))
