"""Moves with paths: jumps between the parts of a move, and what a part does besides striking.

A part is a span of a move's frames. At the end of one the move goes on with another by hit or miss,
or earlier: on a hit, when the key is released, or close above the ground.
"""

from __future__ import annotations

import math
from typing import Any

from shadowbox.games.brawl.jit import inner
from shadowbox.games.brawl.movement import approach, facing, side
from shadowbox.games.brawl.moves import (
    ALWAYS,
    DAMP,
    DRAG,
    HIT,
    LOW,
    LOWEST,
    PULL,
    PUSH,
    RELEASED,
    SET,
    STEER,
)  # fmt: skip
from shadowbox.games.brawl.rules import AIR_CONTROL, S_ATTACK, S_DODGE, S_KO, WALK

Record = Any  # a MATCH or TABLE record


@inner
def next_frame(m: Record, p: int, move: Record, frame: int) -> int:
    """Frame of the move that follows `frame`; beyond its length where it ends.

    Keys are those that were held in `frame`. A jump forgets whom the strikes have hit: in the next
    part they hit again.
    """
    for i in range(move.paths):
        if not move.path_first[i] <= frame <= move.path_last[i]:
            continue
        when = move.path_when[i]
        if (
            when == ALWAYS
            or (when == HIT and m.struck[p] != 0)
            or (when == RELEASED and m.keys_j[p] == 0 and m.keys_k[p] == 0)
            or (when == LOW and float(m.y[p]) + move.path_y[i] > LOWEST)
        ):
            m.struck[p] = 0
            return int(move.path_to[i])
    return frame + 1


@inner
def apply_effects(m: Record, p: int, keys: int, move: Record, frame: int) -> None:
    """Change the own velocity as the move says for this frame."""
    for i in range(move.effects):
        if not move.effect_first[i] <= frame <= move.effect_last[i]:
            continue
        kind, x, y = move.effect_kind[i], move.effect_x[i], move.effect_y[i]
        vx, vy = float(m.vx[p]), float(m.vy[p])
        if kind == SET:
            m.vx[p] = vx if math.isnan(x) else facing(m, p) * x
            m.vy[p] = vy if math.isnan(y) else y
        elif kind == DAMP:
            m.vx[p], m.vy[p] = vx * x, vy * y
        elif kind == PUSH:
            m.vx[p], m.vy[p] = vx + facing(m, p) * x, vy + y
        elif kind == DRAG:
            m.vx[p] = approach(vx, 0.0, AIR_CONTROL)
        elif kind == STEER:
            m.vx[p] = approach(vx, side(m, p, keys) * WALK, AIR_CONTROL)


@inner
def pull(m: Record, p: int, table: Any) -> tuple[float, float]:
    """Velocity (x, y) by which the move of `p` pulls the other fighter, whom it has hit."""
    q, x, y = 1 - p, 0.0, 0.0
    if m.state[p] != S_ATTACK or m.state[q] == S_KO or m.state[q] == S_DODGE:
        return x, y
    move, frame = table[m.weapon[p], m.move[p]], m.move_frame[p]
    for i in range(move.effects):
        now = move.effect_first[i] <= frame <= move.effect_last[i]
        has_hit = move.effect_sure[i] != 0 or m.struck[p] != 0
        if now and has_hit and move.effect_kind[i] == PULL:
            ahead = float(m.x[p]) + facing(m, p) * move.effect_x[i]
            x += move.effect_strength[i] * (ahead - float(m.x[q]))
            level = float(m.y[p]) + move.effect_y[i]
            y += move.effect_strength[i] * (level - float(m.y[q]))
    return x, y
