"""Agents of every game, derived from its controls: `neutral`, `random` and `hold:CONTROL`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shadowbox.core.game import Agent, noise
from shadowbox.core.schema import Array, Choice, Columns, Flag, Real, Schema
from shadowbox.errors import UsageError, did_you_mean

DRAW = 950  # first draw of `random`, far from those of bots and policies


def schema_agent(name: str, argument: str, schema: Schema) -> Agent:
    """The agent of this name, for a game with this schema.

    `neutral` presses nothing. `random` draws every control anew in each frame: a flag is down in
    half of all frames, a choice is uniform, a real is uniform within its bounds. `hold:a+x=-1`
    holds controls: a flag, a real at its highest value, or any control at the value after `=`.
    """
    return AGENTS[name](argument, schema)


class _Hold:
    """Agent that holds the same controls in every frame; all others are neutral."""

    def __init__(self, controls: Columns) -> None:
        """`controls` [slots of a player] by control key."""
        self.controls = controls

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """The state holds nothing but the number of matches."""
        return np.zeros(len(seeds), bool)

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """The held controls."""
        return {key: np.tile(held, (len(state), 1)) for key, held in self.controls.items()}, state


class _Random:
    """Agent that draws every control from all its values."""

    def __init__(self, schema: Schema) -> None:
        self.schema, self.each = schema, schema.controls.slots // schema.players
        for key in schema.control_keys:
            field = schema.columns[key].field
            if isinstance(field, Real) and (field.low is None or field.high is None):
                raise UsageError(
                    f"agent 'random': {key} of {schema.name} has no bounds to draw within; "
                    "give the field a low and a high"
                )

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Seed, seat and frame of each match."""
        fresh = {
            "seeds": np.asarray(seeds, np.int64),
            "players": np.asarray(players, np.int64),
            "frame": np.zeros(len(seeds), np.int64),
        }
        if state is None or where is None:
            return fresh
        return {name: np.where(where, fresh[name], state[name]) for name in fresh}

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide for one frame of each match."""
        seeds, frame, players = (state[name][:, None] for name in ("seeds", "frame", "players"))
        slots = np.arange(self.each)
        controls: Columns = {}
        for at, key in enumerate(self.schema.control_keys):
            column = self.schema.columns[key]
            draw = noise(seeds, frame, players, DRAW + self.each * at + slots)
            low, high = column.field.limits
            if isinstance(column.field, Flag):
                controls[key] = draw < 0.5
            elif isinstance(column.field, Choice):
                controls[key] = (draw * column.field.n).astype(column.dtype)
            else:
                controls[key] = np.clip((low + draw * (high - low)).astype(column.dtype), low, high)
        return controls, {**state, "frame": state["frame"] + 1}


def _neutral_controls(schema: Schema) -> Columns:
    """Controls [slots of a player] of which none is pressed."""
    each = schema.controls.slots // schema.players
    return {key: np.zeros(each, schema.columns[key].dtype) for key in schema.control_keys}


def _without_argument(name: str, argument: str) -> None:
    if argument:
        raise UsageError(f"agent '{name}' takes no argument: remove ':{argument}'")


def _neutral(argument: str, schema: Schema) -> Agent:
    _without_argument("neutral", argument)
    return _Hold(_neutral_controls(schema))


def _random(argument: str, schema: Schema) -> Agent:
    _without_argument("random", argument)
    return _Random(schema)


def _hold(argument: str, schema: Schema) -> Agent:
    controls = _neutral_controls(schema)
    for part in argument.split("+"):
        key, value = _held(part, schema)
        controls[key][:] = value
    return _Hold(controls)


def _held(part: str, schema: Schema) -> tuple[str, float]:
    """Key and value of `CONTROL` or `CONTROL=VALUE`."""
    name, equals, text = part.partition("=")
    keys = {key.partition("/")[2]: key for key in schema.control_keys}
    key = name if name in schema.control_keys else keys.get(name, "")
    if not key:
        what = f"{schema.name} has no control '{name}'" if name else "name a control"
        raise UsageError(f"agent 'hold:{part}': {what}: {did_you_mean(name, keys)}")
    field = schema.columns[key].field
    low, high = field.limits
    if isinstance(field, Choice) and text in field.names:
        return key, field.names.index(text)
    try:
        value = float(text) if equals else None if isinstance(field, Choice) else float(high)
    except ValueError:
        value = None
    whole = not isinstance(field, Real)
    if value is None or not low <= value <= high or (whole and value != int(value)):
        unit = "a whole number" if whole else "a number"
        raise UsageError(
            f"agent 'hold:{part}': give {name} {unit} from {low:g} to {high:g}, "
            f"as in hold:{name}={high:g}"
        )
    return key, value


AGENTS: dict[str, Callable[[str, Schema], Agent]] = {
    "neutral": _neutral,
    "random": _random,
    "hold": _hold,
}
