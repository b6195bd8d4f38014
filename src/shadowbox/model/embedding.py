"""Embeddings of frames: columns of a schema, or a named encoding, as a vector of features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.encoding import CONTROLS, Encoding
from shadowbox.core.schema import Choice, Column, Flag, Real, Schema
from shadowbox.errors import SchemaError
from shadowbox.model.relative_positions import RelativePositions

# values of a choice; a larger choice is an identifier (such as a seed) and is not embedded
MOST_EMBEDDED = 1 << 16
SMALLEST_SPREAD = 1e-6  # of a normalized real; one that never changes stays as it is
FARTHEST = 10.0  # deviations from the mean; beyond, a normalized real is cut off


class ColumnEmbedding(nn.Module):
    """Columns [..., slots] -> features [..., width].

    Reals are multiplied by their scale, flags are 0 or 1, choices are looked up in tables. With
    `relative_positions`, distances from the own slot are added (`model/relative_positions.py`). With
    `normalize`, reals of the state are shifted and scaled once more by `fit`, so that they have mean 0
    and deviation 1; those of slots that were not found stay 0.

    Of private groups only the own slots are read, and no distances are added then; so are the
    controls that are `own_only`, beside which distances stay. All slots of a
    column share its part of a table; columns whose embeddings are equally wide share a table. The
    first `fixed` features have no parameters below them and need no gradient.
    """

    scale: Tensor
    center: Tensor  # of the reals, after the scale
    spread: Tensor
    shown_by: Tensor  # place of the flag that shows each real, among all flags; the last: always

    def __init__(
        self,
        schema: Schema,
        keys: Iterable[str],
        *,
        relative_positions: bool = False,
        normalize: bool = False,
        own_only: Iterable[str] = (),
    ) -> None:
        super().__init__()
        own = frozenset(own_only)
        chosen = [
            _readable(schema.columns[key], schema.players, own_only=key in own) for key in keys
        ]
        self.reals = [column.key for column in chosen if isinstance(column.field, Real)]
        self.flags = [column.key for column in chosen if isinstance(column.field, Flag)]
        self.register_buffer("scale", _scales(chosen), persistent=False)
        shown_by = _flags_of_reals(chosen, self.flags) if normalize else None
        self.register_buffer("shown_by", shown_by, persistent=False)
        self.state_keys = frozenset(schema.state_keys)
        self.normalize = normalize
        if normalize:
            self.register_buffer("center", torch.zeros_like(self.scale))
            self.register_buffer("spread", torch.ones_like(self.scale))
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
        # columns of which not all slots are read
        self.cut = [c.key for c in chosen if c.slots < schema.columns[c.key].slots]
        distances = RelativePositions(schema, self.reals, self.flags)
        compared = relative_positions and distances.width and own.issuperset(self.cut)
        self.distances = distances if compared else None
        self.fixed = sum(self._slots[key] for key in (*self.reals, *self.flags)) + (
            distances.width if self.distances else 0
        )
        self.width = self.fixed + sum(
            int(w) * self._slots[key] for w, keys in self.choices.items() for key in keys
        )

    def forward(self, columns: Mapping[str, Tensor], more: Sequence[Tensor] = ()) -> Tensor:
        """Embed columns [..., slots] and append features `more` [..., n] -> [..., width (+ n)]."""
        if self.cut:
            own = {key: columns[key][..., : self._slots[key]] for key in self.cut}
            columns = {**columns, **own}
        kinds = [_concatenated(columns, keys) if keys else None for keys in self.by_kind]
        return self.of_kinds(kinds[0], kinds[1], kinds[2:], more)

    @property
    def reals_width(self) -> int:
        """Number of reals, which are the first features."""
        return len(self.scale)

    @property
    def by_kind(self) -> list[list[str]]:
        """Columns of reals, of flags, and of the choices of each table, in the order of `of_kinds`."""
        return [self.reals, self.flags, *self.choices.values()]

    def of_kinds(
        self,
        reals: Tensor | None,
        flags: Tensor | None,
        choices: Sequence[Tensor | None],
        more: Sequence[Tensor] = (),
    ) -> Tensor:
        """`forward` of columns that are concatenated by kind, [..., slots of the kind]."""
        parts = []
        if reals is not None:
            parts.append(self._of_order_one(reals * self.scale, flags))
        if flags is not None:
            parts.append(flags.float())
        if reals is not None and self.distances is not None:
            parts.append(self.distances(reals, flags))
        for width, values in zip(self.choices, choices, strict=True):
            assert values is not None
            rows = values + getattr(self, f"first_{width}")
            parts.append(self.tables[width](rows).flatten(-2))
        return torch.cat([*parts, *more], dim=-1)

    @torch.no_grad()
    def fit(self, columns: Mapping[str, Tensor]) -> None:
        """Take center and spread from columns [T, slots], where their slots were found."""
        if not self.normalize or not self.reals:
            return
        reals = _concatenated(columns, self.reals).double() * self.scale.double()
        flags = _concatenated(columns, self.flags) if self.flags else None
        counted = torch.ones_like(reals) if flags is None else self._shown(flags, reals)
        many = counted.sum(0).clamp(min=1)
        center = (reals * counted).sum(0) / many
        spread = (((reals - center).square() * counted).sum(0) / many).sqrt()
        own = [key in self.state_keys for key in self.reals for _ in range(self._slots[key])]
        known = torch.tensor(own, device=spread.device) & (spread > SMALLEST_SPREAD)
        self.center.copy_(torch.where(known, center, 0.0))
        self.spread.copy_(torch.where(known, spread, 1.0))

    def _of_order_one(self, reals: Tensor, flags: Tensor | None) -> Tensor:
        """Scaled reals [..., n] with mean 0 and deviation 1, if `fit` was asked to."""
        if not self.normalize:
            return reals
        found = ((reals - self.center) / self.spread).clamp(-FARTHEST, FARTHEST)
        return found if flags is None else found * self._shown(flags, found)

    def _shown(self, flags: Tensor, reals: Tensor) -> Tensor:
        """1 for reals whose slot was found, else 0: [..., n], from flags [..., slots]."""
        known = flags.to(reals)
        always = torch.ones_like(known[..., :1])
        return torch.cat([known, always], -1)[..., self.shown_by]

    def describe(self) -> list[tuple[str, int, int]]:
        """Spans of the features in order: (column[slot], first, end)."""
        fixed = [
            f"{key}[{slot}]"
            for key in (*self.reals, *self.flags)
            for slot in range(self._slots[key])
        ]
        fixed += self.distances.describe() if self.distances else []
        names = [(name, 1) for name in fixed]
        names += [
            (f"{key}[{slot}]", int(width))
            for width, keys in self.choices.items()
            for key in keys
            for slot in range(self._slots[key])
        ]
        return _spans(names)

    def places(self, keys: Iterable[str], slots: int) -> list[int]:
        """Indices of the features of the first `slots` slots of these columns."""
        wanted = {f"{key}[{slot}]" for key in keys for slot in range(slots)}
        return [
            at for name, first, end in self.describe() if name in wanted for at in range(first, end)
        ]


class EncodingEmbedding(nn.Module):
    """Named encoding with its categories embedded, with the interface of `ColumnEmbedding`.

    A category has one table for all players, as wide as it declares.
    """

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self.encoding = encoding
        self.tables = nn.ModuleDict(
            {c.name: nn.Embedding(c.n, c.embed) for c in (*encoding.categories, *encoding.shared)}
        )
        self.fixed, self.width = encoding.floats, encoding.frame_width
        self.reals_width = 0  # an encoding is not normalized

    def forward(self, columns: Mapping[str, Tensor], more: Sequence[Tensor] = ()) -> Tensor:
        """Embed columns [..., slots] and append features `more` [..., n] -> [..., width (+ n)]."""
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
        """Spans of the features in order: (name, first, end)."""
        names = [(name, 1) for name in self.encoding.float_names]
        names += [
            (f"p{player}.{c.name}", c.embed)
            for c in self.encoding.categories
            for player in range(self.encoding.players)
        ]
        names += [(c.name, c.embed) for c in self.encoding.shared]
        return _spans(names)

    def places(self, keys: Iterable[str], slots: int) -> list[int]:
        """Indices of the features made of the own controls."""
        return [at for at, number in enumerate(self.encoding.numbers) if number.block == CONTROLS]


def _spans(names: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Spans (name, first, end) of consecutive names and widths."""
    ends = np.cumsum([0, *(width for _, width in names)]).tolist()
    return [
        (name, first, end) for (name, _), first, end in zip(names, ends[:-1], ends[1:], strict=True)
    ]


