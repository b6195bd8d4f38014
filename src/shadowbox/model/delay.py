"""Reaction delay inside a model: features of some frames ago, from a queue that is part of its memory."""

from __future__ import annotations

import torch
from torch import Tensor

from shadowbox.model.trunks.base import Memory, last_reset


def delayed(x: Tensor, memory: Memory, reset: Tensor, delay: int) -> tuple[Tensor, Memory]:
    """Features [B, T, F] of `delay` frames ago, and the queue after them.

    Until a match is older than the delay, those of its first frame.
    """
    steps = x.shape[1]
    past = torch.cat([memory["queue"].to(x.dtype), x], 1)
    at = torch.arange(steps, device=x.device)
    since = last_reset(reset)
    first = torch.where(since < 0, -memory["waiting"][:, None], since)
    late = torch.maximum(at - delay, first) + delay
    found = past.gather(1, late[..., None].expand(-1, -1, x.shape[-1]))
    return found, {
        "queue": past[:, steps:].float(),
        "waiting": (steps - first[:, -1]).clamp(max=delay),
    }
