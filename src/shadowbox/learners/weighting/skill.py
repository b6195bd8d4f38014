"""Skill of recorded players as an input of a policy: who wins in general (rank), and who won this match.

A policy that has seen both ways to play is asked for the better one when it plays
(`policy:RUN@skill=1`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.data.store import Store
from shadowbox.learners.imitation_data import player_names
from shadowbox.learners.imitation_options import SKILLS

RANK, OUTCOME = SKILLS


def skill_labels(store: Store, seats: Sequence[int], names: Sequence[str], train: Array) -> Array:
    """Skills of each seat, f32 [E, seats, 2 * names]: value from 0 to 1, and whether it is known.

    `outcome`: 1 for the winner, 0 for the loser, a half without a winner. `rank`: `rank` of the
    metadata (a number from 0 to 1 for each seat), else the player's mean outcome in the training
    episodes; unknown players have none.
    """
    found = np.zeros((len(store), len(seats), 2 * len(names)), np.float32)
    if not names:
        return found
    metas = [store.meta_of(episode) for episode in range(len(store))]
    outcomes = [[_outcome(meta, seat) for seat in seats] for meta in metas]
    ranks = _mean_outcomes(store, seats, outcomes, train) if RANK in names else {}
    for episode, meta in enumerate(metas):
        given = meta.get(RANK)
        who = player_names(store, episode, seats)
        for at, seat in enumerate(seats):
            stated = given[seat] if isinstance(given, list) and seat < len(given) else None
            values = {OUTCOME: outcomes[episode][at], RANK: ranks.get(who[at])}
            if isinstance(stated, int | float) and 0 <= stated <= 1:
                values[RANK] = float(stated)
            for place, name in enumerate(names):
                if (value := values[name]) is not None:
                    found[episode, at, 2 * place : 2 * place + 2] = value, 1.0
    return found


def _outcome(meta: Mapping[str, Any], seat: int) -> float | None:
    """1, a half, or 0; None where the recording does not say how the match ended."""
    result = meta.get("result")
    if not isinstance(result, dict) or "winner" not in result:
        return None
    winner = result["winner"]
    return 0.5 if winner is None else float(winner == seat)


def _mean_outcomes(
    store: Store, seats: Sequence[int], outcomes: Sequence[Sequence[float | None]], train: Array
) -> dict[str, float]:
    """Mean outcome of each named player in the training episodes."""
    results: dict[str, list[float]] = defaultdict(list)
    for episode in train.tolist():
        for name, value in zip(player_names(store, episode, seats), outcomes[episode], strict=True):
            if name and value is not None:
                results[name].append(value)
    return {name: float(np.mean(values)) for name, values in results.items()}
