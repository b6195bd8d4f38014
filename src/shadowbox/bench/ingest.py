"""`shadowbox bench ingest`: recordings into a store, beside other readers that only read them."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shadowbox.bench import peers
from shadowbox.core.game import Game
from shadowbox.data.ingest import ingest
from shadowbox.data.recordings import find_recordings
from shadowbox.data.store import Progress
from shadowbox.errors import RecordingError, UsageError
from shadowbox.games import load
from shadowbox.games.melee import slp

ENDING = ".slp"
ROUNDS = 3
# frames that two workers share; a smaller corpus is copied, each copy with damage of its own
ENOUGH = 1_000_000
MOST_COPIES = 8


def bench_ingest(
    paths: Sequence[Path], progress: Progress | None = None, rounds: int = ROUNDS
) -> dict[str, Any]:
    """All figures of one run, medians of `rounds` in which everybody takes a turn. Rates are per CPU-second of one process.

    `frames_per_cpu_s` is the whole way: read, check, align, find events, pack, write, sync.
    `read_frames_per_cpu_s` and those of the other readers are the reading alone, in rows of the
    file (frames that were rolled back count each time). `two_workers_ratio` compares wall times and
    needs two idle cores; `two_workers_bound` is what the CPU-seconds of both allow.
    """
    files = [
        path for path in find_recordings(paths, (ENDING,)) if path.name.lower().endswith(ENDING)
    ]
    if not files:
        raise UsageError(f"no {ENDING} below {', '.join(map(str, paths))}")
    game = load("melee")
    figures: dict[str, list[float]] = {
        "whole": [],
        "read": [],
        "peppi": [],
        "pyslippi": [],
        "ratio": [],
        "bound": [],
    }
    reasons: dict[str, str] = {}
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
        place = Path(folder)
        many = copies(files, place / "copies")
        steps = 4 * (rounds + 1)
        for turn in range(rounds + 1):  # the first turn warms caches and does not count
            report = ingest(game, files, place / f"one-{turn}")
            done = {"whole": [report["frames_per_cpu_s"]], "read": [read_rate(files)]}
            _tell(progress, 4 * turn + 1, steps)
            for reader in peers.READERS:
                if turn and not (reader == "pyslippi" and turn > 1):  # once: it is the slow one
                    done[reader] = _peer(reader, files, place, reasons)
            _tell(progress, 4 * turn + 2, steps)
            alone, shared = (
                _cost(game, many, place / f"{workers}-{turn}", workers) for workers in (1, 2)
            )
            done["ratio"], done["bound"] = [alone[0] / shared[0]], [2 * alone[1] / shared[1]]
            _tell(progress, 4 * turn + 4, steps)
            if turn:
                for name, values in done.items():
                    figures[name] += values
    return {
        "files": len(files),
        "frames": report["frames"],
        "frames_per_cpu_s": statistics.median(figures["whole"]),
        "read_frames_per_cpu_s": statistics.median(figures["read"]),
        "peppi_frames_per_cpu_s": statistics.median(figures["peppi"]) if figures["peppi"] else None,
        "pyslippi_frames_per_cpu_s": statistics.median(figures["pyslippi"])
        if figures["pyslippi"]
        else None,
        "two_workers_ratio": statistics.median(figures["ratio"]),
        "two_workers_bound": statistics.median(figures["bound"]),
        "two_workers_files": len(many),
        "bytes_per_frame": report["bytes_per_frame"],
        **{f"{reader}_reason": reason for reader, reason in reasons.items()},
    }


def read_rate(files: Sequence[Path]) -> float:
    """Rows of all files that can be read, per CPU-second."""
    rows, began = 0, time.process_time()
    for path in files:
        try:
            rows += len(slp.read(path, "all").frames)
        except RecordingError:
            continue
    return rows / (time.process_time() - began)


def copies(files: Sequence[Path], folder: Path) -> list[Path]:
    """The files, or so many copies of them that two workers have something to share.

    No two alike, or they would be refused.
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
    made = []
    for copy in range(min(-(-ENOUGH // frames), MOST_COPIES)):
        for number, replay in enumerate(replays):
            for rows in replay.post.values():
                rows["percent"] += 1 if copy else 0
            made.append(folder / f"{copy}-{number}{ENDING}")
            made[-1].write_bytes(slp.write(replay))
    return made


def _peer(reader: str, files: Sequence[Path], folder: Path, reasons: dict[str, str]) -> list[float]:
    """The rate of another reader, in a process of its own; nothing where there is none, and why."""
    out = folder / f"{reader}.json"
    if refusal := peers.ask(reader, "time", str(out), *map(str, files)):
        reasons[reader] = refusal
        return []
    return [json.loads(out.read_bytes())["frames_per_cpu_s"]]


def _cost(game: Game, files: Sequence[Path], out: Path, workers: int) -> tuple[float, float]:
    """Wall seconds, and CPU-seconds of all processes, of an ingest.

    The store is gone afterwards.
    """
    report = ingest(game, files, out, workers=workers)
    shutil.rmtree(out)
    return report["seconds"], report["cpu_seconds"]


def _tell(progress: Progress | None, done: int, steps: int) -> None:
    if progress:
        progress(done, steps)
