"""Benchmark of an accelerator (`shadowbox bench gpu`): decoding, training and acting on the device.

Every part gets a share of the seconds, and a part that the device cannot do says why. Rates are those
of the wall clock, since a device works beside the processor. On a CPU the parts that exist there run,
if it is named.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.bench.policy import LENGTH, _store
from shadowbox.core.schema import Choice
from shadowbox.data.split import Split
from shadowbox.errors import UsageError
from shadowbox.games.melee import GAME

PARTS = ("decode", "train_fp32", "train_bf16", "train_bf16_compiled", "act", "act_graph")
NIGHT = {"trunk": "ssd", "width": 512, "depth": 6, "hidden_width": 0, "head_width": 256}
LONGEST = 220.0  # seconds of all parts; with what is prepared before, four minutes
MATCHES = 256  # that decide together
WARM = 3  # runs of a part that are not counted
LEAST = 5  # runs of a part that are

Part = Callable[[], float]  # runs once; the number of items that it did


def bench_gpu(
    device: str = "cuda",
    seconds: float = 180.0,
    batch: int = 64,
    model: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Figures of each part on a device, all within `seconds`; null, with the reason, where it cannot be.

    `batch`: segments of a training step; `model`: changes to the policy of a GPU night.
    """
    import torch

    from shadowbox.train.distributed import choose_device

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "no CUDA device is here: run this where one is, or measure what a CPU can with --device cpu"
        )
    if not 1 <= seconds <= LONGEST:
        raise UsageError(f"seconds is {seconds:g}, 1 to {LONGEST:g} is needed")
    place, began = choose_device(device), time.monotonic()
    torch.manual_seed(0)
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "torch": torch.__version__,
        "batch": batch,
        "matches": MATCHES,
    }
    reasons: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="shadowbox-bench-") as folder:
        bench = _Bench(Path(folder), place, batch, {**NIGHT, **(model or {})})
        until = time.monotonic() + seconds
        figures["parameters"] = sum(each.numel() for each in bench.policy.parameters())
        for at, name in enumerate(PARTS):
            left = (until - time.monotonic()) / (len(PARTS) - at)
            rate = None
            if time.monotonic() - began > LONGEST:
                reasons[name] = f"{LONGEST:g} seconds were over"
            else:
                try:
                    rate = _rate(getattr(bench, name)(), left, place)
                except UsageError as error:
                    reasons[name] = str(error)
                except (RuntimeError, NotImplementedError, AssertionError) as error:
                    # of the device or of its compiler, whose messages have many lines
                    reasons[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            figures[f"{name}_per_wall_s"] = rate
    figures["left_out"] = reasons
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures


def _rate(part: Part, seconds: float, device: Any) -> float:
    """Items a second of a part, the median of its runs; the first ones are not counted."""
    until = time.monotonic() + seconds
    for _ in range(WARM):
        part()
    rates: list[float] = []
    while len(rates) < LEAST or time.monotonic() < until:
        _finish(device)
        began = time.perf_counter()
        items = part()
        _finish(device)
        rates.append(items / (time.perf_counter() - began))
        if time.monotonic() > until and len(rates) >= 2:
            break
    return statistics.median(rates)


def _finish(device: Any) -> None:
    """Wait until the device has done all that it was asked for."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Bench:
    """A policy of the night's size with a batch of generated rows, both on the device."""

    def __init__(self, folder: Path, device: Any, batch: int, model: Mapping[str, Any]) -> None:
        from shadowbox.learners.imitation_task import prepare
        from shadowbox.train.config import TrainConfig

        self.device, self.config = device, TrainConfig(steps=1, batch=batch, device=device.type)
        self.task = prepare(
            _store(folder / "store"),
            self.config,
            input_columns=GAME.encodings["default"],
            length=LENGTH,
            split=Split(0.9, 0.1, 0.0),
            **model,
        )
        learner: Any = self.task.learner
        self.learner, self.policy = learner, learner.policy.to(device)
        self.examples = next(iter(self.task.source(batch, 0, 1)))
        self.targets = self.learner.num_targets(self.examples)

    def decode(self) -> Part:
        """Rows a second, from packed bytes on the device to a tensor for each column."""
        import torch

        from shadowbox.model.codec import decode

        rows = torch.from_numpy(self.examples.rows).to(self.device)
        count = float(rows.shape[0] * rows.shape[1])

        def run() -> float:
            decode(GAME.schema, rows, tuple(GAME.schema.columns))
            return count

        return run

    def train_fp32(self) -> Part:
        """Decisions a second of training steps in 32-bit floats, the copy to the device included."""
        return self._training("fp32", compiled=False)

    def train_bf16(self) -> Part:
        """The same in bf16, if the device has it."""
        return self._training("bf16", compiled=False)

    def train_bf16_compiled(self) -> Part:
        """The same, compiled; in 32-bit floats where the device has no bf16."""
        from shadowbox.train.distributed import computes_bf16

        return self._training("bf16" if computes_bf16(self.device) else "fp32", compiled=True)

    def _training(self, precision: str, *, compiled: bool) -> Part:
        import torch

        from shadowbox.train.distributed import autocast, computes_bf16
        from shadowbox.train.schedule import build_optimizer

        if precision == "bf16" and not computes_bf16(self.device):
            raise UsageError(f"this {self.device.type} does not compute in bf16")
        if compiled and self.device.type != "cuda":
            raise UsageError("compiling is measured on a CUDA device")
        model = self.policy.train()
        called: Any = torch.compile(model) if compiled else model
        adam = build_optimizer(model, self.config, self.device)

        def run() -> float:
            with autocast(precision, self.device):
                batch = self.learner.to_device(self.examples, self.device)
                loss, _ = self.learner.loss(called, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            adam.zero_grad()
            return float(self.targets)

        return run

    def act(self) -> Part:
        """Decisions a second of matches that decide together, one frame after another."""
        return self._acting()[0]

    def act_graph(self) -> Part:
        """The same as one CUDA graph: a frame is a single call to the device."""
        import torch

        if self.device.type != "cuda":
            raise UsageError("CUDA graphs need a CUDA device")
        run, _ = self._acting()
        cuda: Any = torch.cuda  # has no types
        stream = cuda.Stream(self.device)
        stream.wait_stream(cuda.current_stream(self.device))
        with cuda.stream(stream):
            for _ in range(WARM):
                run()
        cuda.current_stream(self.device).wait_stream(stream)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            run()

        def replay() -> float:
            graph.replay()
            return float(MATCHES)

        return replay

    def _acting(self) -> tuple[Part, Mapping[str, Any]]:
        """A frame of all matches, whose memory stays in the same tensors from frame to frame."""
        import torch

        model = self.policy.eval()
        memory = model.initial(MATCHES, self.device)
        noise = torch.rand(MATCHES, model.draws, device=self.device)
        view = {}
        for key in (*model.input_columns, *GAME.schema.control_keys):
            column = GAME.schema.columns[key]
            kind = np.int64 if isinstance(column.field, Choice) else column.dtype
            zeros = np.zeros((MATCHES, column.slots), kind)
            view[key] = torch.from_numpy(zeros).to(self.device)

        def run() -> float:
            _, _, following = model.step(view, memory, noise)
            for key, values in following.items():
                memory[key].copy_(values)
            return float(MATCHES)

        return run, memory
