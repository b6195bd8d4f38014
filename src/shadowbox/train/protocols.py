"""What the loop and a learner agree on. A learner knows its model and its batches; the loop knows neither.

B: examples of a batch. Sums over targets, not means, are what batches of different sizes and ranks
can be added by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Array
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.train.observer import CALLED_OFF

Descend = Callable[[Tensor], None]  # a loss -> one guarded step of the optimizer


class ScoreSums(NamedTuple):
    """A figure of each example as a ratio, numerator [B] / denominator [B], so that episodes can be drawn again."""

    top: Tensor
    bottom: Tensor


class TrainBatch(Protocol):
    """Examples in NumPy arrays, each from an episode."""

    @property
    def episode(self) -> Array: ...  # noqa: D102  [B]

    def __len__(self) -> int: ...

    def part(self, rows: slice) -> TrainBatch: ...  # noqa: D102


class BatchSource(Protocol):
    """Batches in a seeded order that can be taken up again anywhere: `data.sample.Sampler`, for one."""

    epoch: int

    @property
    def left(self) -> int: ...  # noqa: D102  batches to the end of the epoch

    def batches_in(self, epoch: int) -> int: ...  # noqa: D102

    def __iter__(self) -> Iterator[Any]: ...

    def state(self) -> dict[str, Any]: ...  # noqa: D102

    def load(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102


class Learner(Protocol):
    """What to make smaller, and how to tell whether that helped.

    `losses` (name -> weight), `metrics` and `scores` (name -> its baselines) declare what `loss`
    and `score` return: no more, no less. The loop asserts it once, and that the scalar is the
    weighted sum of the losses.
    """

    @property
    def losses(self) -> Mapping[str, float]:
        """Loss -> its weight."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """What else `loss` tells."""
        ...

    @property
    def scores(self) -> Mapping[str, MetricInfo]:
        """Score -> the better direction, its bounds and its baselines."""
        ...

    def to_device(self, batch: Any, device: torch.device) -> Any:
        """A batch as tensors on the device."""
        ...

    def num_targets(self, batch: Any) -> float:
        """How many targets a batch (in NumPy) has: its weight among others."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar, and each loss and metric: means over the batch's targets."""
        ...

    def score(self, model: nn.Module, batch: Any) -> dict[str, ScoreSums]:
        """Each score, and each baseline of it as "score/baseline"."""
        ...


@runtime_checkable
class Updater(Protocol):
    """A learner that takes several steps of the optimizer on a batch, as self-play does, in place of the loop's one."""

    def update(self, model: nn.Module, batch: Any, descend: Descend) -> dict[str, Tensor]:
        """Learn from a batch by calling `descend` with losses; the declared losses and metrics."""
        ...


@dataclass(frozen=True)
class TrainTask:
    """Everything that is particular about a run."""

    learner: Learner
    model: nn.Module
    about: CheckpointConfig
    source: Callable[[int, int, int], BatchSource]  # batch of one rank, rank, ranks
    validation: Callable[[], Iterable[Any]] | None = None
    # for run.json: data fingerprint, card hash
    facts: Mapping[str, Any] = field(default_factory=dict)
    resume: str = ""  # the command that goes on, said when a run stops


@dataclass(frozen=True)
class ParentCheckpoint:
    """Another run's checkpoint to begin from: a spec such as `runs/x@best`."""

    spec: str
    optimizer: bool = False  # take its moments, too


@dataclass(frozen=True)
class TrainResult:
    """How a run ended."""

    run: Path
    step: int
    epoch: int
    ended: str  # finished, early stop, called off, paused, or the signal that stopped it
    best: Mapping[str, Any]
    table: Mapping[str, float]  # seconds by part of the loop
    rank: int = 0  # of the process that says so
    reason: str = ""  # why it was called off or paused

    @property
    def whole(self) -> bool:
        """Nothing is left to do."""
        return self.ended in ("finished", "early stop", CALLED_OFF)
