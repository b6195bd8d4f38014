"""Scores of baselines that need no training, one frame ahead, on the episodes of a store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from shadowbox.core import baselines
from shadowbox.core.schema import Array, Choice, Flag, Real, Schema
from shadowbox.core.stats import bootstrap_ratio
from shadowbox.data.audit_rows import AuditRows, blocks
from shadowbox.data.store import Store

# rows on which the baselines are scored; the look-up table is fitted on as many others
BASELINE_ROWS = 1 << 20
MOST_SITUATIONS = 1 << 16


def baseline_scores(store: Store) -> dict[str, Any]:
    """Scores of the baselines one frame ahead, for every predicted column.

    The score of a real is its mean absolute error (in the field's unit), of a flag or choice its
    accuracy. The look-up table is fitted on even episodes and all baselines are scored on odd ones.
    A single episode is scored without a table.
    """
    fit = _some(store, range(0, len(store), 2))
    scored = _some(store, range(1, len(store), 2))
    if not scored:
        fit, scored = [], fit
    fits = list(_first_rows(store, fit))
    tables = _tables(store.schema, fits) if fits else {}
    del fits
    scores: dict[str, dict[str, list[Array]]] = {}
    counts: dict[str, list[Array]] = {}
    episodes: list[Array] = []
    for block in _first_rows(store, scored):
        episodes.append(block.episodes)
        for key in _predicted(store.schema):
            counted = block.followed(key)
            counts.setdefault(key, []).append(np.add.reduceat(counted.sum(1), block.starts))
            for name, right in _one_ahead(block, key, tables.get(key)).items():
                per_episode = np.add.reduceat((right * counted).sum(1), block.starts)
                scores.setdefault(key, {}).setdefault(name, []).append(per_episode)
    each, at = np.unique(
        np.concatenate([*episodes, []]), return_inverse=True
    )  # parts of one joined

    def whole(parts: list[Array]) -> Array:
        return np.bincount(at, weights=np.concatenate(parts), minlength=len(each))

    return {
        "episodes": len(scored),
        "fitted_on": len(fit),
        "metric": {"real": "mean absolute error", "flag": "share right", "choice": "share right"},
        "columns": {
            key: {
                name: _interval(whole(parts), whole(counts[key])) for name, parts in named.items()
            }
            for key, named in scores.items()
        },
    }


def _one_ahead(block: AuditRows, key: str, table: baselines.LookupTable | None) -> dict[str, Array]:
    """Error (reals) or correctness (others) of each baseline at t for row t + 1, [R, slots]."""
    values, field = block.columns[key], block.schema.columns[key].field
    following = np.roll(values, -1, axis=0)
    guesses = {"copy_last": baselines.copy_last(values)}
    if isinstance(field, Real):
        velocity = baselines.constant_velocity(values, *field.limits)
        fresh = block.began(key)  # velocity is unknown without a previous value
        velocity[fresh] = values[fresh]
        guesses["constant_velocity"] = velocity
    elif key in block.schema.control_keys:
        guesses["never_press"] = baselines.never_press(values)
    if table is not None:
        usual = table.predict(block.columns, key)
        guesses["look_up"] = values + usual if isinstance(field, Real) else usual
    if isinstance(field, Real):
        return {name: np.abs(guess - following) for name, guess in guesses.items()}
    return {name: guess == following for name, guess in guesses.items()}


def _tables(schema: Schema, parts: list[AuditRows]) -> dict[str, baselines.LookupTable]:
    """Look-up table of each predicted column, keyed by the choices and flags of its own group.

    The table of a real predicts its change.
    """
    tables = {}
    for key in _predicted(schema):
        by = _situation_keys(schema, key)
        if not by:
            continue
        used = [rows.followed(key) for rows in parts]
        given = {
            name: np.concatenate(
                [rows.columns[name][mask] for rows, mask in zip(parts, used, strict=True)]
            )
            for name in by
        }
        target = np.concatenate(
            [_target(rows, key)[mask] for rows, mask in zip(parts, used, strict=True)]
        )
        tables[key] = baselines.LookupTable.fit(schema, given, {key: target}, by)
    return tables


def _target(rows: AuditRows, key: str) -> Array:
    """Next value of a column in each row, or the change of a real, [R, slots]."""
    values = rows.columns[key]
    following = np.roll(values, -1, axis=0)
    return following - values if isinstance(rows.schema.columns[key].field, Real) else following


def _situation_keys(schema: Schema, key: str) -> tuple[str, ...]:
    """Choices and flags of the same group, in order, as many as keep the table small."""
    column = schema.columns[key]
    keys, size = [], 1
    for field in column.group.fields:
        n = (
            field.n
            if isinstance(field, Choice)
            else 2
            if isinstance(field, Flag)
            else MOST_SITUATIONS + 1
        )
        if size * n <= MOST_SITUATIONS:
            keys.append(f"{column.group.name}/{field.name}")
            size *= n
    return tuple(keys)


def _predicted(schema: Schema) -> list[str]:
    return [key for key, column in schema.columns.items() if column.field.predict != "no"]


def _some(store: Store, episodes: range) -> list[int]:
    """The first of these episodes, up to BASELINE_ROWS rows."""
    chosen, rows = [], 0
    for number in episodes:
        if rows >= BASELINE_ROWS:
            break
        chosen.append(number)
        rows += int(store.lengths[number])
    return chosen


def _first_rows(store: Store, episodes: list[int]) -> Iterator[AuditRows]:
    """Blocks of these episodes, up to BASELINE_ROWS rows: the last may end within an episode."""
    rows = 0
    for block in blocks(store, episodes):
        yield block
        rows += block.own_rows
        if rows >= BASELINE_ROWS:
            break


def _interval(total: Array, count: Array) -> dict[str, float | None]:
    interval = bootstrap_ratio(total, count, tries=400)
    return {
        name: value if np.isfinite(value) else None for name, value in interval._asdict().items()
    }


def value_range(score: dict[str, float | None]) -> str:
    """Interval as text; empty where a single episode allows none."""
    return "" if score["low"] is None else f"{score['low']:.4g} .. {score['high']:.4g}"
