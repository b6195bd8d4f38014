"""Options of reals that recordings have beside what was drawn of the same player."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Schema
from shadowbox.model.world.beside import player_flags, same_slots
from shadowbox.model.world.derived import cell_counts, cell_of, place_keys
from shadowbox.model.world.layout import _Layout, _Unit
from shadowbox.model.world.mixture import RULED_OUT
from shadowbox.model.world.parts import sources, spread
from shadowbox.model.world.vocabulary import _Vocabulary


class _Possible(nn.Module):
    """Table of the options of each real by the joint choice and the flags of its player.

    A fighter on the ground is at the height of a ground, and never at any other: so do recordings
    have it, and so is it drawn. Its tables are weights, since recordings decide them.
    """

    table: Tensor
    slot: Tensor
    flag: Tensor
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
        names, together = player_flags(schema, rules), rules.dynamics.together
        classes = len(vocabulary.together)
        table = torch.ones(len(units), classes + 2 * len(names), options, dtype=torch.bool)
        for row, unit in zip(table, units, strict=True):
            known = vocabulary.tables.get(f"with/{unit.key}")
            if known is not None:  # the last option is any other value
                row[:, : known.shape[1] - 1] = torch.from_numpy(known[:, :-1])
                row[:, -1] = torch.from_numpy(known[:, -1])
        self.register_buffer("table", table)
        slots = [unit.slot if same_slots(schema, unit.key, together[0]) else 0 for unit in units]
        places = [[layout.flags[key] + slot for key in names] for slot in slots]
        for name, values in (
            ("slot", torch.tensor(slots)),
            ("flag", torch.tensor(places, dtype=torch.int64).view(len(units), len(names))),
            ("first", classes + 2 * torch.arange(len(names))),
        ):
            self.register_buffer(name, values, persistent=False)

    def forward(self, chosen: Tensor, flags: Tensor) -> Tensor:
        """Mask [..., U, options] for joint choices [..., slots] and flags [..., F]."""
        row = torch.arange(len(self.table), device=chosen.device)
        found: Tensor = self.table[row, chosen[..., self.slot]]
        values = flags[..., self.flag] + self.first
        for at in range(values.shape[-1]):
            found = found & self.table[row, values[..., at]]
        return found


class _PossibleFlags(nn.Module):
    """Values of the players' flags that recordings have beside a joint choice and in a place.

    No player is on the ground where recordings have none.
    """

    by_class: Tensor
    by_cell: Tensor
    unit: Tensor
    source: Tensor  # of each unit of the heads, the number among `unit`

    def __init__(
        self, schema: Schema, rules: _Rules, vocabulary: _Vocabulary, units: Sequence[_Unit]
    ) -> None:
        super().__init__()
        self.schema, self.rules = schema, rules
        names, together = player_flags(schema, rules), rules.dynamics.together
        self.places = place_keys(schema, rules, together[0])
        cells = math.prod(cell_counts(schema, self.places)) if self.places else 0
        for name, many in (("class", len(vocabulary.together)), ("cell", cells)):
            table = torch.ones(len(names), many, 2)
            known = vocabulary.tables.get(f"flags/{name}")
            if known is not None:
                table = torch.from_numpy(known)
            self.register_buffer(f"by_{name}", table.bool())
        # number of the flag, the slot, and the place among the units of the heads
        found = [
            (names.index(unit.key), unit.slot, at)
            for at, unit in enumerate(units)
            if unit.key in names
        ]
        self.register_buffer("unit", torch.tensor(found).view(-1, 3).T, persistent=False)
        source = sources([at for _, _, at in found], len(units))
        self.register_buffer("source", source, persistent=False)

    def forward(self, logits: Tensor, chosen: Tensor, before: Mapping[str, Tensor]) -> Tensor:
        """Logits [..., U] for joint choices [..., slots], certain where one value is possible."""
        flag, slot, at = self.unit
        may = self.by_class[flag, chosen[..., slot]]
        if self.places:
            cell = cell_of(self.schema, self.rules, self.places, before)
            there = self.by_cell[flag, cell[..., slot]]
            both = may & there
            may = torch.where(both.any(-1, keepdim=True), both, may)
        off, on = may.unbind(-1)
        some = logits[..., at]
        some = torch.where(on, torch.where(off, some, -RULED_OUT), RULED_OUT)
        return spread(some, self.source, logits)

    def classes(self, legal: Tensor, before: Mapping[str, Tensor]) -> Tensor:
        """Of legal joint choices [..., slots, classes] those with flags that are possible in a place.

        No player walks where none is on the ground.
        """
        if not self.places:
            return legal
        cell = cell_of(self.schema, self.rules, self.places, before)  # [..., slots]
        for by_class, by_cell in zip(self.by_class, self.by_cell, strict=True):
            fits = (by_cell[cell][..., None, :] & by_class).any(-1)
            both = legal & fits
            legal = torch.where(both.any(-1, keepdim=True), both, legal)
        return legal


class _PossibleEvents(nn.Module):
    """Events that recordings have in a place: a knock-out beyond the zones, and none between them."""

    by_cell: Tensor

    def __init__(self, schema: Schema, rules: _Rules, vocabulary: _Vocabulary) -> None:
        super().__init__()
        self.schema, self.rules = schema, rules
        self.places = place_keys(schema, rules, rules.dynamics.together[0])
        shape = (len(rules.triggers), math.prod(cell_counts(schema, self.places)), 2)
        known = vocabulary.tables.get("events/cell")
        table = torch.ones(shape) if known is None else torch.from_numpy(known)
        self.register_buffer("by_cell", table.bool())

    def forward(self, bits: Tensor, before: Mapping[str, Tensor]) -> Tensor:
        """Mask [..., joint events] of those with bits [joint events, slots]; True everywhere if none."""
        cell = cell_of(self.schema, self.rules, self.places, before)[..., None, :]
        found = torch.ones((), dtype=torch.bool, device=bits.device)
        for at, table in enumerate(self.by_cell):
            found = found & table[cell, (bits >> at) & 1].all(-1)
        return found | ~found.any(-1, keepdim=True)


def possible_events(
    happens: Tensor, bits: Tensor, places: nn.Module | None, before: Mapping[str, Tensor]
) -> Tensor:
    """Mask [..., joint events] of those with bits [joint events, slots] that all slots allow.

    `happens` [..., slots, codes]: events of a slot that its state allows; `places`: those of a place.
    """
    each = [happens[..., slot, :][..., bits[:, slot]] for slot in range(bits.shape[1])]
    may = torch.stack(each).all(0)
    if places is None:
        return may
    both = may & places(bits, before)
    return torch.where(both.any(-1, keepdim=True), both, may)
