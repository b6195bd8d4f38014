"""A run goes on with another number of processes: exactly where the order of the data allows it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from apprentice import Remembering, figures, make_store, make_task, run, weights, wrapped
from ranks import together

from shadowbox.errors import UsageError
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train
from shadowbox.train.observer import CONTINUE, ObserverDecision

STEPS, BATCH = 36, 8
T_OF_14 = 2.145  # Student, 95 %, of fifteen seeds


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Sixteen short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s", episodes=16)


def paused_at(*steps):
    """An observer that pauses the run at the first line after each of these steps."""
    return lambda progress: (
        ObserverDecision("pause", "elastic") if progress.step in steps else CONTINUE
    )


def part(store, out, ranks, *, until=None, resume=True, wrap=None, **changes):
    """A session of a run on some ranks, to a step or to its end; the exit status of each."""
    observer = paused_at(until) if until else None
    settings = {"steps": STEPS, "batch": BATCH, "validate_every": 6, "log_every": 3, **changes}

    def rank(number):
        run(store, out, resume=resume, observer=observer, wrap=wrap, **settings)

    return together(rank, ranks)


def elastic(store, out, **changes):
    """A run of two processes, then one, then two again."""
    assert part(store, out, 2, until=12, resume=False, **changes) == [0, 0]
    assert part(store, out, 1, until=24, **changes) == [0]
    assert part(store, out, 2, **changes) == [0, 0]


def validated(out):
    """Loss of each validation, by step."""
    lines = read_lines(out / "metrics.jsonl")
    return {line["step"]: line["loss"] for line in lines if line["kind"] == "val"}


def calm(store, out, ranks, **changes):
    """The same without anything random: no dropout, and no hidden histories."""
    from apprentice import config

    def rank(number):
        settings = config(steps=STEPS, batch=BATCH, validate_every=6, log_every=3)
        task = make_task(store, settings, dropout=0.0, prev_control_dropout=0.0)
        train(task, out, settings, **changes)

    return together(rank, ranks)


@pytest.mark.slow
def test_two_one_two_is_the_uninterrupted_run_without_random_numbers(store, tmp_path):
    """Without dropout 2 -> 1 -> 2 processes see the same batches, and lose, step by step, the same.

    Sums over processes differ in their last bits, and nothing else does.
    """
    out, straight = tmp_path / "elastic", tmp_path / "straight"
    assert calm(store, out, 2, observer=paused_at(12)) == [0, 0]
    assert calm(store, out, 1, observer=paused_at(24), resume=True) == [0]
    assert calm(store, out, 2, resume=True) == [0, 0]
    assert calm(store, straight, 1) == [0]
    ours, theirs = figures(out), figures(straight)
    assert [(a["kind"], a["step"], a["epoch"]) for a in ours] == [
        (b["kind"], b["step"], b["epoch"]) for b in theirs
    ]
    for one, other in zip(ours, theirs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one.get("norm", 0) == pytest.approx(other.get("norm", 0), rel=1e-3)
    mine, wanted = weights(out), weights(straight)
    assert all(torch.allclose(mine[key], wanted[key], atol=1e-4) for key in wanted)
    said = [line["text"] for line in read_lines(out / "events.jsonl") if line["event"] == "resume"]
    assert "by 1 process where 2 trained before: the same batches" in said[0]
    assert "further processes draw new random numbers" in said[1]


@pytest.mark.slow
def test_with_random_numbers_its_curve_is_one_of_the_curves_of_seeds(store, tmp_path):
    """With dropout each validation of 2 -> 1 -> 2 is within the 95 % range of 15 uninterrupted seeds."""
    elastic(store, tmp_path / "elastic")
    curves = []
    for seed in range(20, 35):
        out = tmp_path / str(seed)
        assert part(store, out, 1, resume=False, seed=seed) == [0]
        curves.append(validated(out))
    mine = validated(tmp_path / "elastic")
    assert list(mine) == list(curves[0]) == [6, 12, 18, 24, 30, 36]
    for step, loss in mine.items():
        values = np.array([curve[step] for curve in curves])
        spread = T_OF_14 * values.std(ddof=1) * math.sqrt(1 + 1 / len(values))
        assert abs(loss - values.mean()) <= spread, step


def test_more_processes_do_not_repeat_the_beginning(store, tmp_path):
    """One process, then two: the second one draws numbers that it did not draw before."""
    assert part(store, tmp_path / "r", 1, until=12, resume=False) == [0]
    assert part(store, tmp_path / "r", 2, until=15) == [0, 0]
    lines = [line for line in read_lines(tmp_path / "r" / "metrics.jsonl") if line["step"] > 12]
    assert [line["step"] for line in lines if line["kind"] == "train"] == [15]


def test_a_state_of_each_process_is_not_shared(store, tmp_path, capfd):
    """A learner whose state differs between processes resumes with as many as before alone."""
    out = tmp_path / "r"
    assert part(store, out, 2, until=12, resume=False, wrap=wrapped(Remembering)) == [0, 0]
    assert part(store, out, 1, wrap=wrapped(Remembering)) == [1]
    assert "2 processes, here are 1: its learner has a state of its own" in capfd.readouterr().err
    assert part(store, out, 2, until=15, wrap=wrapped(Remembering)) == [0, 0]


def test_an_order_of_each_process_is_not_shared(store, tmp_path, monkeypatch):
    """Batches that each process makes itself, as those of self-play, are refused by name."""
    from shadowbox.data.sample import Sampler

    out = tmp_path / "r"
    assert part(store, out, 2, until=12, resume=False) == [0, 0]
    monkeypatch.setattr(Sampler, "shared_order", False)
    with pytest.raises(UsageError, match="its data has an order of its own in each of them"):
        run(store, out, resume=True, steps=STEPS, batch=BATCH, validate_every=6, log_every=3)
