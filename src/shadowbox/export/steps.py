"""One step of a policy, a world or an encoder as a function of tensors alone.

Everything that goes in and comes out has a name.
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
from shadowbox.model.strategy.encoder import StrategyEncoder
from shadowbox.model.world.older import _OlderWorld
from shadowbox.model.world.projection import _Projection
from shadowbox.model.world.step import _PureStep
from shadowbox.model.world.world import _WorldModel

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


def world_step(model: _WorldModel | _OlderWorld) -> _StepExport:
    """Step of a learned world, of one match.

    Inputs: a frame by kind (`reals`, `flags`, `choices`, in the places of `_Layout`), the controls
    of all players, `memory/...`, and `noise` [1, draws]. Results: the next frame, memory, and how
    many values were `put_right`.
    """
    layout, schema, cpu = model.layout, model.schema, torch.device("cpu")
    inputs = {
        "reals": torch.zeros(1, layout.width(layout.reals)),
        "flags": torch.zeros(1, layout.width(layout.flags), dtype=torch.bool),
        "choices": torch.zeros(1, layout.width(layout.choices), dtype=torch.int64),
    }
    kinds = tuple(inputs)
    inputs |= {key: _example(schema, key, 1) for key in schema.control_keys}
    memory = model.initial(1, cpu)
    inputs |= {f"{MEMORY}{key}": values for key, values in memory.items()}
    inputs["noise"] = torch.full((1, model.heads.draws), 0.5)
    outputs = (
        *(f"{AFTER}{kind}" for kind in kinds),
        *(f"{AFTER}{key}" for key in memory),
        "put_right",
        "wrong",
    )
    step = _PureStep(model.eval(), _Projection(model), 1)
    return _StepExport("world", step, inputs, outputs)


class _EncoderStep(nn.Module):
    """View, memory and resets -> latent of the opponent's history, memory."""

    def __init__(self, encoder: StrategyEncoder, names: Sequence[str]) -> None:
        """`names` of the inputs."""
        super().__init__()
        self.encoder, self.names = encoder, tuple(names)

    @torch.no_grad()
    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Results in the order of `_StepExport.outputs`."""
        inputs = dict(zip(self.names, given, strict=True))
        memory = {
            name.removeprefix(MEMORY): values
            for name, values in inputs.items()
            if name.startswith(MEMORY)
        }
        view = {key: inputs[key][:, None] for key in self.encoder.keys}
        latent, after = self.encoder.seq(view, memory, inputs["reset"][:, None])
        latent = latent[:, 0]
        guess = () if self.encoder.identity is None else (self.encoder.guess(latent),)
        return (latent, *guess, *(after[key] for key in memory))


def encoder_step(encoder: StrategyEncoder, schema: Schema) -> _StepExport:
    """Step of an encoder of the opponent's history, of one match.

    Inputs: the columns that it reads, as its player sees them, `memory/...` and `reset`. Results:
    the `latent`, the `guess` of who the opponent is, where it was trained to, and the memory.
    """
    inputs = {key: _example(schema, key, 1) for key in encoder.keys}
    memory = encoder.initial(1, torch.device("cpu"))
    inputs |= {f"{MEMORY}{key}": values for key, values in memory.items()}
    inputs["reset"] = torch.ones(1, dtype=torch.bool)
    guess = () if encoder.identity is None else ("guess",)
    outputs = ("latent", *guess, *(f"{AFTER}{key}" for key in memory))
    return _StepExport("encoder", _EncoderStep(encoder.eval(), tuple(inputs)), inputs, outputs)
