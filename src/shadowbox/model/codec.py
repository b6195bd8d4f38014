"""What each kind of field means to a model: how it is decoded, seen from a seat, embedded, predicted, and how wrong that is.

Fields are stored one by one and computed by kind: whatever has one kind goes through one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.schema import Block, Choice, Column, Flag, Real, Schema
from shadowbox.core.view import seat_order
from shadowbox.errors import SchemaError

MOST_EMBEDDED = 1 << 16  # values of a choice; a larger one names something (a seed), and nothing is learned from a name

STORED = {"f4": torch.float32, "f2": torch.float16, "u4": torch.uint32, "u2": torch.uint16, "u1": torch.uint8}


def decode(schema: Schema, packed: Tensor, keys: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Bytes [..., row_bytes] -> columns [..., slots] on the same device: reals f32, flags bool, choices int64.

    One conversion for each storage class, however many columns it has; columns are views of its result.
    """
    row_bytes = schema.row_dtype.itemsize
    if packed.dtype != torch.uint8 or packed.shape[-1] != row_bytes:
        raise ValueError(f"packed rows are uint8 [..., {row_bytes}], not {packed.dtype} {tuple(packed.shape)}")
    wanted = set(schema.columns if keys is None else keys)
    if unknown := wanted - schema.columns.keys():
        raise KeyError(f"{schema.name} has no column {', '.join(sorted(unknown))}")
    columns: dict[str, Tensor] = {}
    for block in schema.blocks:
        if any(column.key in wanted for column in block.columns):
            widths = [column.slots for column in block.columns]
            parts = torch.split(_values(block, packed), widths, dim=-1)
            columns |= {c.key: part for c, part in zip(block.columns, parts, strict=True) if c.key in wanted}
    return columns


def _values(block: Block, packed: Tensor) -> Tensor:
    """All values of one storage class, [..., block.width]."""
    stored = packed[..., block.offset : block.offset + block.nbytes]
    if block.store == "bit":
        places = torch.arange(8, dtype=torch.uint8, device=packed.device)
        bits = (stored.unsqueeze(-1) >> places) & 1
        return bits.flatten(-2)[..., : block.width].bool()
    # clone, not contiguous: an empty batch counts as contiguous whatever its strides, and cannot be viewed
    values = stored.clone(memory_format=torch.contiguous_format).view(STORED[block.store])
    return values.float() if block.store[0] == "f" else values.long()


# ---- seats -----------------------------------------------------------------------------------------------------


