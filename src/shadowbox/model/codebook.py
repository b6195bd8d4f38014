"""Distribution over the points of a codebook: combinations of buttons, stick positions, choices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from shadowbox.model.distributions import ControlDistribution, draw_index
from shadowbox.model.loss_options import PLAIN, SMALLEST, LossOptions

LOOKED_UP = 16  # most values whose nearest point is looked up in a table; of more it is searched
CELLS = {1: 4096, 2: 128}  # cells of the table along each of 1 or 2 values; otherwise 2


class CodebookDistribution(ControlDistribution):
    """K points for some values together: pressed combinations, places of a stick, a choice.

    Two events: the values change with hazard h, and if they do, move to another point with
    probability pi, so that p(c) = (1 - h) [c = before] + h pi(c | c != before). A value is mapped
    to its nearest point. Width 1 + K, draws 2.
    """

    points: Tensor
    low: Tensor
    steps: Tensor
    strides: Tensor
    table: Tensor

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        at: Sequence[int],
        points: Sequence[Sequence[float]],
        options: LossOptions = PLAIN,
    ) -> None:
        super().__init__(
            name,
            keys,
            at,
            width=1 + len(points),
            draws=2,
            names=(f"{name}.change", f"{name}.which"),
        )
        self.options, self.size = options, len(points)
        # on the CPU even if the model is built on the meta device
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
        """Index of the nearest point, [..., v] -> [...] int64; the first of equally near ones.

        Looked up by the cell of a fine grid.
        """
        if not len(self.table):
            return _nearest(values, self.points)
        cells = ((values - self.low) * self.steps + 0.5).long().clamp(0, self._cells() - 1)
        index: Tensor = self.table[
            cells[..., 0] if len(self.keys) == 1 else (cells * self.strides).sum(-1)
        ]
        return index

    def value(self, index: Tensor) -> Tensor:
        """Values of a point, [...] -> [..., v]."""
        return self.points[index]

    def loss(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:  # noqa: D102
        return self.index_loss(output, self.index(values), self.index(previous))

    def index_loss(self, output: Tensor, index: Tensor, before: Tensor) -> Tensor:
        """`loss` of points given by index."""
        if self.size == 1:
            return output[..., :2] * 0
        changed = index != before
        change = self.options.loss_of(output[..., 0], changed.float())
        which = torch.zeros_like(change)
        # the other points matter only in the few frames that change
        where = changed.nonzero(as_tuple=True)
        others = self._others(output[where], before[where])
        cost = -others.gather(-1, index[where][..., None])[..., 0]
        if self.options.label_smoothing:
            even = -others.masked_fill(others.isneginf(), 0).sum(-1) / (self.size - 1)
            cost = (1 - self.options.label_smoothing) * cost + self.options.label_smoothing * even
        return torch.stack([change, which.index_put(where, cost)], -1)

    def log_probs(self, output: Tensor, before: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities [..., K] of all points, given the last frame's point `before` [...]."""
        if self.size == 1:
            return torch.zeros_like(output[..., 1:])
        logit = self.options.unbiased_logits(output[..., :1]) / temperature
        others = self._unbiased_others(output, before, temperature)
        log_p = (functional.logsigmoid(logit) + others).scatter(
            -1, before[..., None], functional.logsigmoid(-logit)
        )
        return log_p if self.bias is None else (log_p + self.points @ self.bias).log_softmax(-1)

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
        """Index of a drawn point and its log-probability, each [...]."""
        log_p = self.log_probs(output, before, temperature)
        stays = log_p.gather(-1, before[..., None])
        others = log_p.exp().scatter(-1, before[..., None], 0.0)
        changes = noise[..., 0] >= stays[..., 0].exp()
        index = torch.where(changes & (self.size > 1), draw_index(others, noise[..., 1]), before)
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
        """Log-probabilities of the points given that the point is not `before`, [..., K]."""
        return output[..., 1:].scatter(-1, before[..., None], -torch.inf).log_softmax(-1)

    def _unbiased_others(self, output: Tensor, before: Tensor, temperature: float) -> Tensor:
        others = self._others(output, before)
        if self.options.label_smoothing:
            p = (others.exp() - self.options.label_smoothing / (self.size - 1)) / (
                1 - self.options.label_smoothing
            )
            p = p.clamp(min=SMALLEST).scatter(-1, before[..., None], 0.0)
            others = torch.log(p / p.sum(-1, keepdim=True))
        return others if temperature == 1 else (others / temperature).log_softmax(-1)

    def _cells(self) -> int:
        """Number of cells along each value."""
        return CELLS.get(len(self.keys), 2)

    def _table(self) -> Tensor:
        """Nearest point to the center of each cell; empty if cells are too coarse for that."""
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
        separated = torch.equal(table[at_points], torch.arange(self.size, device="cpu"))
        return table if separated else torch.empty(0, dtype=torch.int64, device="cpu")


class _CategoricalDistribution(CodebookDistribution):
    """K points for some values together, whatever the values of the last frame: K logits, one draw.

    The distribution of reinforcement learning, in which each decision is chosen anew. Width K.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        at: Sequence[int],
        points: Sequence[Sequence[float]],
    ) -> None:
        super().__init__(name, keys, at, points)
        self.width, self.draws, self.names = len(points), 1, (name,)

    def index_loss(self, output: Tensor, index: Tensor, before: Tensor) -> Tensor:
        """Negative log-likelihood of points given by index, [..., 1]."""
        return -output.log_softmax(-1).gather(-1, index[..., None])

    def log_probs(self, output: Tensor, before: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities [..., K] of all points."""
        return (output / temperature).log_softmax(-1)

    def sample_index(
        self, output: Tensor, before: Tensor, noise: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Index of a drawn point and its log-probability, each [...]."""
        log_p = self.log_probs(output, before, temperature)
        index = draw_index(log_p.exp(), noise[..., 0])
        return index, log_p.gather(-1, index[..., None])[..., 0]


def _nearest(values: Tensor, points: Tensor) -> Tensor:
    return (values.unsqueeze(-2) - points).square().sum(-1).argmin(-1)
