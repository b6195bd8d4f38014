"""Positions as waves: sines and cosines of a few lengths, by which small differences are seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Real, Schema
from shadowbox.model.world.derived import beside_keys, facing_flag, real_base

LENGTHS = (0.8, 0.4, 0.2, 0.1, 0.05, 0.025)  # in ranges of the field: one over its scale


class _Waves(nn.Module):
    """Waves of the places of players and of the distances between them, moved on by a frame.

    Whether a strike reaches, or where the edge of the ground is, depends on differences that are
    small beside the size of a stage. A network sees them late from one number. So are distances to
    the thing that may carry players. Distances along an
    axis that a mirror negates are also given as seen by a player who faces along it.
    """

    scale: Tensor

    def __init__(self, schema: Schema, rules: _Rules, keys: Sequence[str]) -> None:
        super().__init__()
        self.schema, self.rules = schema, rules
        self.keys = [key for key in keys if key in rules.rates and schema.columns[key].group.per]
        fields = [schema.columns[key].field for key in self.keys]
        scales = torch.tensor([each.scale for each in fields if isinstance(each, Real)])
        self.register_buffer("scale", scales[:, None], persistent=False)
        # (place of a column, flag by which its slots face along the axis)
        self.facing = [
            (at, flag)
            for at, key in enumerate(self.keys)
            if fields[at].mirror == "negate" and (flag := facing_flag(schema, key)) in keys
        ]
        # of the thing that may carry a player
        self.others = beside_keys(schema, self.keys) if self.keys else []
        slots = schema.players if self.keys else 0
        waves = len(self.others) * slots
        waves += len(self.keys) * (2 * slots - 1) + len(self.facing) * slots * (slots - 1)
        self.width = waves * 2 * len(LENGTHS) if self.keys else 0

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Columns [..., slots] -> features [..., width]."""
        places = torch.stack(
            [real_base(self.schema, self.rules, key, columns, columns) for key in self.keys], -2
        )
        places = places * self.scale  # [..., keys, slots]
        parts = [places.flatten(-2), (places[..., 1:] - places[..., :1]).flatten(-2)]
        if self.others:
            things = torch.stack([columns[key] for key in self.others], -2) * self.scale
            parts.append((places - things).flatten(-2))
        for at, flag in self.facing:
            place, way = places[..., at, :], columns[flag] * 2.0 - 1.0
            for other in range(1, self.schema.players):
                parts.append((place.roll(-other, -1) - place) * way)
        scaled = torch.cat(parts, -1)
        angles = torch.cat([scaled * (2 * math.pi / length) for length in LENGTHS], -1)
        return torch.cat([angles.sin(), angles.cos()], -1)
