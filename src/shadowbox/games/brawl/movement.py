"""How fighters move: keys to velocities, then velocities to positions against blocks, platform and walls.

Everywhere in the physics: `m` is one MATCH record, `p` a fighter. Reals are stored as f4 and
computed as f64, hence `float(...)` around each read: compiled code and plain Python then round at
the same places.
"""

from __future__ import annotations

from typing import Any

from shadowbox.games.brawl.jit import inner
from shadowbox.games.brawl.rules import (
    AIR_CONTROL,
    AIR_JUMPS,
    AIR_TURN,
    BACKDASH,
    BACKDASH_FRAMES,
    BODY_H,
    BODY_W,
    BOUNCE,
    BOUNCE_SPEED,
    DASH,
    DASH_FRAMES,
    DODGE_AGAIN_AIR,
    DODGE_AGAIN_GROUND,
    DODGE_FRAMES,
    DT,
    FAST_FALL,
    JUMP,
    JUMP_FRAMES,
    MAX_FALL,
    PLATFORM_H,
    PLATFORM_W,
    RECOVERIES,
    S_AIR,
    S_AIR_TURN,
    S_ATTACK,
    S_BACKDASH,
    S_DASH,
    S_DODGE,
    S_KO,
    S_SPRINT,
    S_STAND,
    S_STUN,
    S_TAUNT,
    S_TURN,
    S_WALK,
    SPACE,
    SPRINT,
    STUN_DRAG,
    TAUNT_FRAMES,
    TOP_SPEED,
    TOUCH,
    WALK,
    A,
    D,
    G,
    L,
    S,
)  # fmt: skip

Record = Any  # a MATCH, STAGE or TABLE record


@inner
def approach(value: float, target: float, step: float) -> float:
    """`value` moved toward `target` by at most `step`."""
    if value < target:
        return min(value + step, target)
    return max(value - step, target)


@inner
def enter(m: Record, p: int, state: int) -> None:
    """Begin a state; one that is already going on just goes on."""
    if m.state[p] != state:
        m.state[p] = state
        m.age[p] = 0


@inner
def facing(m: Record, p: int) -> float:
    """+1 right, -1 left."""
    return 1.0 if m.facing_right[p] else -1.0


@inner
def side(m: Record, p: int, keys: int) -> float:
    """-1, 0 or +1 from A and D; while both are held the last one pressed decides."""
    a, d = keys & A != 0, keys & D != 0
    if a and d:
        return 1.0 if m.leans_right[p] else -1.0
    return 1.0 if d else (-1.0 if a else 0.0)


@inner
def note_sides(m: Record, p: int, pressed: int) -> None:
    """Remember which of A and D was pressed last.

    Both at once change nothing, so that left and right stay equal.
    """
    if pressed & (A | D) == D:
        m.leans_right[p] = True
    elif pressed & (A | D) == A:
        m.leans_right[p] = False


@inner
def rest(m: Record, p: int) -> None:
    """The state of a fighter who does nothing in particular."""
    enter(m, p, S_STAND if m.grounded[p] else S_AIR)


@inner
def count_down(m: Record, p: int) -> None:
    """One frame less on every timer, one more on the state's age."""
    if m.age[p] < 255:
        m.age[p] += 1
    if m.jump_cooldown[p] > 0:
        m.jump_cooldown[p] -= 1
    if m.dodge_cooldown[p] > 0:
        m.dodge_cooldown[p] -= 1
    if m.shield[p] > 0:
        m.shield[p] -= 1


@inner
def bound_states(m: Record, p: int) -> bool:
    """States that no key interrupts: stun, dodge, back-dash, taunt. True while one goes on."""
    state, age = m.state[p], m.age[p]
    if state == S_STUN:
        m.stun[p] -= 1
        if m.stun[p] > 0:
            m.vx[p] = approach(float(m.vx[p]), 0.0, STUN_DRAG)
            return True
        if not m.grounded[p]:
            m.air_jumps[p] = max(m.air_jumps[p], 1)
    elif state == S_DODGE:
        if age < DODGE_FRAMES:
            return True
    elif state == S_BACKDASH:
        if age < BACKDASH_FRAMES and m.grounded[p]:
            m.vx[p] = -facing(m, p) * BACKDASH
            return True
    elif state == S_TAUNT:
        if age < TAUNT_FRAMES and m.grounded[p]:
            m.vx[p] = 0.0
            return True
    else:
        return False
    rest(m, p)
    return False


