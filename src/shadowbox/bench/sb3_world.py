"""Our matches as a vectorized environment of Stable-Baselines3, for the peer of a benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.vec_env import VecEnv

from shadowbox.core.game import Game, stable_hash
from shadowbox.play.vector_matches import VectorMatches


class _Sb3World(VecEnv):
    """Matches of seat 0 against `constant`: 64 numbers seen, one of the game's key combinations."""

    def __init__(self, game: Game, matches: int) -> None:
        self.played = VectorMatches(
            game, matches, seats=(0,), opponent="constant", actions="combos"
        )
        self.begun = 0
        size = self.played.observation.size
        super().__init__(
            matches,
            Box(-np.inf, np.inf, (size,), np.float32),
            Discrete(len(self.played.actions.table)),
        )

    def reset(self) -> Any:
        self._begin(np.ones(self.num_envs, bool))
        return self._seen()

    def step_async(self, actions: Any) -> None:
        self.actions = actions

    def step_wait(self) -> Any:
        turn = self.played.step({0: self.actions})
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if turn.ended.any():
            last = self._seen()
            for match in np.flatnonzero(turn.ended).tolist():
                infos[match] = {"terminal_observation": last[match]}
            self._begin(turn.ended)
        return self._seen(), turn.rewards[:, 0].astype(np.float32), turn.ended.copy(), infos

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    def _begin(self, where: Any) -> None:
        self.begun += 1
        seeds = [stable_hash("sb3", self.begun, match) >> 2 for match in range(self.num_envs)]
        self.played.begin(np.array(seeds, np.int64), where)

    def _seen(self) -> Any:
        return self.played.see(0)
