"""The two passes over all starts: samples of the whole future, and one frame from every truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from shadowbox.core.game import EVENT, Game
from shadowbox.core.schema import Array, Columns, Real
from shadowbox.evaluate.worlds.distributions import MOVED, _Histograms
from shadowbox.evaluate.worlds.events import events_of, masks_of
from shadowbox.evaluate.worlds.rollouts import _Predictor, _Rollout, match_seeds
from shadowbox.evaluate.worlds.skill import scored_keys
from shadowbox.evaluate.worlds.starts import SHORT, _Starts

Report = Callable[[int, int], None]  # done, total
NUDGE = 0.02  # share of its place by which a player of a simulator begins elsewhere
ONE_STEP_STARTS = 200  # whose next SHORT frames are each predicted from the truth


class _Future(NamedTuple):
    """Samples of S starts.

    `at`, `before` [S, M, H, slots]: rows at each horizon, and one frame before. `events`: of
    stretch start * M + sample. `short_events`: of the first SHORT frames. `contradictions`: counts
    by name, with the steps [steps] they are counted in; `violations`: values that the schema or the
    game forbids, by name. `moved` : share of the values that differ from the start at SHORT.
    """

    at: Columns
    before: Columns
    events: Array
    contradictions: dict[str, int]
    steps: int
    violations: dict[str, int]
    ended: int  # stretches that the world ended early
    shown: dict[int, Columns]  # start -> rows [frames + 1, slots]


def predict_future(
    game: Game,
    world: _Predictor,
    starts: _Starts,
    horizons: tuple[int, ...],
    samples: int,
    histograms: _Histograms,
    seed: int,
    report: Report,
    show: Array,
) -> _Future:
    """Predict every start `samples` times with its recorded controls, and count what is found.

    The rows of the starts `show` are kept.
    """
    schema, keys = game.schema, scored_keys(game.schema)
    shape = (starts.number, samples, len(horizons))
    at, before = (
        {
            key: np.zeros((*shape, schema.columns[key].slots), schema.columns[key].dtype)
            for key in keys
        }
        for _ in range(2)
    )
    contradictions: dict[str, int] = {}
    violations: dict[str, int] = {}
    shown: dict[int, Columns] = {}
    events, steps, ended = [np.zeros(0, EVENT)], 0, 0
    frames, per_block = np.array(horizons), max(world.world.matches // samples, 1)
    for first in range(0, starts.number, per_block):
        some = np.arange(first, min(first + per_block, starts.number))
        found = _roll(world, starts, some, samples, seed)
        valid = np.repeat(starts.valid[some], samples, 0)
        for key in keys:
            rows = found.rows[key].reshape(len(some), samples, starts.reach + 1, -1)
            at[key][some], before[key][some] = rows[:, :, frames], rows[:, :, frames - 1]
        counted = valid & found.alive
        for start in np.intersect1d(show, some).tolist():
            shown[start] = {k: v[(start - first) * samples].copy() for k, v in found.rows.items()}
        ended += int((valid & ~found.alive).any(1).sum())
        some_events = None
        if game.events is not None:
            some_events = events_of(game, found.rows, counted)
            moved = some_events.copy()
            moved["match"] += first * samples
            events.append(moved)
        histograms.add(0, found.rows, counted, some_events)
        steps += _count(game, found.rows, counted, contradictions, violations)
        report(len(some) * samples, starts.number * samples)
    return _Future(
        at, before, np.concatenate(events), contradictions, steps, violations, ended, shown
    )


def count_moved(
    game: Game, simulator: _Predictor, starts: _Starts, histograms: _Histograms, seed: int
) -> None:
    """Count rows of the game's simulator from starts whose players are NUDGE nearer to the middle.

    The recorded controls soon mean another thing there, as they do in a world that errs by as much.
    """
    rates, columns = game.dynamics.rates if game.dynamics else {}, game.schema.columns
    moved = [k for k in rates if columns[k].group.per and columns[k].field.mirror == "negate"]
    for first in range(0, starts.number, simulator.world.matches):
        some = np.arange(first, min(first + simulator.world.matches, starts.number))
        past = dict(starts.past(some))
        past |= {key: past[key] * np.float32(1 - NUDGE) for key in moved}
        numbers = starts.episodes[some] * 1_000_003 + starts.frames[some]
        found = simulator.roll(
            past,
            starts.controls(game.schema.control_keys, some),
            match_seeds(seed, "moved", numbers, 1),
        )
        counted = starts.valid[some] & found.alive
        events = None if game.events is None else events_of(game, found.rows, counted)
        histograms.add(MOVED, found.rows, counted, events)


def _roll(world: _Predictor, starts: _Starts, some: Array, samples: int, seed: int) -> _Rollout:
    who = np.repeat(some, samples)
    numbers = starts.episodes[some] * 1_000_003 + starts.frames[some]
    return world.roll(
        starts.past(who),
        starts.controls(world.game.schema.control_keys, who),
        match_seeds(seed, "future", numbers, samples),
    )


def _count(
    game: Game,
    rows: Columns,
    counted: Array,
    contradictions: dict[str, int],
    violations: dict[str, int],
) -> int:
    """Add the contradictions and violations of rows [N, R, slots]; returns the counted steps."""
    for name, number in forbidden_values(game, rows, counted).items():
        violations[name] = violations.get(name, 0) + number
    steps = int(counted[:, 1:].sum())
    for derive, sums in ((game.couplings, contradictions), (game.impossible, violations)):
        if derive is not None:
            for name, each in masks_of(derive, rows, counted)[0].items():
                sums[name] = sums.get(name, 0) + int(each.sum())
    return steps


def forbidden_values(game: Game, rows: Columns, counted: Array) -> dict[str, int]:
    """Values of rows [N, R, slots] that the schema does not allow, by column."""
    found = {}
    for key, values in rows.items():
        column = game.schema.columns[key]
        low, high = column.field.limits
        if isinstance(column.field, Real) or column.dtype != bool:
            bad = ~((values >= low) & (values <= high))  # so written, a NaN is forbidden
            mask = column.group.mask
            if mask and column.field.name != mask:
                bad |= (values != 0) & ~rows[f"{column.group.name}/{mask}"]
            number = int((bad & counted[..., None]).sum())
            if number:
                found[key] = number
    return found


class _OneStep(NamedTuple):
    """Events of the frames 1 to SHORT of some starts, each predicted from the true row before."""

    chosen: Array  # [n] of the starts
    events: Array  # `match` is the place in `chosen`


def predict_next(
    game: Game, world: _Predictor, starts: _Starts, seed: int, report: Report
) -> _OneStep:
    """Predict single frames after each of SHORT true rows of some starts."""
    chosen = np.unique(
        np.linspace(0, starts.number - 1, min(ONE_STEP_STARTS, starts.number)).astype(int)
    )
    who, later = (
        each.ravel()
        for each in np.meshgrid(np.arange(len(chosen)), np.arange(SHORT), indexing="ij")
    )
    found, size = [np.zeros(0, EVENT)], world.world.matches
    for first in range(0, len(who), size):
        some = slice(first, first + size)
        start, step = chosen[who[some]], later[some]
        pressed = starts.controls(game.schema.control_keys, start, step)
        numbers = (starts.episodes[start] * 1_000_003 + starts.frames[start]) * 64 + step
        rollout = world.roll(
            starts.past(start, step),
            {key: values[:1] for key, values in pressed.items()},
            match_seeds(seed, "next", numbers, 1),
        )
        events = events_of(game, rollout.rows)
        place = events["match"].copy()
        events["match"], events["frame"] = who[some][place], later[some][place] + 1
        found.append(events)
        report(len(start), len(who))
    return _OneStep(chosen, np.concatenate(found))


def changes(
    truth: tuple[Array, Array], said: tuple[Array, Array], valid: Array
) -> tuple[float, float, float, float]:
    """Precision, recall and F1 of changes, and the true rate of change.

    `truth`: values [S, slots] one frame before and at a horizon; `said` [S, M, slots] likewise. A
    predicted change is right if its new value is the true one; a true change is found likewise.
    """
    was, now = (values[valid] for values in truth)
    before, after = (values[valid] for values in said)
    right = after == now[:, None]
    changed, proposed = (now != was)[:, None] & np.ones_like(right), after != before
    recall = right[changed].mean() if changed.any() else np.nan
    precision = right[proposed].mean() if proposed.any() else np.nan
    both = precision + recall
    f1 = 2 * precision * recall / both if both > 0 else (np.nan if np.isnan(both) else 0.0)
    if changed.any() and not proposed.any():
        f1 = 0.0
    return float(precision), float(recall), float(f1), float(changed.mean())
