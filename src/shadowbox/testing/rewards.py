"""Checks of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowbox.core.game import Game, Reward
from shadowbox.play.rewards import resolve_reward
from shadowbox.play.turn import MatchBatch
from shadowbox.testing.random_play import (
    MATCHES,
    MOST_FRAMES,
    Factory,
    match_seeds,
    must,
    random_controls,
)


def check_reward(
    reward: str | Mapping[str, Any] | Reward, game: Game, *, factory: Factory | None = None
) -> None:
    """The promises of a Reward over whole matches of random play.

    Rewards and terms are finite, [N, players], and the terms add up; a match does not depend on its
    neighbors; a finished match earns nothing.
    """
    make = factory or game.world
    must(make is not None, f"{game.name} has no world to earn rewards in; give a factory")
    assert make is not None
    resolved = resolve_reward(reward, game)
    must(resolved is not None, "reward is None: the result alone counts")
    each, players = game.schema.controls.slots // game.schema.players, game.schema.players
    crowd, one = (
        MatchBatch(game, make(count), [None] * players, reward=resolved) for count in (MATCHES, 1)
    )
    crowd.begin(match_seeds())
    one.begin(match_seeds()[2:3])
    over = np.zeros(MATCHES, bool)
    for frame in range(MOST_FRAMES):
        drawn = random_controls(game.schema, MATCHES, frame)
        cut = {
            s: {k: v[:, s * each : (s + 1) * each] for k, v in drawn.items()}
            for s in range(players)
        }
        turn = crowd.turn(cut)
        alone = one.turn({s: {k: v[2:3] for k, v in keys.items()} for s, keys in cut.items()})
        shapes = {np.shape(values) for values in (turn.rewards, *turn.terms.values())}
        must(shapes == {(MATCHES, players)}, f"frame {frame}: shapes {shapes}")
        must(bool(np.isfinite(turn.rewards).all()), f"frame {frame}: a reward is not finite")
        total = np.sum(list(turn.terms.values()), axis=0)
        must(bool(np.allclose(total, turn.rewards)), f"frame {frame}: the terms do not add up")
        must(not turn.rewards[over].any(), f"frame {frame}: a finished match earns something")
        must(
            np.array_equal(turn.rewards[2:3], alone.rewards),
            f"frame {frame}: a match alone earns otherwise",
        )
        over |= turn.ended
        if over.all():
            return
