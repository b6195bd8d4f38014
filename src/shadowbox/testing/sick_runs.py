"""Made-up logs of training runs, healthy and sick on purpose, to check the doctor with.

write_run(folder, healthy_run(seed=1))
write_run(folder, sick_run("entropy_collapse"))
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.files import write_whole
from shadowbox.evaluate.doctor import CHECKS, diagnose
from shadowbox.train import log, tables

UPDATES, MATCHES = 60, 2000
HEALTHY = "healthy"
KEYS = ("left", "right", "jump", "attack")
Rows = list[dict[str, Any]]


class _MadeUpRun(NamedTuple):
    """Files of a run as plain data."""

    facts: dict[str, Any]
    lines: Rows
    events: Rows
    tables: dict[str, Rows]


def healthy_run(seed: int = 0) -> _MadeUpRun:
    """A run that learns: numbers around those of real ones, with noise from the seed."""
    random = np.random.default_rng(seed)
    at = np.arange(1, UPDATES + 1)
    facts = {
        "format": log.FORMAT, "version": log.VERSION, "step": UPDATES, "total": UPDATES,
        "settings": {
            name: {"value": value}
            for name, value in (("learner.n_steps", 64), ("model.repeat", 4),
                                ("learner.target_kl", 0.03), ("learner.normalize_returns", True))
        },
        "cost": {"wall_s": 600.0, "memory_bytes": 1 << 30}, "machine": {"memory_bytes": 1 << 34},
    }  # fmt: skip
    lines = [
        {"kind": "train", "step": int(step), "epoch": 0, "wall": 10.0 * step, "examples_per_s": 25.0,
         "time/data": 4.0, "time/forward": 2.0, "time/backward": 3.0, "time/optimizer": 0.5,
         "time/log": 0.1, "time/save": 0.1, "time/wait": 0.1}
        for step in at
    ]  # fmt: skip
    updates = [
        {"step": int(step), "loss": 0.1 * random.normal(), "norm": random.uniform(0.2, 2),
         "approx_kl": random.uniform(0.002, 0.03), "clip_fraction": random.uniform(0.05, 0.25),
         "explained_variance": min(0.1 + step / 40, 0.8) + 0.05 * random.normal()}
        for step in at
    ]  # fmt: skip
    rollouts = [
        {"step": int(step), "input_largest": random.uniform(2, 6), "input_column": "player/x",
         "input_outside": 0.0, "input_constant": 0.2, "entropy_share": 0.9 - 0.5 * step / UPDATES,
         **{f"press.{key}": random.uniform(0.05, 0.6) for key in KEYS}}
        for step in at[4::5]
    ]  # fmt: skip
    strategy = [
        {"step": int(step), "between_opponents": random.uniform(0.2, 0.5), "between_chance": 0.06,
         "drift": random.uniform(0.3, 0.9), "attention_entropy": random.uniform(0.5, 0.8)}
        for step in at[4::5]
    ]  # fmt: skip
    found = {
        tables.MONITOR: _matches(random), tables.UPDATES: updates, tables.ROLLOUTS: rollouts,
        tables.STRATEGY: strategy,
    }  # fmt: skip
    return _MadeUpRun(facts, lines, [], found)


def sick_run(check: str, seed: int = 0) -> _MadeUpRun:
    """A healthy run with the problem that a check looks for."""
    run = healthy_run(seed)
    SICKNESSES[check](run)
    return run


def write_run(folder: Path, run: _MadeUpRun) -> None:
    """Write the files of a run into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    log.write_facts(folder, run.facts)
    for name, rows in ((log.METRICS, run.lines), (log.EVENTS, run.events)):
        write_whole(folder / name, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    for name, rows in run.tables.items():
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(folder / name, text.getvalue().encode())


def confusion(folder: Path) -> dict[str, list[str]]:
    """Checks that find a problem in each sick run, by the check that it was made for.

    `healthy`: those that find one in any of five healthy runs.
    """
    runs = [(check.name, sick_run(check.name)) for check in CHECKS]
    runs += [(HEALTHY, healthy_run(seed)) for seed in range(5)]
    found: dict[str, list[str]] = {name: [] for name, _ in runs}
    for at, (name, run) in enumerate(runs):
        write_run(folder / str(at), run)
        found[name] += [each.check.name for each in diagnose(folder / str(at)).sick]
    return found


def _matches(random: np.random.Generator) -> Rows:
    """Matches against itself, its past and two bots, with more and more wins."""
    rows = []
    for at in range(MATCHES):
        name, step = ("self", "league", "based", "constant")[at % 4], 1 + at * UPDATES // MATCHES
        done = at / MATCHES
        chance = {"self": 0.5, "league": 0.55}.get(name, 0.2 + 0.65 * done)
        won = int(random.random() < chance)
        taken = f"step-{5 * int(random.integers((step + 4) // 5)):08d}"
        snapshot = {"self": "now", "league": taken}.get(name, "")
        rows.append(
            {"r": (2 * won - 1) * 100 + random.normal() * 20, "l": 900, "t": at, "step": step,
             "episode": at + 1, "opponent": name, "snapshot": snapshot, "seat": at // 4 % 2,
             "won": won, "draw": 0}
        )  # fmt: skip
    return rows


# ---- sicknesses ----------------------------------------------------------------------------------


def _every(table: str, **values: Any) -> Callable[[_MadeUpRun], None]:
    """Sets columns of all rows of a table."""

    def change(run: _MadeUpRun) -> None:
        for row in run.tables[table]:
            row.update(values)

    return change


def _flat(run: _MadeUpRun) -> None:
    random = np.random.default_rng(1)
    for row in run.tables[tables.MONITOR]:
        if not row["snapshot"]:
            row["won"], row["r"] = int(random.random() < 0.1), random.normal() * 20 - 80


def _unpaid(run: _MadeUpRun) -> None:
    for row in run.tables[tables.MONITOR]:
        row["r"] = 0.0


def _tiny(run: _MadeUpRun) -> None:
    run.facts["settings"]["learner.normalize_returns"]["value"] = False
    for row in run.tables[tables.MONITOR]:
        row["r"] *= 1e-5


def _overfit(run: _MadeUpRun) -> None:
    random = np.random.default_rng(1)
    for row in run.tables[tables.MONITOR]:
        late = row["episode"] > MATCHES / 2
        chance = 0.95 if row["snapshot"].startswith("step-") else 0.3 + 0.1 * late
        if row["snapshot"] != "now":
            row["won"] = int(random.random() < chance)
            row["r"] = (2 * row["won"] - 1) * 100.0 + 60 * late


def _forgets(run: _MadeUpRun) -> None:
    for row in run.tables[tables.MONITOR]:
        if row["snapshot"].startswith("step-"):
            old = row["episode"] % 12 == 2  # a third of them
            row["snapshot"] = "step-00000001" if old else f"step-{row['episode'] % 5 + 40:08d}"
            row["won"] = int(not old)


def _swings(run: _MadeUpRun) -> None:
    for row in run.tables[tables.MONITOR]:
        if not row["snapshot"]:
            row["won"] = int(row["episode"] // 200 % 2)


def _leaves_out(run: _MadeUpRun) -> None:
    run.events.append({"event": "skip", "step": 9, "wall": 9.0, "text": "the step is left out"})


def _fills_memory(run: _MadeUpRun) -> None:
    run.facts["cost"]["memory_bytes"] = run.facts["machine"]["memory_bytes"] * 0.95


def _saves_often(run: _MadeUpRun) -> None:
    for line in run.lines:
        line["time/save"] = 20.0


SICKNESSES: dict[str, Callable[[_MadeUpRun], None]] = {
    "flat_reward": _flat,
    "no_reward": _unpaid,
    "reward_scale": _tiny,
    "input_range": _every(tables.ROLLOUTS, input_largest=700.0, input_outside=0.02),
    "dead_inputs": _every(tables.ROLLOUTS, input_constant=0.97),
    "dead_actions": _every(tables.ROLLOUTS, **{f"press.{key}": 0.0 for key in KEYS[1:]}),
    "random_policy": _every(tables.ROLLOUTS, entropy_share=0.995),
    "entropy_collapse": _every(tables.ROLLOUTS, entropy_share=0.02),
    "pool_overfit": _overfit,
    "forgetting": _forgets,
    "oscillation": _swings,
    "kl_spikes": _every(tables.UPDATES, approx_kl=0.4),
    "clipping": _every(tables.UPDATES, clip_fraction=0.7),
    "value_fit": _every(tables.UPDATES, explained_variance=-0.2),
    "not_finite": _leaves_out,
    "latent_ignores_opponent": _every(tables.STRATEGY, between_opponents=0.065),
    "uniform_attention": _every(tables.STRATEGY, attention_entropy=0.999),
    "memory": _fills_memory,
    "slow": _saves_often,
}
