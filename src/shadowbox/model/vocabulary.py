"""Vocabulary of a codebook head: which combinations of controls it distinguishes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from shadowbox.core.schema import Array, Choice, Flag, Real
from shadowbox.model.codec import ControlValues
from shadowbox.model.distributions import LOOKED_UP

if TYPE_CHECKING:
    pass


SEEN_OFTEN = 100  # times; a combination that is rarer is read as the nearest one


MOST_POINTS = 33  # places of a control that has no partner


# places of a stick: share of its reach, how many around
RINGS = ((0.0, 1), (0.35, 8), (0.7, 16), (1.0, 32))


ALL_COMBINATIONS = 6  # flags of which, without data, every combination is a point


@dataclass(frozen=True)
class ControlFactor:
    """Values that stand at points together: a stick's two axes, a few flags, or one value alone."""

    name: str
    kind: str  # stick, real, flags, choice
    at: tuple[int, ...]
    keys: tuple[str, ...] = field(default=())


def control_factors(values: ControlValues) -> list[ControlFactor]:
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
            found.append(ControlFactor(_short(key)[:-2], "stick", (at, same_slot)))
            left = [other for other in left if other not in (at, same_slot)]
    found += [ControlFactor(_short(names[at]), "real", (at,)) for at in left]
    found += [ControlFactor(_short(names[at]), "choice", (at,)) for at in of_kind[Choice]]
    flags = of_kind[Flag]
    for first in range(0, len(flags), LOOKED_UP):
        chosen = flags[first : first + LOOKED_UP]
        found.append(
            ControlFactor(
                "flags" if len(flags) <= LOOKED_UP else f"flags_{first}", "flags", tuple(chosen)
            )
        )
    return [
        ControlFactor(p.name, p.kind, p.at, tuple(names[at] for at in p.at))
        for p in _named_once(found)
    ]


def fit_vocabulary(
    values: ControlValues, pressed: Array, often: int = SEEN_OFTEN
) -> dict[str, list[list[float]]]:
    """The points of each piece, from values [frames, V] of the training side: combinations seen at least so often.

    Neutral is always one of them. Sticks have rings of places around neutral, other reals their
    quantiles.
    """
    found = default_vocabulary(values)
    for piece in control_factors(values):
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


def default_vocabulary(values: ControlValues) -> dict[str, list[list[float]]]:
    """The points of each piece where no data says more: nothing and every flag alone, or, of few flags, all combinations."""
    found: dict[str, list[list[float]]] = {}
    for piece in control_factors(values):
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
            low, high = field_range(fields[0])
            found[piece.name] = [
                [float(v)]
                for v in np.unique(
                    [0.0 if low <= 0 <= high else low, *np.linspace(low, high, MOST_POINTS)]
                )
            ]
    return found


def _short(key: str) -> str:
    return key.split("/", 1)[1]


def _named_once(found: list[ControlFactor]) -> list[ControlFactor]:
    """A player with several slots has several pieces of a name: they are numbered."""
    count = {p.name: sum(other.name == p.name for other in found) for p in found}
    seen: dict[str, int] = {}
    out = []
    for p in found:
        seen[p.name] = seen.get(p.name, -1) + 1
        out.append(
            ControlFactor(f"{p.name}_{seen[p.name]}" if count[p.name] > 1 else p.name, p.kind, p.at)
        )
    return out


def field_range(real: Real) -> tuple[float, float]:
    """The range of a real control: declared, or what its scale makes one."""
    return (-1 / real.scale if real.low is None else real.low), (
        1 / real.scale if real.high is None else real.high
    )


def _reach(real: Real) -> float:
    return max(map(abs, field_range(real)))


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
