"""Totals of a continued match: damage and stocks of a player after each horizon, by sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.game import Game, no_events
from shadowbox.core.schema import Array, Columns
from shadowbox.core.stats import Interval, bootstrap_mean
from shadowbox.errors import UsageError
from shadowbox.evaluate.worlds.events import events_of

SECONDS = (2, 5)  # after which damage and stocks are compared
DAMAGE, STOCKS = ("dealt", "taken"), ("stocks taken", "stocks lost")


class _Branch(NamedTuple):
    """One way to play in one world: totals of N samples by figure, [N, horizons]."""

    world: str
    by: str  # recorded, or the spec of an agent
    totals: Mapping[str, Array]
    rows: Columns  # [R + 1, slots] of the first sample, as far as the match went
    forfeits: int = 0  # samples in which the agent broke the rules

    def after(self, figure: str, horizon: int) -> Interval:
        """Mean of a figure at a horizon with its bootstrap interval over samples."""
        return bootstrap_mean(self.totals[figure][:, horizon])

    def beside(self, other: _Branch, horizon: int, figures: tuple[str, str] = DAMAGE) -> Interval:
        """Balance of two figures minus that of another way, by sample: mean and interval."""
        first, second = figures
        both = [(each.totals[first] - each.totals[second])[:, horizon] for each in (self, other)]
        return bootstrap_mean(both[0] - both[1])


def totals_of(
    game: Game, rows: Columns, alive: Array, player: int, announced: Array
) -> dict[str, Array]:
    """Damage dealt and taken, stocks taken and lost, up to each horizon: [N, horizons].

    Damage is that of hits. They are derived from the rows [N, R + 1, slots] where the game can, as
    a world that lets damage rise without a hit must not gain by it.
    """
    schema, count = game.schema, len(alive)
    ends = [round(seconds * schema.fps) for seconds in SECONDS]
    state = {key: rows[key] for key in schema.state_keys}
    events = announced if game.events is None else events_of(game, state, alive)
    hits = events[events["kind"] == _kind(game, "hit")]
    totals = {}
    alone = hits["other"] < 0  # hurt without an opponent
    victim = np.where(alone, hits["player"], hits["other"])
    chosen = ((hits["player"] == player) & ~alone, victim == player)
    for name, mine in zip(DAMAGE, chosen, strict=True):
        own = hits[mine]
        totals[name] = np.stack(
            [_summed(own[(own["frame"] > 0) & (own["frame"] <= end)], count) for end in ends], 1
        )
    for key in schema.state_keys:
        column = schema.columns[key]
        if key.endswith("/stocks") and column.group.per and column.slots == schema.players:
            last = alive.sum(1) - 1
            at = np.stack([np.minimum(end, last) for end in ends], 1)  # [N, horizons]
            stocks = rows[key].astype(np.int64)
            lost = stocks[:, :1] - stocks[np.arange(count)[:, None], at]  # [N, horizons, players]
            others = [seat for seat in range(schema.players) if seat != player]
            taken = lost[..., others].sum(-1)
            for name, values in zip(STOCKS, (taken, lost[..., player]), strict=True):
                totals[name] = values.astype(np.float64)
    return totals


def _kind(game: Game, name: str) -> int:
    if name not in game.event_kinds:
        raise UsageError(f"{game.name} has no event '{name}', by which damage is counted")
    return game.event_kinds.index(name)


def _summed(events: Array, count: int) -> Array:
    return np.bincount(events["match"], events["value"].astype(np.float64), count)


def figures_of(branch: _Branch) -> dict[str, Any]:
    """Figures of a branch by seconds and name, as plain data."""
    return {
        str(seconds): {name: plain(branch.after(name, at)) for name in branch.totals}
        for at, seconds in enumerate(SECONDS)
    }


def plain(value: Interval) -> dict[str, float | None]:
    """An interval as plain data; NaN is null."""
    return {
        name: float(each) if np.isfinite(each) else None for name, each in value._asdict().items()
    }


def episode_of(branch: _Branch, game: Game, players: Sequence[str]) -> Episode:
    """The first sample of a branch as an episode, with the events of its rows."""
    state = {key: branch.rows[key][None] for key in game.schema.state_keys}
    events = no_events() if game.events is None else events_of(game, state)
    return Episode(branch.rows, {"players": list(players), "world": branch.world}, events)
