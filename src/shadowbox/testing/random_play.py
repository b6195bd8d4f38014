"""Random play and random rows, for the checks of this package and for tests of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from shadowbox.core.game import Game, World
from shadowbox.core.schema import Array, Choice, Columns, Flag, Schema
from shadowbox.play.turn import MatchBatch

Factory = Callable[[int], World]  # of a number of matches
MATCHES = 5
MOST_FRAMES = 20_000  # until a match must have ended
HOLD = 7  # frames for which random controls stay the same


def match_seeds(matches: int = MATCHES) -> Array:
    """Seeds for so many matches."""
    return np.arange(matches, dtype=np.int64) + 3


def random_controls(schema: Schema, matches: int, frame: int) -> Columns:
    """Controls [N, slots] at random, within their limits and held for a while: a function of the frame."""
    draws = np.random.default_rng(frame // HOLD)
    controls: Columns = {}
    for key in schema.control_keys:
        column, shape = schema.columns[key], (matches, schema.columns[key].slots)
        drawn = draws.random(shape)
        if isinstance(column.field, Flag):
            controls[key] = drawn < 0.3
        elif isinstance(column.field, Choice):
            controls[key] = (drawn * column.field.n).astype(column.dtype)
        else:
            low, high = np.clip(column.field.limits, -1e6, 1e6)
            controls[key] = (low + drawn * (high - low)).astype(column.dtype)
    return controls


def random_rows(schema: Schema, rows: int, seed: int = 0) -> Columns:
    """Columns [rows, slots] of values that the schema allows; masked slots hold zeros."""
    draws = np.random.default_rng(seed)
    columns: Columns = {}
    for key, column in schema.columns.items():
        field, shape = column.field, (rows, column.slots)
        if isinstance(field, Flag):
            columns[key] = draws.random(shape) < 0.4
        elif isinstance(field, Choice):
            columns[key] = draws.integers(0, field.n, shape).astype(column.dtype)
        else:
            low, high = np.clip(field.limits, -1000, 1000)
            stored = draws.uniform(low, high, shape).astype(field.store).astype(np.float32)
            columns[key] = np.clip(stored, *field.limits)
    for key, column in schema.columns.items():
        if column.group.mask and column.field.name != column.group.mask:
            columns[key] = columns[key] * columns[f"{column.group.name}/{column.group.mask}"]
    return columns


def must(fits: bool, words: str) -> None:
    """Raise an AssertionError with these words unless something holds."""
    if not fits:
        raise AssertionError(words)


def same_columns(one: Mapping[str, Array], two: Mapping[str, Array], words: str) -> None:
    """Equal columns, bit for bit."""
    for key, values in one.items():
        if not np.array_equal(values, two[key], equal_nan=values.dtype.kind == "f"):
            at = np.argwhere(values != two[key])[0].tolist()
            raise AssertionError(
                f"{words}: {key}{at} is {values[tuple(at)]} and {two[key][tuple(at)]}"
            )


def state_of(schema: Schema, columns: Mapping[str, Array]) -> Columns:
    """Copies of the state columns."""
    return {key: np.array(columns[key]) for key in schema.state_keys}


def run_randomly(world: World, frames: int, start: int = 0) -> tuple[Columns, Array]:
    """Random play: states [frames, N, slots] and all events."""
    states, happened = [], []
    for frame in range(start, start + frames):
        columns, events, _ = world.step(random_controls(world.schema, world.matches, frame))
        states.append(state_of(world.schema, columns))
        happened.append(events.copy())
    stacked = {key: np.stack([state[key] for state in states]) for key in world.schema.state_keys}
    return stacked, np.concatenate(happened)


def some_matches(
    columns: Mapping[str, Array], where: Array, schema: Schema | None = None
) -> Columns:
    """The chosen matches of columns [N, slots]; with a schema its state columns only."""
    keys: Sequence[str] = schema.state_keys if schema else list(columns)
    return {key: columns[key][where] for key in keys}


def random_views(game: Game, factory: Factory | None, frames: int) -> Iterator[Columns]:
    """Views of random play, or of random rows where the game has no world."""
    factory = factory or game.world
    if factory is None:
        for frame in range(frames):
            yield random_rows(game.schema, MATCHES, frame)
        return
    batch = MatchBatch(game, factory(MATCHES), [None] * game.schema.players)
    batch.begin(match_seeds())
    each = game.schema.controls.slots // game.schema.players
    for frame in range(frames):
        yield {key: np.array(values) for key, values in batch.view.items()}
        drawn = random_controls(game.schema, MATCHES, frame)
        seats = range(game.schema.players)
        batch.turn(
            {s: {k: v[:, s * each : (s + 1) * each] for k, v in drawn.items()} for s in seats}
        )
