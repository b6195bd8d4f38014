"""Training task of imitation: the policy, its baselines and its batches, from a store and a preset."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from shadowbox.core.encoding import Encoding
from shadowbox.core.schema import Array, Schema
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learners.control_baselines import ControlBaselines, count_pressed
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
from shadowbox.learners.imitation_options import ImitationConfig, require_possible
from shadowbox.model import policy
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.model.codec import (
    ControlValues,
)
from shadowbox.model.design import PRESETS, SEATS
from shadowbox.model.embedding import ColumnEmbedding, visible_columns
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
    **changes: Any,
) -> TrainTask:
    """Build the training task of a store and a preset with `changes`.

    `input_columns`: inputs of the policy (default: all); `encoding`: an encoding of them instead;
    `length`: decisions in a segment; `imitation`: `ImitationConfig`; `strategy_from`: encoder's run.
    """
    split, schema = split or Split(), store.schema
    sides = split_episodes(store, split)
    options = imitation_config(schema, preset, imitation)
    arguments = policy_arguments(
        schema,
        preset,
        store,
        split,
        input_columns=input_columns,
        encoding=encoding,
        imitation=imitation,
        **changes,
    )
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
    return TrainTask(
        learner=ImitationLearner(model, store, options, baselines, sides["train"]),
        model=model,
        about=CheckpointConfig("policy", schema, preset, arguments),
        source=source,
        validation=validation,
        facts={**known, "imitation": dataclasses.asdict(options), **(facts or {})},
        resume=resume,
    )


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
    **changes: Any,
) -> dict[str, Any]:
    """Arguments of a policy: a preset with changes, and with a store its vocabulary and players."""
    options = imitation_config(schema, preset, imitation)
    if changes.get("delays"):
        raise UsageError(
            "imitation has no matches in which to draw one of the delays: give delay=N"
        )
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
    found = count_pressed(store, train, seats, values, MOST_COUNTED)
    return policy.preset_arguments(
        preset, can, fit_vocabulary(values, found.now), encoding, **changes
    )


def imitation_config(
    schema: Schema, preset: str, imitation: Mapping[str, Any] | None
) -> ImitationConfig:
    """Settings of imitation for a preset, checked against the game."""
    options = ImitationConfig.of({"seats": SEATS.get(preset, ()), **(imitation or {})})
    require_possible(schema, options)
    return options
