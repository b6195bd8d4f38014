"""Heads of a policy by name, their parts, and the value of a state.

V: values of a frame, H: features of the trunk.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from shadowbox.core.schema import Choice, Flag, Real
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codebook import _CategoricalDistribution
from shadowbox.model.codec import ControlValues
from shadowbox.model.design import HeadConfig
from shadowbox.model.distributions import (
    ControlDistribution,
    FlagDistribution,
    RegressionDistribution,
)
from shadowbox.model.heads import (
    Head,
    Temperature,
    Vocabulary,
    _categorical_parts,
    _CategoricalHead,
    _chain_parts,
    _ChainHead,
    _independent_parts,
    _IndependentHead,
)
from shadowbox.model.loss_options import LossOptions
from shadowbox.model.vocabulary import field_range

# ---- grouped head of older systems ---------------------------------------------------------------

GROUP_DROPOUT = 0.3
SMALL = 1e-6  # smallest probability of no change


class _ControlGroup(NamedTuple):
    """Controls that share a layer: their distribution, and the numbers that the layer gives."""

    part: ControlDistribution
    outputs: int
    tanh: bool  # squash by tanh, not by a sigmoid


def control_groups(values: ControlValues) -> list[_ControlGroup]:
    """Groups `action` and `inv` of flags, `look` and `cursor` of reals, and one for each choice.

    The second of two holds controls whose mode is a flag of the state; controls that count always,
    or while that flag is off, are in the first.
    """
    members: dict[tuple[type, bool], list[int]] = {}
    groups: list[_ControlGroup] = []
    fields = [values.schema.columns[key].field for key in values.names]
    for at, field in enumerate(fields):
        second = bool(field.when) and not field.when.startswith("!")
        if not isinstance(field, Choice):
            members.setdefault((type(field), second), []).append(at)
    for (kind, second), places in members.items():
        keys = [values.names[at] for at in places]
        part: ControlDistribution
        if kind is Flag:
            part, part.name = FlagDistribution(keys, places), ("action", "inv")[second]
        else:
            reals = [field for at in places if isinstance(field := fields[at], Real)]
            scale, span = [real.scale for real in reals], [field_range(real) for real in reals]
            part = RegressionDistribution(keys, places, scale, span)
            part.name = ("look", "cursor")[second]
        groups.append(_ControlGroup(part, len(places), kind is Real and not second))
    for at, field in enumerate(fields):
        if isinstance(field, Choice):
            points = [[float(value)] for value in range(field.n)]
            one = _CategoricalDistribution(field.name, [values.names[at]], [at], points)
            groups.append(_ControlGroup(one, field.n - 1, False))
    return groups


class _GroupedHead(Head):
    """A layer of its own for each group of controls, as older systems have it.

    A choice has a logit for each change, and learns from changes alone. No change, its value 0, gets
    the probability of all changes but the likeliest, so that an unsure head changes nothing.
    """

    def __init__(self, features: int, groups: list[_ControlGroup], width: int) -> None:
        super().__init__([group.part for group in groups])
        self.groups = groups
        self.layers = nn.ModuleDict(
            {
                group.part.name: nn.Sequential(
                    nn.Linear(features, width),
                    nn.ReLU(),
                    nn.Dropout(GROUP_DROPOUT),
                    nn.Linear(width, group.outputs),
                )
                for group in groups
            }
        )

    def forward(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        parts = []
        for group in self.groups:
            output: Tensor = self.layers[group.part.name](h).float()
            if group.tanh:
                output = 2 * output  # the sigmoid of 2 y, from -1 to 1, is the tanh of y
            elif isinstance(group.part, _CategoricalDistribution):
                total = output.logsumexp(-1, keepdim=True)
                sure = (output.amax(-1, keepdim=True) - total).exp().clamp(SMALL, 1 - SMALL)
                output = torch.cat([total + torch.log((1 - sure) / sure), output], -1)
            parts.append(output)
        return torch.cat(parts, -1)

    def sample(
        self, h: Tensor, previous: Tensor, noise: Tensor, temperature: Temperature = 1.0
    ) -> tuple[Tensor, Tensor]:
        return self.draw(self.forward(h, previous, previous), previous, noise, temperature)


# ---- by name -------------------------------------------------------------------------------------

HEADS = ("independent", "chain", "categorical", "grouped")


def build_head(
    config: HeadConfig,
    loss: LossOptions,
    features: int,
    values: ControlValues,
    vocabulary: Vocabulary,
) -> Head:
    """Head of a configuration, over `features` numbers a frame."""
    if config.head == "independent":
        return _IndependentHead(features, _independent_parts(values, vocabulary, config, loss))
    if config.head == "chain":
        return _ChainHead(features, _chain_parts(values, vocabulary, loss), config.head_width)
    if config.head == "categorical":
        return _CategoricalHead(features, _categorical_parts(values, vocabulary))
    if config.head == "grouped":
        return _GroupedHead(features, control_groups(values), config.head_width)
    raise UsageError(f"unknown head '{config.head}': {did_you_mean(config.head, HEADS)}")


def value_head(features: int, width: int) -> nn.Module:
    """Features [..., H] -> value [..., 1], in units of the normalized return."""
    last = nn.Linear(width, 1)
    nn.init.orthogonal_(last.weight, 1.0)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), last)
