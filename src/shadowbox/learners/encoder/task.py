"""Training task of a strategy encoder: the keys that a player presses next, and who the player is.

B: segments, S: segments times players, T: positions. Every player of a recording is the opponent of
the other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.metrics import MetricInfo
from shadowbox.data.sample import Batch, align
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learners.imitation_data import (
    opponent_labels,
    segment_batches,
    split_episodes,
    validation_episodes,
)
from shadowbox.learners.registry import Inputs
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.model.codec import decode, from_every_seat
from shadowbox.model.strategy.encoder import (
    StrategyEncoder,
    auxiliary_weights,
    build_encoder,
    task_scores,
)
from shadowbox.train.protocols import ScoreSums, TrainTask

# of validations by task: name, and facts
SCORES = {
    "next_controls": ("loss", MetricInfo("low", 0.0, baselines=("copy_last",))),  # nats, all keys
    "identity": ("identity", MetricInfo("high", 0.0, 1.0, ("most_frequent",))),  # accuracy
}


@dataclass(frozen=True, kw_only=True)
class _EncoderConfig:
    """Settings of the learner."""

    length: int = 128  # positions of a segment
    strategy_coef: float = 1.0  # of predicting the next keys
    identity_coef: float = 0.1  # of telling the players apart

    def __post_init__(self) -> None:
        if not 2 <= self.length <= 1 << 16:
            raise UsageError(f"learner.length must be from 2 to 65,536 (got {self.length:,})")


class _Segments(NamedTuple):
    """Segments as seen from every seat."""

    view: Mapping[str, Tensor]  # [S, T, slots]
    reset: Tensor  # [S, T]
    decided: Tensor  # [S, T]: positions of the recording
    opponent: Tensor  # [S] number of the opponent's name, or -1


class _EncoderLearner:
    """Losses of the auxiliary tasks, which here are the only ones."""

    metrics: tuple[str, ...] = ()

    def __init__(self, encoder: StrategyEncoder, store: Store, config: _EncoderConfig) -> None:
        self.encoder, self.schema = encoder, store.schema
        self.losses = auxiliary_weights(encoder, config.strategy_coef, config.identity_coef)
        self.scores = dict(SCORES[name] for name in self.losses)
        self.seats = tuple(range(store.schema.players))
        self._opponent = opponent_labels(store, encoder.opponents, self.seats)
        counts = np.bincount(self._opponent[self._opponent >= 0].ravel(), minlength=1)
        self._most_frequent = int(counts.argmax())

    def to_device(self, batch: Batch, device: torch.device) -> _Segments:
        """Decoded columns on the device, from every seat."""
        rows, inside, opponent = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (batch.rows, batch.inside, self._opponent[batch.episode])
        )
        columns = decode(self.schema, rows, self.encoder.keys)
        aligned = align(self.schema, columns, inside)
        state, before = (aligned.for_policy()[0][name] for name in ("state", "previous"))
        many = len(self.seats)
        return _Segments(
            from_every_seat(self.schema, {**state, **before}, self.seats),
            (~aligned.started).repeat(many, 1),
            aligned.decided.repeat(many, 1),
            opponent.t().flatten(),
        )

    def num_targets(self, batch: Batch) -> float:
        """Number of positions, over all players."""
        return float((batch.inside[:, 1:-1] & batch.inside[:, 2:]).sum()) * len(self.seats)

    def loss(self, model: nn.Module, batch: _Segments) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the tasks, and each."""
        tasks: dict[str, Tensor] = model(*batch)
        total = torch.stack([weight * tasks[name] for name, weight in self.losses.items()]).sum()
        return total, {name: cost.detach() for name, cost in tasks.items()}

    def score(self, model: nn.Module, batch: _Segments) -> dict[str, ScoreSums]:
        """Scores and their baselines by example of the batch, both players together."""
        memory = self.encoder.initial(len(batch.reset), batch.reset.device)
        latent, _ = self.encoder.seq(batch.view, memory, batch.reset)
        found = task_scores(self.encoder, latent, *batch, most_frequent=self._most_frequent)
        sums = {}
        for name, (top, bottom) in found.items():
            task, slash, baseline = name.partition("/")
            if task == "next_controls":
                top = top * self.encoder.pressed
            both = (each.sum(1).view(len(self.seats), -1).sum(0) for each in (top, bottom))
            sums[f"{SCORES[task][0]}{slash}{baseline}"] = ScoreSums(*both)
        return sums


def prepare(inputs: Inputs, arguments: Mapping[str, Any], config: _EncoderConfig) -> TrainTask:
    """Build the training task of a store."""
    store, settings, split = inputs.recordings, inputs.config, inputs.split or Split()
    sides = split_episodes(store, split)
    model = build_encoder(store.schema, arguments, settings.seed)
    validated = validation_episodes(store, sides["val"], config.length, settings.validate_rows)
    source, validation = segment_batches(store, config.length, settings, sides["train"], validated)
    return TrainTask(
        learner=_EncoderLearner(model, store, config),
        model=model,
        about=CheckpointConfig("encoder", store.schema, inputs.spec.preset, dict(arguments)),
        source=source,
        validation=validation,
        facts={
            "fingerprint": store.fingerprint,
            "split": split.to_json(),
            "episodes": {side: len(chosen) for side, chosen in sides.items()},
            **inputs.facts,
        },
        resume=inputs.resume,
    )
