"""A policy as one file of NumPy, for a tournament whose layout a game declares.

The game's module (`Game.submissions`) is the file's text. It has `COLUMNS`, what its observation
shows of a match by column, a line `MODEL = ""` for the weights, and the class `_SubmittedAgent`.
"""

from __future__ import annotations

import base64
import importlib
import inspect
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.game import Game
from shadowbox.core.schema import Array
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.embedding import ColumnEmbedding
from shadowbox.model.policy import Policy
from shadowbox.model.relative_positions import LOOKS

EMPTY = 'MODEL = ""\n'
LINE = 100  # characters of a line of weights
TRUNKS = ("window", "gru", "lstm")


def submission_module(game: Game, name: str) -> Any:
    """The module of a game's tournament."""
    if name not in game.submissions:
        raise UsageError(
            f"{game.name} has no tournament '{name}': {did_you_mean(name, game.submissions)}"
        )
    return importlib.import_module(game.submissions[name])


def require_exportable(policy: Policy, module: Any, spec: str) -> None:
    """Refuse a policy that reads what the tournament does not show, or is built otherwise."""
    config = policy.config
    missing = [key for key in policy.input_columns if key not in module.COLUMNS]
    if missing:
        raise UsageError(
            f"'{spec}' reads {len(missing)} columns that the observation does not tell: "
            f"{', '.join(missing)}; train with the encoding of the tournament, as in "
            "--set learner.encoding=warehouse"
        )
    if config.previous_controls and config.opponent_controls:
        raise UsageError(
            f"'{spec}' reads the opponent's keys, which the observation does not tell: train with "
            "--set model.opponent_controls=false"
        )
    for name, wrong in (
        ("an encoding of an older system", not isinstance(policy.embed, ColumnEmbedding)),
        ("normalize", config.normalize),
        ("a style", policy.style is not None),
        ("a strategy encoder", policy.strategy is not None),
        ("delay", bool(config.delay or config.delays)),
        ("mask", policy.mask is not None),
        (f"the trunk '{config.trunk.trunk}'", config.trunk.trunk not in TRUNKS),
        (f"the head '{config.head.head}'", config.head.head != "categorical"),
        ("several parts of a decision", len(policy.head.parts) != 1),
    ):
        if wrong:
            raise UsageError(
                f"'{spec}' has {name}, which a file of NumPy does not have; a policy of columns "
                f"with a trunk of {', '.join(TRUNKS)} and the head 'categorical' is needed"
            )


def submission_text(module: Any, policy: Policy, temperature: float) -> str:
    """Text of the file: the module with the policy inside."""
    text = inspect.getsource(module)
    if text.count(EMPTY) != 1:
        raise UsageError(f"{module.__name__} needs one line {EMPTY.strip()}")
    stored = io.BytesIO()
    about, weights = _network(policy)
    about |= {"temperature": temperature, "repeat": policy.config.repeat}
    packed = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays: dict[str, Any] = {"about": packed, **weights}
    np.savez_compressed(stored, **arrays)
    coded = base64.b64encode(stored.getvalue()).decode()
    lines = [f'    "{coded[at : at + LINE]}"' for at in range(0, len(coded), LINE)]
    text = text.replace(EMPTY, "MODEL = (\n" + "\n".join(lines) + "\n)\n")
    return text.replace("_SubmittedAgent", "SubmittedAgent")


# ---- weights -------------------------------------------------------------------------------------


def _network(policy: Policy) -> tuple[dict[str, Any], dict[str, Array]]:
    """Settings and arrays by the names that the file looks for."""
    embed, trunk = policy.embed, policy.trunk
    assert isinstance(embed, ColumnEmbedding)
    arrays = {"scale": embed.scale, "points": _points(policy)}
    looks = list(LOOKS.values()) if embed.distances is not None else []
    if embed.distances is not None:
        away = embed.distances
        arrays |= {"own": away.own, "other": away.other, "mask": away.mask, "masked": away.masked}
        arrays["away_scale"] = away.scale
    for width in embed.choices:
        arrays[f"first.{width}"] = getattr(embed, f"first_{width}")
        table = embed.tables[width]
        assert isinstance(table, nn.Embedding)
        arrays[f"table.{width}"] = table.weight
    arrays["more"] = torch.zeros(len(policy.own) - embed.width)
    arrays |= _linear("head", getattr(policy.head, "linear"))  # noqa: B009
    name = policy.config.trunk.trunk
    inside, layers = _window(trunk) if name == "window" else _recurrent(trunk, name)
    about = {
        "trunk": name,
        "reals": embed.reals,
        "flags": embed.flags,
        "choices": embed.choices,
        "looks": looks,
        "layers": layers,
        "depth": policy.config.trunk.depth,
    }
    return about, {key: value.detach().cpu().numpy() for key, value in (arrays | inside).items()}


def _points(policy: Policy) -> Tensor:
    """Pressed controls [K, controls] of each combination, in the order of the schema."""
    part: Any = policy.head.parts[0]
    values = torch.zeros(len(part.points), len(policy.values.names))
    values[:, list(part.at)] = part.points
    columns = policy.values.columns(values)
    return torch.cat([columns[key].float() for key in policy.schema.control_keys], -1)


def _linear(name: str, layer: nn.Linear) -> dict[str, Tensor]:
    found = {f"{name}.weight": layer.weight}
    return found if layer.bias is None else {**found, f"{name}.bias": layer.bias}


def _layers(modules: Sequence[nn.Module], prefix: str) -> tuple[dict[str, Tensor], list[Any]]:
    """Arrays and the order of plain layers."""
    arrays: dict[str, Tensor] = {}
    order: list[Any] = []
    for at, module in enumerate(modules):
        name, kind = f"{prefix}.{at}", type(module).__name__
        if isinstance(module, nn.Linear):
            arrays |= _linear(name, module)
            order.append(("linear", name))
        elif isinstance(module, nn.LayerNorm):
            arrays |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
            order.append(("norm", name))
        elif kind in ("ReLU", "GELU"):
            order.append((kind.lower(), name))
        elif kind == "_Residual":
            arrays |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
            order.append(("residual", name))
    return arrays, order


def _window(trunk: Any) -> tuple[dict[str, Tensor], list[Any]]:
    """Arrays of a perceptron over frames; both parts of its first layer in one."""
    frames, wide = trunk.frames, trunk.first.weight.shape[0]
    parts = [trunk.first.weight.view(wide, frames, -1)]
    if trunk.facts is not None:
        parts.insert(0, trunk.facts.weight.view(wide, frames, -1))
    arrays, order = _layers(list(trunk.layers), "layers")
    arrays |= {"first.weight": torch.cat(parts, -1).flatten(1), "first.bias": trunk.first.bias}
    return {**arrays, "frames": torch.tensor(frames)}, order


def _recurrent(trunk: Any, name: str) -> tuple[dict[str, Tensor], list[Any]]:
    """Arrays of a recurrent trunk, and the layers over its frame."""
    plain = getattr(trunk, "plain", False)
    over = [] if plain else [trunk.enter, trunk.norm, nn.ReLU(), *trunk.frame]
    arrays, order = _layers(over, "frame")
    for at in range(trunk.depth):
        arrays |= _linear(f"inputs.{at}", trunk.inputs[at])
        arrays[f"memory.{at}"] = trunk.memory[at]
        if name == "gru":
            arrays[f"bias.{at}"] = trunk.bias[at]
    return arrays, order
