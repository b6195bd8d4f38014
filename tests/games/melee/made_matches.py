"""Made-up matches as episodes and replays: plausible enough to be accepted, drawn from a seed."""

from __future__ import annotations

import numpy as np

from shadowbox.core.episode import Episode, check
from shadowbox.games.melee import GAME, slp
from shadowbox.games.melee.events import events
from shadowbox.games.melee.export import LEAD, replay_of
from shadowbox.games.melee.names import BATTLEFIELD
from shadowbox.games.melee.replay import read
from shadowbox.games.melee.schema import SCHEMA

WAIT = 14


def match(frames=120, *, stage=BATTLEFIELD, seed=0, items=(), **meta):
    """Episode of `frames` decisions; `items` are (slot, first row, rows, type, owner)."""
    draws = np.random.default_rng(seed)
    rows = frames + 1
    columns = SCHEMA.neutral(rows)
    columns["stage/id"][:] = stage
    columns["stage/clock"][:, 0] = np.arange(rows) / 60
    walk = np.cumsum(draws.normal(0, 1, (rows, 2)), axis=0)
    columns["player/x"][:] = walk + np.array([-30, 30])
    columns["player/percent"][:] = np.cumsum(draws.random((rows, 2)) < 0.05, axis=0) * 7.25
    columns["player/shield"][:] = 60
    columns["player/hitstun"][:] = draws.integers(0, 2, (rows, 2)) * 12
    columns["player/in_hitstun"][:] = columns["player/hitstun"] > 0
    columns["player/age"][:] = draws.integers(0, 60, (rows, 2))
    columns["player/action"][:] = np.repeat(
        draws.integers(WAIT, 300, (rows // 8 + 1, 2)), 8, axis=0
    )[:rows]
    columns["player/character"][:] = 1, 18  # fox, marth
    columns["player/stocks"][:] = 4
    columns["player/jumps"][:] = 2
    columns["player/last_hit_by"][:] = 1, 0
    columns["player/last_attack"][:] = 14
    columns["player/on_ground"][:] = draws.random((rows, 2)) < 0.7
    columns["player/facing_right"][:] = draws.random((rows, 2)) < 0.5
    columns["player/instance"][:] = np.arange(rows)[:, None] // 8
    for axis in ("main_x", "main_y", "c_x", "c_y"):
        columns[f"pad/{axis}"][:-1] = (np.rint(draws.uniform(-80, 80, (frames, 2))) / 80).astype(
            np.float16
        )
    columns["pad/l_push"][:-1] = (np.rint(draws.uniform(0, 140, (frames, 2))) / 140).astype(
        np.float16
    )
    for button in ("a", "b", "x", "y", "z", "l", "r", "start", "d_up"):
        columns[f"pad/{button}"][:-1] = draws.random((frames, 2)) < 0.1
    for slot, first, length, kind, owner in items:
        alive = slice(first, first + length)
        columns["item/alive"][alive, slot] = True
        columns["item/type"][alive, slot] = kind
        columns["item/owner"][alive, slot] = owner
        columns["item/x"][alive, slot] = np.arange(length)
    players = {
        "players": ["player-0123456789ab", "player-ba9876543210"],
        "ports": [0, 1],
        "kinds": ["human", "human"],
    }
    result = {"winner": 0, "reason": "game", "stocks": [4, 4], "damage": [0.0, 0.0]}
    return Episode(columns, {**players, "seed": seed, "result": result, **meta}, events(columns))


def replay(*arguments, **options):
    """The match as a `slp.SlpReplay`."""
    return replay_of(match(*arguments, **options))


def content(*arguments, bad_stick=0, **options):
    """The match as the bytes of a `.slp`; the stick in decision `bad_stick` is not a number."""
    made = replay(*arguments, **options)
    if bad_stick:
        made.pre[made.slots[0]]["main_x"][LEAD + bad_stick + 1] = np.nan
    return slp.write(made)


def episode(data, **options):
    """The one episode of a replay's bytes, checked against the schema."""
    (only,) = read(data, "made.slp", **options)
    check(only, SCHEMA, "made", GAME.event_kinds)
    return only