@inner
def evade(m: Record, p: int, keys: int) -> bool:
    """L was pressed: dash along, back-dash against, otherwise dodge. False if it had no effect."""
    toward = side(m, p, keys)
    if m.grounded[p] and toward != 0.0:
        enter(m, p, S_DASH if toward == facing(m, p) else S_BACKDASH)
        m.age[p] = 0
        m.vx[p] = toward * (DASH if toward == facing(m, p) else BACKDASH)
        return True
    if m.dodge_cooldown[p] > 0:
        return False
    m.dodge_cooldown[p] = DODGE_AGAIN_GROUND if m.grounded[p] else DODGE_AGAIN_AIR
    enter(m, p, S_DODGE)
    m.vx[p] = 0.0
    m.vy[p] = 0.0
    return True


@inner
def jump(m: Record, p: int) -> bool:
    """Space was pressed: from the ground, or with an air jump. False if none is left."""
    if not m.grounded[p]:
        if m.air_jumps[p] == 0 or m.jump_cooldown[p] > 0:
            return False
        m.air_jumps[p] -= 1
    m.jump_cooldown[p] = JUMP_FRAMES
    m.vy[p] = JUMP
    m.grounded[p] = False
    m.on_platform[p] = False
    enter(m, p, S_AIR)
    return True


@inner
def go(m: Record, p: int, keys: int) -> None:
    """Walk, sprint, dash on, turn, stand, or steer in the air."""
    toward, vx = side(m, p, keys), float(m.vx[p])
    if m.grounded[p]:
        if m.state[p] == S_DASH and m.age[p] < DASH_FRAMES and toward != -facing(m, p):
            m.vx[p] = facing(m, p) * DASH
        elif toward == 0.0:
            m.vx[p] = approach(vx, 0.0, WALK)
            enter(m, p, S_TAUNT if keys & G != 0 else S_STAND)
        elif toward != facing(m, p):
            m.facing_right[p] = toward > 0.0
            m.vx[p] = 0.0
            enter(m, p, S_TURN)
        elif m.state[p] == S_DASH or m.state[p] == S_SPRINT:
            m.vx[p] = toward * SPRINT
            enter(m, p, S_SPRINT)
        else:
            m.vx[p] = toward * WALK
            enter(m, p, S_WALK)
    elif toward != 0.0 and toward != facing(m, p):
        m.facing_right[p] = toward > 0.0
        if abs(vx) <= SPRINT:  # nobody brakes a launch by turning round
            m.vx[p] = vx * AIR_TURN
        enter(m, p, S_AIR_TURN)
    else:
        m.vx[p] = approach(vx, toward * WALK, AIR_CONTROL)
        enter(m, p, S_AIR)
    if not m.grounded[p] and keys & S != 0 and m.vy[p] > 0.0:
        m.vy[p] = min(float(m.vy[p]) + FAST_FALL, MAX_FALL)


@inner
def free_moves(m: Record, p: int, keys: int, pressed: int) -> bool:
    """Evade, jump. True if one of them happened."""
    if pressed & L != 0 and evade(m, p, keys):
        return True
    return pressed & SPACE != 0 and jump(m, p)


# ---- velocity to position ----------------------------------------------------------------------------------------


