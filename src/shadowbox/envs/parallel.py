"""PettingZoo parallel environment: one match with every seat played from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.utils import seeding

from shadowbox.core.game import Game, terms_of
from shadowbox.core.schema import Array
from shadowbox.envs.matches import vector_matches
from shadowbox.envs.spaces import action_space, observation_space
from shadowbox.errors import UsageError, did_you_mean, install_hint
from shadowbox.play.vector_matches import draw_seed, outcome_info

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise UsageError(f"a parallel environment needs PettingZoo: {install_hint('envs')}") from error

Infos = dict[str, dict[str, Any]]


class GameParallelEnv(ParallelEnv):  # type: ignore[misc]  # PettingZoo ships no types
    """All players of a match of `game`: `player_0`, `player_1` and so on.

    Arguments and infos are those of `GameEnv`.
    """

    def __init__(
        self, game: Game | str = "brawl", *, render_mode: str | None = None, **setup: Any
    ) -> None:
        self.matches = vector_matches(game, 1, render_mode=render_mode, **setup)
        self.render_mode, self.learning_step = render_mode, 0
        self.metadata = {**self.matches.metadata, "is_parallelizable": True}
        self.seats = {f"player_{seat}": seat for seat in self.matches.seats}
        self.possible_agents = list(self.seats)
        self.agents: list[str] = []
        self.observation_spaces = dict.fromkeys(
            self.seats, observation_space(self.matches.observation, self.matches.game.schema)
        )
        # a space each: every player draws from a generator of its own
        self.action_spaces = {name: action_space(self.matches.actions) for name in self.seats}
        self._generator: np.random.Generator | None = None

    def observation_space(self, agent: str) -> Space[Array]:
        """Observation space of `agent`."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """Action space of `agent`."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], Infos]:
        """Start a match; the same `seed` gives the same match."""
        if seed is not None or self._generator is None:
            self._generator, _ = seeding.np_random(seed)
        match_seed = draw_seed(self._generator)
        self.matches.begin(np.array([match_seed]))
        self.agents = list(self.possible_agents)
        return self._seen(), {agent: {"match_seed": match_seed} for agent in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Play one frame with the actions of all agents."""
        for agent in actions:
            if agent not in self.seats:
                raise UsageError(f"unknown agent '{agent}': {did_you_mean(agent, self.seats)}")
        for agent in self.seats:
            if agent not in actions:
                raise UsageError(
                    f"the action of '{agent}' is missing; everybody acts in every frame"
                )
        if not self.agents:
            raise UsageError("the match is over, or has not begun: reset comes first")
        given = {self.seats[agent]: np.asarray(action)[None] for agent, action in actions.items()}
        turn = self.matches.step(given, self.learning_step)
        infos: Infos = {}
        for agent, seat in self.seats.items():
            infos[agent] = {"reward_terms": terms_of(turn.terms, 0, seat)}
            if turn.outcomes:
                infos[agent]["outcome"] = outcome_info(turn.outcomes[0], seat)
        rewards = {agent: float(turn.rewards[0, seat]) for agent, seat in self.seats.items()}
        terminated, truncated = (
            dict.fromkeys(self.seats, bool(end[0])) for end in (turn.terminated, turn.truncated)
        )
        self.agents = [] if turn.outcomes else list(self.possible_agents)
        return self._seen(), rewards, terminated, truncated, infos

    def render(self) -> Array | None:
        """Picture of the match [height, width, 3] u8."""
        return None if self.render_mode is None else self.matches.picture(0)

    def close(self) -> None:
        """Close the environment; it holds nothing open."""

    def _seen(self) -> dict[str, Array]:
        return {agent: self.matches.see(seat)[0] for agent, seat in self.seats.items()}
