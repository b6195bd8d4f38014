"""Vectorized environments of Stable-Baselines3, for the peers of benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.vec_env import VecEnv

from shadowbox.core.game import Game, stable_hash
from shadowbox.games.environments import make_gym, make_zoo
from shadowbox.play.vector_matches import VectorMatches


class _Sb3Env(VecEnv):
    """Parts of a vectorized environment that no benchmark uses."""

    def step_async(self, actions: Any) -> None:
        self.actions = actions

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


class _Sb3World(_Sb3Env):
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

    def step_wait(self) -> Any:
        turn = self.played.step({0: self.actions})
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if turn.ended.any():
            last = self._seen()
            for match in np.flatnonzero(turn.ended).tolist():
                infos[match] = {"terminal_observation": last[match]}
            self._begin(turn.ended)
        return self._seen(), turn.rewards[:, 0].astype(np.float32), turn.ended.copy(), infos

    def _begin(self, where: Any) -> None:
        self.begun += 1
        seeds = [stable_hash("sb3", self.begun, match) >> 2 for match in range(self.num_envs)]
        self.played.begin(np.array(seeds, np.int64), where)

    def _seen(self) -> Any:
        return self.played.see(0)


class _Sb3Environments(_Sb3Env):
    """Environments of Gymnasium, or of PettingZoo with a row for each player; all share a policy."""

    def __init__(self, game: str, options: Mapping[str, Any], count: int) -> None:
        kind, _, where = game.partition(":")
        self.parallel = kind == "zoo"
        make: Callable[..., Any] = make_zoo if self.parallel else make_gym
        self.envs = [make(where, **options) for _ in range(count)]
        first = self.envs[0]
        if self.parallel:
            first.reset(seed=0)
        self.names = list(first.possible_agents) if self.parallel else [""]
        spaces = [
            getattr(first, name)(self.names[0]) if self.parallel else getattr(first, name)
            for name in ("observation_space", "action_space")
        ]
        super().__init__(count * len(self.names), *spaces)

    def seed(self, seed: int | None = None) -> list[int | None]:
        drawn = [stable_hash("sb3", seed or 0, at) >> 33 for at in range(len(self.envs))]
        self.first = drawn
        return [*drawn]

    def reset(self) -> Any:
        return self.begin(getattr(self, "first", [None] * len(self.envs)))

    def begin(self, seeds: Any) -> Any:
        """Begin all episodes, each from a seed; later ones go on with its generator."""
        drawn = [None if seed is None else int(seed) for seed in seeds]
        shown = [self._begin(env, seed) for env, seed in zip(self.envs, drawn, strict=True)]
        return np.concatenate(shown)

    def step_wait(self) -> Any:
        seen, rewards, ended, infos = [], [], [], []
        for at, env in enumerate(self.envs):
            first = at * len(self.names)
            actions = self.actions[first : first + len(self.names)]
            shown, earned, over, cut = self._step(env, actions)
            for row in shown:
                last = {"terminal_observation": row, "TimeLimit.truncated": cut}
                infos.append(last if over else {})
            seen.append(self._begin(env, None) if over else shown)
            rewards += earned
            ended += [over] * len(self.names)
        return np.concatenate(seen), np.array(rewards, np.float32), np.array(ended), infos

    def _begin(self, env: Any, seed: int | None) -> Any:
        seen, _ = env.reset(seed=seed)
        return np.stack([seen[name] for name in self.names] if self.parallel else [seen])

    def _step(self, env: Any, actions: Any) -> tuple[Any, list[float], bool, bool]:
        if not self.parallel:
            seen, reward, terminated, truncated, _ = env.step(actions[0])
            return seen[None], [reward], terminated or truncated, truncated and not terminated
        given = dict(zip(self.names, actions, strict=True))
        seen, rewards, terminated, _, _ = env.step(given)
        shown = np.stack([seen[name] for name in self.names])
        over, done = not env.agents, all(terminated.values())
        return shown, [rewards[name] for name in self.names], over, over and not done
