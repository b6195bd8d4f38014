"""Value of a state: the expected return of a policy from here on, read from the features of its trunk."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ValueHead(nn.Module):
    """Features [..., H] -> value [...], in units of the normalized return."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(features, width), nn.Linear(width, 1)
        nn.init.orthogonal_(self.out.weight, 1.0)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Value of each row."""
        value: Tensor = self.out(functional.relu(self.hidden(h)))
        return value[..., 0].float()
