"""Small runs of the ingest benchmark, which must print the promised figures."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from made_replays import made

from shadowbox.bench import peers, scale
from shadowbox.bench.ingest import bench_ingest, copies
from shadowbox.bench.scale import bench_scale, evict
from shadowbox.core import system
from shadowbox.errors import UsageError
from shadowbox.games.melee import slp

RATES = ("frames_per_cpu_s", "read_frames_per_cpu_s", "two_workers_bound", "bytes_per_frame")


@pytest.fixture
def folder(tmp_path):
    """Three replays and a file that is not a replay."""
    for seed in range(3):
        (tmp_path / f"{seed}.slp").write_bytes(slp.write(sane((3, 16, 0), seed)))
    (tmp_path / "none.slp").write_bytes(b"none")
    return tmp_path


def sane(version, seed):
    """A replay whose numbers are possible in the game."""
    replay = made(version, frames=300, seed=seed)
    for rows in replay.pre.values():
        for name in ("main_x", "main_y", "c_x", "c_y", "trigger", "trigger_l", "trigger_r"):
            rows[name] = 0
    for rows in replay.post.values():
        for name in (
            "percent",
            "shield",
            "hitlag",
            "jumps",
            "l_cancel",
            "hurtbox",
            "stocks",
            "character",
        ):
            rows[name] = 1
    return replay


@pytest.mark.slow
def test_the_ingest_bench_prints_what_it_promises(folder, monkeypatch):
    """Every promised figure is given; a missing reader has a reason instead of a rate.

    So has the wall time of two workers where the system does not say that two cores were free.
    """
    monkeypatch.setattr(system, "busy_cpu_s", lambda: None)
    interpreters = {"peppi": None, "pyslippi": None}
    monkeypatch.setattr(peers, "interpreter", interpreters.__getitem__)
    figures = bench_ingest([folder], rounds=1)
    assert figures["files"] == 4
    assert figures["frames"] == 3 * (300 - 84 - 1)
    assert all(figures[name] > 0 for name in RATES)
    assert figures["bytes_per_frame"] < 500
    assert figures["peppi_frames_per_cpu_s"] is None
    assert figures["two_workers_ratio"] is None
    reason = "not measured: two cores are needed, 0.0 were free"
    assert figures["two_workers_ratio_reason"] == reason
    for reader, module in peers.READERS.items():
        assert figures[f"{reader}_reason"] == (
            f"no Python found that can import {module}; "
            f"set SHADOWBOX_PEERS to an interpreter that can"
        )


def test_busy_seconds_of_the_machine(tmp_path):
    """The seconds that all processes used are read from Linux's counters, and None elsewhere."""
    tick = os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    words = [tick * seconds for seconds in (5, 1, 2, 100, 30, 1, 0, 1, 7, 7)]
    stat.write_text(f"cpu  {' '.join(map(str, words))}\ncpu0 1 2 3\n")
    assert system.busy_cpu_s(stat) == 10
    assert system.busy_cpu_s(tmp_path / "none") is None
    stat.write_text("cpu x\n")
    assert system.busy_cpu_s(stat) is None


def test_copies_are_no_duplicates(folder, tmp_path):
    """A small corpus is copied for two workers, with other damage values in each copy."""
    made = copies(sorted(folder.glob("*.slp")), tmp_path / "copies")
    assert len(made) == 3 * 8
    assert len({path.read_bytes() for path in made}) == len(made)
    assert all(len(slp.read(path).frames) == 300 for path in made)


@pytest.mark.slow
def test_the_scale_bench_prints_what_it_promises(monkeypatch):
    """A small store is written, opened and drawn once; the large one's figures follow from it.

    While its pages are evicted, no page is mapped: a mapped page would stay.
    """
    mapped = []

    def evicted(store):
        mapped.append(str(store) in Path("/proc/self/maps").read_text(encoding="utf-8"))
        evict(store)

    monkeypatch.setattr(scale, "evict", evicted)
    figures = bench_scale(frames=100_000)
    assert mapped == [False]
    assert figures["frames"] == 100_000
    assert figures["windows"] == 100_000 - figures["episodes"] * 8
    assert figures["large_bytes"] == round(figures["bytes"] / 100_000 * 206_754_081)
    assert figures["bytes_per_frame"] <= 1.02 * figures["row_bytes"]
    assert 0 < figures["open_ms"] < 1_000
    assert 0 < figures["evicted_over_small"] < 10


def test_a_reader_that_is_not_there_says_so(tmp_path, monkeypatch):
    """A missing reader, and a folder without replays, give a reason and never a figure."""
    monkeypatch.setenv(peers.PYTHON, sys.executable)
    monkeypatch.setattr(peers, "READERS", {"peppi": "no_such_module"})
    peers.interpreter.cache_clear()
    assert peers.ask("peppi", "time", str(tmp_path / "out"), "file") == (
        "no Python found that can import no_such_module; "
        "set SHADOWBOX_PEERS to an interpreter that can"
    )
    peers.interpreter.cache_clear()
    with pytest.raises(UsageError, match=r"expected \.slp files, found none below"):
        bench_ingest([tmp_path])
