"""What only playing shows, for the targets of a card: the figures of an evaluation, named eval/..."""

from __future__ import annotations

import math
from pathlib import Path

from shadowbox.cards.card import Card
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.evaluate.metrics import ANY, METRICS, SHARE
from shadowbox.experiment import dataset

RATIO = (0.0, math.inf)
WHOLE = {"gate": SHARE} | dict.fromkeys(
    ("press_ratio_min", "press_ratio_max", "onset_ratio_min", "onset_ratio_max"), RATIO
)
NAMES = {
    f"eval/{name}": limits
    for name, limits in (WHOLE | {metric.name: metric.limits for metric in METRICS}).items()
}


def known_metrics(metric: str) -> bool:
    """Whether an evaluation may find such a figure: eval/win_rate.based, eval/onset_f1, eval/nll/copy_last."""
    return any(_is(metric, name) for name in NAMES)


def metric_limits(metric: str) -> tuple[float, float]:
    """What a figure can be at least and at most, as far as that is known."""
    return next((found for name, found in NAMES.items() if _is(metric, name)), ANY)


def _is(metric: str, name: str) -> bool:
    return metric == name or metric.startswith((f"{name}.", f"{name}/"))


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
