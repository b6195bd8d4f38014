"""Benchmark of ingest (`shadowbox bench ingest`): replays into a store, beside other readers."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.bench import peers
from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.data.ingest import ingest
from shadowbox.data.recordings import find_recordings
from shadowbox.data.store import Progress
from shadowbox.errors import RecordingError, UsageError
from shadowbox.games import load
from shadowbox.games.melee import slp

ENDING = ".slp"
ROUNDS = 3
# frames that two workers share; a smaller corpus is copied, with other damage values in each copy
ENOUGH = 1_000_000
MOST_COPIES = 8
FREE_CORES = 1.9  # cores that two workers must have for their wall time to mean something


def bench_ingest(
    paths: Sequence[Path], progress: Progress | None = None, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Figures of one run: medians of `rounds`, in each of which every reader takes a turn.

    Rates are per CPU-second of one process. `frames_per_cpu_s` covers the whole way: read, check,
    align, find events, pack, write, sync. `read_frames_per_cpu_s` and the rates of the other
    readers cover reading alone, in rows of the file (frames that were rolled back count each time).
    `two_workers_bound` is the ratio of wall times that the CPU-seconds of one process and of two
    workers allow; `two_workers_ratio` is the measured one, of the rounds in which two cores were
    free for it, or None with a reason.
    """
    files = [
        path for path in find_recordings(paths, (ENDING,)) if path.name.lower().endswith(ENDING)
    ]
    if not files:
        raise UsageError(
            f"expected {ENDING} files, found none below {', '.join(map(str, paths))}; "
            f"name a replay or a folder that holds some"
        )
    game = load("melee")
    measured: defaultdict[str, list[float]] = defaultdict(list)
    reasons: dict[str, str] = {}
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
        workspace = Path(folder)
        many = copies(files, workspace / "copies")
        steps = 4 * (rounds + 1)
        for turn in range(rounds + 1):  # the first turn warms caches and is not measured
            report = ingest(game, files, workspace / f"one-{turn}")
            rates = {"whole": [report["frames_per_cpu_s"]], "read": [read_rate(files)]}
            _report(progress, 4 * turn + 1, steps)
            for reader in peers.READERS:
                if turn and not (reader == "pyslippi" and turn > 1):  # once, since it is slow
                    rates[reader] = _peer(reader, files, workspace, reasons)
            _report(progress, 4 * turn + 2, steps)
            rates |= _two_workers(game, many, workspace, reasons)
            _report(progress, 4 * turn + 4, steps)
            if turn:
                for name, values in rates.items():
                    measured[name] += values
    medians = {name: statistics.median(values) for name, values in measured.items() if values}
    return {
        "files": len(files),
        "frames": report["frames"],
        "frames_per_cpu_s": medians["whole"],
        "read_frames_per_cpu_s": medians["read"],
        "peppi_frames_per_cpu_s": medians.get("peppi"),
        "pyslippi_frames_per_cpu_s": medians.get("pyslippi"),
        "two_workers_ratio": medians.get("ratio"),
        "two_workers_bound": medians["bound"],
        "two_workers_files": len(many),
        "bytes_per_frame": report["bytes_per_frame"],
        **{
            f"{name}_reason": reason
            for name, reason in reasons.items()
            if not (name == "two_workers_ratio" and "ratio" in medians)
        },
    }


def read_rate(files: Sequence[Path]) -> float:
    """Rows of all readable files per CPU-second."""
    rows, began = 0, time.process_time()
    for path in files:
        try:
            rows += len(slp.read(path, "all").frames)
        except RecordingError:
            continue
    return rows / (time.process_time() - began)


def copies(files: Sequence[Path], folder: Path) -> list[Path]:
    """Return the files themselves, or enough altered copies of them to keep two workers busy.

    No two copies are alike, since ingest refuses duplicates.
    """
    replays = []
    for path in files:
        try:
            replays.append(slp.read(path))
        except RecordingError:
            continue
    frames = sum(len(replay.frames) for replay in replays)
    if not frames or frames >= ENOUGH:
        return list(files)
    folder.mkdir()
    written = []
    for copy in range(min(-(-ENOUGH // frames), MOST_COPIES)):
        for number, replay in enumerate(replays):
            for rows in replay.post.values():
                rows["percent"] += 1 if copy else 0
            written.append(folder / f"{copy}-{number}{ENDING}")
            written[-1].write_bytes(slp.write(replay))
    return written


def _peer(reader: str, files: Sequence[Path], folder: Path, reasons: dict[str, str]) -> list[float]:
    """Rate of another reader, measured in a process of its own.

    Empty where the reader is missing or fails; the reason is added to `reasons`.
    """
    out = folder / f"{reader}.json"
    if refusal := peers.ask(reader, "time", str(out), *map(str, files)):
        reasons[reader] = refusal
        return []
    return [json.loads(out.read_bytes())["frames_per_cpu_s"]]


def _two_workers(
    game: Game, files: Sequence[Path], folder: Path, reasons: dict[str, str]
) -> dict[str, list[float]]:
    """Ratio of two workers to one process in wall time, if measurable, and its bound.

    Where too few cores were free, `reasons` gets the reason.
    """
    alone, shared = (_cost(game, files, folder / f"{n}-workers", n) for n in (1, 2))
    bound = 2 * alone.cpu_seconds / shared.cpu_seconds
    free = min(alone.cores_free, shared.cores_free)
    if free < FREE_CORES:
        reasons["two_workers_ratio"] = f"not measured: two cores are needed, {free:.1f} were free"
        return {"bound": [bound]}
    return {"bound": [bound], "ratio": [alone.seconds / shared.seconds]}


class _Cost(NamedTuple):
    """Cost of one ingest: wall seconds, CPU-seconds of its processes, and cores free for it."""

    seconds: float
    cpu_seconds: float
    cores_free: float


def _cost(game: Game, files: Sequence[Path], out: Path, workers: int) -> _Cost:
    """Cost of one ingest, whose store is deleted afterwards.

    The free cores are those that no other process used meanwhile; 0 where the system does not say.
    """
    before, cores = system.busy_cpu_s(), os.cpu_count() or 1
    report = ingest(game, files, out, workers=workers)
    after = system.busy_cpu_s()
    shutil.rmtree(out)
    free = 0.0
    if before is not None and after is not None:
        others = max(after - before - report["cpu_seconds"], 0.0)
        free = min(system.cores(), cores - others / report["seconds"])
    return _Cost(report["seconds"], report["cpu_seconds"], free)


def _report(progress: Progress | None, done: int, steps: int) -> None:
    if progress:
        progress(done, steps)
