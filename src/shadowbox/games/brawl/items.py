"""Weapons on the stage (they appear, fall, are picked up, dropped and vanish), and their noise."""

from __future__ import annotations

from typing import Any

from shadowbox.games.brawl.jit import inner
from shadowbox.games.brawl.rules import (
    BLAST_Y,
    BODY_H,
    DROPPED_LIFE,
    DROPPED_LOCK,
    DT,
    GRAVITY,
    ITEM_DROP,
    ITEM_H,
    ITEM_LIFE,
    MAX_FALL,
    NEXT_WEAPON,
    REACH_X,
    REACH_Y,
    S_ATTACK,
    S_DODGE,
    S_KO,
    S_STUN,
    H,
)  # fmt: skip

Record = Any
WORD = 0xFFFFFFFF


@inner
def mix(x: int) -> int:
    """Hash 32 bits. Products stay below 2^63, so that compiled integers and Python's agree."""
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & WORD
    x = ((x ^ (x >> 15)) * 0x735A2D97) & WORD
    return x ^ (x >> 15)


@inner
def chance(m: Record, frame: int, draw: int) -> float:
    """Uniform number in [0, 1): a function of (match seed, frame, draw) and of nothing else."""
    x = mix(int(m.match_seed_low[0]) + 0x3C6EF372 & WORD)
    x = mix((x ^ int(m.match_seed_high[0])) + 0x1F83D9AB & WORD)
    x = mix(x + frame * 64 + draw & WORD)
    return x / 4294967296.0


@inner
def wait_for_weapon(m: Record, spawner: int, frame: int) -> None:
    """Restart a spawner's timer with a random time."""
    low, high = NEXT_WEAPON
    m.spawner_timer[spawner] = low + int(chance(m, frame, spawner) * (high - low))


@inner
def clear_item(m: Record, k: int) -> None:
    """Reset an item slot to zeros."""
    m.item_alive[k] = False
    m.item_weapon[k] = 0
    m.item_x[k] = m.item_y[k] = m.item_vy[k] = m.item_life[k] = 0.0
    m.item_lock[k] = 0


@inner
def remove_item(m: Record, k: int, frame: int) -> None:
    """Remove an item that was picked up, expired or fell out; its spawner begins to wait."""
    clear_item(m, k)
    if k < 2:
        wait_for_weapon(m, k, frame)


@inner
def place_item(m: Record, k: int, weapon: int, x: float, y: float, life: float, lock: int) -> None:
    """Put a weapon into slot `k` at (x, y), from where it falls."""
    m.item_alive[k] = True
    m.item_weapon[k] = weapon
    m.item_x[k] = x
    m.item_y[k] = y
    m.item_vy[k] = 0.0
    m.item_life[k] = life
    m.item_lock[k] = lock


@inner
def spawn_items(m: Record, stage: Record, frame: int) -> None:
    """Count the spawners down; at zero a spear or a hammer falls onto the block below."""
    for k in range(2):
        if m.spawner_timer[k] > 0.0:
            m.spawner_timer[k] -= 1.0
            if m.spawner_timer[k] == 0.0:
                left, right, ground = stage.weapons[k, 0], stage.weapons[k, 1], stage.weapons[k, 2]
                x = left + chance(m, frame, 4 + k) * (right - left)
                weapon = 1 if chance(m, frame, 6 + k) < 0.5 else 2
                place_item(m, k, weapon, x, ground - ITEM_DROP, ITEM_LIFE, 0)


@inner
def fall_items(m: Record, stage: Record, frame: int) -> None:
    """Move and age all items on the stage by one frame."""
    for k in range(4):
        if not m.item_alive[k]:
            continue
        if m.item_lock[k] > 0:
            m.item_lock[k] -= 1
        m.item_life[k] -= 1.0
        x, y = float(m.item_x[k]), float(m.item_y[k])
        vy = min(float(m.item_vy[k]) + GRAVITY * DT, MAX_FALL)
        bottom = y + ITEM_H
        y += vy * DT
        for b in range(2):
            left, right, upper = stage.blocks[b, 0], stage.blocks[b, 1], stage.blocks[b, 2]
            if left <= x <= right and bottom <= upper + 0.01 and y + ITEM_H >= upper:
                y = upper - ITEM_H
                vy = 0.0
        m.item_y[k], m.item_vy[k] = y, vy
        if m.item_life[k] <= 0.0 or y > BLAST_Y:
            remove_item(m, k, frame)


@inner
def can_hold(m: Record, p: int) -> bool:
    """Test whether a fighter is in a state that can pick up and drop weapons."""
    state = m.state[p]
    return bool(state != S_ATTACK and state != S_STUN and state != S_DODGE and state != S_KO)


@inner
def drop_item(m: Record, p: int) -> int:
    """Drop the weapon in hand at the fighter's feet and return it.

    It takes a free slot, or the slot of the older dropped weapon.
    """
    weapon = int(m.weapon[p])
    k = 2
    if m.item_alive[2] and (not m.item_alive[3] or m.item_life[3] < m.item_life[2]):
        k = 3
    place_item(
        m, k, weapon, float(m.x[p]), float(m.y[p]) + BODY_H - ITEM_H, DROPPED_LIFE, DROPPED_LOCK
    )
    m.weapon[p] = 0
    return weapon


@inner
def item_in_reach(m: Record, p: int, keys: int) -> int:
    """Slot of the nearest weapon that an unarmed fighter holding H can take, or -1."""
    best, distance = -1, 1e9
    if keys & H == 0 or m.weapon[p] != 0 or not can_hold(m, p):
        return best
    for k in range(4):
        if m.item_alive[k] and m.item_lock[k] == 0:
            dx, dy = (
                abs(float(m.item_x[k]) - float(m.x[p])),
                abs(float(m.item_y[k]) - float(m.y[p])),
            )
            if dx < REACH_X and dy < REACH_Y and dx + dy < distance:
                best, distance = k, dx + dy
    return best


@inner
def first_takes(m: Record, k: int, frame: int) -> bool:
    """Decide whether fighter 0 gets the weapon that both reach for: by distance, then by a coin."""
    near = abs(float(m.item_x[k]) - float(m.x[0])) + abs(float(m.item_y[k]) - float(m.y[0]))
    far = abs(float(m.item_x[k]) - float(m.x[1])) + abs(float(m.item_y[k]) - float(m.y[1]))
    if near == far:
        return chance(m, frame, 8) < 0.5
    return near < far
