"""Killed without a warning, at any moment, a run goes on to the same weights as one that never was."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
import torch
from apprentice import config, figures, make_store, make_task, run, same, weights
from ranks import ended, in_child, together

from shadowbox.model import checkpoint
from shadowbox.train.distributed import Ranks
from shadowbox.train.loop import train

KILLS = 20
SETTINGS = {"steps": 40, "save_every": 3, "ema": 0.9, "validate_every": 10}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_kill_minus_nine_changes_nothing(store, tmp_path):
    """SIGKILL at 20 random moments, each followed by a resume: weights, averages, log and best are those of a straight run."""
    run(store, tmp_path / "warm", **SETTINGS)
    began = time.monotonic()
    run(store, tmp_path / "straight", **SETTINGS)
    length = time.monotonic() - began
    draws, killed, steps = random.Random(5), 0, set()
    while killed < KILLS:
        out = tmp_path / f"killed-{killed}-{length:.6f}"
        child = in_child(lambda out=out: run(store, out, **SETTINGS))
        time.sleep(length * draws.uniform(0.05, 0.95))
        os.kill(child, signal.SIGKILL)
        # it was quicker than the straight run was, on a machine with other work: that is no kill
        if ended(child) == 0:
            length *= 0.8
            continue
        killed += 1
        there = checkpoint.steps(out)
        steps.add(max(there, default=-1))
        # before its first checkpoint there is nothing to go on with: it begins again
        begun = bool(there)
        assert (
            ended(in_child(lambda out=out, begun=begun: run(store, out, resume=begun, **SETTINGS)))
            == 0
        )
        assert same(weights(tmp_path / "straight"), weights(out)), out
        assert same(weights(tmp_path / "straight", "best"), weights(out, "best")), out
        assert figures(tmp_path / "straight") == figures(out), out
        assert not list((out / "checkpoints").glob(".*")), out
    assert len(steps) > 5, "the kills fell at too few different places"


def test_two_processes_are_one(store, tmp_path):
    """Two gloo processes give the losses, scores and weights of one process with the same global batch, but for rounding."""
    changes = {"epochs": 3, "validate_every": 0}

    def work(out):
        settings = config(**changes)
        train(make_task(store, settings, dropout=0.0), tmp_path / out, settings)

    work("one")
    assert together(lambda rank: work("two")) == [0, 0]
    one, two = figures(tmp_path / "one"), figures(tmp_path / "two")
    assert len(one) == len(two) > 5
    for ours, theirs in zip(one, two, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(
            ours[key] == pytest.approx(theirs[key], rel=1e-4, abs=1e-4)
            for key in ours
            if key != "kind"
        )
    ours, theirs = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.allclose(ours[key], theirs[key], atol=1e-4) for key in ours)


def test_one_rank_says_nothing():
    """Without torchrun there is one rank, and adding over ranks is the identity."""
    ranks = Ranks(torch.device("cpu"))
    assert (ranks.count, ranks.first, ranks.add([1.5, 2.0]), ranks.collect("x")) == (
        1,
        True,
        [1.5, 2.0],
        ["x"],
    )
