"""Predictions of a policy over a sequence."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import Tensor

from shadowbox.model.heads import Head, Temperature


@dataclass(frozen=True)
class PolicyOutput:
    """What a policy answers over a sequence: a distribution at each position, given the controls that were pressed.

    `output` [B, T, W] is read by the head; `previous` [B, T, V] are the own controls of the frame
    before each. The parts of a frame are decided one after another: `output` of a part was computed
    given the pressed values of those before it.
    """

    head: Head
    output: Tensor
    previous: Tensor
    h: Tensor | None = None  # [B, T, H] what the head was given, for whoever asks it again
    hidden: Tensor | None = None  # [B, T]

    def given(self, controls: Tensor) -> PolicyOutput:
        """The same distributions with other values [B, T, V] of the parts decided before."""
        assert self.h is not None, "only `seq` knows what the head was given"
        return dataclasses.replace(
            self, output=self.head(self.h, controls, self.previous, self.hidden)
        )

    def drawn(self, noise: Tensor, temperature: Temperature = 1.0) -> Tensor:
        """Controls drawn at every position, given what was pressed before it: noise [B, T, draws] -> [B, T, V]."""
        assert self.h is not None, "only `seq` knows what the head was given"
        return self.head.sample(self.h, self.previous, noise, temperature)[0]

    def log_prob(self, values: Tensor, temperature: Temperature = 1.0) -> Tensor:
        """Of controls [B, T, V] (those that the output was computed with), by part: [B, T, P].

        Sum for the frame's.
        """
        return self.head.log_prob(self.output, values, self.previous, temperature)

    def loss(self, values: Tensor) -> Tensor:
        """What training makes smaller, by the head's `names`: [B, T, names]."""
        return self.head.loss(self.output, values, self.previous)

    def entropy(self) -> Tensor:
        """By part, given the parts before it: [B, T, P]."""
        return self.head.entropy(self.output, self.previous)

    def kl(self, other: PolicyOutput) -> Tensor:
        """From this to another policy's distributions, by part: [B, T, P].

        Both need the same vocabulary.
        """
        return self.head.kl(self.output, other.output, self.previous)

    def mean(self, temperature: Temperature = 1.0) -> Tensor:
        """Expected values; of a flag, the probability that it is pressed: [B, T, V]."""
        return self.head.mean(self.output, self.previous, temperature)

    def mode(self) -> Tensor:
        """The most likely values of each part; for measuring, not for playing: [B, T, V]."""
        return self.head.mode(self.output, self.previous)
