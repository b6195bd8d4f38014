"""A game of your own in one file: declare its fields, write its rules, watch two bots play it.

python examples/own_game.py                                     writes tag.html
cd examples && shadowbox match own_game:GAME --p0 chaser --p1 runner --out tag.html
cd examples && shadowbox serve --game own_game:GAME             play it in a browser: w a s d

Tag: player 0 has to touch player 1 within ten seconds. The game declares no scene: the viewer draws
positions, flags and numbers by themselves.
"""

import numpy as np

import shadowbox as sb
from shadowbox.core.game import Game, Outcome, no_events, noise
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema

SIZE, SPEED, REACH, LIMIT = 10.0, (0.2, 0.26), 0.8, 600
KEYS = ("w", "a", "s", "d")

SCHEMA = Schema(
    "tag",
    fps=60,
    state=(
        Group("match", (Choice("clock", LIMIT + 1, predict="no", unit="frames"), Flag("tagged"))),
        Group(
            "player",
            (
                Real("x", scale=0.1, low=-SIZE, high=SIZE, mirror="negate"),
                Real("y", scale=0.1, low=-SIZE, high=SIZE),
            ),
            slots=2,
            per="player",
        ),
    ),
    controls=Group(
        "keys",
        (Flag("w"), Flag("a", mirror="d"), Flag("s"), Flag("d", mirror="a")),
        slots=2,
        per="player",
    ),
)


class TagWorld:
    """N matches of tag, each a function of its seed and the keys that were pressed."""

    schema, name = SCHEMA, "tag"

    def __init__(self, matches):
        self.matches, self.columns = matches, SCHEMA.neutral(matches)
        self.done = np.zeros(matches, bool)

    def reset(self, seeds, where=None):
        where = np.ones(self.matches, bool) if where is None else where
        for values in self.columns.values():
            values[where] = 0
        start = np.stack([noise(seeds, 0, player, 0) for player in (0, 1)], axis=1)
        self.columns["player/x"][where] = (-6, 6)
        self.columns["player/y"][where] = (SIZE * (2 * start - 1))[where]
        self.done[where] = False
        return self.columns

    def step(self, controls):
        now, live = self.columns, ~self.done
        up, left, down, right = (controls[f"keys/{key}"].astype(np.float32) for key in KEYS)
        for axis, push in (("x", right - left), ("y", up - down)):
            moved = np.clip(now[f"player/{axis}"] + push * np.float32(SPEED), -SIZE, SIZE)
            now[f"player/{axis}"][live] = moved[live]
        now["match/clock"][live] += 1
        apart = [np.diff(now[f"player/{axis}"])[:, 0] for axis in "xy"]
        now["match/tagged"][live, 0] = (np.hypot(*apart) < REACH)[live]
        self.done = now["match/tagged"][:, 0] | (now["match/clock"][:, 0] >= LIMIT)
        return now, no_events(), self.done.copy()

    def snapshot(self, where=None):
        where = np.ones(self.matches, bool) if where is None else where
        kept = {key: values[where].copy() for key, values in self.columns.items()}
        return {**kept, "done": self.done[where].copy()}

    def restore(self, snapshot, where=None):
        where = np.ones(self.matches, bool) if where is None else where
        for key, values in self.columns.items():
            values[where] = snapshot[key]
        self.done[where] = snapshot["done"]
        return self.columns


class Mover:
    """Runs toward the other player, or away from it and around the field."""

    def __init__(self, chases):
        self.chases = chases

    def start(self, seeds, players, state=None, where=None):
        return None

    def act(self, view, state):
        own, other = (
            np.stack([view[f"player/{axis}"][:, slot] for axis in "xy"]) for slot in (0, 1)
        )
        around = np.stack([-own[1], own[0]])
        goal = other - own if self.chases else (own - other) + 1.5 * around - 0.7 * own
        pressed = {}
        for along, (minus, plus) in zip(goal, ("ad", "sw"), strict=True):
            pressed[f"keys/{minus}"] = (along < -0.3)[:, None]
            pressed[f"keys/{plus}"] = (along > 0.3)[:, None]
        return pressed, state


def outcome(columns, events):
    """Player 0 wins by tagging, player 1 by the clock."""
    tagged = bool(columns["match/tagged"][-1, 0])
    return Outcome(0, "tagged") if tagged else Outcome(1, "time ran out")


GAME = Game(
    name="tag",
    title="tag: one player has ten seconds to touch the other",
    schema=SCHEMA,
    world=TagWorld,
    outcome=outcome,
    bots={
        "chaser": lambda argument="": Mover(chases=True),
        "runner": lambda argument="": Mover(chases=False),
    },
    learns_by=("imitation",),
)

if __name__ == "__main__":
    match = sb.play(GAME, "chaser", "runner", seed=3)
    page = sb.save_page(match, "tag.html", game=GAME)
    print(f"player {match.outcome.winner} wins: {match.outcome.reason}; the match: {page}")
