"""Contradictions between the fields of neighboring Melee rows, by name.

Each is a mask [R - 1, players] of the steps in which a fighter contradicts what a hit, a stock or a motion
needs. Real matches hold a few of them, so that their rate beside a world's decides.

A hit is found from the state, not from `last_hit_by`, which a world draws beside the damage: the
other fighter attacks within reach, and both freeze; or holds the victim; or an item of another one is
near. A fighter far off the screen is hurt by one percent at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.games.melee.names import (
    ACTION_COUNT,
    ATTACKING,
    CAPTURED,
    DAMAGED,
    DYING,
    GRABBED,
    GRABBING,
    RISING,
    SPECIAL,
    THROWN,
    action,
)
from shadowbox.games.melee.schema import SCHEMA
from shadowbox.games.melee.stages import GEOMETRY

REACH, ITEM_REACH = 60.0, 60.0  # units from a victim to the other fighter, and to an item
RISE = 1e-3  # of percent, that counts
MAGNIFIED = 1.01  # the most that a fighter is hurt by off the screen, in a frame
MOST = SCHEMA.columns["player/percent"].field.limits[1]
LEAP = 8.0  # units beyond the speeds of a row: ledges, throws and teleports are further
FALLEN = 4.0  # units between feet and ground; the ground of Yoshi's Story slopes
REBIRTH, LEDGE = action("rebirth"), action("ledge_catch")


def _group(states: frozenset[int]) -> Array:
    return np.isin(np.arange(ACTION_COUNT), sorted(states))


_STRIKES = _group(ATTACKING | RISING | GRABBING | frozenset(range(SPECIAL, ACTION_COUNT)))
_HELD, _HURT, _DYING = _group(GRABBED | THROWN | CAPTURED), _group(DAMAGED), _group(DYING)
_FAR = _group(frozenset(action(name) for name in ("dead_down", "dead_left", "dead_right")))
_AIR_JUMPS = _group(frozenset((action("air_jump_forward"), action("air_jump_back"))))


class _Hits(NamedTuple):
    """Steps in which a fighter is hurt, [R - 1, players] each: percent that rises, and a cause of it."""

    rises: Array
    hit: Array  # rises, and there is a cause
    frozen: Array  # hitlag begins
    hurt: Array  # a state of damage begins


def find_hits(columns: Columns) -> _Hits:
    """Hits of rows [R, slots], found from actions, reach, hitlag and items."""
    percent, later = _pair(columns, "percent")
    rises = later - percent > RISE
    state, now = (_known(values) for values in _pair(columns, "action"))
    hitlag, left = _pair(columns, "hitlag")
    frozen = left > hitlag
    strikes = (_STRIKES[state] | _STRIKES[now])[:, ::-1]
    contact = strikes & frozen & frozen[:, ::-1] & (_distance(columns) < REACH)[:, None]
    held = _HELD[state] | _HELD[now]
    magnified = columns["player/offscreen"][1:] & (later - percent < MAGNIFIED)
    cause = contact | held | magnified | _near_item(columns)
    return _Hits(rises, rises & cause, frozen, _HURT[now] & ~_HURT[state])


def hits(columns: Columns) -> Array:
    """Steps in which a fighter is hit, found from the state, bool [R - 1, players]."""
    return find_hits(columns).hit


def couplings(columns: Columns) -> Mapping[str, Array]:
    """Contradictions of rows [R, slots] by name, bool [R - 1, players] each."""
    return {**_of_hits(columns), **_of_stocks(columns), **_of_motion(columns)}


def impossible(columns: Columns) -> Mapping[str, Array]:
    """Steps that no match can contain, bool [R - 1, players] each."""
    stocks, left = _pair(columns, "stocks")
    return {"stock_gained": left > stocks}


def _of_hits(columns: Columns) -> dict[str, Array]:
    found = find_hits(columns)
    stunned, after = _pair(columns, "in_hitstun")
    percent = columns["player/percent"][:-1]
    whole = percent < MOST
    alone = found.frozen & ~found.frozen[:, ::-1] & ~found.rises & ~_near_item(columns)
    return {
        "damage_without_hit": found.rises & ~found.hit,
        "hit_without_damage": found.frozen & found.hurt & ~found.rises & whole,
        "stun_without_hit": after & ~stunned & ~found.rises & whole,
        "hurt_without_hit": found.hurt & ~found.rises & whole,
        "hitlag_alone": alone,
    }


def _of_stocks(columns: Columns) -> dict[str, Array]:
    state, now = (_known(values) for values in _pair(columns, "action"))
    stocks, left = _pair(columns, "stocks")
    percent, later = _pair(columns, "percent")
    known, beyond = _zones(columns)
    lost = left < stocks
    return {
        "knockout_without_crossing": lost & known & _FAR[now] & ~beyond[1:] & ~beyond[:-1],
        "crossing_without_knockout": beyond[1:] & beyond[:-1] & known & ~_DYING[now] & (left > 0),
        "death_without_stock": _FAR[now] & ~_FAR[state] & ~lost,
        "stock_lost_alive": lost & ~_DYING[now],
        "stock_gained": left > stocks,
        "healed": (later < percent - RISE) & ~((now == REBIRTH) & (state != REBIRTH)),
    }


def _of_motion(columns: Columns) -> dict[str, Array]:
    state, now = (_known(values) for values in _pair(columns, "action"))
    jumps, left = (values.astype(int) for values in _pair(columns, "jumps"))
    grounded, lands = _pair(columns, "on_ground")
    speeds = {"x": ("air_vx", "knock_vx"), "y": ("vy", "knock_vy")}
    leaps = np.zeros(state.shape, bool)
    for name, keys in speeds.items():
        place, there = _pair(columns, name)
        moved, way = sum(columns[f"player/{key}"][1:] for key in keys), there - place
        leaps |= (np.abs(way - moved) > LEAP) & (np.abs(way) > LEAP)  # hitlag holds a body
    jumped = _AIR_JUMPS[now] & ~_AIR_JUMPS[state]
    skipped = np.zeros(state.shape, bool)
    for name in ("hitlag", "hitstun"):
        timer, rest = _pair(columns, name)
        skipped |= (rest < timer - 1) & (rest > 0)
    free = ~_DYING[state] & ~_DYING[now] & (now != REBIRTH) & ~_HELD[now] & (now != LEDGE)
    return {
        "leap": leaps & free,
        "timer_skipped": skipped,
        "jump_without_one_left": jumped & (jumps == 0),
        "jump_gained_in_the_air": (left > jumps) & ~lands & ~grounded & free & ~_HELD[state],
        "grounded_in_the_air": (columns["player/on_ground"] & _in_the_air(columns))[1:] & free,
    }


# ---- places --------------------------------------------------------------------------------------


def _pair(columns: Columns, name: str) -> tuple[Array, Array]:
    values = columns[f"player/{name}"]
    return values[:-1], values[1:]


def _known(states: Array) -> Array:
    return np.minimum(states.astype(np.intp), ACTION_COUNT - 1)


def _distance(columns: Columns) -> Array:
    """Distance of the fighters, the smaller one of two rows, [R - 1]."""
    apart = np.hypot(*(np.diff(columns[f"player/{axis}"], axis=-1)[:, 0] for axis in ("x", "y")))
    return np.minimum(apart[:-1], apart[1:])


def _near_item(columns: Columns) -> Array:
    """Fighters near an item of another one, in either row, [R - 1, players]."""
    far = [
        columns[f"item/{axis}"][:, None, :] - columns[f"player/{axis}"][:, :, None]
        for axis in ("x", "y")
    ]
    mine = columns["item/owner"][:, None, :] == np.arange(SCHEMA.players)[:, None]
    near = (np.hypot(*far) < ITEM_REACH) & columns["item/alive"][:, None, :] & ~mine
    found: Array = near.any(-1)
    return found[1:] | found[:-1]


def _zones(columns: Columns) -> tuple[Array, Array]:
    """Rows of a known stage [R - 1, 1]; fighters beyond its sides or bottom, [R, players].

    Only who is hit dies beyond its top.
    """
    stage, x, y = columns["stage/id"][:, :1], columns["player/x"], columns["player/y"]
    known = np.zeros(stage.shape, bool)
    beyond = np.zeros(x.shape, bool)
    for number, geometry in GEOMETRY.items():
        left, right, _, bottom = geometry.blast
        here = stage == number
        known |= here
        beyond |= here & ((x < left) | (x > right) | (y < bottom))
    return known[1:], beyond


def _in_the_air(columns: Columns) -> Array:
    """Fighters of a known stage whose feet are on no ground or platform of it, [R, players]."""
    stage, x, y = columns["stage/id"][:, :1], columns["player/x"], columns["player/y"]
    found = np.zeros(x.shape, bool)
    moving = [columns[f"stage/{side}_height"] for side in ("left", "right")]
    for number, geometry in GEOMETRY.items():
        on = (np.abs(y) < FALLEN) & (np.abs(x) < geometry.edge + FALLEN)
        for left, right, height in geometry.platforms:
            on |= (np.abs(y - height) < FALLEN) & (x > left - FALLEN) & (x < right + FALLEN)
        for rises in moving:
            on |= (np.abs(y - rises) < FALLEN) & (rises > 0)
        on |= (np.abs(y - columns["stage/randall_y"]) < FALLEN) & columns["stage/randall"]
        found |= (stage == number) & ~on
    return found
