"""Benchmark of environments and recording (`shadowbox bench env`), as shares of the simulator's speed.

A learner meets the simulator through an environment: a bot as opponent, an observation, rewards by
term, Gymnasium's own wrappers. Recording plays two bots into a store. All rates are measured in
turns within one run, and a share is the median of the shares of the rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from shadowbox.bench.sim import KEPT_CONTROLS, _random_controls, _run
from shadowbox.collect.matches import Pairing, record
from shadowbox.core.schema import Array
from shadowbox.envs.single import GameEnv
from shadowbox.envs.vector import GameVectorEnv
from shadowbox.games import load

SIM_MATCHES = 1024
SIZES = (64, 512)
ROUNDS = 5
RECORDED = 64  # matches in one round of recording
# steps a second that the authors of Warehouse Brawl state for their environment
ORIGINAL_STEPS_PER_S = 5300

Round = Callable[[float], float]  # CPU-seconds to spend -> steps per CPU-second


def bench_env(
    game: str = "brawl",
    opponent: str = "based",
    observation: str = "raw",
    reward: str = "dense",
    budget_s: float = 0.5,
    rounds: int = ROUNDS,
    recorded: int = RECORDED,
) -> dict[str, Any]:
    """Steps per CPU-second of environments and recording, and their shares of the simulator's."""
    setup: dict[str, Any] = {"opponent": opponent, "observation": observation, "reward": reward}
    single = _made(lambda: GameEnv(game, **setup))
    measures: dict[str, Round] = {
        "sim": _simulator(game),
        "single": _single(single),
        **{f"n{size}": _vector(GameVectorEnv(game, size, **setup)) for size in SIZES},
        "record": _recording(game, opponent, recorded),
        "empty": _single(_made(lambda: _Empty(single.observation_space, single.action_space))),
    }
    for measure in measures.values():
        measure(budget_s / 5)
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            rates[name].append(measure(budget_s))
    figures: dict[str, Any] = {
        "game": game,
        **setup,
        "numbers": int(np.prod(single.observation_space.shape or ())),
        "sim_steps_per_cpu_s": statistics.median(rates["sim"]),
    }
    for name in ("single", *(f"n{size}" for size in SIZES), "record"):
        shares = [rate / sim for rate, sim in zip(rates[name], rates["sim"], strict=True)]
        figures[name] = statistics.median(shares)
        figures[f"{name}_steps_per_cpu_s"] = statistics.median(rates[name])
    figures["empty_gymnasium_steps_per_cpu_s"] = statistics.median(rates["empty"])
    figures["original_steps_per_s_stated"] = ORIGINAL_STEPS_PER_S
    return figures


class _Empty(gymnasium.Env[Array, Any]):
    """Environment that computes nothing: the cost of Gymnasium itself."""

    def __init__(self, observations: Any, actions: Any) -> None:
        self.observation_space, self.action_space = observations, actions
        self._seen = np.zeros(observations.shape, observations.dtype)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """The one observation."""
        super().reset(seed=seed)
        return self._seen.copy(), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """The one observation again."""
        return self._seen.copy(), 0.0, False, False, {}


def _made(build: Callable[[], gymnasium.Env[Any, Any]]) -> gymnasium.Env[Any, Any]:
    """An environment in the wrappers that `gymnasium.make` puts around it."""
    spec = EnvSpec("shadowbox-bench/Env-v0", entry_point=lambda **_: build())
    made: gymnasium.Env[Any, Any] = gymnasium.make(spec)
    return made


def _timed(step: Callable[[int], None], steps_a_call: int, start: int) -> Round:
    """Measure of a loop: so many calls that they take the budget."""
    calls = start

    def measure(budget_s: float) -> float:
        nonlocal calls
        began = time.process_time()
        step(calls)
        took = time.process_time() - began
        rate = calls * steps_a_call / max(took, 1e-9)
        calls = max(1, int(calls * min(10.0, budget_s / max(took, 1e-9))))
        return rate

    return measure


def _simulator(game: str) -> Round:
    record_of = load(game)
    assert record_of.world is not None
    world = record_of.world(SIM_MATCHES)
    keys, seeds = _random_controls(world), np.arange(SIM_MATCHES, dtype=np.int64)
    world.reset(seeds)
    return _timed(lambda steps: _run(world, keys, seeds, steps), SIM_MATCHES, 50)


def _actions(space: spaces.Space[Any]) -> list[Array]:
    """Actions that are drawn before the clock starts and reused in a cycle."""
    space.seed(0)
    return [space.sample() for _ in range(KEPT_CONTROLS)]


def _single(env: gymnasium.Env[Any, Any]) -> Round:
    actions = _actions(env.action_space)
    env.reset(seed=0)

    def steps(count: int) -> None:
        for step in range(count):
            _, _, terminated, truncated, _ = env.step(actions[step % KEPT_CONTROLS])
            if terminated or truncated:
                env.reset()

    return _timed(steps, 1, 200)


def _vector(envs: GameVectorEnv) -> Round:
    actions = _actions(envs.action_space)
    envs.reset(seed=0)

    def steps(count: int) -> None:
        for step in range(count):
            envs.step(actions[step % KEPT_CONTROLS])

    return _timed(steps, envs.num_envs, 20)


def _recording(game: str, bot: str, matches: int) -> Round:
    """Frames per CPU-second of two bots that are recorded into a new store each time."""

    def measure(budget_s: float) -> float:
        with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
            began = time.process_time()
            made = record(load(game), [Pairing(bot, bot, matches)], Path(folder) / "store")
            return float(made["frames"]) / (time.process_time() - began)

    return measure
