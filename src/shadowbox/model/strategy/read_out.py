"""Read-out of a policy while it plays: latents, attention, the guess of the opponent, memory, value.

B: matches, T: positions.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor

from shadowbox.core.tracks import Track
from shadowbox.errors import UsageError
from shadowbox.model.codec import View
from shadowbox.model.policy import Policy
from shadowbox.model.trunks.base import Memory


class _ReadOut(NamedTuple):
    """What a policy knows at each position."""

    recurrent: Tensor  # state of the trunk [B, T, H]: that of a GRU or an LSTM, else its features
    latent: Tensor | None  # of the opponent's history [B, T, D]; None without an encoder
    attention: Tensor | None  # weights of the frames 0, 1, ... ago [B, T, reach], if it attends
    guess: Tensor | None  # probability of each of `policy.config.opponents` [B, T, names]
    value: Tensor | None  # of the state [B, T], if the policy estimates it
    memory: Memory  # for going on with the next positions


@torch.no_grad()
def read_out(
    policy: Policy,
    columns: View,
    reset: Tensor | None = None,
    memory: Memory | None = None,
    style: View | None = None,
) -> _ReadOut:
    """Read out a policy that sees views [B, T, slots], own slot first.

    `reset` [B, T] marks first frames of matches; by default a match begins at the first position,
    or goes on from the `memory` of an earlier read-out. Positions are decisions: a policy that
    decides every few frames sees those frames alone.
    """
    if policy.training:
        raise UsageError("call eval() before reading out a policy")
    example = next(iter(columns.values()))
    if reset is None:
        reset = torch.zeros(example.shape[:2], dtype=torch.bool, device=example.device)
        reset[:, 0] = memory is None
    memory = policy.initial(len(reset), reset.device) if memory is None else memory
    seen = policy._features(columns, memory, reset, style)
    h, after = policy.trunk.seq(seen.x, memory, reset)
    attention, guess = None, None
    kept: Memory = {}
    if policy.strategy is not None and seen.latent is not None:
        attention, kept = policy.strategy.attention(columns, memory, reset)
        guess = policy.strategy.guess(seen.latent) if policy.config.opponents else None
    width = getattr(policy.trunk, "width", policy.trunk.out)
    value = None if policy.value is None else policy.value(h)[..., 0].float()
    memory = {**seen.memory, **after, **kept}
    return _ReadOut(h[..., :width].float(), seen.latent, attention, guess, value, memory)


# ---- as tracks of a match ------------------------------------------------------------------------


def read_out_tracks(policy: Policy) -> tuple[Track, ...]:
    """Tracks of a policy's read-out.

    `value`, `attention` to the decisions 0, 1, 2, ... ago, and `guess/OPPONENT` for each name.
    """
    tracks = [Track("value")] if policy.value is not None else []
    trunk = getattr(policy.strategy, "trunk", None)
    if trunk is not None and hasattr(trunk, "attention"):
        tracks.append(Track("attention", "f2", (trunk.depth * (trunk.frames - 1) + 1,)))
    if policy.strategy is not None:
        names = dict.fromkeys(re.sub(r"[^!-~]", "-", name)[:90] for name in policy.config.opponents)
        tracks += [Track(f"guess/{name}") for name in names]
    return tuple(tracks)


def read_out_values(policy: Policy, found: _ReadOut) -> dict[str, Tensor]:
    """Values [B, ...] of `read_out_tracks` at the last position of a read-out."""
    known = (("value", found.value), ("attention", found.attention))
    values = {name: each[:, -1].float() for name, each in known if each is not None}
    if found.guess is not None:
        guesses = [track.name for track in read_out_tracks(policy) if "/" in track.name]
        values |= dict(zip(guesses, found.guess[:, -1].float().unbind(-1), strict=True))
    return values
