"""Benchmark of learned worlds (`shadowbox bench world`): trunks beside Mamba2's, and frames of dreams.

The peer is trained as older systems train it: a window of ten frames for each target, the last frame
alone predicted, chunks of ten. Ours predicts every frame of a segment. Both have the width, layers,
state and heads of the preset mamba2-v3, the same input layer, random inputs, 32-bit floats and AdamW.

Dreams are those of the world that brawl ships, stepped by PyTorch and by compiled code in turns, with
random keys and the events of every frame. The preset mamba2-v3 dreams of melee with random weights.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

WIDTH, DEPTH, STATE, FEATURES = 384, 4, 64, 284
TARGETS, LENGTH = 1024, 64  # targets of a step, frames of a segment
WINDOWS, WINDOW = 128, 10  # windows of a step of the peer, and their frames
DREAM, COMPILE = "dream:brawl", "compile=true"
DREAMT = {1: 60, 256: 12}  # matches of a dream, and frames of a round


def bench_world(steps: int = 1, rounds: int = 3, compiled: bool = True) -> dict[str, Any]:
    """Targets per CPU-second of each trunk, in turns, and steps of play; medians of `rounds`.

    `compiled`: also measure compiled dreams, which are compiled first if they are not kept.
    """
    import torch

    torch.set_num_threads(1)
    runs = {"peer": _peer(), "ssd": _ours("ssd"), "gru": _ours("gru")}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = time.process_time()
            done = sum(next(run) for _ in range(steps))
            rate = done / (time.process_time() - began)
            rates[name] += [rate] if number else []  # the first round warms up
    middle = {name: statistics.median(values) for name, values in rates.items()}
    windowed = np.divide(rates["ssd"], rates["peer"]).tolist()
    return {
        "ratio_windowed": statistics.median(windowed),
        "peer_targets_per_cpu_s": middle["peer"],
        "ssd_targets_per_cpu_s": middle["ssd"],
        "gru_targets_per_cpu_s": middle["gru"],
        "trunk_parameters": _size(_trunk("ssd")),
        **{f"trunk_frames_per_s_{n}": _play(_trunk("ssd"), n, rounds) for n in (1, 256)},
        **_dreams(rounds, compiled),
    }


def _dreams(rounds: int, compiled: bool) -> dict[str, Any]:
    """Frames per CPU-second of dreams; `dream_way` names the way of `dream_frames_per_s_N`."""
    from shadowbox.games import load
    from shadowbox.play import specs

    game, found = load("brawl"), dict[str, Any]()
    for matches, frames in DREAMT.items():
        names = ["plain", COMPILE] if compiled else ["plain"]
        worlds = {
            name: specs.world(DREAM if name == "plain" else f"{DREAM}@{name}", game, matches)
            for name in names
        }
        rates = _dream_rates(worlds, frames, rounds)
        last: Any = worlds[names[-1]]
        found["dream_way"] = COMPILE if last.compiled else "plain"
        found[f"dream_frames_per_s_{matches}"] = rates[names[-1]]
        found[f"dream_frames_per_s_{matches}_plain"] = rates["plain"]
        older = {"older": _older_dream(matches)}
        found[f"older_dream_frames_per_s_{matches}"] = _dream_rates(
            older, max(2, frames // 10), rounds
        )["older"]
    return found


def _dream_rates(worlds: dict[str, Any], frames: int, rounds: int) -> dict[str, float]:
    """Frames per CPU-second of each world, in turns; medians after a round to warm up."""
    from shadowbox.testing.random_play import random_controls

    rates: dict[str, list[float]] = {name: [] for name in worlds}
    for number in range(rounds + 1):
        for name, world in worlds.items():
            keys = [random_controls(world.schema, world.matches, f) for f in range(frames)]
            world.reset(np.arange(world.matches))
            began = time.process_time()
            for pressed in keys:
                world.step(pressed)
            rate = frames * world.matches / (time.process_time() - began)
            rates[name] += [rate] if number else []
    return {name: statistics.median(values) for name, values in rates.items()}


def _older_dream(matches: int) -> Any:
    """Dream of melee with random weights, as large as the preset mamba2-v3, from a blank row."""
    from shadowbox.games import load
    from shadowbox.model.world.older import OLDER, SETTINGS, _OlderConfig, build_older_world
    from shadowbox.play.dream.world import _Dream

    game, preset = load("melee"), "mamba2-v3"
    encoding = game.encodings[SETTINGS[preset]["learner.encoding"]]
    assert game.dynamics is not None
    arguments = {
        "config": _OlderConfig.of(OLDER[preset]).flat(),
        "dynamics": game.dynamics.to_json(),
        "encoding": {"name": encoding.name, "settings": dict(encoding.settings)},
        "contexts": [1, 1],
    }
    model = build_older_world(game.schema, encoding, arguments)
    return _Dream(model, game, matches, preset, start="any")


def _trunk(name: str) -> Any:
    from shadowbox.model.design import TrunkConfig
    from shadowbox.model.trunks.registry import build_trunk

    config = TrunkConfig(trunk=name, width=WIDTH, depth=DEPTH, ssm_state=STATE)
    return build_trunk(config, FEATURES, FEATURES)


def _size(trunk: Any) -> int:
    """Parameters after the input layer."""
    sizes = {name: weight.numel() for name, weight in trunk.named_parameters()}
    return sum(size for name, size in sizes.items() if not name.startswith("enter."))


def _ours(name: str) -> Iterator[int]:
    """Training steps on segments of which every frame is a target; yields their number."""
    import torch

    trunk = _trunk(name).train()
    reset = torch.zeros(TARGETS // LENGTH, LENGTH, dtype=torch.bool)

    def features(x: Any) -> Any:
        return trunk.seq(x, trunk.begin(len(x), x.device), reset)[0]

    return _steps(trunk, features, (TARGETS // LENGTH, LENGTH), trunk.out)


def _peer() -> Iterator[int]:
    """Training steps on windows of which the last frame is the target; yields their number."""
    import torch
    from transformers import Mamba2Config, Mamba2Model
    from transformers.utils import logging

    # they say that kernels for other machines are not here
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    settings = Mamba2Config(
        hidden_size=WIDTH, num_hidden_layers=DEPTH, state_size=STATE, num_heads=2 * WIDTH // 64,
        head_dim=64, n_groups=1, chunk_size=WINDOW, vocab_size=8, bos_token_id=0, eos_token_id=0,
        pad_token_id=0, use_cache=False,
    )  # fmt: skip
    model = torch.nn.ModuleList([torch.nn.Linear(FEATURES, WIDTH), Mamba2Model(settings)]).train()

    def features(x: Any) -> Any:
        return model[1](inputs_embeds=model[0](x)).last_hidden_state[:, -1]

    return _steps(model, features, (WINDOWS, WINDOW), WIDTH)


def _steps(
    model: Any, features: Callable[[Any], Any], shape: tuple[int, int], width: int
) -> Iterator[int]:
    """Steps of forward, backward and optimizer; yields the number of targets of each."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    x, target = torch.randn(*shape, FEATURES), torch.randn(width)
    while True:
        h = features(x)
        (h - target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        yield h.numel() // width


def _play(trunk: Any, matches: int, rounds: int) -> float:
    """Frames per CPU-second of steps in place, all matches together; the best of the rounds."""
    import torch

    trunk.eval().in_place = True
    x, none = torch.randn(matches, FEATURES), torch.zeros(matches, dtype=torch.bool)
    frames, best = max(4, 64 // matches), 0.0
    with torch.inference_mode():
        memory = trunk.begin(matches, x.device)
        for _ in range(rounds + 1):
            began = time.process_time()
            for _ in range(frames):
                _, memory = trunk.step(x, memory, none)
            best = max(best, frames * matches / (time.process_time() - began))
    return best
