"""Agents without a model: ones with a reaction delay or slower hands, and recorded controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns, Flag, Schema
from shadowbox.core.tracks import Track
from shadowbox.errors import UsageError
from shadowbox.play.warm_start import put_part


class _Handicapped:
    """An agent around another one, whose mark, tracks and settings it has."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.mark = str(getattr(agent, "mark", ""))
        self.track_types: tuple[Track, ...] = tuple(getattr(agent, "track_types", ()))

    def tracks(self, state: Any) -> Columns:
        """The tracks of the agent's last decision."""
        shown: Columns = self.agent.tracks(state["agent"])  # type: ignore[attr-defined]
        return shown

    @property
    def settings(self) -> Mapping[str, tuple[float, float, float]]:
        """Settings of the agent."""
        return dict(getattr(self.agent, "settings", {}))

    def set(self, name: str, value: float) -> None:
        """Change a setting of the agent."""
        self.agent.set(name, value)  # type: ignore[attr-defined]


class Delayed(_Handicapped):
    """An agent with a reaction delay of `frames`. Bots, policies and live games use the same class.

    Views wait in a queue in the state; until the first one is old enough the agent keeps seeing it.
    """

    def __init__(self, agent: Agent, frames: int, current: Mapping[str, int] | None = None) -> None:
        """`current`: columns of which the first slots, this many, are not delayed."""
        super().__init__(agent)
        self.frames, self.current = frames, dict(current or {})

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """State of the agent, with an empty queue for the matches that start."""
        inner = None if state is None else state["agent"]
        begun = self.agent.start(seeds, players, inner, where)
        fresh = np.ones(len(seeds), bool) if where is None else where
        if state is None:
            return {"agent": begun, "queue": [], "fresh": fresh}
        return {"agent": begun, "queue": state["queue"], "fresh": state["fresh"] | fresh}

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide on the view of `frames` ago."""
        queue: list[Columns] = state["queue"] or [view] * self.frames
        if state["fresh"].any():  # matches that have just begun have no past: theirs is the present
            queue = [
                {key: _where(state["fresh"], view[key], past[key]) for key in view}
                for past in queue
            ]
        queue = [*queue, {key: values.copy() for key, values in view.items()}]
        seen = queue[0]
        if self.current:
            now = {
                key: np.concatenate([view[key][:, :slots], seen[key][:, slots:]], 1)
                for key, slots in self.current.items()
            }
            seen = {**seen, **now}
        controls, inner = self.agent.act(seen, state["agent"])
        return controls, {
            "agent": inner,
            "queue": queue[1:],
            "fresh": np.zeros_like(state["fresh"]),
        }

    def put(self, state: Any, part: Any, where: Array) -> Any:
        """The state with the n matches of `part` in the places `where` [N]."""
        put = getattr(self.agent, "put", put_part)
        queue = state["queue"] or [
            {key: _rows(values, len(where)) for key, values in view.items()}
            for view in part["queue"]
        ]
        return {
            "agent": put(state["agent"], part["agent"], where),
            "queue": put_part(queue, part["queue"], where),
            "fresh": put_part(state["fresh"], part["fresh"], where),
        }


class _LimitedKeys(_Handicapped):
    """An agent that presses at most `apm` keys a minute, and holds each for at least `hold` frames.

    A key is a flag among the controls; other controls are left alone. A press beyond the limit is
    put off until an older one is a minute ago; of several in one frame, the first controls come
    first. Presses are counted as the view shows them, also those of another agent in the seat.
    """

    def __init__(self, agent: Agent, schema: Schema, apm: int = 0, hold: int = 0) -> None:
        """`apm` 0: as many presses as it likes."""
        super().__init__(agent)
        columns = schema.columns
        self.keys = [key for key in schema.control_keys if isinstance(columns[key].field, Flag)]
        if not self.keys:
            raise UsageError(f"apm and hold limit keys, and {schema.name} has no controls that are")
        self.apm, self.hold, self.minute = apm, hold, round(60 * schema.fps)
        self.slots = schema.controls.slots // schema.players

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """State of the agent, and matches without a past in which no key is down."""
        inner = None if state is None else state["agent"]
        n, keys = len(seeds), len(self.keys) * self.slots
        fresh: dict[str, Array] = {
            "frame": np.zeros(n, np.int64),
            "down": np.zeros((n, keys), np.int64),  # frames that each key has been held for
            # presses of each of the last frames, in a ring
            "presses": np.zeros((n, self.minute if self.apm else 0), np.uint8),
        }
        if state is not None and where is not None:
            fresh = {key: _where(where, values, state[key]) for key, values in fresh.items()}
        return {**fresh, "agent": self.agent.start(seeds, players, inner, where)}

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """The agent's decision, as far as its fingers can do it."""
        controls, inner = self.agent.act(view, state["agent"])
        held = np.concatenate([view[key][:, : self.slots] for key in self.keys], 1).astype(bool)
        wanted = np.concatenate([controls[key] for key in self.keys], 1).astype(bool)
        down = np.where(held, state["down"] + 1, 0)
        wanted |= held & (down < self.hold)
        presses, frame = state["presses"], state["frame"]
        if self.apm:
            rows, presses = np.arange(len(frame)), presses.copy()
            presses[rows, (frame - 1) % self.minute] = (down == 1).sum(1)  # what really came of it
            presses[rows, frame % self.minute] = 0  # a minute ago
            begins = wanted & ~held
            left = self.apm - presses.sum(1, dtype=np.int64)
            wanted &= ~begins | (begins.cumsum(1) <= left[:, None])
        limited = np.split(wanted, len(self.keys), axis=1)
        after = {"frame": frame + 1, "down": down, "presses": presses, "agent": inner}
        return {**controls, **dict(zip(self.keys, limited, strict=True))}, after

    def put(self, state: Any, part: Any, where: Array) -> Any:
        """The state with the n matches of `part` in the places `where` [N]."""
        put = getattr(self.agent, "put", put_part)
        own = {key: put_part(state[key], part[key], where) for key in ("frame", "down", "presses")}
        return {**own, "agent": put(state["agent"], part["agent"], where)}


class Replay:
    """Presses the recorded controls of a seat, and nothing after the end of the recording."""

    def __init__(self, controls: Columns) -> None:
        """`controls` [T, players] by control key."""
        self.controls = controls
        self.frames = len(next(iter(controls.values())))

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Frame of each match."""
        begun = np.zeros(len(seeds), np.int64)
        return (
            players,
            begun if state is None or where is None else np.where(where, begun, state[1]),
        )

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """The recorded controls of this frame."""
        players, frame = state
        over = (frame >= self.frames)[:, None]
        at = np.minimum(frame, self.frames - 1)
        pressed = {key: values[at, players][:, None] for key, values in self.controls.items()}
        return {
            key: np.where(over, np.zeros_like(values), values) for key, values in pressed.items()
        }, (players, frame + 1)


def _rows(values: Array, rows: int) -> Array:
    """Zeros of the same kind for that many matches."""
    return np.zeros((rows, *values.shape[1:]), values.dtype)


def _where(mask: Array, ours: Array, theirs: Array) -> Array:
    return np.where(mask.reshape(-1, *[1] * (ours.ndim - 1)), ours, theirs)
