"""Training task of imitation: the policy, its baselines and its batches, from a store and a preset."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shadowbox.cards.sections import Stage
from shadowbox.core.encoding import Encoding
from shadowbox.core.game import Game
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Array, Schema
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.learners.control_baselines import ControlBaselines, count_pressed
from shadowbox.learners.curriculum import _Curriculum
from shadowbox.learners.imitation import ImitationLearner
from shadowbox.learners.imitation_data import (
    class_weights,
    opponent_names,
    player_names,
    sampled_rows,
    segment_batches,
    split_episodes,
    validation_episodes,
)
from shadowbox.learners.imitation_options import BODY, ImitationConfig, require_possible
from shadowbox.learners.weighting.advantage import _DecisionWeights, decision_weights
from shadowbox.learners.weighting.holders import both, holder_weights
from shadowbox.model import policy
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.model.codec import (
    ControlValues,
)
from shadowbox.model.design import PRESETS, SEATS
from shadowbox.model.embedding import ColumnEmbedding, visible_columns
from shadowbox.model.heads import Vocabulary
from shadowbox.model.vocabulary import fit_vocabulary
from shadowbox.play.restored_policy import start_strategy
from shadowbox.train.config import TrainConfig
from shadowbox.train.protocols import TrainTask

MOST_COUNTED = 1 << 21  # rows in which combinations of controls are counted
MOST_NORMALIZED = 1 << 17  # rows of which mean and deviation of the inputs are taken


def prepare(
    store: Store,
    config: TrainConfig,
    *,
    preset: str = "default",
    input_columns: Sequence[str] | None = None,
    encoding: Encoding | None = None,
    length: int = 64,
    split: Split | None = None,
    imitation: Mapping[str, Any] | None = None,
    strategy_from: str = "",
    facts: Mapping[str, Any] | None = None,
    resume: str = "",
    stages: Sequence[Stage] = (),
    game: Game | None = None,
    vocabulary: Vocabulary | None = None,
    **changes: Any,
) -> TrainTask:
    """Build the training task of a store and a preset with `changes`.

    `input_columns`: inputs of the policy (default: all); `encoding`: an encoding of them instead;
    `length`: decisions in a segment; `imitation`: `ImitationConfig`; `strategy_from`: encoder's run;
    `stages`: those of a curriculum; `game`: of the store, if decisions count by their advantage;
    `vocabulary`: that of the policy that the run begins from.
    """
    split, schema = split or Split(), store.schema
    sides = split_episodes(store, split)
    options = imitation_config(schema, preset, imitation)
    changes |= {"input_columns": input_columns, "encoding": encoding, "vocabulary": vocabulary}
    arguments = policy_arguments(schema, preset, store, split, imitation=imitation, **changes)
    model = policy.build_policy(schema, arguments, config.seed, encoding)
    start_strategy(model, strategy_from)
    if isinstance(model.embed, ColumnEmbedding) and model.embed.normalize:
        keys = (*model.input_columns, *schema.control_keys)
        model.embed.fit(sampled_rows(store, sides["train"], keys, MOST_NORMALIZED))
    seats = options.seats or tuple(range(schema.players))
    found = count_pressed(store, sides["train"], seats, model.values, MOST_COUNTED)
    baselines = ControlBaselines(model.values, model.head.parts, found)
    validated = validation_episodes(store, sides["val"], length, config.validate_rows)
    known = _data_facts(store, split, sides, validated, config.validate_rows)
    source, validation = segment_batches(store, length, config, sides["train"], validated)
    given = (model, store, options, baselines, sides["train"])
    steps = config.steps or source(config.batch, 0, 1).batches_in(0) * (config.epochs or 1)
    learner = _StagedImitation(*given, stages, steps) if stages else ImitationLearner(*given)
    learner.weights = _weights(store, game, seats, sides["train"], options)
    return TrainTask(
        learner=learner,
        model=model,
        about=CheckpointConfig("policy", schema, preset, arguments),
        source=source,
        validation=validation,
        facts={**known, "imitation": dataclasses.asdict(options), **(facts or {})},
        resume=resume,
    )


def _weights(
    store: Store, game: Game | None, seats: Sequence[int], train: Array, options: ImitationConfig
) -> _DecisionWeights | None:
    """Weights of the decisions by holder and advantage, if the settings ask for them."""
    texts = options.holder_weights
    held = holder_weights(store, seats, train, texts) if texts else None
    if not options.advantage_beta:
        return held
    if game is None:
        raise UsageError("imitation: advantage_beta needs the game's rewards, so name its game")
    found = decision_weights(store, game, seats, train, options)
    return both(found, held) if held else found


STAGE_LINES: Mapping[str, Mapping[str, MetricInfo]] = {
    "stage": {
        "number": MetricInfo("", 0.0),  # from 0
        "loss": MetricInfo("low"),  # of the controls that are learned in it, since the last line
        "steps": MetricInfo("", 0.0),  # since it began
    }
}
# settings of imitation that a stage may set; others are fixed when the data is read
OF_STAGES = (
    *("idle_penalty", "part_dropout", "static_segment_keep", "non_actionable_weight"),
    *BODY,
)


class _StagedImitation(ImitationLearner):
    """Imitation in stages: in each, some controls and parts of the model are frozen.

    `freeze` of a stage names parts of the model, such as `trunk`, and controls, such as
    `control/attack`: their loss is left out, and their rows of an independent head stay as they are.
    """

    lines = STAGE_LINES

    def __init__(
        self,
        model: policy.Policy,
        store: Store,
        config: ImitationConfig,
        baselines: ControlBaselines,
        train: Array,
        stages: Sequence[Stage],
        steps: int,
    ) -> None:
        super().__init__(model, store, config, baselines, train)
        self.usual, self.curriculum = config, _Curriculum(stages, steps)
        self.step = self.began = 0
        self.recent: list[Tensor] = []
        self.kept: list[tuple[nn.Parameter, list[int], Tensor]] | None = None  # None: not entered
        for stage in stages:
            self._frozen_of(stage)  # refused here, before any step

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Nats a decision of the controls that are learned now."""
        if self.kept is None:  # the optimizer has all parameters by now, frozen ones too
            self._enter()
        total, found = super().loss(model, batch)
        self.recent.append(total.detach())
        return total, found

    def take_lines(self, due: bool) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Number, loss and length of the stage; frozen rows get their values back after each step."""
        self.step += 1
        with torch.no_grad():
            for parameter, rows, values in self.kept or ():
                parameter[rows] = values
        if not due or not self.recent:
            return {}
        loss = float(torch.stack(self.recent).sum())
        figures = {
            "number": (float(self.curriculum.at), 1.0),
            "loss": (loss, float(len(self.recent))),
            "steps": (float(self.step - self.began), 1.0),
        }
        self.recent = []
        line = {name: top / bottom for name, (top, bottom) in figures.items()}
        if self.curriculum.see("stage", self.step, line):
            self.began = self.step
            self._enter()
        return {"stage": figures}

    def state(self) -> Mapping[str, Any]:
        """The stage, the step and the step at which the stage began."""
        return {**self.curriculum.state(), "step": self.step, "began": self.began}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.step, self.began, self.recent = int(state["step"]), int(state["began"]), []
        self.curriculum.load(state)
        self._enter()

    def _enter(self) -> None:
        """Freeze and set as the stage of now says."""
        stage = self.curriculum.stage
        assert stage is not None
        given = {name.partition(".")[2]: value for name, value in stage.set.items()}
        self.config = dataclasses.replace(self.usual, **given)
        self.frozen, places, parts = self._frozen_of(stage)
        for name, parameter in self.policy.named_parameters():
            if name in self.trained:
                parameter.requires_grad = not any(f"{name}.".startswith(f"{p}.") for p in parts)
        linear = getattr(self.policy.head, "linear", None)
        self.kept = (
            [(p, places, p.detach()[places].clone()) for p in linear.parameters()]
            if linear is not None and places
            else []
        )

    @functools.cached_property
    def trained(self) -> frozenset[str]:
        """Names of the parameters that the run trains at all; asked before any stage freezes some."""
        return frozenset(n for n, p in self.policy.named_parameters() if p.requires_grad)

    def _frozen_of(self, stage: Stage) -> tuple[Tensor, list[int], list[str]]:
        """Mask of the terms [N], rows of the head, and parts of the model that a stage freezes."""
        for name in stage.set:
            if name.removeprefix("learner.") not in OF_STAGES:
                raise UsageError(
                    f"stage '{stage.name}': '{name}' cannot change within a run; a stage of "
                    f"imitation sets {', '.join(f'learner.{each}' for each in OF_STAGES)}"
                )
        controls = [name for name in stage.freeze if name in self.values.keys]
        parts = [name for name in stage.freeze if name not in controls]
        known = [name for name, _ in self.policy.named_parameters()]
        for part in parts:
            if not any(f"{name}.".startswith(f"{part}.") for name in known):
                raise UsageError(
                    f"stage '{stage.name}': freeze '{part}' is neither a control nor a part of the "
                    f"model: {did_you_mean(part, [*self.values.keys, *known])}"
                )
        if controls and self.policy.config.head.head != "independent":
            raise UsageError(
                f"stage '{stage.name}': single controls can be frozen in an independent head only "
                f"(this one is '{self.policy.config.head.head}')"
            )
        off = torch.tensor([name in controls for name in self.values.names], device="cpu")
        terms = (self.head.members.cpu() & off).any(-1)
        rest = torch.zeros(len(self._terms) - len(terms), dtype=torch.bool)
        places, at = [], 0
        for one in self.head.parts:
            each = [self.values.names[place] in controls for place in one.at]
            single = len(each) == one.width
            places += [at + n for n in range(one.width) if (each[n] if single else all(each))]
            at += one.width
        return torch.cat([terms, rest]), places, parts


def _data_facts(
    store: Store, split: Split, sides: Mapping[str, Array], validated: Array, most: int
) -> dict[str, Any]:
    """Facts about the data, its sides, and a validation that takes a part of its side."""
    counts = {side: len(chosen) for side, chosen in sides.items()}
    facts = {"fingerprint": store.fingerprint, "split": split.to_json(), "episodes": counts}
    if len(validated) < counts["val"]:
        facts["validation"] = (
            f"{len(validated):,} of {counts['val']:,} episodes, evenly spread (validate_rows={most})"
        )
    return facts


def policy_arguments(
    schema: Schema,
    preset: str,
    store: Store | None = None,
    split: Split | None = None,
    *,
    input_columns: Sequence[str] | None = None,
    encoding: Encoding | None = None,
    imitation: Mapping[str, Any] | None = None,
    vocabulary: Vocabulary | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Arguments of a policy: a preset with changes, and with a store its vocabulary and players.

    A given `vocabulary` of the same controls stays as it is, so that its weights fit: a combination
    that is not in it is mapped to the nearest one.
    """
    options = imitation_config(schema, preset, imitation)
    if changes.get("delays"):
        raise UsageError(
            "imitation has no matches in which to draw one of the delays: give delay=N"
        )
    if options.skill:
        changes["skill"] = options.skill
    can = [
        key
        for key in (visible_columns(schema) if input_columns is None else input_columns)
        if key in schema.state_keys
    ]
    if store is None:
        return policy.preset_arguments(preset, can, None, encoding, **changes)
    train, seats = (
        split_episodes(store, split or Split())["train"],
        options.seats or tuple(range(schema.players)),
    )
    if options.by_player:
        named = {name for episode in train.tolist() for name in player_names(store, episode, seats)}
        changes["players"] = tuple(sorted(named - {""}))
    if {**PRESETS.get(preset, {}), **changes}.get("strategy"):
        changes.setdefault("opponents", opponent_names(store, train))
    values = ControlValues(
        schema, changes.get("output_controls", PRESETS.get(preset, {}).get("output_controls", ()))
    )
    if options.pos_weight_cap and not changes.get("pos_weights"):
        changes["pos_weights"] = class_weights(store, train, seats, values, options)
    points = fit_vocabulary(values, count_pressed(store, train, seats, values, MOST_COUNTED).now)
    if vocabulary and vocabulary.keys() == points.keys():
        points = {name: [list(point) for point in given] for name, given in vocabulary.items()}
    return policy.preset_arguments(preset, can, points, encoding, **changes)


def imitation_config(
    schema: Schema, preset: str, imitation: Mapping[str, Any] | None
) -> ImitationConfig:
    """Settings of imitation for a preset, checked against the game."""
    options = ImitationConfig.of({"seats": SEATS.get(preset, ()), **(imitation or {})})
    require_possible(schema, options)
    return options
