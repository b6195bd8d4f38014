"""Decisions of the scripted bots: compiled functions of one match record, a seat and noise.

`m` is a MATCH record and `p` the seat that decides. A bot is a row of numbers, see `bots.py`. Reals
of a record are f4. Where a comparison or a difference below is of two f4, it is computed in f4 and
not widened first: decisions, and with them every recorded match, depend on the last bit.
"""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import Any

import numpy as np

from shadowbox.games.brawl import rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.jit import inner
from shadowbox.games.brawl.moves import compile_table
from shadowbox.games.brawl.rules import SPACE, A, D, G, H, J, K, L, S, W
from shadowbox.games.brawl.schema import KEYS, STAGES
from shadowbox.games.brawl.tables import (
    RANDOM,
    SCRIPT,
    STYLES,
    SWITCH_FRAMES,
    SWITCHER,
    TAPPER,
    Style,
)

Record = Any
f4, f8, u8 = np.float32, np.float64, np.uint64

# ---- tables --------------------------------------------------------------------------------------

STYLE = np.array([astuple(style) for style in STYLES.values()], float)  # [styles, attributes]
(
    DISTANCE, LEASH, ATTACK, SLOPPY, LEAD, HEAVY, AIR, FINISH, HOP, DASH, DODGE, CHARGE,
    WANTS_WEAPON, GUARD, RECOVER, TAUNT, PATIENCE,
) = range(len(fields(Style)))  # fmt: skip
SWITCH_DRAW, RANDOM_DRAW, TAPPER_DRAW = 40, 50, 60  # far from the draws of a fighter

# `tapper`: each key, the chances to begin and to end a press, the chance to begin one near the foe
TAPPED = np.array([KEYS.index(key) for key in ("a", "d", "space", "j")])
TAPS = np.array([[0.05, 0.06, 0.05], [0.05, 0.06, 0.05], [0.03, 0.6, 0.03], [0.03, 0.35, 0.15]])
TAP_NEAR = f4(3.0)  # u

TABLE = compile_table(ARSENAL)
BLOCKS = np.concatenate([rules.stage(name)["blocks"] for name in STAGES])
CLOSE = f4(4.5)  # u; strikes are considered up to this distance
INNER, OUTER = 2.0, 7.0  # |x| of the inner and outer edges of the blocks, on both stages
FAR = f4(1e9)

# of each weapon and move: [3, 12]
FIRST = TABLE["first"][..., 0].astype(float)
LAST = TABLE["last"].max(axis=-1)
# the distance travelled before the first strike
_COASTS = np.maximum(FIRST - TABLE["motion_at"][..., 0], 0)
_MOVES = TABLE["motions"] > 0
TRAVEL = np.where(_MOVES, np.nan_to_num(TABLE["motion_x"][..., 0]), 0.0) * _COASTS * rules.DT
RISE = np.where(_MOVES, np.nan_to_num(TABLE["motion_y"][..., 0]), 0.0) * _COASTS * rules.DT
BOX = np.stack([TABLE[f"box_{side}"][..., 0] for side in "xywh"], axis=-1)
FORCE = (TABLE["fixed"] + TABLE["variable"] * 2.0).max(axis=-1)  # at about 100 damage
REACH = np.maximum((np.abs(TABLE["box_x"]) + TABLE["box_w"]).max(axis=-1) + rules.HURT_R, 0.5)

# of each move
ON_GROUND = np.array([False] + [True] * 6 + [False] * 5)
IS_HEAVY = np.array([False, *[False] * 3, *[True] * 3, *[False] * 3, True, True])
# the side is added for all of them
AIM = np.array([0, W | J, S | J, J, W | K, S | K, K, W | J, S | J, J, W | K, S | K])

# f4 constants, rounded once
_1_2, _1_5, _1_6, _2, _2_5, _4_5, _100 = (f4(x) for x in (1.2, 1.5, 1.6, 2.0, 2.5, 4.5, 100.0))
_ZERO, _OUTER = f4(0.0), f4(OUTER)
_GROUND_FROM, _GROUND_TO, _GAP = f4(INNER - 0.3), f4(OUTER + 0.3), f4(INNER + 0.9)
_SIX_FRAMES, _ITEM_X, _ITEM_Y = f4(6 * rules.DT), f4(rules.REACH_X), f4(rules.REACH_Y)

# ---- noise ---------------------------------------------------------------------------------------

