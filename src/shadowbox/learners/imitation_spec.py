"""Imitation as a learner of cards: its presets, settings, and data needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shadowbox.core.encoding import encoding_name
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.learners.registry import (
    Inputs,
    LearnerSpec,
    ModelSummary,
    RunSpec,
    metric_info,
    parent_arguments,
)

if TYPE_CHECKING:  # it needs torch
    from shadowbox.train.protocols import TrainTask


LONGEST = 1 << 16  # decisions of a segment: more than 18 minutes at 60 a second


class _ImitationSpec(LearnerSpec):
    """Learner that imitates the players of a store."""

    needs = frozenset({"store"})
    takes = frozenset({"stages"})

    @property
    def defaults(self) -> Mapping[str, Any]:
        from shadowbox.learners.imitation_options import ImitationConfig

        usual = {"length": 64, "encoding": "default", "strategy_from": ""}
        return {**usual, **asdict(ImitationConfig())}

    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        from shadowbox.model.design import PRESETS, PolicyConfig

        return {name: {**PolicyConfig().flat(), **changes} for name, changes in PRESETS.items()}

    def summarize(self, inputs: Inputs) -> ModelSummary:
        import torch

        from shadowbox.learners.imitation import declare_metrics
        from shadowbox.learners.imitation_task import (
            STAGE_LINES,
            imitation_config,
            policy_arguments,
        )
        from shadowbox.model import policy
        from shadowbox.model.strategy.encoder import auxiliary_weights
        from shadowbox.train.schedule import count, freeze_parameters

        spec, shown = inputs.spec, self._shown(inputs.spec)
        self._length(spec)  # refused here, too, where no data is needed
        arguments = policy_arguments(
            inputs.schema,
            spec.preset,
            inputs.store,
            inputs.split,
            imitation=self._imitation(spec),
            vocabulary=parent_arguments(inputs, "policy").get("vocabulary"),
            **shown,
            **spec.model,
        )
        with torch.device("meta"):
            model = policy.build_policy(inputs.schema, arguments, encoding=shown.get("encoding"))
        freeze_parameters(model, inputs.config.freeze)
        options = imitation_config(inputs.schema, spec.preset, self._imitation(spec))
        auxiliary = auxiliary_weights(model.strategy, options.strategy_coef, options.identity_coef)
        return ModelSummary(
            arguments,
            count(model.parameters()),
            metric_info(
                *declare_metrics(model.head, model.values, auxiliary=auxiliary),
                lines=STAGE_LINES if inputs.stages else {},
            ),
            exact=inputs.store is not None
            or (model.config.head.head != "chain" and not model.config.strategy),
        )

    def input_facts(self, spec: RunSpec) -> Mapping[str, Any]:
        encoding = self._shown(spec).get("encoding")
        return {} if encoding is None else encoding.widths

    def count(self, inputs: Inputs) -> dict[str, int]:
        from shadowbox.data.sample import Segments
        from shadowbox.data.split import Split

        store, split = inputs.recordings, inputs.split or Split()
        sides = {side: split.episodes(store, side) for side in ("train", "val")}
        found = {f"{side}_episodes": len(episodes) for side, episodes in sides.items()}
        seats = self._seats(inputs)
        for side, episodes in sides.items():
            # the last row of an episode has no decision
            frames = int(store.lengths[episodes].sum()) - len(episodes)
            found |= {f"{side}_frames": frames, f"{side}_examples": frames * seats}
        if len(sides["train"]):
            segments = Segments(
                store,
                self._length(inputs.spec),
                inputs.config.batch,
                episodes=sides["train"],
                drop_last=True,
            )
            found["batches_per_epoch"] = segments.batches_in(0)
        return found

    def examples(self, inputs: Inputs) -> int:
        """Decisions of a segment, of all seats that are learned from."""
        from shadowbox.learners.imitation_task import imitation_config

        spec = inputs.spec
        seats = imitation_config(inputs.schema, spec.preset, self._imitation(spec)).seats
        return self._length(spec) * (len(seats) or inputs.schema.players)

    def prepare(self, inputs: Inputs) -> TrainTask:
        from shadowbox.learners.imitation_task import prepare

        spec = inputs.spec
        return prepare(
            inputs.recordings,
            inputs.config,
            preset=spec.preset,
            split=inputs.split,
            length=self._length(spec),
            imitation=self._imitation(spec),
            strategy_from=spec.learner.get("strategy_from", ""),
            facts=inputs.facts,
            resume=inputs.resume,
            stages=inputs.stages,
            game=spec.game,
            vocabulary=parent_arguments(inputs, "policy").get("vocabulary"),
            **self._shown(spec),
            **spec.model,
        )

    def _shown(self, spec: RunSpec) -> dict[str, Any]:
        """Inputs of the policy: columns by name, or an encoding of them."""
        name = encoding_name(spec.learner.get("encoding", self.defaults["encoding"]))
        if name == "default" and name not in spec.game.encodings:
            return {}
        if name not in spec.game.encodings:
            raise UsageError(
                f"{spec.game.name} has no encoding '{name}': {did_you_mean(name, spec.game.encodings)}"
            )
        found = spec.game.encodings[name]
        return {"input_columns": found} if isinstance(found, tuple) else {"encoding": found}

    def _imitation(self, spec: RunSpec) -> dict[str, Any]:
        apart = ("length", "encoding", "strategy_from")
        return {name: value for name, value in spec.learner.items() if name not in apart}

    def _seats(self, inputs: Inputs) -> int:
        """Number of seats that are learned from."""
        from shadowbox.learners.imitation_task import imitation_config

        spec, schema = inputs.spec, inputs.schema
        options = imitation_config(schema, spec.preset, self._imitation(spec))
        return len(options.seats) or schema.players

    def _length(self, spec: RunSpec) -> int:
        length = int(spec.learner.get("length", self.defaults["length"]))
        if not 1 <= length <= LONGEST:
            raise UsageError(f"learner.length must be from 1 to {LONGEST:,} (got {length:,})")
        return length


SPEC = _ImitationSpec()
