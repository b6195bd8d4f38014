"""Changed inputs of a policy: late states, and in training other previous controls of its own.

A policy with one `delay` makes its features late itself, from a queue in its memory. One with
several `delays` is given views that are late already, and reads in them by how many frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from shadowbox.model.codec import ControlValues, View
from shadowbox.model.design import DELAY, TrainingNoise
from shadowbox.model.heads import Head
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


def with_state_noise(x: Tensor, reals: int, noise: TrainingNoise) -> Tensor:
    """Features [B, T, F] whose first `reals`, normalized ones, are noisier, and smaller or larger.

    So a policy knows people whose movements are smaller, and cameras that see less well, than those
    of its recordings. What was not found stays 0.
    """
    own, lead = x[..., :reals], (len(x), 1, 1)
    size = 1 + noise.state_scale * (2 * torch.rand(lead, device=x.device) - 1)
    level = noise.state_noise * torch.rand(lead, device=x.device)
    shaken = own * size + torch.randn_like(own) * level * (own != 0)
    return torch.cat([shaken, x[..., reals:]], -1)


def with_control_noise(values: ControlValues, head: Head, share: float, view: View) -> View:
    """View in which the previous own controls of a few frames are drawn uniformly.

    In recordings, controls are never held where that makes no sense; a policy that never saw
    such a state would hold them forever.
    """
    example = next(iter(view.values()))
    chosen = torch.rand(example.shape[:2], device=example.device) < share
    drawn = head.sample_uniform(chosen.shape).to(example.device)
    return _with_previous(values, view, drawn, chosen)


def with_own_controls(
    values: ControlValues,
    draw: Callable[[View, Tensor], Tensor],
    share: float,
    view: View,
    reset: Tensor,
) -> View:
    """View in which the previous controls of some segments are draws of the policy itself.

    `draw` gives controls [B, T, V] of the segments of a mask [B], as the policy presses them given
    the recorded ones before (scheduled sampling in one pass); so it learns to go on from mistakes.
    """
    rows = torch.rand(len(reset), device=reset.device) < share
    if not rows.any():
        return view
    drawn = values.of(view)
    drawn[rows, 1:] = draw({key: part[rows] for key, part in view.items()}, rows)[:, :-1]
    return _with_previous(values, view, drawn, rows[:, None] & ~reset)


def _with_previous(values: ControlValues, view: View, controls: Tensor, chosen: Tensor) -> View:
    """View with these previous own controls [B, T, V] at the positions `chosen` [B, T]."""
    drawn, slots, changed = values.columns(controls), values.slots, dict(view)
    for key in (key for keys in values.sources for key in keys):
        own, others = view[key][..., :slots], view[key][..., slots:]
        changed[key] = torch.cat(
            [torch.where(chosen[..., None], drawn[key].to(own.dtype), own), others], -1
        )
    return changed
