"""Observations and discrete actions of a world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Choice, Columns, Real, Schema
from shadowbox.errors import UsageError, did_you_mean


class Observation(Protocol):
    """A named vector of a game: `observe(view [N, slots]) -> [N, size]` f32."""

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def observe(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class FlatObservation:
    """Every state column in a row, of order one: what a game shows that declares no observation."""

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
        return FlatObservation(game.schema)
    if name not in game.observations:
        raise UsageError(
            f"{game.name} has no observation '{name}': {did_you_mean(str(name), game.observations)}"
        )
    found: Observation = game.observations[name]
    return found


class Actions:
    """A kind of action, and the keys bool [N, keys] that N actions press.

    `multibinary` and `keys` take a number a key; the game's own tables take the number of a row.
    """

    def __init__(self, name: str, game: Game) -> None:
        schema = game.schema
        self.name, self.keys = name, len(schema.control_keys)
        odd = [key for key in schema.control_keys if schema.columns[key].field.kind != "flag"]
        if odd or schema.controls.slots != schema.players:
            raise UsageError(
                f"{game.name} is not played with keys alone ({(odd or [schema.controls.name])[0]}); no action fits"
            )
        known = ("multibinary", "keys", *game.actions)
        if name not in known:
            raise UsageError(
                f"{game.name} has no actions '{name}': {did_you_mean(str(name), known)}"
            )
        fields = [field.name for field in schema.controls.fields]
        self.table = np.array(
            [[field in row for field in fields] for row in game.actions.get(name, {}).values()],
            bool,
        )

    def pressed(self, actions: Any, matches: int) -> Array:
        """Actions of N matches -> bool [N, keys]; what is no such action is refused."""
        given = np.asarray(actions)
        numbered = len(self.table) > 0  # a row of the table, not the keys themselves
        shape = (matches,) if numbered else (matches, self.keys)
        if given.shape != shape or given.dtype.kind not in "biuf":
            raise UsageError(
                f"actions '{self.name}' of {matches}: {given.dtype} {given.shape} given, {shape} is needed"
            )
        low, high = given.min(), given.max()  # NaN makes both NaN, and every comparison false
        top = len(self.table) - 1 if numbered else 1
        if not (low >= 0 and high <= top):
            raise UsageError(
                f"actions '{self.name}': values from {low} to {high} given, 0 to {top} are possible"
            )
        if self.name == "keys":
            return np.asarray(given > 0.5)
        if given.dtype.kind == "f" and not (given == np.floor(given)).all():
            raise UsageError(f"actions '{self.name}' are whole numbers, not {given.dtype}")
        return np.asarray(self.table[given.astype(np.intp)] if numbered else given.astype(bool))
