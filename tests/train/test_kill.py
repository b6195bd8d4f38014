"""Killed without a warning, at any moment, a run goes on to the same weights as one that never was."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
import torch
from apprentice import (
    Playing,
    config,
    figures,
    make_store,
    make_task,
    run,
    same,
    stop_at,
    weights,
    wrapped,
)
from ranks import ended, in_child, together

from shadowbox.model import checkpoint
from shadowbox.train.distributed import Ranks
from shadowbox.train.log import METRICS
from shadowbox.train.loop import train

SETTINGS = {"steps": 40, "save_every": 3, "ema": 0.9, "validate_every": 10}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


def learner_states(out):
    """The states of the learner that a run's latest checkpoint holds, by rank."""
    ranks = checkpoint.load(checkpoint.find_checkpoint(f"{out}@latest")).trainer()["ranks"]
    return [{name: str(value) for name, value in each["learner"].items()} for each in ranks]


def wait_for_lines(out, lines, child):
    """Wait until a run has logged so many lines, or its process has ended."""
    log = out / METRICS
    while not (log.exists() and log.read_bytes().count(b"\n") >= lines):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "kills", "places"), [(None, 12, 4), (Playing, 4, 2)], ids=["imitation", "with a state"]
)
def test_kill_minus_nine_changes_nothing(store, tmp_path, kind, kills, places):
    """SIGKILL at random moments, each followed by a resume, ends like a straight run.

    So are the state and the lines of a learner that has its own, and that its losses depend on.
    """
    wrap = wrapped(kind) if kind else None
    run(store, tmp_path / "warm", wrap=wrap, **SETTINGS)
    began = time.monotonic()
    run(store, tmp_path / "straight", wrap=wrap, **SETTINGS)
    length = time.monotonic() - began
    draws, killed, steps = random.Random(5), 0, set()
    while killed < kills:
        out = tmp_path / f"killed-{killed}-{length:.6f}"
        child = in_child(lambda out=out: run(store, out, wrap=wrap, **SETTINGS))
        # by what it has logged, for its speed depends on what else the machine does
        wait_for_lines(out, draws.randrange(len(figures(tmp_path / "straight"))), child)
        time.sleep(length / SETTINGS["steps"] * draws.uniform(0, 5))
        os.kill(child, signal.SIGKILL)
        if ended(child) == 0:  # it was quicker: that is no kill
            length *= 0.8
            continue
        killed += 1
        there = checkpoint.steps(out)
        steps.add(max(there, default=-1))
        # before its first checkpoint there is nothing to go on with: it begins again
        begun = bool(there)
        again = lambda out=out, begun=begun: run(store, out, wrap=wrap, resume=begun, **SETTINGS)  # noqa: E731
        assert ended(in_child(again)) == 0
        assert same(weights(tmp_path / "straight"), weights(out)), out
        assert same(weights(tmp_path / "straight", "best"), weights(out, "best")), out
        assert figures(tmp_path / "straight") == figures(out), out
        if kind:
            assert learner_states(tmp_path / "straight") == learner_states(out), out
        assert not list((out / "checkpoints").glob(".*")), out
    assert len(steps) > places, "the kills fell at too few different places"


def test_two_processes_are_one(store, tmp_path):
    """Two gloo processes equal one process with the same global batch, up to rounding."""
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


@pytest.mark.parametrize("at", [4, 13])
def test_each_rank_has_its_own_state(store, tmp_path, at):
    """Two processes, stopped and resumed, have the states, lines and weights of two that were not."""

    def work(out, resume=False, stop=None):
        def wrap(task):
            task = wrapped(Playing)(task)
            return stop_at(stop)(task) if stop else task

        run(store, tmp_path / out, wrap=wrap, resume=resume, steps=20)

    assert together(lambda rank: work("straight")) == [0, 0]
    assert together(lambda rank: work("stopped", stop=at if rank else None)) == [0, 0]
    assert checkpoint.steps(tmp_path / "stopped")[-1] == at
    assert together(lambda rank: work("stopped", resume=True)) == [0, 0]
    one, two = (learner_states(tmp_path / out) for out in ("straight", "stopped"))
    assert one == two
    assert one[0]["seen"] != one[1]["seen"], "the ranks saw the same, which proves nothing"
    assert same(weights(tmp_path / "straight"), weights(tmp_path / "stopped"))
    assert figures(tmp_path / "straight") == figures(tmp_path / "stopped")


def test_one_rank_says_nothing():
    """Without torchrun there is one rank, and adding over ranks is the identity."""
    ranks = Ranks(torch.device("cpu"))
    assert (ranks.count, ranks.first, ranks.add([1.5, 2.0]), ranks.collect("x")) == (
        1,
        True,
        [1.5, 2.0],
        ["x"],
    )
