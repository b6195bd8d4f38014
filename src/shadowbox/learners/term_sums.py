"""Sums of the terms of a reward over matches that are not over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shadowbox.core.game import terms_block
from shadowbox.core.schema import Array


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
