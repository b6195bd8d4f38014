"""Heads of older world models: a linear layer for each kind of field, drawn independently.

Numbers are the values that the layers give: a squared error has no distribution to draw from. Flags and
categories are drawn by their probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shadowbox.core.encoding import Encoding, NumberInput
from shadowbox.core.schema import Choice, Flag, Schema
from shadowbox.model.world.layout import _Flat, _Layout
from shadowbox.model.world.mixture import choose

BINARY = "binary"  # block of the flags of an encoding


class _Places(NamedTuple):
    """Outputs of the heads of numbers, and the places of their values in a frame's tensor of a kind."""

    output: Tensor  # [V]
    place: Tensor  # [V]
    scale: Tensor  # [V], of an output beside its value
    added: Tensor  # [V], 1 where the output is a change
    low: Tensor  # [V], of choices
    high: Tensor  # [V]


class _OlderHeads(nn.ModuleDict):
    """One linear layer for each block of numbers and each category of a player."""

    def __init__(self, schema: Schema, encoding: Encoding, width: int) -> None:
        widths = {block: encoding.widths[f"predicted_{block}"] for block in encoding.order}
        # block of the float target -> its name here and its width
        blocks = {b: (name_of(b), wide) for b, wide in widths.items() if wide}
        kinds = [category for category in encoding.categories if category.target]
        sizes = dict(blocks.values())
        sizes |= {f"{c.name}_{p}": c.n for c in kinds for p in range(encoding.players)}
        super().__init__({name: nn.Linear(width, wide) for name, wide in sizes.items()})
        self.blocks, self.kinds = blocks, kinds
        self.players, self.layout = encoding.players, _Layout(schema)
        numbers = list(_outputs(encoding))
        flags = [each for each in numbers if _kind(schema, each[1]) is Flag]
        self.flags = self._places(schema, flags)
        self.choices = self._places(schema, [n for n in numbers if _kind(schema, n[1]) is Choice])
        known = (Flag, Choice, None)
        self.reals = self._places(schema, [n for n in numbers if _kind(schema, n[1]) not in known])

    def outputs(self, h: Tensor) -> dict[str, Tensor]:
        """Output of each head, [..., width]."""
        return {name: head(h) for name, head in self.items()}

    @property
    def draws(self) -> int:
        """Number of uniform numbers that a frame takes."""
        return len(self.flags.place) + self.players * len(self.kinds)

    @torch.no_grad()
    def draw(self, h: Tensor, before: _Flat, after: _Flat, uniform: Tensor | None) -> None:
        """Draw the next frame into `after` [N, ...].

        `uniform` [N, draws]; None: the most likely flags and categories.
        """
        outputs = self.outputs(h)
        numbers = torch.cat([outputs[name] for name, _ in self.blocks.values()], -1)
        many = len(self.flags.place)
        chance = numbers[:, self.flags.output].sigmoid()
        after.flags[:, self.flags.place] = chance > (0.5 if uniform is None else uniform[:, :many])
        after.reals[:, self.reals.place] = _values(self.reals, numbers, before.reals)
        values = _values(self.choices, numbers, before.choices).round()
        within = values.nan_to_num().clamp(self.choices.low, self.choices.high)
        after.choices[:, self.choices.place] = within.long()
        for at, category in enumerate(self.kinds):
            if not isinstance(category.read, str):
                continue
            place = self.layout.choices[category.read]
            for player in range(self.players):
                one = many + at * self.players + player
                chosen = choose(
                    outputs[f"{category.name}_{player}"],
                    None if uniform is None else uniform[:, one : one + 1],
                    one=True,
                )
                after.choices[:, place + player] = chosen

    def _places(self, schema: Schema, chosen: Iterable[tuple[int, NumberInput, int]]) -> _Places:
        rows = []
        for output, number, player in chosen:
            assert isinstance(number.read, str)
            limits = schema.columns[number.read].field.limits
            place = self.layout.places(number.read)[number.read] + player
            rows.append((output, place, number.scale, number.target == "delta", *limits))
        columns = list(zip(*rows, strict=True)) or [()] * len(_Places._fields)
        kinds = (torch.int64, torch.int64, *[torch.float32] * 4)
        return _Places(
            *(torch.tensor(v, dtype=kind) for v, kind in zip(columns, kinds, strict=True))
        )


def name_of(block: str) -> str:
    """Name of the loss of a block of numbers, as older systems have it."""
    return "continuous" if block == "core" else block


def predicted(encoding: Encoding) -> set[str]:
    """Columns whose next values the heads give."""
    found = {number.read for _, number, _ in _outputs(encoding)}
    found |= {category.read for category in encoding.categories if category.target}
    return {key for key in found if isinstance(key, str)}


def _outputs(encoding: Encoding) -> Iterable[tuple[int, NumberInput, int]]:
    """Place in the float target, number and player of each number that is a column."""
    at = 0
    for block in encoding.order:
        numbers = [n for n in encoding.numbers if n.block == block and n.target != "no"]
        for player in range(encoding.players):
            for number in numbers:
                if isinstance(number.read, str):
                    yield at, number, player
                at += 1


def _kind(schema: Schema, number: NumberInput) -> type | None:
    return type(schema.columns[number.read].field) if isinstance(number.read, str) else None


def _values(places: _Places, outputs: Tensor, before: Tensor) -> Tensor:
    """Next values of numbers, [N, V]."""
    given = outputs[:, places.output] / places.scale
    return given + before[:, places.place] * places.added
