"""Small runs of every benchmark, which must print the promised figures.

Their targets are checked by `make bench`, on a quiet machine.
"""

from __future__ import annotations

import json

import pytest
import torch

from shadowbox.bench import world
from shadowbox.bench.env import bench_env
from shadowbox.bench.gesture import bench_gesture
from shadowbox.bench.gpu import bench_gpu
from shadowbox.bench.loop import bench_loop
from shadowbox.bench.policy import bench_policy
from shadowbox.bench.sim import bench_sim
from shadowbox.bench.store import SCHEMA, bench_store
from shadowbox.bench.world import bench_world
from shadowbox.errors import UsageError

PROMISED = {
    "bytes_per_frame",
    "row_bytes",
    "open_ms",
    "windows_per_s",
    "naive_windows_per_s",
    "ratio",
    "decoded_frames_per_s",
    "write_frames_per_s",
}


def test_the_store_bench_prints_what_it_promises():
    """A small run gives every promised figure.

    Sizes are exact on every machine, and our sampler is faster than the naive one.
    """
    figures = bench_store(frames=100_000)
    assert set(figures) >= PROMISED
    assert all(figures[name] > 0 for name in PROMISED)
    assert figures["row_bytes"] == SCHEMA.row_dtype.itemsize
    assert figures["padding_bytes"] <= 8
    assert figures["overhead"] <= 0.02
    assert figures["ratio"] > 2


def test_the_sim_bench_prints_what_it_promises():
    """A small run gives steps at 1, 64 and 1024 matches; many matches cost less for each."""
    figures = bench_sim(budget_s=0.05, compile_too=False)
    assert figures["match_steps_per_cpu_s"] == figures["match_steps_per_cpu_s_at_1024"]
    assert figures["match_steps_per_cpu_s_at_1024"] > figures["match_steps_per_cpu_s_at_1"] > 0


def test_environments_keep_up_with_the_simulator():
    """Shares of the simulator's speed: at least half of what an idle machine shows.

    A machine that is busy with something else may disturb one measurement, but not three.
    """
    floors = {"single": 0.01, "n64": 0.1, "n512": 0.165, "record": 0.07}
    best = dict.fromkeys(floors, 0.0)
    for _ in range(3):
        figures = bench_env(budget_s=0.05, rounds=1, recorded=12)
        best = {name: max(share, figures[name]) for name, share in best.items()}
        if all(best[name] >= floor for name, floor in floors.items()):
            break
    assert {name: share for name, share in best.items() if share < floors[name]} == {}
    assert figures["numbers"] == 64
    assert figures["original_steps_per_s_stated"] == 5300
    assert figures["empty_gymnasium_steps_per_cpu_s"] > figures["single_steps_per_cpu_s"]


def test_the_loop_bench_prints_what_it_promises():
    """A short run gives shares that add up to one, the overhead, and the time to resume."""
    figures = bench_loop(steps=20, rounds=1)
    parts = ("data", "transfer", "forward", "backward", "optimizer", "log", "wait")
    assert abs(sum(figures[f"{part}_share"] for part in parts) - 1) < 1e-9
    overhead = sum(figures[f"{part}_share"] for part in ("data", "transfer", "log", "wait"))
    assert abs(figures["overhead_share"] - overhead) < 1e-9
    assert 0 < figures["overhead_share"] < 0.5
    assert figures["resume_ms"] > 0


@pytest.mark.slow
def test_the_policy_bench_prints_what_it_promises():
    """A short run gives ratios to the plain loop, and the time of one decision and of 256 at once.

    Bf16 ratios are given where the processor has AMX.
    """
    figures = bench_policy(steps=1, rounds=1, decisions=20)
    assert figures["ratio"] > 0.5
    assert figures["ratio_default"] > 1
    assert (figures["ratio_bf16"] is None) == (figures["ratio_default_bf16"] is None)
    assert 0 < figures["act_p50_ms"] <= figures["act_p99_ms"]
    assert 0 < figures["act_p50_ms_at_256"] <= figures["act_p99_ms_at_256"]


@pytest.mark.slow
def test_the_gesture_bench_prints_what_it_promises():
    """A short run: a live frame is cheaper than that of the older model, and so is a target."""
    figures = bench_gesture(frames=5, steps=1, rounds=1)
    assert figures["legacy_parameters"] == 3_510_429
    assert 0 < figures["live_p50_ms"] <= figures["live_p99_ms"]
    assert figures["live_p50_ms"] < figures["legacy_live_p50_ms"]
    assert figures["ratio"] > 5
    assert figures["ratio_legacy"] > 0.5


def test_the_world_bench_prints_what_it_promises(monkeypatch):
    """A small run: targets of both trunks beside Hugging Face's, and steps of play.

    A dense target costs a fraction of a window of ten frames, even where the batch is too small.
    """
    monkeypatch.setattr(world, "TARGETS", 128)
    monkeypatch.setattr(world, "WINDOWS", 8)
    monkeypatch.setattr(world, "DREAMT", {1: 3, 8: 2})
    figures = bench_world(steps=1, rounds=1, compiled=False)
    assert figures["trunk_parameters"] == 3_777_040
    assert figures["ratio_windowed"] > 4
    for name in ("peer_targets", "ssd_targets", "gru_targets"):
        assert figures[f"{name}_per_cpu_s"] > 0
    assert figures["trunk_frames_per_s_256"] > figures["trunk_frames_per_s_1"] > 0
    for name in ("dream", "older_dream"):
        assert figures[f"{name}_frames_per_s_8"] > figures[f"{name}_frames_per_s_1"] > 0
    assert figures["dream_way"] == "plain"


def test_the_gpu_bench_on_a_cpu(capsys):
    """Without a GPU it refuses in words; named, a CPU runs its parts, and the others say why they cannot."""
    from shadowbox import cli

    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(
            ["bench", "gpu", "--device", "cpu", "--seconds", "8", "--batch", "2", "--width", "64",
             "--depth", "1", "--json"]
        )  # fmt: skip
    figures = json.loads(capsys.readouterr().out)
    assert figures["decode_per_wall_s"] > 0
    assert figures["train_fp32_per_wall_s"] > 0
    assert figures["act_per_wall_s"] > 0
    assert set(figures["left_out"]) >= {"train_bf16_compiled", "act_graph"}
    assert "CUDA graphs need a CUDA device" in figures["left_out"]["act_graph"]
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device is here"):
            bench_gpu()
