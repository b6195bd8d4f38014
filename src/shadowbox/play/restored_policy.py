"""A policy with the weights of its checkpoint, for a game whose fields are those that it learned on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shadowbox.core.files import mismatches
from shadowbox.core.schema import Schema, differences
from shadowbox.errors import CheckpointError, SchemaError, SchemaMismatch, UsageError

if TYPE_CHECKING:  # it needs torch
    from shadowbox.model.checkpoint import Checkpoint
    from shadowbox.model.policy import Policy

ARGUMENTS = {  # of `build_policy`, in the config.json of a checkpoint
    "input_columns": [str],
    "config": dict,
    "vocabulary?": {str: [[float]]},
    "encoding?": ({"name": str, "settings": dict}, None),
}


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
        (*model.input_columns, *found.about.schema.control_keys),
        f"checkpoint {found.path}",
    )
    checkpoint.load_weights(model, found.weights, str(found.path))
    return model.to(device).eval()


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
