"""Parts of the chain of state heads, and the tables that they draw by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.schema import Array, Choice, Schema
from shadowbox.model.world.derived import joint_size
from shadowbox.model.world.layout import _Unit
from shadowbox.model.world.vocabulary import RELATIVE, _Vocabulary, legal_tables

LEAST = 1e-4  # share of an option from which a head begins


class _Cost(NamedTuple):
    """Nats of each unit of a part, [..., U], and the mask of those that count."""

    nats: Tensor
    counts: Tensor


class _Tables(nn.Module):
    """Tables by which the heads look up what may follow."""

    event_number: Tensor
    event_bits: Tensor
    class_number: Tensor
    class_values: Tensor
    class_first: Tensor
    allowed: Tensor
    usual: Tensor
    happens: Tensor
    flag_place: Tensor
    flag_source: Tensor
    choice_place: Tensor
    choice_source: Tensor
    next_value: Tensor
    next_first: Tensor
    reals_place: Tensor


class _Part(nn.Module):
    """Hidden layer and output of a part of the chain."""

    def __init__(self, width: int, outputs: int, bias: Tensor | None = None) -> None:
        """Begin near the outputs `bias` (default: 0), which say how often each option is taken."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden, self.back = nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)
        with torch.no_grad():
            self.out.weight *= 0.1
            self.out.bias.copy_(torch.zeros(outputs) if bias is None else bias)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Features [..., width] -> features, outputs [..., outputs]."""
        z = z + self.back(functional.relu(self.hidden(self.norm(z))))
        return z, self.out(z)


def choice_table(
    schema: Schema, vocabulary: _Vocabulary, units: Sequence[_Unit]
) -> tuple[Array, list[int]]:
    """Next values [values of all units, options] by present value and option, and first rows.

    -1: no such option.
    """
    options = [vocabulary.choices[unit.key] for unit in units]
    most = max(map(len, options))
    rows, first, lines = [], [], 0
    for unit, ways in zip(units, options, strict=True):
        column = schema.columns[unit.key].field
        assert isinstance(column, Choice)
        table = np.full((column.n, most), -1, np.int64)
        values = np.arange(column.n)
        for at, (kind, value) in enumerate(ways):
            following = (
                np.clip(values + value, 0, column.n - 1)
                if kind == RELATIVE
                else np.full(column.n, value)
            )
            # of options with one result only the first counts
            table[:, at] = np.where((table[:, :at] == following[:, None]).any(1), -1, following)
        first.append(lines)
        lines += column.n
        rows.append(table)
    return np.concatenate(rows), first


def event_tables(events: int, codes: Sequence[int], slots: int) -> dict[str, Tensor]:
    """Numbers of joint events by their code (-1: none), and their bits in each slot."""
    number = torch.full((1 << (events * slots),), -1)
    number[torch.tensor(codes)] = torch.arange(len(codes))
    bits = [[code >> (events * slot) for slot in range(slots)] for code in codes]
    return {"number": number, "bits": torch.tensor(bits) & ((1 << events) - 1)}


def class_tables(schema: Schema, keys: tuple[str, ...], codes: Sequence[int]) -> dict[str, Tensor]:
    """Numbers of joint choices by their code (-1: none), and their values [keys, classes]."""
    number = torch.full((joint_size(schema, keys),), -1)
    number[torch.tensor(codes, dtype=torch.int64)] = torch.arange(len(codes))
    values: list[Array] = []
    rest = np.array(codes, np.int64)
    for key in reversed(keys):
        column = schema.columns[key].field
        assert isinstance(column, Choice)
        values.insert(0, rest % column.n)
        rest = rest // column.n
    return {"number": number, "values": torch.from_numpy(np.stack(values))}


def joint_tables(
    schema: Schema, rules: _Rules, vocabulary: _Vocabulary, *, gated: bool, given: bool
) -> dict[str, Array]:
    """Legal joint choices, legal events, and logits of how often joint choices were seen.

    [events, codes, classes], [codes, events], [events, codes, classes]. Joint choices are legal
    whatever the events if these gate nothing (`gated`) or are not `given` to them; in the latter
    case their logits do not depend on the events either.
    """
    allowed, happens = legal_tables(schema, rules, vocabulary)
    seen = vocabulary.tables.get("transitions", np.zeros(allowed.shape))
    whatever = np.broadcast_to(seen.sum(0), allowed.shape)
    if not (gated and given):
        allowed = np.where(whatever.any(-1, keepdims=True), whatever > 0, True)
    usual = usual_logits(seen if given else whatever)
    return {"allowed": allowed, "happens": happens, "usual": usual}


def usual_logits(seen: Array) -> Array:
    """Logits of how often each option was seen, the most frequent one at 0, [..., options]."""
    logits = np.log(seen + LEAST * seen.sum(-1, keepdims=True) + LEAST)
    found: Array = (logits - logits.max(-1, keepdims=True)).astype(np.float32)
    return found


def shares_of(vocabulary: _Vocabulary, units: Sequence[_Unit]) -> list[Array | None]:
    """Share of each option of each unit in recordings, where they were measured."""
    return [vocabulary.tables.get(f"share/{unit.key}") for unit in units]


def log_shares(shares: Sequence[Array | None], options: int) -> Tensor:
    """Log-shares [units * options] that the options of each unit have; unknown ones are equal."""
    found = torch.zeros(len(shares), options)
    for row, known in zip(found, shares, strict=True):
        if known is not None:
            row.fill_(math.log(LEAST))
            row[: len(known)] = torch.from_numpy(np.log(np.maximum(known, LEAST))).float()
    return found.flatten()


def place(module: nn.Module, name: str, units: Sequence[_Unit], width: int) -> None:
    """Keep the places of units in a frame's tensor of their kind, [.., width], as buffers.

    `NAME_source` [width] has the number of the unit in each place, -1 where none is.
    """
    places = torch.tensor([unit.place for unit in units], dtype=torch.int64)
    module.register_buffer(f"{name}_place", places, persistent=False)
    module.register_buffer(
        f"{name}_source", sources([unit.place for unit in units], width), persistent=False
    )


def sources(places: Sequence[int], width: int) -> Tensor:
    """Number of the unit in each of `width` places, -1 where none is."""
    found = torch.full((width,), -1)
    found[torch.tensor(places, dtype=torch.int64)] = torch.arange(len(places))
    return found


def spread(values: Tensor, source: Tensor, others: Tensor) -> Tensor:
    """Values [..., U] in their places, and `others` [..., width] in all other places.

    Without an indexed write, which PyTorch 2.13 compiles in the wrong order.
    """
    return torch.where(source >= 0, values[..., source.clamp(min=0)], others)