_GOLDEN, _MIX_1, _MIX_2 = u8(0x9E3779B97F4A7C15), u8(0xBF58476D1CE4E5B9), u8(0x94D049BB133111EB)
_1, _11, _27, _30, _31 = u8(1), u8(11), u8(27), u8(30), u8(31)


@inner
def mixed(x: Any, word: Any) -> Any:
    """Mix a word into the state of `core.game.noise`; both are unsigned 64-bit numbers."""
    x = x + (u8(word) + _1) * _GOLDEN
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@inner
def noise(seed: Any, frame: int, player: int, draw: int) -> float:
    """`core.game.noise` of one match."""
    return float(mixed(mixed(mixed(u8(seed), frame), player), draw) >> _11) * 2.0**-53


# ---- bots ----------------------------------------------------------------------------------------


@inner
def bot_keys(m: Record, p: int, bot: Any, seed: Any, player: int, held: int) -> int:
    """Keys of a bot as bits. Its noise is that of `player`; `held` are its keys of before."""
    frame, kind = int(m.match_frame[0]), bot[0]
    if kind == SCRIPT:
        return int(bot[2 + frame % bot[1]])
    if kind == RANDOM:
        return int(noise(seed, frame, player, RANDOM_DRAW) * (1 << len(KEYS)))
    if kind == TAPPER:
        return tapper_keys(m, seed, player, frame, held)
    if kind == SWITCHER:
        # the first change comes at a random frame
        shift = noise(seed, 0, player, SWITCH_DRAW) * SWITCH_FRAMES
        turn = turn_style(seed, player, int(f8(m.match_frame[0]) + shift), int(bot[1]))
        style = int(bot[2 + turn])
    else:
        style = int(bot[1])
    return fighter_keys(m, p, style, seed, player, frame)


