"""Output of a policy over a sequence: distributions over its controls at each position."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from shadowbox.model.heads import Head, Temperature
from shadowbox.model.masks import masked
from shadowbox.model.trunks.base import Memory


@dataclass(frozen=True)
class PolicyOutput:
    """Distributions over controls at each position of a sequence, given the pressed controls.

    `output` [B, T, W] is read by the head; `previous` [B, T, V] are the own controls of the frame
    before each position. The parts of a frame are decided one after another: the output of a part
    was computed from the pressed values of the parts before it.
    """

    head: Head
    output: Tensor
    previous: Tensor
    h: Tensor | None = None  # [B, T, H] input of the head, for evaluating it again
    hidden: Tensor | None = None  # [B, T] positions whose previous controls were hidden
    allowed: Tensor | None = None  # [B, T, W] places of the output that are not masked

    def given(self, controls: Tensor) -> PolicyOutput:
        """Distributions given other values [B, T, V] of the parts decided earlier in each frame."""
        assert self.h is not None, "only outputs of `seq` hold the input of the head"
        output = self.head(self.h, controls, self.previous, self.hidden)
        return dataclasses.replace(self, output=masked(output, self.allowed))

    def drawn(self, noise: Tensor, temperature: Temperature = 1.0) -> Tensor:
        """Draw controls [B, T, V] at every position, given the pressed ones before it.

        `noise` [B, T, draws] is uniform.
        """
        assert self.h is not None, "only outputs of `seq` hold the input of the head"
        if self.allowed is not None:
            return self.head.draw(self.output, self.previous, noise, temperature)[0]
        return self.head.sample(self.h, self.previous, noise, temperature)[0]

    def log_prob(self, values: Tensor, temperature: Temperature = 1.0) -> Tensor:
        """Log-probability of controls [B, T, V] by part, [B, T, P]; its sum is that of the frame.

        The controls must be those that the output was computed with.
        """
        return self.head.log_prob(self.output, values, self.previous, temperature)

    def loss(self, values: Tensor) -> Tensor:
        """Training loss by the head's `names`, [B, T, names]."""
        return self.head.loss(self.output, values, self.previous)

    def entropy(self) -> Tensor:
        """Entropy of each part, given the parts before it: [B, T, P]."""
        return self.head.entropy(self.output, self.previous)

    def kl(self, other: PolicyOutput) -> Tensor:
        """KL divergence to another policy's distributions by part, [B, T, P].

        Both policies need the same vocabulary. An action that either masks counts for neither.
        """
        own, theirs = masked(self.output, other.allowed), masked(other.output, self.allowed)
        return self.head.kl(own, theirs, self.previous)

    def mean(self, temperature: Temperature = 1.0) -> Tensor:
        """Expected values [B, T, V]; for a flag, the probability that it is pressed."""
        return self.head.mean(self.output, self.previous, temperature)

    def mode(self) -> Tensor:
        """Most likely values of each part, [B, T, V]; for evaluation, not for playing."""
        return self.head.mode(self.output, self.previous)


class _Decision(NamedTuple):
    """Decision of one frame of each match."""

    values: Tensor  # pressed values [B, V]
    log_prob: Tensor  # by part, [B, P]
    value: Tensor | None  # of the state [B], if the policy estimates it
    memory: Memory


class _ActionEvaluation(NamedTuple):
    """Recorded actions under a policy, at every position of sequences; gradients flow."""

    log_prob: Tensor  # of the pressed controls, [B, T]
    entropy: Tensor  # by part, [B, T, P]
    value: Tensor  # of the state, [B, T]
    output: PolicyOutput
    latent: Tensor | None  # of the opponent's history [B, T, D], if the policy encodes it
