"""Checks of worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.episode import check as check_episode
from shadowbox.core.game import EVENT, Game, World
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import ShadowboxError
from shadowbox.testing.random_play import (
    MATCHES,
    MOST_FRAMES,
    Factory,
    match_seeds,
    must,
    random_controls,
    run_randomly,
    same_columns,
    some_matches,
    state_of,
)

FRAMES = 80


def check_world(factory: Factory, game: Game, *, frames: int = FRAMES) -> None:
    """The promises of a World, with random play; `factory(matches)` builds it.

    Seeds and controls decide everything; a match does not depend on its neighbors; some matches can
    be reset, and set back from a snapshot, while the others stay as they are; every state is
    allowed by the schema and can be stored; a finished match stays as it is. `load`, `context` and
    `truncated` are checked where the world has them.
    """
    world = factory(MATCHES)
    must(isinstance(world.name, str) and bool(world.name), "the world has no name")
    must(world.matches == MATCHES, f"{world.matches} matches, {MATCHES} were asked for")
    must(world.schema.facts_hash == game.schema.facts_hash, "the world has fields of another game")
    first = state_of(game.schema, world.reset(match_seeds()))
    states, events = run_randomly(world, frames)
    again = factory(MATCHES)
    same_columns(
        first,
        state_of(game.schema, again.reset(match_seeds())),
        "two resets from the same seeds differ",
    )
    states_again, events_again = run_randomly(again, frames)
    same_columns(states, states_again, "the same seeds and controls give other states")
    must(np.array_equal(events, events_again), "the same seeds and controls give other events")
    _check_neighbors(factory, game, states, frames)
    _check_allowed(game, first, states, events)
    _check_reset_of_some(factory(MATCHES), first)
    _check_snapshots(factory(MATCHES))
    _check_finished(factory(MATCHES))
    if hasattr(world, "load") and getattr(world, "loads_exactly", True):
        check_load(factory, game, frames=frames)
    if hasattr(world, "context"):
        check_context(factory, game)


def _check_neighbors(factory: Factory, game: Game, states: Columns, frames: int) -> None:
    one = factory(1)
    one.reset(match_seeds()[2:3])
    for frame in range(frames):
        crowd = random_controls(game.schema, MATCHES, frame)
        columns, _, _ = one.step({key: values[2:3] for key, values in crowd.items()})
        seen = {key: values[frame, 2:3] for key, values in states.items()}
        same_columns(seen, columns, f"frame {frame}: a match differs when it is alone in its world")


def _check_allowed(game: Game, first: Columns, states: Columns, events: Array) -> None:
    schema, frames = game.schema, len(next(iter(states.values())))
    must(events.dtype == EVENT, f"events have the type {events.dtype}, core.game.EVENT is needed")
    for match in range(MATCHES):
        columns = {
            key: np.concatenate([first[key][match : match + 1], values[:, match]])
            for key, values in states.items()
        }
        pressed = [random_controls(schema, MATCHES, frame) for frame in range(frames)]
        for key in schema.control_keys:
            kept = np.stack([controls[key][match] for controls in pressed])
            columns[key] = np.concatenate([kept, np.zeros_like(kept[:1])])
        episode = Episode(columns, {}, events[events["match"] == match])
        try:
            check_episode(episode, schema, f"match {match}", game.event_kinds)
        except ShadowboxError as error:
            raise AssertionError(f"random play made what the schema refuses: {error}") from error


def _check_reset_of_some(world: World, fresh: Columns) -> None:
    world.reset(match_seeds())
    columns: Mapping[str, Array] = {}
    for frame in range(30):
        columns, _, _ = world.step(random_controls(world.schema, world.matches, frame))
    before = state_of(world.schema, columns)
    where = np.array([False, True, False, False, True])
    after = state_of(world.schema, world.reset(match_seeds(), where))
    same_columns(
        some_matches(fresh, where),
        some_matches(after, where),
        "a match that is reset among others differs",
    )
    same_columns(
        some_matches(before, ~where),
        some_matches(after, ~where),
        "a reset of some matches changed another one",
    )


def _check_snapshots(world: World) -> None:
    """A world that cannot be copied, such as a live game, says so with a ShadowboxError."""
    world.reset(match_seeds())
    run_randomly(world, 30)
    where = np.array([True, False, True, False, False])
    try:
        some, whole = world.snapshot(where), world.snapshot()
    except ShadowboxError:
        return
    straight, _ = run_randomly(world, 40, start=30)
    world.restore(whole)
    run_randomly(world, 5, start=60)
    world.restore(whole)
    world.restore(some, where)
    same_columns(straight, run_randomly(world, 40, start=30)[0], "going on from a snapshot differs")


def _check_finished(world: World) -> None:
    columns: Mapping[str, Array] = world.reset(match_seeds())
    done = np.zeros(MATCHES, bool)
    for frame in range(MOST_FRAMES):
        columns, _, done = world.step(random_controls(world.schema, MATCHES, frame))
        stopped = getattr(world, "truncated", None)
        if stopped is not None:
            right = np.shape(stopped) == (MATCHES,) and np.asarray(stopped).dtype == bool
            must(right, f"truncated must be bool ({MATCHES},)")
            must(bool((~stopped | done).all()), "a match is truncated and not done")
        if done.any():
            break
    must(bool(done.any()), f"no match ended in {MOST_FRAMES:,} frames of random play")
    over, before = done.copy(), state_of(world.schema, columns)
    for frame in range(5):
        columns, events, done = world.step(random_controls(world.schema, MATCHES, frame))
        must(not over[events["match"]].any(), "a finished match emits events")
        must(bool(done[over].all()), "a finished match is no longer done")
        same_columns(
            some_matches(before, over),
            some_matches(state_of(world.schema, columns), over),
            "a finished match changed",
        )


def check_load(factory: Factory, game: Game, *, frames: int = FRAMES) -> None:
    """`World.load`: going on from recorded rows gives the recorded states and events, bit for bit.

    Some matches can be loaded while the others stay as they are.
    """
    schema, world = game.schema, factory(MATCHES)
    world.reset(match_seeds())
    run_randomly(world, 20)
    columns, _, _ = world.step(random_controls(schema, MATCHES, 20))
    row = state_of(schema, columns) | random_controls(schema, MATCHES, 20)
    straight, _ = run_randomly(world, frames, start=21)
    other: Any = factory(MATCHES)
    other.reset(match_seeds() + 100)
    loaded = state_of(schema, other.load(row))
    same_columns(state_of(schema, row), loaded, "a loaded row comes back changed")
    same_columns(
        straight, run_randomly(other, frames, start=21)[0], "going on from a loaded row differs"
    )
    where = np.array([False, True, True, False, False])
    before = state_of(schema, other.restore(other.snapshot()))
    after = state_of(schema, other.load(some_matches(row, where), where))
    same_columns(
        some_matches(row, where, schema),
        some_matches(after, where),
        "a row loaded into some matches differs",
    )
    same_columns(
        some_matches(before, ~where),
        some_matches(after, ~where),
        "loading some matches changed another one",
    )


def check_context(factory: Factory, game: Game) -> None:
    """`World.context`: rows [K, n, slots] of the chosen matches, allowed by the schema."""
    schema, world = game.schema, factory(MATCHES)
    world.reset(match_seeds())
    for where in (None, np.array([True, False, True, False, False])):
        rows = world.context(where)  # type: ignore[attr-defined]
        count = MATCHES if where is None else int(where.sum())
        length = len(rows[schema.state_keys[0]])
        for key, column in schema.columns.items():
            must(key in rows, f"the context lacks '{key}'")
            shape = (length, count, column.slots)
            must(rows[key].shape == shape, f"context, {key}: {rows[key].shape}, {shape} is needed")
        for match in range(count if length > 1 else 0):
            episode = Episode({key: values[:, match] for key, values in rows.items()})
            try:
                check_episode(episode, schema, f"context of match {match}")
            except ShadowboxError as error:
                raise AssertionError(str(error)) from error
