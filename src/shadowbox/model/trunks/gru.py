"""Recurrent trunk: gated recurrent units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.model.trunks.base import Dropout, Memory, SteppingTrunk, partly_fixed_linear

if TYPE_CHECKING:
    pass


class GruTrunk(SteppingTrunk):
    """Layers over each frame, then gated recurrent units (GRU).

    The frame itself goes past them to the answer.
    """

    def __init__(
        self,
        features: int,
        fixed: int,
        *,
        width: int,
        memory: int,
        layers: int,
        depth: int,
        dropout: float,
    ) -> None:
        """`width` of the `layers` over a frame, `memory` of the `depth` recurrent layers.

        `fixed` features need no gradient.
        """
        super().__init__()
        self.width, self.depth, self.out = memory, depth, width + memory
        self.fixed, self.enter, self.norm = fixed, nn.Linear(features, width), nn.LayerNorm(width)
        self.frame = nn.ModuleList([_Residual(width) for _ in range(layers - 1)])
        self.inputs = nn.ModuleList(
            [nn.Linear(memory if layer else width, 3 * memory) for layer in range(depth)]
        )
        self.memory = nn.ParameterList(
            [nn.Parameter(torch.empty(3 * memory, memory)) for _ in range(depth)]
        )
        self.bias = nn.ParameterList([nn.Parameter(torch.zeros(memory)) for _ in range(depth)])
        for weight in self.memory:
            for gate in weight.data.split(memory):
                nn.init.orthogonal_(gate)
        self.dropout = Dropout(dropout)

    def begin(self, batch: int, device: torch.device) -> Memory:
        """Zeros."""
        return {
            f"h{layer}": torch.zeros(batch, self.width, device=device)
            for layer in range(self.depth)
        }

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """X [B, T, F], reset [B, T] -> h [B, T, out], memory."""
        frame = functional.relu(self.norm(partly_fixed_linear(x, self.fixed, self.enter)))
        for block in self.frame:
            frame = block(frame)
        h = frame.transpose(0, 1)  # time first, so that each position lies in one piece
        keep = (~reset).float().t()[..., None]  # [T, B, 1]
        kept: Memory = {}
        for layer in range(self.depth):
            gates = self.inputs[layer](self.dropout(h))
            h = _Gru.apply(gates, memory[f"h{layer}"], keep, self.memory[layer], self.bias[layer])  # type: ignore[no-untyped-call]
            kept[f"h{layer}"] = h[-1]
        return torch.cat([self.dropout(h.transpose(0, 1)), frame], -1), kept


class _Residual(nn.Module):
    """A hidden layer around a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.back = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]"""  # noqa: D400, D415
        out: Tensor = self.norm(x + self.back(functional.relu(self.hidden(x))))
        return out


class _Gru(torch.autograd.Function):
    """One layer over time.

    The weights' gradient is one product over all positions instead of one for each.
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, h: Tensor, keep: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        """What the inputs ask of the gates [T, B, 3H] (reset, update, new), h [B, H], keep [T, B, 1] -> [T, B, H]."""
        half = gates.dtype != torch.float32
        matrix = weight.t().to(gates.dtype) if half else weight.t()
        steps, width = len(gates), h.shape[-1]
        asked = gates.float() if half else gates
        before = asked.new_empty(steps, *h.shape)
        opened = asked.new_empty(steps, h.shape[0], 2 * width)  # reset and update gates
        fresh, inner, out = (torch.empty_like(before) for _ in range(3))
        for t in range(steps):
            torch.mul(h, keep[t], out=before[t])
            recalled = (before[t].to(gates.dtype) @ matrix).float() if half else before[t] @ matrix
            torch.add(asked[t, :, : 2 * width], recalled[:, : 2 * width], out=opened[t]).sigmoid_()
            torch.add(recalled[:, 2 * width :], bias, out=inner[t])
            torch.addcmul(
                asked[t, :, 2 * width :], opened[t, :, :width], inner[t], out=fresh[t]
            ).tanh_()
            h = torch.lerp(fresh[t], before[t], opened[t, :, width:], out=out[t])
        ctx.save_for_backward(before, opened, fresh, inner, keep, weight)
        ctx.dtype = gates.dtype
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        before, opened, fresh, inner, keep, weight = ctx.saved_tensors
        (given,) = upstream
        steps, batch, width = before.shape
        half = ctx.dtype != torch.float32
        matrix = weight.to(ctx.dtype) if half else weight
        # all that does not depend on what comes back from later positions, for all positions at
        # once
        reset, update = opened[..., :width], opened[..., width:]
        to_update = (before - fresh) * update * (1 - update)
        to_new = (1 - update) * (1 - fresh * fresh)
        to_reset = to_new * inner * reset * (1 - reset)
        asked = before.new_empty(steps, batch, 3 * width)  # gradient of what inputs ask
        recalled = torch.empty_like(asked)  # gradient of what memory asks
        later = torch.zeros_like(before[0])
        for t in range(steps - 1, -1, -1):
            here = given[t] + later
            torch.mul(here, to_reset[t], out=recalled[t, :, :width])
            torch.mul(here, to_update[t], out=recalled[t, :, width : 2 * width])
            torch.mul(here, to_new[t], out=asked[t, :, 2 * width :])
            torch.mul(asked[t, :, 2 * width :], reset[t], out=recalled[t, :, 2 * width :])
            back = (recalled[t].to(ctx.dtype) @ matrix).float() if half else recalled[t] @ matrix
            later = torch.addcmul(back, here, update[t]).mul_(keep[t])
        asked[..., : 2 * width] = recalled[..., : 2 * width]
        flat = recalled.flatten(0, 1)
        if half:
            of_weight = (flat.to(ctx.dtype).t() @ before.flatten(0, 1).to(ctx.dtype)).float()
        else:
            of_weight = flat.t() @ before.flatten(0, 1)
        of_bias = flat[:, 2 * width :].sum(0)
        return asked.to(ctx.dtype), later, None, of_weight, of_bias
