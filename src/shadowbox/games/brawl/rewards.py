"""Rewards of Brawl: weighted sums of named terms, with the presets `sparse` and `dense`.

Every term is a function of the frame before, the frame after and the events between. It is [N, 2],
for both players, positive where it is good for a player. A weight is a number, or a tuple of
(step, weight) pairs with linear interpolation between them. Losing is never rewarded: the signals
of a lost stock and of a lost match are negative for the loser, in every preset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl.rules import (
    DT,
    E_COMBO,
    E_DROP,
    E_HIT,
    E_KNOCKOUT,
    E_PICKUP,
    E_WIN,
    S_ATTACK,
    S_KO,
)  # fmt: skip
from shadowbox.games.brawl.schema import KEYS

DAMAGE_UNIT = 140.0
DANGER_Y = 4.2  # below the higher block's standing height: y grows downward
NEAR, PRESS_NEAR, HALF_STAGE = 4.5, 8.0, 14.9  # u

Weight = float | tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class _Moment:
    """Transition that the terms are computed from: two frames [N, 2] and the events [E] between.

    The masks are [N, 1].
    """

    before: Columns
    after: Columns
    events: Array
    live: Array  # the match went on
    both_in: Array  # and neither fighter was out or just came back: positions can be compared

    def by_player(self, kind: int, values: Array | float = 1.0) -> Array:
        """Sum of `values` over the events of a kind, for each event's `player`, [N, 2]."""
        chosen = self.events["kind"] == kind
        rows = self.events[chosen]
        out = np.zeros(self.after["player/x"].shape)
        np.add.at(
            out, (rows["match"], rows["player"]), np.broadcast_to(values, chosen.shape)[chosen]
        )
        return out

    def gap(self, columns: Columns) -> Array:
        """Distance between the fighters, [N, 1]."""
        x, y = columns["player/x"].astype(float), columns["player/y"].astype(float)
        return np.asarray(np.hypot(x[:, :1] - x[:, 1:], y[:, :1] - y[:, 1:]))

    def pressed(self) -> Array:
        """Number of keys held, [N, 2]."""
        return np.asarray(np.sum([self.after[f"keys/{key}"] for key in KEYS], axis=0))


def _other(values: Array) -> Array:
    return values[:, ::-1]


def damage(m: _Moment) -> Array:
    """Damage dealt minus damage taken, in units of 140."""
    dealt = m.by_player(E_HIT, m.events["value"])
    return (dealt - _other(dealt)) / DAMAGE_UNIT


def danger_zone(m: _Moment) -> Array:
    """Penalty for time spent below the stage, in seconds."""
    y = m.after["player/y"]
    return np.where(m.live & (y >= DANGER_Y) & (m.after["player/state"] != S_KO), -DT, 0.0)


def head_to_opponent(m: _Moment) -> Array:
    """Distance moved sideways toward the opponent, in u."""
    x, old = m.after["player/x"].astype(float), m.before["player/x"].astype(float)
    return np.where(m.both_in, np.sign(_other(old) - old) * (x - old), 0.0)


def closing(m: _Moment) -> Array:
    """A quarter of the distance closed, plus a little for being near, clipped to -1 .. 1."""
    gap = m.gap(m.after)
    near = np.clip(1.0 - gap / NEAR, 0.0, 1.0) * DT
    return np.where(
        m.both_in, np.clip(0.25 * (m.gap(m.before) - gap) + near, -1.0, 1.0), 0.0
    ) * np.ones(2)


def edge_pressure(m: _Moment) -> Array:
    """Distance the opponent was driven outward, minus half of the distance it came back."""
    outward = (
        np.abs(_other(m.after["player/x"])) - np.abs(_other(m.before["player/x"]))
    ) / HALF_STAGE
    return np.where(m.both_in, np.where(outward > 0, outward, 0.5 * outward), 0.0)


def attack_press(m: _Moment) -> Array:
    """Time with an attack key held, worth more near the opponent, and half without a hit."""
    keys = m.after["keys/j"] | m.after["keys/k"]
    near = np.clip(1.0 - m.gap(m.after) / PRESS_NEAR, 0.0, 1.0)
    y = m.after["player/y"].astype(float)
    level = np.clip(1.0 - np.abs(y - _other(y)) / 2.0, 0.0, 1.0)
    worth = DT * (0.15 + 0.65 * near + 0.2 * level)
    return np.where(keys & m.live, np.where(m.by_player(E_HIT) > 0, worth, 0.5 * worth), 0.0)


def many_keys(m: _Moment) -> Array:
    """Penalty for time with more than three keys held, in seconds."""
    return np.where(m.live & (m.pressed() > 3), -DT, 0.0)


def attacking(m: _Moment) -> Array:
    """Penalty for time spent in a move, in seconds; against button mashing."""
    return np.where(m.live & (m.after["player/state"] == S_ATTACK), -DT, 0.0)


def base_height(m: _Moment) -> Array:
    """Penalty for the squared height above or below the middle, per second."""
    y = m.after["player/y"].astype(float)
    return np.where(m.live & (m.after["player/state"] != S_KO), -y * y * DT, 0.0)


