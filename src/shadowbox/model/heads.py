"""Heads: what matters now -> a distribution over controls."""

from __future__ import annotations

from torch import Tensor, nn

from shadowbox.model.codec import Coding


class Independent(nn.Module):
    """Every control on its own, given the trunk's answer: one linear map, h [..., H] -> [..., coding.width]."""

    def __init__(self, features: int, coding: Coding) -> None:
        super().__init__()
        self.coding = coding
        self.linear = nn.Linear(features, coding.width)

    def forward(self, h: Tensor) -> Tensor:
        """H [..., H] -> output [..., W]; `coding` reads it."""
        output: Tensor = self.linear(h)
        return output
