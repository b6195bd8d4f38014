"""Attacks: choosing a move, playing it, testing hit boxes, and the effect of a hit."""

from __future__ import annotations

import math
from typing import Any

from shadowbox.games.brawl.jit import inner
from shadowbox.games.brawl.movement import approach, enter_idle, enter_state, facing, side
from shadowbox.games.brawl.rules import (
    BOUNCE,
    CHARGED,
    DOWNWARD,
    GROUND_POUND,
    HURT_H,
    HURT_R,
    NEUTRAL_AIR,
    NEUTRAL_HEAVY,
    NEUTRAL_LIGHT,
    NO_MOVE,
    PLUNGE_FRAMES,
    RECOVERY,
    S_ATTACK,
    S_DODGE,
    S_KO,
    S_STUN,
    SIDEWAYS,
    TOP_SPEED,
    WALK,
    J,
    K,
    S,
    W,
)  # fmt: skip
from shadowbox.games.brawl.schema import MAX_DAMAGE
from shadowbox.games.brawl.warehouse.paths import apply_effects, next_frame

Record = Any  # a MATCH, STAGE or TABLE record


@inner
def chosen_move(m: Record, p: int, keys: int) -> int:
    """Move that the held keys ask for, or NO_MOVE.

    W beats S, S beats A and D, heavy beats light.
    """
    heavy = keys & K != 0
    if not heavy and keys & J == 0:
        return NO_MOVE
    lean = 0
    if keys & W == 0:
        if keys & S != 0:
            lean = DOWNWARD
        elif side(m, p, keys) != 0.0:
            lean = SIDEWAYS
    if m.grounded[p]:
        return (NEUTRAL_HEAVY if heavy else NEUTRAL_LIGHT) + lean
    if not heavy:
        return NEUTRAL_AIR + lean
    if lean == DOWNWARD:
        return GROUND_POUND
    return RECOVERY if m.recoveries[p] > 0 else NO_MOVE


@inner
def begin_move(m: Record, p: int, move: int, keys: int, table: Any) -> None:
    """Start a move, turned toward the held side, and end the protection after a respawn."""
    toward = side(m, p, keys)
    if toward != 0.0:
        m.facing_right[p] = toward > 0.0
    enter_state(m, p, S_ATTACK)
    m.age[p] = 0
    m.move[p] = move
    m.move_frame[p] = 0
    m.charge[p] = 0
    m.struck[p] = 0
    m.shield[p] = 0
    if move == RECOVERY:
        m.recoveries[p] -= 1
    apply_motion(m, p, table[m.weapon[p], move], 0)


@inner
def apply_motion(m: Record, p: int, move: Record, frame: int) -> None:
    """Set the speeds that a move prescribes at this frame."""
    for i in range(move.motions):
        if move.motion_at[i] == frame:
            if not math.isnan(move.motion_x[i]):
                m.vx[p] = facing(m, p) * move.motion_x[i]
            if not math.isnan(move.motion_y[i]):
                m.vy[p] = move.motion_y[i]


@inner
def end_move(m: Record, p: int) -> None:
    """Reset a fighter's move, charge and struck bits."""
    m.move[p] = NO_MOVE
    m.move_frame[p] = 0
    m.charge[p] = 0
    m.struck[p] = 0


@inner
def play_move(m: Record, p: int, keys: int, table: Any, stage: Record) -> bool:
    """Advance the move in progress by one frame; False when it is over."""
    move, frame, age = table[m.weapon[p], m.move[p]], int(m.move_frame[p]), int(m.age[p])
    if move.charge > 0 and frame == move.charge_at and keys & K != 0 and m.charge[p] < move.charge:
        m.charge[p] += 1
    elif frame == move.plunge_at and not m.grounded[p] and age < PLUNGE_FRAMES:
        m.vy[p] = move.plunge
    else:
        frame = next_frame(m, p, move, frame) if move.paths > 0 else frame + 1
        if frame >= move.frames:
            end_move(m, p)
            enter_idle(m, p)
            return False
        m.move_frame[p] = frame
        apply_motion(m, p, move, frame)
        if move.effects > 0:
            apply_effects(m, p, keys, move, frame)
        if move.plunge > 0.0 and move.first[0] <= frame <= move.plunge_at and not m.grounded[p]:
            m.vy[p] = move.plunge
    vx = float(m.vx[p])
    if m.grounded[p]:
        m.vx[p] = approach(vx, 0.0, stage.attack_friction)
    else:
        m.vx[p] = approach(vx, side(m, p, keys) * WALK, stage.attack_steering)
    return True


