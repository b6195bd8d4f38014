"""Benchmark of self-play (`shadowbox bench selfplay`): rollout and update, beside sb3-contrib.

A step is one decision of one learner's row. All learners play brawl against `constant`, 64 matches
side by side; the peer is sb3-contrib's RecurrentPPO with the same LSTM on the same world, reading
the 64 numbers of an observation.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from shadowbox.core.game import Game
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.play import specs
from shadowbox.train.config import TrainConfig

MATCHES, STEPS, EPOCHS = 64, 64, 4
GAME_NAME = "brawl"
# of older systems: one match, ten epochs, minibatches of 64
SEED = {"matches": 1, "n_steps": 512, "n_epochs": 10, "batch_size": 64}
WINDOW = {**SEED, "n_steps": 16, "batch_size": 16}  # its cost a step does not depend on n_steps


def bench_selfplay(rounds: int = 3, precision: str = "fp32") -> dict[str, Any]:
    """Steps per CPU-second of each learner, medians of `rounds`, and their ratios."""
    import torch

    torch.set_num_threads(1)
    game = load(GAME_NAME)
    usual: dict[str, Any] = {"matches": MATCHES, "n_steps": STEPS, "n_epochs": EPOCHS}
    usual["batch_size"] = 1024
    runs: dict[str, Callable[[], int]] = {
        "lstm512": _ours(game, "lstm512", {}, usual, precision),
        "banded": _ours(game, "lstm512", {"strategy": "banded"}, usual, precision),
        "small": _ours(game, "small", {}, {**usual, "matches": 256, "batch_size": 4096}, precision),
        "window": _ours(game, "lstm512", {"strategy": "window"}, WINDOW, precision),
    }
    peers = {"sb3": (MATCHES, STEPS, 1024, EPOCHS), "sb3_seed": (1, 512, 64, 10)}
    runs |= {name: run for name, sizes in peers.items() if (run := _sb3(game, *sizes))}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = time.process_time()
            steps = run()
            rate = steps / (time.process_time() - began)
            rates[name] += [rate] if number else []  # the first round warms up
    found: dict[str, Any] = {
        f"{name}_steps_per_cpu_s": statistics.median(values) for name, values in rates.items()
    }
    paired = {
        "ratio_sb3": ("lstm512", "sb3"),
        "ratio_banded": ("banded", "lstm512"),
        "ratio_window": ("banded", "window"),
        "ratio_seed": ("lstm512", "sb3_seed"),
    }
    for name, (ours, theirs) in paired.items():
        found[name] = (
            statistics.median(np.divide(rates[ours], rates[theirs]).tolist())
            if ours in rates and theirs in rates
            else None
        )
    return {**found, "precision": precision, "matches": MATCHES}


def _ours(
    game: Game, preset: str, model: dict[str, Any], sizes: dict[str, Any], precision: str
) -> Callable[[], int]:
    """One rollout and its update; returns its steps."""
    import torch

    from shadowbox.train.distributed import autocast

    sizes = dict(sizes)
    config = TrainConfig(steps=100, batch=sizes.pop("matches"), precision=precision, threads=1)
    task = learner_spec("selfplay").prepare(
        Inputs(
            spec=RunSpec(game, preset, model, {**sizes, "target_kl": 0.0}),
            config=config,
            worlds=specs.world_factory(game.name, game),
            agents=lambda spec: specs.agent(spec, game),
            opponents={"constant": 1.0},
        )
    )
    source = iter(task.source(config.batch, 0, 1))
    optimizer = torch.optim.Adam(task.model.parameters(), lr=3e-4, eps=1e-5)
    learner, device = task.learner, torch.device("cpu")
    task.model.train()

    def descend(loss: Any) -> None:
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def run() -> int:
        batch = learner.to_device(next(source), device)
        with autocast(precision, device):
            learner.update(task.model, batch, descend)  # type: ignore[attr-defined]
        return int(learner.num_targets(batch))

    return run


def _sb3(
    game: Game, matches: int, n_steps: int, batch: int, epochs: int
) -> Callable[[], int] | None:
    """The peer, or None where it is not installed."""
    try:
        from sb3_contrib import RecurrentPPO
    except ImportError:
        return None
    from shadowbox.bench.sb3_world import _Sb3World

    world = _Sb3World(game, matches)
    model = RecurrentPPO(
        "MlpLstmPolicy",
        world,
        n_steps=n_steps,
        batch_size=batch,
        n_epochs=epochs,
        policy_kwargs={
            "lstm_hidden_size": 512,
            "net_arch": {"pi": [96, 96], "vf": [96, 96]},
            "shared_lstm": True,
            "enable_critic_lstm": False,
        },
        device="cpu",
    )

    def run() -> int:
        model.learn(matches * n_steps, reset_num_timesteps=False)
        return matches * n_steps

    return run
