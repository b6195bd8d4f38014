"""Behavior of fighters in a match: damage, knock-outs, weapons, attacks and danger.

Counts are those of single frames, so that a match in progress needs no memory but their sums.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shadowbox.core.game import _Behavior
from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl.schema import EVENTS, FPS, STATES

BELOW = 4.2  # u: below the feet of a fighter on the higher block; y grows downward
COUNTS = (
    "damage_dealt", "damage_taken", "knockouts_dealt", "knockouts_taken", "weapons_picked_up",
    "danger_frames", "attacks",
)  # fmt: skip
DEALT, TAKEN, KNOCKOUTS, LOST, WEAPONS, DANGER, ATTACKS = range(len(COUNTS))
_HIT, _KNOCKOUT, _PICKUP = (EVENTS.index(name) for name in ("hit", "knockout", "pickup"))
_KO = STATES.index("ko")


def begun(columns: Columns) -> Array:
    """Mask of the fighters whose move began with this frame, [N, players]."""
    first = (columns["player/move_frame"] == 0) & (columns["player/charge"] == 0)
    return np.asarray(first & (columns["player/move"] != 0))


def count(columns: Columns, events: Array, rows: Array) -> Array:
    """Counts of one frame of N matches, [counts, N, players]; `rows` [E] is each event's match.

    A stock that a fighter loses counts as a knock-out of the other one, a fall included.
    """
    found = np.zeros((len(COUNTS), *columns["player/move"].shape))
    found[ATTACKS] = begun(columns)
    found[DANGER] = (columns["player/y"] >= BELOW) & (columns["player/state"] != _KO)
    if len(events):
        kind, player = events["kind"], events["player"].astype(np.int64)
        hit, lost, took = kind == _HIT, kind == _KNOCKOUT, kind == _PICKUP
        damage = events["value"][hit]
        np.add.at(found[DEALT], (rows[hit], player[hit]), damage)
        np.add.at(found[TAKEN], (rows[hit], 1 - player[hit]), damage)
        np.add.at(found[LOST], (rows[lost], player[lost]), 1)
        np.add.at(found[KNOCKOUTS], (rows[lost], 1 - player[lost]), 1)
        np.add.at(found[WEAPONS], (rows[took], player[took]), 1)
    return found


def figures(sums: Mapping[str, float], frames: int) -> dict[str, float | None]:
    """Figures of a fighter in a match of `frames` frames, from the sums of its counts."""
    seconds = max(frames, 1) / FPS
    dealt, taken = sums["damage_dealt"], sums["damage_taken"]
    return {
        "damage_dealt": dealt,
        "damage_taken": taken,
        "damage_ratio": dealt / taken if taken else None,
        "knockouts_dealt": sums["knockouts_dealt"],
        "knockouts_taken": sums["knockouts_taken"],
        "danger_zone_pct": 100 * sums["danger_frames"] / max(frames, 1),
        "weapons_picked_up": sums["weapons_picked_up"],
        "attacks_attempted": sums["attacks"],
        "attack_rate": sums["attacks"] / seconds,
    }


BEHAVIOR = _Behavior(COUNTS, count, figures)
