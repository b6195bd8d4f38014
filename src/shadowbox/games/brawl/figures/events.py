"""Events of a match, derived from pairs of neighboring rows of the state alone.

The simulator announces its events; here they are found again without it: a hit needs a strike that
is active, unspent and in reach of an opponent who can be hit, and an opponent who takes damage and
is stunned. A learned world is judged by what its states say, and cannot be right by announcing
events. Columns are [R, slots]; row r - 1 led to row r.

In a step both fighters decide, then strikes are tested at the positions of the row before, then
bodies move. The strike is therefore looked for at row r - 1's positions, at the move's frame of row
r; a fighter who is hit loses the move, and its next frame is taken.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl.rules import (
    BLAST_X,
    BLAST_Y,
    CHARGED,
    DODGE_FRAMES,
    DROPPED_LOCK,
    E_COMBO,
    E_DRAW,
    E_DROP,
    E_HIT,
    E_JUMP,
    E_KNOCKOUT,
    E_LAND,
    E_PICKUP,
    E_RESPAWN,
    E_TIMEOUT,
    E_WIN,
    HURT_H,
    HURT_R,
    JUMP_FRAMES,
    NO_PLAYER,
    REACH_X,
    REACH_Y,
    S_ATTACK,
    S_DODGE,
    S_KO,
    S_STUN,
)
from shadowbox.games.brawl.schema import MAX_DAMAGE, MAX_STRIKES

SLACK = 0.1  # u by which a strike may miss, for positions of a learned world
RISE = 0.01  # the smallest rise of damage that counts


class _Strikes(NamedTuple):
    """Strikes of every fighter against the other, [R - 1, players] each, by attacker."""

    possible: Array  # one may land: active, unspent, within reach plus SLACK
    certain: Array  # one must land: the attacker goes on, well within reach, nothing protects
    move: Array
    damage: Array  # of the strike, with its charge
    hit: Array  # one has landed: possible, and the other fighter was open, hurt and stunned


def pair(columns: Columns, key: str) -> tuple[Array, Array]:
    """A column before and after each step, [R - 1, slots] each."""
    values = columns[key]
    return values[:-1], values[1:]


def events(columns: Columns) -> Array:
    """Derive the events of rows [R, slots], in order of frame; `match` is 0."""
    hit, move = _landed(columns)
    stun, knocked = stunned_before(columns), knockouts(columns)
    damage = pair(columns, "player/damage")
    rise = damage[1] - damage[0]
    (grounded, lands), (cooldown, jumps) = (
        pair(columns, f"player/{name}") for name in ("grounded", "jump_cooldown")
    )
    state, after = pair(columns, "player/state")
    found = [
        _hits(E_HIT, hit, move, rise),
        _hits(E_COMBO, hit & stun[:, ::-1], move, rise),
        _single(E_KNOCKOUT, knocked, other=True, value=damage[1]),
        _single(E_RESPAWN, (state == S_KO) & (after != S_KO)),
        _single(E_LAND, ~grounded & lands),
        _single(E_JUMP, (jumps == JUMP_FRAMES) & (cooldown != JUMP_FRAMES)),
        *_weapons(columns),
        *_ends(columns),
    ]
    some = [each for each in found if len(each)]
    if not some:
        return np.zeros(0, EVENT)
    together = np.concatenate(some) if len(some) > 1 else some[0]
    return together[np.lexsort((together["player"], together["kind"], together["frame"]))]


def knockouts(columns: Columns) -> Array:
    """Fighters that are beyond the blast zones, newly out, and have lost a stock, [R - 1, 2]."""
    (before, after), (stocks, left) = (
        pair(columns, f"player/{name}") for name in ("state", "stocks")
    )
    out = (before != S_KO) & (after == S_KO)
    return np.asarray(out & outside(columns)[1:] & (left.astype(int) == stocks.astype(int) - 1))


def outside(columns: Columns) -> Array:
    """Fighters beyond the blast zones, [R, 2]."""
    x, y = np.abs(columns["player/x"]), np.abs(columns["player/y"])
    return np.asarray((x > BLAST_X) | (y > BLAST_Y))


def stunned_before(columns: Columns) -> Array:
    """Fighters whose stun outlasts the step, [R - 1, 2]: a hit on them is a combo."""
    return np.asarray((columns["player/state"][:-1] == S_STUN) & (columns["player/stun"][:-1] > 1))


def enters_stun(columns: Columns) -> Array:
    """Fighters who were stunned anew by the step, [R - 1, 2]."""
    (state, after), (age, new_age) = (pair(columns, f"player/{name}") for name in ("state", "age"))
    return np.asarray((after == S_STUN) & ((state != S_STUN) | (new_age <= age) & (new_age == 0)))


def find_strikes(columns: Columns) -> _Strikes:
    """Strikes that may land, must land, and have landed."""
    before = {key: values[:-1] for key, values in columns.items() if key.startswith("player/")}
    after = {key: values[1:] for key, values in columns.items() if key.startswith("player/")}
    move, goes_on, frames = _moves(before, after)
    table = _table()[before["player/weapon"], move]
    near, far = _reaches(before, table, frames)
    possible, certain = (np.asarray(each.any(-1)) for each in (near, far))
    damage = _damage(before, table, near)
    can_be, surely = (mask[:, ::-1] for mask in _open(before, after))
    hit = possible & can_be & _other_is_struck(columns)
    return _Strikes(possible, certain & goes_on & surely, move, damage, hit)


def _landed(columns: Columns) -> tuple[Array, Array]:
    """Strikes that have landed, and their moves, [R - 1, players] each, by attacker.

    Strikes are looked for where a fighter is struck, which is seldom.
    """
    struck = _other_is_struck(columns)
    hit, move = np.zeros_like(struck), np.zeros(struck.shape, np.int64)
    rows = np.flatnonzero(struck.any(-1))
    if len(rows):
        pairs = (rows[:, None] + np.arange(2)).ravel()
        strikes = find_strikes(
            {key: values[pairs] for key, values in columns.items() if key.startswith("player/")}
        )
        hit[rows], move[rows] = strikes.hit[::2], strikes.move[::2]
    return hit, move


def _other_is_struck(columns: Columns) -> Array:
    """Fighters whose opponent took damage and is stunned or out by it, [R - 1, players]."""
    (state, after), (damage, now) = (
        pair(columns, f"player/{name}") for name in ("state", "damage")
    )
    rise = now - damage
    hurt = (rise > RISE) | ((now >= MAX_DAMAGE) & (rise >= 0))
    if not hurt.any():
        return hurt
    reacts = enters_stun(columns) | ((after == S_KO) & (state != S_KO))
    return np.asarray((hurt & reacts)[:, ::-1])


@cache
def _table() -> Array:
    """The move table of the usual arsenal, [weapons, moves]."""
    from shadowbox.games.brawl.arsenal import ARSENAL
    from shadowbox.games.brawl.moves import compile_table

    return compile_table(ARSENAL)


def _moves(before: Columns, after: Columns) -> tuple[Array, Array, tuple[Array, Array]]:
    """Move of each fighter while strikes are tested, whether it goes on, and its possible frames.

    A strike is never in a move's first frame, so that the move is already in the row before.
    """
    move, frame = before["player/move"].astype(int), before["player/move_frame"].astype(int)
    move = np.where(before["player/state"] == S_ATTACK, move, 0)
    now = after["player/move_frame"].astype(int)
    same = (after["player/state"] == S_ATTACK) & (after["player/move"] == move) & (move > 0)
    goes_on = same & (after["player/age"] > 0) & ((now == frame) | (now == frame + 1))
    interrupted = np.isin(after["player/state"], (S_STUN, S_KO)) & (move > 0)
    nothing = np.full_like(frame, -1)
    first = np.where(goes_on, now, np.where(interrupted, frame + 1, nothing))
    plunges = _table()["plunge_at"][before["player/weapon"], move] == frame
    second = np.where(interrupted & ~goes_on & plunges, frame, nothing)
    return move, goes_on, (first, second)


def _reaches(before: Columns, table: Any, frames: tuple[Array, Array]) -> tuple[Array, Array]:
    """Strikes that reach the other fighter loosely and surely, [R - 1, 2, MAX_STRIKES] each."""
    ahead = np.where(before["player/facing_right"], 1.0, -1.0)[..., None]
    x, y = (before[f"player/{name}"].astype(float) for name in ("x", "y"))
    dx = (x[:, ::-1] - x)[..., None] - ahead * table["box_x"]
    dy = (y[:, ::-1] - y)[..., None] - table["box_y"]
    dx = np.maximum(np.abs(dx) - table["box_w"], 0.0)
    dy = np.maximum(np.abs(dy) - table["box_h"] - HURT_H, 0.0)
    away = np.hypot(dx, dy) - HURT_R
    numbers = np.arange(MAX_STRIKES)
    unspent = before["player/struck"].astype(int)[..., None] & (1 << numbers) == 0
    there = unspent & (numbers < table["strikes"][..., None])
    active = [
        there & (table["first"] <= frame[..., None]) & (frame[..., None] <= table["last"])
        for frame in frames
    ]
    return (active[0] | active[1]) & (away < SLACK), active[0] & (away < -SLACK)


def _damage(before: Columns, table: Any, near: Array) -> Array:
    """Damage of the first strike that may land."""
    charge = before["player/charge"] / np.maximum(table["charge"], 1)
    gain = 1.0 + CHARGED * np.where(table["charge"] > 0, np.minimum(charge, 1.0), 0.0)
    first = near.argmax(-1)[..., None]
    return np.asarray(np.take_along_axis(table["damage"], first, -1)[..., 0] * gain)


def _open(before: Columns, after: Columns) -> tuple[Array, Array]:
    """Fighters who may be hit in the step, and who surely can be, [R - 1, 2] each."""
    state, now = before["player/state"], after["player/state"]
    dodges = state == S_DODGE
    ends = before["player/age"].astype(int) + 1 >= DODGE_FRAMES
    bare = after["player/shield"] == 0
    can_be = bare & (state != S_KO) & (~dodges | ends)
    surely = bare & (before["player/shield"] <= 1) & ~dodges & (now != S_DODGE) & (state != S_KO)
    return can_be, surely


# ---- arrays of events ----------------------------------------------------------------------------


def _single(kind: int, where: Array, *, other: bool = False, value: Array | None = None) -> Array:
    """Events at the true cells of `where` [R - 1, players]."""
    if not where.any():
        return np.zeros(0, EVENT)
    row, seat = np.nonzero(where)
    out = np.zeros(len(row), EVENT)
    out["frame"], out["player"], out["kind"] = row + 1, seat, kind
    out["other"] = 1 - seat if other else -1
    if value is not None:
        out["value"] = value[row, seat]
    return out


def _hits(kind: int, where: Array, move: Array, rise: Array) -> Array:
    """Hits by attacker, with their move and the damage that the other took."""
    out = _single(kind, where, other=True, value=rise[:, ::-1])
    if len(out):
        out["what"] = move[where]
    return out


def _weapons(columns: Columns) -> list[Array]:
    """Weapons dropped and picked up."""
    weapon, now = pair(columns, "player/weapon")
    drops, takes = drops_and_pickups(columns)
    found = []
    for kind, where, which in ((E_DROP, drops, weapon), (E_PICKUP, takes, now)):
        out = _single(kind, where)
        if len(out):
            out["what"] = which[where]
        found.append(out)
    return found


def drops_and_pickups(columns: Columns) -> tuple[Array, Array]:
    """Fighters who dropped a weapon, and who took one that was in reach, [R - 1, 2] each."""
    weapon, now = pair(columns, "player/weapon")
    state = columns["player/state"][1:]
    fresh = columns["item/alive"][1:] & (columns["item/lock"][1:] == DROPPED_LOCK - 1)
    fresh &= ~columns["item/alive"][:-1] | (columns["item/lock"][:-1] != DROPPED_LOCK)
    if not fresh.any() and not ((now > 0) & (weapon == 0)).any():
        nothing = np.zeros(weapon.shape, bool)
        return nothing, nothing
    dropped = fresh[:, None] & (columns["item/weapon"][1:, None] == weapon[..., None])
    dropped &= np.abs(columns["item/x"][1:, None] - columns["player/x"][:-1, :, None]) < SLACK
    drops = (weapon > 0) & dropped.any(-1) & ((now != weapon) | (state != S_KO))
    changed = (now > 0) & (state != S_KO) & (drops | (weapon == 0))
    return drops, changed & _weapon_in_reach(columns)


def _weapon_in_reach(columns: Columns) -> Array:
    """Fighters for whom a weapon of the kind that they now hold was in reach, [R - 1, 2]."""
    gone = columns["item/alive"][:-1] & (
        ~columns["item/alive"][1:] | (columns["item/life"][1:] > columns["item/life"][:-1])
    )
    kinds = columns["item/weapon"][:-1, None] == columns["player/weapon"][1:, :, None]
    near = kinds & gone[:, None]
    for name, reach in (("x", REACH_X), ("y", REACH_Y)):
        item, own = columns[f"item/{name}"][:-1, None], columns[f"player/{name}"][1:, :, None]
        near &= np.abs(item - own) < reach + 5 * SLACK  # both move in the step
    return np.asarray(near.any(-1))


def _ends(columns: Columns) -> list[Array]:
    """Ends of the match."""
    over, now = (values[:, 0] for values in pair(columns, "match/over"))
    ends = now & ~over
    if not ends.any():
        return []
    winner = columns["match/winner"][1:, 0].astype(int)
    alive = (columns["player/stocks"][1:] > 0).all(-1)
    found = []
    for kind, where in (
        (E_TIMEOUT, ends & alive),
        (E_DRAW, ends & (winner == NO_PLAYER)),
        (E_WIN, ends & (winner != NO_PLAYER)),
    ):
        out = _single(kind, where[:, None])
        won = kind == E_WIN
        out["player"] = winner[where] if won else -1
        out["other"] = 1 - winner[where] if won else -1
        found.append(out)
    return found
