"""Ground of recordings: its heights, the ends between which it is, and how players come to it.

A player on the ground is at one of a few heights, between the ends of a run of places, or beside a
thing that carries players. Who was in the air comes to it from above. Networks know an end to a
tenth of a unit; a match to a thousandth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules, _Step
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.model.world.beside import pattern_flags
from shadowbox.model.world.derived import real_base
from shadowbox.model.world.vocabulary import ends_of_runs, tolerance

MOST_RUNS = 16
ENOUGH = 1000  # rows at a height, from which the ends along it are known
EXACT = 0.999  # share of the rows on the ground that are at one of its heights
SLACK = 2.0  # mean gaps between values that a range is larger than they are
FAR = 1e6


class _Names(NamedTuple):
    """Columns of the ground: of players, and of the thing that carries them."""

    flag: str
    height: str
    along: str
    carried: str  # flag; empty: nothing carries players
    carrier_height: str
    carrier_along: str


def ground_names(schema: Schema, rules: _Rules) -> _Names | None:
    """Columns of the ground that a game declares."""
    if not rules.dynamics.ground:
        return None
    flag, height, along = rules.dynamics.ground
    for rate, carried in rules.rates.get(along, ()):
        if carried:
            carrier = schema.columns[rate].group.name
            names = [f"{carrier}/{schema.columns[key].field.name}" for key in (height, along)]
            return _Names(flag, height, along, carried, *names)
    return _Names(flag, height, along, "", "", "")


def quiet_rows(rules: _Rules, events: Mapping[str, Array]) -> Any:
    """Mask [..., slots] of rows without an event that moves a player at will, such as a respawn."""
    loud = [
        events[name] for name, (key, _) in rules.triggers.items() if key in rules.dynamics.together
    ]
    some: Any = False
    for each in loud:
        some = some | each
    return ~some if loud else True


def measure_ground(
    schema: Schema, rules: _Rules, before: Columns, after: Columns, events: Mapping[str, Array]
) -> dict[str, Any]:
    """Runs of the ground, and ranges of the ways to it, as plain data; empty: heights are not exact.

    `runs` [K, 3]: height, and both ends along it; the last one beside the carrier. `comes`
    [2, 3, 2]: of the ground and of the carrier, ranges of the height over it in the row before,
    of the same moved on by the velocity then, and of the way beyond its ends. `stays` [2]: the
    longest way beyond its ends, moved on, of a player who stays on it.
    """
    names = ground_names(schema, rules)
    if names is None:
        return {}
    runs = _measure_runs(schema, names, after)
    if not 1 < len(runs) <= MOST_RUNS:
        return {}
    on, was = _kinds(names, after), _kinds(names, before)
    quiet = np.broadcast_to(quiet_rows(rules, events), on[0].shape)
    ways = _ways(schema, rules, names, torch.tensor(runs), before, after)
    comes, stays = [], []
    for kind, (over, moved, beyond) in enumerate(ways):
        known = quiet & (kind == 0 or runs[-1][1] > -FAR)
        arrives, remains = on[kind] & ~was[kind] & known, on[kind] & was[kind] & known
        comes.append([range_of(each[arrives]) for each in (over, moved, beyond)])
        stays.append(range_of(beyond[remains])[1])
    return {"runs": runs, "comes": comes, "stays": stays}


def _measure_runs(schema: Schema, names: _Names, after: Columns) -> list[list[float]]:
    """Runs of the ground, the carrier's last; empty: heights are not exact, or rows are too few."""
    on, along, height = _kinds(names, after), after[names.along], after[names.height]
    near, width = tolerance(names.height, schema), 250 * tolerance(names.along, schema)
    bins = np.round(height[on[0]].astype(float) / (2 * near)).astype(np.int64)
    numbers, counts = np.unique(bins, return_counts=True)
    kept = counts >= ENOUGH
    if counts[kept].sum() < EXACT * max(counts.sum(), 1):
        return []
    runs = []
    for number in numbers[kept]:
        here = on[0] & (np.abs(height - number * 2 * near) <= 2 * near)
        ends = ends_of_runs(along[here].astype(float), width)
        value = float(np.median(height[here]))
        runs += [[value, *ends[at : at + 2]] for at in range(0, len(ends), 2)]
    beside = [0.0, -FAR, FAR]
    if on[1].sum() >= ENOUGH:
        ends = ends_of_runs((along - after[names.carrier_along])[on[1]].astype(float), width)
        way = (height - after[names.carrier_height])[on[1]]
        beside = [float(np.median(way)), min(ends), max(ends)] if ends else beside
    return [*runs, beside] if runs else []


def range_of(values: Array) -> list[float]:
    """Smallest and largest value, a little wider; without values everything."""
    if not len(values):
        return [-FAR, FAR]
    low, high = float(values.min()), float(values.max())
    slack = SLACK * (high - low) / len(values) + 1e-4
    return [low - slack, high + slack]


def _kinds(names: _Names, rows: Mapping[str, Any]) -> tuple[Any, Any]:
    """Players on the ground, and on the carrier, masks [..., slots]."""
    on = rows[names.flag] != 0
    carried = rows[names.carried] != 0 if names.carried else on & ~on
    return on & ~carried, on & carried


