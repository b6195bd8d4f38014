"""Trunks: what happened so far -> what matters now. Each has `seq` for training and `step` for play, with equal results.

To add one: write a class with `out`, `begin` and `seq` as `Trunk` says them (and `step`, where
there is a faster way than a sequence of one), give it a line in `TRUNKS`, and
tests/model/test_trunks.py holds it to the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    pass

Memory = dict[str, Tensor]  # each [B, ...]: matches can be merged, dropped and begun row by row


class Trunk(Protocol):
    """x [B, T, F] -> h [B, T, out], with a memory that carries over; `reset` [B, T] forgets what was before that position.

    However a sequence is cut, and whether by `seq` or `step`, the answers are the same within 1e-5.
    """

    out: int

    def begin(self, batch: int, device: torch.device) -> Memory:
        """The memory of matches that have not begun."""
        ...

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """T positions at once.

        The memory may hold more than the trunk's own; its own comes back.
        """
        ...

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """One position: x [B, F], reset [B] -> h [B, out]."""
        ...


class SteppingTrunk(nn.Module):
    """A step is a sequence of one."""

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        raise NotImplementedError

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """X [B, F], reset [B] -> h [B, out], memory."""
        h, memory = self.seq(x[:, None], memory, reset[:, None])
        return h[:, 0], memory


# ---- a window --------------------------------------------------------------------------------------------------


# ---- a recurrent net -------------------------------------------------------------------------------------------


# ---- a transformer ---------------------------------------------------------------------------------------------


# ---- parts of them ---------------------------------------------------------------------------------------------


class Dropout(nn.Module):
    """Drops values in steps of 1/256: a byte a value is drawn instead of a number, which on a CPU is most of its cost."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.cut = round(share * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Some values zero, the others that much larger; in play as it is."""
        if not self.training or not self.cut:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(
            -(1 << 63), None
        )
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.cut
        return x * kept.to(x.dtype).mul_(256 / (256 - self.cut))


# ---- which there are -------------------------------------------------------------------------------------------


def partly_fixed_linear(x: Tensor, fixed: int, layer: nn.Linear) -> Tensor:
    """A layer over features [..., F] of which the first `fixed` need no gradient, so that none is computed for them."""
    flat = x.flatten(0, -2)
    found = functional.linear(flat[:, fixed:], layer.weight[:, fixed:], layer.bias)
    if fixed:
        found = found + functional.linear(flat[:, :fixed].detach(), layer.weight[:, :fixed])
    return found.view(*x.shape[:-1], -1)


def last_reset(reset: Tensor) -> Tensor:
    """The last reset at or before each position, [B, T].

    A large negative number where there is none.
    """
    at = torch.arange(reset.shape[1], device=reset.device)
    return torch.where(reset, at, -(1 << 30)).cummax(dim=1).values
