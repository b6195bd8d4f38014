"""Counts of what had to be put right in the frames of a dream, and the repairs of its game."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from shadowbox.core.schema import Array, Columns

Repairs = Callable[[Columns], Mapping[str, tuple[Array, int]]]


class _Corrections:
    """Values of the frames of N matches that were put right, by what was wrong with them."""

    def __init__(self, matches: int, repairs: Repairs | None = None) -> None:
        """`repairs`: that of the game."""
        self.repairs, self.matches = repairs, matches
        self.projected: dict[str, int] = {}
        self.wrong = np.zeros(matches, bool)  # matches whose last frame had such values

    def count(self, problem: str, where: Any) -> None:
        """Count a mask [N or more, slots] of values of the last frame."""
        if where.any():
            where = where[: self.matches]
            self.add(problem, int(where.sum()), where.any(-1))

    def add(self, problem: str, many: int, where: Array) -> None:
        """Add a number of values, and the mask [N] of the matches that they are from."""
        if many:
            self.projected[problem] = self.projected.get(problem, 0) + many
            self.wrong |= where

    def mend(self, columns: Columns) -> None:
        """Put right what the game says cannot be."""
        for key, (wrong, right) in self.repairs(columns).items() if self.repairs else ():
            if wrong.any():
                columns[key][wrong] = right
                self.count(f"{key} that cannot be", wrong)
