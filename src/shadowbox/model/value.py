"""Value of a state: the expected return of a policy from here on, read from the features of its trunk."""

from __future__ import annotations

from torch import nn


def value_head(features: int, width: int) -> nn.Module:
    """Features [..., H] -> value [..., 1], in units of the normalized return."""
    last = nn.Linear(width, 1)
    nn.init.orthogonal_(last.weight, 1.0)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), last)
