"""Spans of recorded motion: how far an option of a position moves a player, and what is in reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules, _Step
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.model.world.beside import Pair, same_slots
from shadowbox.model.world.derived import drawn_mask, real_base
from shadowbox.model.world.ground import FAR, measure_ground, quiet_rows, range_of
from shadowbox.model.world.jumps import _Jumps, measure_jumps
from shadowbox.model.world.layout import _Unit
from shadowbox.model.world.mixture import both_or_first
from shadowbox.model.world.vocabulary import _Vocabulary, option_of, tolerance


def measure_motion(
    schema: Schema, rules: _Rules, pairs: Iterable[Pair], vocabulary: _Vocabulary
) -> None:
    """Measure the ground, spans and things in reach on recordings, into the vocabulary of these."""
    if not rules.dynamics.together:
        return
    kept = list(pairs)
    before, after = (
        {key: np.concatenate([pair[at][key] for pair in kept]) for key in schema.state_keys}
        for at in (0, 1)
    )
    events = rules.events_of(before, after)
    rows = schema, rules, before, after, events
    vocabulary.ground.update(measure_ground(*rows))
    vocabulary.takes.update(measure_takes(*rows))
    jumps = measure_jumps(schema, rules, vocabulary.together, before, after)
    vocabulary.tables.update(jumps)
    step, quiet = _Step(before, after, {}, events, {}), quiet_rows(rules, events)
    for key in rules.rates:
        if key not in rules.drawn or not same_slots(schema, key, rules.dynamics.together[0]):
            continue
        used = drawn_mask(rules, key, step) & quiet
        base = real_base(schema, rules, key, before, after)[used]
        moved = real_base(schema, rules, key, before, before)[used]
        value, options = after[key][used], vocabulary.reals[key]
        which = option_of(base, value, options, tolerance(key, schema))
        ways = [value - before[key][used], value - moved, value - base]
        vocabulary.spans[key] = measure_spans(ways, which, len(options) + 1)


def measure_spans(ways: Sequence[Array], which: Array, options: int) -> list[list[list[float]]]:
    """Ranges [options, ways, 2] of each of the ways [T] to values whose option is `which` [T].

    Of an option that no row has taken the ranges are empty.
    """
    empty = [[FAR, -FAR]] * len(ways)
    return [
        [range_of(way[which == at]) for way in ways] if (which == at).any() else empty
        for at in range(options)
    ]


FEW_TAKES = 30  # rows in which a value is taken, below which nothing is known


def _open_if_empty(ways: Sequence[Sequence[float]]) -> list[list[float]]:
    """Ranges of values beside exact ones; everything, where recordings have exact values alone."""
    empty = any(low > high for low, high in ways)
    return [[-FAR, FAR] if empty else [low, high] for low, high in ways]


class _Spans(nn.Module):
    """Options of positions that recordings have as far from the row before, and bounds of others.

    A fall ends at the ground that it passes, and at none that is far below it.
    """

    span: Tensor  # [U, options, ways, 2]

    def __init__(
        self,
        schema: Schema,
        rules: _Rules,
        known: Mapping[str, Any],
        units: Sequence[_Unit],
        options: int,
    ) -> None:
        """`known`: spans by column; the last of its options is any other value."""
        super().__init__()
        self.schema, self.rules, self.units = schema, rules, units
        self.keys = tuple(dict.fromkeys(unit.key for unit in units))
        span = torch.tensor([-FAR, FAR]).repeat(len(units), options, 3, 1)
        for row, unit in zip(span, units, strict=True):
            if unit.key in known:
                given = [*known[unit.key][:-1], _open_if_empty(known[unit.key][-1])]
                values = torch.tensor(given).float()
                if values.shape[1:] != (3, 2) or not 1 <= len(values) <= options:
                    raise ValueError(f"spans: those of {unit.key} do not fit its options")
                row[: len(values) - 1], row[-1] = values[:-1], values[-1]
        self.register_buffer("span", span, persistent=False)

    def near(self, possible: Tensor | None, exact: Tensor, base: Tensor, step: _Step) -> Tensor:
        """Of possible options [..., U, options] those with exact values [..., U, options - 1] near."""
        low, high = self.span[:, :-1].unbind(-1)
        found = torch.ones_like(exact, dtype=torch.bool)
        for at, place in enumerate(self._places(base, step)):
            way = exact - place[..., None]
            found = found & (way >= low[..., at]) & (way <= high[..., at])
        found = torch.cat([found | ~self._quiet(step)[..., None], found[..., :1] | True], -1)
        return found if possible is None else found & possible

    def bounds(self, base: Tensor, step: _Step) -> tuple[Tensor, Tensor]:
        """Least and largest value [..., U] of the continuous mixture."""
        low, high = self.span[:, -1].unbind(-1)
        places, loud = self._places(base, step), ~self._quiet(step)
        least = torch.stack([p + low[:, at] for at, p in enumerate(places)]).amax(0)
        most = torch.stack([p + high[:, at] for at, p in enumerate(places)]).amin(0)
        return torch.where(loud, -FAR, least), torch.where(loud, FAR, most)

    def _places(self, base: Tensor, step: _Step) -> tuple[Tensor, Tensor, Tensor]:
        """Values before, moved on by the velocities before, and by those after, [..., U]."""
        moved = [real_base(self.schema, self.rules, k, step.before, step.before) for k in self.keys]
        return torch.cat([step.before[key] for key in self.keys], -1), torch.cat(moved, -1), base

    def _quiet(self, step: _Step) -> Tensor:
        """Mask [..., U] of the units of players whom no event moves at will."""
        quiet = quiet_rows(self.rules, step.events)
        if quiet is True:
            return torch.ones_like(step.before[self.keys[0]][..., :1], dtype=torch.bool)
        slots = quiet.shape[-1]
        columns = [self.schema.columns[key] for key in self.keys]
        group = self.schema.columns[self.rules.dynamics.together[0]].group
        parts = [
            quiet if each.group is group and each.slots == slots
            else torch.ones_like(step.before[each.key], dtype=torch.bool)
            for each in columns
        ]  # fmt: skip
        return torch.cat(parts, -1)


def measure_takes(
    schema: Schema, rules: _Rules, before: Columns, after: Columns, events: Mapping[str, Array]
) -> dict[str, Any]:
    """By column that takes its value from a thing: how far away it is at most along each axis.

    And whether the thing is gone afterwards, in all rows but a few.
    """
    found = {}
    for key, source in rules.dynamics.takes.items():
        names = _Thing(schema, rules, key, source)
        now = (after[key] != before[key]) & (after[key] != 0)
        now &= np.broadcast_to(quiet_rows(rules, events), now.shape)
        here = (before[source][..., None, :] == after[key][..., None]) & now[..., None]
        if names.mask:
            here &= before[names.mask][..., None, :] != 0
        ways = np.stack(names.ways(before), -1)  # [..., slots, things, axes]
        farthest = np.where(here, np.abs(ways).max(-1), np.inf)
        nearest = farthest.argmin(-1)
        known = np.isfinite(farthest.min(-1))
        chosen = np.take_along_axis(ways, nearest[..., None, None], -2)[..., 0, :][known]
        if len(chosen) < FEW_TAKES:
            continue
        found[key] = [range_of(chosen[:, axis]) for axis in range(chosen.shape[1])]
    return found


class _Thing:
    """Columns of the things from which a choice of a player takes its value."""

    def __init__(self, schema: Schema, rules: _Rules, key: str, source: str) -> None:
        group, own = schema.columns[source].group, schema.columns[key].group
        self.schema, self.rules = schema, rules
        self.mask = f"{group.name}/{group.mask}" if group.mask else ""
        self.axes = [
            (each, f"{group.name}/{schema.columns[each].field.name}")
            for each in rules.rates
            if schema.columns[each].group is own
        ]

    def ways(self, before: Mapping[str, Any]) -> list[Any]:
        """Distances [..., slots, things] along each axis, from where a player moves."""
        return [
            before[other][..., None, :]
            - real_base(self.schema, self.rules, key, before, before)[..., None]
            for key, other in self.axes
        ]


class _Takes(nn.Module):
    """Values that choices of players may take on: those of things in reach, none, and their own."""

    def __init__(
        self, schema: Schema, rules: _Rules, known: Mapping[str, Any], units: Sequence[_Unit]
    ) -> None:
        """`known`: data of `measure_takes`; `units`: all choices of the heads."""
        super().__init__()
        self.known = dict(known)
        self.things = {
            key: _Thing(schema, rules, key, rules.dynamics.takes[key]) for key in self.known
        }
        self.sources = rules.dynamics.takes
        self.first = {key: [unit.key for unit in units].index(key) for key in self.known}

    def allows(self, following: Tensor, before: Mapping[str, Tensor]) -> Tensor:
        """Mask [..., U, options] of next values `following`."""
        found = torch.ones_like(following, dtype=torch.bool)
        for key, box in self.known.items():
            thing, source = self.things[key], before[self.sources[key]]
            near = torch.ones_like(thing.ways(before)[0], dtype=torch.bool)
            for way, (low, high) in zip(thing.ways(before), box, strict=True):
                near = near & (way >= low) & (way <= high)
            if thing.mask:
                near = near & (before[thing.mask][..., None, :] != 0)
            first, slots = self.first[key], before[key].shape[-1]
            values = following[..., first : first + slots, :]
            same = source[..., None, None, :] == values[..., None]  # [..., slots, options, things]
            there = (same & near[..., None, :]).any(-1)
            there = there | (values == before[key][..., None]) | (values == 0)
            blank = torch.ones_like(following, dtype=torch.bool)
            parts = [blank[..., :first, :], there, blank[..., first + slots :, :]]
            found = found & torch.cat(parts, -2)
        return found


def choice_limits(
    schema: Schema, rules: _Rules, vocabulary: _Vocabulary, units: Sequence[_Unit]
) -> nn.ModuleList:
    """Masks of the next values of choices: things in reach, and what a player has left."""
    found = nn.ModuleList()
    if vocabulary.takes:
        found.append(_Takes(schema, rules, vocabulary.takes, units))
    if vocabulary.spans:
        found.append(_Jumps(schema, rules, vocabulary, units))
    return found


def limited(limits: nn.ModuleList, following: Tensor, before: Mapping[str, Tensor]) -> Tensor:
    """Next values [..., U, options] that all limits allow, -1 in place of others.

    A limit that leaves no option to a choice does not hold for it.
    """
    legal = following >= 0
    for limit in limits:
        near = limit.allows(following, before)  # type: ignore[operator]
        legal = both_or_first(legal, legal & near)
    return torch.where(legal, following, -1)
