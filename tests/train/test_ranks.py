"""Several processes under torchrun: out of memory together, stopped together, ended cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from apprentice import figures, make_store, weights

from shadowbox.model import checkpoint
from shadowbox.train.log import read_lines

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
PROGRAM = str(Path(__file__).parent / "rank.py")
CALM = ("--preset", "tiny")  # others hide histories at random, by rank
QUICK = [
    "--shares",
    "50/50/0",
    "--length",
    "8",
    "--batch",
    "16",
    "--set",
    "log_every=1",
    "--set",
    "device=cpu",
]
NOBODY = 9  # a rank that there is not

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Sixteen short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s", episodes=16)


def begin(store, folder, *changes, steps=12, hungry=NOBODY, at=5, most=2):
    """Start two processes that train a run in `folder`/run."""
    folder.mkdir(exist_ok=True)
    command = [
        "train",
        str(store.path),
        "--out",
        str(folder / "run"),
        "--steps",
        str(steps),
        *QUICK,
        *CALM,
        "--json",
        *changes,
    ]
    call = [*TORCHRUN, PROGRAM, str(folder), str(hungry), str(at), str(most), *command]
    sees = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # what this process can import
    return subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=sees
    )


def finish(process):
    """Its exit status and what it said."""
    try:
        out, err = process.communicate(timeout=250)
    finally:
        process.kill()
    return process.returncode, out, err


def threads(folder):
    """The threads of each rank when it was about to end."""
    return [(folder / f"threads-{rank}").read_text().splitlines() for rank in range(2)]


def test_memory_of_one_rank_halves_the_batch_of_all(store, tmp_path):
    """If one rank runs out of memory, both compute the batch in smaller parts, with the same losses."""
    status, out, err = finish(begin(store, tmp_path / "tight", hungry=1))
    assert status == 0, err[-2000:]
    assert json.loads(out)["step"] == 12
    halved = [
        event
        for event in read_lines(tmp_path / "tight" / "run" / "events.jsonl")
        if event["event"] == "halve"
    ]
    assert [(event["step"], event["parts"]) for event in halved] == [(5, 2), (5, 4)]
    assert "on rank 1 of 2" in halved[0]["reason"]
    assert finish(begin(store, tmp_path / "roomy"))[0] == 0
    ours, theirs = (figures(tmp_path / name / "run") for name in ("tight", "roomy"))
    assert len(ours) == len(theirs) > 12
    for one, other in zip(ours, theirs, strict=True):
        assert one.pop("kind") == other.pop("kind")
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)
    ours, theirs = (weights(tmp_path / name / "run") for name in ("tight", "roomy"))
    assert all(torch.allclose(ours[key], theirs[key], atol=1e-4) for key in ours)
    assert all(len(each) == 1 for each in threads(tmp_path / "tight"))


def test_memory_that_never_suffices_ends_all(store, tmp_path):
    """If one rank runs out of memory too often, all end with one message, and the run can be resumed."""
    status, out, err = finish(begin(store, tmp_path / "tight", "--set", "halvings=1", hungry=1))
    assert status == 1
    assert json.loads(out)["exit"] == 1
    assert err.count("shadowbox: ") == 1
    assert (
        "out of memory with 8 examples in 2 parts "
        "(CUDA out of memory. Tried to allocate 4.00 GiB; on rank 1 of 2)" in err
    )
    assert "SIGABRT" not in err
    assert all(len(each) == 1 for each in threads(tmp_path / "tight"))
    again, _, err = finish(begin(store, tmp_path / "tight", "--resume", "--set", "halvings=1"))
    assert again == 0, err[-2000:]


def test_sigterm_saves(store, tmp_path):
    """SIGTERM to torchrun: both ranks finish the same step and save, and the run resumes."""
    folder = tmp_path / "two"
    process = begin(store, folder, steps=3000)
    while len(read_lines(folder / "run" / "metrics.jsonl")) < 4 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, _, err = finish(process)
    assert "SIGTERM: saved at step" in err
    assert "SIGABRT" not in err
    facts = json.loads((folder / "run" / "run.json").read_text())
    assert facts["status"] == "stopped"
    assert (
        checkpoint.load(checkpoint.find_checkpoint(f"{folder / 'run'}@latest")).step
        == facts["step"]
        > 3
    )
    assert all(len(each) == 1 for each in threads(folder))


def test_a_rank_that_dies_is_said(store, tmp_path):
    """A rank that is killed ends the other one in one line that says so, and nothing hangs or aborts."""
    folder = tmp_path / "two"
    process = begin(store, folder, steps=3000)
    while len(read_lines(folder / "run" / "metrics.jsonl")) < 4 and process.poll() is None:
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = {_rank(child): int(child) for child in children}
    os.kill(ranks["1"], signal.SIGKILL)
    status, _, err = finish(process)
    assert status == 1
    assert "another of the run's 2 processes is gone" in err or "SIGTERM: saved" in err
    assert "SIGABRT" not in err


@pytest.mark.parametrize(("others", "said"), [(True, "why"), (False, "")])
def test_who_fails_beside_others_says_why_first(others, said):
    """SIGTERM between an error and its message ends a lone process, and not a rank among others."""
    code = f"""
import os, signal
from shadowbox.train.guardrails import _StopSignal as Stop
try:
    with Stop(others={others}):
        raise RuntimeError("why")
except RuntimeError as error:
    os.kill(os.getpid(), signal.SIGTERM)
    print(error)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == said
    assert found.returncode == (0 if others else -signal.SIGTERM)


def _rank(process):
    pairs = (
        pair.partition("=") for pair in Path(f"/proc/{process}/environ").read_text().split("\0")
    )
    return {name: value for name, _, value in pairs}.get("RANK")
