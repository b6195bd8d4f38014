"""Contradictions between the fields of neighboring rows, by name; the simulator makes none.

Each is a mask [R - 1, players] of the steps in which a fighter contradicts a rule. The stages'
ground is checked where the row names its stage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl.figures.events import (
    RISE,
    SLACK,
    drops_and_pickups,
    enters_stun,
    find_strikes,
    knockouts,
    outside,
    pair,
    stunned_before,
)
from shadowbox.games.brawl.rules import (
    BODY_H,
    BODY_W,
    BOUNCE,
    DT,
    JUMP_FRAMES,
    PLATFORM_H,
    PLATFORM_W,
    S_AIR,
    S_BACKDASH,
    S_DASH,
    S_KO,
    S_SPRINT,
    S_STAND,
    S_STUN,
    S_TAUNT,
    S_TURN,
    S_WALK,
    stage,
)
from shadowbox.games.brawl.schema import MAX_DAMAGE, SCHEMA, STAGES, STATES

AMOUNT = 0.25  # share of a strike's damage by which the taken damage may differ
JERK = 0.5  # u a frame beyond the speeds of both rows: the platform's carry, and rounding
LONGEST_AGE = 255
# states that no fighter has in the air
ON_THE_GROUND = (S_WALK, S_STAND, S_TURN, S_SPRINT, S_DASH, S_BACKDASH, S_TAUNT)
_IS_ON_THE_GROUND = np.isin(np.arange(len(STATES)), ON_THE_GROUND)  # by state


def couplings(columns: Columns) -> Mapping[str, Array]:
    """Contradictions of rows [R, slots] by name, bool [R - 1, players] each."""
    return {**_of_hits(columns), **_of_stocks(columns), **_of_jumps(columns), **_of_motion(columns)}


def impossible(columns: Columns) -> Mapping[str, Array]:
    """Steps that no match can contain, bool [R - 1, players] each: rules without any tolerance."""
    (damage, hurt), (stocks, left), (state, after) = (
        pair(columns, f"player/{name}") for name in ("damage", "stocks", "state")
    )
    return {
        "stock_gained": left > stocks,
        "outside_alive": outside(columns)[1:] & (after != S_KO),
        "healed_alive": (hurt < damage) & ~((state == S_KO) & (after != S_KO)),
    }


def _of_hits(columns: Columns) -> dict[str, Array]:
    strikes = find_strikes(columns)
    hit = strikes.hit[:, ::-1]  # by the fighter who is hit
    damage, now = pair(columns, "player/damage")
    rises, rise = now - damage > RISE, now - damage
    expected = strikes.damage[:, ::-1]
    wrong = np.abs(rise - expected) > np.maximum(AMOUNT * expected, 1.0)
    struck, spent = (values.astype(int) for values in pair(columns, "player/struck"))
    move, next_move = pair(columns, "player/move")
    marked = (spent & ~struck != 0) & (move == next_move) & (move > 0)
    return {
        "damage_without_hit": rises & ~hit,
        "hit_without_damage": (strikes.certain[:, ::-1]) & ~rises & (damage < MAX_DAMAGE),
        "damage_of_another_amount": hit & wrong & (now < MAX_DAMAGE),
        "stun_without_hit": enters_stun(columns) & ~hit,
        "struck_without_hit": marked & ~strikes.hit,
    }


def _of_stocks(columns: Columns) -> dict[str, Array]:
    state, after = pair(columns, "player/state")
    stocks, left = (values.astype(int) for values in pair(columns, "player/stocks"))
    out = (state != S_KO) & (after == S_KO)
    return {
        "knockout_without_crossing": out & ~outside(columns)[1:],
        "crossing_without_knockout": outside(columns)[1:] & (after != S_KO),
        "knockout_without_stock": out & outside(columns)[1:] & (left != stocks - 1),
        "stock_lost_without_knockout": (left < stocks) & ~knockouts(columns),
        "stock_gained": left > stocks,
    }


def _of_jumps(columns: Columns) -> dict[str, Array]:
    grounded, lands = pair(columns, "player/grounded")
    jumps, left = (values.astype(int) for values in pair(columns, "player/air_jumps"))
    cooldown, after = (values.astype(int) for values in pair(columns, "player/jump_cooldown"))
    state, now = pair(columns, "player/state")
    wakes = (state == S_STUN) & ~stunned_before(columns)  # the end of stun gives an air jump
    jumped = (after == JUMP_FRAMES) & (cooldown != JUMP_FRAMES)
    respawns = (state == S_KO) & (now != S_KO)
    return {
        "jump_without_one_left": jumped & ~grounded & (jumps == 0) & ~wakes,
        "air_jump_gained": (left > jumps) & ~lands & ~wakes & ~respawns,
    }


def _of_motion(columns: Columns) -> dict[str, Array]:
    state, after = pair(columns, "player/state")
    age, now = (values.astype(int) for values in pair(columns, "player/age"))
    counted = (now == np.minimum(age + 1, LONGEST_AGE)) & (state == after) | (now == 0)
    timers = np.zeros(state.shape, bool)
    for name in ("dodge_cooldown", "jump_cooldown", "shield"):
        timer, left = (values.astype(int) for values in pair(columns, f"player/{name}"))
        timers |= (left < np.maximum(timer - 1, 0)) & (left != 0)
    leaps = np.zeros(state.shape, bool)
    for name in ("x", "y"):
        place, there = pair(columns, f"player/{name}")
        speed, speed_now = (np.abs(values) for values in pair(columns, f"player/v{name}"))
        leaps |= np.abs(there - place) > np.maximum(speed, speed_now / BOUNCE) * DT + JERK
    weapon, armed = pair(columns, "player/weapon")
    drops, takes = drops_and_pickups(columns)
    alive, on = (state != S_KO) & (after != S_KO), _on_something(columns)
    return {
        "age_not_counted": ~counted,
        "timer_skipped": timers,
        "leap": leaps & alive,
        "grounded_in_the_air": (columns["player/grounded"] & ~np.logical_or(*on))[1:],
        "weapon_from_nowhere": (armed > 0) & (armed != weapon) & ~takes,
        "weapon_vanished": (armed == 0) & (weapon > 0) & ~drops & (after != S_KO),
    }


def repairs(columns: Columns) -> Mapping[str, tuple[Array, int]]:
    """Wrong values of fighters who are on the ground where none is, and the right ones, by column.

    One who walks on is in the air from now on.
    """
    if not columns["player/grounded"].any() and not columns["player/on_platform"].any():
        return {}
    on_block, on_platform = _on_something(columns)
    carried = columns["player/on_platform"] & ~on_platform
    falls = columns["player/grounded"] & ~(on_block | on_platform)
    walks = falls & _IS_ON_THE_GROUND[columns["player/state"]]
    return {
        "player/grounded": (falls, 0),
        "player/on_platform": (carried, 0),
        "player/state": (walks, S_AIR),
        "player/age": (walks, 0),
    }


def repairs_script() -> str:
    """Script of a page with a function `$repair(columns)`, which changes a row as `repairs` says."""
    blocks = _blocks()
    tables = {
        "blocks": blocks[..., :3].reshape(len(STAGES), -1, 3).tolist(),
        "slack": SLACK,
        "reach": BODY_W + SLACK,
        "body": BODY_H,
        "platform": {"width": PLATFORM_W, "height": PLATFORM_H},
        "walking": list(ON_THE_GROUND),
        "air": S_AIR,
    }
    text = files("shadowbox.games.brawl").joinpath("page/repairs.js").read_text(encoding="utf-8")
    return f"const TABLES = {json.dumps(tables)};\n{text}"


def _on_something(columns: Columns) -> tuple[Array, Array]:
    """Fighters whose feet are on a block, and on the platform, within SLACK, [R, players] each."""
    x, y = columns["player/x"], columns["player/y"] + BODY_H
    blocks = _blocks()[np.minimum(columns["match/stage"][:, 0], len(STAGES) - 1)]  # [R, 2, 4]
    left, right, top = (blocks[:, None, :, at] for at in range(3))
    reach = BODY_W + SLACK
    over = (x[..., None] > left - reach) & (x[..., None] < right + reach)
    on_block = (over & (np.abs(y[..., None] - top) < SLACK)).any(-1)
    platform = columns["platform/y"] - PLATFORM_H
    near = np.abs(x - columns["platform/x"]) < PLATFORM_W + reach
    return np.asarray(on_block), np.asarray(near & (np.abs(y - platform) < SLACK))


@cache
def _blocks() -> Array:
    """Blocks of all stages, [stages, blocks, (left, right, top, bottom)]."""
    return np.concatenate([stage(name)["blocks"] for name in STAGES])


assert SCHEMA.columns["player/age"].field.limits[1] == LONGEST_AGE
