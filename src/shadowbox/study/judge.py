"""Metrics of a card's targets that only playing shows, named eval/..."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.errors import CardError
from shadowbox.study.card import Card

METRICS: tuple[str, ...] = ()


def judge(run: Path, store: Store, game: Game, card: Card) -> dict[str, dict[str, Any]]:
    """Metric -> {value, low, high, baselines}."""
    raise CardError(f"card {card.id}: nothing judges policies by playing yet")
