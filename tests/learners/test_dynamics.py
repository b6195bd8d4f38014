"""Learner of worlds: it learns, declares what it logs, and can be resumed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import small_worlds
import torch
from small_worlds import SPEC, inputs

from shadowbox.errors import UsageError
from shadowbox.model.checkpoint import find_checkpoint, load
from shadowbox.testing.learners import check_learner
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train
from shadowbox.train.protocols import ParentCheckpoint


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Short recorded matches."""
    return small_worlds.recorded(tmp_path_factory.mktemp("dynamics") / "s")


def test_it_keeps_the_promises_of_a_learner(store, tmp_path):
    """What it declares is what it logs, and a resumed run is the run that was not paused."""
    learner = {"scheduled_sampling": 0.3, "context_noise": 0.05, "self_forcing": 0.5}
    check_learner(SPEC, inputs(store, learner=learner, validate_every=3), tmp_path)


def test_it_learns(store, tmp_path):
    """It begins near the prediction without training, 1 in each part, and improves in a few steps."""
    run = small_worlds.trained(
        store, tmp_path / "run", steps=60, batch=8, lr=5e-3, warmup=5, validate_every=20
    )
    lines = [each for each in read_lines(run / "metrics.jsonl") if each["kind"] == "val"]
    assert lines[-1]["loss"] < 0.95 * lines[-1]["loss/free"]  # on held-out matches
    assert {"change_acc", "change_acc/look_up", "pos_mae/constant_velocity"} <= lines[-1].keys()
    trained = [each for each in read_lines(run / "metrics.jsonl") if each["kind"] == "train"]
    parts = [name for name in trained[0] if name.startswith("loss/")]
    assert trained[0]["loss"] < 1.2 * len(parts)
    assert trained[-1]["loss"] < 0.8 * trained[0]["loss"]
    assert {"loss/binary", "loss/continuous", "loss/event"} <= trained[-1].keys()


def test_a_world_goes_on_from_another_one_on_new_recordings(store, tmp_path):
    """It keeps the parent's options and weights, and begins matches where its own recordings do."""
    parent = small_worlds.trained(store, tmp_path / "parent")
    later = small_worlds.recorded(tmp_path / "later", seed=2)
    given = replace(inputs(later), parent=str(parent))
    model = SPEC.prepare(given).model
    train(SPEC.prepare(given), tmp_path / "run", given.config, parent=ParentCheckpoint(str(parent)))
    before, after = (load(find_checkpoint(run)) for run in (parent, tmp_path / "run"))
    assert before.about.arguments["vocabulary"] == after.about.arguments["vocabulary"]
    assert (after.weights["contexts"] == model.contexts).all()
    assert not torch.equal(before.weights["contexts"], after.weights["contexts"])
    moved = [
        (values - before.weights[name]).abs().max()
        for name, values in after.weights.items()
        if values.is_floating_point()
    ]
    assert 0 < max(moved) < 0.1  # a few small steps away, not begun anew


def test_a_world_of_other_settings_is_no_parent(store, tmp_path):
    """A parent whose model differs is refused with both settings."""
    parent = small_worlds.trained(store, tmp_path / "parent", {"head_width": 16})
    with pytest.raises(UsageError, match=r"parent: its config is .*head_width"):
        SPEC.prepare(replace(inputs(store), parent=str(parent)))


def test_only_what_moves_is_corrupted(store):
    """Scheduled sampling changes positions and velocities, in a few frames, and the targets never."""
    task = SPEC.prepare(inputs(store, learner={"scheduled_sampling": 1.0, "swap_seats": False}))
    learner = task.learner
    learner.batches = 10**6  # after the first epochs
    batch = learner.to_device(next(iter(task.source(4, 0, 1))), torch.device("cpu"))
    noisy = learner._augmented(batch)
    changed = {key for key, values in batch.seen.items() if (values != noisy.seen[key]).any()}
    assert changed == {"player/x", "player/y", "player/vx", "player/vy", "item/y", "item/vy"}
    frames = (batch.seen["player/x"] != noisy.seen["player/x"]).any(-1).sum(1)
    assert frames.max() <= 3
    for key, values in batch.following.items():
        assert (values == noisy.following[key]).all()


def test_self_forcing_reads_what_the_model_draws(store):
    """Later batches have a few frames as the model draws them, whose targets are the recorded ones."""
    settings = {"self_forcing": 1.0, "self_forcing_frames": 2, "self_forcing_after": 5}
    task = SPEC.prepare(inputs(store, learner={**settings, "swap_seats": False}))
    learner = task.learner
    batch = learner.to_device(next(iter(task.source(4, 0, 1))), torch.device("cpu"))
    learner.world.train()
    assert learner._augmented(batch) is batch or all(
        torch.equal(learner._augmented(batch).seen[key], batch.seen[key]) for key in batch.seen
    )
    learner.batches = 5
    forced = learner._augmented(batch)
    assert learner.world.training
    changed = {k for k, values in batch.seen.items() if (values != forced.seen[k]).any()}
    assert {"player/x", "player/y"} <= changed
    assert not changed & {"player/damage", "player/stocks", "match/left", *batch.controls}
    frames = torch.stack([(batch.seen[k] != forced.seen[k]).any(-1) for k in changed]).any(0)
    assert frames.sum(1).max() <= 2
    assert not frames[batch.reset].any()
    for key, values in batch.following.items():
        assert torch.equal(values, forced.following[key])
        assert torch.equal(batch.state[key], forced.state[key])


def test_wrong_settings_are_refused():
    """Each message names the setting and its range."""
    for learner, problem in (
        ({"length": 1}, "learner.length"),
        ({"self_forcing": 1.5}, "learner.self_forcing"),
        ({"self_forcing_frames": 0}, "self_forcing_frames"),
        ({"scheduled_sampling": 2.0}, "learner.scheduled_sampling"),
        ({"contexts": 0}, "learner.contexts"),
    ):
        with pytest.raises(UsageError, match=problem):
            SPEC.summarize(inputs(None, learner=learner))
