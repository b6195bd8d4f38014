"""Checks of an exported policy: equal to PyTorch on recorded rows, fast enough, and as strong in play.

A session of onnxruntime takes the place of the policy inside its own agent, so that views, delays,
repeated decisions and random numbers are those of every other match.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.game import Agent, Game
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap_mean
from shadowbox.errors import UsageError
from shadowbox.export.steps import AFTER, MEMORY, PRESS, _StepExport
from shadowbox.model.policy import Policy
from shadowbox.play import specs
from shadowbox.play.benchmark import benchmark
from shadowbox.play.policy_agent import PolicyAgent
from shadowbox.play.warm_start import warm_start

EXACT = 1e-5  # largest difference between two runtimes in full precision
FAST = 2.0  # ms of a step of one match
POINTS = 0.05  # of the win rate, by which eight bits may differ


class _Parity(NamedTuple):
    """Comparison of one step with PyTorch on recorded rows."""

    largest: float  # difference of a number
    rows: int
    equal: int  # rows in which every choice and flag is equal


class _SessionPolicy:
    """A policy whose steps are taken by onnxruntime; with `compared`, by PyTorch, and compared."""

    def __init__(self, policy: Policy, session: Any, compared: bool = False) -> None:
        self._policy, self._session, self._compared = policy, session, compared
        self._inputs = [each.name for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()]
        self.largest, self.rows, self.equal = 0.0, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def step(
        self,
        view: Mapping[str, Tensor],
        memory: dict[str, Tensor],
        noise: Tensor,
        *,
        reset: Tensor,
        temperature: Any,
        style: Any,
    ) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
        """`Policy.step` of one match; temperature and style are part of the export."""
        given = {**view, "noise": noise, "reset": reset}
        given |= {f"{MEMORY}{key}": values for key, values in memory.items()}
        results = self._session.run(None, {name: given[name].numpy() for name in self._inputs})
        found = {
            name: torch.from_numpy(values)
            for name, values in zip(self._outputs, results, strict=True)
        }
        controls = {key: found[f"{PRESS}{key}"] for key in self._policy.schema.control_keys}
        after = {key: found.get(f"{AFTER}{key}", values) for key, values in memory.items()}
        if not self._compared:
            return controls, found["log_prob"], after
        plain = self._policy.step(
            view, memory, noise, reset=reset, temperature=temperature, style=style
        )
        self._compare((controls, found["log_prob"], after), plain)
        return plain

    def _compare(self, one: Any, other: Any) -> None:
        equal = all(
            bool((one[0][key] == values).all())
            for key, values in other[0].items()
            if not values.is_floating_point()
        )
        self.rows, self.equal = self.rows + 1, self.equal + equal
        pairs = [(one[2][key], values) for key, values in other[2].items()]
        if equal:  # another choice has another probability
            pairs.append((one[1], other[1]))
            pairs += [(one[0][key], v) for key, v in other[0].items() if v.is_floating_point()]
        for first, second in pairs:
            if first.numel():
                self.largest = max(self.largest, float((first - second).abs().max()))


def policy_in(agent: Any) -> PolicyAgent:
    """The policy's agent inside of delays and limits."""
    while not isinstance(agent, PolicyAgent):
        if not hasattr(agent, "agent"):
            raise UsageError(f"expected a policy, policy:RUN (got a {type(agent).__name__})")
        agent = agent.agent
    return agent


def session_agent(spec: str, game: Game, session: Any, compared: bool = False) -> Agent:
    """The agent of `policy:...`, whose steps are taken by a session for one match."""
    made = specs.agent(spec, game)
    inner = policy_in(made)
    inner.policy = _SessionPolicy(inner.policy, session, compared)  # type: ignore[assignment]
    inner.block = 1
    return made


def parity(spec: str, game: Game, session: Any, recorded: Iterator[Mapping[str, Array]]) -> _Parity:
    """Compare every step on recorded episodes [T, slots], as seen from each seat."""
    agent = session_agent(spec, game, session, compared=True)
    compared: Any = policy_in(agent).policy
    for number, columns in enumerate(recorded):
        past = {key: values[:, None] for key, values in columns.items()}
        for seat in range(game.schema.players):
            warm_start(agent, game.schema, past, np.array([number]), np.array([seat]))
    return _Parity(compared.largest, compared.rows, compared.equal)


def times(session: Any, step: _StepExport, calls: int = 1000) -> tuple[float, float]:
    """Median and 99th percentile of the CPU time of a call, in ms, after some to warm up."""
    feed = {each.name: step.inputs[each.name].numpy() for each in session.get_inputs()}
    for _ in range(20):
        session.run(None, feed)
    taken = np.empty(calls)
    for at in range(calls):
        began = time.thread_time()
        session.run(None, feed)
        taken[at] = time.thread_time() - began
    median, slow = np.percentile(taken, [50, 99]) * 1000
    return float(median), float(slow)


class _Play(NamedTuple):
    """Matches of an exported policy beside those of the policy in PyTorch, of the same seeds."""

    wins: Interval
    plain: Interval
    difference: Interval  # of the win rates, over seeds


def closed_loop(
    spec: str, game: Game, session: Any, opponent: str, world: str, seeds: Array
) -> _Play:
    """Play every seed from both seats against a bot, with the session and with PyTorch."""
    worlds = specs.world_factory(world, game)
    other = specs.agent(opponent, game)
    own = benchmark(game, worlds, session_agent(spec, game, session), other, seeds)
    plain = benchmark(game, worlds, specs.agent(spec, game), other, seeds)
    gaps = ((own.results == 1).mean(0) - (plain.results == 1).mean(0)).tolist()
    return _Play(own.wins, plain.wins, bootstrap_mean(np.asarray(gaps)))
