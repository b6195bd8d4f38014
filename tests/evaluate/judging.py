"""What the tests of judging share: a store of short matches, and policies that were never trained."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np

from shadowbox.collect.matches import Pairing, record
from shadowbox.evaluate.recorded import SeatData
from shadowbox.games import load
from shadowbox.model import policy
from shadowbox.model.checkpoint import CheckpointConfig, save

BRAWL = load("brawl")
SHORT = dataclasses.replace(BRAWL, world=partial(BRAWL.world, time_limit=300))
SEES = ("player/x", "player/y", "player/state", "player/grounded")


def store(path, matches=12, p0="based", p1="aggressive"):
    """Matches of ten seconds."""
    record(SHORT, [Pairing(p0, p1, matches)], path, seed=1)
    return path


def run(path, preset="tiny", *, still=False, **changes):
    """A run of one checkpoint. `still`: its weights make it press nothing."""
    arguments = policy.preset_arguments(preset, SEES, **changes)
    model = policy.build_policy(BRAWL.schema, arguments)
    if still:
        weights = model.state_dict()
        for name in ("head.out.0.bias", "head.linear.bias"):
            if name in weights:
                weights[name][:] = -30.0
        for name in ("head.out.0.weight", "head.linear.weight"):
            if name in weights:
                weights[name][:] = 0
    save(
        path, 1, CheckpointConfig("policy", BRAWL.schema, preset, arguments), model.state_dict(), {}
    )
    return path


def seat(held, episode=0, stick=None, state=None):
    """A recorded seat of which a text such as `..##.` says when button `a` is down.

    `state` which state the player is in.
    """
    down = np.array([letter == "#" for letter in held])
    before = np.append(False, down[:-1])
    moved = {} if stick is None else {"x": np.asarray(stick, np.float32)}
    earlier = {name: np.append(np.float32(0), values[:-1]) for name, values in moved.items()}
    view = {
        "player/state": np.zeros((len(down), 2), np.int64)
        if state is None
        else np.stack([state, state], 1)
    }
    return SeatData(episode, 0, view, {}, {"a": down}, {"a": before}, moved, earlier)
