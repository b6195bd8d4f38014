"""Rewards of Brawl: weighted sums of named terms, with the presets `seed`, `sparse` and `dense`.

Every term is computed from the frame before, the frame after and the events between
(`signals.py`), for both players, positive where it is good for a player. A weight is a number; a
map {share: weight} of shares of the learner's budget, from 0 to 1; or a tuple of (step, weight)
pairs. Between its points a weight moves linearly. Losing is never rewarded: the signals of a lost
stock and of a lost match are negative for the loser, in every preset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl.tables import TERMS

Weight = float | tuple[tuple[int, float], ...] | Mapping[float, float]

BUDGET = 200_000  # learning steps of a learner that says nothing else, as of an environment
# shares of the budget between which the shaping terms of `dense` fade, so that the result counts in
# the end
_STAGES = (0.0, 0.15, 0.25, 0.5, 1.0)


def _fading(*weights: float) -> dict[float, float]:
    return dict(zip(_STAGES, weights, strict=True))


PRESETS: dict[str, dict[str, Weight]] = {
    # of older systems: 1 a point of damage (a unit of the term is 140 points), 100 for the match,
    # 50 for a stock
    "seed": {"damage": 140.0, "win": 100.0, "knockout": 50.0},
    "sparse": {
        "damage": 300.0, "win": 500.0, "knockout": 50.0, "attack_press": {0: 1.0, 0.05: 0.0},
    },
    "dense": {
        "damage": 500.0, "danger_zone": 2.0, "many_keys": 0.05,
        "win": 2000.0, "knockout": 150.0, "combo": 50.0, "equip": 25.0, "drop": 10.0,
        "head_to_opponent": _fading(10, 8, 5.5, 3.5, 1), "attack_press": _fading(15, 11, 6.5, 3, 1),
        "closing": _fading(6, 4.5, 3, 1.5, 0.5), "edge_pressure": _fading(4, 3, 2, 1, 0.5),
        # without weight, for the log
        "attacking": 0.0, "base_height": 0.0, "head_to_middle": 0.0,
    },
}  # fmt: skip

_BEFORE = ("player/x", "player/y", "player/state", "match/frame")


def before(columns: Columns) -> Columns:
    """Copy the columns that the terms need of a frame, before the next step overwrites them."""
    return {key: columns[key].copy() for key in _BEFORE}


class BrawlReward:
    """Weighted sum of terms.

    Call `earlier = reward.before(columns)`, step the world, then
    `reward(earlier, columns, events)`.
    """

    before = staticmethod(before)

    def __init__(self, weights: Mapping[str, Weight], budget: int = BUDGET) -> None:
        """`budget`: learning steps that shares are of."""
        for name in weights:
            if name not in TERMS:
                raise UsageError(f"unknown reward term '{name}': {did_you_mean(name, TERMS)}")
            if not _is_weight(weights[name]):
                raise UsageError(
                    f"reward term '{name}': the weight must be a number, a map of shares of the "
                    f"budget to weights or a tuple of (step, weight) pairs (got {weights[name]!r})"
                )
        self.weights, self.budget = dict(weights), budget

    def over(self, budget: int) -> BrawlReward:
        """The reward whose shares are of `budget` learning steps."""
        return BrawlReward(self.weights, max(budget, 1))

    @staticmethod
    def preset(name: str) -> BrawlReward:
        """Reward preset of a name: `seed`, `sparse` or `dense`."""
        if name not in PRESETS:
            raise UsageError(f"unknown reward preset '{name}': {did_you_mean(name, PRESETS)}")
        return BrawlReward(PRESETS[name])

    def weight(self, name: str, step: int) -> float:
        """Weight of a term after `step` learning steps."""
        weight = self.weights[name]
        if isinstance(weight, Mapping):
            shares = sorted(weight)
            steps = [share * self.budget for share in shares]
            return float(np.interp(step, steps, [weight[share] for share in shares]))
        if not isinstance(weight, tuple):
            return float(weight)
        at, weights = zip(*weight, strict=True)
        return float(np.interp(step, at, weights))

    def table(self, step: int) -> Array:
        """Terms by number and their weights after `step` learning steps, [terms, 2]."""
        numbers = {name: number for number, name in enumerate(TERMS)}
        rows = [(numbers[name], self.weight(name, step)) for name in self.weights]
        return np.array(rows, float).reshape(-1, 2)

    def __call__(
        self, earlier: Columns, after: Columns, events: Array, step: int = 0
    ) -> tuple[Array, dict[str, Array]]:
        """Reward of both players for one frame: the sum [N, 2] and each weighted term [N, 2]."""
        from shadowbox.games.brawl.loop import judge_frame

        judged = judge_frame(earlier, after, events, self.table(step))
        return judged[0], dict(zip(self.weights, judged[1:], strict=True))


def _is_weight(weight: object) -> bool:
    if isinstance(weight, Mapping):
        return len(weight) > 0 and all(
            _is_number(share) and 0 <= share <= 1 and _is_number(value)
            for share, value in weight.items()
        )
    if not isinstance(weight, tuple):
        return _is_number(weight)
    return len(weight) > 0 and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_number, pair)) for pair in weight
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
