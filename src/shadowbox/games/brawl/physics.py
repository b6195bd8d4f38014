"""The step of the simulator: one frame of a match. The loop over matches is in `loop.py`.

Neither fighter goes first. Both decide from the same frame, all hits are found before any is
applied, and both move before a knock-out is checked. Each match is a function of its own record
and keys, so a result never depends on the batch around it.
"""

from __future__ import annotations

from typing import Any

from shadowbox.games.brawl.combat import (
    begin_move,
    chosen_move,
    end_move,
    hit_effect,
    hovers,
    landing_strike,
    play_move,
    take_hit,
)  # fmt: skip
from shadowbox.games.brawl.items import (
    can_hold,
    chance,
    drop_item,
    fall_items,
    first_takes,
    item_in_reach,
    remove_item,
    spawn_items,
)  # fmt: skip
from shadowbox.games.brawl.jit import entry, inner
from shadowbox.games.brawl.movement import (
    count_down,
    enter_state,
    evade_or_jump,
    fit_state_to_ground,
    move_body,
    move_platform,
    record_last_side,
    update_locked_state,
    walk_or_steer,
)  # fmt: skip
from shadowbox.games.brawl.rules import (
    AIR_JUMPS,
    BLAST_X,
    BLAST_Y,
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
    FIRST_WEAPON,
    KO_FRAMES,
    NO_MOVE,
    NO_PLAYER,
    RECOVERIES,
    S_AIR,
    S_ATTACK,
    S_KO,
    SPACE,
    A,
    D,
    G,
    H,
    J,
    K,
    L,
    S,
    W,
)  # fmt: skip
from shadowbox.games.brawl.warehouse.paths import pull

Record = Any
COIN, FIRST_TIMER = 60, 61  # draws of frame 0: starting places, times of the first weapons


@inner
def emit(
    m: Record,
    log: Any,
    count: Any,
    match: int,
    kind: int,
    player: int,
    other: int,
    what: int,
    value: float,
) -> None:
    """Append one event of the frame that this step makes to `log`."""
    event = log[count[0]]
    event.match = match
    event.frame = int(m.match_frame[0]) + 1
    event.kind = kind
    event.player = player
    event.other = other
    event.what = what
    event.value = value
    count[0] += 1


@inner
def place_fighter(m: Record, p: int, stage: Record) -> None:
    """Put a fighter at its starting place, airborne.

    A coin flip from the match's seed assigns the two places.
    """
    spot = p if chance(m, 0, COIN) < 0.5 else 1 - p
    m.x[p] = stage.start[spot, 0]
    m.y[p] = stage.start[spot, 1]
    m.vx[p] = m.vy[p] = m.damage[p] = 0.0
    m.facing_right[p] = stage.start[spot, 0] < 0.0
    m.air_jumps[p] = AIR_JUMPS
    m.recoveries[p] = RECOVERIES
    m.state[p] = S_AIR
    m.age[p] = 0


@inner
def decide(
    m: Record, p: int, keys: int, table: Any, stage: Record, log: Any, count: Any, match: int
) -> None:
    """Change a fighter's state and velocity by the keys, without touching the other fighter."""
    held = (A if m.held_a[p] else 0) | (D if m.held_d[p] else 0) | (SPACE if m.held_space[p] else 0)
    held |= (H if m.held_h[p] else 0) | (L if m.held_l[p] else 0)
    pressed = keys & ~held
    count_down(m, p)
    record_last_side(m, p, pressed)
    if m.state[p] == S_KO:
        if m.age[p] >= KO_FRAMES:
            place_fighter(m, p, stage)
            m.shield[p] = int(stage.shield_frames)
            emit(m, log, count, match, E_RESPAWN, p, -1, 0, 0.0)
        return
    if update_locked_state(m, p):
        return
    if m.state[p] == S_ATTACK and play_move(m, p, keys, table, stage):
        return
    if pressed & H != 0 and m.weapon[p] != 0 and can_hold(m, p):
        emit(m, log, count, match, E_DROP, p, -1, drop_item(m, p), 0.0)
    jumps, grounded = m.air_jumps[p], m.grounded[p]
    if evade_or_jump(m, p, keys, pressed, stage):
        if m.air_jumps[p] != jumps or m.grounded[p] != grounded:
            emit(m, log, count, match, E_JUMP, p, -1, 0, 0.0)
        return
    move = chosen_move(m, p, keys)
    if move != NO_MOVE:
        begin_move(m, p, move, keys, table)
    else:
        walk_or_steer(m, p, keys, stage)


