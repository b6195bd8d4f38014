"""Predictions of a world from recorded starts, with given controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from shadowbox.core.game import Game, World, stable_hash
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError

BLOCK = 512  # matches that are predicted together


class _Rollout(NamedTuple):
    """Predicted rows [N, frames + 1, slots] of the state, the start first.

    `alive` [N, frames + 1]: the world had not ended the match before that row.
    """

    rows: Columns
    alive: Array


class _Predictor:
    """A world of a fixed number of matches, which predicts blocks of them.

    Results do not depend on the size of the blocks if the matches of the world do not depend on
    each other. `projected` counts the replaced values by column; None: the world does not say.
    """

    def __init__(self, factory: Callable[[int], World], game: Game, block: int) -> None:
        self.world, self.game = factory(block), game
        if not hasattr(self.world, "load"):
            raise UsageError(
                f"world '{self.world.name}' cannot be evaluated on recordings: it has no "
                "load(columns), which starts matches from given rows"
            )
        self.frames = 0  # that were predicted, of all matches

    @property
    def projected(self) -> Mapping[str, int] | None:
        """Replaced values by column, since the world was built."""
        found = getattr(self.world, "projected", None)
        return None if found is None else dict(found)

    def roll(self, past: Columns, controls: Columns, seeds: Array) -> _Rollout:
        """Predict from the last of the rows `past` [K + 1, n, slots], n at most the block.

        `controls` [frames, n, slots], one frame at a time.
        """
        count, size = len(seeds), self.world.matches
        fill = np.minimum(np.arange(size), count - 1)
        self._begin({key: rows[:, fill] for key, rows in past.items()}, seeds[fill])
        frames = len(next(iter(controls.values())))
        schema = self.game.schema
        rows = {
            key: np.empty((count, frames + 1, schema.columns[key].slots), schema.columns[key].dtype)
            for key in schema.state_keys
        }
        for key, values in rows.items():
            values[:, 0] = past[key][-1]
        alive = np.ones((count, frames + 1), bool)
        for frame in range(frames):
            pressed = {key: controls[key][frame][fill] for key in schema.control_keys}
            columns, _, done = self.world.step(pressed)
            for key, values in rows.items():
                values[:, frame + 1] = columns[key][:count]
            alive[:, frame + 2 :] &= ~np.asarray(done)[:count, None]
        self.frames += int(alive[:, 1:].sum())
        return _Rollout(rows, alive)

    def _begin(self, past: Columns, seeds: Array) -> None:
        """Start all matches from the last row of `past`; a dream also watches the rows before."""
        self.world.reset(seeds)
        load = self.world.load  # type: ignore[attr-defined]
        watches = hasattr(self.world, "context")
        load(past if watches else {key: rows[-1] for key, rows in past.items()})


def match_seeds(seed: int, purpose: str, starts: Array, samples: int) -> Array:
    """Seeds [S * samples] of samples, by the number of their start."""
    return np.array(
        [
            stable_hash("world", seed, purpose, start, sample) >> 2
            for start in starts.tolist()
            for sample in range(samples)
        ],
        np.int64,
    )
