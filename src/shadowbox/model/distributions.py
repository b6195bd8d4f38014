"""What comes out of a model for each kind of field: likelihood, loss, sample, most likely value, entropy, divergence.

A part is a distribution over some values of a frame, read from `width` numbers that a head gave.
Values and those of the frame before are floats [..., v]; costs and likelihoods are in nats.
Sampling takes uniform numbers [..., draws] and no generator, so that a match is the same alone and
among a thousand. `LossOptions` bend a loss; `log_prob`, `sample` and all else describe the distribution
with what can be undone undone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.model.loss_options import PLAIN, SMALLEST, LossOptions

LOOKED_UP = 16  # values whose nearest point is looked up in a table; of more it is searched
CELLS = {1: 4096, 2: 128}  # of the table along each value; flags and more values have 2


class ControlDistribution(nn.Module):
    """A distribution over some values. `names` are the terms of its cost; they add up to it."""

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
        """`keys`: the control of each value; `at`: its place among all values of a frame."""
        super().__init__()
        self.name, self.keys, self.at = name, tuple(keys), tuple(at)
        self.width, self.draws, self.names = width, draws, tuple(names or keys)

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:
        """What training makes smaller: [..., width], [..., v], [..., v] -> [..., names]."""
        raise NotImplementedError

    def log_prob(
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """[...]"""  # noqa: D400, D415
        raise NotImplementedError

    def sample(
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Uniform noise [..., draws] -> values [..., v]."""
        raise NotImplementedError

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:
        """Expected values [..., v]: of a flag, its probability."""
        raise NotImplementedError

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:
        """The most likely values [..., v]; for measuring, not for playing."""
        raise NotImplementedError

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:
        """Values [*lead, v] drawn evenly from all that there are."""
        raise NotImplementedError

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:
        """[...]"""  # noqa: D400, D415
        raise NotImplementedError

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:
        """How far the distribution of `output` is from that of `other`, [...]."""
        raise NotImplementedError


