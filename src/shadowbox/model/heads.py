"""Heads: what matters now -> a distribution over the own controls of a frame, as parts that are decided in order.

A head is a map from the trunk's answer h [..., H] to an output [..., W], teacher-forced where parts
depend on each other, and pure functions of that output. V: values of a frame, P: parts, N: terms of
the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.schema import Array, Choice, Flag, Real
from shadowbox.model.codec import Values
from shadowbox.model.distributions import LOOKED_UP, Codebook, Flags, Mixture, Part, Regression
from shadowbox.model.loss_options import Options

if TYPE_CHECKING:
    from shadowbox.model.policy import Design

SEEN_OFTEN = 100  # times; a combination that is rarer is read as the nearest one
MOST_POINTS = 33  # places of a control that has no partner
# places of a stick: share of its reach, how many around
RINGS = ((0.0, 1), (0.35, 8), (0.7, 16), (1.0, 32))
ALL_COMBINATIONS = 6  # flags of which, without data, every combination is a point

Heat = float | Sequence[float]  # one temperature, or one for each part
# part -> its points; plain data, kept in checkpoints
Vocabulary = Mapping[str, Sequence[Sequence[float]]]


class Head(nn.Module):
    """Parts side by side in one output.

    Subclasses say how the output comes about and how it is sampled.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.of_parts = nn.ModuleList(parts)  # so that their buffers move along
        self.widths = [part.width for part in parts]
        self.width, self.draws = sum(self.widths), sum(part.draws for part in parts)
        self.names = tuple(name for part in parts for name in part.names)
        self.members = self._members()  # which values each term is about, bool [N, V]
        self.order = [at for part in parts for at in part.at]  # values as the parts have them
        self.back = np.argsort(self.order).tolist()
        self.places = [
            slice(None) if list(part.at) == list(range(len(self.order))) else list(part.at)
            for part in parts
        ]

    def forward(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """H [..., H], pressed values and those of the frame before [..., V] -> output [..., W].

        `hidden` [...]: history is.
        """
        raise NotImplementedError

    def sample(
        self, h: Tensor, previous: Tensor, noise: Tensor, temperature: Heat = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Noise [..., draws] -> values [..., V] and their log-probability by part [..., P]."""
        raise NotImplementedError

    def costs(self, output: Tensor, values: Tensor, previous: Tensor) -> Tensor:
        """What training makes smaller: [..., N]."""
        return torch.cat(
            [part.costs(*each) for part, each in self._each(output, values, previous)], -1
        )

    def learn(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """`forward`, then `costs`."""
        return self.costs(self.forward(h, values, previous, hidden), values, previous)

    def log_prob(
        self, output: Tensor, values: Tensor, previous: Tensor, temperature: Heat = 1.0
    ) -> Tensor:
        """[..., P]"""  # noqa: D400, D415
        parts = zip(self._each(output, values, previous), self.by_part(temperature), strict=True)
        return torch.stack([part.log_prob(*each, heat) for (part, each), heat in parts], -1)

    def entropy(self, output: Tensor, previous: Tensor) -> Tensor:
        """[..., P]"""  # noqa: D400, D415
        return torch.stack([part.entropy(*each) for part, each in self._each(output, previous)], -1)

    def kl(self, output: Tensor, other: Tensor, previous: Tensor) -> Tensor:
        """[..., P]"""  # noqa: D400, D415
        theirs = torch.split(other, self.widths, -1)
        return torch.stack([part.kl(ours, theirs[at], before)
                            for at, (part, (ours, before)) in enumerate(self._each(output, previous))], -1)  # fmt: skip

    def mean(self, output: Tensor, previous: Tensor, temperature: Heat = 1.0) -> Tensor:
        """[..., V]"""  # noqa: D400, D415
        parts = zip(self._each(output, previous), self.by_part(temperature), strict=True)
        return self._ordered([part.mean(*each, heat) for (part, each), heat in parts])

    def likely(self, output: Tensor, previous: Tensor) -> Tensor:
        """[..., V]"""  # noqa: D400, D415
        return self._ordered([part.likely(*each) for part, each in self._each(output, previous)])

    def anything(self, lead: Sequence[int]) -> Tensor:
        """Values [*lead, V] that mean nothing, for who must learn to leave them."""
        return self._ordered([part.anything(lead) for part in self.parts])

    def by_part(self, temperature: Heat) -> Sequence[float]:
        """A temperature for each part."""
        return (
            [temperature] * len(self.parts) if isinstance(temperature, int | float) else temperature
        )

    def _members(self) -> Tensor:
        found = torch.zeros(
            len(self.names),
            sum(len(part.at) for part in self.parts),
            dtype=torch.bool,
            device="cpu",
        )  # of use without weights
        term = 0
        for part in self.parts:
            single = len(part.names) == len(part.at) and not isinstance(part, Codebook)
            for at in range(len(part.names)):
                found[term, part.at[at] if single else list(part.at)] = True
                term += 1
        return found

    def _each(self, output: Tensor, *values: Tensor) -> list[tuple[Any, tuple[Tensor, ...]]]:
        outputs = torch.split(output, self.widths, -1)
        return [(part, (outputs[at], *(value[..., place] for value in values)))
                for at, (part, place) in enumerate(zip(self.parts, self.places, strict=True))]  # fmt: skip

    def _ordered(self, values: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(values), -1)[..., self.back]


class Independent(Head):
    """Every control on its own, given the trunk's answer: one linear map."""

    def __init__(
        self, features: int, values: Values, vocabulary: Vocabulary, design: Design
    ) -> None:
        super().__init__(_alone(values, vocabulary, design))
        self.linear = nn.Linear(features, self.width)

    def forward(  # noqa: D102
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        output: Tensor = self.linear(h)
        return output.float()

    def sample(  # noqa: D102
        self, h: Tensor, previous: Tensor, noise: Tensor, temperature: Heat = 1.0
    ) -> tuple[Tensor, Tensor]:
        output = self.forward(h, previous, previous)
        noises = torch.split(noise, [part.draws for part in self.parts], -1)
        found, sure, heat = [], [], self.by_part(temperature)
        for at, (part, (mine, before)) in enumerate(self._each(output, previous)):
            found.append(part.sample(mine, before, noises[at], heat[at]))
            sure.append(part.log_prob(mine, found[-1], before, heat[at]))
        return self._ordered(found), torch.stack(sure, -1)


class Chain(Head):
    """Parts decided one after another, each knowing those before it and its own value of the last frame.

    All controls stand at points of a codebook. A residual r [..., D] walks through the parts: it
    begins with all values of the last frame, each part reads it and adds what it chose.
    """

    books: tuple[Codebook, ...]

    def __init__(
        self, features: int, values: Values, vocabulary: Vocabulary, design: Design
    ) -> None:
        books = _in_chain(values, vocabulary, design.options)
        super().__init__(books)
        self.books = tuple(books)
        width = design.head_width
        self.begin = nn.Linear(features, width)
        self.out = nn.ModuleList([nn.Linear(width, book.width) for book in books])
        # a row more each: hidden
        self.last = nn.EmbeddingBag(sum(book.size + 1 for book in books), width, mode="sum")
        self.first_of = np.cumsum([0, *(book.size + 1 for book in books)]).tolist()
        self.chosen = nn.ModuleList([nn.Embedding(book.size, width) for book in books[:-1]])
        for table in (self.last, *self.chosen):
            nn.init.normal_(table.weight, std=0.1)
        for out in self.out:
            assert isinstance(out, nn.Linear)
            nn.init.constant_(out.bias[:1], -2.0)  # most frames change nothing
            nn.init.zeros_(out.bias[1:])

    def forward(  # noqa: D102
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        index, before = self._indices(values), self._indices(previous)
        return torch.cat(self._walk(h, index, before, hidden), -1)

    def learn(
        self, h: Tensor, values: Tensor, previous: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """As in `Head`, with points looked up once."""
        index, before = self._indices(values), self._indices(previous)
        outputs = self._walk(h, index, before, hidden)
        return torch.cat(
            [
                book.index_costs(*each)
                for book, *each in zip(self.books, outputs, index, before, strict=True)
            ],
            -1,
        )

    def sample(  # noqa: D102
        self, h: Tensor, previous: Tensor, noise: Tensor, temperature: Heat = 1.0
    ) -> tuple[Tensor, Tensor]:
        previous_at, heat = self._indices(previous), self.by_part(temperature)
        r, found, sure = self._begin(h, previous_at, None), [], []
        noises = torch.split(noise, [book.draws for book in self.books], -1)
        for at, (book, before) in enumerate(zip(self.books, previous_at, strict=True)):
            output = self._read(at, r)
            index, log_prob = book.sample_index(output, before, noises[at], heat[at])
            found.append(book.value(index))
            sure.append(log_prob)
            if at + 1 < len(self.books):
                r = r + self.chosen[at](index)
        return self._ordered(found), torch.stack(sure, -1)

    def _indices(self, values: Tensor) -> list[Tensor]:
        return [
            book.index(values[..., place])
            for book, place in zip(self.books, self.places, strict=True)
        ]

    def _walk(
        self, h: Tensor, index: list[Tensor], before: list[Tensor], hidden: Tensor | None
    ) -> list[Tensor]:
        r, outputs = self._begin(h, before, hidden), []
        for at in range(len(self.books)):
            outputs.append(self._read(at, r))
            if at + 1 < len(self.books):
                r = r + self.chosen[at](index[at])
        return outputs

    def _begin(self, h: Tensor, before: list[Tensor], hidden: Tensor | None) -> Tensor:
        """The residual that the parts begin with: what matters now, and the own values of the last frame."""
        if hidden is not None:
            before = [
                torch.where(hidden, book.size, at)
                for book, at in zip(self.books, before, strict=True)
            ]
        rows = torch.stack(
            [at + first for at, first in zip(before, self.first_of, strict=False)], -1
        )
        r: Tensor = self.begin(h)
        last: Tensor = self.last(rows.flatten(0, -2))
        return r + last.view(r.shape)

    def _read(self, at: int, r: Tensor) -> Tensor:
        output: Tensor = self.out[at](functional.relu(r))
        return output.float()


HEADS: dict[str, Callable[[int, Values, Vocabulary, Design], Head]] = {
    "independent": Independent,
    "chain": Chain,
}


# ---- which parts there are -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """Values that stand at points together: a stick's two axes, a few flags, or one value alone."""

    name: str
    kind: str  # stick, real, flags, choice
    at: tuple[int, ...]
    keys: tuple[str, ...] = field(default=())


def pieces(values: Values) -> list[Piece]:
    """The control values as the pieces of a chain: sticks, other reals, choices, then flags, which depend on all of them.

    Reals whose names end in `_x` and `_y` are a stick.
    """
    schema, names, found = values.schema, values.names, []
    of_kind = {kind: [at for at, key in enumerate(names) if isinstance(schema.columns[key].field, kind)]
               for kind in (Real, Choice, Flag)}  # fmt: skip
    left = list(of_kind[Real])
    for at in of_kind[Real]:
        key = names[at]
        partner = (
            [other for other in left if names[other] == f"{key[:-2]}_y" and other != at]
            if key.endswith("_x")
            else []
        )
        if partner:
            same_slot = (
                partner[names[:at].count(key)]
                if len(partner) > names[:at].count(key)
                else partner[0]
            )
            found.append(Piece(_short(key)[:-2], "stick", (at, same_slot)))
            left = [other for other in left if other not in (at, same_slot)]
    found += [Piece(_short(names[at]), "real", (at,)) for at in left]
    found += [Piece(_short(names[at]), "choice", (at,)) for at in of_kind[Choice]]
    flags = of_kind[Flag]
    for first in range(0, len(flags), LOOKED_UP):
        chosen = flags[first : first + LOOKED_UP]
        found.append(
            Piece("flags" if len(flags) <= LOOKED_UP else f"flags_{first}", "flags", tuple(chosen))
        )
    return [
        Piece(p.name, p.kind, p.at, tuple(names[at] for at in p.at)) for p in _named_once(found)
    ]


def fit_vocabulary(
    values: Values, pressed: Array, often: int = SEEN_OFTEN
) -> dict[str, list[list[float]]]:
    """The points of each piece, from values [frames, V] of the training side: combinations seen at least so often.

    Neutral is always one of them. Sticks have rings of places around neutral, other reals their
    quantiles.
    """
    found = usual_vocabulary(values)
    for piece in pieces(values):
        mine = pressed[:, list(piece.at)]
        if piece.kind == "flags":
            rows, count = np.unique(mine > 0.5, axis=0, return_counts=True)
            kept = (
                rows[np.argsort(-count, kind="stable")][: int((count >= often).sum())]
                .astype(float)
                .tolist()
            )
            neutral = [0.0] * len(piece.at)
            found[piece.name] = [neutral, *(row for row in kept if row != neutral)]
        elif piece.kind == "real" and len(mine):
            found[piece.name] = [[value] for value in _quantiles(mine[:, 0])]
    return found


def usual_vocabulary(values: Values) -> dict[str, list[list[float]]]:
    """The points of each piece where no data says more: nothing and every flag alone, or, of few flags, all combinations."""
    found: dict[str, list[list[float]]] = {}
    for piece in pieces(values):
        fields = [values.schema.columns[key].field for key in piece.keys]
        if piece.kind == "flags":
            many = len(piece.at)
            some = (
                list(product((0.0, 1.0), repeat=many))
                if many <= ALL_COMBINATIONS
                else [[0.0] * many, *np.eye(many).tolist()]
            )
            found[piece.name] = [list(map(float, row)) for row in some]
        elif isinstance(fields[0], Choice):
            found[piece.name] = [[float(value)] for value in range(fields[0].n)]
        elif piece.kind == "stick":
            found[piece.name] = _rings(*(_reach(f) for f in fields if isinstance(f, Real)))
        else:
            assert isinstance(fields[0], Real)
            low, high = _ends(fields[0])
            found[piece.name] = [
                [float(v)]
                for v in np.unique(
                    [0.0 if low <= 0 <= high else low, *np.linspace(low, high, MOST_POINTS)]
                )
            ]
    return found


def _in_chain(values: Values, vocabulary: Vocabulary, options: Options) -> list[Codebook]:
    return [
        Codebook(piece.name, piece.keys, piece.at, vocabulary[piece.name], options)
        for piece in pieces(values)
    ]


def _alone(values: Values, vocabulary: Vocabulary, design: Design) -> list[Part]:
    """Reals and flags value by value; choices by their own points."""
    schema = values.schema
    parts: list[Part] = []
    found: dict[type, list[tuple[str, int]]] = {Real: [], Flag: [], Choice: []}
    for at, key in enumerate(values.names):
        found[type(schema.columns[key].field)].append((key, at))
    seed = design.loss == "seed"
    if found[Real]:
        keys, places = zip(*found[Real], strict=True)
        fields = [f for key in keys if isinstance(f := schema.columns[key].field, Real)]
        scale = [f.scale for f in fields]
        if design.reals == "mixture":
            parts.append(Mixture(keys, places, scale))
        else:
            span = [_ends(f) for f in fields] if seed else None
            parts.append(Regression(keys, places, scale, span, 1 / len(keys) if seed else 0.5))
    if found[Flag]:
        keys, places = zip(*found[Flag], strict=True)
        parts.append(Flags(keys, places, design.options, 1 / len(keys) if seed else 1.0))
    for piece in pieces(values):
        if piece.kind == "choice":
            parts.append(Codebook(piece.name, piece.keys, piece.at, vocabulary[piece.name]))
    return parts


def _short(key: str) -> str:
    return key.split("/", 1)[1]


def _named_once(found: list[Piece]) -> list[Piece]:
    """A player with several slots has several pieces of a name: they are numbered."""
    count = {p.name: sum(other.name == p.name for other in found) for p in found}
    seen: dict[str, int] = {}
    out = []
    for p in found:
        seen[p.name] = seen.get(p.name, -1) + 1
        out.append(Piece(f"{p.name}_{seen[p.name]}" if count[p.name] > 1 else p.name, p.kind, p.at))
    return out


def _ends(real: Real) -> tuple[float, float]:
    """The range of a real control: declared, or what its scale makes one."""
    return (-1 / real.scale if real.low is None else real.low), (
        1 / real.scale if real.high is None else real.high
    )


def _reach(real: Real) -> float:
    return max(map(abs, _ends(real)))


def _rings(right: float, up: float) -> list[list[float]]:
    points = []
    for share, many in RINGS:
        turns = 2 * np.pi * np.arange(many) / many
        points += [
            [share * right * float(np.cos(turn)), share * up * float(np.sin(turn))]
            for turn in turns
        ]
    return points


def _quantiles(values: Array) -> list[float]:
    """Up to MOST_POINTS values: all that there are, or their quantiles; neutral among them."""
    alone = np.unique(values)
    if len(alone) > MOST_POINTS - 1:
        alone = np.unique(
            np.quantile(values[values != 0], (np.arange(MOST_POINTS - 1) + 0.5) / (MOST_POINTS - 1))
        )
    return [float(v) for v in np.unique(np.append(alone, 0.0))]