def from_every_seat(schema: Schema, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Columns [B, ..., slots] -> [players * B, ..., slots]: the batch as player 0 sees it, then as player 1 does, ...

    The same as `core.view.from_seat`, for tensors.
    """
    return {
        key: torch.cat([_seated(values, schema.columns[key], player, schema.players) for player in range(schema.players)])
        for key, values in columns.items()
    }


def _seated(values: Tensor, column: Column, player: int, players: int) -> Tensor:
    if player == 0:
        return values
    if column.group.per:
        order = seat_order(column.slots, player, players)
        values = values.flip(-1) if isinstance(order, slice) else values[..., order]
    if isinstance(column.field, Choice) and column.field.seat:
        names = torch.arange(column.field.n, device=values.device)
        names[[0, player]] = names[[player, 0]]
        values = names[values]
    return values


# ---- what goes in ----------------------------------------------------------------------------------------------


class Embed(nn.Module):
    """Columns [..., slots] -> features [..., width]: reals times their scale, flags as 0 and 1, choices out of tables.

    All slots of a column share its part of a table; columns whose embeddings are equally wide share a table.
    """

    scale: Tensor

    def __init__(self, schema: Schema, keys: Iterable[str]) -> None:
        super().__init__()
        chosen = [schema.columns[key] for key in keys]
        self.reals = [column.key for column in chosen if isinstance(column.field, Real)]
        self.flags = [column.key for column in chosen if isinstance(column.field, Flag)]
        self.register_buffer("scale", _scales(chosen), persistent=False)
        self.choices: dict[str, list[str]] = {}  # width -> its columns
        self.tables = nn.ModuleDict()
        for width in sorted({embedded_width(c) for c in chosen if isinstance(c.field, Choice)}):
            members = [c for c in chosen if isinstance(c.field, Choice) and embedded_width(c) == width]
            self.choices[str(width)] = [c.key for c in members]
            ends = np.cumsum([0, *(c.field.n for c in members if isinstance(c.field, Choice))])
            first = np.repeat(ends[:-1], [c.slots for c in members])
            self.tables[str(width)] = nn.Embedding(int(ends[-1]), width)
            self.register_buffer(f"first_{width}", torch.from_numpy(first), persistent=False)
        self.width = sum(c.slots * (embedded_width(c) if isinstance(c.field, Choice) else 1) for c in chosen)

    def forward(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Columns [..., slots] -> [..., width]."""
        parts = []
        if self.reals:
            parts.append(_gathered(columns, self.reals) * self.scale)
        if self.flags:
            parts.append(_gathered(columns, self.flags).float())
        for width, keys in self.choices.items():
            rows = _gathered(columns, keys) + getattr(self, f"first_{width}")
            parts.append(self.tables[width](rows).flatten(-2))
        return torch.cat(parts, dim=-1)


def embedded_width(column: Column) -> int:
    """The width of a choice's embedding: declared, or half its values and at most 16."""
    assert isinstance(column.field, Choice)
    if column.field.n > MOST_EMBEDDED:
        raise SchemaError(f"{column.key}: a choice of {column.field.n} cannot be embedded; leave it out of what a model sees")
    return column.field.embed or min(16, -(-column.field.n // 2))


def visible(schema: Schema) -> tuple[str, ...]:
    """The columns that a model can see: all but choices too large to embed."""
    return tuple(k for k, c in schema.columns.items() if not isinstance(c.field, Choice) or c.field.n <= MOST_EMBEDDED)


# ---- what comes out --------------------------------------------------------------------------------------------


class Coding:
    """How a head's output is read: one number for each real and flag, `n` for each choice, of `slots` slots each.

    Values stand in the order reals, flags, choices; `names` says which each is. V: values, W: the output's width.
    """

    def __init__(self, schema: Schema, keys: Iterable[str], slots: int) -> None:
        columns = [schema.columns[key] for key in keys]
        self.slots = slots
        self.reals = [c.key for c in columns if isinstance(c.field, Real)]
        self.flags = [c.key for c in columns if isinstance(c.field, Flag)]
        self.sizes = {c.key: c.field.n for c in columns if isinstance(c.field, Choice)}
        self.names = [key for key in (*self.reals, *self.flags, *self.sizes) for _ in range(slots)]
        scale = {c.key: c.field.scale for c in columns if isinstance(c.field, Real)}
        self.scale = torch.tensor([scale[key] for key in self.reals for _ in range(slots)])
        self.width = slots * (len(self.reals) + len(self.flags) + sum(self.sizes.values()))

    def targets(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The first `slots` slots of the columns as numbers, [..., V]."""
        own = {key: columns[key][..., : self.slots] for key in dict.fromkeys(self.names)}
        return torch.cat([values.float() for values in own.values()], dim=-1)

    def nll(self, output: Tensor, targets: Tensor) -> Tensor:
        """What each target costs in nats, [..., W] and [..., V] -> [..., V]. Reals are normal around the output."""
        reals, flags, choices = self._split(output)
        first, second, third = self._split_values(targets)
        costs = [(reals - first * self.scale.to(output.device)).square() / 2]
        costs.append(functional.binary_cross_entropy_with_logits(flags, second, reduction="none"))
        for logits, wanted in zip(choices, third, strict=True):
            flat = functional.cross_entropy(logits.flatten(0, -2), wanted.flatten().long(), reduction="none")
            costs.append(flat.view(wanted.shape))
        return torch.cat(costs, dim=-1)

    def likely(self, output: Tensor) -> Tensor:
        """The most likely values, [..., W] -> [..., V]; for measuring, not for playing."""
        reals, flags, choices = self._split(output)
        found = [reals / self.scale.to(output.device), (flags > 0).float()]
        return torch.cat(found + [logits.argmax(-1).float() for logits in choices], dim=-1)

    def _split(self, output: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        widths = [len(self.reals), len(self.flags), *self.sizes.values()]
        reals, flags, *choices = torch.split(output, [self.slots * width for width in widths], dim=-1)
        shaped = [c.view(*c.shape[:-1], self.slots, n) for c, n in zip(choices, self.sizes.values(), strict=True)]
        return reals, flags, shaped

    def _split_values(self, values: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        widths = [len(self.reals), len(self.flags), *(1 for _ in self.sizes)]
        reals, flags, *choices = torch.split(values, [self.slots * width for width in widths], dim=-1)
        return reals, flags, list(choices)


def _gathered(columns: Mapping[str, Tensor], keys: list[str]) -> Tensor:
    return torch.cat([columns[key] for key in keys], dim=-1)


def _scales(columns: list[Column]) -> Tensor:
    return torch.tensor([c.field.scale for c in columns if isinstance(c.field, Real) for _ in range(c.slots)])
