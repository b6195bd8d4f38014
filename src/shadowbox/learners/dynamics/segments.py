"""Training tasks of worlds: a learner and its segments of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from shadowbox.core.schema import Array
from shadowbox.data.split import Split
from shadowbox.learners.imitation_data import segment_batches, validation_episodes
from shadowbox.learners.registry import Inputs
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.train.protocols import TrainTask


def segments_task(
    inputs: Inputs,
    learner: Any,
    model: nn.Module,
    arguments: Mapping[str, Any],
    *,
    length: int,
    split: Split,
    sides: Mapping[str, Array],
) -> TrainTask:
    """Task of a learner on segments of `length` frames; `sides` are the episodes of the split."""
    store, settings = inputs.recordings, inputs.config
    validated = validation_episodes(store, sides["val"], length, settings.validate_rows)
    source, validation = segment_batches(store, length, settings, sides["train"], validated)
    learner.per_epoch = source(settings.batch, 0, 1).batches_in(0)
    return TrainTask(
        learner=learner,
        model=model,
        about=CheckpointConfig("world", store.schema, inputs.spec.preset, arguments),
        source=source,
        validation=validation,
        facts={
            "fingerprint": store.fingerprint,
            "split": split.to_json(),
            "episodes": {side: len(chosen) for side, chosen in sides.items()},
            **inputs.facts,
        },
        resume=inputs.resume,
        own=("contexts", "context_length"),
    )
