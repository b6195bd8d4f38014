"""Gymnasium environment: one match and one seat."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from shadowbox.core.game import Game, terms_of
from shadowbox.core.schema import Array
from shadowbox.envs.matches import vector_matches
from shadowbox.envs.spaces import action_space, observation_space
from shadowbox.play.vector_matches import RENDER_MODES, draw_seed, outcome_info


class GameEnv(gymnasium.Env[Array, Any]):
    """One seat in a match of `game`; the arguments are those of `VectorMatches`.

    `info["match_seed"]` comes with a reset, `info["reward_terms"]` with every step,
    `info["outcome"]` at the end. A match that ends by the clock is truncated, any other end
    terminates. Reward weights that change during learning are those at `learning_step`, which the
    learner sets; otherwise a reward is a function of seed and actions alone.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 30}  # noqa: RUF012

    def __init__(
        self, game: Game | str, *, seat: int = 0, render_mode: str | None = None, **setup: Any
    ) -> None:
        self.matches = vector_matches(game, 1, seats=(seat,), render_mode=render_mode, **setup)
        self.seat, self.render_mode, self.learning_step = seat, render_mode, 0
        self.metadata = self.matches.metadata
        self.observation_space = observation_space(
            self.matches.observation, self.matches.game.schema
        )
        self.action_space = action_space(self.matches.actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start a match; the same `seed` gives the same match."""
        super().reset(seed=seed)
        match_seed = draw_seed(self.np_random)
        self.matches.begin(np.array([match_seed]))
        return self.matches.see(self.seat)[0], {"match_seed": match_seed}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Play one frame."""
        turn = self.matches.step({self.seat: np.asarray(action)[None]}, self.learning_step)
        info: dict[str, Any] = {"reward_terms": terms_of(turn.terms, 0, self.seat)}
        terminated = truncated = False
        if turn.outcomes:
            info["outcome"] = outcome_info(turn.outcomes[0], self.seat)
            terminated, truncated = bool(turn.terminated[0]), bool(turn.truncated[0])
        reward = float(turn.rewards.item(0, self.seat))
        return self.matches.see(self.seat)[0], reward, terminated, truncated, info

    def render(self) -> Array | None:
        """Picture of the match [height, width, 3] u8."""
        return None if self.render_mode is None else self.matches.picture(0)
