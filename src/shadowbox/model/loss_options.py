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
class Options:
    """How the loss of a rare event (a press, a change) is bent.

    All but `bias` are undone exactly at sampling time.
    """

    pos_weight: float = 1.0  # the event counts so many times; the logit then lies ln w too high
    # gamma: what is predicted well counts less; the minimiser is inverted in closed form
    focal: float = 0.0
    smoothing: float = 0.0  # this share of the target is spread evenly
    # added to the event's logit at sampling time: a distortion on purpose, as the first cure was
    bias: float = 0.0
    raw: bool = False  # nothing is undone: as those do it who bend a loss and stop there

    def __post_init__(self) -> None:
        if not (
            self.pos_weight > 0
            and self.focal >= 0
            and 0 <= self.smoothing < 1
            and math.isfinite(self.bias)
        ):
            raise UsageError(
                f"{self}: pos_weight > 0, focal >= 0, 0 <= smoothing < 1 and a finite bias are needed"
            )

    def cost(self, logit: Tensor, event: Tensor) -> Tensor:
        """The bent loss of events (0 or 1) in nats."""
        wanted = event * (1 - self.smoothing) + self.smoothing / 2
        yes, no = functional.softplus(-logit), functional.softplus(logit)  # -log q, -log (1 - q)
        if self.focal:
            yes, no = torch.exp(-self.focal * no) * yes, torch.exp(-self.focal * yes) * no
        return self.pos_weight * wanted * yes + (1 - wanted) * no

    def undone(self, logit: Tensor) -> Tensor:
        """The logit of the event itself, from the one that minimises the bent loss.

        Then the bias.
        """
        if self.raw:
            return logit + self.bias
        if self.focal:
            # where p f'(q) + (1 - p) g'(q) = 0, for f = -(1-q)^y log q and g = -q^y log (1-q)
            log_q, log_rest = functional.logsigmoid(logit), functional.logsigmoid(-logit)
            up = self.focal * log_q + torch.log(
                torch.exp(-log_rest) - self.focal * log_rest * torch.exp(-log_q)
            )
            down = self.focal * log_rest + torch.log(
                torch.exp(-log_q) - self.focal * log_q * torch.exp(-log_rest)
            )
            logit = up - down
        logit = logit - math.log(self.pos_weight)
        if self.smoothing:
            p = (torch.sigmoid(logit) - self.smoothing / 2) / (1 - self.smoothing)
            logit = torch.logit(p.clamp(SMALLEST, 1 - SMALLEST))
        return logit + self.bias


PLAIN = Options()
