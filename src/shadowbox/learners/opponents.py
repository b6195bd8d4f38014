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

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError
from shadowbox.learners.plain_state import from_plain, to_plain

SELF, LEAGUE = "self", "league"


@dataclass(frozen=True)
class Slice:
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


def slices(shares: Mapping[str, float], matches: int) -> list[Slice]:
    """Matches of each opponent by its share, `self` first; everybody gets at least two.

    Two, so that an opponent is met from both seats.
    """
    names = sorted(shares, key=lambda name: name != SELF)
    if matches < 2 * len(names):
        raise UsageError(
            f"{matches} matches for {len(names)} opponents: each needs at least two (train.batch)"
        )
    counts = {name: max(2, int(shares[name] * matches)) for name in names}
    while (left := matches - sum(counts.values())) != 0:
        # the one that is farthest from its share
        off = {name: shares[name] * matches - counts[name] for name in names}
        able = [name for name in names if left > 0 or counts[name] > 2]
        name = max(able, key=off.__getitem__) if left > 0 else min(able, key=off.__getitem__)
        counts[name] += 1 if left > 0 else -1
    ends = np.cumsum(list(counts.values())).tolist()
    return [
        Slice(name, end - counts[name], end) for name, end in zip(names, ends, strict=True)
    ]


class AgentOpponents:
    """Agents in their slices. Each keeps the memory of its own matches."""

    def __init__(
        self, parts: Sequence[Slice], agents: Callable[[str], Agent]
    ) -> None:
        self.parts = [part for part in parts if part.name not in (SELF, LEAGUE)]
        self.agents = {part.name: agents(part.name) for part in self.parts}
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

    def act(self, view: Columns, press: Callable[[Slice, Columns], None]) -> None:
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
