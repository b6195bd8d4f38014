"""Benchmark of gesture (`shadowbox bench gesture`): a live frame, and training targets.

Beside ours is the control transformer of an older system. Its training is a straightforward loop in
plain PyTorch: frames encoded once and held in memory, windows of 30 gathered by fancy indexing,
five losses, AdamW, the last frame's controls as the one target of a window.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.games.gesture import GAME
from shadowbox.games.gesture.older import ENCODING

SESSIONS, SECONDS = 6, 20.0
BATCH, WINDOW, HISTORY = 64, 30, 5  # windows of a step, frames of a window, of earlier controls
LENGTH, SEGMENTS = 128, 4  # decisions of a segment, and segments of a step, of the causal trunk
DEFAULT: dict[str, Any] = {
    "head": "independent",
    "choices": "plain",
    "normalize": True,
    "previous_controls": False,
    "prev_control_dropout": 0.0,
    "relative_positions": False,
}
# a causal trunk with about as many parameters as the control transformer
CAUSAL: dict[str, Any] = {
    "width": 256,
    "depth": 4,
    "frames": WINDOW,
    "dropout": 0.3,
    "head": "independent",
}


def bench_gesture(frames: int = 300, steps: int = 4, rounds: int = 3) -> dict[str, Any]:
    """CPU milliseconds of a live frame, and training targets per CPU-second, as medians of rounds."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
        from shadowbox.collect.sources import record_sessions

        path = Path(folder) / "store"
        options = {"people": SESSIONS, "seconds": SECONDS}
        record_sessions(GAME, "synthetic", SESSIONS, path, options=options)
        store = Store(path)
        tasks = {"causal": _causal(store), "legacy": _legacy(store)}
        live = _live({"": _default(store), "legacy_": tasks["legacy"].model}, frames)
        runs = {name: _training(task) for name, task in tasks.items()}
        runs["peer"] = _peer(store)
        rates = _rates(runs, steps, rounds)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    paired = {
        name: statistics.median(np.divide(values, rates["peer"]).tolist())
        for name, values in rates.items()
    }
    sizes = {name: sum(p.numel() for p in task.model.parameters()) for name, task in tasks.items()}
    return {
        **live,
        "targets_per_cpu_s": middle["causal"],
        "legacy_targets_per_cpu_s": middle["legacy"],
        "peer_targets_per_cpu_s": middle["peer"],
        "ratio": paired["causal"],
        "ratio_legacy": paired["legacy"],
        "parameters": sizes["causal"],
        "legacy_parameters": sizes["legacy"],
    }


