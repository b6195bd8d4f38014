"""Results of a policy's matches against each opponent, from their stored episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import Game
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap_ratio, wilson
from shadowbox.data.store import Store

KNOCK_OUTS = ("ko", "knockout")  # names of the event in games


def results_of(
    game: Game, store: Store, policy: str, opponents: Sequence[str]
) -> list[dict[str, Any]]:
    """Wins, damage and knock-outs of the policy against each opponent, with their intervals."""
    found: dict[str, list[list[float]]] = {name: [] for name in opponents}
    first: dict[str, int] = {}
    for episode in range(len(store)):
        meta = store.meta_of(episode)
        players = meta["players"]
        seat = players.index(policy)
        other = players[1 - seat]
        first.setdefault(other, episode)
        won = meta["result"]["winner"]
        score = 0.5 if won is None else float(won == seat)
        minutes = (len(store.rows_of(episode)) - 1) / game.schema.fps / 60
        found[other].append([score, minutes, *_blows(game, store.events_of(episode), seat)])
    return [
        _against(name, np.array(rows), first[name]) for name, rows in found.items() if len(rows)
    ]


def _blows(game: Game, events: Array, seat: int) -> list[float]:
    """Damage that the player of a seat dealt and took, and knock-outs for and against it."""
    row = []
    for kinds, worth in ((("hit",), events["value"]), (KNOCK_OUTS, np.ones(len(events)))):
        at = [game.event_kinds.index(kind) for kind in kinds if kind in game.event_kinds]
        ours = np.isin(events["kind"], at) & (events["other"] >= 0)
        row += [float(worth[ours & (events["player"] == by)].sum()) for by in (seat, 1 - seat)]
    return row


def _against(name: str, rows: Array, episode: int) -> dict[str, Any]:
    """Figures of the matches [E, (score, minutes, dealt, taken, for, against)] with one opponent."""
    score, minutes = rows[:, 0], rows[:, 1]
    per_minute = ("damage_dealt", "damage_taken", "knock_outs", "knocked_out")
    return {
        "opponent": name,
        "matches": len(rows),
        "wins": int((score == 1).sum()),
        "draws": int((score == 0.5).sum()),
        "losses": int((score == 0).sum()),
        "win_rate": _plain(wilson(float(score.sum()), len(rows))),
        **{
            figure: _plain(bootstrap_ratio(rows[:, 2 + at], minutes))
            for at, figure in enumerate(per_minute)
        },
        "episode": episode,  # the first one, for the page
    }


def _plain(found: Interval) -> dict[str, float | None]:
    return {
        name: float(value) if np.isfinite(value) else None
        for name, value in found._asdict().items()
    }
