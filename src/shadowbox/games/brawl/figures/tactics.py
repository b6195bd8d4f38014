"""Tactics of fighters, counted from the columns and events of a whole match.

A move *misses* once its last strike is over, or it ends, without a hit, unless its fighter was
stunned before. A hit on a fighter whose move has missed *punishes* it, until `LATE` frames after its
end or until the fighter's next move. T: rows of the match, p: the player, q: the opponent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.figures.behavior import begun
from shadowbox.games.brawl.schema import EVENTS, FPS, MOVES, STATES, WEAPONS

LATE = 20  # frames after the end of a move in which a hit still punishes it
NEAR = 4.5  # u between the fighters, within which a move is meant for the other one
EARLY = 10  # frames before a move in which an evasion may have drawn it
ANSWER, FOLLOW = 15, 30  # frames in which a move is reacted to, and an option follows
EDGE = 7.0  # u from the middle: the outer end of either block
AIR = ("neutral_air", "down_air", "side_air", "recovery", "ground_pound")
OPTIONS = {name: name.split("_")[1] for name in MOVES[1:] if "_" in name} | {
    "recovery": "special", "ground_pound": "special",
}  # fmt: skip
_HIT, _KNOCKOUT, _JUMP = (EVENTS.index(name) for name in ("hit", "knockout", "jump"))
_ATTACK, _STUN, _KO = (STATES.index(name) for name in ("attack", "stun", "ko"))
_EVADES = tuple(STATES.index(name) for name in ("dodge", "backdash"))


class _Miss(NamedTuple):
    """A move that missed: rows of its beginning, of the miss, and of the last row to punish it."""

    begin: int
    missed: int
    last: int


class _Seen(NamedTuple):
    """One match: its columns [T, slots], and rows of events by kind and player."""

    columns: Columns
    hits: tuple[Array, Array]  # rows of each player's hits
    jumps: tuple[Array, Array]
    evasions: tuple[Array, Array]  # rows at which a dodge, a back-dash or a jump begins
    moves: tuple[Array, Array]  # rows at which a move begins


def tactics(columns: Columns, events: Array) -> dict[str, Array]:
    """Figures of a match by name, [players, 2] each: the count, and what it is a share of.

    `columns` [T, slots], `events` [E] with their rows in `frame`. Over several matches the counts
    and their denominators add up.
    """
    seen = _seen(columns, events)
    misses = [_misses(seen, player) for player in (0, 1)]
    found: dict[str, Array] = {}
    for p in (0, 1):
        parts = (
            _moves(seen, events, p, len(misses[p])),
            _punished(seen, misses[1 - p], p),
            _conditioning(seen, p),
            _edge_guards(seen, events, p),
        )
        for name, pair in ((n, pair) for part in parts for n, pair in part.items()):
            found.setdefault(name, np.zeros((2, 2)))[p] = pair
    return found


def _seen(columns: Columns, events: Array) -> _Seen:
    last = len(columns["player/state"]) - 1
    rows = np.minimum(events["frame"].astype(np.int64), last)

    def of(kind: int, player: int) -> Array:
        return np.asarray(rows[(events["kind"] == kind) & (events["player"] == player)])

    state, moves = columns["player/state"], begun(columns)
    evading = np.isin(state, _EVADES)
    evading[1:] &= state[1:] != state[:-1]
    jumps = tuple(of(_JUMP, p) for p in (0, 1))
    evasions = tuple(np.sort(np.r_[np.flatnonzero(evading[:, p]), jumps[p]]) for p in (0, 1))
    return _Seen(
        columns,
        (of(_HIT, 0), of(_HIT, 1)),
        (jumps[0], jumps[1]),
        (evasions[0], evasions[1]),
        (np.flatnonzero(moves[:, 0]), np.flatnonzero(moves[:, 1])),
    )


def _within(rows: Array, first: int, last: int) -> Array:
    """The sorted rows from `first` to `last`."""
    return np.asarray(
        rows[np.searchsorted(rows, first) : np.searchsorted(rows, last, side="right")]
    )


# ---- misses --------------------------------------------------------------------------------------


@cache
def _last_strikes() -> Array:
    """Last frame of the last strike of each weapon's moves, [weapons, moves]."""
    found = np.zeros((len(WEAPONS), len(MOVES)), np.int64)
    for weapon, moves in ARSENAL.items():
        for name, move in moves.items():
            strikes = [strike.frames[1] for strike in move.strikes]
            found[WEAPONS.index(weapon), MOVES.index(name)] = max(strikes, default=0)
    return found


def _misses(seen: _Seen, q: int) -> list[_Miss]:
    """Moves of q that missed, in their order."""
    own = {key: seen.columns[f"player/{key}"][:, q] for key in ("state", "move", "move_frame")}
    weapon, rows = seen.columns["player/weapon"][:, q], len(own["state"])
    found = []
    for begin, following in zip(seen.moves[q], [*seen.moves[q], rows][1:], strict=True):
        left = np.flatnonzero(own["state"][begin:following] != _ATTACK)
        end = int(begin + left[0]) if len(left) else int(following)
        if len(_within(seen.hits[q], begin + 1, end)):
            continue
        last = _last_strikes()[weapon[begin], own["move"][begin]]
        over = np.flatnonzero(own["move_frame"][begin:end] > last)
        if len(over):
            missed = int(begin + over[0])
        elif end >= rows or own["state"][end] in (_STUN, _KO):
            continue  # it was stopped, or the match is over
        else:
            missed = end
        found.append(_Miss(int(begin), missed, min(end + LATE, int(following) - 1)))
    return found


