"""Referee between agents and the world: controls that the schema does not allow are a forfeit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns, Flag, Real, Schema
from shadowbox.core.tracks import blank_rows, declared_tracks, track_values
from shadowbox.play.warm_start import warm_start


class Referee:
    """One agent in one seat of N matches: asks it, checks its answers, keeps its forfeits.

    A crash, or an answer of the wrong form, concerns all matches that the agent sits in, now and
    later. A value that is not allowed concerns its match alone. In both cases the agent presses
    nothing from then on.
    """

    def __init__(self, schema: Schema, agent: Agent, player: int, matches: int) -> None:
        self.schema, self.agent, self.player, self.matches = schema, agent, player, matches
        self.track_types = declared_tracks(agent, player)
        self.lost = np.zeros(matches, bool)
        self.why = [""] * matches
        self.broken = ""  # why the agent cannot play at all
        self._state: Any = None
        self._seats = np.full(matches, player)
        self._shape = (matches, schema.controls.slots // schema.players)
        self._neutral: Columns = {
            key: np.zeros(self._shape, schema.columns[key].dtype) for key in schema.control_keys
        }

    def seat(self, seeds: Array, where: Array | None = None, past: Columns | None = None) -> None:
        """Begin matches in the places `where` [N] (default: all) from `seeds` [N].

        `past` [K, n, slots]: the rows that led there, which the agent watches first.
        """
        fresh = np.ones(self.matches, bool) if where is None else where
        self.lost[fresh] = False
        if self.broken:
            self._forfeit(fresh, self.broken)
        elif past is not None:
            self._guard(
                lambda: warm_start(
                    self.agent, self.schema, past, seeds, self._seats, self._state, where
                )
            )
        elif where is None:
            self._guard(lambda: self.agent.start(seeds, self._seats))
        else:
            self._guard(lambda: self.agent.start(seeds, self._seats, self._state, where))

    def ask(self, view: Columns) -> Columns:
        """The agent's controls [N, slots a player] for this view; neutral where it has lost."""
        if self.broken:
            return self._neutral
        try:
            answer, self._state = self.agent.act(view, self._state)
            answer = {key: self._formed(answer, key) for key in self.schema.control_keys}
        # whatever an agent does wrong is its own loss, and no end of the other matches
        except Exception as error:
            self._break(error)
            return self._neutral
        for key, values in answer.items():
            self._refuse_values(key, values)
        if self.lost.any():
            lost = self.lost[:, None]
            answer = {
                key: np.where(lost, self._neutral[key], values) for key, values in answer.items()
            }
        return {
            key: values.astype(self._neutral[key].dtype, copy=False)
            for key, values in answer.items()
        }

    def tracks(self) -> Columns:
        """The agent's tracks of its last decision, by key [N, ...]; blank where it is broken."""
        if not self.track_types:
            return {}
        if not self.broken:
            try:
                given = self.agent.tracks(self._state)  # type: ignore[attr-defined]
                return track_values(self.track_types, given, self.matches)
            except Exception as error:  # see `ask`
                self._break(error)
        return blank_rows(self.track_types, self.matches)

    def _formed(self, answer: Columns, key: str) -> Array:
        values = np.asarray(answer[key])
        kind = self.schema.columns[key].field.kind
        if values.shape != self._shape:
            raise ValueError(f"{key}: shape {values.shape} in place of {self._shape}")
        if values.dtype.kind not in {"flag": "b", "real": "fiu", "choice": "iu"}[kind]:
            raise ValueError(f"{key}: values of type {values.dtype}, a {kind} is needed")
        return values

    def _refuse_values(self, key: str, values: Array) -> None:
        field = self.schema.columns[key].field
        if isinstance(field, Flag):
            return
        low, high = field.limits
        wrong = ~((values >= low) & (values <= high))  # so written, a NaN is wrong
        if wrong.any():
            allowed = f"{low:g} .. {high:g}" if isinstance(field, Real) else f"{low} .. {high}"
            bad = wrong.any(axis=1)
            for place in np.flatnonzero(bad & ~self.lost):
                self.why[place] = f"{key}: {values[place][wrong[place]][0]}, allowed {allowed}"
            self.lost |= bad

    def _guard(self, begin: Callable[[], Any]) -> None:
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
