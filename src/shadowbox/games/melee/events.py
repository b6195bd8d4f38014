"""Events of a Melee match, derived from the state columns alone.

Replays, live games and dreams give the same events for the same rows.

hit     damage taken: `player` hit `other` with the attack `what`, for `value` damage; with other=-1
        `player` was hurt without an opponent
ko      a stock lost: `player` took it from `other`, or lost it alone (other=-1); value = damage
land    landing from the air; what = kind of landing
ledge   a ledge grabbed
shield  a shield raised or hit; what says which
grab    `player` grabbed `other`
tech    a fall broken; what = kind of tech
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shadowbox.core.game import EVENT, Outcome
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import EpisodeError
from shadowbox.games.melee.names import (
    ACTION_COUNT,
    AERIAL_LANDING,
    ATTACKING,
    ATTACKS,
    DYING,
    GRABBED,
    RETURNING,
    SPECIAL,
    TECHING,
    action,
)
from shadowbox.games.melee.schema import EVENTS, SCHEMA

NO_PLAYER = SCHEMA.players
LANDINGS = ("landing", "special_landing", "aerial_landing", "other")
SHIELDS = ("raised", "hit", "reflected")
TECHS = ("in_place", "forward", "back", "wall", "wall_jump", "ceiling")
WHATS = {"hit": ATTACKS, "land": LANDINGS, "shield": SHIELDS, "tech": TECHS}

LEDGE, GUARD_ON, GUARD_STUN, GUARD_REFLECT = (
    action(n) for n in ("ledge_catch", "guard_on", "guard_stun", "guard_reflect")
)


def _group(states: frozenset[int]) -> Array:
    return np.isin(np.arange(ACTION_COUNT), sorted(states))


_OUT, _GRABBED, _TECHING = _group(DYING | RETURNING), _group(GRABBED), _group(TECHING)
_ATTACKING = _group(ATTACKING | frozenset(range(SPECIAL, ACTION_COUNT)))
_LANDING = np.full(ACTION_COUNT, 3)
(
    _LANDING[action("landing")],
    _LANDING[action("landing_special")],
    _LANDING[sorted(AERIAL_LANDING)],
) = 0, 1, 2


def events(columns: Columns) -> Array:
    """Derive the events of columns [R, slots], as EVENT records in order of frame; `match` is 0."""
    state = _states(columns)
    before, now = state[:-1], state[1:]
    entered = before != now
    parts = [
        *_hits(columns),
        *_stocks(columns),
        *_where("land", _landings(columns, now), what=lambda row, seat: _LANDING[now[row, seat]]),
        *_where("ledge", entered & (now == LEDGE)),
        *_where("shield", entered & (now == GUARD_ON)),
        *_where("shield", entered & (now == GUARD_STUN), what=lambda row, _: np.full(len(row), 1)),
        *_where(
            "shield", entered & (now == GUARD_REFLECT), what=lambda row, _: np.full(len(row), 2)
        ),
        *_where("grab", (_GRABBED[now] & ~_GRABBED[before])[:, ::-1], against=True),
        *_where(
            "tech",
            _TECHING[now] & ~_TECHING[before],
            what=lambda row, seat: now[row, seat] - min(TECHING),
        ),
    ]
    together = np.concatenate(parts)
    return together[np.lexsort((together["player"], together["kind"], together["frame"]))]


def _states(columns: Columns) -> Array:
    """Action states [R, players] as indices; one beyond the known ones is refused."""
    state = columns["player/action"]
    if state.size and state.max() >= ACTION_COUNT:
        row, seat = (int(at) for at in np.argwhere(state >= ACTION_COUNT)[0])
        raise EpisodeError(
            f"frame {row}, player/action[{seat}]: {state[row, seat]}, "
            f"allowed 0 .. {ACTION_COUNT - 1}"
        )
    return state.astype(np.intp)


def _where(
    kind: str,
    where: Array,
    *,
    what: Callable[[Array, Array], Array] | None = None,
    against: bool = False,
) -> list[Array]:
    """Events at the true cells of `where` [R - 1, players]; `against` names the other player."""
    row, seat = np.nonzero(where)
    out = np.zeros(len(row), EVENT)
    out["frame"], out["player"], out["kind"] = row + 1, seat, EVENTS.index(kind)
    out["other"] = 1 - seat if against else -1
    if what is not None:
        out["what"] = what(row, seat)
    return [out]


def _landings(columns: Columns, now: Array) -> Array:
    ground = columns["player/on_ground"]
    return ~ground[:-1] & ground[1:] & ~_OUT[now]


def _hits(columns: Columns) -> list[Array]:
    """Hits: rises of `percent`, attributed by `last_hit_by` and the attacker's `last_attack`."""
    percent = columns["player/percent"]
    risen = percent[1:] - percent[:-1]
    row, seat = np.nonzero(risen > 0)
    return [_attributed("hit", columns, row, seat, risen[row, seat], columns["player/last_attack"])]


def _stocks(columns: Columns) -> list[Array]:
    stocks = columns["player/stocks"]
    row, seat = np.nonzero(stocks[1:] < stocks[:-1])
    return [_attributed("ko", columns, row, seat, columns["player/percent"][row, seat], None)]


def _attributed(
    kind: str, columns: Columns, row: Array, seat: Array, value: Array, attack: Array | None
) -> Array:
    """Events at (row, seat), attributed to the opponent where `last_hit_by` names it."""
    after = row + 1
    by = columns["player/last_hit_by"][after, seat].astype(np.int64)
    alone = (by == NO_PLAYER) | (by == seat)
    out = np.zeros(len(row), EVENT)
    out["frame"], out["kind"], out["value"] = after, EVENTS.index(kind), value
    out["player"], out["other"] = np.where(alone, seat, by), np.where(alone, -1, seat)
    if attack is not None:
        out["what"] = np.where(alone, 0, attack[after, np.where(alone, 0, by)])
    return out


def attacks(columns: Columns) -> Array:
    """Mask of the rows in which a fighter begins an attack, grab or special move, [R, players]."""
    state = _states(columns)
    begun: Array = _ATTACKING[state]
    begun[1:] &= state[1:] != state[:-1]
    return begun


def outcome(columns: Columns, events: Array) -> Outcome:
    """Outcome of a match by its last row: a knock-out, a draw, or broken off."""
    stocks = columns["player/stocks"][-1].tolist()
    facts = {
        "stocks": stocks,
        "damage": [round(float(p), 2) for p in columns["player/percent"][-1]],
    }
    left = [seat for seat, count in enumerate(stocks) if count > 0]
    if len(left) == 1:
        return Outcome(left[0], "knock-out", facts)
    return Outcome(None, "draw" if not left else "broken off", facts)