@inner
def move_platform(m: Record, stage: Record, frame: int) -> None:
    """The platform is where the clock says: back and forth, slow at its turning points, beginning half-way."""
    period = stage.period
    phase = ((frame + 0.5 * period) % (2.0 * period)) / period
    if phase > 1.0:
        phase = 2.0 - phase
    way = phase * phase * (3.0 - 2.0 * phase)
    x, y = float(m.platform_x[0]), float(m.platform_y[0])
    m.platform_x[0] = stage.path[0, 0] + (stage.path[1, 0] - stage.path[0, 0]) * way
    m.platform_y[0] = stage.path[0, 1] + (stage.path[1, 1] - stage.path[0, 1]) * way
    m.platform_vx[0] = (float(m.platform_x[0]) - x) / DT
    m.platform_vy[0] = (float(m.platform_y[0]) - y) / DT


@inner
def move_body(m: Record, p: int, stage: Record, old_x: float, old_y: float, gravity: float) -> bool:
    """One frame of flight and of bumping into things; `old_x`, `old_y`: where the platform was.

    True: on ground.
    """
    stunned = m.state[p] == S_STUN
    x, y = float(m.x[p]), float(m.y[p])
    vx, vy = float(m.vx[p]), float(m.vy[p])
    top = float(m.platform_y[0]) - PLATFORM_H
    above = y + BODY_H <= old_y - PLATFORM_H + 0.02
    if m.on_platform[p]:
        x += float(m.platform_x[0]) - old_x
        y = top - BODY_H
    vy += gravity * DT
    if not stunned:
        vy = min(vy, MAX_FALL)
    vx = min(max(vx, -TOP_SPEED), TOP_SPEED)
    vy = min(max(vy, -TOP_SPEED), TOP_SPEED)

    x += vx * DT
    for b in range(2):
        left, right, upper, lower = (
            stage.blocks[b, 0],
            stage.blocks[b, 1],
            stage.blocks[b, 2],
            stage.blocks[b, 3],
        )
        if (
            x + BODY_W > left + TOUCH
            and x - BODY_W < right - TOUCH
            and y + BODY_H > upper + TOUCH
            and y - BODY_H < lower - TOUCH
        ):
            x = left - BODY_W if x < 0.5 * (left + right) else right + BODY_W
            vx = -BOUNCE * vx if stunned else 0.0
    y += vy * DT
    grounded = False
    for b in range(2):
        left, right, upper, lower = (
            stage.blocks[b, 0],
            stage.blocks[b, 1],
            stage.blocks[b, 2],
            stage.blocks[b, 3],
        )
        if (
            x + BODY_W > left + TOUCH
            and x - BODY_W < right - TOUCH
            and y + BODY_H > upper
            and y - BODY_H < lower
        ):
            if y > 0.5 * (upper + lower):  # from below: a bumped head
                y = lower + BODY_H
                vy = max(vy, 0.0)
            else:
                y = upper - BODY_H
                if stunned and vy > BOUNCE_SPEED:
                    vy = -BOUNCE * vy
                elif vy >= 0.0:
                    vy = 0.0
                    grounded = True
    on_platform = False
    if (
        not grounded
        and vy >= 0.0
        and above
        and y + BODY_H >= top
        and abs(x - float(m.platform_x[0])) < PLATFORM_W + BODY_W
    ):
        y = top - BODY_H
        if stunned and vy > BOUNCE_SPEED:
            vy = -BOUNCE * vy
        else:
            vy = 0.0
            grounded = on_platform = True
    m.x[p], m.y[p], m.vx[p], m.vy[p] = x, y, vx, vy
    m.grounded[p], m.on_platform[p] = grounded, on_platform
    if grounded:
        m.air_jumps[p] = AIR_JUMPS
        m.recoveries[p] = RECOVERIES
    return grounded


@inner
def settle(m: Record, p: int) -> None:
    """After a move through space: a state of the ground does not last in the air, nor the other way round."""
    state = m.state[p]
    if m.grounded[p]:
        if state in (S_AIR, S_AIR_TURN):
            enter(m, p, S_STAND)
    elif (
        state != S_STUN
        and state != S_DODGE
        and state != S_ATTACK
        and state != S_KO
        and state != S_AIR_TURN
    ):
        enter(m, p, S_AIR)
