"""Copies of an environment as a world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import EpisodeError
from shadowbox.games.environments.spaces import TOTAL, _Spaces

SEEDS = 1 << 31  # older generators of environments take no larger seed


class _Episodes:
    """Episodes of one environment: what each player sees, and the rewards of the last step."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def reset(self, seed: int) -> list[Any]:
        """Begin an episode; observations by player."""
        return [self.env.reset(seed=seed)[0]]

    def step(self, actions: Sequence[Any]) -> tuple[list[Any], list[float], bool, bool]:
        """Observations, rewards, and whether the episode ended: terminated, truncated."""
        seen, reward, terminated, truncated, _ = self.env.step(actions[0])
        return [seen], [float(reward)], bool(terminated), bool(truncated)


class _ParallelEpisodes(_Episodes):
    """Episodes of a PettingZoo parallel environment.

    A player whose part is over sees its last observation until the episode ends for everybody.
    """

    def reset(self, seed: int) -> list[Any]:
        self.seen = dict(self.env.reset(seed=seed)[0])
        self.terminated: dict[str, bool] = {}
        return [self.seen[name] for name in self.env.possible_agents]

    def step(self, actions: Sequence[Any]) -> tuple[list[Any], list[float], bool, bool]:
        names = self.env.possible_agents
        given = dict(zip(names, actions, strict=True))
        seen, rewards, terminated, _, _ = self.env.step({n: given[n] for n in self.env.agents})
        self.seen |= seen
        self.terminated |= terminated
        over = not self.env.agents
        ended = all(self.terminated.get(name, False) for name in names)
        observations = [self.seen[name] for name in names]
        earned = [float(rewards.get(name, 0.0)) for name in names]
        return observations, earned, over and ended, over and not ended


class _EnvironmentWorld:
    """N copies of an environment, stepped one after the other.

    An episode follows from its seed and its actions. A snapshot holds these, and restoring it plays
    them again; an environment that comes to another state then is refused.
    """

    def __init__(self, matches: int, spaces_: _Spaces, make: Callable[[], _Episodes]) -> None:
        self.matches, self.schema, self.name = matches, spaces_.schema, spaces_.name
        self.spaces, self.players = spaces_, spaces_.schema.players
        self.episodes = [make() for _ in range(matches)]
        neutral = self.schema.neutral(matches)
        self.columns = {key: neutral[key] for key in self.schema.state_keys}
        self.done, self.truncated = np.zeros(matches, bool), np.zeros(matches, bool)
        self.seeds = np.zeros(matches, np.int64)
        self.pressed: list[list[Array]] = [[] for _ in range(matches)]  # of each episode so far

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Begin episodes from `seeds` [N] in the mask `where` [N]."""
        for match in np.arange(self.matches) if where is None else np.flatnonzero(where):
            self._begin(int(match), int(seeds[match]))
        return self.columns

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Step the episodes that are not over."""
        pressed = np.stack([controls[key] for key in self.schema.control_keys], -1).astype(float)
        self.truncated = np.zeros(self.matches, bool)
        earned = np.zeros((self.matches, self.players))
        for match in np.flatnonzero(~self.done).tolist():
            earned[match] = self._advance(match, pressed[match])
        matches, players = np.nonzero(earned)
        events = np.zeros(len(matches), EVENT)
        events["match"], events["player"], events["other"] = matches, players, -1
        events["value"] = earned[matches, players]
        events["frame"] = [len(self.pressed[match]) for match in matches.tolist()]
        return self.columns, events, self.done.copy()

    def snapshot(self, where: Array | None = None) -> dict[str, Any]:
        """Seeds, actions and states of the chosen episodes."""
        chosen = np.arange(self.matches) if where is None else np.flatnonzero(where)
        played = [np.array(self.pressed[match]) for match in chosen.tolist()]
        shape = (-1, self.players, len(self.schema.control_keys))
        return {
            "seeds": self.seeds[chosen],
            "lengths": np.array([len(each) for each in played], np.int64),
            "pressed": np.concatenate([each.reshape(shape) for each in played]),
            "columns": {key: values[chosen] for key, values in self.columns.items()},
        }

    def restore(self, snapshot: Mapping[str, Any], where: Array | None = None) -> Columns:
        """Play the episodes of a snapshot again, up to their states."""
        chosen = np.arange(self.matches) if where is None else np.flatnonzero(where)
        ends = np.cumsum(snapshot["lengths"])
        for at, match in enumerate(chosen.tolist()):
            self._begin(match, int(snapshot["seeds"][at]))
            for pressed in snapshot["pressed"][ends[at] - snapshot["lengths"][at] : ends[at]]:
                self._advance(match, pressed)
            for key, values in self.columns.items():
                if not np.array_equal(values[match], snapshot["columns"][key][at]):
                    raise EpisodeError(
                        f"{self.name}: the actions of the episode with seed {self.seeds[match]} lead "
                        f"to another {key} than before; an environment whose episodes do not follow "
                        "from seed and actions cannot be restored"
                    )
        return self.columns

    def _begin(self, match: int, seed: int) -> None:
        self.seeds[match], self.done[match], self.truncated[match] = seed, False, False
        self.pressed[match] = []
        seen = self.episodes[match].reset(seed % SEEDS)
        if self.players > 1:
            self.columns[TOTAL][match] = 0.0
        self._show(match, seen, [0.0] * self.players)

    def _advance(self, match: int, pressed: Array) -> list[float]:
        """Step one episode with control values [players, K]; the rewards."""
        self.pressed[match].append(pressed)
        actions = [self.spaces.action(values) for values in pressed]
        seen, rewards, terminated, truncated = self.episodes[match].step(actions)
        self.done[match] = terminated or truncated
        self.truncated[match] = truncated and not terminated
        if self.players > 1:
            self.columns[TOTAL][match] += rewards
        self._show(match, seen, rewards)
        return rewards

    def _show(self, match: int, seen: Sequence[Any], rewards: Sequence[float]) -> None:
        where = f"seed {self.seeds[match]}, frame {len(self.pressed[match])}"
        for player, (observation, reward) in enumerate(zip(seen, rewards, strict=True)):
            for key, values in self.spaces.state(observation, reward, where).items():
                first = player * len(values)
                self.columns[key][match, first : first + len(values)] = values
