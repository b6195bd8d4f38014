"""Policies and encoders with the weights of a checkpoint, for a game with the fields they learned on.

Buttons of a policy may be biased to be pressed more, or less, than it learned to.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shadowbox.core.files import mismatches
from shadowbox.core.schema import Array, Schema, differences
from shadowbox.errors import CheckpointError, SchemaError, SchemaMismatch, UsageError

if TYPE_CHECKING:  # it needs torch
    from shadowbox.model.checkpoint import Checkpoint
    from shadowbox.model.policy import Policy
    from shadowbox.model.strategy.encoder import StrategyEncoder

ARGUMENTS = {  # of `build_policy`, in the config.json of a checkpoint
    "input_columns": [str],
    "config": dict,
    "vocabulary?": {str: [[float]]},
    "encoding?": ({"name": str, "settings": dict}, None),
    "masks?": {str: {"when": [{str: [[int]]}], "without": [str]}},
}
ENCODER_ARGUMENTS = {"encoder": str, "keys": [str], "opponents": [str]}


def restore_policy(
    found: Checkpoint,
    schema: Schema,
    device: str = "cpu",
    encodings: Mapping[str, Any] | None = None,
) -> Policy:
    """A policy with its weights.

    Of the game's schema only the fields that it reads and answers must be the same.
    """
    from shadowbox.model import checkpoint

    model = _built(found, encodings or {})
    require_readable(
        found.about.schema,
        schema,
        model.reads,
        f"checkpoint {found.path}",
    )
    checkpoint.load_weights(model, found.weights, str(found.path))
    return model.to(device).eval()


def restore_encoder(
    found: Checkpoint,
    schema: Schema,
    device: str = "cpu",
    encodings: Mapping[str, Any] | None = None,
) -> StrategyEncoder:
    """An encoder of an opponent's history with its weights, from its own checkpoint or a policy's."""
    from shadowbox.model import checkpoint
    from shadowbox.model.strategy.encoder import build_encoder

    if found.about.kind == "policy":
        policy = restore_policy(found, schema, device, encodings)
        if policy.strategy is None:
            raise UsageError(f"the policy {found.path} has no encoder of the opponent's history")
        return policy.strategy
    where = f"{found.path}/config.json"
    for problem in mismatches(found.about.arguments, ENCODER_ARGUMENTS, "arguments"):
        raise CheckpointError(f"{where} cannot be used: {problem}; use another step")
    try:
        model = build_encoder(found.about.schema, found.about.arguments)
    except (UsageError, SchemaError, ValueError) as error:
        raise CheckpointError(
            f"{where} cannot be used: arguments: {error}; use another step"
        ) from error
    require_readable(found.about.schema, schema, model.keys, f"checkpoint {found.path}")
    checkpoint.load_weights(model, found.weights, str(found.path))
    return model.to(device).eval()


def start_strategy(policy: Policy, spec: str) -> None:
    """Begin with the encoder of another run: RUN, RUN@step=N or a checkpoint's folder; "": with none.

    The run is one of an encoder alone, or of a policy that has an encoder.
    """
    from shadowbox.model import checkpoint
    from shadowbox.model.strategy.encoder import start_from

    if not spec:
        return
    if policy.strategy is None:
        raise UsageError(
            f"learner.strategy_from: {spec} is given, and the policy has no encoder to begin with: "
            "set model.strategy"
        )
    found = checkpoint.load(checkpoint.find_checkpoint(spec))
    if found.about.kind not in ("encoder", "policy"):
        raise UsageError(f"learner.strategy_from: {spec} holds a {found.about.kind}")
    try:
        start_from(policy.strategy, restore_encoder(found, policy.schema))
    except UsageError as error:
        raise UsageError(f"learner.strategy_from: {spec}: {error}") from error


def require_readable(learned: Schema, schema: Schema, keys: Sequence[str], where: str) -> None:
    """Refuse a game whose fields differ from those that the policy was trained on, and list them."""
    lines = [
        line
        for line in differences(learned, schema, coding=True)
        if (name := line.partition(":")[0]) in keys or name not in learned.columns
    ]
    lines += [
        f"{key}: not expected, found" for key in schema.control_keys if key not in learned.columns
    ]
    if lines:
        raise SchemaMismatch(
            f"{where} learned on another schema ('{learned.name}', here '{schema.name}'): "
            + "; ".join(lines)
        )


def _built(found: Checkpoint, encodings: Mapping[str, Any]) -> Policy:
    """New policy of a checkpoint's arguments; those that do not fit its weights are refused."""
    import torch

    from shadowbox.model import checkpoint, policy

    arguments, where = found.about.arguments, f"{found.path}/config.json"
    for problem in mismatches(arguments, ARGUMENTS, "arguments"):
        raise CheckpointError(f"{where} cannot be used: {problem}; use another step")
    wanted = arguments.get("encoding")
    encoding = encodings.get(wanted["name"]) if wanted else None
    try:
        # without memory first: numbers in a damaged file may ask for any amount of it
        with torch.device("meta"):
            outline = policy.build_policy(found.about.schema, arguments, encoding=encoding)
        checkpoint.require_weights(outline, found.weights, str(found.path))
        return policy.build_policy(found.about.schema, arguments, encoding=encoding)
    except (UsageError, SchemaError, ValueError) as error:
        raise CheckpointError(
            f"{where} cannot be used: arguments: {error}; use another step"
        ) from error


