"""Movement of fighters: from keys to velocities, and from velocities to positions among obstacles.

Everywhere in the physics, `m` is one MATCH record and `p` a fighter (0 or 1). Reals are stored as
f4 and computed as f64, hence `float(...)` around each read: compiled code and plain Python then
round at the same places.
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
from shadowbox.games.brawl.warehouse.platform import stay_out

Record = Any  # a MATCH, STAGE or TABLE record


@inner
def approach(value: float, target: float, step: float) -> float:
    """Move `value` toward `target` by at most `step`."""
    if value < target:
        return min(value + step, target)
    return max(value - step, target)


@inner
def enter_state(m: Record, p: int, state: int) -> None:
    """Begin a state at age 0; the state that is already active just continues."""
    if m.state[p] != state:
        m.state[p] = state
        m.age[p] = 0


@inner
def facing(m: Record, p: int) -> float:
    """Direction in which a fighter looks: +1 right, -1 left."""
    return 1.0 if m.facing_right[p] else -1.0


@inner
def side(m: Record, p: int, keys: int) -> float:
    """Direction of the held keys: -1, 0 or +1; with A and D held, the last one pressed."""
    a, d = keys & A != 0, keys & D != 0
    if a and d:
        return 1.0 if m.leans_right[p] else -1.0
    return 1.0 if d else (-1.0 if a else 0.0)


@inner
def record_last_side(m: Record, p: int, pressed: int) -> None:
    """Record which of A and D was pressed last.

    Pressing both at once changes nothing, so that left and right stay equal.
    """
    if pressed & (A | D) == D:
        m.leans_right[p] = True
    elif pressed & (A | D) == A:
        m.leans_right[p] = False


@inner
def enter_idle(m: Record, p: int) -> None:
    """Begin the idle state: standing on ground, `in_air` above it."""
    enter_state(m, p, S_STAND if m.grounded[p] else S_AIR)


@inner
def count_down(m: Record, p: int) -> None:
    """Count every timer of a fighter down by one frame, and the age of the state up."""
    if m.age[p] < 255:
        m.age[p] += 1
    if m.jump_cooldown[p] > 0:
        m.jump_cooldown[p] -= 1
    if m.dodge_cooldown[p] > 0:
        m.dodge_cooldown[p] -= 1
    if m.shield[p] > 0:
        m.shield[p] -= 1


@inner
def update_locked_state(m: Record, p: int) -> bool:
    """Advance a state that keys cannot interrupt (stun, dodge, back-dash, taunt).

    True while it lasts.
    """
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
    enter_idle(m, p)
    return False


@inner
def evade(m: Record, p: int, keys: int, stage: Record) -> bool:
    """Answer a press of L: dash forward, back-dash backward, else dodge; False without effect."""
    toward = side(m, p, keys)
    if m.grounded[p] and toward != 0.0:
        if stage.standing_dash == 0.0 and m.state[p] != S_WALK and m.state[p] != S_SPRINT:
            return False
        enter_state(m, p, S_DASH if toward == facing(m, p) else S_BACKDASH)
        m.age[p] = 0
        m.vx[p] = toward * (DASH if toward == facing(m, p) else BACKDASH)
        return True
    if m.dodge_cooldown[p] > 0:
        return False
    m.dodge_cooldown[p] = DODGE_AGAIN_GROUND if m.grounded[p] else DODGE_AGAIN_AIR
    enter_state(m, p, S_DODGE)
    m.vx[p] = 0.0
    m.vy[p] = 0.0
    return True


@inner
def jump(m: Record, p: int, stage: Record) -> bool:
    """Answer a press of space: jump from the ground or in the air; False without a jump left."""
    if not m.grounded[p]:
        if m.air_jumps[p] == 0 or m.jump_cooldown[p] > 0:
            return False
        m.air_jumps[p] -= 1
        m.jump_cooldown[p] = JUMP_FRAMES
    elif stage.ground_jump_cools != 0.0:
        m.jump_cooldown[p] = JUMP_FRAMES
    m.vy[p] = JUMP
    m.grounded[p] = False
    m.on_platform[p] = False
    enter_state(m, p, S_AIR)
    return True


@inner
def slide_round(m: Record, p: int, toward: float, stage: Record) -> None:
    """Turn on the ground in several frames, sliding on meanwhile; then walk."""
    enter_state(m, p, S_TURN)
    if m.age[p] < stage.turn_frames:
        m.vx[p] = approach(float(m.vx[p]), 0.0, stage.attack_friction)
    else:
        m.facing_right[p] = toward > 0.0
        m.vx[p] = toward * WALK
        enter_state(m, p, S_WALK)


@inner
def walk_or_steer(m: Record, p: int, keys: int, stage: Record) -> None:
    """Walk, sprint, dash on, turn or stop on the ground; steer in the air."""
    toward, vx = side(m, p, keys), float(m.vx[p])
    if m.grounded[p]:
        if m.state[p] == S_DASH and m.age[p] < DASH_FRAMES and toward != -facing(m, p):
            m.vx[p] = facing(m, p) * DASH
        elif toward == 0.0:
            m.vx[p] = approach(vx, 0.0, WALK)
            enter_state(m, p, S_TAUNT if keys & G != 0 else S_STAND)
        elif toward != facing(m, p):
            if stage.turn_frames > 1.0:
                slide_round(m, p, toward, stage)
            else:
                m.facing_right[p] = toward > 0.0
                m.vx[p] = 0.0
                enter_state(m, p, S_TURN)
        elif m.state[p] == S_DASH or m.state[p] == S_SPRINT:
            m.vx[p] = toward * SPRINT
            enter_state(m, p, S_SPRINT)
        else:
            if stage.walk_delay == 0.0 or m.state[p] == S_WALK:
                m.vx[p] = toward * WALK
            enter_state(m, p, S_WALK)
    elif toward != 0.0 and toward != facing(m, p):
        m.facing_right[p] = toward > 0.0
        if abs(vx) <= SPRINT:  # turning round does not brake a launch
            m.vx[p] = vx * AIR_TURN
        enter_state(m, p, S_AIR_TURN)
    else:
        m.vx[p] = approach(vx, toward * WALK, AIR_CONTROL)
        enter_state(m, p, S_AIR)
    if not m.grounded[p] and keys & S != 0 and m.vy[p] > 0.0:
        m.vy[p] = min(float(m.vy[p]) + FAST_FALL, MAX_FALL)


@inner
def evade_or_jump(m: Record, p: int, keys: int, pressed: int, stage: Record) -> bool:
    """Evade or jump if the pressed keys ask for one; True if it happened."""
    if pressed & L != 0 and evade(m, p, keys, stage):
        return True
    return pressed & SPACE != 0 and jump(m, p, stage)


# ---- velocity to position ----


@inner
def move_platform(m: Record, stage: Record, frame: int) -> None:
    """Place the platform by the clock: back and forth, slow at both ends, starting half-way."""
    period = stage.period
    phase = ((frame + 0.5 * period) % (2.0 * period)) / period
    if phase > 1.0:
        phase = 2.0 - phase
    share = phase * phase * (3.0 - 2.0 * phase)  # of the path
    x, y = float(m.platform_x[0]), float(m.platform_y[0])
    m.platform_x[0] = stage.path[0, 0] + (stage.path[1, 0] - stage.path[0, 0]) * share
    m.platform_y[0] = stage.path[0, 1] + (stage.path[1, 1] - stage.path[0, 1]) * share
    m.platform_vx[0] = (float(m.platform_x[0]) - x) / DT
    m.platform_vy[0] = (float(m.platform_y[0]) - y) / DT


@inner
def overlaps(x: float, y: float, touch: float, stage: Record, b: int) -> bool:
    """Test whether a body at (x, y) overlaps block `b`, vertically by more than `touch`."""
    return bool(
        x + BODY_W > stage.blocks[b, 0] + TOUCH
        and x - BODY_W < stage.blocks[b, 1] - TOUCH
        and y + BODY_H > stage.blocks[b, 2] + touch
        and y - BODY_H < stage.blocks[b, 3] - touch
    )


@inner
def meet_walls(
    x: float, y: float, vx: float, vy: float, stunned: bool, stage: Record
) -> tuple[float, float, float]:
    """Place and velocity (x, vx, vy) of a body that has moved sideways, outside of the blocks."""
    for b in range(2):
        if overlaps(x, y, TOUCH, stage, b):
            left, right = stage.blocks[b, 0], stage.blocks[b, 1]
            x = left - BODY_W if x < 0.5 * (left + right) else right + BODY_W
            if stage.wall_friction > 0.0:
                vy = approach(vy, 0.0, stage.wall_friction * abs(vx))
            vx = -stage.wall_bounce * vx if stunned else 0.0
    return x, vx, vy


@inner
def fallen(vy: float, gravity: float, stunned: bool) -> float:
    """Downward velocity after a frame of gravity."""
    vy += gravity * DT
    return vy if stunned else min(vy, MAX_FALL)


@inner
def move_body(m: Record, p: int, stage: Record, old_x: float, old_y: float, gravity: float) -> bool:
    """Move a fighter by one frame and stop it at obstacles; True if it is on ground afterwards.

    (`old_x`, `old_y`) is the position of the platform in the frame before.
    """
    stunned = m.state[p] == S_STUN
    x, y = float(m.x[p]), float(m.y[p])
    vx, vy = float(m.vx[p]), float(m.vy[p])
    top = float(m.platform_y[0]) - PLATFORM_H
    above = y + BODY_H <= old_y - PLATFORM_H + 0.02
    if m.on_platform[p]:
        x += float(m.platform_x[0]) - old_x
        y = top - BODY_H
    late = stage.late_gravity != 0.0
    probe = gravity * DT * DT if late else 0.0  # u of fall that show ground below a body at rest
    vy = fallen(vy, 0.0 if late else gravity, stunned)
    vx = min(max(vx, -TOP_SPEED), TOP_SPEED)
    vy = min(max(vy, -TOP_SPEED), TOP_SPEED)

    x += vx * DT
    x, vx, vy = meet_walls(x, y, vx, vy, stunned, stage)
    y += vy * DT
    grounded = False
    for b in range(2):
        if overlaps(x, y + probe, 0.0, stage, b):
            upper, lower = stage.blocks[b, 2], stage.blocks[b, 3]
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
    if stage.solid_platform != 0.0 and not above:
        x, y, vx, vy = stay_out(m, x, y, vx, vy)
    on_platform = False
    if (
        not grounded
        and vy >= 0.0
        and above
        and y + probe + BODY_H >= top
        and abs(x - float(m.platform_x[0])) < PLATFORM_W + BODY_W
    ):
        y = top - BODY_H
        if stunned and vy > BOUNCE_SPEED:
            vy = -BOUNCE * vy
        else:
            vy = 0.0
            grounded = on_platform = True
    if late and not grounded:
        vy = fallen(vy, gravity, stunned)
    m.x[p], m.y[p], m.vx[p], m.vy[p] = x, y, vx, vy
    m.grounded[p], m.on_platform[p] = grounded, on_platform
    if grounded:
        m.air_jumps[p] = AIR_JUMPS
        m.recoveries[p] = RECOVERIES
    return grounded


@inner
def fit_state_to_ground(m: Record, p: int) -> None:
    """End a ground state in the air, and an air state on the ground, after a fighter has moved."""
    state = m.state[p]
    if m.grounded[p]:
        if state in (S_AIR, S_AIR_TURN):
            enter_state(m, p, S_STAND)
    elif (
        state != S_STUN
        and state != S_DODGE
        and state != S_ATTACK
        and state != S_KO
        and state != S_AIR_TURN
    ):
        enter_state(m, p, S_AIR)
