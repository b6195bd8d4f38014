"""Estimate of a card's time and cost: a timed probe of the real loop, corrected by earlier runs.

The probe trains some steps of the card's own task in a temporary folder. Another machine than this
one is taken from the table of throughput. Each finished run keeps
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile, data_line
from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.errors import CardError, interrupted
from shadowbox.experiment import sweep
from shadowbox.experiment.checks import inputs
from shadowbox.experiment.prices import PriceTable
from shadowbox.experiment.settings import RunSettings, resolve_settings
from shadowbox.experiment.sweeps import halving
from shadowbox.experiment.throughput import find_throughput
from shadowbox.learners.registry import Inputs, learner_spec
from shadowbox.train import runs as prior
from shadowbox.train.config import TrainConfig

BLOCK = "estimate"
# steps of a probe, and those of a line; the first line is slower, and is not counted
PROBES = ((4, 1), (50, 10))
LONG = 8.0  # seconds of a probe after which no longer one follows
# actual over estimated without earlier runs: optimistic, expected, pessimistic
FACTORS = (0.85, 1.0, 1.5)
# of a speed that somebody stated: the older system's own calibration of its stated speeds
STATED_FACTORS = (1.0, 3.0, 5.0)
CASES = ("optimistic", "expected", "pessimistic")
RECORDS_NEEDED = 3
MOST_PROBED = 4  # settings of a sweep
LOCAL = "local"  # this machine
EARLIER = "the machine of its results"


def estimate(
    card: Card, game: Game, settings: RunSettings, store: Store | None, table: PriceTable
) -> dict[str, Any]:
    """Seconds and dollars of all settings and seeds of a card, and their basis.

    On this machine some steps are timed; another machine is taken from the table of throughput,
    which needs no data.
    """
    local = card.budget.machine == LOCAL
    basis = (
        _timed(card, game, settings, store) if local else _tabulated(card, game, settings, store)
    )
    ratios = past_ratios(prior.RUNS) if local else []
    learned = len(ratios) >= RECORDS_NEEDED
    stated = basis.get("throughput", {}).get("basis") in ("stated", "reckoned")
    factors = tuple(np.quantile(ratios, [0.1, 0.5, 0.9]).tolist()) if learned else FACTORS
    factors = STATED_FACTORS if stated else factors
    per_run, count = basis.pop("per_run_s"), basis.pop("settings")
    halved = card.sweep is not None and card.sweep.method == halving.METHOD
    runs = len(card.seeds) * (halving.whole_runs(card, count) if halved else count)
    judging = _judging_s(card) if local else 0.0
    found: dict[str, Any] = {
        **basis,
        "runs": len(card.seeds) * count,
        **({"whole_runs": round(runs, 3)} if halved else {}),
        "per_run_s": round(per_run + judging, 3),
        "judging_s": round(judging, 3),
        "records": len(ratios),
    }
    for name, factor in zip(CASES, factors, strict=True):
        total = (per_run + judging) * factor * runs
        found |= {
            f"{name}_s": round(total, 3),
            f"{name}_usd": round(table.cost(card.budget.machine, total), 4),
        }
    return found | {
        "machine": machine() if local else card.budget.machine,
        "priced_as": card.budget.machine,
        "prices": table.date,
        "factors": list(factors),
    }


def is_of_here(card: Card, found: Mapping[str, Any]) -> bool:
    """True for an estimate that was made on this machine, or for the machine that is priced."""
    return card.budget.machine != LOCAL or found.get("machine") == machine()


def estimate_again(card: Card, known: Mapping[str, Any], table: PriceTable) -> dict[str, Any]:
    """Seconds and dollars of a card whose data is not here, from its own results (`known`)."""
    runs = len(card.seeds) * len(_settings_of(card))
    per_run = float(known["cost"]["wall_s"]) / runs
    steps = card.settings.get("train.steps")
    found: dict[str, Any] = {"runs": runs, "per_run_s": round(per_run, 3), "records": 1}
    found |= {"step_s": round(per_run / steps, 6)} if steps and card.sweep is None else {}
    for name, factor in zip(CASES, FACTORS, strict=True):
        seconds = per_run * runs * factor
        found |= {f"{name}_s": round(seconds, 3)}
        found |= {f"{name}_usd": round(table.cost(card.budget.machine, seconds), 4)}
    return found | {
        "machine": EARLIER,
        "priced_as": card.budget.machine,
        "prices": table.date,
        "factors": list(FACTORS),
        "results_of": str(known.get("when", "")),
    }


def _timed(card: Card, game: Game, settings: RunSettings, store: Store | None) -> dict[str, Any]:
    """Seconds of a run from a probe; of a sweep the mean of some settings, evenly chosen."""
    cards = _settings_of(card)
    chosen = cards[:: -(-len(cards) // MOST_PROBED)]
    probes = [
        probe(each, game, resolve_settings(each, game) if card.sweep else settings, store)
        for each in chosen
    ]
    return {
        "probe": probes[0],
        "step_s": probes[0]["step_s"],
        "per_run_s": float(np.mean([_seconds(each) for each in probes])),
        "settings": len(cards),
        **({"settings_probed": len(chosen)} if card.sweep else {}),
    }


def _tabulated(
    card: Card, game: Game, settings: RunSettings, store: Store | None
) -> dict[str, Any]:
    """Seconds of a run from its number of examples and the table of throughput."""
    seconds, examples, found = [], [], []
    cards = _settings_of(card)
    for each in cards:
        settled = resolve_settings(each, game) if card.sweep else settings
        row = find_throughput(each.preset, card.budget.machine, card.id)
        given = inputs.inputs_of(each, game, settled, store, seed=card.seeds[0])
        examples.append(examples_of_run(each, given))
        seconds.append(row.load_s + examples[-1] / row.per_s)
        found.append((row, settled.config.batch * learner_spec(each.learner).examples(given)))
    row, per_step = found[0]
    return {
        "throughput": row.to_json(),
        "examples": int(np.mean(examples)),
        "step_s": round(per_step / row.per_s, 6),
        "per_run_s": float(np.mean(seconds)),
        "settings": len(cards),
    }


def examples_of_run(card: Card, given: Inputs) -> float:
    """Examples that a run trains on; without the data those that the card states."""
    chosen, config = learner_spec(card.learner), given.config
    per_step = config.batch * chosen.examples(given)
    if config.steps:
        return config.steps * per_step
    epochs = config.epochs or 0
    if given.store is not None or "store" not in chosen.needs:
        return epochs * (inputs.batches_per_epoch(chosen, given) or 0) * per_step
    stated = card.facts.get("train_examples") or card.facts.get("train_frames")
    if not stated:
        raise CardError(
            f"the length of {card.id} follows from its data, which is not here: state its "
            "train_examples under `facts`, or give its length as train.steps"
        )
    return epochs * stated


def _settings_of(card: Card) -> list[Card]:
    """The card of each setting of its sweep; without one the card itself."""
    if card.sweep is None:
        return [card]
    return [sweep.apply_setting(card, changes) for changes in sweep.sweep_settings(card)]


def _judging_s(card: Card) -> float:
    """Seconds of one evaluation, from earlier runs on this machine with an equal `eval`; else 0."""
    asked = card.eval.asked if card.eval else None
    known = [
        float(run.facts["cost"]["judging_s"])
        for run in prior.runs_in(prior.RUNS)
        if asked is not None
        and run.facts.get("judged") == asked
        and run.facts.get("game") == card.game
        and (run.facts.get("estimate") or {}).get("machine") == machine()
        and "judging_s" in run.facts.get("cost", {})
    ]
    return float(np.median(known)) if known else 0.0


def probe(card: Card, game: Game, settings: RunSettings, store: Store | None) -> dict[str, float]:
    """Time some steps and one validation of the card's own task.

    The fewest steps that take long enough to be timed: a step may be a batch or a rollout of minutes.
    """
    found: dict[str, float] = {}
    for steps, every in PROBES:
        began = time.perf_counter()
        found = _timed_steps(card, game, settings, store, steps, every)
        if time.perf_counter() - began - found["prepare_s"] > LONG or steps >= found["steps"]:
            break
    return found


def _timed_steps(
    card: Card, game: Game, settings: RunSettings, store: Store | None, many: int, every: int
) -> dict[str, float]:
    """Times of `many` steps, in lines of `every`, and of one validation."""
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
        result = train(task, run, _short(settings.config, min(many, total), every))
        if not result.whole:  # a run that is stopped keeps its signal to itself
            raise interrupted("stopped while steps were timed for an estimate; nothing is lost")
        lines = read_lines(run / METRICS)
    steps = [
        _of_steps(line) / every
        for line in lines
        if line["kind"] == "train" and not line["step"] % every
    ]
    passes = sum(line["kind"] == "val" for line in lines) or 1  # each is followed by a checkpoint
    validated, saved = (
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
        "validations": -(-total // validated),
        "saves": 1 + -(-total // saved),
    }


def _short(config: TrainConfig, steps: int, every: int) -> TrainConfig:
    """Settings of a run with a few steps and nothing in between."""
    return dataclasses.replace(
        config,
        steps=steps,
        epochs=None,
        log_every=every,
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
            cost = run.facts["cost"]
            # an estimate that knew no time of judging is compared with the training alone
            apart = 0.0 if said.get("judging_s") else float(cost.get("judging_s", 0.0))
            found.append((float(cost["wall_s"]) - apart) / float(said["per_run_s"]))
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
        f"| {name} | {found[f'{name}_s']:,.1f} | {found[f'{name}_usd']:,.2f} |" for name in CASES
    ]
    runs = "1 run" if found["runs"] == 1 else f"{found['runs']} runs"
    row = found.get("throughput")
    basis = (
        f"fixed factors around its results of {found['results_of']}"
        if "results_of" in found
        else f"fixed factors, for the speed is {row['basis']}"
        if row
        else f"{found['records']} runs on this machine"
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
        *(_row_in_words(row, found["examples"]) if row else []),
        "",
        data_line({**found, "contract": file.hash}),
    ]
    return file.with_block(BLOCK, "\n".join(lines))


def _row_in_words(row: Mapping[str, Any], examples: int) -> list[str]:
    source = str(row["source"]).replace("<", "&lt;")
    return [
        f"{examples:,} examples a run, at {row['examples_per_s']:,.0f} a second "
        f"({row['basis']} on {row['date']}: {source})."
    ]


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