def head_to_middle(m: _Moment) -> Array:
    """Distance moved sideways toward the middle of the stage, in u."""
    x, old = m.after["player/x"].astype(float), m.before["player/x"].astype(float)
    return np.where(m.both_in, np.abs(old) - np.abs(x), 0.0)


def win(m: _Moment) -> Array:
    """Result of the match: +1 for the winner, -1 for the loser, 0 for both in a draw."""
    won = m.by_player(E_WIN)
    return won - _other(won)


def knockout(m: _Moment) -> Array:
    """Stocks: -1 for each own stock lost, +1 for each of the opponent's."""
    lost = m.by_player(E_KNOCKOUT)
    return _other(lost) - lost


def combo(m: _Moment) -> Array:
    """Combos: +1 for hitting a stunned opponent, -1 for being hit while stunned."""
    made = m.by_player(E_COMBO)
    return made - _other(made)


def equip(m: _Moment) -> Array:
    """Pick-ups: +1 for a spear, +2 for a hammer."""
    return m.by_player(E_PICKUP, m.events["what"].astype(float))


def drop(m: _Moment) -> Array:
    """Drops: -1 for dropping a weapon."""
    return -m.by_player(E_DROP)


TERMS: dict[str, Callable[[_Moment], Array]] = {
    term.__name__: term
    for term in (
        damage, danger_zone, head_to_opponent, closing, edge_pressure, attack_press, many_keys,
        attacking, base_height, head_to_middle, win, knockout, combo, equip, drop,
    )
}  # fmt: skip

# Learning steps between which the shaping terms of `dense` fade, so that the result counts in the
# end.
_STAGES = (0, 30_000, 50_000, 100_000, 200_000)


def _fading(*weights: float) -> tuple[tuple[int, float], ...]:
    return tuple(zip(_STAGES, weights, strict=True))


PRESETS: dict[str, dict[str, Weight]] = {
    "sparse": {
        "damage": 300.0, "win": 500.0, "knockout": 50.0,
        "attack_press": ((0, 1.0), (10_000, 0.0)),
    },
    "dense": {
        "damage": 500.0, "danger_zone": 2.0, "many_keys": 0.05,
        "win": 2000.0, "knockout": 150.0, "combo": 50.0, "equip": 25.0, "drop": 10.0,
        "head_to_opponent": _fading(10, 8, 5.5, 3.5, 1), "attack_press": _fading(15, 11, 6.5, 3, 1),
        "closing": _fading(6, 4.5, 3, 1.5, 0.5), "edge_pressure": _fading(4, 3, 2, 1, 0.5),
    },
}  # fmt: skip

_BEFORE = ("player/x", "player/y", "player/state", "match/frame")


def before(columns: Columns) -> Columns:
    """Copy the columns that the terms need of a frame, before the next step overwrites them."""
    return {key: columns[key].copy() for key in _BEFORE}


class BrawlReward:
    """Weighted sum of terms.

    Call `earlier = reward.before(columns)`, step the world, then
    `reward(earlier, columns, events)`.
    """

    before = staticmethod(before)

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        for name in weights:
            if name not in TERMS:
                raise UsageError(f"unknown reward term '{name}': {did_you_mean(name, TERMS)}")
            if not _is_weight(weights[name]):
                raise UsageError(
                    f"reward term '{name}': the weight must be a number or a tuple of "
                    f"(step, weight) pairs (got {weights[name]!r})"
                )
        self.weights = dict(weights)

    @staticmethod
    def preset(name: str) -> BrawlReward:
        """Reward preset of a name: `sparse` or `dense`."""
        if name not in PRESETS:
            raise UsageError(f"unknown reward preset '{name}': {did_you_mean(name, PRESETS)}")
        return BrawlReward(PRESETS[name])

    def weight(self, name: str, step: int) -> float:
        """Weight of a term after `step` learning steps."""
        weight = self.weights[name]
        if not isinstance(weight, tuple):
            return float(weight)
        steps, weights = zip(*weight, strict=True)
        return float(np.interp(step, steps, weights))

    def __call__(
        self, earlier: Columns, after: Columns, events: Array, step: int = 0
    ) -> tuple[Array, dict[str, Array]]:
        """Reward of both players for one frame: the sum [N, 2] and each weighted term [N, 2]."""
        live = after["match/frame"] != earlier["match/frame"]
        out = (earlier["player/state"] == S_KO) | (after["player/state"] == S_KO)
        moment = _Moment(earlier, after, events, live, live & ~out.any(axis=1, keepdims=True))
        parts = {}
        for name in self.weights:
            weight = self.weight(name, step)
            parts[name] = (
                weight * TERMS[name](moment) if weight else np.zeros(after["player/x"].shape)
            )
        return np.sum(list(parts.values()), axis=0), parts


def _is_weight(weight: object) -> bool:
    if not isinstance(weight, tuple):
        return _is_number(weight)
    return len(weight) > 0 and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_number, pair)) for pair in weight
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
