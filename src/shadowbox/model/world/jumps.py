"""Values that choices of players jump to beside what a player has left, as recordings have it.

The timer of a jump in the air, for example, begins only beside a count of jumps above zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Array, Choice, Columns, Schema
from shadowbox.model.world.beside import ENOUGH, same_slots
from shadowbox.model.world.derived import joint_code
from shadowbox.model.world.layout import _Unit
from shadowbox.model.world.parts import class_tables

FEW, MOST = 4, 256  # values of a choice that is looked at, and of one that jumps


def jump_keys(schema: Schema, rules: _Rules) -> tuple[list[str], list[str]]:
    """Choices of players that are drawn after the joint one: those that jump, and the few-valued."""
    together = rules.dynamics.together
    found = {
        key: column.field.n
        for key, column in schema.columns.items()
        if together
        and isinstance(column.field, Choice)
        and same_slots(schema, key, together[0])
        and key in rules.drawn
        and key not in together
    }
    return (
        [key for key, many in found.items() if many <= MOST],
        [key for key, many in found.items() if many <= FEW],
    )


def measure_jumps(
    schema: Schema, rules: _Rules, classes: Sequence[int], before: Columns, after: Columns
) -> dict[str, Array]:
    """Whether a value is jumped to, [joint choices, values left, values], by `jumps/COLUMN/COLUMN`.

    Steps of one, and values that stay, are left out. True where rows are too few.
    """
    together = rules.dynamics.together
    code = joint_code(schema, together, {k: before[k].astype(np.int64) for k in together})
    known = np.array(classes)
    at = np.searchsorted(known, code).clip(max=len(known) - 1)
    there = known[at] == code
    found = {}
    jumps, few = jump_keys(schema, rules)
    for key in jumps:
        b, a = before[key].astype(np.int64), after[key].astype(np.int64)
        jumped = there & (np.abs(a - b) > 1)
        for left in few:
            many = (len(known), _size(schema, left), _size(schema, key))
            rows = np.zeros(many[:2], np.int64)
            counts = np.zeros(many, np.int64)
            beside = before[left].astype(np.int64)
            np.add.at(rows, (at[there], beside[there]), 1)
            np.add.at(counts, (at[jumped], beside[jumped], a[jumped]), 1)
            found[f"jumps/{key}/{left}"] = (counts > 0) | (rows < ENOUGH)[..., None]
    return found


class _Jumps(nn.Module):
    """Options of choices that recordings have beside the joint choice and what a player has left."""

    number: Tensor
    whole: Tensor
    slot: Tensor

    def __init__(
        self, schema: Schema, rules: _Rules, vocabulary_tables: Mapping[str, Array],
        classes: Sequence[int], units: Sequence[_Unit],
    ) -> None:  # fmt: skip
        """`units`: all choices of the heads; the tables are weights, since recordings decide them."""
        super().__init__()
        self.together, self.schema = rules.dynamics.together, schema
        self.jumps, self.few = jump_keys(schema, rules)
        self.keys = tuple(dict.fromkeys(unit.key for unit in units))
        numbers = class_tables(schema, self.together, classes)["number"]
        self.register_buffer("number", numbers, persistent=False)
        most = max((_size(schema, key) for key in self.keys), default=1)
        lefts = max((_size(schema, key) for key in self.few), default=1)
        # [units, few, classes, left, values]
        whole = torch.ones(len(units), len(self.few), len(classes), lefts, most, dtype=torch.bool)
        self.register_buffer("whole", whole, persistent=False)
        slots = [unit.slot if unit.key in self.jumps else 0 for unit in units]
        self.register_buffer("slot", torch.tensor(slots), persistent=False)
        for at, key in enumerate(self.jumps):
            for beside, left in enumerate(self.few):
                shape = (len(classes), _size(schema, left), _size(schema, key))
                known = vocabulary_tables.get(f"jumps/{key}/{left}")
                blank = torch.ones(shape, dtype=torch.bool)
                table = blank if known is None else torch.from_numpy(known)
                self.register_buffer(f"table_{at}_{beside}", table)
        # units of each column that jumps
        self.places = [[at for at, u in enumerate(units) if u.key == key] for key in self.jumps]
        self._pack()
        self.register_load_state_dict_post_hook(_pack_again)  # type: ignore[no-untyped-call]

    def _pack(self) -> None:
        """Put all tables into one, by unit."""
        for at, places in enumerate(self.places):
            for beside in range(len(self.few)):
                table: Tensor = getattr(self, f"table_{at}_{beside}")
                for place in places:
                    self.whole[place, beside, :, : table.shape[1], : table.shape[2]] = table

    def allows(self, following: Tensor, before: Mapping[str, Tensor]) -> Tensor:
        """Mask [..., U, options] of next values `following`."""
        code = joint_code(self.schema, self.together, {k: before[k] for k in self.together})
        own = self.number[code][..., self.slot, None]  # [..., U, 1]
        unit = torch.arange(len(self.slot), device=following.device)[:, None]
        values, known = following.clamp(min=0), own.clamp(min=0)
        found = own < 0
        jumps = torch.ones_like(following, dtype=torch.bool)
        for beside, left in enumerate(self.few):
            rest = before[left].long()[..., self.slot, None]
            jumps = jumps & self.whole[unit, beside, known, rest, values]
        now = torch.cat([before[key] for key in self.keys], -1)[..., None]
        return found | jumps | ((following - now).abs() <= 1)


def _pack_again(module: nn.Module, keys: Any) -> None:
    """Once weights are loaded, their tables are put together."""
    assert isinstance(module, _Jumps)
    module._pack()


def _size(schema: Schema, key: str) -> int:
    field = schema.columns[key].field
    assert isinstance(field, Choice)
    return field.n
