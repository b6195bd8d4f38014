"""Session of a run: everything that changes while it trains, and its way to a checkpoint and back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.game import stable_hash
from shadowbox.core.metrics import MetricInfo
from shadowbox.errors import CheckpointError, UsageError
from shadowbox.model import checkpoint
from shadowbox.train import schedule
from shadowbox.train.config import TrainConfig
from shadowbox.train.distributed import Ranks, choose_precision, compiled
from shadowbox.train.guardrails import _FiniteGuard
from shadowbox.train.log import Log
from shadowbox.train.observer import CALLED_OFF, CONTINUE, Observer
from shadowbox.train.protocols import (
    BatchSource,
    LineSource,
    Stateful,
    TrainTask,
    Updater,
    _TableSource,
)
from shadowbox.train.provenance import CostMeter
from shadowbox.train.timing import _StepTimer


class _RunningMeans:
    """Running weighted means of figures on the device, so that no step waits for a number."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.names, self.weight, self.norm = list(names), 0.0, 0.0
        self.sums = torch.zeros(len(self.names), device=device)

    def add(self, values: Tensor, weight: float, norm: float) -> None:
        """Add the figures of a step: `values` [figures], multiplied by their weight already.

        The gradient's norm is a number of all ranks.
        """
        self.sums += values
        self.weight += weight
        self.norm += norm * weight

    def take(self, ranks: Ranks) -> dict[str, float]:
        """Means over all ranks since the last call."""
        *sums, weight = ranks.add([*self.sums.tolist(), self.norm, self.weight])
        self.sums.zero_()
        self.weight = self.norm = 0.0
        names = (*self.names, "norm")
        return {
            name: total / weight if weight else float("nan")
            for name, total in zip(names, sums, strict=True)
        }

    def state(self) -> dict[str, Any]:
        """State as plain data."""
        return {"sums": self.sums.clone(), "weight": self.weight, "norm": self.norm}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.sums.copy_(state["sums"])
        self.weight, self.norm = float(state["weight"]), float(state["norm"])


