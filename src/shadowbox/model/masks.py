"""Masks of actions: key combinations that can do nothing now, by a game's rules, as look-up tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.schema import Choice, Flag, Schema
from shadowbox.errors import UsageError
from shadowbox.model.codebook import CodebookDistribution
from shadowbox.model.codec import View
from shadowbox.model.distributions import ControlDistribution

MASKED = -1e8  # logit of a masked action: probability 0 at any temperature, and no NaN in a sum
MOST_MASKED = 12  # controls with rules; the table of masks has 2 to this power rows
LARGEST_TABLE = 1 << 20  # combinations of values of the columns of a condition


def masked(output: Tensor, allowed: Tensor | None) -> Tensor:
    """Output [..., W] of a categorical head, in which actions that are not allowed have no chance."""
    return output if allowed is None else output.masked_fill(~allowed, MASKED)


def action_mask(
    schema: Schema,
    parts: Sequence[ControlDistribution],
    columns: Sequence[str],
    rules: Mapping[str, Mapping[str, Any]] | None,
) -> _ActionMask | None:
    """Mask of the parts of a head, for a policy with these inputs; None without rules."""
    return _ActionMask(schema, parts, columns, rules) if rules else None


class _ActionMask(nn.Module):
    """Mask of the key combinations that do the same now as a combination of fewer keys.

    `rules` of a control: `when`, conditions on the own slot of the state ({column: ranges of
    values}) under any of which the control does nothing, and `without`, controls that give it an
    effect all the same. A combination is masked if the rules take controls from it and what is
    left is a point, too; so the neutral action is always allowed.
    """

    allowed: Tensor  # [2 ** C, W], by the set of controls that do nothing

    def __init__(
        self,
        schema: Schema,
        parts: Sequence[ControlDistribution],
        columns: Sequence[str],
        rules: Mapping[str, Mapping[str, Any]],
    ) -> None:
        super().__init__()
        controls = [key for part in parts for key in part.keys if key in rules]
        if len(set(controls)) < len(controls) or len(controls) > MOST_MASKED:
            raise UsageError(
                f"masks are for at most {MOST_MASKED} controls, each of one value "
                f"(got {len(controls)})"
            )
        known = [(bit, each) for bit, key in enumerate(controls) for each in rules[key]["when"]]
        if missing := {key for _, each in known for key in each} - set(columns):
            raise UsageError(f"mask needs the input '{min(missing)}', which this policy lacks")
        self.columns = _column_sets([frozenset(each) for _, each in known])
        if not self.columns:
            raise UsageError("masks: no rule has a condition on the state")
        # on the CPU even if the model is built on the meta device
        for at, keys in enumerate(self.columns):
            sizes = [_size(schema, key) for key in keys]
            if np.prod(sizes) > LARGEST_TABLE:
                raise UsageError(f"masks: {', '.join(keys)} have too many values together")
            table = np.zeros(sizes, np.int64)
            for bit, condition in known:
                if _first_superset(self.columns, condition) == at:
                    chosen = [
                        _within(condition.get(k), n) for k, n in zip(keys, sizes, strict=True)
                    ]
                    table[np.ix_(*chosen)] |= 1 << bit
            self.register_buffer(
                f"table_{at}", torch.tensor(table.ravel(), device="cpu"), persistent=False
            )
        self.sizes = {key: _size(schema, key) for keys in self.columns for key in keys}
        without = {key: set(rules[key].get("without", ())) for key in controls}
        sets = [
            {key for bit, key in enumerate(controls) if dead >> bit & 1}
            for dead in range(1 << len(controls))
        ]
        allowed = torch.tensor([_allowed(parts, dead, without) for dead in sets], device="cpu")
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, view: View) -> Tensor:
        """Allowed places of the output, bool [..., W], in states [..., slots]."""
        own = {key: view[key][..., 0].long() for key in self.sizes}
        dead = torch.zeros_like(own[self.columns[0][0]])
        for number, keys in enumerate(self.columns):
            at = own[keys[0]]
            for key in keys[1:]:
                at = at * self.sizes[key] + own[key]
            dead = dead | getattr(self, f"table_{number}")[at]
        chosen: Tensor = self.allowed[dead]
        return chosen


def _column_sets(wanted: Sequence[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    """Sets of columns, one of which contains those of each condition; none is part of another."""
    largest = [one for one in wanted if not any(one < other for other in wanted)]
    return tuple(dict.fromkeys(tuple(sorted(one)) for one in largest if one))


def _first_superset(sets: Sequence[Sequence[str]], keys: Iterable[str]) -> int:
    return next(at for at, one in enumerate(sets) if set(keys) <= set(one))


def _size(schema: Schema, key: str) -> int:
    """Number of values of a choice or a flag."""
    column = schema.columns.get(key)
    if column is None or not isinstance(column.field, Choice | Flag):
        raise UsageError(f"masks: '{key}' is not a choice or a flag of {schema.name}")
    return column.field.n if isinstance(column.field, Choice) else 2


def _within(ranges: Sequence[Sequence[int]] | None, size: int) -> list[int]:
    """Values in any of the ranges; all without ranges."""
    values = range(size)
    if ranges is None:
        return list(values)
    return [value for value in values if any(low <= value <= high for low, high in ranges)]


def _allowed(
    parts: Sequence[ControlDistribution], dead: set[str], without: Mapping[str, set[str]]
) -> list[bool]:
    """Allowed places of the output while the controls `dead` do nothing: [W]."""
    found: list[bool] = []
    for part in parts:
        if not isinstance(part, CodebookDistribution) or part.width != part.size:
            found += [True] * part.width
            continue
        points = [frozenset(np.flatnonzero(row > 0.5).tolist()) for row in part.points.numpy()]
        for point in points:
            held = {part.keys[at] for at in point} - dead
            # a control beside one that acts, such as an aim beside an attack
            held |= {key for key in dead if without.get(key, set()) & held}
            left = frozenset(at for at in point if part.keys[at] in held)
            found.append(left == point or left not in points)
    return found