@inner
def turn_style(seed: Any, player: int, frame: int, styles: int) -> int:
    """Style of a turn by number; successive ones differ by 1 to styles - 1, hence never agree."""
    first = int(noise(seed, 0, player, SWITCH_DRAW + 1) * styles)
    step = 1 + int(noise(seed, 0, player, SWITCH_DRAW + 2) * (styles - 1))
    return (first + step * (frame // SWITCH_FRAMES)) % styles


@inner
def tapper_keys(m: Record, seed: Any, player: int, frame: int, held: int) -> int:
    """Keys that are pressed and released at random, `j` more often near the opponent."""
    near, keys = abs(m.x[0] - m.x[1]) < TAP_NEAR, 0
    for at in range(len(TAPPED)):
        bit = 1 << TAPPED[at]
        chance = 1 - TAPS[at, 1] if held & bit else TAPS[at, 2 if near else 0]
        if noise(seed, frame, player, TAPPER_DRAW + at) < chance:
            keys |= bit
    return keys


@inner
def fighter_keys(m: Record, p: int, style: int, seed: Any, player: int, frame: int) -> int:
    """Keys of a scripted fighter."""
    foe = 1 - p
    dx, dy = m.x[foe] - m.x[p], m.y[foe] - m.y[p]
    rightward = m.facing_right[p] != 0 if dx == _ZERO else dx > _ZERO
    toward = 1.0 if rightward else -1.0
    block = 0 if m.x[p] > _ZERO else 1
    lip = BLOCKS[m.match_stage[0], block, 2] - rules.BODY_H
    edge, y = abs(m.x[p]), f8(m.y[p])
    over = edge > _GROUND_FROM and edge < _GROUND_TO and y < lip + 0.1
    mood = noise(seed, frame // 12, player, 3)  # slow noise: for intentions, not for actions
    attacks = m.state[p] == rules.S_ATTACK
    lost = not m.grounded[p] and not over
    keys, goal = 0, 0.0
    if attacks:
        keys = finish_move(m, p, style, toward, over, mood)
    else:
        if abs(dx) < CLOSE and abs(dy) < CLOSE:
            dice = noise(seed, frame, player, 1)
            keys = strike(m, p, style, dx, dy, toward, over, dice, mood)
        if lost or keys == 0:
            # Now and then every bot approaches: two cautious ones would wait for ever.
            bold = noise(seed, frame // 40, player, 4) < 0.4
            goal = goal_x(m, p, style, dx, toward, lip, bold)
            if not lost:
                dice = noise(seed, frame, player, 0)
                keys = walk(m, p, style, goal, dx, dy, toward, lip, dice, mood)
        if (
            STYLE[style, DODGE] > 0.0
            and threatened(m, p, dx, dy)
            and not m.held_l[p]
            and noise(seed, frame, player, 2) < STYLE[style, DODGE]
        ):
            keys = L
        if lost:
            keys = come_back(m, p, style, goal, lip)
    if m.state[foe] == rules.S_KO and m.grounded[p] and mood < STYLE[style, TAUNT]:
        keys = G
    return keys | grab(m, p, style)


# ---- walking -------------------------------------------------------------------------------------


@inner
def goal_x(m: Record, p: int, style: int, dx: Any, toward: float, lip: float, bold: bool) -> Any:
    """Goal x: beside the foe, at a weapon, or the own block.

    It is above ground, except to guard an edge.
    """
    foe, x = 1 - p, f8(m.x[p])
    distance = (0.3 if bold else 1.0) * STYLE[style, DISTANCE]
    w, move = m.weapon[foe], m.move[foe]
    patience = STYLE[style, PATIENCE]
    if m.state[foe] == rules.S_ATTACK and m.move_frame[foe] <= LAST[w, move] and patience > 0:
        distance = max(distance, (REACH[w, move] + 0.7) * patience)
    goal = f8(m.x[foe]) - toward * distance
    if f8(abs(dx)) > STYLE[style, LEASH] and not bold:
        goal = x
    gone = m.state[foe] == rules.S_KO or m.shield[foe] > 20
    if gone:
        goal = 4.5 if x > 0.0 else -4.5
    if m.weapon[p] == 0:
        item, near = nearest_item(m, p)
        if f8(near) < STYLE[style, WANTS_WEAPON] and near < abs(dx) + _2:
            goal = f8(m.item_x[item])
    foe_x = abs(m.x[foe])
    if (
        not gone
        and foe_x > _OUTER
        and f8(foe_x) < OUTER + STYLE[style, GUARD]
        and f8(m.y[foe]) < lip + 1.5
        and m.air_jumps[p] > 0
    ):
        return goal
    right = x >= 0.0 if abs(goal) < INNER - 0.5 else goal > 0.0
    block = 1.0 if right else -1.0
    return block * min(max(abs(goal), INNER + 0.4), OUTER - 0.4)


@inner
def nearest_item(m: Record, p: int) -> Any:
    """Nearest weapon on the stage, and its distance (f4); 1e9 without a weapon."""
    nearest, least = 0, FAR
    for k in range(4):
        if m.item_alive[k]:
            far = abs(m.item_x[k] - m.x[p]) + abs(m.item_y[k] - m.y[p])
            if far < least:
                nearest, least = k, far
    return nearest, least


@inner
def walk(
    m: Record, p: int, style: int, goal: float, dx: Any, dy: Any, toward: float, lip: float,
    dice: float, mood: float,
) -> int:  # fmt: skip
    """Keys to walk toward the goal, jumping over gaps and up to the foe; some dashes and hops."""
    offset, grounded, edge = goal - f8(m.x[p]), m.grounded[p] != 0, abs(m.x[p])
    keys = D if offset > 0.25 else (A if offset < -0.25 else 0)
    # At the goal, looking the wrong way: turn to the foe.
    if keys == 0 and (m.facing_right[p] != 0) != (toward > 0) and grounded:
        keys = D if toward > 0 else A
    away = (offset > 0.0 and m.x[p] < _ZERO) or (offset < 0.0 and m.x[p] > _ZERO)
    hop = (
        dice < STYLE[style, HOP]
        or (grounded and edge < _GAP and away and abs(offset) > 0.5)
        or (dy < -_1_2 and abs(dx) < _2_5 and mood < 0.5)
        or (grounded and f8(m.y[p]) > lip + 0.3)  # on the platform, below the lip
    )
    again = m.vy[p] > _ZERO and m.jump_cooldown[p] == 0 and m.air_jumps[p] > 1
    if hop and (grounded or again) and not m.held_space[p]:
        keys |= SPACE
    room = abs(offset) > 2.5 and grounded and keys != 0 and abs(edge - _4_5) < _1_5
    if room and dice > 1 - STYLE[style, DASH] and not m.held_l[p]:
        keys |= L
    return keys


@inner
def come_back(m: Record, p: int, style: int, goal: float, lip: float) -> int:
    """Keys that steer toward ground: jumps below the lip, then the recovery move."""
    x, y = m.x[p], m.y[p]
    rightward = x < _ZERO if abs(x) >= _OUTER else goal - f8(x) > 0.0
    side = D if rightward else A
    low = f8(y + _SIX_FRAMES * m.vy[p]) > lip - 0.6
    if m.vy[p] > _ZERO and low and STYLE[style, RECOVER] > 0:
        if m.air_jumps[p] > 0 and m.jump_cooldown[p] == 0 and not m.held_space[p]:
            return side | SPACE
        if m.air_jumps[p] == 0 and m.recoveries[p] > 0 and f8(y) > lip - 0.2:
            return side | K
    return side


# ---- attack and defense --------------------------------------------------------------------------


@inner
def strike(
    m: Record, p: int, style: int, s_dx: Any, s_dy: Any, toward: float, over: bool, dice: float,
    mood: float,
) -> int:  # fmt: skip
    """Keys of the preferred move among those that would hit; 0 without one, or by chance."""
    foe, w, grounded = 1 - p, m.weapon[p], m.grounded[p] != 0
    if m.state[foe] == rules.S_KO or m.shield[foe] != 0 or m.state[foe] == rules.S_DODGE:
        return 0
    gravity = 0.0 if m.grounded[foe] else 0.5 * rules.GRAVITY
    own_y = _ZERO if grounded else m.vy[p]
    speed_x = f8(m.vx[foe]) - (0.35 if grounded else 0.9) * f8(m.vx[p])
    speed_y = f8(m.vy[foe] - own_y)
    slack = rules.HURT_R + STYLE[style, SLOPPY]
    worn = STYLE[style, FINISH] * f8(min(max(m.damage[foe] / _100, _ZERO), _2))
    best, most = 0, -1.0
    for move in range(1, 7) if grounded else range(7, 12):
        if move == rules.RECOVERY and m.recoveries[p] == 0:
            continue
        if move == rules.GROUND_POUND and not (over and f8(s_dy) > 1.0):
            continue
        frames = FIRST[w, move] * rules.DT  # seconds until it lands
        lead = STYLE[style, LEAD] * frames
        dx = toward * (f8(s_dx) + lead * speed_x) - TRAVEL[w, move]
        dy = f8(s_dy) + lead * speed_y + gravity * lead * frames - RISE[w, move]
        if not (
            abs(dx - BOX[w, move, 0]) < BOX[w, move, 2] + slack
            and abs(dy - BOX[w, move, 1]) < BOX[w, move, 3] + slack + 0.05
        ):
            continue
        weight = STYLE[style, HEAVY] if IS_HEAVY[move] else 1.0
        weight = weight * (1.0 if ON_GROUND[move] else STYLE[style, AIR])
        weight = weight + worn * FORCE[w, move] / 50.0
        variety = 0.3 + (mood * (move + 1) * 1.618) % 1.0
        weight = weight * variety
        if weight > most:
            best, most = move, weight
    if best == 0:
        return 0
    in_air = min(STYLE[style, AIR], 2.0) / 2.0 + 0.2
    if not dice < STYLE[style, ATTACK] * (1.0 if ON_GROUND[best] else in_air):
        return 0
    return int(AIM[best]) | (D if toward > 0 else A)


@inner
def threatened(m: Record, p: int, dx: Any, dy: Any) -> bool:
    """True for a fighter whom a strike is about to reach and whose dodge is ready."""
    foe = 1 - p
    w, move, frame = m.weapon[foe], m.move[foe], m.move_frame[foe]
    return bool(
        m.state[foe] == rules.S_ATTACK
        and f8(frame) >= FIRST[w, move] - 3.0
        and frame <= LAST[w, move]
        and f8(abs(dx)) < REACH[w, move] + 0.3
        and abs(dy) < _1_6
        and m.dodge_cooldown[p] == 0
    )


@inner
def finish_move(m: Record, p: int, style: int, toward: float, over: bool, mood: float) -> int:
    """Keys during a move: hold a heavy back or release it, and drift toward ground or foe."""
    if m.grounded[p]:
        heavy = m.move[p] >= rules.NEUTRAL_HEAVY and m.move[p] < rules.NEUTRAL_AIR
        return K if heavy and mood < STYLE[style, CHARGE] else 0
    if over:
        return D if toward > 0 else A
    return D if m.x[p] < _ZERO else A


@inner
def grab(m: Record, p: int, style: int) -> int:
    """H while a weapon is within reach and the hands are empty.

    A key that is held already is released first, because a pick-up follows a press.
    """
    if m.weapon[p] != 0 or m.held_h[p] or not STYLE[style, WANTS_WEAPON] > 0:
        return 0
    for k in range(4):
        near = abs(m.item_x[k] - m.x[p]) < _ITEM_X and abs(m.item_y[k] - m.y[p]) < _ITEM_Y
        if near and m.item_alive[k]:
            return H
    return 0
