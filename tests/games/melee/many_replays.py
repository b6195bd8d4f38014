"""Ingest of very many small replays, interrupted again and again: bounded memory, and the same store.

    python many_replays.py FOLDER [REPLAYS] [INTERRUPTIONS] [WORKERS]

Generates that many replays below FOLDER (100,000 of 20 frames take 900 MB), ingests them once without
a pause and once with interruptions, and prints rates, the peak memory of all processes together, and
whether both stores are the same. `test_many_replays.py` runs a few hundred.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from small_melee import MELEE, fight

from shadowbox.data.store import Store
from shadowbox.games.melee import slp

FRAMES = 20
A_FOLDER = 1000  # replays
LIMIT = 1.5e9  # bytes of all processes together


def generate(folder: Path, replays: int) -> None:
    """Write small replays that differ in the damage of a player, or in the length."""
    folder.mkdir(parents=True)
    template = folder / "template.slp"
    MELEE.writers["slp"](fight(0, FRAMES), template)
    replay = slp.read(template)
    template.unlink()
    for number in range(replays):
        for at, rows in enumerate(replay.post.values()):
            rows["percent"][-1] = number // 900 if at % 2 else number % 900
        parent = folder / f"{number // A_FOLDER:04d}"
        parent.mkdir(exist_ok=True)
        (parent / f"{number:06d}.slp").write_bytes(slp.write(replay))


def held_bytes(parent: int) -> int:
    """Memory of a process and its children without the page cache: private and shared."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(
                line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines()
            )
        except (OSError, ValueError):  # it has just ended
            continue
        if int(status.parent.name) == parent or int(lines.get("PPid", 0)) == parent:
            names = ("RssAnon", "RssShmem")
            total += sum(1024 * int(lines[name].split()[0]) for name in names if name in lines)
    return total


def ingested(folder: Path, out: Path, workers: int, stop_after: float | None = None) -> tuple:
    """Exit code, peak memory and seconds of an ingest, which a signal ends after some seconds."""
    words = ["ingest", "melee", str(folder), "--out", str(out), "--workers", str(workers)]
    resume = ["--resume"] if out.exists() else []
    command = [sys.executable, "-m", "shadowbox", *words, *resume, "--json"]
    began, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            peak = max(peak, held_bytes(process.pid))
            if stop_after is not None and time.monotonic() - began > stop_after:
                process.send_signal(signal.SIGTERM)
                stop_after = None
            time.sleep(0.05)
        facts = json.loads(process.stdout.read() or b"{}")
    return process.returncode, peak, time.monotonic() - began, facts


def compare(folder: Path, replays: int, interruptions: int, workers: int) -> dict:
    """Figures of both ways."""
    source = folder / "replays"
    generate(source, replays)
    code, peak, seconds, facts = ingested(source, folder / "whole", workers)
    assert code == 0, facts
    draws, codes, peaks = random.Random(1), [], [peak]
    for _ in range(interruptions):
        share = draws.uniform(0.3, 1.0) / (interruptions + 1)
        code, peak, *_ = ingested(source, folder / "parts", workers, max(1.0, share * seconds))
        codes, peaks = [*codes, code], [*peaks, peak]
    code, peak, *_ = ingested(source, folder / "parts", workers)
    whole, parts = Store(folder / "whole"), Store(folder / "parts")
    return {
        "replays": replays,
        "accepted": facts["accepted"],
        "frames": facts["frames"],
        "seconds": seconds,
        "replays_per_s": replays / seconds,
        "replays_per_cpu_s": replays / facts["cpu_seconds"],
        "peak_bytes": max(*peaks, peak),
        "bounded": max(*peaks, peak) < LIMIT,
        "exit_codes": [*codes, code],
        "same": whole.fingerprint == parts.fingerprint and len(whole) == len(parts),
    }


def main() -> None:
    """Measure, print, and clean up."""
    folder = Path(sys.argv[1]) / f"many-{os.getpid()}"
    usual = [100_000, 5, 2]
    given = [int(each) for each in sys.argv[2:]]
    try:
        print(json.dumps(compare(folder, *given, *usual[len(given) :]), indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
