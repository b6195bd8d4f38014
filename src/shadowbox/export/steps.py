"""One step of a policy as a function of tensors alone, with names for what goes in and comes out.

All that is drawn is a function of uniform numbers among the inputs, so that another runtime draws
alike. B is the number of matches, which an exported step fixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shadowbox.core.schema import Choice, Flag, Schema
from shadowbox.model.design import DELAY
from shadowbox.model.policy import Policy

MEMORY, AFTER = "memory/", "after/"  # names of what a step remembers, before and after it
PRESS = "press/"  # names of the controls that a policy answers with


class _StepExport(NamedTuple):
    """A step to export: example inputs [B, ...] by name, and the names of its results."""

    name: str  # policy, world or encoder
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]


class _PolicyStep(nn.Module):
    """View, memory, uniform numbers and resets -> own controls, their log-probability, memory.

    With a value, if the policy estimates one.
    """

    def __init__(
        self,
        policy: Policy,
        temperatures: Sequence[float],
        style: Mapping[str, Tensor] | None,
        names: Sequence[str],
    ) -> None:
        """`names` of the inputs; `style` is that of one match, [1, ...]."""
        super().__init__()
        self.policy, self.temperatures = policy, list(temperatures)
        self.style, self.names = style, tuple(names)

    @torch.no_grad()
    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Results in the order of `_StepExport.outputs`."""
        policy, inputs = self.policy, dict(zip(self.names, given, strict=True))
        reset = inputs["reset"]
        memory = {
            key: inputs.get(f"{MEMORY}{key}", values.expand(reset.shape[0], *values.shape[1:]))
            for key, values in policy.initial(1).items()
        }
        view = {key: inputs[key] for key in (*policy.reads, DELAY) if key in inputs}
        style = self.style and {
            key: values.expand(reset.shape[0], *values.shape[1:])
            for key, values in self.style.items()
        }
        found = policy.decide(
            view,
            memory,
            inputs["noise"],
            reset=reset,
            temperature=self.temperatures,
            style=style,
        )
        controls = policy.values.columns(found.values)
        value = () if found.value is None else (found.value,)
        return (
            *(controls[key] for key in policy.schema.control_keys),
            found.log_prob,
            *value,
            *(found.memory[key] for key in memory if f"{MEMORY}{key}" in inputs),
        )


def policy_step(
    policy: Policy,
    temperatures: Sequence[float],
    style: Mapping[str, Tensor] | None = None,
    matches: int = 1,
) -> _StepExport:
    """Step of a policy at fixed temperatures of its parts.

    Inputs: the columns that the policy reads, its own slot first; `delay`, if it was trained with
    reaction delays; `memory/...`; `noise` [B, draws]; `reset` [B], true where a match begins.
    """
    inputs = {key: _example(policy.schema, key, matches) for key in policy.reads}
    if policy.config.delays:
        inputs[DELAY] = torch.zeros(matches, 1)
    memory = policy.initial(matches, torch.device("cpu"))
    inputs |= {f"{MEMORY}{key}": values for key, values in memory.items() if values.numel()}
    inputs["noise"] = torch.full((matches, policy.draws), 0.5)
    inputs["reset"] = torch.ones(matches, dtype=torch.bool)
    outputs = (
        *(f"{PRESS}{key}" for key in policy.schema.control_keys),
        "log_prob",
        *(["value"] if policy.value is not None else []),
        *(f"{AFTER}{key}" for key, values in memory.items() if values.numel()),
    )
    one = style and {key: values[:1] for key, values in style.items()}
    module = _PolicyStep(policy.eval(), temperatures, one, tuple(inputs))
    return _StepExport("policy", module, inputs, outputs)


def _example(schema: Schema, key: str, matches: int) -> Tensor:
    """A neutral column [B, slots] in the type that models take."""
    column = schema.columns[key]
    kind = (
        torch.bool
        if isinstance(column.field, Flag)
        else torch.int64
        if isinstance(column.field, Choice)
        else torch.float32
    )
    return torch.zeros(matches, column.slots, dtype=kind)
