"""Strategy encoders as a learner of cards: trained alone, on recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.learners.registry import Inputs, LearnerSpec, ModelSummary, RunSpec, metric_info

if TYPE_CHECKING:  # it needs torch
    from shadowbox.train.protocols import TrainTask

KIND = "encoder"  # of its checkpoints


class _EncoderSpec(LearnerSpec):
    """Learner of what the players of a store do next, and who they are."""

    needs = frozenset({"store"})

    @property
    def defaults(self) -> Mapping[str, Any]:
        from shadowbox.learners.encoder.task import _EncoderConfig

        return {"encoding": "default", **asdict(_EncoderConfig())}

    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        from shadowbox.model.strategy.encoder import ENCODERS

        return {name: {} for name in ENCODERS}

    def summarize(self, inputs: Inputs) -> ModelSummary:
        import torch

        from shadowbox.learners.encoder.task import SCORES
        from shadowbox.model.strategy.encoder import auxiliary_weights, build_encoder
        from shadowbox.train.schedule import count

        arguments, config = self._arguments(inputs), self._config(inputs.spec)
        with torch.device("meta"):
            model = build_encoder(inputs.schema, arguments)
        losses = auxiliary_weights(model, config.strategy_coef, config.identity_coef)
        scores = dict(SCORES[name] for name in losses)
        return ModelSummary(
            arguments,
            count(model.parameters()),
            metric_info(losses, scores),
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
        """Positions of a segment, of all players."""
        return int(self._config(inputs.spec).length) * inputs.schema.players

    def prepare(self, inputs: Inputs) -> TrainTask:
        from shadowbox.learners.encoder.task import prepare

        return prepare(inputs, self._arguments(inputs), self._config(inputs.spec))

    def _config(self, spec: RunSpec) -> Any:
        from shadowbox.learners.encoder.task import _EncoderConfig

        given = {name: value for name, value in spec.learner.items() if name != "encoding"}
        return _EncoderConfig(**given)

    def _arguments(self, inputs: Inputs) -> dict[str, Any]:
        """Arguments of the encoder as plain data, with the names of recorded players."""
        from shadowbox.data.split import Split
        from shadowbox.learners.imitation_data import opponent_names, split_episodes
        from shadowbox.model.embedding import visible_columns

        spec, schema = inputs.spec, inputs.schema
        names: tuple[str, ...] = ()
        shown = spec.game.encodings.get(spec.learner.get("encoding", "default"), ())
        if not isinstance(shown, tuple):
            known = [name for name, each in spec.game.encodings.items() if isinstance(each, tuple)]
            raise UsageError(
                "learner.encoding: an encoder reads columns, not features made of them: "
                f"{did_you_mean('default', known)}"
            )
        if inputs.store is not None:
            train = split_episodes(inputs.store, inputs.split or Split())["train"]
            names = opponent_names(inputs.store, train)
        keys = [*(shown or visible_columns(schema)), *schema.control_keys]
        return {"encoder": spec.preset, "keys": keys, "opponents": list(names)}


SPEC = _EncoderSpec()
