"""A simulated person in real time, who makes the gesture of each key that is meant, frame by frame.

The people, their gestures and their landmarks are those of games/gesture/body.py. There a whole
session is filmed at once; here joints follow the gestures by the same smoothing, later by half of its
length, since a person who plays does not know the next key.
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
    MARCHING,
    PEOPLE,
    TREMBLING,
    _landmarks,
    _Person,
    film,
    gesture_width,
)
from shadowbox.games.gesture.place.server import _MockServer
from shadowbox.games.gesture.place.walker import _Walker
from shadowbox.games.gesture.schema import FPS
from shadowbox.games.gesture.sources import frame_values

WIDEST = max(MARCHING, 2 * round(PEOPLE["rise"][1][1] / 4) + 1)  # frames of a smoothing
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
        self.step, self.time = 0.0, 0.0
        # joints that were meant until these times, and a march or none; the first one forever
        self.goals: deque[tuple[float, Array]] = deque([(0.0, np.append(self.rest, 0.0))])
        self.shakes: deque[Array] = deque(maxlen=2 * TREMBLING - 1)

    def frame(
        self, keys: Mapping[str, float], *, screen: bool = False, dt: float = 1 / FPS
    ) -> Array:
        """Landmarks [260] `dt` seconds later, while these controls are meant."""
        goal = self.rest + self._gestures(keys, screen) @ self.who.gestures
        self._show_slot(goal, int(keys.get("hotbar", 0)))
        numbers = self.who.numbers
        rate = numbers["cadence"] * (1.5 if keys.get("sprint") else 1.0)
        self.step, self.time = self.step + 2 * np.pi * rate * dt, self.time + dt
        while (self.time - self.goals[0][0]) * FPS > 2 * WIDEST:
            self.goals.popleft()
        self.goals.append((self.time, np.append(goal, float(bool(keys.get("move_forward"))))))
        joints, march = self._eased(gesture_width(self.who))[:-1], self._eased(MARCHING)[-1:]
        pose, hand = _landmarks(
            self.who, (joints + self._trembling())[None], np.array([self.step]), march
        )
        return frame_values(film(self.who, self.random, np.array([self.time]), pose, hand))

    def _eased(self, width: int) -> Array:
        """What was meant, smoothed as in recordings: a mean over `width` frames, twice.

        There the mean is around each frame; here it ends with the frame, so that a gesture is half
        made `width` frames after it was meant.
        """
        ages = (self.time - np.array([until for until, _ in self.goals])) * FPS / width
        past = np.where(ages < 1, ages**2 / 2, 1 - np.clip(2 - ages, 0, 1) ** 2 / 2)
        weights = np.append(1.0, past[:-1]) - past
        return np.asarray(weights @ np.stack([goal for _, goal in self.goals]))

    def _trembling(self) -> Array:
        """Tremor of each joint, as in recordings: white noise, smoothed in the same way."""
        self.shakes.append(self.random.standard_normal(len(JOINTS)))
        weights = np.convolve(np.ones(TREMBLING), np.ones(TREMBLING))[: len(self.shakes)]
        sums = weights @ np.stack(self.shakes) / TREMBLING
        return np.asarray(sums * self.who.numbers["tremor"])

    def _gestures(self, keys: Mapping[str, float], screen: bool) -> Array:
        made = dict.fromkeys(_GESTURES, 0.0)
        for control, gesture in GESTURE_OF.items():
            if gesture in made:
                made[gesture] = float(keys.get(control, 0.0))
        made["screen"] = float(screen)
        made["slot"] = float(keys.get("hotbar", 0) > 0)
        if self.who.left_handed:
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
