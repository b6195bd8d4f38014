"""A simulated person in real time, who makes the gesture of each key that is meant, frame by frame.

The people, their gestures and their landmarks are those of games/gesture/body.py. There a whole
session is filmed at once; here joints follow the gestures by two low-pass filters, since a person
who plays does not know the next key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.games.gesture.body import (
    _GESTURES,
    _REST,
    JOINTS,
    _landmarks,
    _Person,
    film,
)
from shadowbox.games.gesture.place.server import _MockServer
from shadowbox.games.gesture.place.walker import _Walker
from shadowbox.games.gesture.schema import FPS
from shadowbox.games.gesture.sources import frame_values

GESTURE_OF = {  # control -> gesture
    "move_forward": "forward",
    "move_backward": "backward",
    "strafe_left": "left",
    "strafe_right": "right",
    "sprint": "sprint",
    "sneak": "sneak",
    "jump": "jump",
    "attack": "attack",
    "use_item": "use",
    "drop_item": "drop",
    "swap_offhand": "swap",
    "open_inventory": "open",
    "look_yaw": "yaw",
    "look_pitch": "pitch",
    "cursor_x": "cursor_x",
    "cursor_y": "cursor_y",
    "inv_left": "click",
    "inv_right": "second",
    "inv_shift_held": "shift",
}


class _LivePerson:
    """Body of a person between two frames."""

    def __init__(self, who: _Person, seed: int = 0) -> None:
        self.who, self.random = who, np.random.default_rng(seed)
        self.rest = np.array([_REST.get(joint, 0.0) for joint in JOINTS])
        self.rest[JOINTS.index("torso_pitch")] += who.numbers["lean"]
        self.filters = np.stack([self.rest, self.rest])  # two stages
        self.step, self.march, self.time = 0.0, 0.0, 0.0

    def frame(
        self, keys: Mapping[str, float], *, screen: bool = False, dt: float = 1 / FPS
    ) -> Array:
        """Landmarks [260] `dt` seconds later, while these controls are meant."""
        goal = self.rest + self._gestures(keys, screen) @ self.who.gestures
        self._show_slot(goal, int(keys.get("hotbar", 0)))
        numbers = self.who.numbers
        share = 1 - 0.5 ** (dt * FPS * 4 / numbers["rise"])  # of a stage in this time
        for stage in self.filters:
            stage += share * (goal - stage)
            goal = stage
        marching = bool(keys.get("move_forward"))
        self.march += share * (marching - self.march)
        rate = numbers["cadence"] * (1.5 if keys.get("sprint") else 1.0)
        self.step, self.time = self.step + 2 * np.pi * rate * dt, self.time + dt
        shaken = (
            self.filters[1] + self.random.standard_normal(len(JOINTS)) * numbers["tremor"] * 0.5
        )
        pose, hand = _landmarks(
            self.who, shaken[None], np.array([self.step]), np.array([self.march])
        )
        return frame_values(film(self.who, self.random, np.array([self.time]), pose, hand))

    def _gestures(self, keys: Mapping[str, float], screen: bool) -> Array:
        made = dict.fromkeys(_GESTURES, 0.0)
        for control, gesture in GESTURE_OF.items():
            if gesture in made:
                made[gesture] = float(keys.get(control, 0.0))
        made["screen"] = float(screen)
        made["slot"] = float(keys.get("hotbar", 0) > 0)
        if self.who.numbers["left_handed"] < 0.1:
            made["cursor_x"] *= -1
        return np.array(list(made.values()))

    def _show_slot(self, goal: Array, slot: int) -> None:
        """Add the fingers that show a slot: up to five of the better hand, the rest of the other."""
        if not slot:
            return
        for finger in range(5):
            for arm, up in (("main", slot > finger), ("off", slot > finger + 5)):
                goal[JOINTS.index(f"{arm}_finger{finger}")] += -0.35 if up else 0.6
        goal[JOINTS.index("off_flex")] += 1.7 * (slot > 5)


class _MovingPerson:
    """Person who makes the gestures of given keys: `meant(number)` are those of a frame."""

    def __init__(
        self, who: _Person, meant: Callable[[int], Mapping[str, float]], seed: int = 0
    ) -> None:
        self.body, self.meant, self.frames = _LivePerson(who, seed), meant, 0

    def pose(self) -> Array:
        """Landmarks [260] of the next frame, 30 a second."""
        self.frames += 1
        return self.body.frame(self.meant(self.frames - 1))


class _SyntheticPlayer:
    """Person who plays the place: sees it, means keys, and makes their gestures.

    `pose` gives the next frame of landmarks, and `meant(number)` the keys of a recent frame.
    """

    def __init__(self, mock: _MockServer, who: _Person, seed: int = 0) -> None:
        self.mock, self.place, self.body = mock, mock.place, _LivePerson(who, seed)
        self.walker = _Walker()
        self.recent: deque[Mapping[str, float]] = deque(maxlen=300)
        self.frames = 0

    def pose(self) -> Array:
        """Landmarks [260] of the next frame, 30 a second."""
        if self.mock.place is not self.place:  # a new course
            self.place, self.walker = self.mock.place, _Walker()
        keys = self.walker.keys(self.place)
        self.recent.append(keys)
        self.frames += 1
        return self.body.frame(keys, screen=self.mock.place.screen)

    def meant(self, number: int) -> Mapping[str, float]:
        """Keys that were meant in a frame, counted from 0; none for a frame long ago."""
        at = number - self.frames
        return self.recent[at] if -len(self.recent) <= at < 0 else {}
