"""Window trunk: a multi-layer perceptron over the last frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Dropout, Memory, SteppingTrunk, Trunk, is_all, last_reset


def window_trunk(config: TrunkConfig, features: int, fixed: int) -> Trunk:
    """Window trunk for `features` numbers a frame, the first `fixed` of them fixed."""
    return _WindowTrunk(
        features,
        fixed,
        frames=config.frames,
        width=config.width,
        last=config.trunk_width,
        depth=config.depth,
        dropout=config.dropout,
        plain=config.plain,
    )


class _WindowTrunk(SteppingTrunk):
    """Perceptron over the last `frames` frames; frames before the match are zeros.

    Its memory is those frames.
    """

    def __init__(
        self,
        features: int,
        fixed: int,
        *,
        frames: int,
        width: int,
        last: int,
        depth: int,
        dropout: float,
        plain: bool,
    ) -> None:
        """`last` is the width of the last layer; the first `fixed` features need no gradient."""
        super().__init__()
        self.features, self.fixed, self.frames, self.out = features, fixed, frames, last or width
        # without learned features there is nothing to separate
        self.fixed = fixed = fixed if fixed < features else 0
        wide = width if depth > 1 else self.out
        self.facts = nn.Linear(fixed * frames, wide, bias=False) if fixed else None
        self.first = nn.Linear((features - fixed) * frames, wide)
        for weight in (*self.first.parameters(), *(self.facts.parameters() if self.facts else ())):
            # initialized as one layer over all features
            nn.init.uniform_(weight, -((features * frames) ** -0.5), (features * frames) ** -0.5)
        layers: list[nn.Module] = []
        for at in range(depth):
            wide = self.out if at + 1 == depth else width
            layers += [nn.Linear(width, wide)] if at else []
            layers += [nn.ReLU()] if plain else [nn.LayerNorm(wide), nn.GELU()]
            layers += [Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers)

    def begin(self, batch: int, device: torch.device) -> Memory:
        """Memory without frames."""
        return {"frames": torch.zeros(batch, self.frames - 1, self.features, device=device)}

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        steps, past = x.shape[1], self.frames - 1
        frames = torch.cat([memory["frames"].to(x.dtype), x], dim=1)
        since = last_reset(reset)
        offset = torch.arange(-past, 1, device=x.device)
        # [B, T, K]
        visible = torch.arange(steps, device=x.device)[:, None] + offset >= since[..., None]
        kept = (
            frames[:, steps:]
            * (torch.arange(steps - past, steps, device=x.device) >= since[:, -1:])[..., None]
        )
        return self.layers(self._over_windows(frames, visible)), {"frames": kept.float()}

    def _over_windows(self, frames: Tensor, visible: Tensor) -> Tensor:
        """First layer of every window: [B, K - 1 + T, F], visible [B, T, K] -> [B, T, width].

        Fixed and learned features have separate weights, so that the gradient with respect to
        windows (K times the work of frames) is computed for the learned ones alone.
        """
        # cast before windows are cut, which copies each frame K times
        if torch.is_autocast_enabled(frames.device.type):
            frames = frames.to(torch.get_autocast_dtype(frames.device.type))
        mask = None if self.frames == 1 or is_all(visible) else visible
        hidden: Tensor = self.first(self._windows(frames[..., self.fixed :], mask))
        if self.facts is not None:
            hidden = hidden + self.facts(self._windows(frames[..., : self.fixed].detach(), mask))
        return hidden

    def _windows(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Windows [B, T, K * f] of frames [B, K - 1 + T, f], with zeros for unknown frames."""
        steps = frames.shape[1] - self.frames + 1
        parts = [frames[:, at : at + steps] for at in range(self.frames)]
        if mask is not None:
            parts = [part * mask[..., at, None] for at, part in enumerate(parts)]
        return torch.cat(parts, -1)
