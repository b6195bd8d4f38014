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
    # YAML and JSON have lists in place of tuples: (step, weight) pairs between which a weight moves
    return game.reward({name: _as_tuples(weight) for name, weight in weights.items()})


def _as_tuples(weight: Any) -> Any:
    if isinstance(weight, list):
        return tuple(tuple(pair) if isinstance(pair, list) else pair for pair in weight)
    return weight


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
