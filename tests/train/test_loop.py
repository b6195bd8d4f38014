"""The loop: resumes bit for bit, stops politely, survives what goes wrong, and says where its time went."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import shutil

import numpy as np
import pytest
import torch
from apprentice import (
    Hungry,
    Poisoned,
    Wrapped,
    config,
    figures,
    make_store,
    make_task,
    run,
    same,
    stop_at,
    weights,
)
from conftest import TOY

from shadowbox.core import system
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import TrainingError, UsageError
from shadowbox.model import checkpoint
from shadowbox.train.config import TrainConfig
from shadowbox.train.log import EVENTS, read_facts, read_lines
from shadowbox.train.protocols import ParentCheckpoint


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


def wrapped(kind, **attributes):
    """A task whose learner is wrapped, with these attributes."""

    def wrap(task):
        learner = kind(task.learner)
        for name, value in attributes.items():
            setattr(learner, name, value)
        return dataclasses.replace(task, learner=learner)

    return wrap


def test_it_learns_and_says_so(store, tmp_path):
    """A few epochs beat every baseline of a key that follows the state.

    The table marks the best line.
    """
    result, said = run(store, tmp_path / "r", epochs=25, ema=0.9)
    line = [line for line in read_lines(tmp_path / "r" / "metrics.jsonl") if line["kind"] == "val"][
        -1
    ]
    assert line["accuracy"] > max(
        line["accuracy/copy_last"], line["accuracy/never_press"], line["accuracy/markov"]
    )
    assert line["accuracy.low"] <= line["accuracy"] <= line["accuracy.high"]
    assert result.ended == "finished"
    assert result.epoch == 25
    rows = [row for row in said.splitlines() if row.endswith(" *")]
    assert rows
    assert (
        len({len(row.removesuffix(" *")) for row in said.splitlines() if row[:4].strip().isdigit()})
        == 1
    )
    assert (tmp_path / "r" / "best").read_text().strip() == f"{result.best['step']:08d}"


@pytest.mark.parametrize("at", [1, 6, 7, 17, 29])
@pytest.mark.parametrize(
    "changes",
    [{"ema": 0.95, "accumulate": 2, "patience": 50}, {"validate_every": 4, "save_every": 3}],
)
def test_resumed_is_straight(store, tmp_path, at, changes):
    """A run stopped at any step and resumed has the weights, averages, log and best of a straight one."""
    straight, _ = run(store, tmp_path / "a", **changes)
    stopped, said = run(
        store, tmp_path / "b", wrap=stop_at(at * changes.get("accumulate", 1)), **changes
    )
    assert stopped.ended == "SIGTERM"
    assert stopped.step == at
    assert "go on with: again" in said
    resumed, _ = run(store, tmp_path / "b", resume=True, **changes)
    assert resumed.step == straight.step == 30
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    assert resumed.best == straight.best
    for name in ("model.safetensors", "config.json"):
        paths = [checkpoint.find_checkpoint(f"{tmp_path / side}@best") / name for side in "ab"]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_run_goes_on_when_its_store_has_only_grown(tmp_path):
    """An interrupted run trains on the rows it began with, bit for bit, after episodes were appended."""
    store = make_store(tmp_path / "s")
    run(store, tmp_path / "a")
    run(store, tmp_path / "b", wrap=stop_at(6))
    with Writer(tmp_path / "s", TOY) as writer:
        for episode in make_store(tmp_path / "more", episodes=3):
            writer.add(episode)
    grown = Store(tmp_path / "s")
    with pytest.raises(UsageError, match="was trained on data"):
        run(grown, tmp_path / "b", resume=True)
    run(grown.as_of(read_facts(tmp_path / "b")["fingerprint"]), tmp_path / "b", resume=True)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert figures(tmp_path / "a") == figures(tmp_path / "b")


def test_a_validation_is_bounded_in_rows(store, tmp_path):
    """With more rows than `validate_rows`, evenly spread episodes are validated, and the run says so."""
    _, said = run(store, tmp_path / "r", steps=4, validate_rows=150)
    facts = read_facts(tmp_path / "r")
    assert facts["validation"] == "2 of 5 episodes, evenly spread (validate_rows=150)"
    assert f"validates on {facts['validation']}" in " ".join(said.split())
    _, said = run(store, tmp_path / "all", steps=4)
    assert "validates on" not in said
    assert "validation" not in read_facts(tmp_path / "all")


def test_a_validation_is_bounded_in_time(store, tmp_path):
    """A validation that runs out of time says so, and all later ones take the same batches."""
    sizes = []

    class Counting(Wrapped):
        def score(self, model, batch):
            sizes.append(len(batch.rows))
            return self.inner.score(model, batch)

    few = {"validate_every": 2, "validate_s": 1e-9, "batch": 4}
    _, said = run(store, tmp_path / "r", wrap=wrapped(Counting), steps=6, **few)
    assert sizes == [4, 4, 4]
    events = [line for line in read_lines(tmp_path / "r" / EVENTS) if line["event"] == "validation"]
    assert [line["batches"] for line in events] == [1]
    assert "first 1 batches only" in said
    assert (
        checkpoint.load(checkpoint.find_checkpoint(f"{tmp_path / 'r'}@latest")).trainer()[
            "validation_batches"
        ]
        == 1
    )


def test_the_log_is_never_doubled(store, tmp_path):
    """Lines after the checkpoint, and one that was cut in the middle, are taken back when a run goes on."""
    run(store, tmp_path / "a", wrap=stop_at(12), save_every=50)
    with open(tmp_path / "a" / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"kind": "train", "step": 15, "loss": 1.0}) + '\n{"kind": "tra')
    run(store, tmp_path / "a", resume=True, save_every=50)
    steps = [
        line["step"]
        for line in read_lines(tmp_path / "a" / "metrics.jsonl")
        if line["kind"] == "train"
    ]
    assert steps == [5, 10, 15, 20, 25, 30]


def test_steps_that_are_not_finite_are_left_out(store, tmp_path):
    """Two bad gradients are skipped and counted, the run ends, and nothing bad reached the weights."""
    result, said = run(store, tmp_path / "r", wrap=wrapped(Poisoned, bad=(4, 5)))
    assert result.ended == "finished"
    assert said.count("the step is left out") == 2
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "r").values())
    assert all(math.isfinite(line["loss"]) for line in read_lines(tmp_path / "r" / "metrics.jsonl"))


def test_too_many_bad_steps_go_back_and_then_stop(store, tmp_path):
    """After `skips` bad steps in a row the weights go back.

    After `rollbacks` of that the run stops and keeps the batch.
    """
    with pytest.raises(
        TrainingError, match=r"still not finite after going back 1 times.*batch is kept in"
    ):
        run(
            store,
            tmp_path / "r",
            wrap=wrapped(Poisoned, bad=range(8, 99)),
            skips=2,
            rollbacks=1,
            save_every=5,
        )
    events = [event["event"] for event in read_lines(tmp_path / "r" / "events.jsonl")]
    assert events == ["begin", "skip", "skip", "back", "skip", "skip"]
    (kept,) = (tmp_path / "r").glob("bad-batch-*.npz")
    assert np.load(kept)["rows"].shape[0] == 8
    result, _ = run(store, tmp_path / "r", resume=True, skips=2, rollbacks=1, save_every=5)
    assert result.ended == "finished"


def test_out_of_memory_halves_the_batch(store, tmp_path):
    """The batch is computed in parts until it fits.

    Its size stays, and so do the weights, but for rounding.
    """
    settings = config()
    result, said = run(
        store, tmp_path / "a", wrap=lambda task: _plain(store, settings, Hungry, most=2)
    )
    straight, _ = run(store, tmp_path / "b", wrap=lambda task: _plain(store, settings, Wrapped))
    assert said.count("out of memory: from now on") == 2
    ours, theirs = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.allclose(ours[key], theirs[key], atol=1e-4) for key in ours)
    assert result.step == straight.step


def _plain(store, settings, kind, **attributes):
    return wrapped(kind, **attributes)(make_task(store, settings, dropout=0.0))


def test_memory_that_never_suffices_is_an_error(store, tmp_path):
    """When nothing is left to halve the run stops in one line."""
    with pytest.raises(TrainingError, match="out of memory with 8 examples in 8 parts"):
        run(store, tmp_path / "r", wrap=wrapped(Hungry, most=0))


def test_a_full_disk_stops_clearly(store, tmp_path, monkeypatch):
    """A full disk is one line; the last checkpoint opens, nothing partial stays, and the run resumes."""
    run(store, tmp_path / "a", wrap=stop_at(5))

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_synced", full)
        with pytest.raises(TrainingError, match=r"disk is full.*step 5 is intact"):
            run(store, tmp_path / "a", resume=True)
    assert not list((tmp_path / "a" / "checkpoints").glob(".*"))
    result, _ = run(store, tmp_path / "a", resume=True)
    assert result.ended == "finished"


@pytest.mark.parametrize(
    ("score", "better"), [("loss", min), ("accuracy", max)], ids=["lowest", "highest"]
)
def test_the_best_checkpoint(store, tmp_path, score, better):
    """The best checkpoint is the first one with the lowest loss, or the highest accuracy."""
    result, _ = run(store, tmp_path / "r", steps=24, validate_every=4, score=score, lr=0.03)
    values = {
        line["step"]: line[score]
        for line in read_lines(tmp_path / "r" / "metrics.jsonl")
        if line["kind"] == "val"
    }
    assert len(set(values.values())) > 1
    step = better(values, key=values.get)
    assert (result.best["step"], result.best["value"]) == (step, pytest.approx(values[step]))
    assert (tmp_path / "r" / "best").read_text().strip() == f"{step:08d}"


def test_early_stop(store, tmp_path):
    """A run whose score stops getting better ends by itself, and does not go on when it is resumed."""
    result, _ = run(store, tmp_path / "r", epochs=50, lr=1e-9, patience=2, score="onset_f1_greedy")
    assert result.ended == "early stop"
    again, _ = run(
        store, tmp_path / "r", epochs=50, lr=1e-9, patience=2, score="onset_f1_greedy", resume=True
    )
    assert (again.ended, again.step) == ("early stop", result.step)


def test_frozen_parts_stay(store, tmp_path):
    """Parts of the model that `freeze` names keep every value; others learn."""
    run(store, tmp_path / "r", freeze=["trunk"], steps=4, ema=0.9, keep_every=100)
    first, last = weights(tmp_path / "r", "step=0"), weights(tmp_path / "r", "latest")
    same_values = {name for name in first if torch.equal(first[name], last[name])}
    frozen = {name for name in first if name.startswith("trunk.")}
    assert frozen
    assert frozen <= same_values
    assert len(same_values) < len(first)
    with pytest.raises(UsageError, match="no part 'trunks': did you mean 'trunk'"):
        run(store, tmp_path / "s", freeze=["trunks"], steps=2)
    every = sorted({name.partition(".")[0] for name in first})
    with pytest.raises(UsageError, match="nothing is left to train"):
        run(store, tmp_path / "t", freeze=every, steps=2)


@pytest.mark.parametrize("optimizer", [False, True])
def test_continue_under_a_new_name(store, tmp_path, optimizer):
    """A child begins with its parent's weights, has its own schedule, says so, and keeps the lineage."""
    run(store, tmp_path / "a")
    result, said = run(
        store,
        tmp_path / "b",
        parent=ParentCheckpoint(f"{tmp_path / 'a'}@latest", optimizer),
        steps=10,
        batch=4,
        keep_every=100,
    )
    assert "continues" in said
    assert "a cosine to 3e-05 at step 10" in said
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b", "step=0"))
    moments = checkpoint.load(checkpoint.find_checkpoint(f"{tmp_path / 'b'}@step=0")).trainer()[
        "optimizer"
    ]["state"]
    assert bool(moments) == optimizer
    run(store, tmp_path / "c", parent=ParentCheckpoint(f"{tmp_path / 'b'}@best"), steps=5)
    lineage = json.loads((tmp_path / "c" / "run.json").read_text())["lineage"]
    assert [line["run"] for line in lineage] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert result.step == 10


