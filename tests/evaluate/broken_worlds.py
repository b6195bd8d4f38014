"""Worlds of brawl that are broken on purpose: each contradicts the true simulator in one way."""

from __future__ import annotations

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.games import load
from shadowbox.games.brawl.schema import STATES

GAME = load("brawl")
STUN, ATTACK = STATES.index("stun"), STATES.index("attack")


class Changed:
    """The true simulator, whose rows are changed by `change(columns, start, frame)`."""

    def __init__(self, matches, change=None, *, controls=None, events=True):
        self.inner = GAME.world(matches)
        self.matches, self.schema, self.name = matches, self.inner.schema, "broken"
        self.change, self.controls, self.announces = change, controls, events

    def reset(self, seeds, where=None):
        """Begin anew."""
        return self._copy(self.inner.reset(seeds, where))

    def load(self, columns, where=None):
        """Go on from rows."""
        found = self._copy(self.inner.load(columns, where))
        self.start, self.frame, self.last = found, 0, found
        return found

    def step(self, controls):
        """A true step, changed."""
        if self.controls is not None:
            controls = {key: self.controls(values) for key, values in controls.items()}
        columns, events, done = self.inner.step(controls)
        changed = self._copy(columns)
        self.frame += 1
        if self.change is not None:
            self.change(changed, self, self.frame)
        self.last = changed
        return changed, events if self.announces else np.zeros(0, EVENT), done

    def snapshot(self, where=None):
        """Not needed here."""
        return self.inner.snapshot(where)

    def restore(self, snapshot, where=None):
        """Not needed here."""
        return self._copy(self.inner.restore(snapshot, where))

    @staticmethod
    def _copy(columns):
        return {key: np.array(values) for key, values in columns.items()}


def creep(columns, world, frame):
    """Damage rises without a hit."""
    columns["player/damage"] += np.float32(0.5 * frame)


def harmless(columns, world, frame):
    """Hits do no damage."""
    columns["player/damage"] = world.start["player/damage"].copy()


def teleport(columns, world, frame):
    """Every fifth frame a fighter is elsewhere."""
    if frame % 5 == 0:
        columns["player/x"][:] = np.clip(columns["player/x"] + 4, -13, 13)


def keeps_stocks(columns, world, frame):
    """A knock-out costs nothing."""
    columns["player/stocks"] = world.start["player/stocks"].copy()


def noisy(columns, world, frame):
    """Positions are noisy."""
    draws = np.random.default_rng(frame)
    for key in ("player/x", "player/y"):
        noise = draws.normal(0, 1.0, columns[key].shape)
        columns[key] += noise.astype(np.float32)


def frozen(columns, world, frame):
    """The velocity never changes."""
    columns["player/vx"] = world.start["player/vx"].copy()


def far_hits(columns, world, frame):
    """Every attack hurts and stuns the opponent, however far away."""
    begins = (columns["player/state"] == ATTACK) & (columns["player/move_frame"] == 5)
    hurt = begins[:, ::-1]
    columns["player/damage"] += np.where(hurt, np.float32(7), np.float32(0))
    for key, value in (("state", STUN), ("age", 0), ("stun", 9)):
        columns[f"player/{key}"][hurt] = value


def outside(columns, world, frame):
    """A fighter is beyond the blast zones and lives, and a value is beyond its range."""
    columns["player/y"][:, 0] = 9
    columns["player/vx"][:, 1] = np.nan


def held(columns, world, frame):
    """Nothing ever changes."""
    for key, values in world.start.items():
        columns[key] = values.copy()


def neutral(values):
    """No key is pressed."""
    return np.zeros_like(values)


class Elsewhere(Changed):
    """The true simulator, which begins from the starts of other seeds."""

    def reset(self, seeds, where=None):
        """Begin anew."""
        self.frame = 0
        return super().reset(np.asarray(seeds) + 1000, where)


class Deaf(Elsewhere):
    """The true simulator, in which no key does anything."""

    def __init__(self, matches):
        super().__init__(matches, controls=neutral)
