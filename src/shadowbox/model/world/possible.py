"""Options of reals that recordings have beside what was drawn of the same player."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules, _Step
from shadowbox.core.schema import Schema
from shadowbox.model.world.beside import pattern_flags, player_flags, same_slots
from shadowbox.model.world.derived import (
    NEAR,
    beside_keys,
    cell_beside,
    cell_counts,
    cell_of,
    place_keys,
)
from shadowbox.model.world.ground import _Ground
from shadowbox.model.world.layout import _Layout, _Unit
from shadowbox.model.world.mixture import NEVER, both_or_first, choose
from shadowbox.model.world.parts import sources, spread
from shadowbox.model.world.reach import _Reach
from shadowbox.model.world.vocabulary import _Vocabulary

SURE = 8.0  # logit of a flag that recordings had in one value alone: they may lack the other


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
    """Patterns of a player's flags that recordings have beside a joint choice and in a place.

    No player is on the ground where recordings have none, but on a platform perhaps.
    """

    by_class: Tensor
    by_cell: Tensor
    by_near: Tensor
    bits: Tensor
    unit: Tensor
    source: Tensor  # of each unit of the heads, the number among `unit`

    def __init__(
        self, schema: Schema, rules: _Rules, vocabulary: _Vocabulary, units: Sequence[_Unit]
    ) -> None:
        super().__init__()
        self.schema, self.rules = schema, rules
        names, together = pattern_flags(schema, rules), rules.dynamics.together
        self.ground = _Ground(schema, rules, vocabulary.ground) if vocabulary.ground else None
        self.places = place_keys(schema, rules, together[0])
        self.others = beside_keys(schema, self.places) if self.places else []
        cells = math.prod(cell_counts(schema, self.places)) if self.places else 0
        near = (2 * NEAR) ** len(self.others) if self.others else 0
        for name, many in (("class", len(vocabulary.together)), ("cell", cells), ("near", near)):
            known = vocabulary.tables.get(f"flags/{name}")
            blank = torch.ones(many, 1 << len(names), dtype=torch.bool)
            self.register_buffer(f"by_{name}", blank if known is None else torch.from_numpy(known))
        patterns = torch.arange(1 << len(names))
        bits = (patterns >> torch.arange(len(names))[:, None]) & 1
        self.register_buffer("bits", bits.bool(), persistent=False)
        # places among the units of the heads, [slots, flags]
        at = {(unit.key, unit.slot): place for place, unit in enumerate(units)}
        slots = range(schema.columns[together[0]].slots)
        found = [[at[key, slot] for key in names] for slot in slots]
        self.register_buffer("unit", torch.tensor(found), persistent=False)
        flat = [place for places in found for place in places]
        self.register_buffer("source", sources(flat, len(units)), persistent=False)

    def seen(self, chosen: Tensor, there: Tensor | None) -> Tensor:
        """Mask [..., slots, patterns] for joint choices [..., slots]; of a place where both agree."""
        may = self.by_class[chosen]
        return may if there is None else both_or_first(may, may & there)

    def there(self, step: _Step) -> Tensor | None:
        """Mask [..., slots, patterns] of those that were seen where each slot goes, if it has places."""
        if not self.places:
            return None
        rules, before = (self.schema, self.rules, self.places), step.before
        found = self.by_cell[cell_of(*rules, before)]
        if self.others:
            found = both_or_first(
                found, found & self.by_near[cell_beside(*rules, self.others, before)]
            )
        if self.ground is not None:
            found = both_or_first(found, found & self.ground.allows(step))
        return found

    def forward(self, logits: Tensor, chosen: Tensor, there: Tensor | None) -> Tensor:
        """Logits [..., U] for joint choices [..., slots], certain where one value is possible."""
        may = self.seen(chosen, there)[..., None, :]
        on, off = (may & self.bits).any(-1), (may & ~self.bits).any(-1)  # [..., slots, flags]
        some = logits[..., self.unit]
        some = torch.where(on, torch.where(off, some, SURE), -SURE)
        return spread(some.flatten(-2), self.source, logits)

    def draw(
        self,
        logits: Tensor,
        drawn: Tensor,
        numbers: Tensor | None,
        chosen: Tensor,
        there: Tensor | None,
    ) -> Tensor:
        """Flags [N, U], those of players `drawn` anew, as one of the patterns that are possible.

        `numbers` [N, U] are uniform; None: the most likely pattern.
        """
        may = self.seen(chosen, there)
        score = (logits[:, self.unit][..., None] * self.bits).sum(-2)
        score = score.masked_fill(~may, NEVER)
        pattern = choose(score, None if numbers is None else numbers[:, self.unit[:, 0]])
        return spread(self.bits.T[pattern].flatten(-2), self.source, drawn)

    def settle(self, step: _Step) -> None:
        """Put players on the ground in `step.after` at its height."""
        if self.ground is not None:
            self.ground.put(step)

    def classes(self, legal: Tensor, there: Tensor | None) -> Tensor:
        """Of legal joint choices [..., slots, classes] those with flags that are possible in a place.

        No player walks where none is on the ground.
        """
        if there is None:
            return legal
        fits = (there[..., None, :] & self.by_class).any(-1)
        return both_or_first(legal, legal & fits)


def flags_there(possible: nn.ModuleDict, step: _Step) -> Tensor | None:
    """Mask [..., slots, patterns] of the flags that were seen where each slot goes; None: unknown."""
    if "flags" not in possible:
        return None
    found: Tensor | None = possible["flags"].there(step)  # type: ignore[operator]
    return found


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
    happens: Tensor,
    bits: Tensor,
    possible: nn.ModuleDict,
    reaches: nn.ModuleDict,
    before: Mapping[str, Tensor],
) -> Tensor:
    """Mask [..., joint events] of those with bits [joint events, slots] that all slots allow.

    `happens` [..., slots, codes]: events of a slot that its state allows; `possible`: those of a
    place; `reaches`: those at a distance from the other player.
    """
    each = [happens[..., slot, :][..., bits[:, slot]] for slot in range(bits.shape[1])]
    may = torch.stack(each).all(0)
    if "events" in possible:
        may = both_or_first(may, may & possible["events"](bits, before))
    for reach in reaches.values():
        assert isinstance(reach, _Reach)
        there = reach.allows(before)[..., None, :] | (bits & reach.bit == 0)
        may = both_or_first(may, may & there.all(-1))
    return may
