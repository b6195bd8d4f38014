"""Reaction delay inside a model: late features from a queue in its memory, or the delay as an input.

A policy with one `delay` makes its features late itself. One with several `delays` is given views
that are late already, and reads in them by how many frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from shadowbox.model.codec import View
from shadowbox.model.design import DELAY
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


def delay_feature(view: View, delays: Sequence[int]) -> Tensor:
    """Frames [B, T, 1] by which views are late, as a share of the longest delay; 0 if none is given."""
    if DELAY in view:
        return view[DELAY].float() / max(delays)
    example = next(iter(view.values()))
    return torch.zeros(*example.shape[:2], 1, device=example.device)
