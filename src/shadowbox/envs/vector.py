"""Gymnasium vector environment: N matches in one world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from shadowbox.core.game import Game, terms_of_player
from shadowbox.core.schema import Array
from shadowbox.envs.matches import vector_matches
from shadowbox.envs.spaces import action_space, observation_space
from shadowbox.errors import UsageError
from shadowbox.play.vector_matches import RENDER_MODES, draw_seed, outcome_info


class GameVectorEnv(VectorEnv[Array, Any, Array]):
    """`num_envs` copies of `GameEnv` in one world: the same matches, frame for frame, many times as fast.

    Arguments and `info` are those of `GameEnv`. The step after the end of a match starts the next
    one and ignores the action: `autoreset_mode` is NEXT_STEP.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": list(RENDER_MODES),
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        game: Game | str,
        num_envs: int = 1,
        *,
        seat: int = 0,
        render_mode: str | None = None,
        **setup: Any,
    ) -> None:
        self.matches = vector_matches(
            game, num_envs, seats=(seat,), render_mode=render_mode, **setup
        )
        self.num_envs, self.seat, self.render_mode, self.learning_step = (
            num_envs,
            seat,
            render_mode,
            0,
        )
        self.metadata = {**self.matches.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = observation_space(
            self.matches.observation, self.matches.game.schema
        )
        self.single_action_space = action_space(self.matches.actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        # one a match, so that a match does not depend on its neighbors
        self._generators: list[np.random.Generator] = []
        self._seeds = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, bool)
        self._any_over = False
        self._all = np.ones(num_envs, bool)
        self._marks: list[str] = []  # names of the masks of the reward terms

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Array, dict[str, Any]]:
        """Start all matches, or those in `options["reset_mask"]`.

        An integer `seed` gives match i the seed `seed + i`.
        """
        where = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if where.shape != (self.num_envs,) or where.dtype != bool:
            raise UsageError(
                f"reset_mask is {where.dtype} {where.shape}, a mask bool ({self.num_envs},) is needed"
            )
        seeds = (
            [None if seed is None else seed + i for i in range(self.num_envs)]
            if not isinstance(seed, Sequence)
            else seed
        )
        if len(seeds) != self.num_envs:
            raise UsageError(f"{len(seeds)} seeds for {self.num_envs} matches")
        if not self._generators:
            self._generators = [seeding.np_random(None)[0] for _ in seeds]
            where = np.ones(self.num_envs, bool)
        for match, given in enumerate(seeds):
            if given is not None and where[match]:
                self._generators[match], _ = seeding.np_random(given)
        return self._begin(where, {})

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Play one frame in every match; matches that were over start anew."""
        if not self._generators:
            raise UsageError("step before reset: call reset first")
        began = self._over if self._any_over else None
        turn = self.matches.step({self.seat: actions}, self.learning_step)
        rewards = turn.rewards[:, self.seat].copy()
        info = self._terms(turn.terms, began)
        self._any_over = bool(turn.outcomes)
        if not self._any_over and began is None:
            none = np.zeros((2, self.num_envs), bool)
            return self.matches.see(self.seat), rewards, none[0], none[1], info
        for match, outcome in turn.outcomes.items():
            info = self._add_info(info, {"outcome": outcome_info(outcome, self.seat)}, match)
        terminated, truncated = turn.terminated.copy(), turn.truncated.copy()
        self._over = terminated | truncated
        if began is None:
            seen = self.matches.see(self.seat)
        else:
            rewards[began] = 0.0
            seen, info = self._begin(began, info)
        return seen, rewards, terminated, truncated, info

    def render(self) -> tuple[Array, ...] | None:
        """Pictures of all matches, [height, width, 3] u8 each."""
        return (
            None
            if self.render_mode is None
            else tuple(self.matches.picture(match) for match in range(self.num_envs))
        )

    def _begin(self, where: Array, info: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        for match in np.flatnonzero(where).tolist():
            self._seeds[match] = draw_seed(self._generators[match])
            info = self._add_info(info, {"match_seed": int(self._seeds[match])}, match)
        self.matches.begin(self._seeds, None if where.all() else where)
        self._over = self._over & ~where
        self._any_over = bool(self._over.any())
        return self.matches.see(self.seat), info

    def _terms(self, terms: Mapping[str, Array], began: Array | None) -> dict[str, Any]:
        """Reward terms in Gymnasium's vector form: each value with a mask of the matches that have it.

        Matches that `began` [N] in this step have none.
        """
        live = self._all.copy() if began is None else ~began
        if not live.any():
            return {}
        parts: dict[str, Any] = terms_of_player(terms, self.seat)
        if began is not None:
            for values in parts.values():
                values[began] = 0.0
        if len(self._marks) != len(parts):
            self._marks = [f"_{name}" for name in parts]
        parts.update(dict.fromkeys(self._marks, live))
        return {"reward_terms": parts, "_reward_terms": live}
