"""Brawl whose matches last eight seconds, for servers that tests start: `--game quick_brawl:GAME`.

Some agents misbehave.
"""

from __future__ import annotations

import dataclasses
import time
from functools import partial

import numpy as np

from shadowbox.core.tracks import Track
from shadowbox.games import load

LENGTH = 240  # frames
BRAWL = load("brawl")


class Misbehaving:
    """Presses nothing for 20 frames, and then does what its name says."""

    def __init__(self, how, argument=""):
        self.how, self.calls = how, 0

    def start(self, seeds, players, state=None, where=None):
        """Without memory."""
        return

    def act(self, view, state):
        """One decision."""
        answer = {key: np.zeros((1, 1), bool) for key in BRAWL.schema.control_keys}
        self.calls += 1
        if self.calls > 20:
            answer = self.how(answer)
        return answer, state


class Shows:
    """Taps `j` every third frame and shows tracks: the frame, its parts, and a list that counts."""

    track_types = (Track("value"), Track("parts", "f2", (2, 2)), Track("count", "u2"))

    def __init__(self, argument=""):
        self.pressure = 1.0

    def start(self, seeds, players, state=None, where=None):
        """The frame."""
        return np.zeros(len(seeds), np.int64)

    def act(self, view, state):
        """One decision."""
        keys = {key: np.zeros((len(state), 1), bool) for key in BRAWL.schema.control_keys}
        keys["keys/j"] = (state % 3 == 0)[:, None]
        return keys, state + 1

    def tracks(self, state):
        """Of the last decision."""
        row = state - 1
        parts = np.stack([row, -row, row / 2, row * 0 + self.pressure], 1).reshape(-1, 2, 2)
        return {"value": row / 4, "parts": parts, "count": row.astype(np.uint16)}

    @property
    def settings(self):
        """One number that can be set."""
        return {"pressure": (self.pressure, 0.0, 5.0)}

    def set(self, name, value):
        """Set it."""
        self.pressure = value


def _raises(answer):
    raise RuntimeError("/home/somebody/secret")


def _sleeps(answer):
    time.sleep(20)
    return answer


def _dawdles(answer):
    time.sleep(0.3)
    return answer


def _forgets(answer):
    return {key: values for key, values in answer.items() if key != "keys/w"}


def _dreams(answer):
    return {key: values.astype(np.float32) * np.nan for key, values in answer.items()}


HOW = {
    "raises": _raises,
    "sleeps": _sleeps,
    "dawdles": _dawdles,
    "forgets": _forgets,
    "dreams": _dreams,
}
GAME = dataclasses.replace(
    BRAWL,
    world=partial(BRAWL.world, time_limit=LENGTH),
    bots={
        **BRAWL.bots,
        "shows": Shows,
        **{name: partial(Misbehaving, how) for name, how in HOW.items()},
    },
)
