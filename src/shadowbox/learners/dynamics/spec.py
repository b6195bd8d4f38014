"""Learned worlds as a learner of cards: trained on recordings of a game."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shadowbox.errors import UsageError
from shadowbox.learners.registry import Inputs, LearnerSpec, ModelSummary, RunSpec, metric_info

if TYPE_CHECKING:  # it needs torch
    from shadowbox.train.protocols import TrainTask

KIND = "world"  # of its checkpoints


class _DynamicsSpec(LearnerSpec):
    """Learner of what the state of a game is after every frame."""

    needs = frozenset({"store"})

    @property
    def defaults(self) -> Mapping[str, Any]:
        from shadowbox.learners.dynamics.task import _DynamicsConfig

        return asdict(_DynamicsConfig())

    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        from shadowbox.model.world.older import OLDER, _OlderConfig
        from shadowbox.model.world.world import WORLDS, _WorldConfig

        found = {name: _WorldConfig.of(preset).flat() for name, preset in WORLDS.items()}
        return found | {name: _OlderConfig.of(preset).flat() for name, preset in OLDER.items()}

    def preset_settings(self, preset: str) -> Mapping[str, Any]:
        from shadowbox.model.world.older import SETTINGS

        return SETTINGS.get(preset, {})

    def input_facts(self, spec: RunSpec) -> Mapping[str, Any]:
        from shadowbox.learners.dynamics.older import encoding_of

        return encoding_of(spec).widths if _is_older(spec) else {}

    def summarize(self, inputs: Inputs) -> ModelSummary:
        import torch

        from shadowbox.learners.dynamics.measure import measured
        from shadowbox.learners.dynamics.older import summarize_older
        from shadowbox.learners.dynamics.task import part_losses, scores_of
        from shadowbox.model.world.world import build_world
        from shadowbox.train.schedule import count

        config = self._config(inputs.spec)
        if _is_older(inputs.spec):
            return summarize_older(inputs, config)
        arguments, tables, _ = measured(inputs, config)
        with torch.device("meta"):
            model = build_world(inputs.schema, arguments, tables=tables)
        losses = part_losses(model, config)
        return ModelSummary(
            arguments,
            count(model.parameters()),
            metric_info(losses, scores_of(model)),
            exact=inputs.store is not None,
            kind=KIND,
        )

    def count(self, inputs: Inputs) -> dict[str, int]:
        from shadowbox.data.sample import Segments
        from shadowbox.data.split import Split

        store, split = inputs.recordings, inputs.split or Split()
        train, val = (split.episodes(store, side) for side in ("train", "val"))
        found = {"train_episodes": len(train), "val_episodes": len(val)}
        if len(train):
            length = self._config(inputs.spec).length
            segments = Segments(store, length, inputs.config.batch, episodes=train, drop_last=True)
            found["batches_per_epoch"] = segments.batches_in(0)
        return found

    def examples(self, inputs: Inputs) -> int:
        """Positions of a segment."""
        return int(self._config(inputs.spec).length)

    def prepare(self, inputs: Inputs) -> TrainTask:
        from shadowbox.learners.dynamics.older import prepare_older
        from shadowbox.learners.dynamics.task import prepare

        build = prepare_older if _is_older(inputs.spec) else prepare
        return build(inputs, self._config(inputs.spec))

    def _config(self, spec: RunSpec) -> Any:
        from shadowbox.learners.dynamics.task import _DynamicsConfig

        config, usual = _DynamicsConfig(**dict(spec.learner)), _DynamicsConfig()
        older = _is_older(spec)
        ignored = {"swap_seats": False, "context_noise": 0.0, "binary_weight": 1.0}
        ignored |= {"self_forcing": 0.0}
        for name, value in (ignored if older else {"encoding": usual.encoding}).items():
            if getattr(config, name) != value:
                instead = " (model.binary_weight is its weight)" if name == "binary_weight" else ""
                raise UsageError(
                    f"learner.{name} must be {value} with preset '{spec.preset}'{instead}"
                )
        return config


def _is_older(spec: RunSpec) -> bool:
    """Return true for a preset of older systems, which has a model and a task of its own."""
    from shadowbox.model.world.older import OLDER

    return spec.preset in OLDER


SPEC = _DynamicsSpec()
