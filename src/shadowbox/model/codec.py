"""What each kind of field means to a model: how it is decoded, seen from a seat, mirrored, and embedded.

Fields are stored one by one and computed by kind: whatever has one kind goes through one call. What
comes out again (likelihood, sampling) stands in `model/distributions.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.encoding import CONTROLS, Encoding
from shadowbox.core.schema import Array, Block, Choice, Column, Flag, Real, Schema
from shadowbox.core.view import seat_order
from shadowbox.errors import SchemaError, UsageError, did_you_mean
from shadowbox.model.relative_positions import RelativePositions

# values of a choice; a larger one names something (a seed), and nothing is learned from a name
View = Mapping[str, Tensor]  # columns [B, T, slots] by key, own slot first
MOST_EMBEDDED = 1 << 16

STORED = {
    "f4": torch.float32,
    "f2": torch.float16,
    "u4": torch.uint32,
    "u2": torch.uint16,
    "u1": torch.uint8,
}


def decode(schema: Schema, packed: Tensor, keys: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Bytes [..., row_bytes] -> columns [..., slots] on the same device: reals f32, flags bool, choices int64.

    One conversion for each storage class, however many columns it has; columns are views of its
    result.
    """
    row_bytes = schema.row_dtype.itemsize
    if packed.dtype != torch.uint8 or packed.shape[-1] != row_bytes:
        raise ValueError(
            f"packed rows are uint8 [..., {row_bytes}], not {packed.dtype} {tuple(packed.shape)}"
        )
    wanted = set(schema.columns if keys is None else keys)
    if unknown := wanted - schema.columns.keys():
        raise KeyError(f"{schema.name} has no column {', '.join(sorted(unknown))}")
    columns: dict[str, Tensor] = {}
    for block in schema.blocks:
        if any(column.key in wanted for column in block.columns):
            widths = [column.slots for column in block.columns]
            parts = torch.split(_values(block, packed), widths, dim=-1)
            columns |= {
                c.key: part for c, part in zip(block.columns, parts, strict=True) if c.key in wanted
            }
    return columns


def _values(block: Block, packed: Tensor) -> Tensor:
    """All values of one storage class, [..., block.width]."""
    stored = packed[..., block.offset : block.offset + block.nbytes]
    if block.store == "bit":
        places = torch.arange(8, dtype=torch.uint8, device=packed.device)
        bits = (stored.unsqueeze(-1) >> places) & 1
        return bits.flatten(-2)[..., : block.width].bool()
    # clone, not contiguous: an empty batch counts as contiguous whatever its strides, and cannot be
    # viewed
    values = stored.clone(memory_format=torch.contiguous_format).view(STORED[block.store])
    return values.float() if block.store[0] == "f" else values.long()


# ---- seats and mirror ------------------------------------------------------------------------------------------


