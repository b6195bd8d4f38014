"""How the loss of a rare event is bent while a model learns, and undone exactly when it is drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from shadowbox.errors import UsageError

SMALLEST = 1e-6  # of a probability or a spread; what is undone may come out as less than nothing


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """How the loss of a rare event (a press, a change) is bent.

    All but `bias` are undone exactly at sampling time.
    """

    # nll, or seed: mean squared error of squashed reals, and mean of the flags' cross-entropies
    loss: str = "nll"
    pos_weight: float = 1.0  # the event counts so many times; the logit then lies ln w too high
    # gamma: what is predicted well counts less; the minimizer is inverted in closed form
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0  # this share of the target is spread evenly
    # added to the event's logit at sampling time: a distortion on purpose, as the first cure was
    logit_bias: float = 0.0
    raw_logits: bool = False  # nothing is undone: as those do it who bend a loss and stop there

    def __post_init__(self) -> None:
        if not (
            self.pos_weight > 0
            and self.focal_gamma >= 0
            and 0 <= self.label_smoothing < 1
            and math.isfinite(self.logit_bias)
        ):
            raise UsageError(
                f"{self}: pos_weight > 0, focal_gamma >= 0, 0 <= label_smoothing < 1 and a finite logit_bias are needed"
            )

    def loss_of(self, logit: Tensor, event: Tensor) -> Tensor:
        """The bent loss of events (0 or 1) in nats."""
        wanted = event * (1 - self.label_smoothing) + self.label_smoothing / 2
        yes, no = functional.softplus(-logit), functional.softplus(logit)  # -log q, -log (1 - q)
        if self.focal_gamma:
            yes, no = (
                torch.exp(-self.focal_gamma * no) * yes,
                torch.exp(-self.focal_gamma * yes) * no,
            )
        return self.pos_weight * wanted * yes + (1 - wanted) * no

    def unbiased_logits(self, logit: Tensor) -> Tensor:
        """The logit of the event itself, from the one that minimises the bent loss.

        Then the bias.
        """
        if self.raw_logits:
            return logit + self.logit_bias
        if self.focal_gamma:
            # where p f'(q) + (1 - p) g'(q) = 0, for f = -(1-q)^y log q and g = -q^y log (1-q)
            log_q, log_rest = functional.logsigmoid(logit), functional.logsigmoid(-logit)
            up = self.focal_gamma * log_q + torch.log(
                torch.exp(-log_rest) - self.focal_gamma * log_rest * torch.exp(-log_q)
            )
            down = self.focal_gamma * log_rest + torch.log(
                torch.exp(-log_q) - self.focal_gamma * log_q * torch.exp(-log_rest)
            )
            logit = up - down
        logit = logit - math.log(self.pos_weight)
        if self.label_smoothing:
            p = (torch.sigmoid(logit) - self.label_smoothing / 2) / (1 - self.label_smoothing)
            logit = torch.logit(p.clamp(SMALLEST, 1 - SMALLEST))
        return logit + self.logit_bias


PLAIN = LossOptions()
