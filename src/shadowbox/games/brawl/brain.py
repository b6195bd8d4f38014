"""Decisions of the scripted fighters: pure functions of the view, a style and noise.

Every array is [N], one number for each match; `me` and `foe` are the two slots of the view, own
first. Skills and preferences come from `styles.py` and are arrays [N] too, so that one batch may
hold many styles.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

import numpy as np

from shadowbox.core.game import noise
from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl import rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.moves import compile_table
from shadowbox.games.brawl.rules import SPACE, A, D, G, H, J, K, L, S, W
from shadowbox.games.brawl.schema import KEYS, STAGES
from shadowbox.games.brawl.styles import Style

TABLE = compile_table(ARSENAL)
# [stage, block, (left, right, top, bottom)]
BLOCKS = np.concatenate([rules.stage(name)["blocks"] for name in STAGES])
CLOSE = 4.5  # u; strikes are considered up to this distance
INNER, OUTER = 2.0, 7.0  # |x| of the inner and outer edges of the blocks, on both stages

# The distance travelled in a move before its first strike, for each weapon and move: [3, 12].
_FIRST = TABLE["first"][..., 0].astype(float)
_TRAVEL = np.where(TABLE["motions"] > 0, np.nan_to_num(TABLE["motion_x"][..., 0]), 0.0)
_TRAVEL = _TRAVEL * np.maximum(_FIRST - TABLE["motion_at"][..., 0], 0) * rules.DT
_RISE = np.where(TABLE["motions"] > 0, np.nan_to_num(TABLE["motion_y"][..., 0]), 0.0)
_RISE = _RISE * np.maximum(_FIRST - TABLE["motion_at"][..., 0], 0) * rules.DT
_BOX = [TABLE[f"box_{side}"][..., 0] for side in "xywh"]
_LAST = TABLE["last"].max(axis=-1)
_FORCE = (TABLE["fixed"] + TABLE["variable"] * 2.0).max(axis=-1)  # at about 100 damage
_REACH = np.maximum((np.abs(TABLE["box_x"]) + TABLE["box_w"]).max(axis=-1) + rules.HURT_R, 0.5)

_GROUND = np.array([False] + [True] * 6 + [False] * 5)
_HEAVY = np.array([False, *[False] * 3, *[True] * 3, *[False] * 3, True, True])
# the side is added for all of them
_AIM = np.array([0, W | J, S | J, J, W | K, S | K, K, W | J, S | J, J, W | K, S | K])


@dataclass(frozen=True)
class _Situation:
    """Facts that a decision uses, as arrays [N]; `dx` and `dy` point to the foe, y downward."""

    me: Any
    foe: Any
    dx: Array
    dy: Array
    toward: Array  # -1, +1: direction of the foe
    lip: Array  # y of a fighter on top of the block nearest to `me`
    over_ground: Array  # a block is below `me`
    frame: Array

    def only(self, matches: Array) -> _Situation:
        """Select the situations of some of the matches."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, part in parts.items():
            if isinstance(part, SimpleNamespace):
                parts[name] = SimpleNamespace(
                    **{key: values[matches] for key, values in vars(part).items()}
                )
            else:
                parts[name] = part[matches]
        return _Situation(**parts)


def style_arrays(styles: list[Style]) -> dict[str, Array]:
    """Styles as one array [styles] for each attribute of Style."""
    return {
        f.name: np.array([getattr(style, f.name) for style in styles], float) for f in fields(Style)
    }


