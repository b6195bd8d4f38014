"""Sums over matches in progress: of reward terms, and of what players did."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shadowbox.core.game import _Behavior, terms_block
from shadowbox.core.schema import Array
from shadowbox.play.turn import Turn


class _TermSums:
    """Sums of each weighted term of the rewards in N matches so far, for all players."""

    def __init__(self, matches: int, players: int) -> None:
        self.names: tuple[str, ...] = ()  # of the terms; those of zero weight, too
        self.sums = np.zeros((0, matches, players))

    def add(self, terms: Mapping[str, Array], over: Array) -> None:
        """Add a frame of the matches that are not `over` [N]."""
        names = tuple(terms)
        if names != self.names:
            self._rename(names)
        self.sums[: len(names)] += np.where(over[:, None], 0.0, terms_block(terms))

    def of(self, match: int, seat: int) -> dict[str, float]:
        """Sums of a player in a match."""
        return dict(zip(self.names, self.sums[:, match, seat].tolist(), strict=True))

    def _rename(self, names: tuple[str, ...]) -> None:
        """Take the terms of another reward; matches that go on keep their sums by name."""
        old = dict(zip(self.names, self.sums, strict=True))
        left = tuple(name for name in old if name not in names and old[name].any())
        zeros = np.zeros(self.sums.shape[1:])
        self.names = (*names, *left)
        self.sums = np.stack([old.get(name, zeros) for name in self.names])


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

    def of(self, match: int, seat: int, frames: int) -> dict[str, float]:
        """Figures of a player in a match of `frames` frames."""
        if self.behavior is None:
            return {}
        return self.behavior.of(self.sums[:, match, seat], frames)
