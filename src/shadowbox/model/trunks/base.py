"""Protocol of a trunk, a sequence model over frames, and parts that several trunks share.

Each trunk has `seq` for training and `step` for play, with equal results. To add one: write a class
with `out`, `begin` and `seq` as in `Trunk` (and `step`, where there is a faster way than a sequence
of one), and give it a line in `TRUNKS`; tests/model/test_trunks.py then checks it against the
protocol.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

Memory = dict[str, Tensor]  # each [B, ...]: matches can be merged, dropped and reset row by row


class Trunk(Protocol):
    """Sequence model [B, T, F] -> [B, T, out] with a memory that `reset` [B, T] clears.

    However a sequence is cut, and whether by `seq` or `step`, results are equal within 1e-5.
    """

    out: int

    def begin(self, batch: int, device: torch.device) -> Memory:
        """Memory of matches that have not begun."""
        ...

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features of T positions at once, and the new memory.

        The given memory may hold entries of other modules; the returned one holds the trunk's own.
        """
        ...

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features of one position, and the new memory: x [B, F], reset [B] -> h [B, out]."""
        ...


class SteppingTrunk(nn.Module):
    """Base of trunks whose step is a sequence of length one."""

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features of T positions at once, and the new memory."""
        raise NotImplementedError

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features of one position, and the new memory: x [B, F], reset [B] -> h [B, out]."""
        h, memory = self.seq(x[:, None], memory, reset[:, None])
        return h[:, 0], memory


class Dropout(nn.Module):
    """Dropout with shares in steps of 1/256, which draws one byte a value and is fast on CPUs."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.cut = round(share * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Set some values to zero and scale up the others; no change in evaluation mode."""
        if not self.training or not self.cut:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(
            -(1 << 63), None
        )
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.cut
        return x * kept.to(x.dtype).mul_(256 / (256 - self.cut))


def partly_fixed_linear(x: Tensor, fixed: int, layer: nn.Linear) -> Tensor:
    """Linear layer over features [..., F] of which the first `fixed` need no gradient."""
    flat = x.flatten(0, -2)
    output = functional.linear(flat[:, fixed:], layer.weight[:, fixed:], layer.bias)
    if fixed:
        output = output + functional.linear(flat[:, :fixed].detach(), layer.weight[:, :fixed])
    return output.view(*x.shape[:-1], -1)


def frame_layers(width: int, layers: int) -> nn.Sequential:
    """Layers over each frame after the first, [..., width] -> [..., width]; none if `layers` is 1."""
    return nn.Sequential(*(_Residual(width) for _ in range(layers - 1)))


class _Residual(nn.Module):
    """Hidden layer with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.back = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Features [..., width] -> [..., width]."""
        out: Tensor = self.norm(x + self.back(functional.relu(self.hidden(x))))
        return out


def last_reset(reset: Tensor) -> Tensor:
    """Last reset at or before each position, [B, T]; a large negative number without one."""
    at = torch.arange(reset.shape[1], device=reset.device)
    last = torch.where(reset, at, -(1 << 30))
    return last if reset.shape[1] == 1 else last.cummax(dim=1).values  # ONNX has no cummax


def is_all(mask: Tensor) -> bool:
    """True if a mask hides nothing; false in an export, which must hold for other masks as well."""
    return not torch.compiler.is_exporting() and bool(mask.all())
