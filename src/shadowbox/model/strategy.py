"""Encoder of an opponent's history: what the opponent did lately, as a latent vector of each frame.

B: matches, T: positions. An encoder reads the opponent's own columns and keys alone, each frame
once, and follows the protocol of trunks: `seq` in training, `step` in play, with equal results. Two
auxiliary tasks keep the latent from being ignored: the opponent's next controls, and who it is.

    banded   causal attention, two layers over 33 frames: exactly the last 65 frames
    gru      recurrent
    window   that of older systems: 65 frames encoded anew for every frame, in both directions
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.schema import Flag, Group, Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import View
from shadowbox.model.design import TrunkConfig
from shadowbox.model.embedding import ColumnEmbedding, visible_columns
from shadowbox.model.trunks.base import Memory
from shadowbox.model.trunks.registry import build_trunk

ENCODERS: dict[str, TrunkConfig] = {
    "banded": TrunkConfig(trunk="transformer", width=128, depth=2, frames=33),
    "gru": TrunkConfig(trunk="gru", width=128),
    "window": TrunkConfig(trunk="history", width=256, depth=6, frames=65, dropout=0.1),
}
PREFIX = "strategy."  # of its entries in a policy's memory


class StrategyEncoder(nn.Module):
    """Views of a player [B, T, slots] -> latents of the opponent [B, T, out]."""

    def __init__(
        self, schema: Schema, keys: Sequence[str], name: str, opponents: Sequence[str] = ()
    ) -> None:
        """`keys`: columns that may be read; those of the players are. `opponents`: names to guess."""
        super().__init__()
        if name not in ENCODERS:
            raise UsageError(f"unknown strategy encoder '{name}': {did_you_mean(name, ENCODERS)}")
        seen = opponent_schema(schema)
        self.keys = tuple(key for key in visible_columns(seen) if key in keys)
        self.slots = {key: seen.columns[key].slots for key in self.keys}
        self.embed = ColumnEmbedding(seen, self.keys)
        self.trunk = build_trunk(ENCODERS[name], self.embed.width, self.embed.fixed)
        self.out = self.trunk.out
        self.flags = [key for key in seen.control_keys if isinstance(seen.columns[key].field, Flag)]
        self.next_controls = nn.Linear(self.out, sum(seen.columns[k].slots for k in self.flags))
        self.opponents = tuple(opponents)
        self.identity = nn.Linear(self.out, len(opponents)) if opponents else None

    def initial(self, batch: int, device: torch.device) -> Memory:
        """Memory of matches that have not begun."""
        return {f"{PREFIX}{key}": v for key, v in self.trunk.begin(batch, device).items()}

    def seq(self, view: View, memory: Memory, reset: Tensor) -> tuple[Tensor, Memory]:
        """Latents [B, T, out] of views [B, T, slots] with resets [B, T], and the new memory."""
        own = {key.removeprefix(PREFIX): v for key, v in memory.items() if key.startswith(PREFIX)}
        latent, after = self.trunk.seq(self.embed(self._opponent(view)), own, reset)
        return latent, {f"{PREFIX}{key}": values for key, values in after.items()}

    def next_controls_loss(self, latent: Tensor, view: View, reset: Tensor) -> Tensor:
        """Mean cross-entropy of the keys that the opponent presses next, in nats a key.

        `view` [B, T, slots] and `reset` [B, T] as for `seq`: the keys pressed at a position are seen
        in the view of the next one, if the match still goes on there.
        """
        following = self._opponent(view)
        targets = torch.cat([following[key].float() for key in self.flags], -1)[:, 1:]
        logits = self.next_controls(latent[:, :-1])
        cost = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        counted = (~reset[:, 1:]).float()[..., None].expand_as(cost)
        return (cost * counted).sum() / counted.sum().clamp(min=1)

    def _opponent(self, view: View) -> Mapping[str, Tensor]:
        """Columns of the opponent alone: the second player's slots."""
        return {key: view[key][..., slots : 2 * slots] for key, slots in self.slots.items()}


def opponent_schema(schema: Schema) -> Schema:
    """Fields of one player of a game, as a schema of their own."""
    if schema.players != 2:
        raise UsageError(
            f"an opponent's history needs two players; {schema.name} has {schema.players}"
        )

    def of_one(group: Group) -> Group:
        return dataclasses.replace(group, slots=group.slots // schema.players)

    return dataclasses.replace(
        schema,
        state=tuple(of_one(group) for group in schema.state if group.per),
        controls=of_one(schema.controls),
        players=1,
    )
