"""Benchmark of learned worlds (`shadowbox bench world`): their trunks beside Hugging Face's Mamba2.

The peer is trained as older systems train it: a window of ten frames for each target, the last frame
alone predicted, chunks of ten. Ours predicts every frame of a segment. Both have the width, layers,
state and heads of the preset mamba2-v3, the same input layer, random inputs, 32-bit floats and AdamW.
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


def bench_world(steps: int = 1, rounds: int = 3) -> dict[str, Any]:
    """Targets per CPU-second of each trunk, in turns, and steps of play; medians of `rounds`."""
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
    }


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
