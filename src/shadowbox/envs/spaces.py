"""Spaces: what an agent from outside sees of a view, and what its actions press."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Choice, Columns, Real, Schema
from shadowbox.errors import UsageError, did_you_mean

PROBES = 4096  # rows of extreme values from which the bounds of an observation are taken


class Observation(Protocol):
    """A named vector of a game: `observe(view [N, slots]) -> [N, size]` f32."""

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def observe(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Everything:
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
        return Everything(game.schema)
    if name not in game.observations:
        raise UsageError(
            f"{game.name} has no observation '{name}': {did_you_mean(str(name), game.observations)}"
        )
    found: Observation = game.observations[name]
    return found


def box(seen: Observation, schema: Schema) -> spaces.Box:
    """The space of an observation: the least and the greatest that it shows of rows at the ends of the schema's ranges.

    A part of an observation depends on few columns, so thousands of rows hold every combination
    that is extreme for it.
    """
    draws = np.random.default_rng(0)
    columns: Columns = {}
    for key, column in schema.columns.items():
        low, high = column.field.limits
        values = np.where(draws.random((PROBES, column.slots)) < 0.5, low, high)
        if isinstance(column.field, Choice):
            inside = draws.integers(0, column.field.n, values.shape)
            values = np.where(draws.random(values.shape) < 0.5, values, inside)
        columns[key] = values.astype(column.dtype)
    # where a column has no range, the sum of two of its ends is infinite
    with np.errstate(all="ignore"):
        shown = seen.observe(columns)
    least, most = shown.min(axis=0), shown.max(axis=0)
    least[~np.isfinite(least)], most[~np.isfinite(most)] = -np.inf, np.inf
    return spaces.Box(least, most, dtype=np.float32)


class Actions:
    """A kind of action: its space for one match, and the keys [N, keys] that N of them press."""

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
        self.space = self.make_space()

    def make_space(self) -> spaces.Space[Any]:
        """The space of one player's action, with a generator of its own."""
        if self.name == "multibinary":
            return spaces.MultiBinary(self.keys)
        if self.name == "keys":
            return spaces.Box(0.0, 1.0, (self.keys,), np.float32)
        return spaces.Discrete(len(self.table))

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
