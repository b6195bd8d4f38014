"""A small learned world of brawl for tests: short recorded matches, and a run of a few steps."""

from __future__ import annotations

import numpy as np
import torch

from shadowbox.collect.matches import Pairing, record
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.games import load
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model.world.derived import real_base
from shadowbox.model.world.reach import FAR
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train

BRAWL = load("brawl")
SPEC = learner_spec("dynamics")
HALF = Split(0.5, 0.5, 0.0)
LEARNER = {"length": 16, "contexts": 4, "past_contexts": 3, "past_rows": 5}
LENGTH = 400  # frames of a recorded match


def recorded(folder, seed=1):
    """A store of eight short matches with knock-outs, in some of which keys are pressed at random."""
    pairings = [Pairing("based", "aggressive", 2), Pairing("random", "aggressive", 6)]
    record(BRAWL, pairings, folder, seed=seed, options={"time_limit": LENGTH})
    return Store(folder)


def config(**changes):
    """Settings of a short run."""
    return TrainConfig(
        **{"steps": 4, "batch": 4, "lr": 2e-3, "threads": 1, "device": "cpu", **changes}
    )


def inputs(store, model=None, learner=None, game=BRAWL, **changes):
    """Inputs of a short run."""
    spec = RunSpec(game, "tiny", model or {}, {**LEARNER, **(learner or {})})
    return Inputs(spec=spec, config=config(**changes), store=store, split=HALF if store else None)


def trained(store, folder, model=None, game=BRAWL, **changes):
    """The folder of a finished short run."""
    given = inputs(store, model, game=game, **changes)
    train(SPEC.prepare(given), folder, given.config)
    return folder


def from_anywhere(model):
    """Let events between players happen at any distance, which few recordings would show."""
    for reach in model.heads.reach.values():
        reach.box[:] = torch.tensor([-FAR, FAR])
    return model


def bases(schema, rules, keys, step):
    """Values without a surprise of positions, [T, keys * slots]."""
    found = [real_base(schema, rules, key, step.before, step.after) for key in keys]
    return torch.cat(found, -1)


def copied(columns):
    """Columns that the next step does not overwrite."""
    return {key: np.array(values) for key, values in columns.items()}
