"""Protocols between the training loop and learners.

A learner knows its model and batches; the loop knows neither. B: examples of a batch. Scores are
sums over targets, not means, so that batches of different sizes and ranks add up.
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
from shadowbox.core.stats import Interval
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.train.observer import CALLED_OFF
from shadowbox.train.tables import _Table

Descend = Callable[[Tensor], None]  # a loss -> one guarded step of the optimizer


class ScoreSums(NamedTuple):
    """A score of each example as a ratio, numerator [B] / denominator [B], to resample episodes."""

    top: Tensor
    bottom: Tensor


class _TrainBatch(Protocol):
    """Examples in NumPy arrays, each from an episode."""

    @property
    def episode(self) -> Array: ...

    def __len__(self) -> int: ...

    def part(self, rows: slice) -> _TrainBatch: ...


class BatchSource(Protocol):
    """Batches in a seeded order that can be resumed anywhere, such as `data.sample.Sampler`."""

    epoch: int

    @property
    def left(self) -> int: ...  # noqa: D102  batches to the end of the epoch

    def batches_in(self, epoch: int) -> int: ...  # noqa: D102

    def __iter__(self) -> Iterator[Any]: ...

    def state(self) -> dict[str, Any]: ...  # noqa: D102

    def load(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102


class Learner(Protocol):
    """A loss to minimize, and scores that show progress.

    `losses` (name -> weight), `metrics` and `scores` (name -> its baselines) declare exactly what
    `loss` and `score` return. The loop asserts it once, and that the scalar is the weighted sum of
    the losses.
    """

    @property
    def losses(self) -> Mapping[str, float]:
        """Weight of each loss, by name."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of further values that `loss` returns."""
        ...

    @property
    def scores(self) -> Mapping[str, MetricInfo]:
        """Better direction, bounds and baselines of each score, by name."""
        ...

    def to_device(self, batch: Any, device: torch.device) -> Any:
        """A batch as tensors on the device."""
        ...

    def num_targets(self, batch: Any) -> float:
        """Number of targets in a batch (in NumPy): its weight among other batches."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss, and each loss and metric as means over the batch's targets."""
        ...

    def score(self, model: nn.Module, batch: Any) -> dict[str, ScoreSums]:
        """Each score, and each of its baselines as "score/baseline"."""
        ...


@runtime_checkable
class Updater(Protocol):
    """A learner that takes several optimizer steps on a batch, as PPO does, instead of the loop's one."""

    def update(self, model: nn.Module, batch: Any, descend: Descend) -> dict[str, Tensor]:
        """Learn from a batch by calling `descend` with losses.

        Return the declared losses and metrics.
        """
        ...


@runtime_checkable
class Stateful(Protocol):
    """A learner with a state of its own beside the model: a league, a return normalizer, contexts.

    The state of each rank is kept in the checkpoint and restored when the run is resumed.
    """

    def state(self) -> Mapping[str, Any]:
        """State as plain data: tensors, numbers, text and containers."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        ...


@runtime_checkable
class LineSource(Protocol):
    """A learner that writes lines of its own kinds to the log, such as `play`."""

    @property
    def lines(self) -> Mapping[str, Mapping[str, MetricInfo]]:
        """Declared figures by kind: better direction, bounds and baselines of each."""
        ...

    def take_lines(self, due: bool) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Figures of this rank since the last call, by kind, each as numerator and denominator.

        Called after every step on all ranks; `due` is true when a line of training is written.
        Empty if there is nothing to write.
        """
        ...


@runtime_checkable
class _TableSource(Protocol):
    """A learner that writes tables beside the log, such as a row for each match."""

    @property
    def tables(self) -> Mapping[str, _Table]:
        """Tables by file name."""
        ...

    def take_seen(self) -> list[Any]:
        """What this rank has to tell since the last call, as plain data; called after `take_lines`."""
        ...

    def table_rows(self, seen: list[Any]) -> Mapping[str, list[Mapping[str, Any]]]:
        """Rows by file name, made from what all ranks have seen; called on the first rank alone."""
        ...

    def pages(self, run: Path) -> Mapping[str, bytes]:
        """Files drawn from the tables when a session of the run ends, by name."""
        ...


@runtime_checkable
class _Combining(Protocol):
    """A learner with scores that are made of several ratios of sums."""

    @property
    def combined(self) -> tuple[str, ...]:
        """Names of these scores, which are declared beside the others."""
        ...

    def combine(self, sums: Mapping[str, tuple[Array, Array]]) -> Mapping[str, Array]:
        """Values [n] of these scores and their baselines, from numerators and denominators [n]."""
        ...


@runtime_checkable
class _RowSource(Protocol):
    """A learner with columns of its own in the console's table of validations."""

    def table_row(
        self, trained: Mapping[str, float], found: Mapping[str, Interval], lr: float
    ) -> Mapping[str, float]:
        """Row from the means since the last validation, its scores, and the learning rate."""
        ...


@dataclass(frozen=True)
class TrainTask:
    """Everything that is specific to a run: learner, model, batches and facts."""

    learner: Learner
    model: nn.Module
    about: CheckpointConfig
    source: Callable[[int, int, int], BatchSource]  # batch of one rank, rank, ranks
    validation: Callable[[], Iterable[Any]] | None = None
    # for run.json: data fingerprint, card hash
    facts: Mapping[str, Any] = field(default_factory=dict)
    resume: str = ""  # the command that goes on, said when a run stops
    # names of weights begin so that a parent may lack, such as `value.`; they begin anew
    fresh: tuple[str, ...] = ()
    # names of weights whose last inputs a parent may lack, and how many: these columns begin as zeros.
    # A parent may also have one input more, whose column is left out, since it is 0 here
    grown: Mapping[str, int] = field(default_factory=dict)
    # names of weights that come from the run's own data, such as starts, and from no parent
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParentCheckpoint:
    """Checkpoint of another run to start from: a spec such as `runs/x@best`."""

    spec: str
    optimizer: bool = False  # take its moments, too


@dataclass(frozen=True)
class TrainResult:
    """Result of a run: its end, its best checkpoint, and its times."""

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
        """True if nothing is left to do."""
        return self.ended in ("finished", "early stop", CALLED_OFF)