def _readable(column: Column, players: int, *, own_only: bool = False) -> Column:
    """The column with the slots that a player may read: of a private group the own ones."""
    group = column.group
    if not (group.private or own_only):
        return column
    return replace(column, group=replace(group, slots=group.slots // players))


def embedded_width(column: Column) -> int:
    """Width of a choice's embedding: declared, or half its number of values and at most 16."""
    assert isinstance(column.field, Choice)
    if column.field.n > MOST_EMBEDDED:
        raise SchemaError(
            f"{column.key}: a choice of {column.field.n} values cannot be embedded "
            f"(at most {MOST_EMBEDDED}); leave it out of input_columns"
        )
    return column.field.embed or min(16, -(-column.field.n // 2))


def visible_columns(schema: Schema) -> tuple[str, ...]:
    """Columns that a model can embed: all but choices with too many values."""
    return tuple(
        k
        for k, c in schema.columns.items()
        if not isinstance(c.field, Choice) or c.field.n <= MOST_EMBEDDED
    )


def _concatenated(columns: Mapping[str, Tensor], keys: list[str]) -> Tensor:
    return torch.cat([columns[key] for key in keys], dim=-1)


def _flags_of_reals(columns: list[Column], flags: Sequence[str]) -> Tensor:
    """Place of the first slot of the flag that shows each real, among the slots of all flags [n].

    One after the last flag where none of them shows a real.
    """
    slots = {column.key: column.slots for column in columns}
    ends = np.cumsum([0, *(slots[key] for key in flags)]).tolist()
    first = dict(zip(flags, ends[:-1], strict=True))
    names = [
        flag
        for column in columns
        if isinstance(column.field, Real)
        for flag in column.group.shown_by or ("",) * column.slots
    ]
    return torch.tensor([first.get(name, ends[-1]) for name in names], dtype=torch.int64)


def _scales(columns: list[Column]) -> Tensor:
    return torch.tensor(
        [c.field.scale for c in columns if isinstance(c.field, Real) for _ in range(c.slots)]
    )