def situation(view: Columns) -> _Situation:
    """Derive the situation from a view [N, slots], own slot first."""
    names = (
        "x",
        "y",
        "vx",
        "vy",
        "damage",
        "facing_right",
        "grounded",
        "state",
        "air_jumps",
        "recoveries",
        "weapon",
        "move",
        "move_frame",
    )
    me, foe = (
        SimpleNamespace(**{name: view[f"player/{name}"][:, slot] for name in names})
        for slot in (0, 1)
    )
    for name in ("jump_cooldown", "dodge_cooldown", "charge", "held_space", "held_l", "held_h"):
        setattr(me, name, view[f"player/{name}"][:, 0])
    foe.shield = view["player/shield"][:, 1]
    dx, dy = foe.x - me.x, foe.y - me.y
    blocks = BLOCKS[view["match/stage"][:, 0]]
    right = me.x > 0
    lip = np.where(right, blocks[:, 0, 2], blocks[:, 1, 2]) - rules.BODY_H
    edge = np.abs(me.x)
    over = (edge > INNER - 0.3) & (edge < OUTER + 0.3) & (me.y < lip + 0.1)
    toward = np.where(dx != 0, np.sign(dx), np.where(me.facing_right, 1.0, -1.0))
    return _Situation(
        me, foe, dx, dy, toward, lip, over, view["match/frame"][:, 0].astype(np.int64)
    )


