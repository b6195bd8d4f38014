"""Chances of a policy's controls, one frame after another, for games that decide by thresholds.

`PolicyAgent` draws controls; a live loop with hysteresis needs the probabilities themselves, in one
pass through the network, and only for its own match.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Choice, Columns
from shadowbox.model.codebook import CodebookDistribution
from shadowbox.play.policy_agent import PolicyAgent, as_tensor

if TYPE_CHECKING:
    from shadowbox.model.heads import Temperature
    from shadowbox.model.policy import Policy
    from shadowbox.model.trunks.base import Memory

LIKELIEST = 0.5  # noise with which a part that others depend on is decided


class _ChanceReader:
    """Policy that is asked for chances in one match, whose memory it keeps.

    `thresholds` are those of the checkpoint's calibration, by control.
    """

    def __init__(self, agent: PolicyAgent) -> None:
        self.policy, self.temperatures = agent.policy, agent.temperatures
        self.thresholds = thresholds_of(agent.calibration)
        self.begin()

    def begin(self) -> None:
        """Forget what was seen: a match begins."""
        self.memory, self.fresh = self.policy.initial(1), True

    def __call__(self, view: Columns) -> dict[str, Array]:
        """Chances [1] (of a choice [1, n]) of each control, for a view [1, slots] of the next frame."""
        shown = {key: as_tensor(view[key][:, None]) for key in self.policy.input_columns}
        shown |= {key: as_tensor(view[key][:, None]) for key in self.policy.schema.control_keys}
        reset = torch.tensor([[self.fresh]])
        found, self.memory = control_chances(
            self.policy, shown, reset, self.memory, self.temperatures
        )
        self.fresh = False
        return {key: values[0, 0].float().numpy() for key, values in found.items()}


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
    previous = policy.values.of(view)
    output, memory = policy.seq(view, previous, reset, memory)
    if policy.head.depends:
        noise = previous.new_full((*previous.shape[:-1], policy.draws), LIKELIEST)
        output = output.given(output.drawn(noise, temperature))
    means = output.mean(temperature)
    by_value: dict[int, Tensor] = {at: means[..., at] for at in range(means.shape[-1])}
    outputs = torch.split(output.output, policy.head.widths, -1)
    temperatures = policy.head.by_part(temperature)
    for at, part in enumerate(policy.head.parts):
        if isinstance(part, CodebookDistribution):
            before = part.index(output.previous[..., list(part.at)])
            chance = part.log_probs(outputs[at], before, temperatures[at]).exp()
            by_value |= _of_points(policy, part, chance)
    found, slots = {}, policy.values.slots
    for at, key in enumerate(policy.values.keys):
        found[key] = torch.stack([by_value[at * slots + slot] for slot in range(slots)], 2)
    return found, memory


def _of_points(policy: Policy, part: CodebookDistribution, chance: Tensor) -> dict[int, Tensor]:
    """Chances of the flags and choices of a codebook by their place, of its points [..., K]."""
    found = {}
    for at, (key, place) in enumerate(zip(part.keys, part.at, strict=True)):
        field, values = policy.schema.columns[key].field, part.points[:, at]
        if field.kind == "flag":
            found[place] = chance @ (values != 0).to(chance.dtype)
        elif isinstance(field, Choice):
            each = torch.nn.functional.one_hot(values.round().long(), field.n)
            found[place] = chance @ each.to(chance.dtype)
    return found
