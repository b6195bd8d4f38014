"""Between an agent and the world: only controls that the schema allows get through; anything else is a forfeit."""

from __future__ import annotations

from typing import Any

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns, Flag, Real, Schema


class Referee:
    """One agent in one seat of N matches: asks it, checks what it answers, and remembers where it has lost by forfeit.

    A crash, or an answer of the wrong form, concerns all matches that the agent sits in, now and
    later. A value that is not allowed concerns its match alone. In both cases the agent presses
    nothing from then on.
    """

    def __init__(self, schema: Schema, agent: Agent, player: int, seeds: Array) -> None:
        self.schema, self.agent, self.player = schema, agent, player
        self.matches = len(seeds)
        self.lost = np.zeros(self.matches, bool)
        self.why = [""] * self.matches
        self.broken = ""  # why the agent cannot play at all
        self._state: Any = None
        self._guard(lambda: self.agent.start(seeds, np.full(self.matches, player)))

    def seat(self, seeds: Array, where: Array) -> None:
        """New matches begin in the places `where` [N]."""
        self.lost[where] = False
        if self.broken:
            self._forfeit(where, self.broken)
        else:
            seats = np.full(self.matches, self.player)
            self._guard(lambda: self.agent.start(seeds, seats, self._state, where))

    def ask(self, view: Columns) -> Columns:
        """The agent's controls [N, 1] for this view; neutral where it has lost."""
        nothing = {
            key: np.zeros((self.matches, 1), self.schema.columns[key].dtype)
            for key in self.schema.control_keys
        }
        if self.broken:
            return nothing
        try:
            answer, self._state = self.agent.act(view, self._state)
            answer = {key: self._formed(answer, key) for key in self.schema.control_keys}
        # whatever an agent does wrong is its own loss, and no end of the other matches
        except Exception as error:
            self._break(error)
            return nothing
        for key, values in answer.items():
            self._refuse_values(key, values)
        if self.lost.any():
            answer = {
                key: np.where(self.lost[:, None], nothing[key], values)
                for key, values in answer.items()
            }
        return answer

    def _formed(self, answer: Columns, key: str) -> Array:
        values = np.asarray(answer[key])
        kind = self.schema.columns[key].field.kind
        if values.shape != (self.matches, 1):
            raise ValueError(f"{key}: shape {values.shape} in place of ({self.matches}, 1)")
        if values.dtype.kind not in {"flag": "b", "real": "fiu", "choice": "iu"}[kind]:
            raise ValueError(f"{key}: values of type {values.dtype}, a {kind} is needed")
        return values

    def _refuse_values(self, key: str, values: Array) -> None:
        field = self.schema.columns[key].field
        if isinstance(field, Flag):
            return
        low, high = field.limits
        bad = ~((values[:, 0] >= low) & (values[:, 0] <= high))  # so written, a NaN is bad
        if bad.any():
            allowed = f"{low:g} .. {high:g}" if isinstance(field, Real) else f"{low} .. {high}"
            for place in np.flatnonzero(bad & ~self.lost):
                self.why[place] = f"{key}: {values[place, 0]}, allowed {allowed}"
            self.lost |= bad

    def _guard(self, begin: Any) -> None:
        try:
            self._state = begin()
        except Exception as error:  # see `ask`
            self._break(error)

    def _break(self, error: Exception) -> None:
        self.broken = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        self._forfeit(~self.lost, self.broken)

    def _forfeit(self, where: Array, why: str) -> None:
        for place in np.flatnonzero(where):
            self.why[place] = why
        self.lost = self.lost | where
