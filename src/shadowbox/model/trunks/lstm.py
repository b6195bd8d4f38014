"""Recurrent trunk: long short-term memory (LSTM) with a gradient written for speed on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.errors import UsageError
from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import (
    Dropout,
    Memory,
    SteppingTrunk,
    Trunk,
    frame_layers,
    partly_fixed_linear,
)


def lstm_trunk(config: TrunkConfig, features: int, fixed: int) -> Trunk:
    """Recurrent trunk for `features` numbers a frame, the first `fixed` of them fixed."""
    if config.plain and config.layers > 1:
        raise UsageError(
            f"layers must be 1 in a plain LSTM, which has no layer over a frame (got "
            f"{config.layers}); depth is the number of its LSTM layers"
        )
    return _LstmTrunk(features, fixed, config)


class _LstmTrunk(SteppingTrunk):
    """`layers` over each frame, then `depth` LSTM layers; the output includes the frame.

    A `plain` one has no layer over the frame and no frame in the output, as in older systems.
    """

    def __init__(self, features: int, fixed: int, config: TrunkConfig) -> None:
        super().__init__()
        memory = config.hidden_width or config.width
        self.width, self.depth, self.fixed, self.plain = memory, config.depth, fixed, config.plain
        below = features if self.plain else config.width
        if not self.plain:
            self.enter, self.norm = nn.Linear(features, below), nn.LayerNorm(below)
            self.frame = frame_layers(below, config.layers)
        self.out = memory if self.plain else memory + below
        self.inputs = nn.ModuleList(
            [nn.Linear(memory if layer else below, 4 * memory) for layer in range(self.depth)]
        )
        self.memory = nn.ParameterList(
            [nn.Parameter(torch.empty(4 * memory, memory)) for _ in range(self.depth)]
        )
        for layer, weight in zip(self.inputs, self.memory, strict=True):
            assert isinstance(layer, nn.Linear)
            nn.init.constant_(layer.bias[memory : 2 * memory], 1.0)  # remember at first
            for gate in weight.data.split(memory):
                nn.init.orthogonal_(gate)
        self.dropout = Dropout(config.dropout)

    def begin(self, batch: int, device: torch.device) -> Memory:
        """Zero memory."""
        return {
            f"{name}{layer}": torch.zeros(batch, self.width, device=device)
            for layer in range(self.depth)
            for name in "hc"
        }

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        frame = None
        if not self.plain:
            frame = functional.relu(self.norm(partly_fixed_linear(x, self.fixed, self.enter)))
            frame = self.frame(frame)
        h = (x if frame is None else frame).transpose(0, 1)  # time first: contiguous positions
        keep = (~reset).float().t()[..., None]  # [T, B, 1]
        kept: Memory = {}
        for layer in range(self.depth):
            enter, below = self.inputs[layer], self.dropout(h)
            assert isinstance(enter, nn.Linear)
            # a plain one reads the frame itself, most of which needs no gradient
            fixed = self.fixed if self.plain and not layer else 0
            gates = partly_fixed_linear(below, fixed, enter)
            before = (memory[f"h{layer}"], memory[f"c{layer}"])
            h, cell = _Lstm.apply(  # type: ignore[no-untyped-call]
                gates, *before, keep, self.memory[layer]
            )
            kept[f"h{layer}"], kept[f"c{layer}"] = h[-1], cell
        h = self.dropout(h.transpose(0, 1))
        return h if frame is None else torch.cat([h, frame], -1), kept


class _Lstm(torch.autograd.Function):
    """One recurrent layer over time.

    The gradient of the weights is one product over all positions instead of one for each.
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, h: Tensor, c: Tensor, keep: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Hidden states [T, B, H] and the last cell [B, H], from the inputs' part of the gates.

        Gates [T, B, 4H] are input, forget, new and output. h and c [B, H] are the state before the
        first position; keep [T, B, 1] is 0 where it is reset.
        """
        half = gates.dtype != torch.float32
        matrix = weight.t().to(gates.dtype) if half else weight.t()
        steps, width = len(gates), h.shape[-1]
        opened = gates.float() if half else gates.clone()
        h_before = opened.new_empty(steps, *h.shape)
        c_before, squashed, out = (torch.empty_like(h_before) for _ in range(3))
        for t in range(steps):
            torch.mul(h, keep[t], out=h_before[t])
            torch.mul(c, keep[t], out=c_before[t])
            now = opened[t]
            if half:
                now += (h_before[t].to(gates.dtype) @ matrix).float()
            else:
                now.addmm_(h_before[t], matrix)
            now[:, : 2 * width].sigmoid_()
            now[:, 2 * width : 3 * width].tanh_()
            now[:, 3 * width :].sigmoid_()
            c = now[:, width : 2 * width] * c_before[t]
            c.addcmul_(now[:, :width], now[:, 2 * width : 3 * width])
            torch.tanh(c, out=squashed[t])
            h = torch.mul(now[:, 3 * width :], squashed[t], out=out[t])
        ctx.save_for_backward(h_before, c_before, opened, squashed, keep, weight)
        ctx.dtype = gates.dtype
        return out, c

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all inputs, back through time."""
        h_before, c_before, opened, squashed, keep, weight = ctx.saved_tensors
        grad_output, grad_cell = upstream
        steps, batch, width = h_before.shape
        half = ctx.dtype != torch.float32
        matrix = weight.to(ctx.dtype) if half else weight
        take, forget, new, give = opened.split(width, -1)
        # factors that do not depend on later positions, for all positions at once
        to_cell = give * (1 - squashed * squashed)
        slope = torch.cat(
            [new * take * (1 - take), c_before * forget * (1 - forget), take * (1 - new * new)], -1
        ).view(steps, batch, 3, width)
        to_give = squashed * give * (1 - give)
        grad = opened.new_empty(steps, batch, 4 * width)
        later_h = torch.zeros_like(h_before[0])
        later_c = grad_cell.clone()
        for t in range(steps - 1, -1, -1):
            here = grad_output[t] + later_h
            later_c.addcmul_(here, to_cell[t])
            torch.mul(later_c[:, None], slope[t], out=grad[t, :, : 3 * width].view(batch, 3, width))
            torch.mul(here, to_give[t], out=grad[t, :, 3 * width :])
            back = (grad[t].to(ctx.dtype) @ matrix).float() if half else grad[t] @ matrix
            later_h = back.mul_(keep[t])
            later_c = (later_c * forget[t]).mul_(keep[t])
        flat = grad.flatten(0, 1)
        if half:
            of_weight = (flat.to(ctx.dtype).t() @ h_before.flatten(0, 1).to(ctx.dtype)).float()
        else:
            of_weight = flat.t() @ h_before.flatten(0, 1)
        return grad.to(ctx.dtype), later_h, later_c, None, of_weight
