"""A policy: state_t and everybody's controls_{t-1}, seen from the own seat -> a distribution over the own controls_t."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from shadowbox.core.schema import Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.codec import Coding, Embed
from shadowbox.model.heads import Independent
from shadowbox.model.trunks import Window

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"length": 8, "width": 128, "depth": 2, "dropout": 0.0},
    "small": {"length": 16, "width": 384, "depth": 3, "dropout": 0.1},
}


class Policy(nn.Module):
    """Embedding, trunk, head. `sees` are the state columns that it is shown; it knows no game, only a schema."""

    def __init__(self, schema: Schema, sees: Iterable[str], **trunk: Any) -> None:
        super().__init__()
        self.sees = tuple(key for key in sees if key in schema.state_keys)
        self.embed = Embed(schema, (*self.sees, *schema.control_keys))
        self.trunk = Window(self.embed.width, **trunk)
        self.coding = Coding(schema, schema.control_keys, schema.controls.slots // schema.players)
        self.head = Independent(self.trunk.out, self.coding)

    def forward(self, state: Mapping[str, Tensor], previous: Mapping[str, Tensor], reset: Tensor) -> Tensor:
        """Columns [B, T, slots] from the own seat, reset [B, T] -> output [B, T, W], read by `coding`."""
        x = self.embed({**state, **previous})
        h, _ = self.trunk.seq(x, self.trunk.begin(len(x), x.device), reset)
        output: Tensor = self.head(h)
        return output

    def step(
        self, state: Mapping[str, Tensor], previous: Mapping[str, Tensor], memory: Tensor, reset: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One frame: columns [B, slots], reset [B] -> output [B, W] and the memory for the next one."""
        h, memory = self.trunk.step(self.embed({**state, **previous}), memory, reset)
        return self.head(h), memory

    def begin(self, batch: int) -> Tensor:
        """The memory of matches that have not begun."""
        return self.trunk.begin(batch, next(self.parameters()).device)


def arguments(preset: str, sees: Iterable[str], **changes: Any) -> dict[str, Any]:
    """What `build` needs, as plain data: a preset, changed."""
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}': {did_you_mean(preset, PRESETS)}")
    for name in changes:
        if name not in PRESETS[preset]:
            raise UsageError(f"a policy has no argument '{name}': {did_you_mean(name, PRESETS[preset])}")
    return {"sees": list(sees), **PRESETS[preset], **changes}


def build(schema: Schema, arguments: Mapping[str, Any], seed: int = 0) -> Policy:
    """A new policy; its weights depend on the seed alone, and nobody else's random numbers move."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Policy(schema, **arguments)
