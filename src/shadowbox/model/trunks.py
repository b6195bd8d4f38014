"""Trunks: what happened so far -> what matters now. Each has `seq` for training and `step` for play, with equal results."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Trunk(Protocol):
    """x [B, T, F] -> h [B, T, H], with a state that carries over; `reset` [B, T] forgets before that position."""

    out: int

    def begin(self, batch: int, device: torch.device) -> Tensor:
        """The state of matches that have not begun."""
        ...

    def seq(self, x: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """T positions at once."""
        ...

    def step(self, x: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """One position: x [B, F], reset [B] -> h [B, H]."""
        ...


class Window(nn.Module):
    """A perceptron over the last `length` frames; what lies before the beginning is zeros. Its state is those frames."""

    def __init__(self, features: int, *, length: int = 8, width: int = 128, depth: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.features, self.length, self.out = features, length, width
        layers: list[nn.Module] = []
        for at in range(depth):
            layers += [nn.Linear(width if at else features * length, width), nn.LayerNorm(width), nn.GELU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)

    def begin(self, batch: int, device: torch.device) -> Tensor:
        """No frames yet: zeros [B, length - 1, F]."""
        return torch.zeros(batch, self.length - 1, self.features, device=device)

    def seq(self, x: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """X [B, T, F], state [B, K - 1, F], reset [B, T] -> h [B, T, H], state."""
        steps, past = x.shape[1], self.length - 1
        frames = torch.cat([state.to(x.dtype), x], dim=1)
        at = torch.arange(steps, device=x.device)
        begun = torch.where(reset, at, -past).cummax(dim=1).values  # the position that each one's memory goes back to
        offset = torch.arange(-past, 1, device=x.device)
        known = at[:, None] + offset >= begun[..., None]  # [B, T, K]
        windows = frames.unfold(1, self.length, 1).transpose(2, 3) * known[..., None]
        kept = frames[:, steps:] * (torch.arange(steps - past, steps, device=x.device) >= begun[:, -1:])[..., None]
        return self.layers(windows.flatten(2)), kept

    def step(self, x: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """X [B, F], reset [B] -> h [B, H], state."""
        h, state = self.seq(x[:, None], state, reset[:, None])
        return h[:, 0], state