@inner
def hovers(m: Record, p: int, table: Any) -> bool:
    """Test whether gravity is off for a fighter: in a dodge or a hovering move, never on ground.

    On ground, gravity is what keeps the fighter there.
    """
    if m.grounded[p]:
        return False
    if m.state[p] == S_DODGE:
        return True
    if m.state[p] != S_ATTACK:
        return False
    move = table[m.weapon[p], m.move[p]]
    return bool(move.hover_first <= m.move_frame[p] <= move.hover_last)


@inner
def invulnerable(m: Record, p: int) -> bool:
    """Test whether a fighter cannot be hit: dodging, just respawned, or out."""
    return bool(m.state[p] == S_DODGE or m.state[p] == S_KO or m.shield[p] > 0)


@inner
def landing_strike(m: Record, p: int, table: Any, stage: Record) -> int:
    """Strike with which `p` hits the other fighter in this frame, or -1."""
    q = 1 - p
    if m.state[p] != S_ATTACK or invulnerable(m, q):
        return -1
    move, frame = table[m.weapon[p], m.move[p]], m.move_frame[p]
    for s in range(move.strikes):
        if move.first[s] <= frame <= move.last[s] and m.struck[p] & (1 << move.bit[s]) == 0:
            if move.sure[s] != 0:
                return s
            # From the box to the core of the capsule: both are upright, so the distance splits
            # into x and y.
            dx = abs(float(m.x[q]) - (float(m.x[p]) + facing(m, p) * move.box_x[s])) - move.box_w[s]
            dy = abs(float(m.y[q]) - (float(m.y[p]) + move.box_y[s])) - move.box_h[s] - HURT_H
            dx, dy = max(dx - stage.reach, 0.0), max(dy - stage.reach, 0.0)
            if dx * dx + dy * dy < HURT_R * HURT_R:
                return s
    return -1


@inner
def hit_effect(
    m: Record, p: int, strike: int, table: Any, stage: Record
) -> tuple[float, float, float, int]:
    """Effect of a strike of `p` on the other: damage, launch velocity (x, y), frames of stun."""
    q = 1 - p
    move = table[m.weapon[p], m.move[p]]
    gain = 1.0
    if move.charge > 0:
        gain += CHARGED * float(m.charge[p]) / move.charge
    damage = move.damage[strike] * gain
    hurt = min(float(m.damage[q]) + damage, MAX_DAMAGE)
    speed = (
        stage.launch
        * gain
        * (move.fixed[strike] + move.variable[strike] * (hurt / 70.0 + hurt * hurt / 12000.0))
    )
    speed = min(speed, TOP_SPEED)
    return (
        damage,
        facing(m, p) * move.dir_x[strike] * speed,
        move.dir_y[strike] * speed,
        move.stun[strike],
    )


@inner
def take_hit(
    m: Record, q: int, damage: float, vx: float, vy: float, stun: int, stage: Record
) -> bool:
    """Apply a hit to `q`; True if `q` was still stunned by an earlier hit (a combo)."""
    combo = m.state[q] == S_STUN
    end_move(m, q)
    m.damage[q] = min(float(m.damage[q]) + damage, MAX_DAMAGE)
    if m.grounded[q] and vy > 0.0:
        vy = -BOUNCE * vy  # thrown at the floor while on ground
    if stage.launch_adds != 0.0:
        vx, vy = float(m.vx[q]) + vx, float(m.vy[q]) + vy
    m.vx[q] = vx
    m.vy[q] = vy
    if vy < 0.0:
        m.grounded[q] = False
        m.on_platform[q] = False
    m.state[q] = S_STUN
    m.age[q] = 0
    m.stun[q] = stun
    return bool(combo)
