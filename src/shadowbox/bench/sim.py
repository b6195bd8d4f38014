"""Benchmark of a simulator (`shadowbox bench sim`): random keys, every reset included."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from shadowbox.core.game import World
from shadowbox.core.schema import Columns
from shadowbox.games import load

SIZES = (1, 64, 1024)
REPEATS = 5
KEPT_CONTROLS = 64  # frames of random keys, drawn before timing starts and reused in a cycle
CHANGING = 0.2  # share of keys that change from one frame of keys to the next


def bench_sim(
    game: str = "brawl", budget_s: float = 1.0, compile_too: bool = True
) -> dict[str, Any]:
    """Match steps per CPU-second at several sizes, and the time to the first step.

    A match step moves both players.
    """
    figures: dict[str, Any] = {
        "game": game,
        "matches": max(SIZES),
        "step_includes": "random keys, resets of finished matches",
    }
    rates = {size: _steps_per_cpu_s(game, size, budget_s) for size in SIZES}
    figures |= {f"match_steps_per_cpu_s_at_{size}": rate for size, rate in rates.items()}
    figures["match_steps_per_cpu_s"] = rates[max(SIZES)]
    if compile_too:
        with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as cache:
            figures["first_step_cold_s"] = _first_step_s(game, cache)
            figures["first_step_cached_s"] = _first_step_s(game, cache)
    return figures


def _steps_per_cpu_s(game: str, matches: int, budget_s: float) -> float:
    """Median rate of several runs, each of about `budget_s` CPU-seconds."""
    record = load(game)
    assert record.world is not None
    world = record.world(matches)
    keys = _random_controls(world)
    seeds = np.arange(matches, dtype=np.int64)
    world.reset(seeds)
    _run(world, keys, seeds, 200)
    began = time.process_time()
    _run(world, keys, seeds, 200)
    steps = max(200, int(200 * budget_s / max(1e-6, time.process_time() - began)))
    rates = []
    for _ in range(REPEATS):
        began = time.process_time()
        _run(world, keys, seeds, steps)
        rates.append(steps * matches / (time.process_time() - began))
    return statistics.median(rates)


def _run(world: World, keys: list[Columns], seeds: np.ndarray[Any, Any], steps: int) -> None:
    """Step all matches; a finished match starts again from a seed that it has not had."""
    for step in range(steps):
        _, _, done = world.step(keys[step % len(keys)])
        if done.any():
            seeds[done] += world.matches
            world.reset(seeds, done)


def _random_controls(world: World) -> list[Columns]:
    """Random keys that are held for a while, different in each match."""
    draws = np.random.default_rng(0)
    keys: list[Columns] = []
    now: Columns = {}
    for _ in range(KEPT_CONTROLS):
        for key in world.schema.control_keys:
            shape = (world.matches, world.schema.columns[key].slots)
            drawn, change = draws.random(shape) < 0.5, draws.random(shape) < CHANGING
            now[key] = np.where(change, drawn, now.get(key, drawn))
        keys.append(dict(now))
    return keys


def _first_step_s(game: str, cache: str) -> float:
    """CPU-seconds of a new process from having imported NumPy to the first step.

    Compiled code is kept in the folder `cache`.
    """
    code = (
        "import json, os, sys, time\n"
        "os.environ['NUMBA_CACHE_DIR'] = sys.argv[2]\n"
        "import numpy as np\n"
        "began = time.process_time()\n"
        "from shadowbox.games import load\n"
        "world = load(sys.argv[1]).world(1)\n"
        "columns, keys = world.schema.columns, world.schema.control_keys\n"
        "world.reset(np.zeros(1, np.int64))\n"
        "world.step({key: np.zeros((1, columns[key].slots), bool) for key in keys})\n"
        "print(json.dumps(time.process_time() - began))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, game, cache], capture_output=True, encoding="utf-8", check=True
    )
    return float(json.loads(answer.stdout))