def _rates(runs: Mapping[str, Iterator[int]], steps: int, rounds: int) -> dict[str, list[float]]:
    """Targets per CPU-second of each round, in turns; the first round warms up."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = time.process_time()
            done = sum(next(run) for _ in range(steps if number else 1))
            rates[name] += [done / (time.process_time() - began)] if number else []
    return rates


# ---- ours ----------------------------------------------------------------------------------------


def _inputs(store: Store, batch: int) -> dict[str, Any]:
    from shadowbox.train.config import TrainConfig

    config = TrainConfig(steps=1, batch=batch, device="cpu", validate_rows=1000)
    return {"config": config, "store": store, "split": Split(0.8, 0.2, 0.0)}


def _causal(store: Store) -> Any:
    """Task of the causal transformer, whose every frame is a target."""
    from shadowbox.learners.imitation_task import prepare

    given = _inputs(store, SEGMENTS)
    return prepare(
        **given,
        preset="transformer",
        input_columns=GAME.schema.state_keys,
        encoding=ENCODING,
        length=LENGTH,
        **{"relative_positions": False, **CAUSAL},
    )


def _default(store: Store) -> Any:
    """Policy of the default preset, with the settings of the card `gesture-small`."""
    from shadowbox.learners.imitation_task import prepare

    given, columns = _inputs(store, SEGMENTS), GAME.encodings["body"]
    return prepare(**given, input_columns=columns, **DEFAULT).model


def _legacy(store: Store) -> Any:
    """Task of the control transformer on windows."""
    from shadowbox.learners.registry import Inputs, RunSpec, learner_spec

    spec = RunSpec(GAME, "control-transformer", {}, {"loss_norm": "seed"})
    return learner_spec("windows").prepare(Inputs(spec=spec, **_inputs(store, BATCH)))


def _training(task: Any) -> Iterator[int]:
    """Steps of the loop's work, one after another; yields the number of targets of each."""
    import torch

    from shadowbox.train.config import TrainConfig
    from shadowbox.train.schedule import build_optimizer

    device, config = torch.device("cpu"), TrainConfig(steps=1)
    adam = build_optimizer(task.model.train(), config, device)
    batch = BATCH if task.about.preset == "control-transformer" else SEGMENTS
    for examples in task.source(batch, 0, 1):
        loss, _ = task.learner.loss(task.model, task.learner.to_device(examples, device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        yield int(task.learner.num_targets(examples))


# ---- the peer ------------------------------------------------------------------------------------


def _peer(store: Store) -> Iterator[int]:
    """Steps of the plain loop; yields the number of windows of each."""
    import torch
    from torch.nn import functional

    inputs, targets, screens, ends = _encoded(store)
    model, draws = _peer_model(), np.random.default_rng(0)
    adam = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=1e-4)
    while True:
        for chosen in np.array_split(draws.permutation(ends), max(1, len(ends) // BATCH)):
            at = torch.from_numpy(chosen)[:, None] + torch.arange(1 - WINDOW, 1)
            x, truth = inputs[at], targets[at[:, -1]]
            keep = torch.rand(len(chosen), WINDOW, HISTORY, 1) > 0.3
            history = x[..., -28 * HISTORY :].view(len(chosen), WINDOW, HISTORY, 28) * keep
            out = model(torch.cat([x[..., : -28 * HISTORY], history.flatten(2)], -1))
            screen = screens[at[:, -1]].float()
            playing, actions = 1 - screen, truth[:, [*range(9), 11, 12, 13]]
            loss = functional.binary_cross_entropy_with_logits(
                out[:, :12] * playing[:, None], actions
            )
            loss = loss + (
                functional.smooth_l1_loss(out[:, 12:14].tanh(), truth[:, 9:11])
                + functional.mse_loss(out[:, 23:25].sigmoid(), truth[:, 23:25])
                + functional.binary_cross_entropy_with_logits(out[:, 25:28], truth[:, 25:28])
                + functional.cross_entropy(out[:, 14:23], truth[:, 14:23].argmax(1))
                + out[:, :12].sigmoid().mean()
            )
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            yield len(chosen)


def _peer_model() -> Any:
    import torch
    from torch import nn

    class _ControlTransformer(nn.Module):
        """Bidirectional transformer over a window, pooled with a decay, with five heads."""

        def __init__(self) -> None:
            super().__init__()
            self.enter, self.places = nn.Linear(671, 256), nn.Embedding(WINDOW, 256)
            self.dropout = nn.Dropout(0.3)
            layer = nn.TransformerEncoderLayer(256, 8, 512, 0.3, batch_first=True)
            self.layers = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
            self.decay = nn.Parameter(torch.tensor(-2.0))
            self.heads = nn.ModuleList(
                nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, n))
                for n in (12, 2, 9, 2, 3)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Windows [B, W, 671] -> outputs of the heads [B, 28]."""
            h = self.layers(self.dropout(self.enter(x) + self.places.weight))
            weight = torch.exp(self.decay * (1 - torch.arange(WINDOW) / (WINDOW - 1)))
            pooled = (h * weight[:, None]).sum(1) / weight.sum()
            return torch.cat([head(pooled) for head in self.heads], -1)

    return _ControlTransformer().train()


def _encoded(store: Store) -> tuple[Any, Any, Any, Array]:
    """Inputs [N, 671], controls [N, 28] and screens [N] of all frames, and the ends of windows."""
    import torch

    parts, ends, first = [], [], 0
    for episode in range(len(store)):
        columns = store.episode(episode).columns
        rows = ENCODING.encode(columns)[0]
        state, controls = rows[:, :-28], rows[:, -28:]
        before = np.concatenate([np.zeros((HISTORY, 28), np.float32), controls])
        history = [before[at : at + len(rows)] for at in range(HISTORY)]
        inputs = np.concatenate([state, *history], 1)
        parts.append((inputs, controls, columns["game/screen_open"][:, 0]))
        ends.append(np.arange(first + WINDOW - 1, first + len(rows)))
        first += len(rows)
    tensors = [torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)]
    return tensors[0], tensors[1], tensors[2], np.concatenate(ends)


# ---- live ----------------------------------------------------------------------------------------


def _live(policies: Mapping[str, Any], frames: int) -> dict[str, float]:
    """CPU milliseconds of a frame of each policy, in turns: features, answers, and controls."""
    times: dict[str, list[float]] = {name: [] for name in policies}
    step = {name: _stepper(policy) for name, policy in policies.items()}
    for number in range(frames + 40):
        for name, run in step.items():
            began = time.process_time()
            run(number)
            times[name] += [time.process_time() - began] if number >= 40 else []
    return {
        f"{name}live_{mark}_ms": 1000 * float(np.percentile(values, at))
        for name, values in times.items()
        for mark, at in (("p50", 50), ("p99", 99))
    }


def _stepper(policy: Any) -> Callable[[int], None]:
    """Function that takes the frame of a number through a policy to its controls."""
    from shadowbox.games.gesture.body import person, session
    from shadowbox.games.gesture.controller import (
        _Settings,
        answers_of,
        at_rest,
        control_columns,
        process,
    )
    from shadowbox.games.gesture.features import _FeatureStream
    from shadowbox.games.gesture.schema import FPS, SCHEMA
    from shadowbox.play.chances import chance_reader
    from shadowbox.play.policy_agent import PolicyAgent

    found = session(person(0, 0), 0, 15.0).frames
    stream, reader = _FeatureStream(), chance_reader(PolicyAgent(policy.eval()))
    assert reader is not None
    memory, settings = at_rest(), _Settings()
    last = {key: SCHEMA.neutral(1)[key] for key in SCHEMA.control_keys}

    def run(number: int) -> None:
        nonlocal memory, last
        at = number % len(found)
        stream.see(found.part(slice(at, at + 1)))
        answers = answers_of(reader({**stream.row(), **last}))
        controls, memory = process(settings, memory, answers, screen_open=False, dt=1 / FPS)
        last = control_columns(controls)

    return run
