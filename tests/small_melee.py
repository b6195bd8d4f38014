"""Small learned worlds of Melee for tests: made-up matches, and runs of a few steps."""

from __future__ import annotations

import made_matches
import numpy as np

from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model.world.older import SETTINGS
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train

MELEE = load("melee")
SPEC = learner_spec("dynamics")
OLDER = "mamba2-v3"
STARTS = {"contexts": 3, "past_contexts": 3, "past_rows": 5}
LEARNER = {
    "tiny": {"length": 16, **STARTS},
    OLDER: {name.partition(".")[2]: v for name, v in SETTINGS[OLDER].items()} | STARTS,
}
MODEL = {"tiny": {"width": 24, "head_width": 24}, OLDER: {"width": 16, "depth": 1, "ssm_state": 4}}
STEPS = {"tiny": {}, OLDER: {"steps": 40, "lr": 0.03}}  # until its stocks are not 0
LIVES = 40  # row of a made-up match at which the first player has lost a stock


def match(seed, frames=90):
    """A made-up match in which the first player loses a stock and comes back."""
    made = made_matches.match(frames, seed=seed, items=((0, 10, 30, 54, 0),))
    columns, rebirth = made.columns, made_matches.SCHEMA.columns["player/action"].field.names
    columns["player/action"][LIVES : LIVES + 8, 0] = rebirth.index("rebirth")
    columns["player/stocks"][LIVES:, 0] = 3
    percent = columns["player/percent"][:, 0]
    percent[LIVES:] -= percent[LIVES]
    return made


def recorded(folder, episodes=6):
    """A store of made-up matches."""
    with Writer(folder, MELEE.schema) as writer:
        for seed in range(episodes):
            writer.add(match(seed))
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
