"""Commands that a signal ends: in words, quickly, with what they had, and with their children."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from shadowbox.bench.loop import bench_loop
from shadowbox.collect.matches import Pairing, record
from shadowbox.core import system
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.games import load


@pytest.fixture(autouse=True)
def listening():
    """Interrupts are heard, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


MANY = [Pairing("tapper", "based", 40)]
SHORT = {"time_limit": 60}


def stop_after(matches, number=signal.SIGINT):
    """A progress function that sends this process a signal once some matches are over."""

    def progress(done, total):
        if done == matches:
            signal.raise_signal(number)

    return progress


def test_record_keeps_the_matches_that_are_over(tmp_path):
    """Interrupted, `record` commits the finished matches; --resume adds the others and no other."""
    brawl, out = load("brawl"), tmp_path / "s"
    with pytest.raises(ShadowboxError, match=r"after 7 of 40 matches; .*--resume"):
        record(brawl, MANY, out, options=SHORT, progress=stop_after(7))
    assert len(Store(out)) == 7
    summary = record(brawl, MANY, out, options=SHORT, resume=True)
    assert summary["episodes"] == 33
    record(brawl, MANY, tmp_path / "whole", options=SHORT)
    assert Store(out).fingerprint == Store(tmp_path / "whole").fingerprint
    with pytest.raises(UsageError, match="another call"):
        record(brawl, MANY, out, options=SHORT, seed=1, resume=True)


def test_a_shielded_block_is_never_cut():
    """A signal within a shielded block takes effect at its end, once."""
    ended = []

    def block():
        with system.shielded():
            signal.raise_signal(signal.SIGINT)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert ended == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def started(folder, *words, **options):
    """A command in a process of its own."""
    command = [sys.executable, "-m", "shadowbox", *map(str, words)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def children(process):
    """Processes whose parent is this one."""
    tasks = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in tasks.read_text().split()] if tasks.exists() else []


def test_an_import_that_swallows_everything_does_not_swallow_a_signal(tmp_path):
    """SIGINT during the import of a module that catches every exception ends the command in words."""
    (tmp_path / "deaf.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    pass\n"
        "class Lost:\n    def __del__(self):\n        signal.raise_signal(signal.SIGINT)\nGAME = 3\n"
    )
    process = started(tmp_path, "games", "deaf:GAME")
    _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (130, "shadowbox: stopped\n")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked")
def test_a_worker_that_starts_does_not_hear_ctrl_c():
    """SIGINT reaches a worker before it is ready, as Ctrl-C does: it works on, for its parent ends it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=system.begin_worker) as pool:
        with system.start_workers():
            answer = pool.submit(os.getpid)
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGINT)
        assert answer.result(timeout=100) == worker.pid


def test_a_signal_waits_until_the_workers_are_known():
    """A signal while workers start ends the block after it, with every worker among the children."""
    context, started = multiprocessing.get_context("spawn"), []

    def start():
        with system.start_workers():
            signal.raise_signal(signal.SIGINT)
            started.append(context.Process(target=time.sleep, args=(100,)))
            started[0].start()

    with pytest.raises(KeyboardInterrupt):
        start()
    assert multiprocessing.active_children() == started
    started[0].kill()
    started[0].join()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are read from /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_tournament_ends_its_workers(tmp_path, number):
    """Workers end with their tournament, whatever ends it, and the ledger can be resumed."""
    agents = ("based", "expert", "tapper")
    process = started(tmp_path, "tournament", "brawl", *agents, "--matches", 4000, "--workers", 2)
    deadline = time.monotonic() + 120
    while len(workers := children(process.pid)) < 3:  # two workers, and a tracker of resources
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert errors.startswith("shadowbox: stopped after ")
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_running(process):
    """A process that neither ended nor waits to be collected."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def test_a_bench_of_training_ends_with_what_it_times(monkeypatch):
    """Once a signal has stopped the training that `bench loop` times, no other one is begun."""
    calls = []

    def stopped(*args, **options):
        calls.append(args)
        return SimpleNamespace(whole=False)

    monkeypatch.setattr("shadowbox.train.loop.train", stopped)
    with pytest.raises(ShadowboxError, match="stopped while training was timed") as caught:
        bench_loop(steps=2, rounds=2)
    assert caught.value.exit_code == 130
    assert len(calls) == 1
