"""A third party's batched simulator as a World.

Such a simulator, often a library in C, steps all its matches at once, and saves and restores single
ones. What it lacks beside a World is here: it starts only the matches that are asked for, leaves
finished ones as they are, and keeps the columns of the schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from shadowbox.core.game import World, no_events
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.errors import UsageError


class _Simulator(Protocol):
    """What a simulator must have; `match` is the number of one of its matches."""

    def reset(self, match: int, seed: int) -> None: ...
    def step(self, inputs: Any) -> None: ...
    def save(self, match: int) -> Any: ...
    def restore(self, match: int, saved: Any) -> None: ...


def simulator_world(
    simulator: _Simulator,
    schema: Schema,
    matches: int,
    *,
    read: Callable[[], tuple[Columns, Array]],
    press: Callable[[Columns], Any],
    events: Callable[[Columns, Columns, Array], Array] | None = None,
) -> World:
    """World of `matches` matches in a simulator; for `--world py:MODULE:FACTORY`.

    `read()` gives state columns [N, slots] by key and the mask of finished matches [N]; columns that
    it leaves out stay 0. `press(controls)` makes the simulator's inputs of controls [N, slots].
    `events(before, after, moved)` gives the events of a step, of the matches that moved [N]; without
    it there are none, and results follow from the columns alone.
    """
    return _SimulatorWorld(simulator, schema, matches, read, press, events)


class _SimulatorWorld:
    """World around a simulator. Finished matches are set back after every step."""

    def __init__(
        self,
        simulator: _Simulator,
        schema: Schema,
        matches: int,
        read: Callable[[], tuple[Columns, Array]],
        press: Callable[[Columns], Any],
        events: Callable[[Columns, Columns, Array], Array] | None,
    ) -> None:
        if matches < 1:
            raise UsageError(f"a world has at least 1 match (got {matches})")
        self.simulator, self.schema, self.matches = simulator, schema, matches
        self.name = "simulator"
        self._read, self._press, self._events = read, press, events
        self._columns = schema.neutral(matches)
        self._done = np.zeros(matches, bool)
        self._ended: dict[int, Any] = {}  # matches as they ended

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Start the matches in the mask `where` [N] (default: all) from `seeds` [N]."""
        for match in self._chosen(where):
            self.simulator.reset(int(match), int(seeds[match]))
            self._ended.pop(int(match), None)
            for key in self.schema.control_keys:
                self._columns[key][match] = 0
        return self._look()

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Advance by one frame: controls [N, slots] -> columns, events, done [N]."""
        moved = ~self._done
        before = {key: np.copy(self._columns[key]) for key in self.schema.state_keys}
        self.simulator.step(self._press(controls))
        for match, saved in self._ended.items():
            self.simulator.restore(match, saved)
        columns = self._look()
        for key in self.schema.control_keys:
            values = columns[key]
            values[moved] = np.asarray(controls[key])[moved]
        found = self._events(before, columns, moved) if self._events else no_events()
        return columns, found, self._done.copy()

    def snapshot(self, where: Array | None = None) -> Any:
        """The chosen matches, as the simulator saves them, and the controls in their columns."""
        return [
            (
                _plain(self.simulator.save(int(match))),
                {key: np.copy(self._columns[key][match]) for key in self.schema.control_keys},
            )
            for match in self._chosen(where)
        ]

    def restore(self, snapshot: Any, where: Array | None = None) -> Columns:
        """Put a snapshot into equally many matches."""
        chosen = self._chosen(where)
        if len(snapshot) != len(chosen):
            raise UsageError(
                f"the snapshot has {len(snapshot)} matches, {len(chosen)} are to be restored"
            )
        for match, (saved, controls) in zip(chosen, snapshot, strict=True):
            self.simulator.restore(int(match), _own(saved))
            self._ended.pop(int(match), None)
            for key, values in controls.items():
                self._columns[key][match] = values
        return self._look()

    def _chosen(self, where: Array | None) -> Array:
        return np.arange(self.matches) if where is None else np.flatnonzero(where)

    def _look(self) -> Columns:
        """Columns as they are now; matches that have ended are saved."""
        columns, done = self._read()
        for key, values in columns.items():
            self._columns[key][:] = values
        self._done = np.array(done, bool)
        for match in np.flatnonzero(self._done):
            if int(match) not in self._ended:
                self._ended[int(match)] = self.simulator.save(int(match))
        return self._columns


def _plain(saved: Any) -> Any:
    """What a simulator saved, as data that checkpoints keep: bytes as an array."""
    return {"bytes": np.frombuffer(saved, np.uint8)} if isinstance(saved, bytes) else saved


def _own(saved: Any) -> Any:
    """The inverse of `_plain`."""
    whole = isinstance(saved, dict) and saved.keys() == {"bytes"}
    return np.asarray(saved["bytes"], np.uint8).tobytes() if whole else saved
