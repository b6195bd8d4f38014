"""Sweeps: several settings of one card from a list, a grid, or random draws."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from shadowbox.cards.card import Card
from shadowbox.cards.sections import MOST_SETTINGS, EvalSection
from shadowbox.core.game import Game
from shadowbox.experiment import settings
from shadowbox.experiment.sweeps import halving
from shadowbox.learners.registry import learner_spec

LONGEST_NAME = 100
OWN = ("preset", "learner", "world", "opponents", "reward", "teacher")  # keys that it may set


def sweep_problems(card: Card, game: Game) -> Iterator[tuple[str, str]]:
    """Part of the sweep and message of each problem."""
    assert card.sweep is not None
    if sum(map(bool, (card.sweep.cases, card.sweep.grid, card.sweep.random))) != 1:
        yield "", "say one of cases, grid and random"
        return
    if card.sweep.method == halving.METHOD:
        yield from (("method", message) for message in halving.problems(card))
    if card.sweep.random and not card.sweep.tries:
        yield "tries", "a random sweep needs a number of tries"
        return
    for key, wish in card.sweep.random.items():
        if not _can_be_drawn(wish):
            yield (
                "random",
                f"{key} is {wish!r:.80}: a list, or {{low: NUMBER, high: NUMBER, log: true}} is needed",
            )
            return
    for key, values in card.sweep.grid.items():
        if not values:
            yield "grid", f"{key} has no values"
            return
    count = math.prod(map(len, card.sweep.grid.values())) if card.sweep.grid else card.sweep.tries
    part = next(part for part in ("cases", "grid", "random") if getattr(card.sweep, part))
    if count > MOST_SETTINGS:
        yield "grid", f"these are {count:,} settings, at most {MOST_SETTINGS:,} are run"
        return
    said: set[tuple[str, str]] = set()
    names = [setting_name(changes) for changes in sweep_settings(card)]
    if len(set(names)) < len(names):
        yield part, "two settings have the same name, and would be the same run"
    for changes in sweep_settings(card):
        try:
            swept = apply_setting(card, changes)
        except ValidationError as error:
            yield part, f"{error.errors()[0]['loc'][-1]}: {error.errors()[0]['msg']}"
            return
        if swept.preset not in learner_spec(swept.learner).presets():
            yield part, f"{swept.learner} has no preset '{swept.preset}'"
            return
        for complaint in settings.setting_problems(swept, game):
            if complaint not in said:
                said.add(complaint)
                yield part, f"{complaint[0]}: {complaint[1]}"


def learners_of(card: Card) -> set[str]:
    """Names of all learners that a card may run with."""
    sweep = card.sweep
    found = {card.learner}
    if sweep is not None:
        drawn = sweep.random.get("learner")
        swept = [case.get("learner") for case in sweep.cases] + sweep.grid.get("learner", [])
        swept += drawn if isinstance(drawn, list) else []
        found |= {name for name in swept if isinstance(name, str)}
    return found


def swept_names(card: Card) -> set[str]:
    """Names of the settings that a card's sweep changes."""
    if card.sweep is None:
        return set()
    names = {name for case in card.sweep.cases for name in case}
    return names | card.sweep.grid.keys() | card.sweep.random.keys()


def sweep_settings(card: Card) -> list[dict[str, Any]]:
    """Settings in the order in which they run; random ones depend on the sweep's seed alone."""
    assert card.sweep is not None
    if card.sweep.cases:
        return [dict(case) for case in card.sweep.cases]
    if card.sweep.grid:
        names = list(card.sweep.grid)
        return [
            dict(zip(names, values, strict=True))
            for values in itertools.product(*card.sweep.grid.values())
        ]
    draws = np.random.default_rng(card.sweep.seed)
    return [
        {name: _drawn(wish, draws) for name, wish in card.sweep.random.items()}
        for _ in range(card.sweep.tries)
    ]


def apply_setting(card: Card, changes: Mapping[str, Any]) -> Card:
    """The card with one setting applied."""
    own = {key: value for key, value in changes.items() if key in OWN}
    judged = {
        key.removeprefix("eval."): value
        for key, value in changes.items()
        if key.startswith("eval.")
    }
    rest = {
        key: value
        for key, value in changes.items()
        if key not in (*own, "name") and not key.startswith("eval.")
    }
    if judged:
        own["eval"] = EvalSection.model_validate(
            {**(card.eval.model_dump(exclude_unset=True) if card.eval else {}), **judged}
        )
    return card.model_copy(update={**own, "set": {**card.settings, **rest}, "sweep": None})


def setting_name(changes: Mapping[str, Any]) -> str:
    """Folder name of a setting."""
    words = str(
        changes.get("name")
        or "_".join(f"{key.rpartition('.')[2]}={_word(value)}" for key, value in changes.items())
    )
    return re.sub(r"[^A-Za-z0-9=._+-]", "-", words)[:LONGEST_NAME].lstrip(".") or "setting"


def _can_be_drawn(wish: Any) -> bool:
    if isinstance(wish, list):
        return bool(wish)
    if (
        not isinstance(wish, dict)
        or set(wish) - {"low", "high", "log"}
        or not {"low", "high"} <= set(wish)
    ):
        return False
    numbers = [wish["low"], wish["high"]]
    good = all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers)
    return good and numbers[0] < numbers[1] and (not wish.get("log") or numbers[0] > 0)


def _drawn(wish: Any, draws: np.random.Generator) -> Any:
    if isinstance(wish, list):
        return wish[int(draws.integers(len(wish)))]
    low, high = wish["low"], wish["high"]
    value = float(
        np.exp(draws.uniform(np.log(low), np.log(high)))
        if wish.get("log")
        else draws.uniform(low, high)
    )
    whole = isinstance(low, int) and isinstance(high, int)
    return min(high, max(low, round(value))) if whole else float(f"{value:.4g}")


def _word(value: Any) -> str:
    return (
        f"{value:g}"
        if isinstance(value, float)
        else "-".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )
