"""Options that reweight the loss of rare events, and their exact inversion at sampling time.

Torch is imported where it computes: the names and settings of policies are known without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shadowbox.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

# lower bound of a probability or a spread; an inverted loss may give a probability below 0
SMALLEST = 1e-6


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """Options of the loss of rare events (presses, changes).

    All but `logit_bias` are inverted exactly at sampling time.
    """

    # nll, or seed: mean squared error of squashed reals, and mean of the flags' cross-entropies
    loss: str = "nll"
    pos_weight: float = 1.0  # weight w of the event; the learned logit is then ln w too high
    # further weights of single flags of an independent head, such as control/jump=12
    pos_weights: tuple[str, ...] = ()
    # exponent of the focal loss, which weights well predicted cases less; inverted in closed form
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0  # share of the target that is spread evenly
    # added to the event's logit at sampling time: a deliberate distortion
    logit_bias: float = 0.0
    raw_logits: bool = False  # use the learned logits without the inversion, for comparison

    def __post_init__(self) -> None:
        if not (
            self.pos_weight > 0
            and self.focal_gamma >= 0
            and 0 <= self.label_smoothing < 1
            and math.isfinite(self.logit_bias)
        ):
            raise UsageError(
                f"expected pos_weight > 0, focal_gamma >= 0, 0 <= label_smoothing < 1 and a finite "
                f"logit_bias (got {self})"
            )
        self.weights_of(())  # refused here, where they are given

    def weights_of(self, keys: Sequence[str]) -> Tensor | None:
        """Weight of the event of each of these controls; None: all have `pos_weight`."""
        if not self.pos_weights:
            return None
        import torch

        found = dict.fromkeys(keys, self.pos_weight)
        for text in self.pos_weights:
            key, _, number = text.partition("=")
            try:
                weight = float(number)
            except ValueError:
                weight = math.nan
            if not (0 < weight < math.inf) or (keys and key not in keys):
                raise UsageError(
                    f"pos_weights: '{text}' is not a control with a weight above 0, such as "
                    f"control/jump=12"
                )
            found[key] = self.pos_weight * weight
        return torch.tensor([found[key] for key in keys], device="cpu")

    def loss_of(self, logit: Tensor, event: Tensor, weights: Tensor | None = None) -> Tensor:
        """Weighted loss of events (0 or 1), in nats; `weights` of each instead of `pos_weight`."""
        import torch
        from torch.nn import functional

        target = event * (1 - self.label_smoothing) + self.label_smoothing / 2
        yes, no = functional.softplus(-logit), functional.softplus(logit)  # -log q, -log (1 - q)
        if self.focal_gamma:
            yes, no = (
                torch.exp(-self.focal_gamma * no) * yes,
                torch.exp(-self.focal_gamma * yes) * no,
            )
        weight = self.pos_weight if weights is None else weights
        return weight * target * yes + (1 - target) * no

    def unbiased_logits(self, logit: Tensor, weights: Tensor | None = None) -> Tensor:
        """Logit of the event, from the logit that minimizes the loss; adds `logit_bias`."""
        if self.raw_logits:
            return logit + self.logit_bias
        import torch
        from torch.nn import functional

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
        logit = logit - (math.log(self.pos_weight) if weights is None else weights.log())
        if self.label_smoothing:
            p = (torch.sigmoid(logit) - self.label_smoothing / 2) / (1 - self.label_smoothing)
            logit = torch.logit(p.clamp(SMALLEST, 1 - SMALLEST))
        return logit + self.logit_bias


PLAIN = LossOptions()