def test_checkpoints_that_stay(store, tmp_path):
    """Every `keep_every`-th checkpoint, the latest and the best stay; all others go."""
    run(store, tmp_path / "r", save_every=2, keep_every=10, validate_every=15)
    best = json.loads((tmp_path / "r" / "run.json").read_text())["best"]["step"]
    assert checkpoint.steps(tmp_path / "r") == sorted({0, 10, 20, 30, best})


def test_run_json_says_what_it_was(store, tmp_path):
    """run.json has commit, versions, machine, cost, hashes and settings; cost adds up over sessions."""
    run(store, tmp_path / "r", wrap=stop_at(9))
    first = json.loads((tmp_path / "r" / "run.json").read_text())
    assert first["status"] == "stopped"
    run(store, tmp_path / "r", resume=True)
    facts = json.loads((tmp_path / "r" / "run.json").read_text())
    assert facts["fingerprint"] == store.fingerprint
    assert (facts["facts_hash"], facts["coding_hash"]) == (
        store.schema.facts_hash,
        store.schema.coding_hash,
    )
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["machine"]["ranks"] == 1
    assert facts["cost"]["wall_s"] > first["cost"]["wall_s"] > 0
    assert facts["status"] == "finished"
    assert TrainConfig.of(facts["config"]) == config()


