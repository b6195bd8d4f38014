"""The three files of older systems: weights, configuration with thresholds, and log of the training.

`control_policy.pt` holds weights alone and is read by `weights_only`; weights of others may have
other names, and are taken by their shapes, in order. `control_config.json` has the older keys and
no others, and `training_log.json` a row for each epoch. A policy plays from the first two alone.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.encoding import CONTROLS as CONTROL_BLOCK
from shadowbox.core.encoding import Encoding
from shadowbox.core.files import mismatches, read_json
from shadowbox.core.schema import Schema
from shadowbox.errors import CheckpointError, SchemaError, UsageError
from shadowbox.learners.windows.data import arguments_of, groups_of
from shadowbox.learners.windows.losses import DEADZONE
from shadowbox.learners.windows.thresholds import _Threshold
from shadowbox.model.checkpoint_files import load_plain
from shadowbox.model.design import CONTROL_TRANSFORMER
from shadowbox.model.head_registry import GROUP_DROPOUT
from shadowbox.model.policy import Policy, build_policy
from shadowbox.model.trunks.pooled import CONTROLS, HEADS, WIDER, _PooledTrunk
from shadowbox.train.log import METRICS, read_lines

WEIGHTS, CONFIG, LOG = "control_policy.pt", "control_config.json", "training_log.json"
VERSION = 2
SMOOTHING = 0.35  # of the look, weight of the newest frame
NAMES = {  # of ours -> of the older file
    "trunk.enter.": "input_projection.",
    "trunk.positions.": "position_embedding.",
    "trunk.encoder.layers.": "transformer.layers.",
    "trunk.decay": "temporal_decay",
    "head.layers.action.": "action_head.",
    "head.layers.look.": "look_head.",
    "head.layers.hotbar.": "hotbar_head.",
    "head.layers.cursor.": "cursor_head.",
    "head.layers.inv.": "inv_click_head.",
}
SHAPE: Mapping[str, Any] = {
    "version": int, "input_dim": int, "d_model": int, "nhead": int, "num_layers": int,
    "dim_feedforward": int, "dropout": float, "max_seq_len": int, "num_action_controls": int,
    "num_look_controls": int, "num_hotbar_slots": int, "num_cursor_controls": int,
    "num_inv_controls": int, "control_names": [str], "thresholds": {str: float},
    "look_deadzone": float, "look_smoothing_alpha": float, "action_history_length": int,
    "action_history_dropout": float, "game_state_dim": int, "feature_mean": [float],
    "feature_std": [float], "training": dict,
}  # fmt: skip


class _OlderPolicy(NamedTuple):
    """A policy of the older files, and what its play needs beside."""

    policy: Policy
    thresholds: Mapping[str, float]
    deadzone: float
    smoothing: float

    @property
    def calibration(self) -> dict[str, Any]:
        """Thresholds in the form of a checkpoint's calibration."""
        names = {key.partition("/")[2]: key for key in self.policy.schema.control_keys}
        tuned = {names[name]: {"threshold": value} for name, value in self.thresholds.items()}
        return {"thresholds": tuned}


@dataclass(frozen=True)
class _Outcome:
    """Results of a run, for its configuration."""

    thresholds: Mapping[str, _Threshold]
    metrics: Mapping[str, float | None]  # of validation
    epochs: int
    score: float
    dropout: float  # of the history


# ---- writing -------------------------------------------------------------------------------------


def weights_file(policy: Policy) -> bytes:
    """Weights by their older names, as `torch.load(..., weights_only=True)` reads them."""
    data = io.BytesIO()
    torch.save(dict(_renamed(policy)), data)
    return data.getvalue()


