"""Benchmark of the training loop (`shadowbox bench loop`): its overhead, and the time to resume."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.bench.store import SCHEMA, smooth_episode
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import interrupted

EPISODES = 4
# decisions a segment: with the sizes below a step takes about 10 ms, where overhead shows
LENGTH = 16
LEARNING = ("forward", "backward", "optimizer")
# without validation and checkpoints, which are as rare as a configuration makes them
MEASURED = ("data", "transfer", *LEARNING, "log", "wait")


def bench_loop(
    steps: int = 300, batch: int = 4, width: int = 64, rounds: int = 3
) -> dict[str, Any]:
    """Shares of a step's time, and milliseconds until a resumed run takes its first step.

    Medians of several rounds.
    """
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
        store = _store(Path(folder) / "store")
        tables = [
            _round(store, Path(folder) / f"run-{at}", steps, batch, width) for at in range(rounds)
        ]
        resumed = [
            _resume_ms(store, Path(folder) / f"run-{at}", steps, batch, width)
            for at in range(rounds)
        ]
    shares = [
        1 - sum(table[part] for part in LEARNING) / sum(table[part] for part in MEASURED)
        for table in tables
    ]
    middle = sorted(range(rounds), key=lambda at: shares[at])[rounds // 2]
    whole = sum(tables[middle][part] for part in MEASURED)
    return {
        "steps": steps,
        "batch": batch,
        "step_ms": 1000 * whole / steps,
        "overhead_share": shares[middle],
        **{f"{part}_share": tables[middle][part] / whole for part in MEASURED},
        "resume_ms": statistics.median(resumed),
    }


def _store(path: Path) -> Store:
    with Writer(path, SCHEMA) as writer:
        for seed in range(EPISODES):
            writer.add(smooth_episode(seed))
    return Store(path)


def _task(store: Store, steps: int, batch: int, width: int) -> Any:
    from shadowbox.learners.imitation_task import prepare
    from shadowbox.train.config import TrainConfig

    config = TrainConfig(
        steps=steps, batch=batch, log_every=10, save_every=steps, ema=0.99, device="cpu"
    )
    side = int(np.ceil(EPISODES / 2))
    task = prepare(
        store,
        config,
        split=Split(0.5, 0.5, 0.0, seed=_even_split(store, side)),
        width=width,
        length=LENGTH,
    )
    return task, config


def _even_split(store: Store, episodes: int) -> int:
    """Seed of a split that puts `episodes` episodes on the training side."""
    return next(
        seed
        for seed in range(1000)
        if len(Split(0.5, 0.5, 0.0, seed=seed).episodes(store, "train")) == episodes
    )


def _round(store: Store, run: Path, steps: int, batch: int, width: int) -> dict[str, float]:
    task, config = _task(store, steps, batch, width)
    return dict(_whole(task, run, config).table)


def _resume_ms(store: Store, run: Path, steps: int, batch: int, width: int) -> float:
    """Milliseconds from the call to the state in which the run ended.

    The checkpoint is found, checked by digest and loaded on the way.
    """
    task, config = _task(store, steps, batch, width)
    began = time.perf_counter()
    _whole(task, run, config, resume=True)
    return 1000 * (time.perf_counter() - began)


def _whole(task: Any, run: Path, config: Any, *, resume: bool = False) -> Any:
    """Result of a training, which keeps a signal that stopped it to itself."""
    from shadowbox.train.loop import train

    result = train(task, run, config, resume=resume)
    if not result.whole:
        raise interrupted("stopped while training was timed; nothing is kept")
    return result
