"""Observations and discrete actions of a world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Choice, Columns, Flag, Real, Schema
from shadowbox.errors import UsageError, did_you_mean


class Observation(Protocol):
    """A named vector of a game: `observe(view [N, slots]) -> [N, size]` f32."""

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def observe(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class _FlatObservation:
    """Every state column in a row, scaled: the observation of games that declare none."""

    schema: Schema

    @property
    def size(self) -> int:
        """The length of the vector."""
        return sum(self.schema.columns[key].slots for key in self.schema.state_keys)

    def observe(self, view: Columns) -> Array:
        """[N, slots] by column -> [N, size] f32."""
        return np.concatenate(
            [view[key].astype(np.float32) * self._scale(key) for key in self.schema.state_keys],
            axis=1,
        )

    def _scale(self, key: str) -> np.float32:
        field = self.schema.columns[key].field
        if isinstance(field, Choice):
            return np.float32(1 / max(1, field.n - 1))
        return np.float32(field.scale if isinstance(field, Real) else 1)


def observation(name: str, game: Game) -> Observation:
    """An observation of the game by name."""
    if name == "default" and not game.observations:
        return _FlatObservation(game.schema)
    if name not in game.observations:
        raise UsageError(
            f"{game.name} has no observation '{name}': {did_you_mean(str(name), game.observations)}"
        )
    found: Observation = game.observations[name]
    return found


class Actions:
    """A kind of action, and the controls [N, slots a player] that N actions of one player press.

    `box` is a number for each value of the player's controls, within the limits of its field: a
    flag is pressed above 0.5, a choice is the nearest whole number. Games that are played with keys
    alone also take `multibinary`, a 0 or 1 for each key. The game's own tables take the number of a
    row: the names of the pressed flags, or values by field.
    """

    def __init__(self, name: str | None, game: Game) -> None:
        """`name`: None is `multibinary` where keys are enough, else `box`."""
        schema = game.schema
        self.slots = schema.controls.slots // schema.players
        self.fields = {key: schema.columns[key].field for key in schema.control_keys}
        self.keys_alone = all(isinstance(field, Flag) for field in self.fields.values())
        known = ("box", *(["multibinary"] if self.keys_alone else []), *game.actions)
        self.name = name or ("multibinary" if self.keys_alone else "box")
        if self.name not in known:
            raise UsageError(
                f"{game.name} has no actions '{name}': {did_you_mean(str(name), known)}"
            )
        self.low, self.high = self._limits()
        self.size = len(self.low)  # numbers of a `box` or `multibinary` action
        rows = game.actions.get(self.name, {})
        self.table = np.array([self._table_row(name, row) for name, row in rows.items()])

    def controls(self, actions: Any, matches: int) -> Columns:
        """Actions of N matches -> controls by key, [N, slots]; anything else is refused."""
        return self._by_key(self.values(actions, matches))

    def values(self, actions: Any, matches: int) -> Array:
        """Actions of N matches -> control values [N, size] in the schema's order, checked.

        Of keys, 1 is a pressed one.
        """
        given = np.asarray(actions)
        if (
            self.name == "multibinary"
            and given.shape == (matches, self.size)
            and given.dtype.char in "?bB"
            # the fastest test for anything but 0 and 1
            and not given.tobytes().translate(None, b"\0\1")
        ):
            return given.view(bool)
        numbered = len(self.table) > 0  # a row of the table, not the controls themselves
        shape = (matches,) if numbered else (matches, self.size)
        if given.shape != shape or given.dtype.kind not in "biuf":
            raise UsageError(
                f"actions '{self.name}' of {matches}: {given.dtype} {given.shape} given, "
                f"{shape} is needed"
            )
        low, high = (
            (np.zeros(1), np.full(1, len(self.table) - 1.0)) if numbered else (self.low, self.high)
        )
        # so written, a NaN is wrong
        wrong = ~((given >= low) & (given <= high)) | ~np.isfinite(given)
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            place = at[-1] if len(low) > 1 else 0
            raise UsageError(
                f"actions '{self.name}': {given[at]:g} given, "
                f"{low[place]:g} to {high[place]:g} are possible"
            )
        if self.name != "box" and given.dtype.kind == "f" and (given != np.floor(given)).any():
            raise UsageError(f"actions '{self.name}' are whole numbers, not {given.dtype}")
        values: Array = self.table[given.astype(np.intp)] if numbered else given
        return values > 0.5 if self.keys_alone and values.dtype.char not in "?bB" else values

    def _by_key(self, values: Array) -> Columns:
        """Numbers [N, size] -> controls by key, each in its field's own type."""
        found: Columns = {}
        for at, (key, field) in enumerate(self.fields.items()):
            part = values[:, at * self.slots : (at + 1) * self.slots]
            if isinstance(field, Flag):
                found[key] = part if part.dtype == bool else part > 0.5
            elif isinstance(field, Choice):
                found[key] = np.rint(part).astype(np.int64)
            else:
                found[key] = part.astype(np.float32)
        return found

    def _limits(self) -> tuple[Array, Array]:
        ends = []
        for field in self.fields.values():
            low, high = (0, 1) if isinstance(field, Flag) else field.limits
            open_low = isinstance(field, Real) and field.low is None
            open_high = isinstance(field, Real) and field.high is None
            ends += [(-np.inf if open_low else low, np.inf if open_high else high)] * self.slots
        low_ends, high_ends = np.array(ends, np.float64).T
        # actions are f4, and the nearest f4 of an end may be outside
        low_f4, high_f4 = low_ends.astype(np.float32), high_ends.astype(np.float32)
        return np.minimum(low_ends, low_f4), np.maximum(high_ends, high_f4)

    def _table_row(self, name: str, row: Any) -> list[float]:
        """A row of a table as numbers for all controls; those that it does not name are neutral."""
        values = dict(row) if isinstance(row, Mapping) else dict.fromkeys(row, 1)
        names = [key.partition("/")[2] for key in self.fields]
        if unknown := values.keys() - set(names):
            raise UsageError(
                f"action '{name}' names '{min(unknown)}': {did_you_mean(min(unknown), names)}"
            )
        return [float(values.get(field, 0)) for field in names for _ in range(self.slots)]
