"""A scripted player of the place: sees it as a person sees a screen, and names the keys to press.

The keys are those of the schema's group `control`. They may take effect some frames later, so keys
are held and repeated as a person would.
"""

from __future__ import annotations

import math

from shadowbox.games.gesture.place.course import (
    CELL_RADIUS,
    CELLS,
    SLOT_OF_KEY,
    _Place,
    _Task,
    bearing,
    facing,
    height,
    looked_at,
)

PRESS, PAUSE = 10, 24  # frames of a press, and from its begin to the next


class _Walker:
    """Memory of the player: how long each press still lasts."""

    def __init__(self) -> None:
        self.frame = 0
        self.began: dict[str, int] = {}  # frame in which a press began

    def keys(self, place: _Place) -> dict[str, float]:
        """Controls of this frame by name; those that are missing are neutral."""
        self.frame += 1
        task = place.next
        if task is None:
            return {}
        if task.kind == "screen" or place.screen:
            return self._on_screen(place)
        keys = self._towards(place, task)
        if task.kind == "break" and self._faces(place, task):
            keys |= self._pressed("attack")
        if task.kind == "door":
            if place.slot != SLOT_OF_KEY:
                keys |= self._pressed("hotbar", SLOT_OF_KEY + 1)
            elif self._faces(place, task):
                keys |= self._pressed("use_item")
        return keys

    def _towards(self, place: _Place, task: _Task) -> dict[str, float]:
        """Turn and walk to the task; blocks are approached, not touched."""
        off = bearing(place, task.x, task.z)
        distance = math.dist((place.x, place.z), (task.x, task.z))
        keys: dict[str, float] = {}
        if abs(off) > 4:
            keys["look_yaw"] = math.copysign(min(max(abs(off) / 120, 0.1), 0.5), off)
        if abs(off) < 25 and (task.kind == "gate" or distance > 2.0):
            keys["move_forward"] = 1.0
            if distance > 6 and abs(off) < 10:
                keys["sprint"] = 1.0
            dx, dz = facing(place.yaw)
            ahead = height(place, place.x + 0.7 * dx, place.z + 0.7 * dz)
            if 0 < ahead - place.y <= 1:
                keys |= self._pressed("jump")
        return keys

    def _faces(self, place: _Place, task: _Task) -> bool:
        return looked_at(place) == (math.floor(task.x), math.floor(task.z))

    def _on_screen(self, place: _Place) -> dict[str, float]:
        """Open the screen, take the item, put it into the chest, and close the screen."""
        if place.screen == place.delivered:
            return self._pressed("open_inventory", pause=36)
        if not place.screen:
            return {}
        x, y = CELLS["chest" if place.carried else "pack"]
        keys = {"cursor_x": 2 * x - 1, "cursor_y": 2 * y - 1}
        if math.dist(place.cursor, (x, y)) < CELL_RADIUS / 2:
            keys |= self._pressed("inv_left")
        return keys

    def _pressed(self, name: str, value: float = 1.0, pause: int = PAUSE) -> dict[str, float]:
        """The key for the frames of a press, then nothing until the pause is over."""
        if self.frame - self.began.get(name, -pause) >= pause:
            self.began[name] = self.frame
        return {name: value} if self.frame - self.began[name] < PRESS else {}
