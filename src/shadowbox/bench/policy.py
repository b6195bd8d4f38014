"""Benchmark of policies (`shadowbox bench policy`): training and acting, beside plain PyTorch.

The peer is the policy of older systems over the same store: frames encoded once and held in memory,
windows gathered by fancy indexing, 32-bit floats, AdamW, the last frame's controls as the one
target of a window.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.encoding import Encoding
from shadowbox.core.episode import Episode
from shadowbox.core.fields import Choice, Flag
from shadowbox.core.schema import Array, Columns
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.games.melee import GAME

EPISODES, FRAMES = 24, 1500
# targets per step; decisions per segment; frames in a window of the peer
EXAMPLES, LENGTH, WINDOW = 1024, 64, 10
HELD = 12  # mean number of frames for which a value stays the same
PAD = (
    "main_x",
    "main_y",
    "c_x",
    "c_y",
    "l_push|pad/r_push",
    "a",
    "b",
    "x",
    "y",
    "z",
    "l",
    "r",
    "d_up",
)
CONTROLS = tuple(f"pad/{name}" for name in PAD)


def bench_policy(steps: int = 6, rounds: int = 5, decisions: int = 400) -> dict[str, Any]:
    """Targets per CPU-second of ours and of the peer, in turns, and milliseconds of a decision.

    All figures are medians of `rounds`.
    """
    import torch

    from shadowbox.train.distributed import computes_bf16

    torch.set_num_threads(1)
    bf16 = computes_bf16(torch.device("cpu")) and _has_amx()
    with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
        store = _store(Path(folder) / "store")
        runs = {
            "peer": _peer(store, GAME.encodings["v3"]),
            "ours": _ours(
                store, "policy-mlp", EXAMPLES // LENGTH, "fp32", GAME.encodings["v3"], CONTROLS
            ),
            "default": _ours(
                store, "default", 4 * EXAMPLES // LENGTH, "fp32", GAME.encodings["v3"], CONTROLS
            ),
        }
        if bf16:
            runs["bf16"] = _ours(
                store, "policy-mlp", EXAMPLES // LENGTH, "bf16", GAME.encodings["v3"], CONTROLS
            )
            runs["default_bf16"] = _ours(
                store, "default", 4 * EXAMPLES // LENGTH, "bf16", GAME.encodings["v3"], CONTROLS
            )
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(rounds + 1):
            for name, run in runs.items():
                rate = _rate(run, steps)
                rates[name] += [rate] if number else []  # the first round warms up
        act = _act(store, decisions)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    paired = {
        name: statistics.median(np.divide(values, rates["peer"]).tolist())
        for name, values in rates.items()
    }
    return {
        "examples_per_s": middle["ours"],
        "peer_examples_per_s": middle["peer"],
        "default_targets_per_s": middle["default"],
        "ratio": paired["ours"],
        "ratio_bf16": paired.get("bf16"),
        "ratio_default": paired["default"],
        "ratio_default_bf16": paired.get("default_bf16"),
        **act,
    }


def _rate(run: Iterator[int], steps: int) -> float:
    """Targets per CPU-second."""
    began = time.process_time()
    done = sum(next(run) for _ in range(steps))
    return done / (time.process_time() - began)


def _has_amx() -> bool:
    return "amx_bf16" in system.processor_flags()


# ---- a generated store ---------------------------------------------------------------------------


def _store(path: Path) -> Store:
    with Writer(path, GAME.schema) as writer:
        for seed in range(EPISODES):
            writer.add(Episode(_columns(FRAMES + 1, seed), {"seed": seed}))
    return Store(path)


def _columns(rows: int, seed: int) -> Columns:
    """Random values of every column, each held for a while."""
    draws = np.random.default_rng(seed)
    columns: Columns = {}
    for key, column in GAME.schema.columns.items():
        field, slots = column.field, column.slots
        values: Array
        at = np.cumsum(draws.random((rows, slots)) < 1 / HELD, axis=0, dtype=np.int64)
        if isinstance(field, Flag):
            values = draws.random((rows + 1, slots)) < 0.1
        elif isinstance(field, Choice):
            values = draws.integers(0, min(field.n, 300), (rows + 1, slots)).astype(column.dtype)
        else:
            low, high = np.clip(field.limits, -100, 100)
            values = (
                draws.uniform(low, high, (rows + 1, slots)).astype(field.store).astype(np.float32)
            )
        values = np.take_along_axis(values, at, axis=0)
        mask = column.group.mask
        columns[key] = (
            values
            if not mask or mask == field.name
            else values * columns[f"{column.group.name}/{mask}"]
        )
    return columns


# ---- ours ----------------------------------------------------------------------------------------


def _task(
    store: Store, preset: str, batch: int, encoding: Encoding | None, controls: tuple[str, ...]
) -> Any:
    from shadowbox.learners.imitation_task import prepare
    from shadowbox.train.config import TrainConfig

    config = TrainConfig(steps=1, batch=batch, device="cpu")
    changes: dict[str, Any] = {"output_controls": controls} if controls else {}
    input_columns = GAME.schema.state_keys if encoding else GAME.encodings["default"]
    return config, prepare(
        store,
        config,
        preset=preset,
        input_columns=input_columns,
        encoding=encoding,
        length=LENGTH,
        split=Split(0.9, 0.1, 0.0),
        **changes,
    )


def _ours(
    store: Store,
    preset: str,
    batch: int,
    precision: str,
    encoding: Encoding | None = None,
    controls: tuple[str, ...] = (),
) -> Iterator[int]:
    """Steps of the loop's work, one after another; yields the number of targets of each."""
    import torch

    from shadowbox.train.schedule import build_optimizer

    config, task = _task(store, preset, batch, encoding, controls)
    device = torch.device("cpu")
    adam = build_optimizer(task.model.train(), config, device)
    for examples in task.source(batch, 0, 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss, _ = task.learner.loss(task.model, task.learner.to_device(examples, device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        yield int(task.learner.num_targets(examples))


# ---- the peer ------------------------------------------------------------------------------------


def _peer(store: Store, encoding: Encoding) -> Iterator[int]:
    """Steps of the plain loop; yields the number of examples of each."""
    import torch
    from torch.nn import functional

    floats, ints, targets, ends = _encoded(store, encoding)
    model = _peer_model(encoding)
    adam = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    draws = np.random.default_rng(0)
    offsets = torch.arange(WINDOW)
    while True:
        for chosen in np.array_split(draws.permutation(ends), max(1, len(ends) // EXAMPLES)):
            at = torch.from_numpy(chosen)[:, None] - WINDOW + 1 + offsets
            output = model(floats[at], ints[at])
            truth = targets[at[:, -1]]
            sticks = functional.mse_loss(torch.sigmoid(output[:, :5]), truth[:, :5])
            loss = sticks + functional.binary_cross_entropy_with_logits(output[:, 5:], truth[:, 5:])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            yield len(chosen)


def _peer_model(encoding: Encoding) -> Any:
    import torch
    from torch import nn

    class _PolicyMlp(nn.Module):
        """Two layers over all frames of a window side by side, one table for each category."""

        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleDict(
                {c.name: nn.Embedding(c.n, c.embed) for c in encoding.vocabularies}
            )
            self.layers = nn.Sequential(
                nn.Linear(WINDOW * encoding.frame_width, 512),
                nn.ReLU(),
                nn.Dropout(0.1),
                nn.Linear(512, 256),
                nn.ReLU(),
                nn.Dropout(0.1),
                nn.Linear(256, 13),
            )

        def forward(self, floats: torch.Tensor, ints: torch.Tensor) -> torch.Tensor:
            """Floats [B, K, F], ints [B, K, I] -> [B, 13]."""
            embedded = [
                self.tables[c.name](ints[..., at]) for at, c in enumerate(encoding.vocabularies)
            ]
            out: torch.Tensor = self.layers(torch.cat([floats, *embedded], -1).flatten(1))
            return out

    return _PolicyMlp().train()


def _encoded(store: Store, encoding: Encoding) -> tuple[Any, Any, Any, Array]:
    """Encode all frames of a store, each beside the controls of the frame before.

    Returns floats, integers, the first player's controls, and the rows at which windows may end.
    """
    import torch

    parts, ends, first = [], [], 0
    for episode in range(len(store)):
        columns = store.episode(episode).columns
        shifted = {
            key: np.concatenate([np.zeros_like(columns[key][:1]), columns[key][:-1]])
            for key in GAME.schema.control_keys
        }
        floats, ints = encoding.encode({**columns, **shifted})
        parts.append((floats, ints, encoding.controls(columns)[:, 0]))
        ends.append(np.arange(first + WINDOW - 1, first + len(floats) - 1))
        first += len(floats)
    tensors = [torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)]
    return tensors[0].float(), tensors[1].long(), tensors[2].float(), np.concatenate(ends)


# ---- acting --------------------------------------------------------------------------------------


def _act(store: Store, decisions: int) -> dict[str, float]:
    """Wall-clock milliseconds of a decision of the default preset, from and to NumPy arrays."""
    _, task = _task(store, "default", 16, None, ())
    columns = store.episode(0).columns
    figures = {}
    for matches, mark in ((1, ""), (256, "_at_256")):
        view = {key: np.repeat(values[:1], matches, axis=0) for key, values in columns.items()}
        times = sorted(
            _decide(task.model.eval(), view, matches, decisions if matches == 1 else decisions // 4)
        )
        figures[f"act_p50_ms{mark}"] = 1000 * times[len(times) // 2]
        figures[f"act_p99_ms{mark}"] = 1000 * times[int(len(times) * 0.99)]
    return figures


def _decide(model: Any, view: Columns, matches: int, decisions: int) -> list[float]:
    import torch

    memory = model.initial(matches)
    draws = np.random.default_rng(0)
    keys = (*model.input_columns, *GAME.schema.control_keys)
    kinds: dict[str, Callable[[Array], Array]] = {
        key: (lambda values: values.astype(np.int64))
        if isinstance(GAME.schema.columns[key].field, Choice)
        else (lambda values: values)
        for key in keys
    }
    times = []
    for _ in range(decisions + 20):
        began = time.perf_counter()
        tensors = {key: torch.from_numpy(kinds[key](view[key])) for key in keys}
        noise = torch.from_numpy(draws.random((matches, model.draws), np.float32))
        controls, _, memory = model.step(tensors, memory, noise)
        pressed = {key: values.numpy() for key, values in controls.items()}
        times.append(time.perf_counter() - began)
        assert len(pressed) == len(GAME.schema.control_keys)
    return times[20:]