def config_file(policy: Policy, encoding: Encoding, outcome: _Outcome) -> bytes:
    """Configuration with the older keys."""
    trunk, groups = policy.trunk, groups_of(policy)
    assert isinstance(trunk, _PooledTrunk)
    names = [number.name for number in encoding.numbers if number.block == CONTROL_BLOCK]
    tuned = {name: each.value for name, each in outcome.thresholds.items()}
    figures = {
        name: {"f1": _plain(each.f1), "idle_false_positives": _plain(each.idle_rate),
               "tuned": each.tuned}
        for name, each in outcome.thresholds.items()
    }  # fmt: skip
    config = {
        "version": VERSION,
        "input_dim": trunk.enter.in_features,
        "d_model": trunk.out,
        "nhead": HEADS,
        "num_layers": len(trunk.encoder.layers),
        "dim_feedforward": WIDER * trunk.out,
        "dropout": policy.config.trunk.dropout,
        "max_seq_len": trunk.frames,
        "num_action_controls": len(groups["action"]),
        "num_look_controls": len(groups["look"]),
        "num_hotbar_slots": _slots(policy),
        "num_cursor_controls": len(groups["cursor"]),
        "num_inv_controls": len(groups["inv"]),
        "control_names": names,
        "thresholds": tuned,
        "look_deadzone": DEADZONE,
        "look_smoothing_alpha": SMOOTHING,
        "action_history_length": CONTROLS,
        "action_history_dropout": outcome.dropout,
        "game_state_dim": sum(number.block == "game" for number in encoding.numbers),
        "feature_mean": [round(value, 9) for value in trunk.mean.tolist()],
        "feature_std": [round(value, 9) for value in trunk.spread.tolist()],
        "training": {
            "epochs_trained": outcome.epochs,
            "best_combined_score": _plain(outcome.score),
            "per_head_metrics": {**outcome.metrics, "controls": figures},
        },
    }
    return (json.dumps(config, indent=2, allow_nan=False) + "\n").encode()


def log_file(run: Path) -> bytes:
    """Rows of the run's log, one for each validation."""
    rows, lines = [], []
    for line in read_lines(run / METRICS):
        if line["kind"] == "train":
            lines.append(line)
        elif line["kind"] == "val":
            rows.append(_row(lines, line))
            lines = []
    return (json.dumps(rows, indent=1, allow_nan=False) + "\n").encode()


def _row(train: Sequence[Mapping[str, Any]], val: Mapping[str, Any]) -> dict[str, Any]:
    heads = ("action", "look", "hotbar", "cursor", "inv_click", "idle")
    names = {**{name: name for name in heads}, "total": "loss"}
    means = {
        name: _plain(float(np.mean([line[key] for line in train]))) if train else None
        for name, key in names.items()
    }
    scores = {
        "val_avg_action_f1": "action_f1", "val_look_mse": "look_mse",
        "val_look_dir_acc": "look_direction", "val_hotbar_acc": "hotbar_acc",
        "val_cursor_mse": "cursor_mse", "val_idle_acc": "idle_acc",
        "val_combined_score": "seed_score",
    }  # fmt: skip
    return {
        "epoch": val.get("epoch"),
        "lr": train[-1]["lr"] if train else None,
        "train": means,
        "val": {name: val.get(key) for name, key in names.items()},
        **{name: val.get(key) for name, key in scores.items()},
    }


def _renamed(policy: Policy) -> Iterator[tuple[str, Tensor]]:
    """Parameters by their older names, in the order of the model."""
    for name, value in policy.named_parameters():
        yield older_name(name), value.detach().cpu().clone()


def older_name(name: str) -> str:
    """Name of a parameter in the older file."""
    for ours, theirs in NAMES.items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    raise UsageError(f"the older files have no place for {name}")


def _slots(policy: Policy) -> int:
    return policy.head.widths[-1] - 1


