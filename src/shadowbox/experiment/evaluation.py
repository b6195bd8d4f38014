"""Figures of an evaluation, named eval/..., for the targets of a card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shadowbox.cards.card import Card
from shadowbox.core.game import Game
from shadowbox.core.metrics import SHARE, MetricInfo, find_info
from shadowbox.data.store import Store
from shadowbox.experiment import dataset
from shadowbox.model import kinds

GATE = {"gate": MetricInfo("high", *SHARE)}  # of every kind


def eval_figures(kind: str) -> Mapping[str, MetricInfo]:
    """Names of the figures that an evaluation of this kind may have, without eval/."""
    return {**GATE, **kinds.checkpoint_kind(kind).figures}


def eval_info(metric: str, kind: str = "policy") -> MetricInfo | None:
    """Facts about a figure such as eval/win_rate.based, eval/nll/copy_last.

    None for an unknown one.
    """
    return find_info(metric.removeprefix("eval/"), eval_figures(kind))


def evaluate_run(
    run: Path, store: Store | None, game: Game, card: Card, seed: int
) -> dict[str, float]:
    """Evaluate the best checkpoint of a seed's run (the latest without validation), as `eval` says.

    Returns values by metric, with `.low`, `.high` and baselines.
    """
    from shadowbox.evaluate.calibrate import calibrate_checkpoint
    from shadowbox.evaluate.dispatch import evaluate_checkpoint
    from shadowbox.evaluate.setup import EvalConfig

    assert card.eval is not None
    asked = card.eval
    config = EvalConfig(
        matches=asked.matches,
        against=asked.against or None,
        split=dataset.split_of(card.data, seed) if card.data else None,
        temperature=asked.temperature,
        threshold=asked.threshold,
        most=asked.episodes,
    )
    path = store.path if store is not None else None
    if asked.calibrate and path is not None:
        calibrate_checkpoint(str(run), path, config, game=game)
    return evaluate_checkpoint(str(run), path, config, game=game).report().metrics()
