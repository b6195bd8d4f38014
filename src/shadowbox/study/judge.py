"""What only playing shows, for the targets of a card: the figures of an evaluation, named eval/..."""

from __future__ import annotations

from pathlib import Path

from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.study.card import Card
from shadowbox.study.metrics import METRICS

WHOLE = ("gate", "press_ratio_min", "press_ratio_max", "onset_ratio_min", "onset_ratio_max")  # of all used controls together
NAMES = tuple(f"eval/{name}" for name in (*WHOLE, *(metric.name for metric in METRICS)))


def known(metric: str) -> bool:
    """Whether an evaluation may find such a figure: eval/win_rate.based, eval/onset_f1, eval/nll/copy_last."""
    return any(metric == name or (metric.startswith((f"{name}.", f"{name}/"))) for name in NAMES)


def judge(run: Path, store: Store, game: Game, card: Card) -> dict[str, float]:
    """Let the best checkpoint of a run play, as the card's `eval` says: metric -> value, its `.low` and `.high`, baselines."""
    from shadowbox.study.evaluate import Settings, evaluate

    assert card.eval is not None
    wish = card.eval
    settings = Settings(
        matches=wish.matches,
        against=wish.against or None,
        temperature=wish.temperature,
        threshold=wish.threshold,
        most=wish.episodes,
    )
    return evaluate(f"{run}@best", store.path, settings, game=game).metrics()
