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
from shadowbox.model.world.derived import joint_code, joint_size
from shadowbox.model.world.layout import _Unit
from shadowbox.model.world.parts import class_tables
from shadowbox.model.world.vocabulary import ABSOLUTE, _Vocabulary

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
    slot: Tensor
    masks: Tensor  # [joint choices and one for others, values left, U], each option as a bit

    def __init__(
        self, schema: Schema, rules: _Rules, vocabulary: _Vocabulary, units: Sequence[_Unit]
    ) -> None:
        """`units`: all choices of the heads; the tables are weights, since recordings decide them."""
        super().__init__()
        self.together, self.schema, self.units = rules.dynamics.together, schema, units
        self.jumps, self.few = jump_keys(schema, rules)
        self.keys = tuple(dict.fromkeys(unit.key for unit in units))
        self.options = vocabulary.choices
        classes = vocabulary.together
        numbers = class_tables(schema, self.together, classes)["number"]
        numbers = torch.where(numbers < 0, len(classes), numbers)
        self.register_buffer("number", numbers, persistent=False)
        shape = len(classes) + 1, joint_size(schema, tuple(self.few)), len(units)
        self.register_buffer("masks", torch.zeros(shape, dtype=torch.int32), persistent=False)
        slots = [unit.slot if unit.key in self.jumps else 0 for unit in units]
        self.register_buffer("slot", torch.tensor(slots), persistent=False)
        for at, key in enumerate(self.jumps):
            for beside, left in enumerate(self.few):
                size = (len(classes), _size(schema, left), _size(schema, key))
                known = vocabulary.tables.get(f"jumps/{key}/{left}")
                blank = torch.ones(size, dtype=torch.bool)
                table = blank if known is None else torch.from_numpy(known)
                self.register_buffer(f"table_{at}_{beside}", table)
        self._pack()
        self.register_load_state_dict_post_hook(_pack_again)  # type: ignore[no-untyped-call]

    def _pack(self) -> None:
        """Put the tables of the values that are options into one of bits."""
        sizes = [_size(self.schema, key) for key in self.few]
        lefts = np.unravel_index(np.arange(self.masks.shape[1]), sizes) if sizes else ()
        self.masks.fill_(-1)
        for place, unit in enumerate(self.units):
            if unit.key not in self.jumps:
                continue
            for option, (kind, value) in enumerate(self.options[unit.key]):
                if kind != ABSOLUTE:
                    continue  # counts and stays
                for beside, left in enumerate(lefts):
                    table: Tensor = getattr(self, f"table_{self.jumps.index(unit.key)}_{beside}")
                    without = ~table[:, torch.from_numpy(left).to(table.device), int(value)]
                    self.masks[:-1, :, place] &= ~(without.int() << option).to(self.masks.device)

    def allows(self, following: Tensor, before: Mapping[str, Tensor]) -> Tensor:
        """Mask [..., U, options] of next values `following`."""
        chosen, left = (
            joint_code(self.schema, keys, {key: before[key].long() for key in keys})
            for keys in (self.together, tuple(self.few))
        )
        unit = torch.arange(len(self.slot), device=following.device)
        left = left if self.few else torch.zeros_like(chosen)
        bits = self.masks[self.number[chosen][..., self.slot], left[..., self.slot], unit]
        option = torch.arange(following.shape[-1], dtype=torch.int32, device=following.device)
        now = torch.cat([before[key] for key in self.keys], -1)[..., None]
        return ((bits[..., None] >> option) & 1).bool() | ((following - now).abs() <= 1)


def _pack_again(module: nn.Module, keys: Any) -> None:
    """Once weights are loaded, their tables are put together."""
    assert isinstance(module, _Jumps)
    module._pack()


def _size(schema: Schema, key: str) -> int:
    field = schema.columns[key].field
    assert isinstance(field, Choice)
    return field.n
