"""Agents without a model: one with a reaction delay, and one that repeats recorded controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns
from shadowbox.core.tracks import Track
from shadowbox.play.warm_start import put_part


class Delayed:
    """An agent with a reaction delay of `frames`. Bots, policies and live games use the same class.

    Views wait in a queue in the state; until the first one is old enough the agent keeps seeing it.
    """

    def __init__(self, agent: Agent, frames: int) -> None:
        self.agent, self.frames = agent, frames
        self.mark = str(getattr(agent, "mark", ""))
        self.track_types: tuple[Track, ...] = tuple(getattr(agent, "track_types", ()))

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
        controls, inner = self.agent.act(queue[0], state["agent"])
        return controls, {
            "agent": inner,
            "queue": queue[1:],
            "fresh": np.zeros_like(state["fresh"]),
        }

    def tracks(self, state: Any) -> Columns:
        """The tracks of the agent's last decision."""
        shown: Columns = self.agent.tracks(state["agent"])  # type: ignore[attr-defined]
        return shown

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

    @property
    def settings(self) -> Mapping[str, tuple[float, float, float]]:
        """Settings of the agent."""
        return dict(getattr(self.agent, "settings", {}))

    def set(self, name: str, value: float) -> None:
        """Change a setting of the agent."""
        self.agent.set(name, value)  # type: ignore[attr-defined]


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