@inner
def remember_keys(m: Record, p: int, keys: int) -> None:
    """Store the held keys: for edges in the next frame, and all ten for the `keys/*` columns."""
    m.held_a[p] = m.keys_a[p] = keys & A != 0
    m.held_d[p] = m.keys_d[p] = keys & D != 0
    m.held_space[p] = m.keys_space[p] = keys & SPACE != 0
    m.held_h[p] = m.keys_h[p] = keys & H != 0
    m.held_l[p] = m.keys_l[p] = keys & L != 0
    m.keys_w[p] = keys & W != 0
    m.keys_s[p] = keys & S != 0
    m.keys_j[p] = keys & J != 0
    m.keys_k[p] = keys & K != 0
    m.keys_g[p] = keys & G != 0


@inner
def resolve_hits(m: Record, table: Any, stage: Record, log: Any, count: Any, match: int) -> None:
    """Find and apply the hits of a frame: two strikes that meet both count.

    Both effects are computed before either is applied.
    """
    first, second = landing_strike(m, 0, table, stage), landing_strike(m, 1, table, stage)
    if first < 0 and second < 0:
        return
    moves = (int(m.move[0]), int(m.move[1]))
    effect_0 = hit_effect(m, 0, max(first, 0), table, stage)
    effect_1 = hit_effect(m, 1, max(second, 0), table, stage)
    if first >= 0:
        m.struck[0] |= 1 << table[m.weapon[0], moves[0]].bit[first]
    if second >= 0:
        m.struck[1] |= 1 << table[m.weapon[1], moves[1]].bit[second]
    if first >= 0:
        apply_hit(m, 1, effect_0, moves[0], stage, log, count, match)
    if second >= 0:
        apply_hit(m, 0, effect_1, moves[1], stage, log, count, match)


@inner
def apply_hit(
    m: Record,
    q: int,
    effect: tuple[float, float, float, int],
    move: int,
    stage: Record,
    log: Any,
    count: Any,
    match: int,
) -> None:
    """Apply the effect of a hit to `q` and emit its events."""
    combo = take_hit(m, q, effect[0], effect[1], effect[2], effect[3], stage)
    emit(m, log, count, match, E_HIT, 1 - q, q, move, effect[0])
    if combo:
        emit(m, log, count, match, E_COMBO, 1 - q, q, move, effect[0])


@inner
def pull_both(m: Record, table: Any) -> None:
    """Pull fighters toward the moves that have hit them; both pulls are found before either acts."""
    if m.state[0] != S_ATTACK and m.state[1] != S_ATTACK:
        return
    of_first, of_second = pull(m, 0, table), pull(m, 1, table)
    for q in range(2):
        x, y = of_second if q == 0 else of_first
        if x != 0.0 or y != 0.0:
            m.vx[q] = float(m.vx[q]) + x
            m.vy[q] = float(m.vy[q]) + y


@inner
def check_knockout(m: Record, p: int, log: Any, count: Any, match: int) -> None:
    """Take a stock and the weapon from a fighter who is beyond the blast zones."""
    x, y = float(m.x[p]), float(m.y[p])
    if m.state[p] == S_KO or (abs(x) <= BLAST_X and abs(y) <= BLAST_Y):
        return
    m.stocks[p] -= 1
    m.weapon[p] = 0
    m.stun[p] = 0
    m.vx[p] = m.vy[p] = 0.0
    m.grounded[p] = m.on_platform[p] = False
    end_move(m, p)
    enter_state(m, p, S_KO)
    emit(m, log, count, match, E_KNOCKOUT, p, 1 - p, 0, float(m.damage[p]))


