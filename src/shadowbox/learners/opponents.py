"""Opponents of a learner: each has its share of the matches, and plays a match to its end.

The matches of a rollout are cut into slices, one for each opponent. `self` is the learner itself:
both players of these matches are rows that are learned from. An opponent that is an agent (a bot, a
policy of another run) plays all matches of its slice. `league` is a slice of snapshots of the
learner: each match is given one at its start (learners/league.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.game import Agent, stable_hash
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError
from shadowbox.learners.league import League, sampling_weights
from shadowbox.learners.plain_state import from_plain, to_plain
from shadowbox.model.policy import Policy

SELF, LEAGUE = "self", "league"
ALONE = "alone"  # the matches of a game of one player


@dataclass(frozen=True)
class _Slice:
    """Matches first .. end of an opponent."""

    name: str
    first: int
    end: int

    @property
    def rows(self) -> slice:
        """Its matches."""
        return slice(self.first, self.end)

    def __len__(self) -> int:
        return self.end - self.first


def slices(shares: Mapping[str, float], matches: int) -> list[_Slice]:
    """Matches of each opponent by its share, `self` first; everybody gets at least two.

    Two, so that an opponent is met from both seats.
    """
    names = sorted(shares, key=lambda name: name != SELF)
    least = 2 if len(names) > 1 else 1
    if matches < least * len(names):
        raise UsageError(
            f"{matches} matches for {len(names)} opponents: each needs at least two (train.batch)"
        )
    counts = {name: max(least, int(shares[name] * matches)) for name in names}
    while (left := matches - sum(counts.values())) != 0:
        # the one that is farthest from its share
        off = {name: shares[name] * matches - counts[name] for name in names}
        able = [name for name in names if left > 0 or counts[name] > 2]
        name = max(able, key=off.__getitem__) if left > 0 else min(able, key=off.__getitem__)
        counts[name] += 1 if left > 0 else -1
    ends = np.cumsum(list(counts.values())).tolist()
    return [_Slice(name, end - counts[name], end) for name, end in zip(names, ends, strict=True)]


class _AgentOpponents:
    """Agents in their slices. Each keeps the memory of its own matches."""

    def __init__(self, parts: Sequence[_Slice], agents: Mapping[str, Agent]) -> None:
        """`agents`: by the name of a slice; slices without one are played by others."""
        self.parts = [part for part in parts if part.name in agents]
        self.agents = dict(agents)
        self.states: dict[str, Any] = {}

    def begin(self, seeds: Array, players: Array, fresh: Array) -> None:
        """Begin the matches of the mask `fresh` [N], in the seats `players` [N]."""
        for part in self.parts:
            where = fresh[part.rows]
            if where.any():
                state = self.states.get(part.name)
                self.states[part.name] = self.agents[part.name].start(
                    seeds[part.rows], players[part.rows], state, None if state is None else where
                )

    def act(self, view: Columns, press: Callable[[_Slice, Columns], None]) -> None:
        """Ask everybody for a frame; `view` [N, slots] is seen from their seats."""
        for part in self.parts:
            seen = {key: values[part.rows] for key, values in view.items()}
            controls, self.states[part.name] = self.agents[part.name].act(
                seen, self.states[part.name]
            )
            press(part, controls)

    def state(self) -> dict[str, Any]:
        """Memories as plain data."""
        return {
            name: to_plain(state, f"the opponent '{name}'") for name, state in self.states.items()
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.states = {name: from_plain(each) for name, each in state.items()}


class _SnapshotOpponents:
    """Snapshots of a league in a slice of matches: a few at a time, each match keeps its own to its end.

    At most `residents` snapshots are in memory. One after the other retires: it gets no new match,
    and once its last match is over its place is given to the next snapshot that the sampler draws.
    """

    def __init__(
        self,
        part: _Slice,
        league: League,
        build: Callable[[], Policy],
        *,
        sampler: str,
        seed: int,
        residents: int = 4,
    ) -> None:
        self.part, self.league, self.sampler, self.seed = part, league, sampler, seed
        self.models = [build().eval() for _ in range(min(residents, len(part)))]
        self.names = [""] * len(self.models)
        self.place = np.zeros(len(part), np.int64)  # resident of each match
        self.fresh = np.ones(len(part), bool)
        self.retiring, self.draws = -1, 0
        self.memory: dict[str, Tensor] = dict(self.models[0].initial(len(part)))

    def opponent(self, match: int) -> str:
        """Snapshot that a match of the rollout is played against."""
        return self.names[int(self.place[match - self.part.first])]

    def begin(self, fresh: Array) -> None:
        """Give every match of the mask `fresh` [N] a resident that is not retiring."""
        able = [at for at, name in enumerate(self.names) if name and at != self.retiring]
        for match in np.flatnonzero(fresh[self.part.rows]).tolist():
            self.place[match] = able[int(self._generator().integers(len(able)))]
            self.fresh[match] = True

    def refresh(self) -> None:
        """Fill empty places, and let one more snapshot retire when the last one has gone."""
        for at in range(len(self.models)):
            busy = self.names[at] and (at != self.retiring or (self.place == at).any())
            if not busy:
                self._load(at)
                if at == self.retiring:
                    self.retiring = -1
        if self.retiring < 0 and len(self.models) > 1 and len(self.league) > 1:
            self.retiring = self.draws % len(self.models)

    def act(self, view: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Pressed values [M, V] of the slice's matches, for views [M, slots] from their seats."""
        pressed = torch.zeros(len(self.part), len(self.models[0].values.names))
        for at, model in enumerate(self.models):
            rows = torch.from_numpy(np.flatnonzero(self.place == at))
            if not len(rows):
                continue
            found = model.decide(
                {key: values[rows] for key, values in view.items()},
                {key: values[rows] for key, values in self.memory.items()},
                noise[rows],
                reset=torch.from_numpy(self.fresh)[rows],
            )
            pressed[rows] = found.values
            for key, values in found.memory.items():
                self.memory[key][rows] = values
        self.fresh[:] = False
        return pressed

    def _load(self, at: int) -> None:
        rates = self.league.rates()
        chance = sampling_weights(rates, self.sampler)
        self.names[at] = self.league.names[int(self._generator().choice(len(rates), p=chance))]
        self.models[at].load_state_dict(dict(self.league.weights(self.names[at])))

    def _generator(self) -> np.random.Generator:
        self.draws += 1
        return np.random.default_rng(stable_hash("league", self.seed, self.draws))

    def state(self) -> dict[str, Any]:
        """State as plain data."""
        return {
            "names": list(self.names),
            "weights": [
                {key: values.clone() for key, values in model.state_dict().items()}
                for model in self.models
            ],
            "arrays": [torch.from_numpy(self.place.copy()), torch.from_numpy(self.fresh.copy())],
            "memory": {key: values.clone() for key, values in self.memory.items()},
            "counters": [self.retiring, self.draws],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.names = list(state["names"])
        for model, weights in zip(self.models, state["weights"], strict=True):
            model.load_state_dict(weights)
        self.place, self.fresh = (array.numpy().copy() for array in state["arrays"])
        self.memory = {key: values.clone() for key, values in state["memory"].items()}
        self.retiring, self.draws = state["counters"]
