"""Imitation on windows as a learner of cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shadowbox.core.encoding import Encoding, encoding_name
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.learners.registry import Inputs, LearnerSpec, ModelSummary, RunSpec, metric_info

if TYPE_CHECKING:  # it needs torch
    from shadowbox.learners.windows.task import _WindowsConfig
    from shadowbox.train.protocols import TrainTask

PRESET = "control-transformer"
SETTINGS: Mapping[str, Any] = {  # of the loop and the learner, as the older system has them
    "train.batch": 64,
    "train.lr": 5e-4,
    "train.final_lr": 0.002,  # 1e-6
    "train.weight_decay": 1e-4,
    "train.beta2": 0.999,
    "train.max_grad_norm": 1.0,
    "train.epochs": 200,
    "train.patience": 30,
    "train.score": "seed_score",
}


class _WindowsSpec(LearnerSpec):
    """Learner of the last frame's controls of each window of frames."""

    needs = frozenset({"store"})

    @property
    def defaults(self) -> Mapping[str, Any]:
        from shadowbox.learners.windows.task import _WindowsConfig

        return asdict(_WindowsConfig())

    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        from shadowbox.model.design import CONTROL_TRANSFORMER, PolicyConfig

        return {PRESET: {**PolicyConfig().flat(), **CONTROL_TRANSFORMER}}

    def preset_settings(self, preset: str) -> Mapping[str, Any]:
        return SETTINGS if preset == PRESET else {}

    def input_facts(self, spec: RunSpec) -> Mapping[str, Any]:
        return self._encoding(spec).widths

    def summarize(self, inputs: Inputs) -> ModelSummary:
        import torch

        from shadowbox.learners.windows.data import groups_of
        from shadowbox.learners.windows.task import scores_of
        from shadowbox.model.policy import build_policy
        from shadowbox.train.schedule import count, freeze_parameters

        arguments, config = self._arguments(inputs), self._config(inputs.spec)
        with torch.device("meta"):
            policy = build_policy(inputs.schema, arguments, encoding=self._encoding(inputs.spec))
        freeze_parameters(policy, inputs.config.freeze)
        groups = groups_of(policy)
        actions, clicks = (
            [policy.values.names[at].partition("/")[2] for at in groups[name]]
            for name in ("action", "inv")
        )
        metrics = metric_info(config.weights(), scores_of(actions, clicks))
        return ModelSummary(arguments, count(policy.parameters()), metrics)

    def count(self, inputs: Inputs) -> dict[str, int]:
        from shadowbox.data.split import Split
        from shadowbox.learners.windows.data import AROUND, _Strided

        store, split = inputs.recordings, inputs.split or Split()
        config = self._config(inputs.spec)
        frames = self._arguments(inputs)["config"]["frames"]
        sides = {side: split.episodes(store, side) for side in ("train", "val")}
        found = {f"{side}_episodes": len(episodes) for side, episodes in sides.items()}
        for side, stride in (("train", config.stride), ("val", config.validate_stride)):
            windows = _Strided(
                store, frames + AROUND, inputs.config.batch, episodes=sides[side], stride=stride,
                drop_last=True, shuffle=False,
            )  # fmt: skip
            found[f"{side}_examples"] = windows.examples
            found |= {"batches_per_epoch": windows.batches_in(0)} if side == "train" else {}
        return found

    def prepare(self, inputs: Inputs) -> TrainTask:
        from shadowbox.learners.windows.task import prepare

        spec = inputs.spec
        return prepare(inputs, self._encoding(spec), self._arguments(inputs), self._config(spec))

    def _config(self, spec: RunSpec) -> _WindowsConfig:
        from shadowbox.learners.windows.task import _WindowsConfig

        return _WindowsConfig(**dict(spec.learner))

    def _encoding(self, spec: RunSpec) -> Encoding:
        name, known = encoding_name(self._config(spec).encoding), spec.game.encodings
        found = known.get(name)
        if not isinstance(found, Encoding):
            named = [each for each, encoding in known.items() if isinstance(encoding, Encoding)]
            raise UsageError(
                f"learner.encoding: {spec.game.name} has no encoding '{name}' of numbers: "
                f"{did_you_mean(name, named)}"
            )
        return found

    def _arguments(self, inputs: Inputs) -> dict[str, Any]:
        from shadowbox.learners.windows.data import arguments_of

        spec = inputs.spec
        model = {**self._preset(spec.preset), **spec.model}
        return arguments_of(inputs.schema, self._encoding(spec), model)

    def _preset(self, name: str) -> Mapping[str, Any]:
        from shadowbox.model.design import CONTROL_TRANSFORMER

        if name != PRESET:
            raise UsageError(f"unknown preset '{name}': {did_you_mean(name, [PRESET])}")
        return CONTROL_TRANSFORMER


SPEC = _WindowsSpec()
