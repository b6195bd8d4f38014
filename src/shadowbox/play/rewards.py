"""Rewards by name or by weights: the one place that turns `dense` or `{"win": 1.0}` into a Reward.

Environments, learners and dreams all ask here. Without a reward the result of a match counts: 1 for
the winner, -1 for the others, 0 for all without a winner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowbox.core.game import Game, Outcome, Reward
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError, did_you_mean


def resolve_reward(given: str | Mapping[str, Any] | Reward | None, game: Game) -> Reward | None:
    """The reward that a preset's name or weights by term mean; None: the result alone counts."""
    if given is None:
        return None
    if isinstance(given, str):
        if given not in game.rewards:
            raise UsageError(
                f"{game.name} has no reward '{given}': {did_you_mean(given, game.rewards)}"
            )
        return game.rewards[given]()
    if isinstance(given, Mapping):
        return _weighted(given, game)
    if callable(given) and hasattr(given, "before"):
        return given
    raise UsageError(f"reward is {given!r}; the name of a preset or weights by term are needed")


def _weighted(weights: Mapping[str, Any], game: Game) -> Reward:
    if game.reward is None:
        raise UsageError(
            f"{game.name} takes no weights for its reward: {did_you_mean('', game.rewards)}"
        )
    if not weights:
        raise UsageError("reward is {}; the name of a preset or weights by term are needed")
    return game.reward({name: _schedule(name, weight) for name, weight in weights.items()})


def _schedule(name: str, weight: Any) -> Any:
    """A weight as games take it.

    In YAML and JSON, (step, weight) pairs are lists, and {from, to, by} says a weight at the start,
    another one, and the share of the budget at which that is reached: {0: from, by: to}.
    """
    if isinstance(weight, list):
        return tuple(tuple(pair) if isinstance(pair, list) else pair for pair in weight)
    if isinstance(weight, Mapping) and weight and all(isinstance(key, str) for key in weight):
        by = weight.get("by", 1.0)
        if wrong := [*set(weight) - {"from", "to", "by"}, *{"from", "to"} - set(weight)]:
            raise UsageError(
                f"reward term '{name}': '{wrong[0]}' is wrong or missing: a weight that moves is "
                "{from: WEIGHT, to: WEIGHT, by: SHARE OF THE BUDGET}"
            )
        if not isinstance(by, int | float) or not 0 < by <= 1:
            raise UsageError(
                f"reward term '{name}': by is {by!r}, a share of the budget above 0 and up to 1 is "
                "needed"
            )
        return {0.0: weight["from"], by: weight["to"]}
    return weight


def over_budget(reward: Reward | None, steps: int) -> Reward | None:
    """The reward with schedules in shares of a budget of learning steps, if it has any."""
    stretched = getattr(reward, "over", None)
    return stretched(steps) if stretched else reward


def rewards_of(
    reward: Reward | None,
    earlier: Columns,
    after: Columns,
    events: Array,
    outcomes: Mapping[int, Outcome],
    shape: tuple[int, int],
    step: int = 0,
) -> tuple[Array, Mapping[str, Array]]:
    """Rewards [N, players] of one frame and the terms that they are sums of.

    `earlier` is what `Reward.before` kept of the frame before, `after` the view of the next one,
    `outcomes` those of the matches that ended, `shape` is (N, players).
    """
    if reward is not None:
        return reward(earlier, after, events, step)
    rewards = np.zeros(shape)
    for match, outcome in outcomes.items():
        rewards[match] = [result_for(outcome, player) for player in range(shape[1])]
    return rewards, {"result": rewards}


def result_for(outcome: Outcome, player: int) -> int:
    """1 for the winner, -1 for a loser, 0 for all without a winner."""
    return 0 if outcome.winner is None else 1 if outcome.winner == player else -1