def from_every_seat(
    schema: Schema, columns: Mapping[str, Tensor], seats: Sequence[int] | None = None
) -> dict[str, Tensor]:
    """Columns [B, ..., slots] -> [seats * B, ..., slots]: the batch as one player sees it, then as the next one does, ...

    The same as `core.view.from_seat`, for tensors. `seats`: whose (default: everybody's).
    """
    chosen = range(schema.players) if seats is None else seats
    if len(chosen) == 1:
        return {
            key: _seated(values, schema.columns[key], chosen[0], schema.players)
            for key, values in columns.items()
        }
    return {
        key: torch.cat(
            [_seated(values, schema.columns[key], player, schema.players) for player in chosen]
        )
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


def mirrored_where(
    schema: Schema, columns: Mapping[str, Tensor], chosen: Tensor
) -> dict[str, Tensor]:
    """Left and right exchanged in the examples `chosen` [B] of columns [B, ..., slots]; all of a group must be there.

    The same as `core.view.mirrored`, for tensors.
    """
    out: dict[str, Tensor] = {}
    for key, values in columns.items():
        column = schema.columns[key]
        rule, group = column.field.mirror, column.group
        if rule == "keep":
            out[key] = values
            continue
        if rule == "negate":
            other = -values
        elif rule == "invert":
            other = ~values & columns[f"{group.name}/{group.mask}"] if group.mask else ~values
        else:
            other = columns[f"{group.name}/{rule}"]
        out[key] = torch.where(chosen.view(-1, *[1] * (values.ndim - 1)), other, values)
    return out


def has_mirror(schema: Schema) -> bool:
    """Whether left and right mean anything in this game."""
    return any(column.field.mirror != "keep" for column in schema.columns.values())


# ---- what goes in ----------------------------------------------------------------------------------------------


class ColumnEmbedding(nn.Module):
    """Columns [..., slots] -> features [..., width]: reals times their scale, flags as 0 and 1, choices out of tables.

    With `distances`, also how far everything is from the own slot (`model/relative_positions.py`).

    All slots of a column share its part of a table; columns whose embeddings are equally wide share
    a table. The first `fixed` features are facts that nothing is learned about: no gradient needs
    to reach them.
    """

    scale: Tensor

    def __init__(
        self, schema: Schema, keys: Iterable[str], *, relative_positions: bool = False
    ) -> None:
        super().__init__()
        chosen = [schema.columns[key] for key in keys]
        self.reals = [column.key for column in chosen if isinstance(column.field, Real)]
        self.flags = [column.key for column in chosen if isinstance(column.field, Flag)]
        self.register_buffer("scale", _scales(chosen), persistent=False)
        self.choices: dict[str, list[str]] = {}  # width -> its columns
        self.tables = nn.ModuleDict()
        for width in sorted({embedded_width(c) for c in chosen if isinstance(c.field, Choice)}):
            members = [
                c for c in chosen if isinstance(c.field, Choice) and embedded_width(c) == width
            ]
            self.choices[str(width)] = [c.key for c in members]
            ends = np.cumsum([0, *(c.field.n for c in members if isinstance(c.field, Choice))])
            first = np.repeat(ends[:-1], [c.slots for c in members])
            self.tables[str(width)] = nn.Embedding(int(ends[-1]), width)
            self.register_buffer(f"first_{width}", torch.from_numpy(first), persistent=False)
        self._slots = {column.key: column.slots for column in chosen}
        found = RelativePositions(schema, self.reals, self.flags)
        self.distances = found if relative_positions and found.width else None
        self.fixed = sum(self._slots[key] for key in (*self.reals, *self.flags)) + (
            found.width if self.distances else 0
        )
        self.width = self.fixed + sum(
            int(w) * self._slots[key] for w, keys in self.choices.items() for key in keys
        )

    def forward(self, columns: Mapping[str, Tensor], more: Sequence[Tensor] = ()) -> Tensor:
        """Columns [..., slots], and more features [..., n] to come after them -> [..., width (+ n)]."""
        parts = []
        reals = _gathered(columns, self.reals) if self.reals else None
        flags = _gathered(columns, self.flags) if self.flags else None
        if reals is not None:
            parts.append(reals * self.scale)
        if flags is not None:
            parts.append(flags.float())
        if reals is not None and self.distances is not None:
            parts.append(self.distances(reals, flags))
        for width, keys in self.choices.items():
            rows = _gathered(columns, keys) + getattr(self, f"first_{width}")
            parts.append(self.tables[width](rows).flatten(-2))
        return torch.cat([*parts, *more], dim=-1)

    def describe(self) -> list[tuple[str, int, int]]:
        """The features by name: (column[slot], first, behind the last), in their order."""
        facts = [
            f"{key}[{slot}]"
            for key in (*self.reals, *self.flags)
            for slot in range(self._slots[key])
        ]
        facts += self.distances.describe() if self.distances else []
        names = [(name, 1) for name in facts]
        names += [(f"{key}[{slot}]", int(width)) for width, keys in self.choices.items()
                  for key in keys for slot in range(self._slots[key])]  # fmt: skip
        return _in_a_row(names)

    def places(self, keys: Iterable[str], slots: int) -> list[int]:
        """The features that the first `slots` slots of these columns have."""
        wanted = {f"{key}[{slot}]" for key in keys for slot in range(slots)}
        return [
            at for name, first, end in self.describe() if name in wanted for at in range(first, end)
        ]


class EncodingEmbedding(nn.Module):
    """A named encoding [..., floats], [..., ints] with its categories embedded: the same interface as `ColumnEmbedding`.

    A category has one table for all players, as wide as it declares.
    """

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self.encoding = encoding
        self.tables = nn.ModuleDict(
            {c.name: nn.Embedding(c.n, c.embed) for c in (*encoding.categories, *encoding.shared)}
        )
        self.fixed, self.width = encoding.floats, encoding.frame_width

    def forward(self, columns: Mapping[str, Tensor], more: Sequence[Tensor] = ()) -> Tensor:
        """Columns [..., slots], and more features [..., n] to come after them -> [..., width (+ n)]."""
        floats, ints = self.encoding.encode(columns, torch)
        many = len(self.encoding.categories)
        own = ints[..., : many * self.encoding.players]
        embedded = [
            self.tables[c.name](own[..., at::many]).flatten(-2)
            for at, c in enumerate(self.encoding.categories)
        ]
        embedded += [
            self.tables[c.name](ints[..., own.shape[-1] + at])
            for at, c in enumerate(self.encoding.shared)
        ]
        return torch.cat([floats, *embedded, *more], -1)

    def describe(self) -> list[tuple[str, int, int]]:
        """The features by name: (what, first, behind the last), in their order."""
        names = [(name, 1) for name in self.encoding.float_names]
        names += [
            (f"p{player}.{c.name}", c.embed)
            for c in self.encoding.categories
            for player in range(self.encoding.players)
        ]
        names += [(c.name, c.embed) for c in self.encoding.shared]
        return _in_a_row(names)

    def places(self, keys: Iterable[str], slots: int) -> list[int]:
        """The features that are made of the own controls."""
        return [at for at, number in enumerate(self.encoding.numbers) if number.block == CONTROLS]


def _in_a_row(names: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Names and widths -> names, first and behind the last of each."""
    ends = np.cumsum([0, *(width for _, width in names)]).tolist()
    return [
        (name, first, end) for (name, _), first, end in zip(names, ends[:-1], ends[1:], strict=True)
    ]


def embedded_width(column: Column) -> int:
    """The width of a choice's embedding: declared, or half its values and at most 16."""
    assert isinstance(column.field, Choice)
    if column.field.n > MOST_EMBEDDED:
        raise SchemaError(
            f"{column.key}: a choice of {column.field.n} cannot be embedded; leave it out of what a model sees"
        )
    return column.field.embed or min(16, -(-column.field.n // 2))


def visible_columns(schema: Schema) -> tuple[str, ...]:
    """The columns that a model can see: all but choices too large to embed."""
    return tuple(
        k
        for k, c in schema.columns.items()
        if not isinstance(c.field, Choice) or c.field.n <= MOST_EMBEDDED
    )


# ---- controls as numbers ---------------------------------------------------------------------------------------


class ControlValues:
    """The own controls of a frame as V numbers: reals, then flags, then choices, each with the slots of one player.

    `names` says which column each is. `answers` chooses some of the controls; all others stay
    neutral. An answer such as "pad/x|pad/y" stands for several of one kind: it is read as the
    largest of them and given to the first. A control with a mode (`when`) is neutral wherever its
    mode is off, so that what does nothing is neither learned nor pressed.
    """

    def __init__(self, schema: Schema, answers: Sequence[str] = ()) -> None:
        self.schema, self.slots = schema, schema.controls.slots // schema.players
        given = [tuple(answer.split("|")) for answer in answers or schema.control_keys]
        _must_be_controls(schema, given)
        order = {
            kind: [keys for keys in given if isinstance(schema.columns[keys[0]].field, kind)]
            for kind in (Real, Flag, Choice)
        }
        self.sources = [keys for chosen in order.values() for keys in chosen]
        self.keys = [keys[0] for keys in self.sources]
        self.names = [key for key in self.keys for _ in range(self.slots)]
        self.kinds = np.array([schema.columns[key].field.kind for key in self.names])
        self.modes = {
            at: mode
            for at, key in enumerate(self.names)
            if (mode := schema.columns[key].field.when)
        }

    def of(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The own controls among columns [..., slots]: [..., V]."""
        return torch.cat(
            [
                self._largest([columns[key][..., : self.slots] for key in keys])
                for keys in self.sources
            ],
            dim=-1,
        )

    def of_arrays(self, columns: Mapping[str, Array]) -> Array:
        """The same for NumPy: f32 [..., V]."""
        parts = [
            np.max([columns[key][..., : self.slots] for key in keys], axis=0)
            for keys in self.sources
        ]
        return np.concatenate(parts, axis=-1, dtype=np.float32, casting="unsafe")

    def columns(self, values: Tensor) -> dict[str, Tensor]:
        """Values [..., V] -> every control {key: [..., slots a player]}: reals f32, flags bool, choices int64."""
        parts = dict(zip(self.keys, torch.split(values, self.slots, -1), strict=True))
        nothing = values.new_zeros(*values.shape[:-1], self.slots)
        return {key: self._typed(key, parts.get(key, nothing)) for key in self.schema.control_keys}

    def _largest(self, parts: Sequence[Tensor]) -> Tensor:
        return (
            parts[0].float()
            if len(parts) == 1
            else torch.stack([part.float() for part in parts]).amax(0)
        )

    def _typed(self, key: str, values: Tensor) -> Tensor:
        kind = self.schema.columns[key].field.kind
        return (
            values if kind == "real" else values > 0.5 if kind == "flag" else values.round().long()
        )

    def counts(self, columns: Mapping[str, Tensor]) -> Tensor | None:
        """Where each value counts, given the state: bool [..., V]; None where all of them always do."""
        if not self.modes:
            return None
        some = next(iter(columns.values()))
        always = torch.ones(some.shape[:-1], dtype=torch.bool, device=some.device)
        return torch.stack([self._on(self.modes[at], columns) if at in self.modes else always
                            for at in range(len(self.names))], -1)  # fmt: skip

    def counting(self, values: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        """The values [..., V], neutral where they do not count."""
        counts = self.counts(columns)
        return values if counts is None else values * counts

    def _on(self, mode: str, columns: Mapping[str, Tensor]) -> Tensor:
        on = columns[mode.removeprefix("!")][..., 0]
        return ~on if mode.startswith("!") else on


def _must_be_controls(schema: Schema, answers: Sequence[tuple[str, ...]]) -> None:
    for keys in answers:
        for key in keys:
            if key not in schema.control_keys:
                raise UsageError(
                    f"a policy of {schema.name} cannot answer '{key}': {did_you_mean(key, schema.control_keys)}"
                )
        if len({schema.columns[key].field.kind for key in keys}) > 1:
            raise UsageError(
                f"a policy cannot answer {'|'.join(keys)} at once: they are of different kinds"
            )


def _gathered(columns: Mapping[str, Tensor], keys: list[str]) -> Tensor:
    return torch.cat([columns[key] for key in keys], dim=-1)


def _scales(columns: list[Column]) -> Tensor:
    return torch.tensor(
        [c.field.scale for c in columns if isinstance(c.field, Real) for _ in range(c.slots)]
    )
