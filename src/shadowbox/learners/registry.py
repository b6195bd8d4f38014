"""Ways of learning by name: what the `learner` of a card means, and what can be said of it before it runs.

A way knows its settings and their usual values, outlines a model without memory for its weights,
counts what a store holds for it, and makes a task for the loop. A new learner is one more line in
WAYS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol

from shadowbox.core.game import Game
from shadowbox.core.schema import Schema
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, did_you_mean


class Grade(NamedTuple):
    """What is known of a metric beforehand: which way is better, its bounds, and the baselines it is printed beside."""

    better: str = ""  # low, high, or nothing where neither is
    low: float = -math.inf
    high: float = math.inf
    baselines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outline:
    """A model and its learner without weights and data."""

    arguments: Mapping[str, Any]
    parameters: int
    metrics: Mapping[str, Grade]  # as in val/onset_f1
    # the count; without the data some heads do not know yet how many answers they have
    exact: bool = True


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a run learns, but the loop's own settings."""

    game: Game
    preset: str
    model: Mapping[str, Any] = field(default_factory=dict)  # changes of the preset
    learner: Mapping[str, Any] = field(default_factory=dict)


class Way(Protocol):
    """A way of learning."""

    @property
    def usual(self) -> Mapping[str, Any]: ...  # noqa: D102  settings of the learner

    def presets(self) -> Mapping[str, Mapping[str, Any]]: ...  # noqa: D102

    def outline(  # noqa: D102
        self, schema: Schema, plan: Plan, store: Store | None = None, split: Split | None = None
    ) -> Outline: ...

    def count(self, store: Store, plan: Plan, split: Split, batch: int) -> dict[str, int]: ...  # noqa: D102

    def prepare(self, store: Store, plan: Plan, split: Split, config: Any, **more: Any) -> Any: ...  # noqa: D102


class Imitation:
    """A policy learns what the players of a store pressed."""

    @property
    def usual(self) -> Mapping[str, Any]:  # noqa: D102
        from shadowbox.learners.imitation_options import Lessons

        return {"length": 64, "encoding": "default", **asdict(Lessons())}

    def presets(self) -> Mapping[str, Mapping[str, Any]]:  # noqa: D102
        from shadowbox.model.design import PRESETS, Design

        return {name: {**asdict(Design()), **changes} for name, changes in PRESETS.items()}

    def outline(  # noqa: D102
        self, schema: Schema, plan: Plan, store: Store | None = None, split: Split | None = None
    ) -> Outline:
        import torch

        from shadowbox.learners.imitation import declared, outfit
        from shadowbox.model import policy
        from shadowbox.train.schedule import count

        arguments = outfit(
            schema,
            plan.preset,
            store,
            split,
            lessons=self._lessons(plan),
            **self._shown(plan),
            **plan.model,
        )
        with torch.device("meta"):
            model = policy.build(schema, arguments, encoding=self._shown(plan).get("encoding"))
        exact = store is not None or model.design.head != "chain"
        return Outline(
            arguments, count(model.parameters()), _grades(declared(model.head, model.values)), exact
        )

    def count(self, store: Store, plan: Plan, split: Split, batch: int) -> dict[str, int]:  # noqa: D102
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

    def prepare(self, store: Store, plan: Plan, split: Split, config: Any, **more: Any) -> Any:  # noqa: D102
        from shadowbox.learners.imitation import prepare

        learner = {
            "length": self._length(plan),
            "lessons": self._lessons(plan),
            **self._shown(plan),
        }
        return prepare(
            store, config, preset=plan.preset, split=split, **learner, **plan.model, **more
        )

    def _shown(self, plan: Plan) -> dict[str, Any]:
        """What the policy sees: columns by name, or columns that are made of them."""
        name = plan.learner.get("encoding", self.usual["encoding"])
        if name == "default" and name not in plan.game.encodings:
            return {}
        if name not in plan.game.encodings:
            raise UsageError(
                f"{plan.game.name} has no encoding '{name}': {did_you_mean(name, plan.game.encodings)}"
            )
        found = plan.game.encodings[name]
        return {"sees": found} if isinstance(found, tuple) else {"encoding": found}

    def _lessons(self, plan: Plan) -> dict[str, Any]:
        return {
            name: value
            for name, value in plan.learner.items()
            if name not in ("length", "encoding")
        }

    def _length(self, plan: Plan) -> int:
        return int(plan.learner.get("length", self.usual["length"]))


def _grades(said: Any) -> dict[str, Grade]:
    """Every metric that a run logs, by its full name."""
    anything = (-math.inf, math.inf)
    names = ("loss", *said.losses, *said.metrics)
    grades = {
        f"train/{name}": Grade(said.better.get(name, ""), *said.limits.get(name, anything))
        for name in names
    }
    grades |= {
        f"train/{name}": Grade("", 0.0) for name in ("norm", "lr", "examples_per_s", "skipped")
    }
    for name, baselines in said.scores.items():
        limit, better = said.limits.get(name, anything), said.better[name]
        grade = Grade(better, limit[0], limit[1], baselines)
        grades |= {f"val/{name}": grade, f"val/{name}.low": grade, f"val/{name}.high": grade}
        grades |= {f"val/{name}/{baseline}": Grade(better, *limit) for baseline in baselines}
    return grades


WAYS: Mapping[str, Way] = {"imitate": Imitation()}


def way(name: str) -> Way:
    """The way of learning of that name."""
    if name not in WAYS:
        raise UsageError(f"there is no learner '{name}': {did_you_mean(name, WAYS)}")
    return WAYS[name]
