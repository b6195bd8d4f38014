"""Chances of a policy's controls, one frame after another, for games that decide by thresholds.

`PolicyAgent` draws controls; a live loop with hysteresis needs the probabilities themselves, in one
pass through the network, and only for its own match.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Choice, Columns
from shadowbox.model.codebook import CodebookDistribution
from shadowbox.model.embedding import ColumnEmbedding
from shadowbox.play.policy_agent import PolicyAgent, as_tensor

if TYPE_CHECKING:
    from shadowbox.model.heads import Temperature
    from shadowbox.model.policy import Policy
    from shadowbox.model.trunks.base import Memory

# means of the control values [B, T, V], chances [B, T(, n)] of codebooks by value, and the memory
_Read = tuple[Tensor, dict[int, Tensor], "Memory"]
LIKELIEST = 0.5  # noise with which a part that others depend on is decided


class _ChanceReader:
    """Policy that is asked for chances in one match, whose memory it keeps.

    `thresholds` are those of the checkpoint's calibration, by control.
    """

    def __init__(self, agent: PolicyAgent) -> None:
        self.policy, self.temperatures = agent.policy, agent.temperatures
        self.thresholds = thresholds_of(agent.calibration)
        self.quick, self.points = _is_plain(self.policy), _points_of(self.policy)
        self.begin()

    def begin(self) -> None:
        """Forget what was seen: a match begins."""
        self.memory, self.fresh = self.policy.initial(1), True

    def __call__(self, view: Columns) -> dict[str, Array]:
        """Chances [1] (of a choice [1, n]) of each control, for a view [1, slots] of the next frame."""
        read = self._read_quickly if self.quick else self._read
        with torch.inference_mode():
            means, by_value, self.memory = read(view)
        self.fresh = False
        # one way out of torch for all of them: a tensor each would cost more than the network
        mean, slots = means[0, 0].float().numpy(), self.policy.values.slots
        each = {at: chance[0, 0].float().numpy() for at, chance in by_value.items()}
        return {
            key: np.stack([each[at] for at in range(first, first + slots)])
            if first in each
            else mean[first : first + slots]
            for key, first in zip(self.policy.values.keys, range(0, len(mean), slots), strict=True)
        }

    def _read(self, view: Columns) -> _Read:
        keys = (*self.policy.input_columns, *self.policy.schema.control_keys)
        shown = {key: as_tensor(view[key][:, None]) for key in keys}
        reset = torch.tensor([[self.fresh]])
        return _read(self.policy, shown, reset, self.memory, self.temperatures)

    def _read_quickly(self, view: Columns) -> _Read:
        """The same of a plain policy: columns are gathered by kind before they become tensors."""
        policy = self.policy
        embed = cast(ColumnEmbedding, policy.embed)
        kinds = [
            as_tensor(np.concatenate([view[key] for key in keys], 1)) if keys else None
            for keys in embed.by_kind
        ]
        previous = as_tensor(
            np.concatenate(
                [view[key] for (key,) in policy.values.sources],
                1,
                dtype=np.float32,
                casting="unsafe",
            )
        )
        x = embed.of_kinds(kinds[0], kinds[1], kinds[2:])
        h, memory = policy.trunk.step(x, self.memory, torch.tensor([self.fresh]))
        output = policy.head(h, previous, previous)
        means, chances = _chances(policy, output, previous, self.temperatures, self.points)
        return means[None], {at: chance[None] for at, chance in chances.items()}, memory


def _is_plain(policy: Policy) -> bool:
    """True if a policy's input is its columns alone, and its controls do not depend on each other."""
    embed, config = policy.embed, policy.config
    return (
        isinstance(embed, ColumnEmbedding)
        and policy.embed.width == len(policy.own)
        and not embed.cut
        and not (policy.head.depends or config.delay or policy.mask)
        and all(len(keys) == 1 for keys in policy.values.sources)
        and policy.schema.players == 1
    )


def chance_reader(agent: Agent) -> _ChanceReader | None:
    """Chances of a trained policy's agent; None for any other agent."""
    return _ChanceReader(agent) if isinstance(agent, PolicyAgent) else None


def thresholds_of(calibration: Mapping[str, Any]) -> dict[str, float]:
    """Thresholds by control of a checkpoint's calibration; empty if it was not calibrated."""
    return {
        name: float(fit["threshold"]) for name, fit in calibration.get("thresholds", {}).items()
    }


@torch.inference_mode()
def control_chances(
    policy: Policy,
    view: Mapping[str, Tensor],
    reset: Tensor,
    memory: Memory,
    temperature: Temperature = 1.0,
) -> tuple[dict[str, Tensor], Memory]:
    """Chances of the own controls at T positions, and the new memory.

    `view` is [B, T, slots], `reset` bool [B, T]. Of a flag the probability that it is down and of a
    real its mean, [B, T, slots a player]; of a choice the probability of each value, [B, T, slots a
    player, n]. Where parts of a head depend on each other, each is given the likely values of those
    before it.
    """
    means, by_value, memory = _read(policy, view, reset, memory, temperature)
    slots, found = policy.values.slots, {}
    for at, key in enumerate(policy.values.keys):
        places = range(at * slots, (at + 1) * slots)
        parts = [by_value[place] if place in by_value else means[..., place] for place in places]
        found[key] = torch.stack(parts, 2)
    return found, memory


def _read(
    policy: Policy,
    view: Mapping[str, Tensor],
    reset: Tensor,
    memory: Memory,
    temperature: Temperature,
) -> _Read:
    previous = policy.values.of(view)
    output, memory = policy.seq(view, previous, reset, memory)
    if policy.head.depends:
        noise = previous.new_full((*previous.shape[:-1], policy.draws), LIKELIEST)
        output = output.given(output.drawn(noise, temperature))
    found = _chances(policy, output.output, previous, temperature, _points_of(policy))
    return *found, memory


def _chances(
    policy: Policy,
    output: Tensor,
    previous: Tensor,
    temperature: Temperature,
    points: Mapping[int, Tensor],
) -> tuple[Tensor, dict[int, Tensor]]:
    """Means [..., V] of an output [..., W], and the chances of flags and choices of codebooks."""
    means: list[Tensor] = []
    by_value: dict[int, Tensor] = {}
    outputs = torch.split(output, policy.head.widths, -1)
    temperatures = policy.head.by_part(temperature)
    for at, (part, place) in enumerate(zip(policy.head.parts, policy.head.places, strict=True)):
        if isinstance(part, CodebookDistribution):
            before = part.index(previous[..., place])
            chance = part.log_probs(outputs[at], before, temperatures[at]).exp()
            means.append(chance @ part.points)
            by_value |= {value: chance @ points[value] for value in part.at if value in points}
        else:
            means.append(part.mean(outputs[at], previous[..., place], temperatures[at]))
    return torch.cat(means, -1)[..., policy.head.back], by_value


def _points_of(policy: Policy) -> dict[int, Tensor]:
    """Of flags and choices in codebooks, by their place: what each point means, [K] or [K, n]."""
    found = {}
    for part in policy.head.parts:
        if not isinstance(part, CodebookDistribution):
            continue
        for at, (key, place) in enumerate(zip(part.keys, part.at, strict=True)):
            field, values = policy.schema.columns[key].field, part.points[:, at]
            if field.kind == "flag":
                found[place] = (values != 0).to(part.points.dtype)
            elif isinstance(field, Choice):
                each = torch.nn.functional.one_hot(values.round().long(), field.n)
                found[place] = each.to(part.points.dtype)
    return found
