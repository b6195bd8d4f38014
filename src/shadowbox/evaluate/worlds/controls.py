"""Whether a world obeys its controls: pressed keys against none, and shuffled controls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Columns, Flag, Real
from shadowbox.core.stats import Interval, bootstrap_ratio
from shadowbox.evaluate.worlds.rollouts import _Predictor, match_seeds
from shadowbox.evaluate.worlds.skill import distance
from shadowbox.evaluate.worlds.starts import _Starts

FRAMES = 10  # for which a control is held
SAMPLES = 4
MOST_STARTS = 100
SEEN = 0.02  # effect on a real, times its scale, that counts


class _Effects(NamedTuple):
    """Effects of held controls in a world and in the true simulator.

    `agreement`: share of the true effects whose sign the world has. `size`: the world's effect in
    the true direction, over the true effect. `by_control`: agreement of each control.
    """

    agreement: Interval
    size: Interval
    by_control: dict[str, float]
    effects: int


def control_effects(
    game: Game, world: _Predictor, simulator: _Predictor, starts: _Starts, seed: int
) -> _Effects | None:
    """Compare the effect of holding one control with that of none, from the same starts.

    The effect is on the player's reals, after FRAMES frames. None without flags among the controls.
    """
    schema = game.schema
    keys = [key for key in schema.control_keys if isinstance(schema.columns[key].field, Flag)]
    fields = [
        key
        for key in game.world_fields or schema.state_keys
        if schema.columns[key].group.per and isinstance(schema.columns[key].field, Real)
    ]
    if not keys or not fields:
        return None
    chosen = np.unique(
        np.linspace(0, starts.number - 1, min(MOST_STARTS, starts.number)).astype(int)
    )
    players = chosen % schema.players
    true = _changes(game, simulator, starts, chosen, players, keys, fields, 1, seed)
    said = _changes(game, world, starts, chosen, players, keys, fields, SAMPLES, seed)
    counts = np.abs(true) > SEEN  # [S, keys, fields]
    agree = counts & (np.sign(true) == np.sign(np.where(np.abs(said) > SEEN / 4, said, 0)))
    episodes, group = np.unique(starts.episodes[chosen], return_inverse=True)

    def summed(values: Array) -> Array:
        return np.bincount(group, values.reshape(len(chosen), -1).sum(1), len(episodes))

    capped = np.clip(said / np.where(counts, true, 1.0), -3, 3)  # no single effect decides
    weight = np.where(counts, np.minimum(np.abs(true), 1.0), 0.0)
    per_key = agree.sum((0, 2)) / np.maximum(counts.sum((0, 2)), 1)
    return _Effects(
        bootstrap_ratio(summed(agree), summed(counts)),
        bootstrap_ratio(summed(capped * weight), summed(weight)),
        {key: float(s) for key, s, n in zip(keys, per_key, counts.sum((0, 2)), strict=True) if n},
        int(counts.sum()),
    )


def _changes(
    game: Game,
    world: _Predictor,
    starts: _Starts,
    chosen: Array,
    players: Array,
    keys: list[str],
    fields: list[str],
    samples: int,
    seed: int,
) -> Array:
    """Mean change of the fields by each held control [S, keys, fields], times their scales."""
    schema, scripts = game.schema, len(keys) + 1
    each = scripts * samples
    found = np.zeros((len(chosen), scripts, len(fields)))
    per_block = max(world.world.matches // each, 1)
    for first in range(0, len(chosen), per_block):
        some = slice(first, first + per_block)
        at, player = np.repeat(chosen[some], each), np.repeat(players[some], each)
        script = np.tile(np.repeat(np.arange(scripts), samples), len(chosen[some]))
        controls = {
            key: np.zeros((FRAMES, len(at), schema.columns[key].slots), schema.columns[key].dtype)
            for key in schema.control_keys
        }
        for number, key in enumerate(keys):
            share = schema.columns[key].slots // schema.players
            held = np.flatnonzero(script == number + 1)
            controls[key][:, held, player[held] * share] = True
        seeds = np.repeat(match_seeds(seed, "controls", chosen[some], 1), each)
        seeds = seeds + np.tile(np.tile(np.arange(samples), scripts), len(chosen[some]))
        rows = _in_blocks(world, starts.past(at), controls, seeds)
        for number, key in enumerate(fields):
            share = schema.columns[key].slots // schema.players
            last = rows[key][np.arange(len(at)), FRAMES, player * share].astype(np.float64)
            scale = getattr(schema.columns[key].field, "scale", 1.0)
            mean = last.reshape(-1, scripts, samples).mean(-1)
            found[some, :, number] = mean * scale
    return found[:, 1:] - found[:, :1]


def _in_blocks(world: _Predictor, past: Columns, controls: Columns, seeds: Array) -> Columns:
    """Rows of more matches than the world has, block by block."""
    size, parts = world.world.matches, []
    for first in range(0, len(seeds), size):
        some = slice(first, first + size)
        part = world.roll(
            {key: values[:, some] for key, values in past.items()},
            {key: values[:, some] for key, values in controls.items()},
            seeds[some],
        )
        parts.append(part.rows)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def shuffled_loss(
    game: Game, world: _Predictor, starts: _Starts, frames: int, seed: int
) -> Interval | None:
    """(a - b) / (a + b) of the errors with the controls of another start, a, and the true ones, b.

    A world that ignores its controls has 0, the true one 1. Errors are those of the game's judged
    fields at the last frame, all of which weigh the same.
    """
    schema = game.schema
    keys = game.world_fields or tuple(k for k in schema.state_keys if schema.columns[k].group.per)
    chosen = np.flatnonzero(starts.valid[:, frames])[: 4 * MOST_STARTS]
    if len(chosen) < 2:
        return None
    other = np.roll(chosen, max(len(chosen) // 2, 1))
    errors = []
    for controlled in (chosen, other):
        pressed = starts.controls(schema.control_keys, controlled)
        controls = {key: values[:frames] for key, values in pressed.items()}
        seeds = match_seeds(seed, "shuffled", chosen, 1)
        rows = _in_blocks(world, starts.past(chosen), controls, seeds)
        future = starts.future
        errors.append(
            [
                distance(
                    schema.columns[key], rows[key][:, frames], future[key][chosen, frames]
                ).mean(-1)
                for key in keys
            ]
        )
    right, wrong = np.array(errors)  # [fields, S]
    size = (right + wrong).mean(1, keepdims=True)
    moved = size[:, 0] > 0
    if not moved.any():
        return None
    episodes, group = np.unique(starts.episodes[chosen], return_inverse=True)
    sums = [
        np.bincount(group, (each[moved] / size[moved]).mean(0), len(episodes))
        for each in (wrong - right, wrong + right)
    ]
    return bootstrap_ratio(*sums)
