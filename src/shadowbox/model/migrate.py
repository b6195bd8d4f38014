"""Migration of checkpoints from an earlier version of the format to the present one."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shadowbox.core import renames
from shadowbox.model import checkpoint
from shadowbox.model.checkpoint_files import (
    CONFIG,
    TRAINER,
    load_plain,
    read_json,
    require_whole,
    to_json_bytes,
)

EVALUATION = "evaluation.json"  # beside the files that `done` lists


def plan_checkpoint(folder: Path) -> tuple[list[str], dict[str, bytes]]:
    """Changes that the present version needs, as text, and the contents of the changed files.

    Nothing is written; `checkpoint.rewrite(folder, files)` does that. Weights are not changed.
    """
    require_whole(folder)
    config = read_json(folder / CONFIG)
    version = checkpoint.version_of(folder, config)
    if version == checkpoint.VERSION:
        return [], {}
    changes = [f"format version {version} -> {checkpoint.VERSION}"]
    arguments = _policy_arguments(config.get("arguments", {}), changes)
    present = {**config, "version": checkpoint.VERSION, "arguments": arguments}
    files = {CONFIG: to_json_bytes(present)}
    if (folder / TRAINER).is_file():  # shipped checkpoints have none
        buffer = io.BytesIO()
        torch.save(_trainer(load_plain(folder / TRAINER), changes), buffer)
        files[TRAINER] = buffer.getvalue()
    if (folder / EVALUATION).is_file():
        evaluation = read_json(folder / EVALUATION)
        files[EVALUATION] = to_json_bytes(renames.rename_evaluation(evaluation))
    return changes, files


def _policy_arguments(arguments: Mapping[str, Any], changes: list[str]) -> dict[str, Any]:
    present = renames.rename_keys(arguments, renames.POLICY_ARGUMENTS)
    if isinstance(present.get("config"), dict):
        present["config"] = renames.rename_settings({"model": present["config"]})["model"]
    old, new = (json.dumps(each, sort_keys=True) for each in (arguments, present))
    if old != new:
        changes += _differences(dict(arguments), present)
    return present


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Renamed keys as text; keys are in the same order in both."""
    lines = [f"{a} -> {b}" for a, b in zip(old, new, strict=True) if a != b]
    before, after = old.get("design", old.get("config")), new.get("config")
    if isinstance(before, dict) and isinstance(after, dict):
        lines += [f"config.{a} -> {b}" for a, b in zip(before, after, strict=True) if a != b]
    return lines


def _trainer(state: Any, changes: list[str]) -> Any:
    if not isinstance(state, dict):
        return state
    changes += [
        f"{TRAINER}: {key} -> {name}" for key, name in renames.TRAINER_KEYS.items() if key in state
    ]
    present = renames.rename_keys(state, renames.TRAINER_KEYS)
    if isinstance(present.get("best"), dict):
        present["best"] = renames.rename_best(present["best"])
    return present
