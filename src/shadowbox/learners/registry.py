"""Ways of learning by name: what the `learner` of a card means, and what can be said of it before it runs.

A way knows its settings and their usual values, outlines a model without memory for its weights,
counts what a store holds for it, and makes a task for the loop. A new learner is one more line in
WAYS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from shadowbox.core.game import Game
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Schema
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, did_you_mean

LOGGED = ("norm", "lr", "examples_per_s", "skipped")  # by the loop, of every learner


@dataclass(frozen=True)
class ModelSummary:
    """A model and its learner without weights and data."""

    arguments: Mapping[str, Any]
    parameters: int
    metrics: Mapping[str, MetricInfo]  # as in val/onset_f1
    # the count; without the data some heads do not know yet how many answers they have
    exact: bool = True


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides what a run learns, but the loop's own settings."""

    game: Game
    preset: str
    model: Mapping[str, Any] = field(default_factory=dict)  # changes of the preset
    learner: Mapping[str, Any] = field(default_factory=dict)


class LearnerSpec(Protocol):
    """A way of learning."""

    @property
    def defaults(self) -> Mapping[str, Any]: ...  # noqa: D102  settings of the learner

    def presets(self) -> Mapping[str, Mapping[str, Any]]: ...  # noqa: D102

    def summarize(  # noqa: D102
        self, schema: Schema, plan: RunSpec, store: Store | None = None, split: Split | None = None
    ) -> ModelSummary: ...

    def count(self, store: Store, plan: RunSpec, split: Split, batch: int) -> dict[str, int]: ...  # noqa: D102

    def prepare(
        self, store: Store, plan: RunSpec, split: Split, config: Any, **more: Any
    ) -> Any: ...  # noqa: D102


class ImitationSpec:
    """A policy learns what the players of a store pressed."""

    @property
    def defaults(self) -> Mapping[str, Any]:  # noqa: D102
        from shadowbox.learners.imitation_options import ImitationConfig

        return {"length": 64, "encoding": "default", **asdict(ImitationConfig())}

    def presets(self) -> Mapping[str, Mapping[str, Any]]:  # noqa: D102
        from shadowbox.model.design import PRESETS, PolicyConfig

        return {name: {**PolicyConfig().flat(), **changes} for name, changes in PRESETS.items()}

    def summarize(  # noqa: D102
        self, schema: Schema, plan: RunSpec, store: Store | None = None, split: Split | None = None
    ) -> ModelSummary:
        import torch

        from shadowbox.learners.imitation import declare_metrics, policy_arguments
        from shadowbox.model import policy
        from shadowbox.train.schedule import count

        arguments = policy_arguments(
            schema,
            plan.preset,
            store,
            split,
            imitation=self._imitation(plan),
            **self._shown(plan),
            **plan.model,
        )
        with torch.device("meta"):
            model = policy.build_policy(
                schema, arguments, encoding=self._shown(plan).get("encoding")
            )
        exact = store is not None or model.config.head.head != "chain"
        return ModelSummary(
            arguments,
            count(model.parameters()),
            metric_info(*declare_metrics(model.head, model.values)),
            exact,
        )

    def count(self, store: Store, plan: RunSpec, split: Split, batch: int) -> dict[str, int]:  # noqa: D102
        from shadowbox.data.sample import Segments

        sides = {side: split.episodes(store, side) for side in ("train", "val")}
        found = {f"{side}_episodes": len(episodes) for side, episodes in sides.items()}
        found |= {
            f"{side}_frames": int(store.lengths[episodes].sum()) for side, episodes in sides.items()
        }
        if len(sides["train"]):
            segments = Segments(
                store, self._length(plan), batch, episodes=sides["train"], drop_last=True
            )
            found["batches_per_epoch"] = segments.batches_in(0)
        return found

    def prepare(self, store: Store, plan: RunSpec, split: Split, config: Any, **more: Any) -> Any:  # noqa: D102
        from shadowbox.learners.imitation import prepare

        learner = {
            "length": self._length(plan),
            "imitation": self._imitation(plan),
            **self._shown(plan),
        }
        return prepare(
            store, config, preset=plan.preset, split=split, **learner, **plan.model, **more
        )

    def _shown(self, plan: RunSpec) -> dict[str, Any]:
        """What the policy sees: columns by name, or columns that are made of them."""
        name = plan.learner.get("encoding", self.defaults["encoding"])
        if name == "default" and name not in plan.game.encodings:
            return {}
        if name not in plan.game.encodings:
            raise UsageError(
                f"{plan.game.name} has no encoding '{name}': {did_you_mean(name, plan.game.encodings)}"
            )
        found = plan.game.encodings[name]
        return {"input_columns": found} if isinstance(found, tuple) else {"encoding": found}

    def _imitation(self, plan: RunSpec) -> dict[str, Any]:
        return {
            name: value
            for name, value in plan.learner.items()
            if name not in ("length", "encoding")
        }

    def _length(self, plan: RunSpec) -> int:
        return int(plan.learner.get("length", self.defaults["length"]))


def metric_info(
    losses: Mapping[str, float],
    scores: Mapping[str, MetricInfo],
    metrics: Sequence[str] = (),
    lines: Mapping[str, Mapping[str, MetricInfo]] | None = None,
) -> dict[str, MetricInfo]:
    """Every metric that a run logs, by its full name: train/loss, val/loss/copy_last, play/win_rate.

    The arguments are what a learner declares to the loop.
    """
    found = {
        f"train/{name}": scores.get(name, MetricInfo())._replace(baselines=())
        for name in ("loss", *losses, *metrics)
    }
    found |= {f"train/{name}": MetricInfo("", 0.0) for name in LOGGED}
    for kind, named in {"val": scores, **(lines or {})}.items():
        for name, info in named.items():
            found |= dict.fromkeys((f"{kind}/{name}", f"{kind}/{name}.low", f"{kind}/{name}.high"), info)
            found |= {
                f"{kind}/{name}/{each}": info._replace(baselines=()) for each in info.baselines
            }
    return found


LEARNERS: Mapping[str, LearnerSpec] = {"imitation": ImitationSpec()}


def learner_spec(name: str) -> LearnerSpec:
    """The way of learning of that name."""
    if name not in LEARNERS:
        raise UsageError(f"there is no learner '{name}': {did_you_mean(name, LEARNERS)}")
    return LEARNERS[name]
