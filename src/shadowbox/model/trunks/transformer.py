"""Transformer trunk: causal attention with relative positions and a bounded memory.

B: matches, T: positions, P: past frames that a layer looks back on, D: width of a head. Positions
attend in blocks of S, each to the S + P keys around it, so that a position of a long sequence costs
no more than one of a short one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Dropout, Memory, SteppingTrunk, Trunk, is_all, last_reset

SMALLEST_BLOCK = 16  # positions


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

    Keys and values of past frames are kept. Distance is a learned bias of each head, so an output
    depends on how long ago an event was, not on the absolute frame.
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
        """No frames; `known` counts those of the match, and the newest are last."""
        shape = (batch, self.heads, self.frames - 1, self.width // self.heads)
        past = {
            f"{name}{layer}": torch.zeros(shape, device=device)
            for layer in range(self.depth)
            for name in ("key", "value")
        }
        return {**past, "known": torch.zeros(batch, dtype=torch.int64, device=device)}

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        h, kept, _ = self._layers(x, memory, reset)
        return self.norm(h), kept

    def attention(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Weights [B, T, reach] of the frames 0, 1, 2, ... ago, through all layers; they sum to 1.

        Half of a layer's input passes by its attention (Abnar and Zuidema 2020). The second value
        is the memory of the read-out itself, for going on with the next positions.
        """
        past = self.frames - 1
        _, _, weights = self._layers(x, memory, reset)
        reach = torch.zeros(*x.shape[:2], self.depth * past + 1, device=x.device)
        reach[..., 0] = 1
        kept: Memory = {}
        for number, by_distance in enumerate(weights):
            name = f"reach{number}"
            before = memory.get(name)
            if before is None:  # each frame knows itself alone
                before = torch.zeros(len(x), past, reach.shape[-1], device=x.device)
                before[..., 0] = 1
            known = torch.cat([before, reach], 1)
            kept[name] = known[:, x.shape[1] :]
            reach = reach / 2
            for away in range(self.frames):
                there = known[:, past - away : past - away + x.shape[1]]
                reach[..., away:] += (
                    by_distance[..., away, None] * there[..., : there.shape[-1] - away] / 2
                )
        return reach, kept

    def _layers(
        self, x: Tensor, memory: Memory, reset: Tensor
    ) -> tuple[Tensor, Memory, list[Tensor]]:
        """Features before the last norm, the new memory, and each layer's weights by distance."""
        steps, past = x.shape[1], self.frames - 1
        since = last_reset(reset)
        # the oldest position that each position may attend to; negative ones are in the memory
        first = torch.where(since < 0, -memory["known"][:, None], since)
        size = min(steps, max(past, SMALLEST_BLOCK))
        mask = _seen(first, size, past)
        everything = x.device.type == "cpu" and is_all(mask)  # in the middle of matches
        seen = None if everything else mask
        h, kept, weights = self.enter(x), {}, []
        for number, layer in enumerate(self.layers):
            before = [memory[f"{name}{number}"] for name in ("key", "value")]
            h, keys, values, attended = layer(h, *before, size, seen)
            kept[f"key{number}"], kept[f"value{number}"] = (
                vectors[:, :, steps:].float() for vectors in (keys, values)
            )
            weights.append(attended)
        known = (steps - first[:, -1]).clamp(max=past)
        return h, {**kept, "known": known}, [_by_distance(w, steps, past) for w in weights]


def _seen(first: Tensor, size: int, past: int) -> Tensor:
    """Mask of the keys in the same match as each position, bool [B, 1, blocks, S, S + P]."""
    batch, steps = first.shape
    blocks = -(-steps // size)
    # positions beyond the sequence see everything; nothing reads them
    first = functional.pad(first, (0, blocks * size - steps), value=-(1 << 30))
    starts = torch.arange(blocks, device=first.device)[:, None] * size - past
    limits = first.view(batch, blocks, size) - starts
    return (torch.arange(size + past, device=first.device) >= limits[..., None])[:, None]


def _by_distance(weights: Tensor, steps: int, past: int) -> Tensor:
    """Mean weights of the heads [B, heads, blocks, S, S + P] as [B, T, P + 1], by distance."""
    mean = weights.detach().mean(1)
    size = mean.shape[2]
    at = torch.arange(size, device=mean.device)[:, None] + past
    places = at - torch.arange(past + 1, device=mean.device)
    found = mean.gather(-1, places.expand(*mean.shape[:2], -1, -1))
    return found.flatten(1, 2)[:, :steps]


class _Layer(nn.Module):
    """Attention and a perceptron, each with a residual connection."""

    def __init__(self, width: int, heads: int, frames: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.past = heads, frames - 1
        self.norm, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, frames))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), Dropout(dropout)
        )
        self.dropout = dropout

    def forward(
        self, h: Tensor, keys: Tensor, values: Tensor, size: int, seen: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features [B, T, W], all keys and values with the past in front, and the weights.

        h is [B, T, W]; keys and values [B, heads, P, D] are those of the past; `seen` [B, 1, blocks,
        S, S + P] marks keys of the same match; weights are [B, heads, blocks, S, S + P].
        """
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.ask(self.norm(h)).chunk(3, -1)
        )
        keys = torch.cat([keys.to(key.dtype), key], 2)
        values = torch.cat([values.to(value.dtype), value], 2)
        query = self._blocks(query * query.shape[-1] ** -0.5, size, 0)
        scores = (query @ self._blocks(keys, size, self.past).mT).float() + self._distances(size)
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = scores.softmax(-1)
        dropped = functional.dropout(weights, self.dropout, self.training)
        attended = dropped.to(value.dtype) @ self._blocks(values, size, self.past)
        attended = attended.flatten(2, 3)[:, :, : h.shape[1]].transpose(1, 2).flatten(2)
        h = h + self.answer(attended)
        return h + self.mlp(self.norm_after(h)), keys, values, weights

    def _blocks(self, vectors: Tensor, size: int, past: int) -> Tensor:
        """Vectors [B, heads, P + T, D] as overlapping blocks, [B, heads, blocks, P + S, D]."""
        length = vectors.shape[2] - past
        if missing := -length % size:
            vectors = functional.pad(vectors, (0, 0, 0, missing))
        if length <= size:
            return vectors[:, :, None]
        return vectors.unfold(2, size + past, size).mT

    def _distances(self, size: int) -> Tensor:
        """Bias of each distance as a band [heads, 1, S, S + P]; minus infinity beyond it."""
        # position i is at distance i + P - j of key j: rows are windows of one line
        line = self.bias.flip(-1)
        if size == 1:
            return line[:, None, None]
        line = functional.pad(line, (size - 1, size - 1), value=-torch.inf)
        return line.unfold(-1, size + self.past, 1).flip(1)[:, None]