def _plain(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


# ---- reading -------------------------------------------------------------------------------------


def read_older(folder: Path, schema: Schema, encoding: Encoding) -> _OlderPolicy:
    """Policy of the older files; another model, names of controls or shapes are refused."""
    path = folder / CONFIG
    found: dict[str, Any] = read_json(path, error=CheckpointError)
    for problem in mismatches(found, SHAPE):
        raise CheckpointError(f"{path}: {problem}")
    policy = _built(path, found, schema, encoding)
    weights = _matched(folder / WEIGHTS, policy)
    policy.load_state_dict(weights, strict=False)
    trunk = policy.trunk
    assert isinstance(trunk, _PooledTrunk)
    inputs = trunk.enter.in_features
    for key, buffer in (("feature_mean", trunk.mean), ("feature_std", trunk.spread)):
        values = np.array(found[key], np.float32)
        if values.shape != (inputs,) or not np.isfinite(values).all():
            raise CheckpointError(
                f"{path}: {key} must be {inputs} finite numbers (got {len(values)} values)"
            )
        usual = np.where(np.abs(values) < 1e-6, 1, values) if key == "feature_std" else values
        buffer.copy_(torch.from_numpy(usual))
    return _OlderPolicy(
        policy.eval(), found["thresholds"], found["look_deadzone"], found["look_smoothing_alpha"]
    )


def _built(path: Path, found: Mapping[str, Any], schema: Schema, encoding: Encoding) -> Policy:
    """New policy of a configuration, whose weights are given later."""
    names = [number.name for number in encoding.numbers if number.block == CONTROL_BLOCK]
    model = {
        **CONTROL_TRANSFORMER,
        "frames": found["max_seq_len"],
        "width": found["d_model"],
        "depth": found["num_layers"],
        "dropout": float(found["dropout"]),
    }
    required = {
        "version": VERSION,
        "input_dim": len(encoding.numbers) + (CONTROLS - 1) * len(names),
        "nhead": HEADS,
        "dim_feedforward": WIDER * found["d_model"],
        "action_history_length": CONTROLS,
        "control_names": names,
    }
    for key, wanted in required.items():
        if found[key] != wanted:
            raise CheckpointError(f"{path}: {key} is {found[key]!r:.80}, expected {wanted!r:.80}")
    if found["dropout"] > GROUP_DROPOUT + 0.6:
        raise CheckpointError(f"{path}: dropout is {found['dropout']}, expected less than 0.9")
    unknown = sorted(set(found["thresholds"]) - set(names))
    outside = [name for name, value in found["thresholds"].items() if not 0 <= value <= 1]
    if unknown or outside:
        raise CheckpointError(
            f"{path}: thresholds: {(unknown or outside)[0]} is not a control with a threshold "
            "from 0 to 1"
        )
    try:
        arguments = arguments_of(schema, encoding, model)
        with torch.device("meta"):  # numbers in a damaged file may ask for any amount of memory
            outline = build_policy(schema, arguments, encoding=encoding)
        if sum(each.numel() for each in outline.parameters()) > 1 << 28:
            raise CheckpointError(f"{path}: the model is larger than 1 GiB")
        return build_policy(schema, arguments, encoding=encoding)
    except (UsageError, SchemaError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error


def _matched(path: Path, policy: Policy) -> dict[str, Tensor]:
    """Weights of a file by our names: by its names, or in order where all shapes are the same."""
    try:
        given = load_plain(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path} does not hold weights alone: {error}") from error
    if not isinstance(given, dict) or not all(isinstance(v, Tensor) for v in given.values()):
        raise CheckpointError(f"{path} does not hold weights by name, which was expected")
    wanted = {older_name(name): name for name, _ in policy.named_parameters()}
    shapes = {name: tuple(value.shape) for name, value in policy.named_parameters()}
    if given.keys() != wanted.keys():
        in_order = [tuple(value.shape) for value in given.values()]
        if in_order == list(shapes.values()):
            return dict(zip(shapes, given.values(), strict=True))
    expected = {theirs: shapes[ours] for theirs, ours in wanted.items()}
    got = {name: tuple(value.shape) for name, value in given.items()}
    different = [name for name in sorted(expected | got) if expected.get(name) != got.get(name)]
    if different:
        name = different[0]
        raise CheckpointError(
            f"{path} does not fit its configuration: {name}: {expected.get(name, 'no such')} "
            f"expected, {got.get(name, 'none')} found ({len(different)} differences)"
        )
    return {ours: given[theirs] for theirs, ours in wanted.items()}
