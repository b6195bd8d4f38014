"""History trunk of older systems: every window of frames is encoded anew, in both directions.

Kept to compare with: for each frame it encodes all frames of the window again, which costs `frames`
times as much as the transformer trunk.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Memory, SteppingTrunk, Trunk, last_reset

HEADS = 8


def history_trunk(config: TrunkConfig, features: int, fixed: int) -> Trunk:
    """History trunk for `features` numbers a frame; it treats `fixed` ones like others."""
    return _HistoryTrunk(features, config)


class _HistoryTrunk(SteppingTrunk):
    """Bidirectional transformer over a window, attention pooling, and two layers.

    Before a match is as old as the window, its first frame is repeated, in training as in play.
    """

    positions: Tensor

    def __init__(self, features: int, config: TrunkConfig) -> None:
        super().__init__()
        self.features, self.frames, self.out = features, config.frames, config.width
        width = config.width
        self.enter = nn.Sequential(nn.Linear(features, width), nn.LayerNorm(width), nn.ReLU())
        self.register_buffer("positions", _sinusoids(config.frames, width), persistent=False)
        heads = HEADS if width % HEADS == 0 else 1
        self.layers = nn.ModuleList(
            [
                nn.TransformerEncoderLayer(
                    width,
                    heads,
                    4 * width,
                    config.dropout,
                    "gelu",
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(config.depth)
            ]
        )
        self.pool = nn.Sequential(nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, 1))
        self.refine = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width)
        )

    def begin(self, batch: int, device: torch.device) -> Memory:
        """No frames; `known` counts those of the match."""
        return {
            "frames": torch.zeros(batch, self.frames - 1, self.features, device=device),
            "known": torch.zeros(batch, dtype=torch.int64, device=device),
        }

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        h, _, after = self._windows(x, memory, reset)
        return h, after

    def attention(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Weights [B, T, W] of the frames 0, 1, 2, ... ago in the pooling of each window.

        Those of repetitions of the first frame count for the first frame. A read-out keeps nothing.
        """
        _, weights, _ = self._windows(x, memory, reset)
        return weights, {}

    def _windows(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Tensor, Memory]:
        """Features, weights of the frames by distance, and the new memory."""
        steps, past = x.shape[1], self.frames - 1
        frames = torch.cat([memory["frames"].to(x.dtype), x], dim=1)  # [B, past + T, F]
        at = torch.arange(steps, device=x.device)
        since = last_reset(reset)
        # position of the first frame of each match; negative ones are in the memory
        first = torch.where(since < 0, -memory["known"].clamp(max=past)[:, None], since)  # [B, T]
        window = at[:, None] + torch.arange(-past, 1, device=x.device)  # [T, W]
        places = torch.maximum(window, first[..., None]) + past  # [B, T, W]
        flat = places.flatten(1)[..., None].expand(-1, -1, x.shape[-1])
        windows = frames.gather(1, flat).view(-1, self.frames, x.shape[-1])
        h, pooled = self._encode(windows)
        away = at[:, None] + past - places  # [B, T, W]
        weights = torch.zeros_like(away, dtype=h.dtype)
        weights = weights.scatter_add(2, away, pooled.detach().view(away.shape))
        known = torch.where(since[:, -1] < 0, memory["known"] + steps, steps - since[:, -1])
        after = {"frames": frames[:, steps:].float(), "known": known.clamp(max=self.frames)}
        return h.view(len(x), steps, self.out), weights, after

    def _encode(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Latent [n, out] of windows [n, W, F], and the weights [n, W] that pool it."""
        h = self.enter(windows) + self.positions
        for layer in self.layers:
            h = layer(h)
        pooled = self.pool(h).softmax(1)
        return self.refine((pooled * h).sum(1)), pooled[..., 0]


def _sinusoids(frames: int, width: int) -> Tensor:
    at = torch.arange(frames, device="cpu")[:, None]
    rates = torch.exp(torch.arange(0, width, 2, device="cpu") * (-math.log(10_000.0) / width))
    table = torch.zeros(frames, width, device="cpu")
    table[:, 0::2], table[:, 1::2] = torch.sin(at * rates), torch.cos(at * rates)[:, : width // 2]
    return table