def value_names(policy: Policy) -> list[str]:
    """The control values by name; where a player has several slots, with the number of the slot."""
    found: list[str] = []
    for key in policy.values.keys:
        found += (
            [key]
            if policy.values.slots == 1
            else [f"{key}[{slot}]" for slot in range(policy.values.slots)]
        )
    return found


def press_limits(
    policy: Policy, threshold: float | None, tuned: Mapping[str, Mapping[str, float]]
) -> Array | None:
    """Thresholds of each button while it is up and while it is held, [flags, 2]; None: it draws.

    Choices take the middle of their distribution, so one value if it is likelier than all others.
    A negative `threshold` stands for those of `tuned`, each button's own.
    """
    if threshold is None:
        return None
    names = [
        name
        for name, kind in zip(value_names(policy), policy.values.kinds, strict=True)
        if kind == "flag"
    ]
    drawn = "real" in policy.values.kinds and policy.config.head.reals == "mixture"
    if policy.config.head.head != "independent" or drawn:
        raise UsageError(
            "thresholds are for policies that decide each button on its own; "
            f"this one ({policy.config.head.head}) draws"
        )
    if threshold >= 0:
        return np.full((len(names), 2), threshold)
    if missing := [name for name in names if name not in tuned]:
        raise UsageError(
            f"{missing[0]} has no tuned threshold: shadowbox eval CHECKPOINT STORE --calibrate finds them"
        )
    return np.array([[tuned[name]["on"], tuned[name]["off"]] for name in names])


def with_press_bias(
    policy: Policy, bias: float, offsets: Mapping[str, Mapping[str, float]] | None
) -> Policy:
    """A copy of the policy with `bias` added to the log-odds of every button.

    `offsets`: fitted ones by button, added too; None: none.
    """
    import torch

    pairs = list(zip(value_names(policy), policy.values.kinds, strict=True))
    buttons = [name for name, kind in pairs if kind == "flag"]
    if offsets is not None and (missing := [name for name in buttons if name not in offsets]):
        raise UsageError(
            f"{missing[0]} has no calibrated offset: shadowbox eval CHECKPOINT STORE --calibrate "
            "finds the offsets of policies that decide each button on its own; "
            "bias=N adds a number to all of them"
        )
    biases = [
        bias + (offsets[name]["offset"] if offsets is not None else 0.0) if kind == "flag" else 0.0
        for name, kind in pairs
    ]
    shifted = copy.deepcopy(policy)
    shifted.head.set_press_bias(torch.tensor(biases, device=next(policy.parameters()).device))
    return shifted
