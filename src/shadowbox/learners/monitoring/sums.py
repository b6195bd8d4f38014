"""Sums over matches in progress of what players did."""

from __future__ import annotations

import numpy as np

from shadowbox.core.game import _Behavior
from shadowbox.core.schema import Array
from shadowbox.play.turn import Turn


class _BehaviorSums:
    """Sums of the counts of behavior in N matches so far, for all players: [counts, N, players]."""

    def __init__(self, behavior: _Behavior | None, matches: int, players: int) -> None:
        self.behavior = behavior
        self.sums = np.zeros((len(behavior.counts) if behavior else 0, matches, players))

    def add(self, turn: Turn, over: Array) -> None:
        """Add a frame of the matches that are not `over` [N]."""
        if self.behavior is not None:
            found = self.behavior.count(turn.columns, turn.events, turn.events["match"])
            found[:, over] = 0.0
            self.sums += found

    def of(self, match: int, seat: int, frames: int) -> dict[str, float | None]:
        """Figures of a player in a match of `frames` frames."""
        if self.behavior is None:
            return {}
        return self.behavior.of(self.sums[:, match, seat], frames)
