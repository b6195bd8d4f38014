"""Benchmark of a store (`shadowbox bench store`), beside one array per field and fancy indexing.

Measures writing, opening, drawing windows and decoding.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.schema import Array, Choice, Columns, Flag, Group, Real, Schema
from shadowbox.data.sample import Windows
from shadowbox.data.store import Progress, Store
from shadowbox.data.write import Writer

EPISODE_FRAMES = 5_000
REPEATS = 5

# About 100 bytes a frame, shaped like a platform fighter: positions in 32 bits, all other fields as
# small as their ranges allow.
SCHEMA = Schema(
    "bench",
    fps=60,
    state=(
        Group(
            "player",
            slots=2,
            per="player",
            fields=(
                *(Real(f"position_{at}", low=-300, high=300) for at in range(4)),
                *(Real(f"speed_{at}", store="f2", low=-50, high=50) for at in range(10)),
                *(Choice(f"counter_{at}", 200) for at in range(8)),
                Choice("action", 400),
                *(Flag(f"flag_{at}") for at in range(32)),
            ),
        ),
    ),
    controls=Group(
        "pad", slots=2, per="player", fields=tuple(Flag(f"button_{at}") for at in range(8))
    ),
)


def bench_store(
    frames: int = 5_000_000, length: int = 10, batch: int = 4096, progress: Progress | None = None
) -> dict[str, Any]:
    """Figures of one run: medians of several rounds, times in CPU-seconds of this process."""
    import torch

    torch.set_num_threads(1)
    episodes = [smooth_episode(seed) for seed in range(8)]
    with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
        path = Path(folder) / "store"
        write_s, written = _cpu(lambda: _write(path, episodes, frames, progress))
        opened = [_wall_ms(lambda: Store(path)) for _ in range(REPEATS)]
        store = Store(path)
        fields = _one_array_per_field(store)
        ours, naive, decoded = _windows_in_turn(store, fields, length, batch)
        content = sum(
            entry.bytes for shard in store.manifest.shards for entry in shard.files.values()
        )
        return {
            "frames": written,
            "episodes": len(store),
            "length": length,
            "batch": batch,
            "row_bytes": SCHEMA.row_dtype.itemsize,
            "padding_bytes": SCHEMA.row_dtype.itemsize - SCHEMA.content_bytes,
            "bytes_per_frame": content / written,
            "overhead": content / written / SCHEMA.row_dtype.itemsize - 1,
            "open_ms": statistics.median(opened),
            "windows_per_s": ours,
            "naive_windows_per_s": naive,
            "ratio": ours / naive,
            "decoded_frames_per_s": decoded,
            "write_frames_per_s": written / write_s,
        }


def smooth_episode(seed: int) -> Episode:
    """Episode of values that look like a match: smooth reals, flags and choices that change."""
    draws = np.random.default_rng(seed)
    columns: Columns = {}
    shape = (EPISODE_FRAMES + 1, 2)
    for key, column in SCHEMA.columns.items():
        field = column.field
        if isinstance(field, Real):
            low, high = field.limits
            walk = np.cumsum(draws.standard_normal(shape, np.float32), axis=0)
            columns[key] = np.clip(walk, low, high)
        elif isinstance(field, Choice):
            columns[key] = draws.integers(0, field.n, shape).astype(column.dtype)
        else:
            columns[key] = draws.random(shape) < 0.2
    return Episode(columns, {"seed": seed})


def _write(path: Path, episodes: list[Episode], frames: int, progress: Progress | None) -> int:
    count = -(-frames // EPISODE_FRAMES)
    with Writer(path, SCHEMA) as writer:
        for number in range(count):
            writer.add(episodes[number % len(episodes)])
            if progress:
                progress(number + 1, count)
    return count * EPISODE_FRAMES


def _one_array_per_field(store: Store) -> Columns:
    """Every field unpacked into an array of its own, episodes concatenated: the naive layout."""
    parts = [store.schema.unpack(shard.rows) for shard in store.shards]
    return {key: np.concatenate([part[key] for part in parts]) for key in store.schema.columns}


def _windows_in_turn(
    store: Store, fields: Columns, length: int, batch: int
) -> tuple[float, float, float]:
    """Rates of ours, of the naive layout, and of decoding by torch, measured in turns.

    Windows per CPU-second (ours, naive) and frames per CPU-second (decoding).
    """
    import torch

    from shadowbox.model.codec import decode

    sampler = iter(Windows(store, length, batch))
    rows = len(next(iter(fields.values())))
    draws = np.random.default_rng(0)
    figures: dict[str, list[float]] = {"ours": [], "naive": [], "decoded": []}

    def naive() -> Array:
        index = draws.integers(0, rows - length + 1, batch)[:, None] + np.arange(length)
        return np.asarray([values[index] for values in fields.values()][-1])

    for turn in range(REPEATS + 1):  # the first turn warms caches and is not measured
        drawn = _rate(lambda: next(sampler), 40)
        gathered = _rate(naive, 3)
        packed = torch.from_numpy(next(sampler).rows)
        decoding = _rate(partial(decode, store.schema, packed), 3)
        if turn:
            figures["ours"].append(batch * drawn)
            figures["naive"].append(batch * gathered)
            figures["decoded"].append(batch * length * decoding)
    medians = [statistics.median(values) for values in figures.values()]
    return medians[0], medians[1], medians[2]


def _rate(call: Callable[[], Any], times: int) -> float:
    """Calls per CPU-second."""
    began = time.process_time()
    for _ in range(times):
        call()
    return times / (time.process_time() - began)


def _cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def _wall_ms(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)
