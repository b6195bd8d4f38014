"""Windows of a store, and facts of its training side: statistics of inputs, weights of presses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.encoding import CONTROLS as CONTROL_BLOCK
from shadowbox.core.encoding import Encoding
from shadowbox.core.schema import Array, Choice, Schema
from shadowbox.data.sample import Windows
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learners.windows.losses import _Answers, press_weights
from shadowbox.model.embedding import EncodingEmbedding
from shadowbox.model.policy import Policy
from shadowbox.model.trunks.pooled import CONTROLS, _PooledTrunk

AROUND = CONTROLS + 1  # rows before a window whose controls it reads, and the row after it
STILL = 1e-6  # a spread below this counts as 1
GROUPS = ("action", "look", "cursor", "inv")  # of the head; the fifth is a choice


class _Strided(Windows):
    """Every `stride`-th window; the first one differs from epoch to epoch if `shuffle`."""

    def __init__(self, store: Store, length: int, batch: int, *, stride: int, **more: Any) -> None:
        self.stride = stride
        super().__init__(store, length, batch, **more)

    def _examples(self, rows: Array, shift: int) -> Array:
        return np.asarray(np.maximum(-(-(rows - self.length + 1 - shift) // self.stride), 0))

    def _first_row(self, rank: Array, shift: int) -> Array:
        return np.asarray(rank * self.stride + shift)

    def _shift_in(self, epoch: int) -> int:
        return super()._shift_in(epoch) % self.stride


def arguments_of(schema: Schema, encoding: Encoding, model: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the policy: the controls that the encoding holds, unless `model` names some."""
    held = [number.name for number in encoding.numbers if number.block == CONTROL_BLOCK]
    keys = {key: schema.columns[key].field for key in schema.control_keys}
    answered = [
        key
        for key, field in keys.items()
        if field.name in held
        or (isinstance(field, Choice) and any(each.startswith(f"{field.name}_") for each in held))
    ]
    config = {name: list(v) if isinstance(v, tuple) else v for name, v in model.items()}
    if not config.get("output_controls"):
        config["output_controls"] = answered
    return {
        "input_columns": list(schema.state_keys),
        "config": config,
        "encoding": {"name": encoding.name, "settings": dict(encoding.settings)},
    }


def groups_of(policy: Policy) -> dict[str, list[int]]:
    """Places of the values of each group of the head; refuses a head without the five groups."""
    groups = {part.name: list(part.at) for part in policy.head.parts}
    choices = [name for name in groups if name not in GROUPS]
    if not isinstance(policy.trunk, _PooledTrunk) or not set(GROUPS) <= groups.keys():
        raise UsageError(
            f"windows: {policy.schema.name} lacks some of the five groups of controls: buttons and "
            "axes in play, buttons and axes with a screen open, and one choice"
        )
    if len(choices) != 1 or len(groups["look"]) != 2 or len(groups["cursor"]) != 2:
        raise UsageError(
            f"windows: expected two axes of the look, two of the cursor and one choice "
            f"(got {len(groups['look'])}, {len(groups['cursor'])} and {len(choices)})"
        )
    return groups


def mode_of(policy: Policy) -> str:
    """Flag of the state that is on while cursor and clicks count."""
    places = next(part.at for part in policy.head.parts if part.name == "cursor")
    return policy.schema.columns[policy.values.names[places[0]]].field.when


def put_statistics(policy: Policy, store: Store, episodes: Array) -> None:
    """Mean and spread of the inputs that are real numbers, over the rows of these episodes."""
    trunk, embed = policy.trunk, policy.embed
    assert isinstance(trunk, _PooledTrunk)
    assert isinstance(embed, EncodingEmbedding)
    total, squares, rows = np.zeros(embed.width), np.zeros(embed.width), 0
    constant = np.ones(embed.width, bool)
    for episode in episodes.tolist():
        floats = embed.encoding.encode(store.episode(episode).columns)[0].astype(np.float64)
        total, squares = total + floats.sum(0), squares + (floats**2).sum(0)
        rows += len(floats)
        constant &= ((floats == 0) | (floats == 1)).all(0)  # flags and one-hot numbers stay
    mean = total / rows
    spread = np.sqrt(np.maximum(squares / rows - mean**2, 0))
    state = np.array(trunk.state)
    exact = constant[state] | (spread[state] < STILL)
    with torch.no_grad():
        chosen = slice(0, len(state))  # the controls after them are never normalized
        trunk.mean[chosen] = torch.from_numpy(np.where(exact, 0, mean[state])).float()
        trunk.spread[chosen] = torch.from_numpy(np.where(exact, 1, spread[state])).float()


def count_presses(
    policy: Policy, store: Store, episodes: Array, most: float
) -> tuple[Tensor, Tensor]:
    """Weights of the presses of actions and clicks, each over the frames in which it counts."""
    groups, mode = groups_of(policy), mode_of(policy)
    frames, presses = (
        torch.zeros(2),
        {name: torch.zeros(len(groups[name])) for name in ("action", "inv")},
    )
    for episode in episodes.tolist():
        columns = store.episode(episode).columns
        values = policy.values.of_arrays(
            {key: columns[key][:-1] for key in policy.schema.control_keys}
        )
        screen = columns[mode][:-1, 0].astype(bool)
        for at, (name, on) in enumerate((("action", ~screen), ("inv", screen))):
            frames[at] += float(on.sum())
            presses[name] += torch.from_numpy((values[on][:, groups[name]] > 0.5).sum(0))
    found = [press_weights(frames[at], each) for at, each in enumerate(presses.values())]
    action, inv = (each.clamp(max=most) for each in found)
    return action, inv


def window_answers(
    policy: Policy, view: Mapping[str, Tensor], keep: Tensor | None = None
) -> _Answers:
    """Answers of the five heads for the last frame of windows [B, CONTROLS - 1 + W, slots]."""
    trunk = policy.trunk
    assert isinstance(trunk, _PooledTrunk)
    return answers_of(policy, policy.head(trunk.last(policy.embed(view), keep), *(2 * [keep])))


def answers_of(policy: Policy, output: Tensor) -> _Answers:
    """Answers of the five heads from an output [B, W] of the policy's head."""
    parts = policy.head.parts
    of = {
        part.name: (part, values)
        for part, values in zip(parts, torch.split(output, policy.head.widths, -1), strict=True)
    }
    look, cursor = (of[name][0].mean(of[name][1], of[name][1]) for name in ("look", "cursor"))
    (slots,) = (values for name, (_, values) in of.items() if name not in GROUPS)
    return _Answers(of["action"][1], look, slots[:, 1:], (cursor + 1) / 2, of["inv"][1])
