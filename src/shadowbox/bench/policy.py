"""`shadowbox bench policy`: learning and acting of policies, beside the loop that one would write in PyTorch.

The peer is the older systems' policy over the same store: frames encoded once and held in memory,
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
# targets a step; decisions a segment; frames a window of the peer sees
EXAMPLES, LENGTH, WINDOW = 1024, 64, 10
HELD = 12  # frames that a value stays on average
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
ANSWERS = tuple(f"pad/{name}" for name in PAD)


def bench_policy(steps: int = 6, rounds: int = 5, decisions: int = 400) -> dict[str, Any]:
    """Targets per CPU-second of ours and of the peer, taken in turns.

    Milliseconds of a decision; medians of `rounds`.
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
                store, "policy-mlp", EXAMPLES // LENGTH, "fp32", GAME.encodings["v3"], ANSWERS
            ),
            "default": _ours(
                store, "default", 4 * EXAMPLES // LENGTH, "fp32", GAME.encodings["v3"], ANSWERS
            ),
        }
        if bf16:
            runs["bf16"] = _ours(
                store, "policy-mlp", EXAMPLES // LENGTH, "bf16", GAME.encodings["v3"], ANSWERS
            )
            runs["default_bf16"] = _ours(
                store, "default", 4 * EXAMPLES // LENGTH, "bf16", GAME.encodings["v3"], ANSWERS
            )
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(rounds + 1):
            for name, run in runs.items():
                rate = _rate(run, steps)
                rates[name] += [rate] if number else []  # the first round warms up
        act = _act(store, decisions)
    middle = {name: statistics.median(found) for name, found in rates.items()}
    paired = {
        name: statistics.median(np.divide(found, rates["peer"]).tolist())
        for name, found in rates.items()
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


# ---- a store of nobody's matches -------------------------------------------------------------------------------


def _store(path: Path) -> Store:
    with Writer(path, GAME.schema) as writer:
        for seed in range(EPISODES):
            writer.add(Episode(_columns(FRAMES + 1, seed), {"seed": seed}))
    return Store(path)


def _columns(rows: int, seed: int) -> Columns:
    """Values that stay for a while, of every column."""
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


# ---- ours ------------------------------------------------------------------------------------------------------


def _task(
    store: Store, preset: str, batch: int, encoding: Encoding | None, answers: tuple[str, ...]
) -> Any:
    from shadowbox.learners.imitation import prepare
    from shadowbox.train.config import TrainConfig

    config = TrainConfig(steps=1, batch=batch, device="cpu")
    changes: dict[str, Any] = {"output_controls": answers} if answers else {}
    input_columns = GAME.schema.state_keys if encoding else GAME.encodings["default"]
    return config, prepare(store, config, preset=preset, input_columns=input_columns, encoding=encoding, length=LENGTH,
                           split=Split(0.9, 0.1, 0.0), **changes)  # fmt: skip


def _ours(
    store: Store,
    preset: str,
    batch: int,
    precision: str,
    encoding: Encoding | None = None,
    answers: tuple[str, ...] = (),
) -> Iterator[int]:
    """One step of the loop's work after another; yields its targets."""
    import torch

    from shadowbox.train.schedule import build_optimizer

    config, task = _task(store, preset, batch, encoding, answers)
    device = torch.device("cpu")
    adam = build_optimizer(task.model.train(), config, device)
    for examples in task.source(batch, 0, 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss, _ = task.learner.loss(task.model, task.learner.put(examples, device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        yield int(task.learner.count(examples))


# ---- the peer --------------------------------------------------------------------------------------------------


def _peer(store: Store, encoding: Encoding) -> Iterator[int]:
    """The plain loop; yields its examples."""
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

    class PolicyMlp(nn.Module):
        """Every category through its table, all frames of the window side by side, two layers."""

        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleDict(
                {c.name: nn.Embedding(c.n, c.embed) for c in encoding.vocabularies}
            )
            self.layers = nn.Sequential(
                nn.Linear(WINDOW * encoding.frame_width, 512), nn.ReLU(), nn.Dropout(0.1), nn.Linear(512, 256), nn.ReLU(),
                nn.Dropout(0.1), nn.Linear(256, 13),
            )  # fmt: skip

        def forward(self, floats: torch.Tensor, ints: torch.Tensor) -> torch.Tensor:
            """Floats [B, K, F], ints [B, K, I] -> [B, 13]."""
            embedded = [
                self.tables[c.name](ints[..., at]) for at, c in enumerate(encoding.vocabularies)
            ]
            out: torch.Tensor = self.layers(torch.cat([floats, *embedded], -1).flatten(1))
            return out

    return PolicyMlp().train()


def _encoded(store: Store, encoding: Encoding) -> tuple[Any, Any, Any, Array]:
    """All frames encoded with the controls of the frame before, the first player's controls, and where windows may end."""
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
    found = [torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)]
    return found[0].float(), found[1].long(), found[2].float(), np.concatenate(ends)


# ---- acting ----------------------------------------------------------------------------------------------------


def _act(store: Store, decisions: int) -> dict[str, float]:
    """Milliseconds of a decision of the default preset, from a view in NumPy to controls in NumPy, wall clock."""
    _, task = _task(store, "default", 16, None, ())
    columns = store.episode(0).columns
    found = {}
    for matches, mark in ((1, ""), (256, "_at_256")):
        view = {key: np.repeat(values[:1], matches, axis=0) for key, values in columns.items()}
        times = sorted(
            _decide(task.model.eval(), view, matches, decisions if matches == 1 else decisions // 4)
        )
        found[f"act_p50_ms{mark}"] = 1000 * times[len(times) // 2]
        found[f"act_p99_ms{mark}"] = 1000 * times[int(len(times) * 0.99)]
    return found


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