class Session:
    """The changing parts of a run: model, optimizer, batches, counters and log."""

    def __init__(
        self,
        task: TrainTask,
        run: Path,
        config: TrainConfig,
        ranks: Ranks,
        log: Log,
        meter: CostMeter,
    ) -> None:
        self.task, self.run, self.config, self.ranks, self.log = task, run, config, ranks, log
        _seed(config.seed, ranks.rank)
        # asked once: the question is slow
        self.updater = task.learner if isinstance(task.learner, Updater) else None
        self.stateful = task.learner if isinstance(task.learner, Stateful) else None
        self.line_source = task.learner if isinstance(task.learner, LineSource) else None
        self.table_source = task.learner if isinstance(task.learner, _TableSource) else None
        self.lines: Mapping[str, Mapping[str, MetricInfo]] = {}  # of the learner's own kinds
        # kind of line, name and facts of the score that the best checkpoint is best in
        self.score: tuple[str, str, MetricInfo] | None = None
        self.model = task.model.to(ranks.device)
        schedule.freeze_parameters(self.model, config.freeze)
        self.precision = choose_precision(
            config, ranks.device, schedule.count(self.model.parameters())
        )
        ranks.follow(self.model.state_dict().values())
        kept = self.model.state_dict().keys()
        # that training may change
        self.buffers = [buffer for name, buffer in self.model.named_buffers() if name in kept]
        self.called = compiled(self.model, config)
        self.parameters = [each for each in self.model.parameters() if each.requires_grad]
        self.optimizer = schedule.build_optimizer(self.model, config, ranks.device)
        self.average = schedule.WeightAverage(self.model, config.ema) if config.ema else None
        self.source: BatchSource = task.source(ranks.share(config.batch), ranks.rank, ranks.count)
        self.batches: Iterator[Any] = iter(self.source)
        self.total = config.steps or sum(
            self.source.batches_in(epoch) for epoch in range(config.epochs or 0)
        )
        if not self.source.batches_in(0):
            raise UsageError(
                f"a batch of {config.batch} examples is more than an epoch has: choose a smaller one "
                f"(--batch, or batch: in a card), or record more"
            )
        names = ("loss", *task.learner.losses, *task.learner.metrics)
        self.recent, self.since = (
            _RunningMeans(names, ranks.device),
            _RunningMeans(names, ranks.device),
        )
        self.updated: tuple[Tensor | None, float | None] = (None, None)  # figures, gradient's norm
        self.finite = _FiniteGuard(config.skips, config.rollbacks)
        self.clock, self.meter = _StepTimer(), meter
        self.observer: Observer | None = None
        self.decision = CONTINUE  # of the observer, in this step
        self.step = self.saved = self.validated = 0
        self.validation_batches = 0  # of a rank; 0: all, until a validation runs out of time
        self.accumulate, self.halvings = config.accumulate, 0
        self.best: dict[str, Any] = {}
        self.stale = 0  # validations since the best one
        self.ended = self.reason = ""  # how the run ended, and why where it was called off
        self.resumed_from = ranks.count  # ranks that the run had before it was resumed
        self.checked = False  # that the learner returns what it declares

    @property
    def due(self) -> bool:
        """True if a line of training is written at this step."""
        return self.step % self.config.log_every == 0 or self.step >= self.total

    @property
    def epoch(self) -> int:
        """Number of complete epochs."""
        return self.source.epoch + (0 if self.source.left else 1)

    # ---- to and from checkpoints -----------------------------------------------------------------

    def save(self) -> None:
        """Save a checkpoint of this step; the first rank writes, all wait."""
        states = self.ranks.collect(self._rank_state())
        if self.ranks.first:
            self.log.sync()
            weights = self.model.state_dict()
            trainer = self._state() | {"ranks": states}
            if self.average:
                trainer["raw"] = {name: value.cpu() for name, value in weights.items()}
                weights = weights | self.average.weights()
            checkpoint.save(self.run, self.step, self.task.about, weights, trainer)
            self.point()
            checkpoint.prune(self.run, self.config.keep_every)
        self.saved = self.step
        self.ranks.wait()

    def point(self) -> None:
        """Let `best` point to the best checkpoint."""
        if self.best and self.best["step"] in checkpoint.steps(self.run):
            checkpoint.point(self.run, "best", self.best["step"])

    def load(self, found: checkpoint.Checkpoint) -> None:
        """Restore the exact state at which the checkpoint was taken."""
        state = found.trainer()
        self.resumed_from = len(state["ranks"])
        own = self._own_state(found, state)
        self.load_weights(found, state)
        # until 0.1.0 the place in the data was one for all ranks
        self.source.load(own.get("source", state.get("source")))
        self.batches = iter(self.source)
        self.recent.load(own["recent"])
        self.since.load(own["since"])
        if self.stateful:
            if "learner" not in own:
                raise CheckpointError(
                    f"{found.path} holds no state of the learner: begin a new run"
                )
            self.stateful.load(own["learner"])
        self.finite.load(state["finite"])
        self.step = self.saved = int(state["step"])
        self.accumulate, self.halvings = int(state["accumulate"]), int(state["halvings"])
        self.best, self.stale, self.ended = (
            dict(state["best"]),
            int(state["stale"]),
            str(state["ended"]),
        )
        if self.ended == CALLED_OFF:  # who resumes it wants it to go on
            self.ended = ""
        self.validated = int(state["validated"])
        self.validation_batches = int(state.get("validation_batches", 0))
        if own["random"] is not None:
            restore_random(own["random"])
        else:  # a process that the run did not have; not the draws of its beginning again
            _seed(stable_hash(self.config.seed, self.step, "more ranks") >> 1, self.ranks.rank)

    def _own_state(
        self, found: checkpoint.Checkpoint, state: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Part of a checkpoint that this rank goes on from, also if the run had another number of ranks.

        The place in the data is the same for all ranks where their order is shared, so the next
        batches are exactly those that the run would have had. Half-finished means are added up.
        Ranks that the run had keep their random numbers; further ones (None) draw new ones.
        """
        states: list[dict[str, Any]] = state["ranks"]
        rank, first = self.ranks.rank, states[0]
        if len(states) == self.ranks.count:
            return states[rank]
        source = first.get("source", state.get("source"))
        learners = [each.get("learner") for each in states]
        shared = getattr(self.source, "shared_order", False) and all(
            _is_same(each.get("source", source), source) for each in states
        )
        if not shared or not all(_is_same(each, learners[0]) for each in learners):
            what = "learner has a state" if shared else "data has an order"
            raise UsageError(
                f"{found.path} was trained by {len(states)} processes, here are {self.ranks.count}: "
                f"its {what} of its own in each of them; resume with {len(states)}"
            )
        means = {
            name: _add_means([each[name] for each in states], empty=rank > 0)
            for name in ("recent", "since")
        }
        random_state = states[rank]["random"] if rank < len(states) else None
        return {**first, **means, "random": random_state}

    def load_weights(
        self, found: checkpoint.Checkpoint, state: Mapping[str, Any], *, optimizer: bool = True
    ) -> None:
        """Load weights and the optimizer's moments.

        Learning rates and decays stay those of this run.
        """
        checkpoint.load_weights(self.model, state.get("raw", found.weights), str(found.path))
        if optimizer:
            if "optimizer" not in state:
                raise CheckpointError(f"{found.path} holds no state of an optimizer")
            options = [
                {k: v for k, v in group.items() if k != "params"}
                for group in self.optimizer.param_groups
            ]
            self.optimizer.load_state_dict(state["optimizer"])
            for group, given in zip(self.optimizer.param_groups, options, strict=True):
                group.update(given)
        if self.average and "average" in state:
            self.average.load(state["average"])

    def _rank_state(self) -> dict[str, Any]:
        """State that each rank has of its own."""
        return {
            "random": random_state(),
            "recent": self.recent.state(),
            "since": self.since.state(),
            "source": self.source.state(),
        } | ({"learner": dict(self.stateful.state())} if self.stateful else {})

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "finite": self.finite.state(),
            "accumulate": self.accumulate,
            "halvings": self.halvings,
            "best": self.best,
            "stale": self.stale,
            "validated": self.validated,
            "validation_batches": self.validation_batches,
            "ended": self.ended,
            "reason": self.reason,
        } | ({"average": self.average.state()} if self.average else {})


def _is_same(one: Any, other: Any) -> bool:
    """True if two states of plain data and tensors are equal."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other)


def _add_means(states: Sequence[Mapping[str, Any]], *, empty: bool) -> dict[str, Any]:
    """Half-finished means of all ranks together, for the first rank; the others go on from nothing."""
    share = 0.0 if empty else 1.0
    return {
        "sums": torch.stack([each["sums"] for each in states]).sum(0) * share,
        "weight": sum(each["weight"] for each in states) * share,
        "norm": sum(each["norm"] for each in states) * share,
    }


def random_state() -> dict[str, Any]:
    """State of every random generator that a learner may use, as plain data."""
    name, keys, *rest = np.random.get_state()  # the global one: a learner's libraries may use it
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "python": list(random.getstate()),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random(state: Mapping[str, Any]) -> None:
    """Continue from `random_state`."""
    torch.set_rng_state(state["torch"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, inner, following = state["python"]
    random.setstate((version, tuple(inner), following))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _seed(seed: int, rank: int) -> None:
    mixed = stable_hash(seed, rank, "training")
    torch.manual_seed(mixed >> 1)
    np.random.seed(mixed & 0xFFFFFFFF)
    random.seed(mixed)
