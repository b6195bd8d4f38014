"""`shadowbox bench`: benchmarks of the hot paths beside plain NumPy, PyTorch and other readers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shadowbox.cli.terminal import PATH, at_least, emit, json_option, number, progress, table
from shadowbox.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])


def _option(
    name: str, default: float, kind: click.IntRange | click.FloatRange, help: str
) -> Callable[[Function], Function]:
    """Option that is a number with a default."""
    return click.option(name, default=default, show_default=True, type=kind, help=help)


@click.group()
def bench() -> None:
    """Benchmark a hot path on one thread. Rates are per CPU-second of one process."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        # read when the numeric libraries load, so before the benches import them
        os.environ.setdefault(name, "1")


@bench.command()
@_option("--frames", 5_000_000, at_least(10_000), "Frames to generate.")
@_option("--length", 10, at_least(1), "Rows in a window.")
@_option("--batch", 4096, at_least(1), "Windows in a batch.")
@json_option
def store(frames: int, length: int, batch: int, as_json: bool) -> None:
    """Benchmark writing, opening, sampling and decoding a store of generated frames."""
    from shadowbox.bench.store import bench_store

    with progress("writing") as update:
        figures = bench_store(frames, length, batch, update)
    _print("store", figures, as_json)


@bench.command()
@_option("--seconds", 1.0, click.FloatRange(0.01, 60), "CPU seconds of each measurement.")
@json_option
def sim(seconds: float, as_json: bool) -> None:
    """Benchmark the simulator: steps with random keys, and the first call, cold and cached."""
    from shadowbox.bench.sim import bench_sim

    _print("sim", bench_sim(budget_s=seconds), as_json)


@bench.command()
@_option("--seconds", 0.5, click.FloatRange(0.01, 60), "CPU seconds of each measurement.")
@json_option
def env(seconds: float, as_json: bool) -> None:
    """Benchmark environments and recording, as shares of the simulator's speed in the same run."""
    from shadowbox.bench.env import bench_env

    _print("env", bench_env(budget_s=seconds), as_json)


@bench.command()
@_option("--steps", 300, at_least(10), "Training steps to measure.")
@_option("--batch", 4, at_least(1), "Segments of 16 decisions in a batch.")
@json_option
def loop(steps: int, batch: int, as_json: bool) -> None:
    """Benchmark the training loop: its overhead over loss, backward and optimizer, and resuming."""
    from shadowbox.bench.loop import bench_loop

    _print("loop", bench_loop(steps, batch), as_json)


@bench.command()
@_option("--steps", 6, at_least(1), "Steps of each kind in a round.")
@_option("--rounds", 5, at_least(1), "Alternating rounds.")
@json_option
def policy(steps: int, rounds: int, as_json: bool) -> None:
    """Benchmark policies: training targets per CPU-second beside plain PyTorch, and decision latency."""
    from shadowbox.bench.policy import bench_policy

    _print("policy", bench_policy(steps, rounds), as_json)


@bench.command()
@click.option("--device", default="cuda", show_default=True, help="Device: cuda, or cpu.")
@_option("--seconds", 180, click.FloatRange(1, 220), "Seconds of all parts together.")
@_option("--batch", 64, at_least(1), "Segments of a training step.")
@_option("--width", 512, at_least(8), "Width of the policy.")
@_option("--depth", 6, at_least(1), "Layers of the policy.")
@json_option
def gpu(device: str, seconds: float, batch: int, width: int, depth: int, as_json: bool) -> None:
    """Benchmark an accelerator: decoding, training (fp32, bf16, compiled), and acting (CUDA graph)."""
    from shadowbox.bench.gpu import bench_gpu

    figures = bench_gpu(device, seconds, batch, {"width": width, "depth": depth})
    _print("gpu", figures, as_json)


@bench.command()
@_option("--steps", 1, at_least(1), "Training steps of each kind in a round.")
@_option("--rounds", 3, at_least(1), "Alternating rounds.")
@json_option
def world(steps: int, rounds: int, as_json: bool) -> None:
    """Benchmark learned worlds: training targets beside Hugging Face's Mamba2, and frames of play."""
    from shadowbox.bench.world import bench_world

    _print("world", bench_world(steps, rounds), as_json)


@bench.command()
@_option("--frames", 300, at_least(10), "Live frames to measure.")
@_option("--steps", 4, at_least(1), "Training steps of each kind in a round.")
@_option("--rounds", 3, at_least(1), "Alternating rounds.")
@json_option
def gesture(frames: int, steps: int, rounds: int, as_json: bool) -> None:
    """Benchmark gesture: a live frame, and training targets, beside an older system's transformer."""
    from shadowbox.bench.gesture import bench_gesture

    _print("gesture", bench_gesture(frames, steps, rounds), as_json)


@bench.command()
@_option("--rounds", 3, at_least(1), "Alternating rounds.")
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    type=click.Choice(["fp32", "bf16"]),
    help="Precision of our learners; the peer computes in fp32.",
)
@json_option
def selfplay(rounds: int, precision: str, as_json: bool) -> None:
    """Benchmark self-play: rollout and update of each learner, beside sb3-contrib (minutes)."""
    from shadowbox.bench.selfplay import bench_selfplay

    _print("selfplay", bench_selfplay(rounds, precision), as_json)


@bench.command()
@click.option("--seeds", default=5, show_default=True, type=at_least(1), help="Runs of a learner.")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(["cartpole", "recall", "spread"]),
    help="Benchmark this task only (repeatable). Default: all.",
)
@json_option
def elsewhere(seeds: int, tasks: tuple[str, ...], as_json: bool) -> None:
    """Benchmark learning in games of others, beside sb3-contrib at equal steps (minutes)."""
    from shadowbox.bench.elsewhere import TASKS, bench_elsewhere

    with progress("runs") as update:
        figures = bench_elsewhere(seeds, tasks or tuple(TASKS), update)
    _print("elsewhere", figures, as_json)


@bench.command()
@click.argument("paths", nargs=-1, type=PATH)
@click.option(
    "--scale",
    is_flag=True,
    help="Benchmark a generated store of 19,442,187 frames instead (3.8 GB in --folder; minutes).",
)
@click.option(
    "--frames",
    default=None,
    type=at_least(100_000),
    help="Frames to generate with --scale.",
)
@click.option(
    "--folder",
    default=None,
    type=click.Path(path_type=Path, exists=True),
    help="Folder to write to with --scale.",
)
@json_option
def ingest(
    paths: tuple[Path, ...], scale: bool, frames: int | None, folder: Path | None, as_json: bool
) -> None:
    """Benchmark reading replays (.slp files or folders) into a store, beside other readers."""
    if scale == bool(paths):
        raise UsageError("give PATHS of replays, or --scale for a generated store")
    if scale:
        from shadowbox.bench.scale import FRAMES, bench_scale

        with progress("scale") as update:
            figures = bench_scale(frames or FRAMES, folder, update)
    else:
        from shadowbox.bench.ingest import bench_ingest

        with progress("ingest") as update:
            figures = bench_ingest(paths, update)
    _print("ingest", figures, as_json)


def _print(name: str, figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(figures)
        return
    rows = [
        [key, value if isinstance(value, str) else "-" if value is None else number(value)]
        for key, value in figures.items()
    ]
    print(table([name, ""], rows))