def _ways(
    schema: Schema,
    rules: _Rules,
    names: _Names,
    runs: Tensor,
    before: Columns,
    after: Columns,
) -> list[tuple[Any, Any, Any]]:
    """Height over the ground before and moved on, and way beyond its ends, for both kinds.

    Of the run to which a player came: the nearest to the place in the row after.
    """
    moved = {
        key: real_base(schema, rules, key, before, before) for key in (names.height, names.along)
    }
    low, high = runs[:-1, 1].numpy(), runs[:-1, 2].numpy()
    y, x = after[names.height][..., None], after[names.along][..., None]
    at = (np.abs(y - runs[:-1, 0].numpy()) + np.maximum(0, np.maximum(low - x, x - high))).argmin(
        -1
    )
    value, low, high = runs[:-1, 0].numpy()[at], low[at], high[at]
    x = moved[names.along]
    found = [
        (
            before[names.height] - value,
            moved[names.height] - value,
            np.maximum(0, np.maximum(low - x, x - high)),
        )
    ]
    if names.carried:
        value, low, high = runs[-1].tolist()
        x = x - after[names.carrier_along]
        found.append(
            (
                before[names.height] - before[names.carrier_height] - value,
                moved[names.height] - after[names.carrier_height] - value,
                np.maximum(0, np.maximum(low - x, x - high)),
            )
        )
    return found


class _Ground(nn.Module):
    """Where players may be on the ground, and at which place they then are."""

    runs: Tensor
    comes: Tensor
    stays: Tensor
    kind: Tensor

    def __init__(self, schema: Schema, rules: _Rules, known: Mapping[str, Any]) -> None:
        """`known`: data of `measure_ground`."""
        super().__init__()
        names = ground_names(schema, rules)
        if names is None or set(known) != {"runs", "comes", "stays"}:
            raise ValueError("ground: the rules and the vocabulary do not agree")
        kinds = 1 + bool(names.carried)
        tables = {name: torch.tensor(values).float() for name, values in known.items()}
        if (
            tables["runs"].ndim != 2
            or tables["runs"].shape[1] != 3
            or tables["comes"].shape != (kinds, 3, 2)
            or tables["stays"].shape != (kinds,)
        ):
            raise ValueError("ground: its numbers do not have the shapes that they must have")
        self.schema, self.rules, self.names = schema, rules, names
        flags = pattern_flags(schema, rules)
        patterns = torch.arange(1 << len(flags))
        on = (patterns >> flags.index(names.flag)) & 1
        carried = (
            (patterns >> flags.index(names.carried)) & 1 if names.carried else torch.zeros_like(on)
        )
        for name, values in (
            *tables.items(),
            ("kind", on * (1 + carried)),  # of a pattern: 0 in the air, 1 on the ground, 2 carried
        ):
            self.register_buffer(name, values, persistent=False)

    def allows(self, step: _Step) -> Tensor:
        """Mask [..., slots, patterns] of flags: on the ground only one who stays or comes there."""
        names, before, after = self.names, step.before, step.after
        was = _kinds(names, before)
        y, x = (
            real_base(self.schema, self.rules, key, before, before)
            for key in (names.height, names.along)
        )
        over, moved = before[names.height][..., None], y[..., None]
        value, low, high = self.runs[:-1].unbind(-1)
        beyond = torch.maximum(low - x[..., None], x[..., None] - high).clamp(min=0)
        comes = self._within(0, over - value, moved - value, beyond).any(-1)
        nearest = beyond + (over - value).abs()
        stays = (beyond <= self.stays[0]) & (nearest == nearest.amin(-1, keepdim=True))
        masks = [torch.ones_like(comes), torch.where(was[0], stays.any(-1), comes)]
        if names.carried:
            value, low, high = self.runs[-1].unbind(-1)
            way = x - after[names.carrier_along]
            beyond = torch.maximum(low - way, way - high).clamp(min=0)
            over = before[names.height] - before[names.carrier_height] - value
            comes = self._within(1, over, y - after[names.carrier_height] - value, beyond)
            masks.append(torch.where(was[1], beyond <= self.stays[1], comes))
        return torch.stack(masks, -1)[..., self.kind.clamp(max=len(masks) - 1)]

    def put(self, step: _Step) -> None:
        """Put players on the ground in `step.after` at its height, and between its ends."""
        names, after = self.names, step.after
        grounded, carried = _kinds(names, after)
        y, x = after[names.height], after[names.along]
        value, low, high = self.runs[:-1].unbind(-1)
        beyond = torch.maximum(low - x[..., None], x[..., None] - high).clamp(min=0)
        at = (beyond + (y[..., None] - value).abs()).argmin(-1)
        x = torch.where(grounded, torch.minimum(torch.maximum(x, low[at]), high[at]), x)
        if names.carried:
            _, low, high = self.runs[-1].unbind(-1)
            place = after[names.carrier_along]
            inside = torch.minimum(torch.maximum(x, place + low), place + high)
            x = torch.where(carried, inside, x)
        y = torch.where(grounded, value[at], y)
        after[names.height].copy_(y)
        after[names.along].copy_(x)

    def _within(self, kind: int, *ways: Tensor) -> Tensor:
        """Mask of ways that are in the ranges of those who came to the ground."""
        found = torch.ones_like(ways[0], dtype=torch.bool)
        for way, (low, high) in zip(ways, self.comes[kind].unbind(0), strict=True):
            found = found & (way >= low) & (way <= high)
        return found