def _punished(seen: _Seen, misses: list[_Miss], p: int) -> dict[str, tuple[float, float]]:
    """Moves of q that missed, those that p had drawn by evading, and those that p punished.

    A hit lands in the row before it is shown, so that the row of the miss does not count.
    """
    x, y = seen.columns["player/x"], seen.columns["player/y"]
    punished = drawn = both = 0
    for miss in misses:
        hit = len(_within(seen.hits[p], miss.missed + 1, miss.last)) > 0
        near = np.hypot(*(each[miss.begin, 0] - each[miss.begin, 1] for each in (x, y))) <= NEAR
        bait = near and len(_within(seen.evasions[p], miss.begin - EARLY, miss.missed)) > 0
        punished, drawn, both = punished + hit, drawn + bait, both + (hit and bait)
    return {
        "whiffs_punished": (punished, len(misses)),
        "baits": (drawn, 1),
        "baits_punished": (both, drawn),
    }


# ---- conditioning --------------------------------------------------------------------------------


def _conditioning(seen: _Seen, p: int) -> dict[str, tuple[float, float]]:
    """Options that p takes after q reacted to a move of p as it had before.

    same_option: equal to the option after the last reaction of the same kind. same_option_chance:
    the chance that two of p's options are equal, whatever they follow.
    """
    before: dict[str, str] = {}
    taken: list[str] = []
    same = pairs = 0
    for row, reaction in _reactions(seen, p):
        option = _option(seen, p, row)
        if not option:
            continue
        taken.append(option)
        if reaction in before:
            same, pairs = same + (before[reaction] == option), pairs + 1
        before[reaction] = option
    counts = np.array([taken.count(each) for each in set(taken)], float)
    n = len(taken)
    equal = float((counts * (counts - 1)).sum()) / (n - 1) if n > 1 else 0.0
    return {"same_option": (same, pairs), "same_option_chance": (equal, n if n > 1 else 0)}


def _reactions(seen: _Seen, p: int) -> Iterator[tuple[int, str]]:
    """First evasion of q soon after each move of p began, and its kind: its row and its state."""
    state = seen.columns["player/state"][:, 1 - p]
    last = -1
    for begin in seen.moves[p]:
        rows = _within(seen.evasions[1 - p], begin + 1, begin + ANSWER)
        if len(rows) and rows[0] > last:
            last = int(rows[0])
            yield last, STATES[state[last]] if state[last] in _EVADES else "jump"


def _option(seen: _Seen, p: int, row: int) -> str:
    """What p begins first after a row: a kind of move, or an evasion; empty for nothing."""
    moves = _within(seen.moves[p], row + 1, row + FOLLOW)
    evasions = _within(seen.evasions[p], row + 1, row + FOLLOW)
    if len(moves) and not (len(evasions) and evasions[0] < moves[0]):
        return OPTIONS[MOVES[seen.columns["player/move"][moves[0], p]]]
    if len(evasions):
        state = seen.columns["player/state"][evasions[0], p]
        return STATES[state] if state in _EVADES else "jump"
    return ""


# ---- edges, weapons, jumps -----------------------------------------------------------------------


def _edge_guards(seen: _Seen, events: Array, p: int) -> dict[str, tuple[float, float]]:
    """Trips of q beyond the edge, those in which p hit q, and those of them that ended in a knock-out."""
    q = 1 - p
    away = np.abs(seen.columns["player/x"][:, q]) > EDGE
    away &= seen.columns["player/state"][:, q] != _KO
    edges = np.flatnonzero(np.diff(np.r_[False, away, False].astype(np.int8)))
    lost = np.sort(events["frame"][(events["kind"] == _KNOCKOUT) & (events["player"] == q)])
    trips = guarded = ended = 0
    for first, end in edges.reshape(-1, 2):
        hit = len(_within(seen.hits[p], first, end)) > 0
        out = len(_within(lost, first, end)) > 0
        trips, guarded, ended = trips + 1, guarded + hit, ended + (hit and out)
    return {"edge_guards": (guarded, trips), "edge_knockouts": (ended, 1)}


def _moves(seen: _Seen, events: Array, p: int, missed: int) -> dict[str, tuple[float, float]]:
    """Use of moves, weapons and jumps."""
    weapon, grounded = (seen.columns[f"player/{key}"][:, p] for key in ("weapon", "grounded"))
    playing = seen.columns["player/state"][:, p] != _KO
    hits, jumps = seen.hits[p], seen.jumps[p]
    own = events[(events["kind"] == _HIT) & (events["player"] == p)]
    air = np.isin(own["what"], [MOVES.index(name) for name in AIR]).sum()
    before = np.maximum(hits - 1, 0)  # an effect is shown one row after its cause
    return {
        "missed_moves": (missed, len(seen.moves[p])),
        "armed": (int((weapon[playing] > 0).sum()), int(playing.sum())),
        "armed_hits": (int((weapon[before] > 0).sum()), len(hits)),
        "air_hits": (int(air), len(hits)),
        "jumps": (len(jumps), len(playing) / FPS),
        "air_jumps": (int((~grounded[np.maximum(jumps - 1, 0)].astype(bool)).sum()), len(jumps)),
    }