def decide(view: Columns, style: dict[str, Array], seeds: Array, players: Array) -> Array:
    """Keys of one decision as bits [N]; `style` has a column [N] for each attribute of Style."""
    s = situation(view)
    dice = [noise(seeds, s.frame, players, draw) for draw in range(3)]
    mood = noise(seeds, s.frame // 12, players, 3)  # slow noise: for intentions, not for actions

    # Now and then every bot approaches: two cautious ones would wait for ever.
    bold = noise(seeds, s.frame // 40, players, 4) < 0.4
    goal = _goal(s, view, style, bold)
    keys = _walk(s, goal, style, dice[0], mood)
    near = np.flatnonzero(
        (np.abs(s.dx) < CLOSE) & (np.abs(s.dy) < CLOSE) & (s.me.state != rules.S_ATTACK)
    )
    strike = np.zeros_like(keys)
    strike[near] = _strike(
        s.only(near),
        {name: column[near] for name, column in style.items()},
        dice[1][near],
        mood[near],
    )
    keys = np.where(strike > 0, strike, keys)
    keys = np.where(_threatened(s, style) & (dice[2] < style["dodge"]) & ~s.me.held_l, L, keys)
    keys = np.where(_lost(s), _come_back(s, goal, style), keys)
    keys = np.where(s.me.state == rules.S_ATTACK, _finish_move(s, style, mood), keys)
    keys = np.where((s.foe.state == rules.S_KO) & s.me.grounded & (mood < style["taunt"]), G, keys)
    return keys | _grab(s, view, style)


def as_controls(bits: Array) -> Columns:
    """Unpack keys as bits [N] into control columns [N, 1]."""
    return {f"keys/{key}": (bits & (1 << i) != 0)[:, None] for i, key in enumerate(KEYS)}


# ---- walking ----


def _goal(s: _Situation, view: Columns, style: dict[str, Array], bold: Array) -> Array:
    """Goal x [N]: beside the foe, at a weapon, or the own block.

    It is above ground, except to guard an edge.
    """
    distance = np.where(bold, 0.3, 1.0) * style["distance"]
    busy = (s.foe.state == rules.S_ATTACK) & (s.foe.move_frame <= _LAST[s.foe.weapon, s.foe.move])
    reach = _REACH[s.foe.weapon, s.foe.move] + 0.7
    distance = np.where(
        busy & (style["patience"] > 0), np.maximum(distance, reach * style["patience"]), distance
    )
    goal = s.foe.x - s.toward * distance
    goal = np.where((np.abs(s.dx) > style["leash"]) & ~bold, s.me.x, goal)
    gone = (s.foe.state == rules.S_KO) | (s.foe.shield > 20)
    goal = np.where(gone, np.where(s.me.x > 0, 4.5, -4.5), goal)

    item, near = _nearest_item(s, view)
    goal = np.where(
        (s.me.weapon == 0) & (near < style["wants_weapon"]) & (near < np.abs(s.dx) + 2.0),
        item,
        goal,
    )

    block = np.where(np.abs(goal) < INNER - 0.5, np.sign(s.me.x + (s.me.x == 0)), np.sign(goal))
    on_ground = block * np.clip(np.abs(goal), INNER + 0.4, OUTER - 0.4)
    out = (
        (np.abs(s.foe.x) > OUTER)
        & (np.abs(s.foe.x) < OUTER + style["guard"])
        & (s.foe.y < s.lip + 1.5)
        & (s.me.air_jumps > 0)
    )
    return np.where(out & ~gone, goal, on_ground)


def _nearest_item(s: _Situation, view: Columns) -> tuple[Array, Array]:
    """X of the nearest weapon on the stage, and its distance; 1e9 without a weapon."""
    far = np.abs(view["item/x"] - s.me.x[:, None]) + np.abs(view["item/y"] - s.me.y[:, None])
    far = np.where(view["item/alive"], far, 1e9)
    nearest = far.argmin(axis=1)[:, None]
    return np.take_along_axis(view["item/x"], nearest, 1)[:, 0], np.take_along_axis(
        far, nearest, 1
    )[:, 0]


def _walk(s: _Situation, goal: Array, style: dict[str, Array], dice: Array, mood: Array) -> Array:
    """Keys to walk toward the goal, jumping over gaps and up to the foe; some dashes and hops."""
    offset = goal - s.me.x
    keys = np.where(offset > 0.25, D, np.where(offset < -0.25, A, 0))
    # At the goal, looking the wrong way: turn to the foe.
    keys = np.where(
        (keys == 0) & (s.me.facing_right != (s.toward > 0)) & s.me.grounded,
        np.where(s.toward > 0, D, A),
        keys,
    )

    heading = np.sign(offset)
    gap = (
        s.me.grounded
        & (np.abs(s.me.x) < INNER + 0.9)
        & (heading * s.me.x < 0)
        & (np.abs(offset) > 0.5)
    )
    above = (s.dy < -1.2) & (np.abs(s.dx) < 2.5) & (mood < 0.5)
    stuck = s.me.grounded & (s.me.y > s.lip + 0.3)  # on the platform, below the lip
    hop = (dice < style["hop"]) | gap | above | stuck
    can_jump = s.me.grounded | ((s.me.vy > 0) & (s.me.jump_cooldown == 0) & (s.me.air_jumps > 1))
    keys = np.where(hop & can_jump & ~s.me.held_space, keys | SPACE, keys)
    room = (np.abs(offset) > 2.5) & s.me.grounded & (keys != 0)
    room &= np.abs(np.abs(s.me.x) - 4.5) < 1.5
    return np.where(room & (dice > 1 - style["dash"]) & ~s.me.held_l, keys | L, keys)


# ---- returning to the stage ----


def _lost(s: _Situation) -> Array:
    """Mask of fighters in the air without ground below."""
    return np.asarray(~s.me.grounded & ~s.over_ground)


def _come_back(s: _Situation, goal: Array, style: dict[str, Array]) -> Array:
    """Keys that steer toward ground: jumps below the lip, then the recovery move."""
    outside = np.abs(s.me.x) >= OUTER
    home = np.where(outside, -np.sign(s.me.x), np.sign(goal - s.me.x))
    side = np.where(home > 0, D, A)
    low = s.me.y + 6 * rules.DT * s.me.vy > s.lip - 0.6
    falling = (s.me.vy > 0) & low & (style["recover"] > 0)
    jump = falling & (s.me.air_jumps > 0) & (s.me.jump_cooldown == 0) & ~s.me.held_space
    rise = falling & (s.me.air_jumps == 0) & (s.me.recoveries > 0) & (s.me.y > s.lip - 0.2)
    return np.where(jump, side | SPACE, np.where(rise, side | K, side))


# ---- attack and defense ----


def _strike(s: _Situation, style: dict[str, Array], dice: Array, mood: Array) -> Array:
    """Keys of the preferred move among those that would hit; 0 without one, or by chance."""
    w = s.me.weapon
    frames = _FIRST[w] * rules.DT  # [N, 12] seconds until it lands
    lead = style["lead"][:, None] * frames
    fall = np.where(s.foe.grounded, 0.0, 0.5 * rules.GRAVITY)[:, None] * lead * frames
    own_x = np.where(s.me.grounded, 0.35, 0.9)[:, None] * s.me.vx[:, None]
    own_y = np.where(s.me.grounded, 0.0, s.me.vy)[:, None]
    dx = s.toward[:, None] * (s.dx[:, None] + lead * (s.foe.vx[:, None] - own_x)) - _TRAVEL[w]
    dy = s.dy[:, None] + lead * (s.foe.vy[:, None] - own_y) + fall - _RISE[w]
    box_x, box_y, box_w, box_h = (box[w] for box in _BOX)
    slack = rules.HURT_R + style["sloppy"][:, None]
    hits = (np.abs(dx - box_x) < box_w + slack) & (np.abs(dy - box_y) < box_h + slack + 0.05)
    hits &= s.me.grounded[:, None] == _GROUND
    hits[:, 0] = False
    hits[:, rules.RECOVERY] &= s.me.recoveries > 0
    hits[:, rules.GROUND_POUND] &= s.over_ground & (s.dy > 1.0)

    weight = np.where(_HEAVY, style["heavy"][:, None], 1.0) * np.where(
        _GROUND, 1.0, style["air"][:, None]
    )
    worn = style["finish"][:, None] * np.clip(s.foe.damage / 100.0, 0.0, 2.0)[:, None]
    weight = weight + worn * _FORCE[w] / 50.0
    weight = weight * (0.3 + (mood[:, None] * np.arange(1, 13) * 1.618) % 1.0)  # for variety
    best = np.where(hits, weight, -1.0).argmax(axis=1)
    would_hit = np.take_along_axis(hits, best[:, None], 1)[:, 0]
    can = (s.foe.state != rules.S_KO) & (s.foe.shield == 0) & (s.foe.state != rules.S_DODGE)
    chance = style["attack"] * np.where(
        _GROUND[best], 1.0, np.minimum(style["air"], 2.0) / 2.0 + 0.2
    )
    strikes = would_hit & can & (dice < chance)
    return np.where(strikes, _AIM[best] | np.where(s.toward > 0, D, A), 0)


def _threatened(s: _Situation, style: dict[str, Array]) -> Array:
    """Mask of fighters whom a strike is about to reach and whose dodge is ready."""
    first, last = _FIRST[s.foe.weapon, s.foe.move], _LAST[s.foe.weapon, s.foe.move]
    due = (
        (s.foe.state == rules.S_ATTACK)
        & (s.foe.move_frame >= first - 3)
        & (s.foe.move_frame <= last)
    )
    near = (np.abs(s.dx) < _REACH[s.foe.weapon, s.foe.move] + 0.3) & (np.abs(s.dy) < 1.6)
    return np.asarray(due & near & (s.me.dodge_cooldown == 0) & (s.me.state != rules.S_ATTACK))


def _finish_move(s: _Situation, style: dict[str, Array], mood: Array) -> Array:
    """Keys during a move: hold a heavy back or release it, and drift toward ground or foe."""
    heavy = s.me.grounded & (s.me.move >= rules.NEUTRAL_HEAVY) & (s.me.move < rules.NEUTRAL_AIR)
    safe = np.where(s.over_ground | s.me.grounded, s.toward, -np.sign(s.me.x))
    drift = np.where(safe > 0, D, A)
    return np.where(heavy & (mood < style["charge"]), K, 0) | np.where(s.me.grounded, 0, drift)


def _grab(s: _Situation, view: Columns, style: dict[str, Array]) -> Array:
    """H while a weapon is within reach and the hands are empty.

    A key that is held already is released first, because a pick-up follows a press.
    """
    near = (np.abs(view["item/x"] - s.me.x[:, None]) < rules.REACH_X) & (
        np.abs(view["item/y"] - s.me.y[:, None]) < rules.REACH_Y
    )
    near &= view["item/alive"]
    return np.where(
        near.any(axis=1) & (s.me.weapon == 0) & (style["wants_weapon"] > 0) & ~s.me.held_h, H, 0
    )
