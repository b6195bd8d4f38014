"""Options of reals that recordings have beside what was drawn of the same player."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Schema
from shadowbox.model.world.layout import _Layout, _Unit
from shadowbox.model.world.vocabulary import _Vocabulary, same_slots, told_flags


class _Possible(nn.Module):
    """Table of the options of each real by the joint choice and the flags of its player.

    A fighter on the ground is at the height of a ground, and never at any other: so do recordings
    have it, and so is it drawn. Its tables are weights, since recordings decide them.
    """

    table: Tensor
    slot: Tensor
    told: Tensor
    first: Tensor

    def __init__(
        self,
        schema: Schema,
        rules: _Rules,
        vocabulary: _Vocabulary,
        layout: _Layout,
        units: Sequence[_Unit],
        options: int,
    ) -> None:
        super().__init__()
        told, together = told_flags(schema, rules), rules.dynamics.together
        classes = len(vocabulary.together)
        table = torch.ones(len(units), classes + 2 * len(told), options, dtype=torch.bool)
        for row, unit in zip(table, units, strict=True):
            known = vocabulary.tables.get(f"with/{unit.key}")
            if known is not None:  # the last option is any other value
                row[:, : known.shape[1] - 1] = torch.from_numpy(known[:, :-1])
                row[:, -1] = torch.from_numpy(known[:, -1])
        self.register_buffer("table", table)
        slots = [unit.slot if same_slots(schema, unit.key, together[0]) else 0 for unit in units]
        places = [[layout.flags[key] + slot for key in told] for slot in slots]
        for name, values in (
            ("slot", torch.tensor(slots)),
            ("told", torch.tensor(places, dtype=torch.int64).view(len(units), len(told))),
            ("first", classes + 2 * torch.arange(len(told))),
        ):
            self.register_buffer(name, values, persistent=False)

    def forward(self, chosen: Tensor, flags: Tensor) -> Tensor:
        """Mask [..., U, options] for joint choices [..., slots] and flags [..., F]."""
        row = torch.arange(len(self.table), device=chosen.device)
        found: Tensor = self.table[row, chosen[..., self.slot]]
        values = flags[..., self.told] + self.first
        for at in range(values.shape[-1]):
            found = found & self.table[row, values[..., at]]
        return found
