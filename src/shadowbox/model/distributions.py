"""Distributions over controls, by kind of field: loss, likelihood, samples, entropy, divergence.

A part is a distribution over some values of a frame, read from `width` numbers of a head's output.
Values, and those of the frame before (`previous`), are floats [..., v]; losses and likelihoods are
in nats. Sampling takes uniform numbers [..., draws] and no generator, so that a match is the same
alone and among a thousand. `LossOptions` change a loss; `log_prob`, `sample` and all others
describe the distribution after their inversion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.model.loss_options import PLAIN, SMALLEST, LossOptions


class ControlDistribution(nn.Module):
    """Distribution over some values of a frame. The loss is the sum of its terms `names`."""

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        at: Sequence[int],
        *,
        width: int,
        draws: int,
        names: Sequence[str] = (),
    ) -> None:
        """`keys` are the control of each value, `at` its place among all values of a frame."""
        super().__init__()
        self.name, self.keys, self.at = name, tuple(keys), tuple(at)
        self.width, self.draws, self.names = width, draws, tuple(names or keys)
        # added at sampling time to the log-odds of each value's being pressed, [v]; None: nothing
        self.bias: Tensor | None = None

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:
        """Terms of the training loss: [..., width], [..., v], [..., v] -> [..., names]."""
        raise NotImplementedError

    def log_prob(
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Log-probability (or density) of values, [...]."""
        raise NotImplementedError

    def sample(
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Values [..., v] drawn with uniform noise [..., draws]."""
        raise NotImplementedError

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:
        """Expected values [..., v]; for a flag, its probability."""
        raise NotImplementedError

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:
        """Most likely values [..., v]; for evaluation, not for playing."""
        raise NotImplementedError

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:
        """Values [*lead, v] drawn uniformly from all possible ones."""
        raise NotImplementedError

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:
        """Entropy, [...]."""
        raise NotImplementedError

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:
        """KL divergence from the distribution of `output` to that of `other`, [...]."""
        raise NotImplementedError


class FlagDistribution(ControlDistribution):
    """Independent flags, each with one logit."""

    weights: Tensor | None

    def __init__(
        self,
        keys: Sequence[str],
        at: Sequence[int],
        options: LossOptions = PLAIN,
        scale: float = 1.0,
    ) -> None:
        """`scale` multiplies the loss; for a mean over flags it is 1 / their number."""
        super().__init__("flags", keys, at, width=len(keys), draws=len(keys))
        self.options, self.scale = options, scale
        self.register_buffer("weights", options.weights_of(keys), persistent=False)

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return self.options.loss_of(output, values, self.weights) * self.scale

    def log_prob(  # noqa: D102
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: float = 1.0
    ) -> Tensor:
        logit = self._logits(output, temperature)
        return -functional.binary_cross_entropy_with_logits(logit, values, reduction="none").sum(-1)

    def sample(  # noqa: D102
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return (noise < torch.sigmoid(self._logits(output, temperature))).float()

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: D102
        return torch.sigmoid(self._logits(output, temperature))

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return (self._logits(output) > 0).float()

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:  # noqa: D102
        return torch.rand(*lead, len(self.keys)).round()

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        logit = self._logits(output)
        return _events(logit, torch.sigmoid(logit)).sum(-1)

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        logit = self._logits(output)
        p = torch.sigmoid(logit)
        return (_events(self._logits(other), p) - _events(logit, p)).sum(-1)

    def _logits(self, output: Tensor, temperature: float = 1.0) -> Tensor:
        logit = self.options.unbiased_logits(output, self.weights) / temperature
        return logit if self.bias is None else logit + self.bias


class RegressionDistribution(ControlDistribution):
    """One number for each value, its mean, in units of the field's scale. The sample is the mean.

    With `span` the output is squashed into that range and errors are shares of it. The likelihood
    is that of a normal distribution around the mean with a standard deviation of one unit.
    """

    low: Tensor
    spread: Tensor

    def __init__(
        self,
        keys: Sequence[str],
        at: Sequence[int],
        scale: Sequence[float],
        span: Sequence[tuple[float, float]] | None = None,
        weight: float = 0.5,
    ) -> None:
        super().__init__("reals", keys, at, width=len(keys), draws=0)
        self.weight, self.squashed = weight, span is not None
        low, high = (
            zip(*span, strict=True) if span else ((0.0,) * len(keys), tuple(1 / s for s in scale))
        )
        self.register_buffer("low", torch.tensor(low), persistent=False)
        self.register_buffer("spread", torch.tensor(high) - torch.tensor(low), persistent=False)

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return ((values - self.low) / self.spread - self._share(output)).square() * self.weight

    def log_prob(  # noqa: D102
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: float = 1.0
    ) -> Tensor:
        spread = self.spread * temperature
        far = (values - self.mean(output, previous)) / spread
        return -(far.square() / 2 + torch.log(spread) + math.log(2 * math.pi) / 2).sum(-1)

    def sample(  # noqa: D102
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return self.mean(output, previous)

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: D102
        return self.low + self._share(output) * self.spread

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return self.mean(output, previous)

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:  # noqa: D102
        return self.low + torch.rand(*lead, len(self.keys), device=self.low.device) * self.spread

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        each = torch.log(self.spread) + (1 + math.log(2 * math.pi)) / 2
        return each.sum().expand(output.shape[:-1])

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return (self._share(output) - self._share(other)).square().sum(-1) / 2

    def _share(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output) if self.squashed else output


class MixtureDistribution(ControlDistribution):
    """Mixture of `many` normal distributions for each value, in units of the field's scale."""

    scale: Tensor

    def __init__(
        self, keys: Sequence[str], at: Sequence[int], scale: Sequence[float], many: int = 4
    ) -> None:
        super().__init__("reals", keys, at, width=3 * many * len(keys), draws=2 * len(keys))
        self.many = many
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return -self._each(output, values, 1.0)

    def log_prob(  # noqa: D102
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return self._each(output, values, temperature).sum(-1)

    def sample(  # noqa: D102
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        weights, means, spreads = self._read(output, temperature)
        for_component, for_value = noise.view(*noise.shape[:-1], -1, 2).unbind(-1)
        chosen = draw_index(weights.exp(), for_component)[..., None]
        normal = torch.special.ndtri(for_value.double().clamp(SMALLEST, 1 - SMALLEST)).float()
        value: Tensor = (
            means.gather(-1, chosen)[..., 0] + spreads.gather(-1, chosen)[..., 0] * normal
        )
        return value / self.scale

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: D102
        weights, means, _ = self._read(output, temperature)
        return (weights.exp() * means).sum(-1) / self.scale

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        # the mean of the component with the highest peak, which is close to the mode
        weights, means, spreads = self._read(output, 1.0)
        peak = (weights - spreads.log()).argmax(-1, keepdim=True)
        return means.gather(-1, peak)[..., 0] / self.scale

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:  # noqa: D102
        return (2 * torch.rand(*lead, len(self.keys), device=self.scale.device) - 1) / self.scale

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:
        """Entropy, [...], which has no closed form: estimated at fixed quantiles of components."""
        return -self._expected(output, lambda points: self._each(output, points, 1.0))

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:
        """KL divergence, estimated in the same way as the entropy."""
        return self._expected(
            output, lambda points: self._each(output, points, 1.0) - self._each(other, points, 1.0)
        )

    def _expected(self, output: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        weights, means, spreads = self._read(output, 1.0)
        total = torch.zeros_like(weights[..., 0])
        quantiles = torch.special.ndtri((torch.arange(16, dtype=torch.float64) + 0.5) / 16).tolist()
        for component in range(self.many):
            for quantile in quantiles:
                point = (means[..., component] + spreads[..., component] * quantile) / self.scale
                total = total + weights[..., component].exp() * of(point) / len(quantiles)
        return total.sum(-1)

    def _each(self, output: Tensor, values: Tensor, temperature: float) -> Tensor:
        weights, means, spreads = self._read(output, temperature)
        far = ((values * self.scale)[..., None] - means) / spreads
        parts = weights - far.square() / 2 - spreads.log() - math.log(2 * math.pi) / 2
        return torch.logsumexp(parts, -1) + torch.log(self.scale)

    def _read(self, output: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        weights, means, spreads = output.view(
            *output.shape[:-1], 3, len(self.keys), self.many
        ).unbind(-3)
        return (
            (weights / temperature).log_softmax(-1),
            means,
            (functional.softplus(spreads) + 1e-3) * temperature,
        )


def _events(logit: Tensor, p: Tensor) -> Tensor:
    """Cross-entropy of events of probability `p` under `logit`, in nats."""
    return functional.binary_cross_entropy_with_logits(logit, p, reduction="none")


def draw_index(p: Tensor, noise: Tensor) -> Tensor:
    """Index drawn from weights p [..., K] with uniform noise [...]; zero weights are never drawn.

    The first index at which the running sum exceeds the noise.
    """
    sums = p.cumsum(-1)
    return (sums <= noise[..., None] * sums[..., -1:]).sum(-1).clamp(max=p.shape[-1] - 1)
