"""Recurrent trunk: gated recurrent units (GRU) with a gradient written for speed on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import (
    Dropout,
    Memory,
    SteppingTrunk,
    Trunk,
    frame_layers,
    partly_fixed_linear,
)


def gru_trunk(config: TrunkConfig, features: int, fixed: int) -> Trunk:
    """Recurrent trunk for `features` numbers a frame, the first `fixed` of them fixed."""
    return _GruTrunk(
        features,
        fixed,
        width=config.width,
        memory=config.hidden_width or config.width,
        layers=config.layers,
        depth=config.depth,
        dropout=config.dropout,
    )


class _GruTrunk(SteppingTrunk):
    """Layers over each frame, then gated recurrent units; the output includes the frame."""

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
        """`width` is the width of the `layers` over a frame, `memory` of the recurrent layers.

        There are `depth` recurrent layers. The first `fixed` features need no gradient.
        """
        super().__init__()
        self.width, self.depth, self.out = memory, depth, width + memory
        self.fixed, self.enter, self.norm = fixed, nn.Linear(features, width), nn.LayerNorm(width)
        self.frame = frame_layers(width, layers)
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
        """Zero memory."""
        return {
            f"h{layer}": torch.zeros(batch, self.width, device=device)
            for layer in range(self.depth)
        }

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        frame = functional.relu(self.norm(partly_fixed_linear(x, self.fixed, self.enter)))
        frame = self.frame(frame)
        h = frame.transpose(0, 1)  # time first, so that each position is contiguous
        keep = (~reset).float().t()[..., None]  # [T, B, 1]
        kept: Memory = {}
        for layer in range(self.depth):
            gates = self.inputs[layer](self.dropout(h))
            before = memory[f"h{layer}"]
            h = _Gru.apply(  # type: ignore[no-untyped-call]
                gates, before, keep, self.memory[layer], self.bias[layer]
            )
            kept[f"h{layer}"] = h[-1]
        return torch.cat([self.dropout(h.transpose(0, 1)), frame], -1), kept

    def step(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features of one position, and the new memory: x [B, F], reset [B] -> h [B, out]."""
        frame = functional.relu(self.norm(partly_fixed_linear(x, self.fixed, self.enter)))
        h = frame = self.frame(frame)
        keep = (~reset).float()[:, None]
        kept: Memory = {}
        for layer in range(self.depth):
            from_input = self.inputs[layer](self.dropout(h)).float()
            before = memory[f"h{layer}"] * keep
            weight = self.memory[layer].t().to(h.dtype)
            from_memory = (before.to(h.dtype) @ weight).float()
            both = 2 * self.width
            opened = (from_input[:, :both] + from_memory[:, :both]).sigmoid()
            inner = from_memory[:, both:] + self.bias[layer]
            fresh = torch.addcmul(from_input[:, both:], opened[:, : self.width], inner).tanh()
            h = kept[f"h{layer}"] = torch.lerp(fresh, before, opened[:, self.width :])
        return torch.cat([self.dropout(h), frame], -1), kept


class _Gru(torch.autograd.Function):
    """One recurrent layer over time.

    The gradient of the weights is one product over all positions instead of one for each.
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, h: Tensor, keep: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        """Hidden states [T, B, H] from the inputs' part of the gates, [T, B, 3H].

        Gates are reset, update and new. h [B, H] is the state before the first position; keep [T,
        B, 1] is 0 where it is reset.
        """
        half = gates.dtype != torch.float32
        matrix = weight.t().to(gates.dtype) if half else weight.t()
        steps, width = len(gates), h.shape[-1]
        from_input = gates.float() if half else gates
        before = from_input.new_empty(steps, *h.shape)
        opened = from_input.new_empty(steps, h.shape[0], 2 * width)  # reset and update gates
        fresh, inner, out = (torch.empty_like(before) for _ in range(3))
        for t in range(steps):
            torch.mul(h, keep[t], out=before[t])
            from_memory = (
                (before[t].to(gates.dtype) @ matrix).float() if half else before[t] @ matrix
            )
            torch.add(
                from_input[t, :, : 2 * width], from_memory[:, : 2 * width], out=opened[t]
            ).sigmoid_()
            torch.add(from_memory[:, 2 * width :], bias, out=inner[t])
            torch.addcmul(
                from_input[t, :, 2 * width :], opened[t, :, :width], inner[t], out=fresh[t]
            ).tanh_()
            h = torch.lerp(fresh[t], before[t], opened[t, :, width:], out=out[t])
        ctx.save_for_backward(before, opened, fresh, inner, keep, weight)
        ctx.dtype = gates.dtype
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all inputs, back through time."""
        before, opened, fresh, inner, keep, weight = ctx.saved_tensors
        (grad_output,) = upstream
        steps, batch, width = before.shape
        half = ctx.dtype != torch.float32
        matrix = weight.to(ctx.dtype) if half else weight
        # factors that do not depend on later positions, for all positions at once
        reset, update = opened[..., :width], opened[..., width:]
        to_update = (before - fresh) * update * (1 - update)
        to_new = (1 - update) * (1 - fresh * fresh)
        to_reset = to_new * inner * reset * (1 - reset)
        grad_input = before.new_empty(steps, batch, 3 * width)  # of the inputs' part of the gates
        grad_memory = torch.empty_like(grad_input)  # of the memory's part of the gates
        later = torch.zeros_like(before[0])
        for t in range(steps - 1, -1, -1):
            here = grad_output[t] + later
            torch.mul(here, to_reset[t], out=grad_memory[t, :, :width])
            torch.mul(here, to_update[t], out=grad_memory[t, :, width : 2 * width])
            torch.mul(here, to_new[t], out=grad_input[t, :, 2 * width :])
            torch.mul(grad_input[t, :, 2 * width :], reset[t], out=grad_memory[t, :, 2 * width :])
            back = (
                (grad_memory[t].to(ctx.dtype) @ matrix).float() if half else grad_memory[t] @ matrix
            )
            later = torch.addcmul(back, here, update[t]).mul_(keep[t])
        grad_input[..., : 2 * width] = grad_memory[..., : 2 * width]
        flat = grad_memory.flatten(0, 1)
        if half:
            of_weight = (flat.to(ctx.dtype).t() @ before.flatten(0, 1).to(ctx.dtype)).float()
        else:
            of_weight = flat.t() @ before.flatten(0, 1)
        of_bias = flat[:, 2 * width :].sum(0)
        return grad_input.to(ctx.dtype), later, None, of_weight, of_bias
