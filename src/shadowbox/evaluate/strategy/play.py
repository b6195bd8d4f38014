"""Matches of a policy against named opponents, and its read-outs at each of its decisions.

N: matches, T: decisions. Each seed is played from either seat.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.game import Agent, Game, World
from shadowbox.core.schema import Array, Columns
from shadowbox.play.policy_agent import PolicyAgent, as_tensor
from shadowbox.play.rewards import result_for
from shadowbox.play.turn import MatchBatch

if TYPE_CHECKING:
    from shadowbox.model.policy import Policy

STEPS = 64  # decisions that are read out together


@dataclass(frozen=True)
class _Played:
    """Views of a policy at its decisions, and how its matches ended."""

    views: Columns  # [N, T, slots], own slot first
    live: Array  # [N, T]: decisions of a match that goes on
    won: Array  # [N]; false for a match that was broken off


class _Mixed:
    """Several agents, each in its own matches."""

    def __init__(self, agents: Sequence[Agent], which: Array) -> None:
        """`which` [N] is the number of the agent of each match."""
        self.parts = [(agent, np.flatnonzero(which == at)) for at, agent in enumerate(agents)]

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """All matches begin together."""
        seeds, players = np.asarray(seeds), np.asarray(players)
        return [agent.start(seeds[rows], players[rows]) for agent, rows in self.parts]

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Ask each agent about its own matches."""
        controls: Columns = {}
        after = []
        for (agent, rows), before in zip(self.parts, state, strict=True):
            answer, memory = agent.act({key: each[rows] for key, each in view.items()}, before)
            after.append(memory)
            for key, values in answer.items():
                shape = (len(next(iter(view.values()))), *values.shape[1:])
                controls.setdefault(key, np.zeros(shape, values.dtype))[rows] = values
        return controls, after


class _Switching:
    """Two agents: the second takes over at a frame of each match."""

    def __init__(self, first: Agent, second: Agent, at: Array) -> None:
        self.first, self.second, self.at = first, second, at

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Both begin, so that the second knows the past when its turn comes."""
        return 0, self.first.start(seeds, players), self.second.start(seeds, players)

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """The answer of the one whose turn it is."""
        frame, before, after = state
        one, before = self.first.act(view, before)
        two, after = self.second.act(view, after)
        second = (frame >= self.at)[:, None]
        return {key: np.where(second, two[key], one[key]) for key in one}, (
            frame + 1,
            before,
            after,
        )


class _Recorder:
    """A policy's agent that keeps what it sees at its decisions."""

    def __init__(self, agent: PolicyAgent) -> None:
        self.agent, self.views, self.frame = agent, list[Columns](), 0

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Begin."""
        return self.agent.start(seeds, players, state, where)

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide, and keep the view of a decision."""
        if self.frame % self.agent.policy.config.repeat == 0:
            self.views.append({key: view[key].copy() for key in self.agent.policy.reads})
        self.frame += 1
        return self.agent.act(view, state)


def play(
    game: Game,
    worlds: Callable[[int], World],
    agent: PolicyAgent,
    opponent: Agent,
    seeds: Array,
    frames: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> _Played:
    """Play every seed [n] from either seat, N = 2 n, for at most `frames` frames (0: to the end)."""
    parts = []
    for seat in (0, 1):
        recorder = _Recorder(agent)
        agents = (recorder, opponent) if seat == 0 else (opponent, recorder)
        batch = MatchBatch(game, worlds(len(seeds)), agents)
        batch.begin(seeds)
        live, won = [], np.zeros(len(seeds), bool)
        frame, repeat = 0, agent.policy.config.repeat
        while not batch.over.all() and not (frames and frame >= frames):
            if frame % repeat == 0:
                live.append(~batch.over)
            for match, outcome in batch.turn().outcomes.items():
                won[match] = result_for(outcome, seat) == 1
            frame += 1
            if progress:
                progress(frame if frames else int(batch.over.sum()), frames or len(seeds))
        views = {
            key: np.stack([view[key] for view in recorder.views], 1) for key in recorder.views[0]
        }
        parts.append(_Played(views, np.stack(live, 1), won))
    return _joined(parts)


def _joined(parts: Sequence[_Played]) -> _Played:
    """Both seats as matches of one batch; the shorter one is filled up with zeros."""
    steps = max(part.live.shape[1] for part in parts)

    def filled(values: Array) -> Array:
        missing = [(0, 0), (0, steps - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
        return np.pad(values, missing)

    views = {
        key: np.concatenate([filled(part.views[key]) for part in parts]) for key in parts[0].views
    }
    live = np.concatenate([filled(part.live) for part in parts])
    return _Played(views, live, np.concatenate([part.won for part in parts]))


def read_outs(policy: Policy, played: _Played) -> dict[str, Array]:
    """Read-outs by name at every decision, each [N, T, ...]; those that the policy has."""
    from shadowbox.model.strategy.read_out import read_out

    memory, parts = policy.initial(len(played.live)), []
    for first in range(0, played.live.shape[1], STEPS):
        cut = {
            key: as_tensor(values[:, first : first + STEPS]) for key, values in played.views.items()
        }
        reset = as_tensor(np.zeros(played.live[:, first : first + STEPS].shape, bool))
        reset[:, 0] = first == 0
        found = read_out(policy, cut, reset, memory)
        memory = found.memory
        some = found._asdict()
        parts.append({name: some[name] for name in NAMES if some[name] is not None})
    return {name: np.concatenate([part[name].numpy() for part in parts], 1) for name in parts[0]}


NAMES = ("recurrent", "latent", "attention", "guess")


def with_shuffled_latents(policy: Policy) -> Policy:
    """A copy of the policy that is given the latent of another match of its batch."""
    twin = copy.deepcopy(policy)
    assert twin.strategy is not None
    encode = twin.strategy.seq

    def seq(view: Any, memory: Any, reset: Any) -> Any:
        latent, after = encode(view, memory, reset)
        return latent.roll(1, 0), after

    twin.strategy.seq = seq  # type: ignore[method-assign]
    return twin