@inner
def take_weapons(
    m: Record, keys_0: int, keys_1: int, log: Any, count: Any, match: int, frame: int
) -> None:
    """Hand weapons to the fighters who reach for them; one weapon goes to the nearer fighter."""
    want_0, want_1 = item_in_reach(m, 0, keys_0), item_in_reach(m, 1, keys_1)
    if want_0 >= 0 and want_0 == want_1:
        if first_takes(m, want_0, frame):
            want_1 = -1
        else:
            want_0 = -1
    for p in range(2):
        k = want_0 if p == 0 else want_1
        if k >= 0:
            m.weapon[p] = m.item_weapon[k]
            emit(m, log, count, match, E_PICKUP, p, -1, int(m.weapon[p]), 0.0)
            remove_item(m, k, frame)


@inner
def check_end(m: Record, stage: Record, log: Any, count: Any, match: int) -> None:
    """End the match at the last stock or at time-out; more stocks win, then (by rule) less damage."""
    timeout = m.match_left[0] <= 0.0
    if m.stocks[0] > 0 and m.stocks[1] > 0 and not timeout:
        return
    winner = NO_PLAYER
    if m.stocks[0] != m.stocks[1]:
        winner = 0 if m.stocks[0] > m.stocks[1] else 1
    elif m.stocks[0] > 0 and m.damage[0] != m.damage[1] and stage.damage_breaks_ties != 0.0:
        winner = 0 if m.damage[0] < m.damage[1] else 1
    m.match_over[0] = True
    m.match_winner[0] = winner
    if m.stocks[0] > 0 and m.stocks[1] > 0:
        emit(m, log, count, match, E_TIMEOUT, -1, -1, 0, 0.0)
    if winner == NO_PLAYER:
        emit(m, log, count, match, E_DRAW, -1, -1, 0, 0.0)
    else:
        emit(m, log, count, match, E_WIN, winner, 1 - winner, 0, 0.0)


@inner
def step_match(
    m: Record, match: int, keys_0: int, keys_1: int, table: Any, stage: Record, log: Any, count: Any
) -> None:
    """Advance one match by one frame."""
    frame = int(m.match_frame[0]) + 1
    old_x, old_y = float(m.platform_x[0]), float(m.platform_y[0])
    was_grounded = (m.grounded[0] != 0, m.grounded[1] != 0)
    move_platform(m, stage, frame)
    decide(m, 0, keys_0, table, stage, log, count, match)
    decide(m, 1, keys_1, table, stage, log, count, match)
    resolve_hits(m, table, stage, log, count, match)
    pull_both(m, table)
    for p in range(2):
        if m.state[p] != S_KO:
            gravity = 0.0 if hovers(m, p, table) else stage.gravity
            grounded = move_body(m, p, stage, old_x, old_y, gravity)
            if grounded and not was_grounded[p]:
                emit(m, log, count, match, E_LAND, p, -1, 0, 0.0)
            fit_state_to_ground(m, p)
            check_knockout(m, p, log, count, match)
    spawn_items(m, stage, frame)
    fall_items(m, stage, frame)
    take_weapons(m, keys_0, keys_1, log, count, match, frame)
    remember_keys(m, 0, keys_0)
    remember_keys(m, 1, keys_1)
    m.match_left[0] -= 1.0
    check_end(m, stage, log, count, match)
    m.match_frame[0] = frame


@entry
def begin_all(rows: Any, where: Any, stage: Any, weapons: bool, done: Any, sources: Any) -> None:
    """Set up frame 0 of the matches in the mask `where` [N].

    Their records must hold a seed and be otherwise empty.
    """
    for i in range(rows.shape[0]):
        if where[i]:
            m = rows[i]
            for p in range(2):
                place_fighter(m, p, stage[0])
                m.leans_right[p] = m.facing_right[p]
            move_platform(m, stage[0], 0)
            m.platform_vx[0] = m.platform_vy[0] = 0.0
            if weapons:
                for k in range(2):
                    m.spawner_timer[k] = 1 + int(chance(m, 0, FIRST_TIMER + k) * FIRST_WEAPON)
            done[i] = False
