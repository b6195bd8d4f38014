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
    """The figures that an evaluation of a kind of checkpoints may have, without eval/."""
    return {**GATE, **kinds.checkpoint_kind(kind).figures}


def eval_info(metric: str, kind: str = "policy") -> MetricInfo | None:
    """Facts about a figure such as eval/win_rate.based, eval/nll/copy_last; None for an unknown one."""
    return find_info(metric.removeprefix("eval/"), eval_figures(kind))


def evaluate_run(run: Path, store: Store, game: Game, card: Card, seed: int) -> dict[str, float]:
    """Let the best checkpoint of a seed's run play, as the card's `eval` says: metric -> value, `.low`, `.high`, baselines."""
    from shadowbox.evaluate.calibrate import calibrate_checkpoint
    from shadowbox.evaluate.policy import evaluate
    from shadowbox.evaluate.setup import EvalConfig

    assert card.eval is not None
    wish = card.eval
    settings = EvalConfig(
        matches=wish.matches,
        against=wish.against or None,
        split=dataset.split_of(card.data, seed),
        temperature=wish.temperature,
        threshold=wish.threshold,
        most=wish.episodes,
    )
    if wish.calibrate:
        calibrate_checkpoint(f"{run}@best", store.path, settings, game=game)
    return evaluate(f"{run}@best", store.path, settings, game=game).metrics()
