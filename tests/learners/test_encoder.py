"""Strategy encoders alone: trained on recordings, saved, evaluated, and the start of a policy's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from apprentice import HALF, SEES, config
from conftest import TOY, random_episode

from shadowbox.core.episode import Episode
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.evaluate.dispatch import evaluate_checkpoint
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.learners.imitation_task import prepare
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model import checkpoint, kinds
from shadowbox.testing.checkpoint_kinds import check_checkpoint_kind
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train
from shadowbox.train.schedule import freeze_parameters

GAME = Game(name="toy", title="a toy", schema=TOY, event_kinds=(), encodings={"default": SEES})
SPEC = learner_spec("encoder")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store in which `a` follows `on_ground` and one player alone presses `left`; a run on it."""
    folder = tmp_path_factory.mktemp("encoder")
    with Writer(folder / "s", TOY) as writer:
        for seed in range(16):
            made = random_episode(TOY, 60, seed=seed)
            columns = {**made.columns, "pad/a": made.columns["player/on_ground"].copy()}
            columns["pad/left"] = np.zeros_like(columns["pad/left"])
            columns["pad/left"][:, seed % 2] = True
            names = ["cal", "fern"] if seed % 2 == 0 else ["fern", "cal"]
            writer.add(Episode(columns, {**made.meta, "players": names}, made.events))
    store = Store(folder / "s")
    run = folder / "run"
    train(SPEC.prepare(inputs(store)), run, SETTINGS)
    return store, run


SETTINGS = config(batch=8, steps=40, lr=1e-2, validate_every=40)


def inputs(store=None, preset="gru", **learner):
    """Inputs of a small run."""
    spec = RunSpec(GAME, preset, {}, {"length": 16, "identity_coef": 0.5, **learner})
    return Inputs(spec=spec, config=SETTINGS, store=store, split=HALF if store else None)


def test_it_learns_the_next_keys_and_who_presses_them(trained, tmp_path):
    """Both tasks beat their baselines on held-out episodes, in validation and in the evaluation."""
    store, run = trained
    line = [each for each in read_lines(run / "metrics.jsonl") if each["kind"] == "val"][-1]
    assert line["loss"] < 0.9 * line["loss/copy_last"]
    assert line["identity"] > 0.9
    evaluated = evaluate_checkpoint(run, store.path, EvalConfig(), game=GAME)
    report = evaluated.report()
    assert report.gate.passed
    found = report.figures["next_controls"]
    assert found.value.high < found.baselines["copy_last"].low
    identity = report.figures["identity"]
    assert identity.value.low > 0.9
    assert identity.baselines["most_frequent"].value == pytest.approx(0.5)
    page = kinds.ENCODER.part("page")(evaluated)
    for shown in (found.value, found.baselines["copy_last"]):
        assert f"{shown.value:.3f} ({shown.low:.3f} to {shown.high:.3f})" in page
    assert f"{identity.value.value:.1%}" in page
    assert "copy last" in page
    config = EvalConfig()
    check_checkpoint_kind(kinds.ENCODER, run, GAME, tmp_path, store=store.path, config=config)


def test_what_it_declares_is_what_it_logs(trained):
    """The summary names the model's size and every metric of the run, without the data too."""
    store, run = trained
    summary = SPEC.summarize(inputs(store))
    built = SPEC.prepare(inputs(store)).model
    assert summary.parameters == sum(each.numel() for each in built.parameters())
    assert summary.kind == "encoder"
    logged = {
        f"{line['kind']}/{name}" for line in read_lines(run / "metrics.jsonl") for name in line
    }
    assert {"val/identity/most_frequent.low", "train/next_controls"} <= logged
    assert {"val/identity/most_frequent.low", "train/next_controls"} <= set(summary.metrics)
    assert not SPEC.summarize(inputs()).exact


@pytest.mark.parametrize("frozen", [False, True])
def test_a_policy_begins_with_it(trained, frozen):
    """Its weights are those of the run, also where names differ; frozen ones stay what they are."""
    store, run = trained
    task = prepare(
        store, config(batch=6), split=HALF, preset="small", input_columns=SEES, length=16,
        width=16, strategy="gru", opponents=("fern", "zoe"), strategy_from=str(run),
    )  # fmt: skip
    own, weights = task.model.strategy, checkpoint.load(checkpoint.find_checkpoint(run)).weights
    for name, value in own.state_dict().items():
        if not name.startswith("identity"):
            assert torch.equal(value, weights[name])
    assert torch.equal(own.identity.weight[0], weights["identity.weight"][1])  # fern
    if frozen:
        freeze_parameters(task.model, ["strategy"])
    batch = task.learner.to_device(next(iter(task.source(6, 0, 1))), torch.device("cpu"))
    task.learner.loss(task.model.train(), batch)[0].backward()
    moved = [name for name, each in own.named_parameters() if each.grad is not None]
    assert bool(moved) != frozen


def test_an_encoder_of_another_kind_is_refused(trained):
    """A policy that cannot begin with it says why."""
    store, run = trained
    usual = {"split": HALF, "preset": "small", "input_columns": SEES, "width": 16}
    for changes, message in (
        ({}, "has no encoder"),
        ({"strategy": "banded"}, "is gru, expected banded"),
        ({"strategy": "gru", "input_columns": SEES[:1]}, "reads .*player/hit_by"),
    ):
        with pytest.raises(UsageError, match=message):
            prepare(
                store, dataclasses.replace(config(), batch=6), strategy_from=str(run),
                **{**usual, **changes},
            )  # fmt: skip
