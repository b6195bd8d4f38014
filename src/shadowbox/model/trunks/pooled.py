"""Pooled trunk of older systems: a bidirectional transformer over each window of frames.

Kept to compare with: every window is encoded anew. A frame's input holds its own features and the
own controls of the last `CONTROLS` frames, oldest first; before a match they are zero.

B: matches or windows, T: positions, W: frames of a window, F: features, C: own controls.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shadowbox.model.design import TrunkConfig
from shadowbox.model.trunks.base import Memory, SteppingTrunk, Trunk, last_reset

CONTROLS = 5  # frames of own controls in the input of a frame
HEADS = 8
WIDER = 2  # width of the feed-forward layers, as a multiple of the width
DECAY = -2.0  # initial logarithm of the weight of a window's first frame, beside its last one


def pooled_trunk(config: TrunkConfig, features: int, fixed: int, own: Sequence[int] = ()) -> Trunk:
    """Pooled trunk for `features` numbers a frame, of which `own` are the own previous controls.

    It treats `fixed` features like others.
    """
    return _PooledTrunk(features, own, config)


class _PooledTrunk(SteppingTrunk):
    """Projection, learned positions, a post-norm transformer, and a mean with learned decay.

    A window that is not full yet is filled up on its right with frames that nothing attends to, as
    older systems do, so that its newest frame weighs less. The memory holds projected frames.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, features: int, own: Sequence[int], config: TrunkConfig) -> None:
        super().__init__()
        chosen = set(own)
        self.features, self.frames, self.out = features, config.frames, config.width
        self.state = [at for at in range(features) if at not in chosen]
        self.own = sorted(chosen)
        width, inputs = config.width, len(self.state) + CONTROLS * len(self.own)
        # of each input on the training side; 0 and 1 where inputs are not normalized
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        self.enter = nn.Linear(inputs, width)
        self.positions = nn.Embedding(config.frames, width)
        self.dropout = nn.Dropout(config.dropout)
        layer = nn.TransformerEncoderLayer(
            width,
            HEADS if width % HEADS == 0 else 1,
            WIDER * width,
            config.dropout,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.decay = nn.Parameter(torch.tensor(DECAY))

    def begin(self, batch: int, device: torch.device) -> Memory:
        """No frames and no controls; `known` counts the frames of the match."""
        return {
            "frames": torch.zeros(batch, self.frames - 1, self.out, device=device),
            "controls": torch.zeros(batch, CONTROLS - 1, len(self.own), device=device),
            "known": torch.zeros(batch, dtype=torch.int64, device=device),
        }

    def seq(self, x: Tensor, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Features h [B, T, out] of x [B, T, F] with resets [B, T], and the new memory."""
        steps, past, since = x.shape[1], self.frames - 1, last_reset(reset)
        controls = torch.cat([memory["controls"].to(x.dtype), x[..., self.own]], 1)
        inputs = self.inputs(x, controls, since)
        frames = torch.cat([memory["frames"].to(x.dtype), self._project(inputs)], 1)
        at = torch.arange(steps, device=x.device)
        # position of the first frame of each window; negative ones are in the memory
        first = torch.where(since < 0, -memory["known"].clamp(max=past)[:, None], since)
        places = torch.maximum(first, at - past)[..., None] + torch.arange(
            self.frames, device=x.device
        )
        real = places <= at[:, None]  # [B, T, W]
        index = (torch.minimum(places, at[:, None]) + past).flatten(1)[..., None]
        windows = frames.gather(1, index.expand(-1, -1, self.out))
        h = self.pooled(windows.view(-1, self.frames, self.out), real.flatten(0, 1))
        known = torch.where(since[:, -1] < 0, memory["known"] + steps, steps - since[:, -1])
        kept = torch.arange(steps - CONTROLS + 1, steps, device=x.device) >= since[:, -1:]
        after = {
            "frames": frames[:, steps:].float(),
            "controls": (controls[:, steps:] * kept[..., None]).float(),
            "known": known.clamp(max=self.frames),
        }
        return h.view(len(x), steps, self.out), after

    def last(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Features h [B, out] of the last frame of x [B, CONTROLS - 1 + W, F].

        `keep` [B, CONTROLS] is 0 for earlier controls that are hidden, the same in all frames of a
        window; the last one is the newest.
        """
        since = x.new_full(x.shape[:2], -(1 << 30))
        nothing = x.new_zeros(len(x), CONTROLS - 1, len(self.own))
        inputs = self.inputs(x, torch.cat([nothing, x[..., self.own]], 1), since, keep)
        projected = self._project(inputs[:, CONTROLS - 1 :])
        return self.pooled(projected, None)

    def inputs(
        self, x: Tensor, controls: Tensor, since: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """Input of each frame [B, T, inputs], from x and controls [B, CONTROLS - 1 + T, C]."""
        steps = x.shape[1]
        if not self.own:
            return x
        at = torch.arange(steps, device=x.device)
        parts = [x[..., self.state]]
        for turn in range(CONTROLS):
            visible = at + (turn - CONTROLS + 1) >= since  # [B, T]
            if keep is not None:
                visible = visible & keep[:, turn, None].bool()
            parts.append(controls[:, turn : turn + steps] * visible[..., None])
        return torch.cat(parts, -1)

    def pooled(self, windows: Tensor, real: Tensor | None) -> Tensor:
        """Features [n, out] of projected windows [n, W, out]; `real` [n, W] marks their frames."""
        h = self.dropout(windows + self.positions.weight)
        if real is not None and bool(real.all()):
            real = None
        h = self.encoder(h, src_key_padding_mask=None if real is None else ~real)
        share = torch.arange(self.frames, device=h.device) / max(1, self.frames - 1)
        weight = torch.exp(self.decay * (1 - share)).expand(len(h), -1)
        if real is not None:
            weight = weight * real
            h = torch.where(real[..., None], h, 0.0)
        pooled: Tensor = (h * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
        return pooled

    def _project(self, inputs: Tensor) -> Tensor:
        projected: Tensor = self.enter((inputs - self.mean) / self.spread)
        return projected
