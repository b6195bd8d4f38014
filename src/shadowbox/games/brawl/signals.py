"""Signals for learners: observations and reward terms of one match, as compiled functions.

`m` is a MATCH record. Each number is computed in the type in which it is defined: f4 where it comes
from reals alone, f8 elsewhere. Observations are stored as f4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shadowbox.games.brawl.jit import inner
from shadowbox.games.brawl.rules import (
    DODGE_FRAMES,
    DT,
    E_COMBO,
    E_DROP,
    E_HIT,
    E_KNOCKOUT,
    E_PICKUP,
    E_WIN,
    S_ATTACK,
    S_DODGE,
    S_KO,
    S_STUN,
    J,
    K,
)  # fmt: skip
from shadowbox.games.brawl.schema import EVENTS, KEYS, MAX_DAMAGE, MOVES, STATES, WEAPONS
from shadowbox.games.brawl.tables import TERMS

Record = Any
f4, f8 = np.float32, np.float64  # `float` leaves an f4 as it is in compiled code

# ---- observations --------------------------------------------------------------------------------

RAW_FIGHTER, RAW_STAGE = 16, 16  # numbers
_MAX_DAMAGE, _CLOCK = f4(MAX_DAMAGE), f4(2700)
_TENTH, _HUNDREDTH, _HALF, _ZERO = f4(0.1), f4(0.01), f4(0.5), f4(0.0)


@inner
def clipped(value: Any, limit: Any) -> Any:
    """`value` within -limit and limit."""
    return -limit if value < -limit else (limit if value > limit else value)


@inner
def raw_fighter(m: Record, p: int, out: Any, at: int) -> None:
    """The numbers of a fighter in the layout of the original game."""
    grounded, state = m.grounded[p] != 0, m.state[p]
    out[at] = clipped(m.x[p], f4(18))
    out[at + 1] = clipped(m.y[p], f4(7))
    out[at + 2] = clipped(m.vx[p], f4(10))
    out[at + 3] = clipped(m.vy[p], f4(10))
    out[at + 4] = m.facing_right[p]
    out[at + 5] = m.grounded[p]
    out[at + 6] = 0 if grounded else 1
    out[at + 7] = 0 if grounded else m.air_jumps[p]
    out[at + 8] = state
    out[at + 9] = 0 if grounded else m.recoveries[p]
    out[at + 10] = max(DODGE_FRAMES - int(m.age[p]), 0) if state == S_DODGE else 0
    out[at + 11] = m.stun[p] if state == S_STUN else 0
    out[at + 12] = m.damage[p] / _MAX_DAMAGE
    out[at + 13] = m.stocks[p]
    # the original game numbers its moves from 2
    out[at + 14] = int(m.move[p]) + 1 if m.move[p] > 0 else 0
    out[at + 15] = m.weapon[p]


@inner
def observe_raw(m: Record, p: int, keys: int, out: Any) -> None:
    """Observation `raw` of the player in seat `p`: [64]."""
    at = 0
    for side in range(2):
        raw_fighter(m, p if side == 0 else 1 - p, out, at)
        at += RAW_FIGHTER
        for k in range(4):
            kind = 1 if k < 2 else int(m.item_weapon[k]) + 1
            out[at] = m.item_x[k]
            out[at + 1] = m.item_y[k]
            out[at + 2] = kind if m.item_alive[k] else 0
            at += 3
        out[at] = m.platform_x[0]
        out[at + 1] = m.platform_y[0]
        out[at + 2] = m.platform_vx[0]
        out[at + 3] = m.platform_vy[0]
        at += 4


@inner
def one_hot(value: int, size: int, out: Any, at: int) -> int:
    """Set the number of `value` among `size`, which are 0; the next free place."""
    if value < size:
        out[at + value] = 1
    return at + size


@inner
def scaled_fighter(m: Record, p: int, out: Any, at: int) -> int:
    """The numbers of a fighter, scaled to order one."""
    out[at] = m.x[p] * _TENTH
    out[at + 1] = m.y[p] * _TENTH
    out[at + 2] = m.vx[p] * _TENTH
    out[at + 3] = m.vy[p] * _TENTH
    out[at + 4] = m.damage[p] * _HUNDREDTH
    out[at + 5] = m.facing_right[p]
    out[at + 6] = m.grounded[p]
    out[at + 7] = m.on_platform[p]
    out[at + 8] = float(m.air_jumps[p]) * 0.5
    out[at + 9] = m.recoveries[p]
    out[at + 10] = float(m.stocks[p]) * (1 / 3)
    out[at + 11] = float(m.age[p]) * (1 / 30)
    out[at + 12] = float(m.stun[p]) * 0.1
    out[at + 13] = float(m.jump_cooldown[p]) * (1 / 6)
    out[at + 14] = float(m.dodge_cooldown[p]) * (1 / 82)
    out[at + 15] = float(m.shield[p]) * (1 / 90)
    out[at + 16] = float(m.move_frame[p]) * (1 / 20)
    out[at + 17] = float(m.charge[p]) * (1 / 20)
    at = one_hot(int(m.state[p]), len(STATES), out, at + 18)
    at = one_hot(int(m.move[p]), len(MOVES), out, at)
    return int(one_hot(int(m.weapon[p]), len(WEAPONS), out, at))


@inner
def observe_default(m: Record, p: int, keys: int, out: Any) -> None:
    """Observation `default` of the player in seat `p`, who holds `keys`: [130]."""
    for i in range(out.shape[0]):
        out[i] = 0
    at = scaled_fighter(m, 1 - p, out, scaled_fighter(m, p, out, 0))
    out[at] = (m.x[1 - p] - m.x[p]) * _TENTH
    out[at + 1] = (m.y[1 - p] - m.y[p]) * _TENTH
    at += 2
    for k in range(4):
        alive = m.item_alive[k] != 0
        out[at] = (m.item_x[k] - m.x[p] if alive else _ZERO) * _TENTH
        out[at + 1] = (m.item_y[k] - m.y[p] if alive else _ZERO) * _TENTH
        at = one_hot(int(m.item_weapon[k]) if alive else 0, len(WEAPONS), out, at + 2)
    out[at] = m.platform_x[0] * _HALF
    out[at + 1] = m.platform_y[0] * _HALF
    out[at + 2] = m.platform_vx[0]
    out[at + 3] = m.platform_vy[0]
    out[at + 4] = m.match_left[0] / _CLOCK
    out[at + 5] = 1 if m.match_stage[0] == 1 else 0
    for bit in range(len(KEYS)):
        out[at + 6 + bit] = (keys >> bit) & 1


# ---- reward terms --------------------------------------------------------------------------------

# by number, in the order of TERMS
(
    DAMAGE, DANGER_ZONE, HEAD_TO_OPPONENT, CLOSING, EDGE_PRESSURE, ATTACK_PRESS, MANY_KEYS,
    ATTACKING, BASE_HEIGHT, HEAD_TO_MIDDLE, WIN, KNOCKOUT, COMBO, EQUIP, DROP,
) = range(len(TERMS))  # fmt: skip

DAMAGE_UNIT = 140.0
DANGER_Y = f4(4.2)  # below the higher block's standing height: y grows downward
NEAR, PRESS_NEAR, HALF_STAGE = 4.5, 8.0, f4(14.9)  # u
# rows of the sums of a frame's events by player: the number of each kind, then two more
DEALT, TAKEN_UP = len(EVENTS), len(EVENTS) + 1
SUMS = len(EVENTS) + 2


@inner
def add_event(sums: Any, event: Record) -> None:
    """Add an event to the sums [SUMS, 2] of its frame."""
    kind, player = int(event.kind), int(event.player)
    sums[kind, player] += 1.0
    if kind == E_HIT:
        sums[DEALT, player] += f8(event.value)
    elif kind == E_PICKUP:
        sums[TAKEN_UP, player] += float(event.what)


@inner
def gap(m: Record) -> float:
    """Distance between the fighters."""
    return float(np.hypot(f8(m.x[0]) - f8(m.x[1]), f8(m.y[0]) - f8(m.y[1])))


@inner
def event_term(term: int, sums: Any, p: int) -> float:
    """Value of a term that counts events."""
    q = 1 - p
    if term == DAMAGE:
        return float((sums[DEALT, p] - sums[DEALT, q]) / DAMAGE_UNIT)
    if term == WIN:
        return float(sums[E_WIN, p] - sums[E_WIN, q])
    if term == KNOCKOUT:
        return float(sums[E_KNOCKOUT, q] - sums[E_KNOCKOUT, p])
    if term == COMBO:
        return float(sums[E_COMBO, p] - sums[E_COMBO, q])
    if term == EQUIP:
        return float(sums[TAKEN_UP, p])
    return float(-sums[E_DROP, p])


@inner
def time_term(term: int, m: Record, p: int, keys: int, sums: Any, now: float) -> float:
    """Value of a term of the frame after the step; `now` is its gap. The match went on."""
    y = f8(m.y[p])
    if term == ATTACK_PRESS:
        if keys & (J | K) == 0:
            return 0.0
        near = min(max(1.0 - now / PRESS_NEAR, 0.0), 1.0)
        level = min(max(1.0 - abs(y - f8(m.y[1 - p])) / 2.0, 0.0), 1.0)
        worth = DT * (0.15 + 0.65 * near + 0.2 * level)
        return worth if sums[E_HIT, p] > 0 else 0.5 * worth
    if term == MANY_KEYS:
        pressed = 0
        for bit in range(len(KEYS)):
            pressed += (keys >> bit) & 1
        return -DT if pressed > 3 else 0.0
    if term == ATTACKING:
        return -DT if m.state[p] == S_ATTACK else 0.0
    if m.state[p] == S_KO:
        return 0.0
    if term == DANGER_ZONE:
        return -DT if m.y[p] >= DANGER_Y else 0.0
    return -y * y * DT  # BASE_HEIGHT


@inner
def way_term(term: int, b: Record, m: Record, p: int, was: float, now: float) -> float:
    """Value of a term of both frames, whose gaps are `was` and `now`; neither was out."""
    x, old, other = f8(m.x[p]), f8(b.x[p]), f8(b.x[1 - p])
    if term == HEAD_TO_OPPONENT:
        toward = 1.0 if other > old else (-1.0 if other < old else 0.0)
        return toward * (x - old)
    if term == HEAD_TO_MIDDLE:
        return abs(old) - abs(x)
    # CLOSING
    near = min(max(1.0 - now / NEAR, 0.0), 1.0) * DT
    return min(max(0.25 * (was - now) + near, -1.0), 1.0)


@inner
def edge_pressure(b: Record, m: Record, p: int) -> Any:
    """Value of the term `edge_pressure`, f4."""
    outward = (abs(m.x[1 - p]) - abs(b.x[1 - p])) / HALF_STAGE
    return outward if outward > _ZERO else _HALF * outward


@inner
def judge(
    b: Record, m: Record, keys: Any, sums: Any, weights: Any, judged: Any, match: int
) -> None:
    """Weighted terms of a frame, and before them their sum: judged [1 + terms, N, 2].

    `b` holds the frame before. `weights` [terms, 2] names a term and its weight.
    """
    live = m.match_frame[0] != b.match_frame[0]
    both_in = live
    for p in range(2):
        both_in = both_in and b.state[p] != S_KO and m.state[p] != S_KO
    was = gap(b) if both_in else 0.0
    now = gap(m) if live else 0.0
    for p in range(2):
        total = 0.0
        for k in range(weights.shape[0]):
            term, weight = int(weights[k, 0]), weights[k, 1]
            if weight == 0.0:
                value = 0.0
            elif term == EDGE_PRESSURE:
                value = float(f4(weight) * (edge_pressure(b, m, p) if both_in else _ZERO))
            elif term == DAMAGE or term >= WIN:
                value = weight * event_term(term, sums, p)
            elif term in (CLOSING, HEAD_TO_OPPONENT, HEAD_TO_MIDDLE):
                value = weight * (way_term(term, b, m, p, was, now) if both_in else 0.0)
            else:
                value = weight * (time_term(term, m, p, int(keys[p]), sums, now) if live else 0.0)
            judged[1 + k, match, p] = value
            total += value
        judged[0, match, p] = total