def test_the_time_table_covers_the_loop(store, tmp_path):
    """The parts of the time table are all there, none is negative, and forward and backward took some."""
    result, _ = run(store, tmp_path / "r", validate_every=10)
    assert list(result.table) == [
        "data",
        "transfer",
        "forward",
        "backward",
        "optimizer",
        "log",
        "wait",
        "validate",
        "save",
    ]
    assert min(result.table.values()) >= 0
    assert min(result.table[part] for part in ("forward", "backward", "validate", "save")) > 0
    line = read_lines(tmp_path / "r" / "metrics.jsonl")[0]
    assert {f"time/{part}" for part in result.table} <= line.keys()


class Liar(Wrapped):
    """Returns something else than it declares."""

    def loss(self, model, batch):
        loss, found = super().loss(model, batch)
        if self.lie == "more":
            found["extra"] = loss
        elif self.lie == "less":
            del found["flags.which"]
        return (loss * 2 if self.lie == "weights" else loss), found


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ("more", "returned and not declared: extra"),
        ("less", "declared and not returned: flags.which"),
        ("weights", "its declared losses times their weights are"),
    ],
)
def test_declared_is_delivered(store, tmp_path, lie, message):
    """A learner that returns other losses, metrics or weights than declared is stopped in its first step."""
    with pytest.raises(TrainingError, match=message):
        run(store, tmp_path / "r", wrap=wrapped(Liar, lie=lie))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stpes": 3}, "unknown setting 'stpes': did you mean 'steps'"),
        ({"lr": "fast"}, "lr is 'fast', float is needed"),
        ({"batch": True}, "batch is True, int is needed"),
        ({"epochs": 3}, "give either epochs or steps"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"sinks": ["wandbb"]}, "unknown sink 'wandbb': did you mean 'wandb'"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1, a number from 0"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"warmup": 2**64}, "warmup is 18446744073709551616"),
        ({"validate_s": 0.0}, "validate_s is 0.0"),
    ],
)
def test_settings_that_mean_nothing(changes, message):
    """Unknown names, other types and impossible values are refused in one line before anything happens."""
    with pytest.raises(UsageError, match=message):
        TrainConfig.of({"steps": 3, **changes})


