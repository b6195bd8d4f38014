"""Estimate of a card's time and cost: a timed probe of the real loop, corrected by earlier runs.

The probe trains some steps of the card's own task in a temporary folder. Each finished run keeps
the ratio of its time and its estimate; quantiles of these ratios make the optimistic, expected and
pessimistic figures. Without enough runs, fixed factors are used.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile, data_line
from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.experiment.checks import inputs
from shadowbox.experiment.prices import PriceTable
from shadowbox.experiment.settings import RunSettings
from shadowbox.learners.registry import learner_spec
from shadowbox.train import runs as prior
from shadowbox.train.config import TrainConfig

BLOCK = "estimate"
WARM, TIMED = 10, 40  # steps of the probe: the first ones are slower, and are not counted
# actual over estimated without earlier runs: optimistic, expected, pessimistic
FACTORS = (0.85, 1.0, 1.5)
RECORDS_NEEDED = 3


def estimate(
    card: Card, game: Game, settings: RunSettings, store: Store | None, table: PriceTable
) -> dict[str, Any]:
    """Seconds and dollars of all seeds of a card (one setting), and their basis."""
    probed = probe(card, game, settings, store)
    per_run = _seconds(probed)
    ratios = past_ratios(prior.RUNS)
    learned = len(ratios) >= RECORDS_NEEDED
    factors = tuple(np.quantile(ratios, [0.1, 0.5, 0.9]).tolist()) if learned else FACTORS
    runs = len(card.seeds)
    found: dict[str, Any] = {
        "probe": probed,
        "runs": runs,
        "per_run_s": round(per_run, 3),
        "records": len(ratios),
    }
    for name, factor in zip(("optimistic", "expected", "pessimistic"), factors, strict=True):
        total = per_run * factor * runs
        found |= {
            f"{name}_s": round(total, 3),
            f"{name}_usd": round(table.cost(card.budget.machine, total), 4),
        }
    return found | {
        "machine": machine(),
        "priced_as": card.budget.machine,
        "prices": table.date,
        "factors": list(factors),
    }


def probe(card: Card, game: Game, settings: RunSettings, store: Store | None) -> dict[str, float]:
    """Time some steps and one validation of the card's own task."""
    from shadowbox.train.log import METRICS, read_lines
    from shadowbox.train.loop import train

    chosen = learner_spec(card.learner)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "probe"
        began = time.perf_counter()
        given = inputs.inputs_of(card, game, settings, store, seed=card.seeds[0], run=run)
        task = chosen.prepare(given)
        prepared = time.perf_counter() - began
        per_epoch = inputs.batches_per_epoch(chosen, given)
        total = settings.config.steps or (settings.config.epochs or 0) * (per_epoch or 0)
        result = train(task, run, _short(settings.config, min(WARM + TIMED, total)))
        lines = read_lines(run / METRICS)
    steps = [
        _of_steps(line) / WARM
        for line in lines
        if line["kind"] == "train" and not line["step"] % WARM
    ]
    passes = sum(line["kind"] == "val" for line in lines) or 1  # each is followed by a checkpoint
    every, saved = (
        given_every or per_epoch or total
        for given_every in (settings.config.validate_every, settings.config.save_every)
    )
    whole = result.table["backward"] / max(1, result.step)
    return {
        "prepare_s": round(prepared, 4),
        "step_s": round(float(np.median(steps[1:] or steps)) if steps else whole, 6),
        "validate_s": round(result.table["validate"] / passes, 4),
        "save_s": round(result.table["save"] / passes, 4),
        "steps": total,
        "validations": -(-total // every),
        "saves": 1 + -(-total // saved),
    }


def _short(config: TrainConfig, steps: int) -> TrainConfig:
    """Settings of a run with a few steps and nothing in between."""
    return dataclasses.replace(
        config,
        steps=steps,
        epochs=None,
        log_every=WARM,
        patience=0,
        validate_every=0,
        save_every=0,
        keep_every=0,
        sinks=(),
    )


def past_ratios(folder: Path) -> list[float]:
    """Actual over estimated seconds of finished runs below a folder, on the same kind of machine."""
    found = []
    for run in prior.runs_in(folder):
        said = run.facts.get("estimate") or {}
        if (
            said.get("machine") == machine()
            and run.facts.get("status") == "finished"
            and said.get("per_run_s")
        ):
            found.append(float(run.facts["cost"]["wall_s"]) / float(said["per_run_s"]))
    return found


def stored_estimate(file: CardFile) -> dict[str, Any] | None:
    """Estimate in a card, if it belongs to the present contract."""
    try:
        data = file.data(BLOCK)
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("contract") != file.hash:
        return None
    names = ("per_run_s", "optimistic_s", "expected_s", "pessimistic_s")
    return data if all(isinstance(data.get(name), int | float) for name in names) else None


def with_estimate(file: CardFile, found: dict[str, Any]) -> CardFile:
    """The card with this estimate in its block."""
    rows = [
        f"| {name} | {found[f'{name}_s']:,.1f} | {found[f'{name}_usd']:,.2f} |"
        for name in ("optimistic", "expected", "pessimistic")
    ]
    runs = "1 run" if found["runs"] == 1 else f"{found['runs']} runs"
    basis = (
        f"{found['records']} runs on this machine"
        if found["records"] >= RECORDS_NEEDED
        else "fixed factors, for want of records"
    )
    lines = [
        "| | seconds | US dollars |",
        "|---|---|---|",
        *rows,
        "",
        f"{runs} on `{found['machine']}`, priced as {found['priced_as']} ({found['prices']}); "
        f"spread from {basis}.",
        "",
        data_line({**found, "contract": file.hash}),
    ]
    return file.with_block(BLOCK, "\n".join(lines))


def machine() -> str:
    """Kind of machine: processor name and count."""
    return f"{_processor()} x{os.cpu_count()}"


def _of_steps(line: dict[str, Any]) -> float:
    """Seconds of a log line that belong to its training steps."""
    apart = ("time/validate", "time/save")
    return float(
        sum(value for name, value in line.items() if name.startswith("time/") and name not in apart)
    )


def _seconds(probed: dict[str, float]) -> float:
    parts = (("step_s", "steps"), ("validate_s", "validations"), ("save_s", "saves"))
    return probed["prepare_s"] + sum(probed[length] * probed[count] for length, count in parts)


def _processor() -> str:
    return re.sub(r"[^A-Za-z0-9 ().@-]", "", system.processor())[:60] or platform.machine()
