"""Small learned worlds of Melee for tests: made-up matches, and runs of a few steps."""

from __future__ import annotations

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.games import load
from shadowbox.games.melee.names import FINAL_DESTINATION
from shadowbox.games.melee.names import action as action_of
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model.world.older import SETTINGS
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train

MELEE = load("melee")
SPEC = learner_spec("dynamics")
OLDER = "mamba2-v3"
WAIT, JAB = action_of("wait"), action_of("jab_1")
STARTS = {"contexts": 3, "past_contexts": 3, "past_rows": 5}
LEARNER = {
    "tiny": {"length": 16, **STARTS},
    OLDER: {name.partition(".")[2]: v for name, v in SETTINGS[OLDER].items()} | STARTS,
}
MODEL = {"tiny": {"width": 24, "head_width": 24}, OLDER: {"width": 16, "depth": 1, "ssm_state": 4}}
STEPS = {"tiny": {}, OLDER: {"steps": 40, "lr": 0.03}}  # until its stocks are not 0
FLUNG, AWAY = 14.0, 250.0  # units a frame of one who is knocked out, and where it ends


def fight(seed, frames=240):
    """A fight on Final Destination that follows the rules of hits and stocks.

    Two fighters walk back and forth and jab now and then; a jab within reach does 18 percent, freezes
    both for four frames, and stuns for ten; beyond 50 percent the victim flies off, loses a stock and
    comes back.
    """
    draws = np.random.default_rng(seed)
    columns = MELEE.schema.neutral(frames + 1)
    own = {key.partition("/")[2]: columns[key] for key in columns if key.startswith("player/")}
    columns["stage/id"][:], own["character"][:] = FINAL_DESTINATION, (1, 18)
    columns["stage/clock"][:, 0] = np.arange(frames + 1) / 60
    for key, value in (("alive", True), ("x", 240.0), ("type", 54)):
        columns[f"item/{key}"][:, 0] = value
    x, percent, stocks = np.array([-8.0, 8.0]), np.zeros(2), np.full(2, 4)
    action, age, freeze, stun = np.full(2, WAIT), np.zeros(2), np.zeros(2), np.zeros(2)
    flung, away, last = np.zeros(2), np.zeros(2, int), np.full(2, 2)
    for row in range(frames + 1):
        frozen = freeze > 0
        freeze, stun = np.maximum(freeze - 1, 0), np.maximum(stun - ~frozen, 0)
        age = np.where(frozen, age, age + 1)
        walk = np.where((action == WAIT) & ~frozen, np.sin(row / 9 + np.array([0.0, 2.0])), 0.0)
        x = x + np.where(frozen, 0.0, walk + flung)
        for seat in range(2):
            foe = 1 - seat
            if away[seat]:  # knocked out, and on its way back
                away[seat] -= 1
                if not away[seat]:
                    x[seat], percent[seat], flung[seat] = 10.0 * (seat - 0.5), 0.0, 0.0
                    action[seat], age[seat] = action_of("rebirth"), 0
            elif abs(x[seat]) > AWAY:
                stocks[seat] -= 1
                away[seat], flung[seat], stun[seat] = 6, 0.0, 0
                action[seat], age[seat] = action_of("dead_right" if x[seat] > 0 else "dead_left"), 0
            elif action[seat] != WAIT and age[seat] > 12 and not stun[seat]:
                action[seat], age[seat] = WAIT, 0
            elif action[seat] == WAIT and draws.random() < 0.05:
                action[seat], age[seat] = JAB, 0
            jabs = action[seat] == JAB and age[seat] == 3 and not frozen[seat]
            if jabs and abs(x[0] - x[1]) < 30 and action[foe] in (WAIT, JAB) and not flung[foe]:
                percent[foe] += 18.0
                freeze[:], stun[foe], age[foe] = 4, 10, 0
                action[foe], last[foe] = action_of("damage_high_1"), seat
                flung[foe] = np.sign(x[foe] - x[seat]) * FLUNG if percent[foe] > 50 else 0.0
        values = {
            "x": x, "percent": percent, "stocks": stocks, "action": action, "age": age,
            "hitlag": freeze, "hitstun": stun, "air_vx": walk, "knock_vx": flung,
            "in_hitstun": stun > 0, "in_hitlag": freeze > 0, "last_hit_by": last,
            "on_ground": np.abs(x) < 80, "jumps": 2, "shield": 60.0,
        }  # fmt: skip
        for name, value in values.items():
            own[name][row] = value
        if row < frames:
            for name in ("a", "b", "x", "l"):
                columns[f"pad/{name}"][row] = draws.random(2) < 0.1
            columns["pad/main_x"][row] = np.round(np.sin(row / 9 + np.arange(2)) * 80) / 80
    return Episode(columns, {"seed": seed}, MELEE.events(columns))


def recorded(folder, episodes=6):
    """A store of made-up fights."""
    with Writer(folder, MELEE.schema, event_kinds=MELEE.event_kinds) as writer:
        for seed in range(episodes):
            writer.add(fight(seed))
    return Store(folder)


def inputs(store, preset, game=MELEE, **changes):
    """Inputs of a short run."""
    learner = {**SPEC.defaults, **LEARNER[preset]}
    settings = {"steps": 4, "batch": 4, "lr": 2e-3, "threads": 1, "device": "cpu", **changes}
    spec = RunSpec(game, preset, MODEL[preset], learner)
    config = TrainConfig(**settings)
    return Inputs(spec=spec, config=config, store=store, split=Split(0.5, 0.5, 0.0))


def trained(store, folder, preset, **changes):
    """The folder of a finished short run."""
    given = inputs(store, preset, **{**STEPS[preset], **changes})
    train(SPEC.prepare(given), folder, given.config)
    return folder


def pressed(matches, seed):
    """Random controls of one frame."""
    draws, found = np.random.default_rng(seed), {}
    for key in MELEE.schema.control_keys:
        column = MELEE.schema.columns[key]
        values = draws.random((matches, column.slots))
        flag = column.dtype == bool
        found[key] = values < 0.2 if flag else (values * column.field.limits[1]).astype(np.float32)
    return found