class FlagDistribution(ControlDistribution):
    """Each flag pressed or not, independently: one logit a value."""

    def __init__(
        self,
        keys: Sequence[str],
        at: Sequence[int],
        options: LossOptions = PLAIN,
        scale: float = 1.0,
    ) -> None:
        """`scale` of the cost; a mean over flags has 1 / their number."""
        super().__init__("flags", keys, at, width=len(keys), draws=len(keys))
        self.options, self.scale = options, scale

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return self.options.loss_of(output, values) * self.scale

    def log_prob(  # noqa: D102
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: float = 1.0
    ) -> Tensor:
        logit = self.options.unbiased_logits(output) / temperature
        return -functional.binary_cross_entropy_with_logits(logit, values, reduction="none").sum(-1)

    def sample(  # noqa: D102
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return (noise < torch.sigmoid(self.options.unbiased_logits(output) / temperature)).float()

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: D102
        return torch.sigmoid(self.options.unbiased_logits(output) / temperature)

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return (self.options.unbiased_logits(output) > 0).float()

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:  # noqa: D102
        return torch.rand(*lead, len(self.keys)).round()

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        logit = self.options.unbiased_logits(output)
        return _events(logit, torch.sigmoid(logit)).sum(-1)

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        logit = self.options.unbiased_logits(output)
        p = torch.sigmoid(logit)
        return (_events(self.options.unbiased_logits(other), p) - _events(logit, p)).sum(-1)


class RegressionDistribution(ControlDistribution):
    """One number a value: its mean, in units of the field's scale. What is sampled is the mean, as the originals do.

    With `span` the output is squashed into that range and errors are shares of it. The likelihood
    is that of a normal distribution around the mean whose spread is one of those units.
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
    """A mixture of `many` normal distributions for each value: weights, means and spreads, in units of the field's scale."""

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
        which, where = noise.view(*noise.shape[:-1], -1, 2).unbind(-1)
        chosen = _drawn(weights.exp(), which)[..., None]
        normal = torch.special.ndtri(where.double().clamp(SMALLEST, 1 - SMALLEST)).float()
        value: Tensor = (
            means.gather(-1, chosen)[..., 0] + spreads.gather(-1, chosen)[..., 0] * normal
        )
        return value / self.scale

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: D102
        weights, means, _ = self._read(output, temperature)
        return (weights.exp() * means).sum(-1) / self.scale

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        weights, means, spreads = self._read(output, 1.0)  # the highest of the peaks, near enough
        peak = (weights - spreads.log()).argmax(-1, keepdim=True)
        return means.gather(-1, peak)[..., 0] / self.scale

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:  # noqa: D102
        return (2 * torch.rand(*lead, len(self.keys), device=self.scale.device) - 1) / self.scale

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:
        """There is no closed form: estimated at fixed quantiles of every component."""
        return -self._expected(output, lambda points: self._each(output, points, 1.0))

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:
        """Estimated as the entropy is."""
        return self._expected(
            output, lambda points: self._each(output, points, 1.0) - self._each(other, points, 1.0)
        )

    def _expected(self, output: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        weights, means, spreads = self._read(output, 1.0)
        total = torch.zeros_like(weights[..., 0])
        places = torch.special.ndtri((torch.arange(16, dtype=torch.float64) + 0.5) / 16).tolist()
        for component in range(self.many):
            for place in places:
                point = (means[..., component] + spreads[..., component] * place) / self.scale
                total = total + weights[..., component].exp() * of(point) / len(places)
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


class CodebookDistribution(ControlDistribution):
    """Values that stand at one of K points together: pressed combinations, places of a stick, a choice. Two events.

    Whether they change (hazard h), and if so to which of the other points: p(c) = (1 - h) [c =
    before] + h pi(c | c != before). A value is read as its nearest point. Width 1 + K, draws 2.
    """

    points: Tensor
    low: Tensor
    steps: Tensor
    strides: Tensor
    table: Tensor

    def __init__(self, name: str, keys: Sequence[str], at: Sequence[int], points: Sequence[Sequence[float]],
                 options: LossOptions = PLAIN) -> None:  # fmt: skip
        super().__init__(
            name,
            keys,
            at,
            width=1 + len(points),
            draws=2,
            names=(f"{name}.change", f"{name}.which"),
        )
        self.options, self.size = options, len(points)
        # also of a model that is outlined without memory
        places = torch.tensor(points, dtype=torch.float32, device="cpu")
        self.register_buffer("points", places.view(-1, len(self.keys)), persistent=False)
        low, high = self.points.amin(0), self.points.amax(0)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer(
            "steps", (self._cells() - 1) / (high - low).clamp(min=SMALLEST), persistent=False
        )
        self.register_buffer(
            "strides", self._cells() ** torch.arange(len(self.keys), device="cpu"), persistent=False
        )
        self.register_buffer("table", self._table(), persistent=False)

    def index(self, values: Tensor) -> Tensor:
        """The nearest point: [..., v] -> [...] int64; of equally near ones the first.

        Looked up by the cell of a fine grid.
        """
        if not len(self.table):
            return _nearest(values, self.points)
        cells = ((values - self.low) * self.steps + 0.5).long().clamp(0, self._cells() - 1)
        found: Tensor = self.table[
            cells[..., 0] if len(self.keys) == 1 else (cells * self.strides).sum(-1)
        ]
        return found

    def value(self, index: Tensor) -> Tensor:
        """The point itself: [...] -> [..., v]."""
        return self.points[index]

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return self.index_loss(output, self.index(values), self.index(previous))

    def index_loss(self, output: Tensor, index: Tensor, before: Tensor) -> Tensor:
        """`loss` of points that are known by number already."""
        if self.size == 1:
            return output[..., :2] * 0
        changed = index != before
        change = self.options.loss_of(output[..., 0], changed.float())
        which = torch.zeros_like(change)
        # few frames change anything: the other points matter in those alone
        where = changed.nonzero(as_tuple=True)
        others = self._others(output[where], before[where])
        cost = -others.gather(-1, index[where][..., None])[..., 0]
        if self.options.label_smoothing:
            even = -others.masked_fill(others.isneginf(), 0).sum(-1) / (self.size - 1)
            cost = (1 - self.options.label_smoothing) * cost + self.options.label_smoothing * even
        return torch.stack([change, which.index_put(where, cost)], -1)

    def log_probs(self, output: Tensor, before: Tensor, temperature: float = 1.0) -> Tensor:
        """Of every point, given the number of the last frame's: [..., width], [...] -> [..., K]."""
        if self.size == 1:
            return torch.zeros_like(output[..., 1:])
        logit = self.options.unbiased_logits(output[..., :1]) / temperature
        others = self._undone_others(output, before, temperature)
        return (functional.logsigmoid(logit) + others).scatter(
            -1, before[..., None], functional.logsigmoid(-logit)
        )

    def log_prob(  # noqa: D102
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: float = 1.0
    ) -> Tensor:
        log_p = self.log_probs(output, self.index(previous), temperature)
        return log_p.gather(-1, self.index(values)[..., None])[..., 0]

    def sample(  # noqa: D102
        self, output: Tensor, previous: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return self.value(self.sample_index(output, self.index(previous), noise, temperature)[0])

    def sample_index(
        self, output: Tensor, before: Tensor, noise: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """A point and its log-probability, each [...]."""
        log_p = self.log_probs(output, before, temperature)
        stays = log_p.gather(-1, before[..., None])
        others = log_p.exp().scatter(-1, before[..., None], 0.0)
        changes = noise[..., 0] >= stays[..., 0].exp()
        index = torch.where(changes & (self.size > 1), _drawn(others, noise[..., 1]), before)
        return index, log_p.gather(-1, index[..., None])[..., 0]

    def mean(self, output: Tensor, previous: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: D102
        return self.log_probs(output, self.index(previous), temperature).exp() @ self.points

    def mode(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return self.value(self.log_probs(output, self.index(previous)).argmax(-1))

    def sample_uniform(self, lead: Sequence[int]) -> Tensor:  # noqa: D102
        return self.value(torch.randint(self.size, lead, device=self.points.device))

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        log_p = self.log_probs(output, self.index(previous))
        return -(log_p.exp() * log_p.clamp(min=-1e4)).sum(-1)

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        before = self.index(previous)
        ours, theirs = (self.log_probs(which, before).clamp(min=-1e4) for which in (output, other))
        return (ours.exp() * (ours - theirs)).sum(-1)

    def _others(self, output: Tensor, before: Tensor) -> Tensor:
        """Log-probabilities of the points, given that it is not `before`: [..., K]."""
        return output[..., 1:].scatter(-1, before[..., None], -torch.inf).log_softmax(-1)

    def _undone_others(self, output: Tensor, before: Tensor, temperature: float) -> Tensor:
        others = self._others(output, before)
        if self.options.label_smoothing:
            p = (others.exp() - self.options.label_smoothing / (self.size - 1)) / (
                1 - self.options.label_smoothing
            )
            p = p.clamp(min=SMALLEST).scatter(-1, before[..., None], 0.0)
            others = torch.log(p / p.sum(-1, keepdim=True))
        return others if temperature == 1 else (others / temperature).log_softmax(-1)

    def _cells(self) -> int:
        """Cells along each value."""
        return CELLS.get(len(self.keys), 2)

    def _table(self) -> Tensor:
        """The nearest point to each cell's middle.

        Empty where cells are too coarse to tell the points apart.
        """
        if len(self.keys) > LOOKED_UP:
            return torch.empty(0, dtype=torch.int64, device="cpu")
        at = (
            torch.arange(self._cells() ** len(self.keys), device="cpu")[:, None]
            // self.strides
            % self._cells()
        )
        table = torch.cat(
            [
                _nearest(some, self.points)
                for some in torch.split(self.low + at / self.steps, 1 << 14)
            ]
        )
        at_points = (((self.points - self.low) * self.steps + 0.5).long() * self.strides).sum(-1)
        apart = torch.equal(table[at_points], torch.arange(self.size, device="cpu"))
        return table if apart else torch.empty(0, dtype=torch.int64, device="cpu")


def _nearest(values: Tensor, points: Tensor) -> Tensor:
    return (values.unsqueeze(-2) - points).square().sum(-1).argmin(-1)


def _events(logit: Tensor, p: Tensor) -> Tensor:
    """What events of probability `p` cost under `logit`, in nats."""
    return functional.binary_cross_entropy_with_logits(logit, p, reduction="none")


def _drawn(p: Tensor, noise: Tensor) -> Tensor:
    """The first place at which the running sum passes the noise: p [..., K], noise [...] -> [...]; never one without chance."""
    sums = p.cumsum(-1)
    return (sums <= noise[..., None] * sums[..., -1:]).sum(-1).clamp(max=p.shape[-1] - 1)