def test_a_run_is_not_overwritten_nor_bent(store, tmp_path):
    """A second start, other settings, other data, or too large a batch are refused with what to do."""
    run(store, tmp_path / "r", wrap=stop_at(4))
    with pytest.raises(UsageError, match="--resume goes on"):
        run(store, tmp_path / "r")
    with pytest.raises(UsageError, match=r"lr: 0.003 in the run, 0.1 asked for.*--parent"):
        run(store, tmp_path / "r", resume=True, lr=0.1)
    other = make_store(tmp_path / "other", episodes=14)
    with pytest.raises(UsageError, match="was trained on data"):
        run(other, tmp_path / "r", resume=True)
    with pytest.raises(UsageError, match="more than an epoch has"):
        run(store, tmp_path / "big", batch=100_000)
    with pytest.raises(UsageError, match="no score 'f1'"):
        run(store, tmp_path / "score", score="f1")
    with pytest.raises(TrainingError, match="is not a run"):
        run(store, tmp_path / "nowhere", resume=True)


def test_one_process_at_a_time(store, tmp_path):
    """While a run is being trained a second process is refused."""
    (tmp_path / "r").mkdir()
    with open(tmp_path / "r" / "train.lock", "wb") as held:
        system.lock(held.fileno())
        with pytest.raises(TrainingError, match="another process"):
            run(store, tmp_path / "r")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")),
    reason="torch.compile needs a C++ compiler on a CPU",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when its compiler loads
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # and when it looks at what it compiles
def test_compiled(store, tmp_path):
    """A compiled model learns the same up to rounding, and resumes from a checkpoint of either."""
    settings = config()
    plain = lambda task: _plain(store, settings, Wrapped)  # noqa: E731
    run(store, tmp_path / "a", wrap=plain)
    stopped, _ = run(store, tmp_path / "b", wrap=lambda task: stop_at(9)(plain(task)), compile=True)
    assert stopped.step == 9
    run(store, tmp_path / "b", wrap=plain, resume=True, compile=True)
    run(store, tmp_path / "c", wrap=lambda task: stop_at(9)(plain(task)))
    run(store, tmp_path / "c", wrap=plain, resume=True, compile=True)
    assert weights(tmp_path / "a").keys() == weights(tmp_path / "b").keys()
    for other in "bc":
        for one, two in zip(figures(tmp_path / "a"), figures(tmp_path / other), strict=True):
            assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
