"""Benchmark of a large store (`shadowbox bench ingest --scale`), generated from melee's schema."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.schema import Choice, Columns, Flag, Real, Schema
from shadowbox.core.system import major_faults
from shadowbox.data.sample import Windows
from shadowbox.data.store import Progress, Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.games import load

FRAMES = 19_442_187  # two thousand games
EPISODE_FRAMES = 9_721
LARGE_FRAMES = 206_754_081  # twenty-two thousand games; its figures are extrapolated
LENGTH, BATCH = 10, 4096
SMALL_FRAMES = 500_000  # of the store that fits any cache, which the large one is compared with
EVICTED = 1024  # batches that are drawn from a store whose pages were evicted


def bench_scale(
    frames: int = FRAMES, folder: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Write a store, open it, draw one epoch of windows, and draw from it again without the cache.

    Memory growth is measured without the page cache: it is the memory held by this process alone.
    For the second time all pages of the store are evicted first, as they are between the epochs of a
    store that is larger than memory; `evicted_over_small` compares its windows per CPU-second with
    those of a store of half a million frames. Major faults waited for the disk.
    """
    schema = load("melee").schema
    with tempfile.TemporaryDirectory(prefix="shadowbox-scale-", dir=folder) as place:
        path = Path(place) / "store"
        began = time.process_time()
        _write(path, schema, frames, progress)
        write_s = time.process_time() - began
        opened = sorted(_open_ms(path) for _ in range(5))
        before = _own_bytes()
        store = Store(path)
        sampler = Windows(store, LENGTH, BATCH)
        batches = iter(sampler)
        most, windows, began = before, 0, time.process_time()
        for number in range(len(sampler)):
            windows += len(next(batches))
            if number % 16 == 0:
                most = max(most, _own_bytes())
                if progress:
                    progress(number, len(sampler))
        epoch_s = time.process_time() - began
        kept, episodes = store.frames, len(store)
        content = sum(
            entry.bytes for shard in store.manifest.shards for entry in shard.files.values()
        )
        del sampler, batches, store  # they map the pages, and a mapped page is not evicted
        evicted, small = _evicted_and_small(Path(place), path, schema)
        return {
            "frames": kept,
            "episodes": episodes,
            "row_bytes": schema.row_dtype.itemsize,
            "bytes": content,
            "bytes_per_frame": content / kept,
            "write_frames_per_cpu_s": kept / write_s,
            "open_ms": opened[2],
            "length": LENGTH,
            "batch": BATCH,
            "windows": windows,
            "windows_per_cpu_s": windows / epoch_s,
            "evicted_windows_per_cpu_s": evicted.per_cpu_s,
            "small_windows_per_cpu_s": small.per_cpu_s,
            "evicted_over_small": evicted.per_cpu_s / small.per_cpu_s,
            "evicted_major_faults": evicted.major_faults,
            "evicted_bytes_read": evicted.bytes_read,
            "epoch_rss_growth_bytes": max(most, _own_bytes()) - before,
            "large_frames": LARGE_FRAMES,
            "large_bytes": round(content / kept * LARGE_FRAMES),
            "large_epoch_cpu_s": epoch_s / windows * LARGE_FRAMES,
            "large_sampler_growth_bytes": round(
                (max(most, _own_bytes()) - before) / kept * LARGE_FRAMES
            ),
        }


class _Drawn(NamedTuple):
    """Windows per CPU-second of some batches, and what the disk gave for them."""

    per_cpu_s: float
    major_faults: int
    bytes_read: int


def _evicted_and_small(place: Path, large: Path, schema: Schema) -> tuple[_Drawn, _Drawn]:
    """The same number of batches from a large store without its pages, and from a small one."""
    small = place / "small"
    _write(small, schema, SMALL_FRAMES, None)
    _draw(small, EVICTED // 8)  # warms the code
    found = _draw(small, EVICTED)
    gc.collect()  # no page may be mapped while it is evicted
    evict(large)
    return _draw(large, EVICTED), found


def _draw(path: Path, batches: int) -> _Drawn:
    """Draw so many batches, over the end of an epoch if need be."""
    upcoming = iter(Windows(Store(path), LENGTH, BATCH))
    read, faults = _bytes_read(), major_faults() or 0
    windows, began = 0, time.process_time()
    for _ in range(batches):
        windows += len(next(upcoming))
    seconds = time.process_time() - began
    faults = (major_faults() or 0) - faults
    return _Drawn(windows / seconds, faults, _bytes_read() - read)


def evict(store: Path) -> None:
    """Drop the pages of a store's files from the page cache, as far as no process maps them."""
    for file in store.iterdir():
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)


def _bytes_read() -> int:
    """Bytes that this process has read from disks."""
    status = Path("/proc/self/io")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else ()
    return next((int(line.split()[1]) for line in lines if line.startswith("read_bytes:")), 0)


def _write(path: Path, schema: Schema, frames: int, progress: Progress | None) -> None:
    """Write one generated episode repeatedly, and a shorter one where the frames end.

    Sizes and times do not depend on the content.
    """
    episode = smooth_episode(schema, EPISODE_FRAMES, 0)
    rows, events = schema.pack(episode.columns), episode.events
    absent = np.packbits(~episode.valid(schema), bitorder="little")
    with Writer(path, schema) as writer:
        left = frames
        number = 0
        while left > 0:
            count = min(left, EPISODE_FRAMES)
            writer.add_packed(rows[: count + 1], events, {"seed": number}, absent)
            left -= count
            number += 1
            if progress and number % 50 == 0:
                progress(frames - left, frames)


def smooth_episode(schema: Schema, frames: int, seed: int) -> Episode:
    """Random episode of any schema: slowly changing values within the limits of its fields."""
    draws = np.random.default_rng(seed)
    columns: Columns = {}
    for key, column in schema.columns.items():
        shape, field = (frames + 1, column.slots), column.field
        if isinstance(field, Real):
            low, high = (float(np.clip(limit, -1e4, 1e4)) for limit in field.limits)
            columns[key] = np.clip(
                np.cumsum(draws.standard_normal(shape, np.float32), axis=0), low, high
            )
        elif isinstance(field, Choice):
            columns[key] = draws.integers(0, field.n, shape).astype(column.dtype)
        else:
            assert isinstance(field, Flag)
            columns[key] = draws.random(shape) < 0.2
    return Episode(columns, {"seed": seed})


def _open_ms(path: Path) -> float:
    began = time.perf_counter()
    Store(path)
    return 1000 * (time.perf_counter() - began)


def _own_bytes() -> int:
    """Resident memory of this process without pages of files.

    Pages of files belong to the cache and are freed when other processes need memory.
    """
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="utf-8").splitlines() if status.exists() else ():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise UsageError(
        "--scale expects Linux: it reads RssAnon (memory without the page cache) "
        "from /proc/self/status"
    )
