"""Heads of a policy: features of a trunk -> a distribution over the own controls of a frame.

A frame's controls are decided in parts, in order. A head maps features h [..., H] to an output
[..., W] (teacher-forced where parts depend on each other); losses and probabilities are pure
functions of that output. V: values of a frame, P: parts, N: terms of the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.schema import Choice, Flag, Real
from shadowbox.model.codebook import CodebookDistribution, _CategoricalDistribution
from shadowbox.model.codec import ControlValues
from shadowbox.model.design import HeadConfig
from shadowbox.model.distributions import (
    ControlDistribution,
    FlagDistribution,
    MixtureDistribution,
    RegressionDistribution,
)
from shadowbox.model.loss_options import LossOptions
from shadowbox.model.vocabulary import control_factors, field_range

Temperature = float | Sequence[float]  # one temperature, or one for each part
# name of a part -> its points; plain data, saved in checkpoints
Vocabulary = Mapping[str, Sequence[Sequence[float]]]


class Head(nn.Module):
    """Parts side by side in one output. Subclasses define the output and how it is sampled."""

    depends = False  # parts of a frame depend on those before them

    def __init__(self, parts: Sequence[ControlDistribution]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.of_parts = nn.ModuleList(parts)  # registered, so that their buffers change device
        self.widths = [part.width for part in parts]
        self.width, self.draws = sum(self.widths), sum(part.draws for part in parts)
        self.names = tuple(name for part in parts for name in part.names)
        self.members = self._members()  # values that each term covers, bool [N, V]
        self.order = [at for part in parts for at in part.at]  # values in the order of the parts
        self.back = np.argsort(self.order).tolist()
        self.places = [
            slice(None) if list(part.at) == list(range(len(self.order))) else list(part.at)
            for part in parts
        ]

    def forward(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """Output [..., W] of features [..., H] and values [..., V], pressed now and a frame before.

        `hidden` [...] marks frames whose previous values are hidden.
        """
        raise NotImplementedError

    def sample(
        self, h: Tensor, previous: Tensor, noise: Tensor, temperature: Temperature = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Draw values [..., V] with noise [..., draws]; also their log-probability [..., P]."""
        raise NotImplementedError

    def draw(
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: Temperature = 1.0
    ) -> tuple[Tensor, Tensor]:
        """`sample`, from an output whose parts do not depend on each other."""
        noises = torch.split(noise, [part.draws for part in self.parts], -1)
        drawn, log_probs, temperatures = [], [], self.by_part(temperature)
        for at, (part, (own, before)) in enumerate(self._each(output, previous)):
            drawn.append(part.sample(own, before, noises[at], temperatures[at]))
            log_probs.append(part.log_prob(own, drawn[-1], before, temperatures[at]))
        return self._ordered(drawn), torch.stack(log_probs, -1)

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:
        """Terms of the training loss, [..., N]."""
        return torch.cat(
            [part.loss(*each) for part, each in self._each(output, values, previous)], -1
        )

    def learn(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """Apply `forward`, then `loss`."""
        return self.loss(self.forward(h, values, previous, hidden), values, previous)

    def log_prob(
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: Temperature = 1.0
    ) -> Tensor:
        """Log-probability of values by part, [..., P]."""
        parts = zip(self._each(output, values, previous), self.by_part(temperature), strict=True)
        return torch.stack(
            [
                part.log_prob(*each, temperature_of_part)
                for (part, each), temperature_of_part in parts
            ],
            -1,
        )

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:
        """Entropy by part, [..., P]."""
        return torch.stack([part.entropy(*each) for part, each in self._each(output, previous)], -1)

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:
        """KL divergence by part, [..., P]."""
        others = torch.split(other, self.widths, -1)
        divergences = [
            part.kl(own, others[at], before)
            for at, (part, (own, before)) in enumerate(self._each(output, previous))
        ]
        return torch.stack(divergences, -1)

    def mean(self, output: Tensor, previous: Tensor, temperature: Temperature = 1.0) -> Tensor:
        """Expected values, [..., V]."""
        parts = zip(self._each(output, previous), self.by_part(temperature), strict=True)
        return self._ordered(
            [part.mean(*each, temperature_of_part) for (part, each), temperature_of_part in parts]
        )

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:
        """Most likely values, [..., V]."""
        return self._ordered([part.mode(*each) for part, each in self._each(output, previous)])

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:
        """Values [*lead, V] drawn uniformly, for noise on previous controls."""
        return self._ordered([part.sample_uniform(lead) for part in self.parts])

    def by_part(self, temperature: Temperature) -> Sequence[float]:
        """Temperature of each part."""
        return (
            [temperature] * len(self.parts) if isinstance(temperature, int | float) else temperature
        )

    def set_press_bias(self, bias: Tensor) -> None:
        """Shift sampling: value v of a frame gets exp(bias[v]) times its odds of being pressed, [V].

        Parts decided together stay one distribution, whose points are weighted by exp(bias) for
        each pressed value. Losses do not change.
        """
        for part in self.parts:
            own = bias[list(part.at)]
            part.bias = own if own.any() else None

    def _members(self) -> Tensor:
        # on the CPU even if the model is built on the meta device
        members = torch.zeros(
            len(self.names),
            sum(len(part.at) for part in self.parts),
            dtype=torch.bool,
            device="cpu",
        )
        term = 0
        for part in self.parts:
            single = len(part.names) == len(part.at) and not isinstance(part, CodebookDistribution)
            for at in range(len(part.names)):
                members[term, part.at[at] if single else list(part.at)] = True
                term += 1
        return members

    def _each(self, output: Tensor, *values: Tensor) -> list[tuple[Any, tuple[Tensor, ...]]]:
        outputs = torch.split(output, self.widths, -1)
        return [
            (part, (outputs[at], *(value[..., place] for value in values)))
            for at, (part, place) in enumerate(zip(self.parts, self.places, strict=True))
        ]

    def _ordered(self, values: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(values), -1)[..., self.back]


class _IndependentHead(Head):
    """Controls decided independently of each other: one linear map from the features."""

    def __init__(self, features: int, parts: Sequence[ControlDistribution]) -> None:
        super().__init__(parts)
        self.linear = nn.Linear(features, self.width)

    def forward(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        output: Tensor = self.linear(h)
        return output.float()

    def sample(
        self, h: Tensor, previous: Tensor, noise: Tensor, temperature: Temperature = 1.0
    ) -> tuple[Tensor, Tensor]:
        return self.draw(self.forward(h, previous, previous), previous, noise, temperature)


class _ChainHead(Head):
    """Parts decided one after another, each given those before it and its own last value.

    All controls are points of a codebook. A residual r [..., D] passes through the parts: it begins
    with all values of the last frame, and each part reads it and adds its decision.
    """

    depends = True
    books: tuple[CodebookDistribution, ...]

    def __init__(self, features: int, books: Sequence[CodebookDistribution], width: int) -> None:
        super().__init__(books)
        self.books = tuple(books)
        self.begin = nn.Linear(features, width)
        self.out = nn.ModuleList([nn.Linear(width, book.width) for book in books])
        # one more row for each book, used for hidden values
        self.last = nn.EmbeddingBag(sum(book.size + 1 for book in books), width, mode="sum")
        self.first_of = np.cumsum([0, *(book.size + 1 for book in books)]).tolist()
        self.chosen = nn.ModuleList([nn.Embedding(book.size, width) for book in books[:-1]])
        for table in (self.last, *self.chosen):
            nn.init.normal_(table.weight, std=0.1)
        for out in self.out:
            assert isinstance(out, nn.Linear)
            nn.init.constant_(out.bias[:1], -2.0)  # most frames change nothing
            nn.init.zeros_(out.bias[1:])

    def forward(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        index, before = self._indices(values), self._indices(previous)
        return torch.cat(self._walk(h, index, before, hidden), -1)

    def learn(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """Apply `forward`, then `loss`, with points looked up once."""
        index, before = self._indices(values), self._indices(previous)
        outputs = self._walk(h, index, before, hidden)
        return torch.cat(
            [
                book.index_loss(*each)
                for book, *each in zip(self.books, outputs, index, before, strict=True)
            ],
            -1,
        )

    def sample(
        self, h: Tensor, previous: Tensor, noise: Tensor, temperature: Temperature = 1.0
    ) -> tuple[Tensor, Tensor]:
        previous_at, temperatures = self._indices(previous), self.by_part(temperature)
        r, drawn, log_probs = self._begin(h, previous_at, None), [], []
        noises = torch.split(noise, [book.draws for book in self.books], -1)
        for at, (book, before) in enumerate(zip(self.books, previous_at, strict=True)):
            output = self._read(at, r)
            index, log_prob = book.sample_index(output, before, noises[at], temperatures[at])
            drawn.append(book.value(index))
            log_probs.append(log_prob)
            if at + 1 < len(self.books):
                r = r + self.chosen[at](index)
        return self._ordered(drawn), torch.stack(log_probs, -1)

    def _indices(self, values: Tensor) -> list[Tensor]:
        return [
            book.index(values[..., place])
            for book, place in zip(self.books, self.places, strict=True)
        ]

    def _walk(
        self, h: Tensor, index: list[Tensor], before: list[Tensor], hidden: Tensor | None
    ) -> list[Tensor]:
        r, outputs = self._begin(h, before, hidden), []
        for at in range(len(self.books)):
            outputs.append(self._read(at, r))
            if at + 1 < len(self.books):
                r = r + self.chosen[at](index[at])
        return outputs

    def _begin(self, h: Tensor, before: list[Tensor], hidden: Tensor | None) -> Tensor:
        """Residual that the parts begin with: the features and the own values of the last frame."""
        if hidden is not None:
            before = [
                torch.where(hidden, book.size, at)
                for book, at in zip(self.books, before, strict=True)
            ]
        rows = torch.stack(
            [at + first for at, first in zip(before, self.first_of, strict=False)], -1
        )
        r: Tensor = self.begin(h)
        last: Tensor = self.last(rows.flatten(0, -2))
        return r + last.view(r.shape)

    def _read(self, at: int, r: Tensor) -> Tensor:
        output: Tensor = self.out[at](functional.relu(r))
        return output.float()


class _CategoricalHead(_IndependentHead):
    """One categorical distribution for each factor of the controls; flags are one factor.

    With a vocabulary of key combinations a decision is one draw among them, as in reinforcement
    learning with discrete actions.
    """

    def __init__(self, features: int, parts: Sequence[ControlDistribution]) -> None:
        super().__init__(features, parts)
        # nearly uniform at first: the usual start of policy gradients
        nn.init.orthogonal_(self.linear.weight, 0.01)
        nn.init.zeros_(self.linear.bias)


# ---- parts of the heads --------------------------------------------------------------------------


def _chain_parts(
    values: ControlValues, vocabulary: Vocabulary, options: LossOptions
) -> list[CodebookDistribution]:
    return [
        CodebookDistribution(factor.name, factor.keys, factor.at, vocabulary[factor.name], options)
        for factor in control_factors(values)
    ]


def _categorical_parts(
    values: ControlValues, vocabulary: Vocabulary
) -> list[_CategoricalDistribution]:
    return [
        _CategoricalDistribution(factor.name, factor.keys, factor.at, vocabulary[factor.name])
        for factor in control_factors(values)
    ]


def _independent_parts(
    values: ControlValues,
    vocabulary: Vocabulary,
    config: HeadConfig,
    loss: LossOptions,
) -> list[ControlDistribution]:
    """Distributions of reals and flags by value, and of each choice over its own points."""
    schema = values.schema
    parts: list[ControlDistribution] = []
    of_kind: dict[type, list[tuple[str, int]]] = {Real: [], Flag: [], Choice: []}
    for at, key in enumerate(values.names):
        of_kind[type(schema.columns[key].field)].append((key, at))
    seed = loss.loss == "seed"
    if of_kind[Real]:
        keys, places = zip(*of_kind[Real], strict=True)
        fields = [f for key in keys if isinstance(f := schema.columns[key].field, Real)]
        scale = [f.scale for f in fields]
        if config.reals == "mixture":
            parts.append(MixtureDistribution(keys, places, scale))
        else:
            span = [field_range(f) for f in fields] if seed else None
            parts.append(
                RegressionDistribution(keys, places, scale, span, 1 / len(keys) if seed else 0.5)
            )
    if of_kind[Flag]:
        keys, places = zip(*of_kind[Flag], strict=True)
        parts.append(FlagDistribution(keys, places, loss, 1 / len(keys) if seed else 1.0))
    choice = _CategoricalDistribution if config.choices == "plain" else CodebookDistribution
    parts += [
        choice(factor.name, factor.keys, factor.at, vocabulary[factor.name])
        for factor in control_factors(values)
        if factor.kind == "choice"
    ]
    return parts
