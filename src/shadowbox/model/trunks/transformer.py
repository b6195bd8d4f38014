"""Transformer trunk: causal attention with relative positions and a bounded memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Dropout, Memory, SteppingTrunk, Trunk, last_reset


def transformer_trunk(config: TrunkConfig, features: int, fixed: int) -> Trunk:
    """Transformer trunk for `features` numbers a frame; it treats `fixed` ones like others."""
    return _TransformerTrunk(
        features,
        width=config.width,
        depth=config.depth,
        frames=config.frames,
        dropout=config.dropout,
    )


class _TransformerTrunk(SteppingTrunk):
    """Causal attention over the last `frames` frames in each layer.

    Keys and values of past frames are kept in a ring. Distance is a learned bias of each head, so
    an output depends on how long ago an event was, not on the absolute frame.
    """

    def __init__(
        self, features: int, *, width: int, depth: int, frames: int, dropout: float
    ) -> None:
        super().__init__()
        self.width, self.depth, self.frames, self.out = width, depth, frames, width
        self.heads = max(1, math.gcd(width, max(1, width // 32)))
        self.enter = nn.Linear(features, width)
        self.layers = nn.ModuleList(
            [_Layer(width, self.heads, frames, dropout) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(width)

    def begin(self, batch: int, device: torch.device) -> Memory:
        """Empty ring; `known` counts its frames, and `next` is the place of the next one."""
        ring = {
            f"{name}{layer}": torch.zeros(batch, self.frames, self.width, device=device)
            for layer in range(self.depth)
            for name in ("key", "value")
        }
        count = {
            name: torch.zeros(batch, dtype=torch.int64, device=device) for name in ("known", "next")
        }
        return {**ring, **count}

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        steps, size = x.shape[1], self.frames
        places = torch.arange(size, device=x.device)
        oldest_first = (memory["next"][:, None] + places) % size
        at = torch.arange(steps, device=x.device)
        # position of each key; negative ones are in the ring
        here = torch.arange(-size, steps, device=x.device)
        distance = at[:, None] - here  # [T, size + T]
        since = last_reset(reset)
        # the oldest position that each position may attend to
        first = torch.where(since < 0, -memory["known"][:, None], since)
        seen = (distance >= 0) & (distance < size) & (here >= first[..., None])  # [B, T, size + T]
        h, kept = self.enter(x), {}
        # the last `size` positions, as indices of keys
        ends = torch.arange(steps - size, steps, device=x.device) + size
        into = (memory["next"][:, None] + steps + places) % size
        for number, layer in enumerate(self.layers):
            order = oldest_first[..., None].expand(-1, -1, self.width)
            rings = [memory[f"{name}{number}"].gather(1, order) for name in ("key", "value")]
            h, keys, values = layer(h, *rings, seen, distance)
            for name, vectors in (("key", keys), ("value", values)):
                ring = torch.empty_like(vectors[:, :size])
                kept[f"{name}{number}"] = ring.scatter(
                    1, into[..., None].expand(-1, -1, self.width), vectors[:, ends]
                ).float()
        known = (steps - first[:, -1]).clamp(max=size)
        return self.norm(h), {**kept, "known": known, "next": (memory["next"] + steps) % size}


class _Layer(nn.Module):
    """Attention and a perceptron, each with a residual connection."""

    def __init__(self, width: int, heads: int, frames: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, frames))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), Dropout(dropout)
        )
        self.dropout = dropout

    def forward(
        self, h: Tensor, keys: Tensor, values: Tensor, seen: Tensor, distance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features [B, T, W], and all keys and values with those of the ring [B, size, W] in front.

        h is [B, T, W]; `seen` [B, T, size + T] marks the keys that each position may attend to.
        """
        query, key, value = self.ask(self.norm(h)).chunk(3, -1)
        keys, values = (
            torch.cat([keys.to(key.dtype), key], 1),
            torch.cat([values.to(value.dtype), value], 1),
        )
        bias = self.bias[:, distance.clamp(0, self.bias.shape[1] - 1)]  # [heads, T, size + T]
        mask = torch.where(seen[:, None], bias, -torch.inf).to(query.dtype)
        by_head_query, by_head_keys, by_head_values = (
            part.view(*part.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (query, keys, values)
        )
        dropout = self.dropout if self.training else 0.0
        attended = functional.scaled_dot_product_attention(
            by_head_query, by_head_keys, by_head_values, attn_mask=mask, dropout_p=dropout
        )
        h = h + self.answer(attended.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm_after(h)), keys, values
