"""Figures of an evaluation, named eval/..., for the targets of a card."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.core.evaluation import EvaluationReport
from shadowbox.core.game import Game
from shadowbox.core.metrics import SHARE, MetricInfo, find_info, metrics_in
from shadowbox.data.store import Store
from shadowbox.errors import CardError
from shadowbox.experiment import dataset
from shadowbox.model import kinds
from shadowbox.train import log
from shadowbox.train.observer import CALLED_OFF

GATE = {"gate": MetricInfo("high", *SHARE)}  # of every kind


def eval_figures(kind: str, recorded: bool = True) -> Mapping[str, MetricInfo]:
    """Names of the figures that an evaluation of this kind may have, without eval/.

    `recorded`: on recordings; without them a policy is judged by matches alone.
    """
    alone = kind == "policy" and not recorded
    return {**GATE, **(metrics_in(("matches",)) if alone else kinds.checkpoint_kind(kind).figures)}


def eval_info(metric: str, kind: str = "policy", recorded: bool = True) -> MetricInfo | None:
    """Facts about a figure such as eval/win_rate.based, eval/nll/copy_last.

    None for an unknown one.
    """
    return find_info(metric.removeprefix("eval/"), eval_figures(kind, recorded))


def evaluate_run(
    run: Path,
    store: Store | None,
    game: Game,
    card: Card,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> EvaluationReport:
    """Evaluate the best checkpoint of a seed's run (the latest without validation), as `eval` says.

    `progress` may raise an error to end the evaluation.
    """
    from shadowbox.evaluate.calibrate import calibrate_checkpoint
    from shadowbox.evaluate.dispatch import evaluate_checkpoint
    from shadowbox.evaluate.setup import EvalConfig
    from shadowbox.learners.augmentation.bodies import view_changes

    assert card.eval is not None
    asked = card.eval
    config = EvalConfig(
        matches=asked.matches if "matches" in asked.model_fields_set else None,
        against=asked.against or None,
        split=dataset.split_of(card.data, seed) if card.data else None,
        temperature=asked.temperature,
        threshold=asked.threshold,
        most=asked.episodes,
        side=asked.side,
        opponents=tuple(asked.opponents),
        delays=tuple(asked.delays),
        world=asked.world or card.world or "",
        **{name: value for name in ("starts", "frames") if (value := getattr(asked, name))},
    )
    path = store.path if store is not None else None
    if asked.calibrate and path is not None:
        calibrate_checkpoint(
            *(str(run), path, config),
            fit_on="val",
            game=game,
            changes=view_changes,
            progress=progress,
        )
    if asked.data is not None and (other := dataset.judged_on(card)) is not None:
        path = dataset.get_store(other, game).path
        config = replace(config, split=dataset.split_of(asked.data, seed))
    return evaluate_checkpoint(str(run), path, config, game=game, progress=progress).report()


class _BudgetSpentError(CardError):
    """Raised within an evaluation when the card's budget is spent."""


def judge_run(
    run: Path,
    store: Store | None,
    game: Game,
    card: Card,
    seed: int,
    over_budget: Callable[[float], str],
) -> bool:
    """Evaluate a run, and write its figures and its cost into run.json.

    `over_budget` says why the budget is spent after some seconds. Then the evaluation ends, the run
    is called off, and the result is False.
    """
    facts = log.read_facts(run)
    wall, cpu = time.monotonic(), time.process_time()

    def progress(what: str, done: int, total: int) -> None:
        if reason := over_budget(time.monotonic() - wall):
            raise _BudgetSpentError(f"{reason}, while it is judged")

    assert card.eval is not None
    judged: dict[str, Any]
    try:
        progress("", 0, 0)
        report = evaluate_run(run, store, game, card, seed, progress)
        judged = {"eval": report.metrics(), "judged": card.eval.asked}
        if how := report.context.get("one_frame_ahead"):
            judged["evaluated"] = how
    except _BudgetSpentError as error:
        judged = {"status": CALLED_OFF, "reason": str(error)}
    seconds = time.monotonic() - wall
    added = {"wall_s": seconds, "cpu_s": time.process_time() - cpu, "judging_s": seconds}
    cost = dict(facts.get("cost") or {})
    cost |= {name: round(cost.get(name, 0.0) + value, 3) for name, value in added.items()}
    log.write_facts(run, facts | judged | {"cost": cost})
    return "eval" in judged
