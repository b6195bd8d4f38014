"""The place: a course of tasks on a grid of blocks, with physics of 20 ticks a second.

One player walks from task to task: gates to reach, a step to jump on, blocks to break, a door that
opens to the right item, and a screen on which an item is moved. Directions are those of Minecraft: x
grows to the east, z to the south, and a yaw of 0 looks south, of 90 west. All randomness comes from
the seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core.game import noise
from shadowbox.games.gesture.game_fields import wrapped

TICKS = 20  # a second
WALK, SPRINT, SNEAK = 4.3 / TICKS, 5.6 / TICKS, 1.3 / TICKS  # blocks a tick
JUMP, GRAVITY = 0.42, 0.08  # blocks a tick, and a tick squared
RADIUS, REACH = 0.3, 3.5  # blocks
GATE_RADIUS = 1.0  # blocks
HITS_OF_A_BLOCK = 3
WRONG_TURN_DEGREES = 100.0  # a heading this far off the task, after it was within half of it
LONGEST = TICKS * 180  # ticks of a match, unless it is made shorter

# '#' wall, '=' step of one block, 'B' blocks to break, 'D' door, letters a-z: gates in their order
PLAN = (
    "#####################",
    "#...................#",
    "#.S....a...#........#",
    "#..........#...f..g.#",
    "#.........##........#",
    "#......b..##.....####",
    "#..........#...e.####",
    "#######=####........#",
    "#......=...####D#####",
    "#......=...B...d....#",
    "#......=...####.....#",
    "#####################",
)
SLOT_OF_KEY = 4  # slot of the hotbar (from 0) whose item opens the door
ITEMS = (
    *("iron_sword", "bow", "stone", "bread", "iron_pickaxe"),
    *("torch", "snowball", "oak_planks", "air"),
)
CATEGORIES = ("SWORD", "BOW", "BLOCK", "FOOD", "PICKAXE", "OTHER", "THROWABLE", "BLOCK", "EMPTY")
CELLS = {"pack": (0.35, 0.4), "chest": (0.65, 0.6)}  # of the screen: x and y in [0, 1]
CELL_RADIUS = 0.08


@dataclass(frozen=True)
class _Task:
    """A task of the course: a gate to reach, or something to do on the way."""

    kind: str  # gate | break | door | screen
    x: float
    z: float
    name: str


@dataclass
class _Place:
    """State of one match of the place, and its score."""

    seed: int = 0
    longest: int = LONGEST  # ticks
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    vy: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    slot: int = 0
    tick: int = 0
    task: int = 0
    screen: bool = False
    cursor: tuple[float, float] = (0.5, 0.5)
    carried: bool = False  # the item of the screen hangs on the cursor
    delivered: bool = False
    offhand: bool = False  # a shield is in the other hand
    collided: bool = False
    swung: int = -100  # tick of the last swing
    held: set[str] = field(default_factory=set)
    pressed: dict[str, int] = field(default_factory=dict)  # presses -> ticks that are left
    broken: dict[tuple[int, int], int] = field(default_factory=dict)  # hits by block
    door_open: bool = False
    faced: bool = False  # the task was faced, so that turning away is wrong
    score: dict[str, int] = field(
        default_factory=lambda: {"wrong_turns": 0, "blocks_hit": 0, "bumps": 0, "swings": 0}
    )

    def __post_init__(self) -> None:
        self.x, self.z = _find("S")[0]
        draws = [float(noise(np.array([self.seed]), 0, 0, n)[0]) for n in range(3)]
        self.x += draws[0] - 0.5
        self.z += draws[1] - 0.5
        self.yaw = wrapped(-90.0 + 60.0 * (draws[2] - 0.5))

    @property
    def done(self) -> bool:
        """True when all tasks are done, or the time is over."""
        return self.task >= len(TASKS) or self.tick >= self.longest

    @property
    def next(self) -> _Task | None:
        """The task that is due."""
        return TASKS[self.task] if self.task < len(TASKS) else None

    def results(self) -> dict[str, Any]:
        """Score: seconds, tasks done, wrong turns, blocks hit, bumps into walls, swings."""
        seconds = self.tick / TICKS
        return {"seconds": seconds, "tasks": self.task, "of": len(TASKS), **self.score}


def _find(letter: str) -> list[tuple[float, float]]:
    """Middles of the cells with this letter."""
    return [
        (x + 0.5, z + 0.5)
        for z, row in enumerate(PLAN)
        for x, cell in enumerate(row)
        if cell == letter
    ]


def _gate(letter: str) -> _Task:
    ((x, z),) = _find(letter)
    return _Task("gate", x, z, f"gate {letter}")


_BLOCK, _DOOR = _find("B")[0], _find("D")[0]
TASKS = (
    _gate("a"),
    _gate("b"),
    _Task("gate", 7.5, 8.5, "step"),
    _Task("break", *_BLOCK, "block"),
    _gate("d"),
    _Task("door", *_DOOR, "door"),
    _gate("e"),
    _gate("f"),
    _Task("screen", *_find("g")[0], "screen"),
    _gate("g"),
)


def height(place: _Place, x: float, z: float) -> float:
    """Height of the ground in the cell of (x, z), in blocks; a wall has 3."""
    column, row = math.floor(x), math.floor(z)
    if not (0 <= row < len(PLAN) and 0 <= column < len(PLAN[0])):
        return 3.0
    cell = PLAN[row][column]
    if cell == "B":
        return 0.0 if place.broken.get((column, row), 0) >= HITS_OF_A_BLOCK else 3.0
    if cell == "D":
        return 0.0 if place.door_open else 3.0
    return {"#": 3.0, "=": 1.0}.get(cell, 0.0)


def press(place: _Place, name: str) -> None:
    """Press a key for three ticks; what it does happens now."""
    place.pressed[name] = 3
    if name == "attack" and not place.screen:
        _swing(place)
    elif name == "use_item" and not place.screen:
        use(place)
    elif name == "swap_hands":
        place.offhand = not place.offhand
    elif name == "open_inventory":
        place.screen = not place.screen
        place.held.clear()
        place.cursor = (0.5, 0.5)
    elif name == "close_screen":
        place.screen = False


def use(place: _Place) -> None:
    """Use the item in the hand: the right one opens the door in front of the player."""
    target = looked_at(place)
    if target is not None and PLAN[target[1]][target[0]] == "D" and place.slot == SLOT_OF_KEY:
        place.door_open = True


def click(place: _Place, button: str) -> None:
    """Click on the screen: take the item of the pack, or put it into the chest."""
    if not place.screen or button != "left":
        return
    for name, (x, y) in CELLS.items():
        if math.dist(place.cursor, (x, y)) <= CELL_RADIUS:
            if name == "pack" and not place.delivered:
                place.carried = True
            elif name == "chest" and place.carried:
                place.carried, place.delivered = False, True


def turn(place: _Place, yaw: float, pitch: float) -> None:
    """Turn by degrees; nothing turns while a screen is open."""
    if not place.screen:
        place.yaw = wrapped(place.yaw + yaw)
        place.pitch = min(max(place.pitch + pitch, -90.0), 90.0)


def tick(place: _Place) -> None:
    """Advance one tick: keys, movement, and the tasks that are done by it."""
    if place.done:
        return
    place.tick += 1
    _move(place)
    place.pressed = {name: left - 1 for name, left in place.pressed.items() if left > 1}
    _judge(place)


def looked_at(place: _Place) -> tuple[int, int] | None:
    """Column and row of the first high block in front of the player, within reach."""
    step = 0.1
    dx, dz = facing(place.yaw)
    for n in range(1, int(REACH / step)):
        x, z = place.x + dx * step * n, place.z + dz * step * n
        if height(place, x, z) > place.y + 1:
            return math.floor(x), math.floor(z)
    return None


def facing(yaw: float) -> tuple[float, float]:
    """Direction (x, z) of a yaw."""
    return -math.sin(math.radians(yaw)), math.cos(math.radians(yaw))


def bearing(place: _Place, x: float, z: float) -> float:
    """Degrees to turn to the right to face the point (x, z)."""
    return wrapped(math.degrees(math.atan2(z - place.z, x - place.x)) - 90.0 - place.yaw)


def _swing(place: _Place) -> None:
    place.score["swings"] += 1
    place.swung = place.tick
    target = looked_at(place)
    if target is not None and PLAN[target[1]][target[0]] == "B":
        place.broken[target] = place.broken.get(target, 0) + 1
        place.score["blocks_hit"] += 1


def _move(place: _Place) -> None:
    """Walk, slide along walls, jump and fall."""
    keys = set() if place.screen else place.held | place.pressed.keys()
    ahead = ("forward" in keys) - ("backward" in keys)
    aside = ("right" in keys) - ("left" in keys)
    speed = SNEAK if "sneak" in keys else SPRINT if "sprint" in keys and ahead > 0 else WALK
    dx, dz = facing(place.yaw)
    move = np.array([dx * ahead - dz * aside, dz * ahead + dx * aside])
    length = float(np.hypot(*move))
    move = move * (speed / length) if length > 0 else move
    ground = height(place, place.x, place.z)
    if "jump" in keys and place.y <= ground:
        place.vy = JUMP
    place.collided = False
    for axis, step in (("x", float(move[0])), ("z", float(move[1]))):
        old = getattr(place, axis)
        setattr(place, axis, old + step)
        if _blocked(place):
            setattr(place, axis, old)
            place.collided = place.collided or abs(step) > 0.02
    place.score["bumps"] += place.collided
    place.y += place.vy
    place.vy = (place.vy - GRAVITY) * 0.98
    ground = height(place, place.x, place.z)
    if place.y <= ground:
        place.y, place.vy = ground, 0.0


def _blocked(place: _Place) -> bool:
    return any(
        height(place, place.x + dx, place.z + dz) > place.y + 0.01
        for dx in (-RADIUS, RADIUS)
        for dz in (-RADIUS, RADIUS)
    )


def _judge(place: _Place) -> None:
    task = place.next
    if task is None:
        return
    near = math.dist((place.x, place.z), (task.x, task.z)) <= GATE_RADIUS
    done = {
        "gate": near,
        "break": height(place, task.x, task.z) == 0,
        "door": place.door_open,
        "screen": place.delivered and not place.screen,
    }[task.kind]
    if done:
        place.task, place.faced = place.task + 1, False
        return
    off = abs(bearing(place, task.x, task.z))
    far = math.dist((place.x, place.z), (task.x, task.z)) > 2 * GATE_RADIUS
    if off <= WRONG_TURN_DEGREES / 2:
        place.faced = True
    elif off >= WRONG_TURN_DEGREES and place.faced and far:
        place.score["wrong_turns"] += 1
        place.faced = False


def picture(place: _Place) -> dict[str, Any]:
    """The place and the player as plain data, for a page."""
    open_cells = [
        [x, z]
        for z, row in enumerate(PLAN)
        for x, cell in enumerate(row)
        if cell in "BD" and height(place, x + 0.5, z + 0.5) == 0
    ]
    task = place.next
    return {
        "plan": PLAN,
        "open": open_cells,
        "player": [place.x, place.y, place.z, place.yaw, place.pitch],
        "tasks": [{"kind": t.kind, "x": t.x, "z": t.z, "name": t.name} for t in TASKS],
        "task": place.task,
        "next": task.name if task else "finished",
        "screen": place.screen,
        "cursor": list(place.cursor),
        "cells": {name: list(at) for name, at in CELLS.items()},
        "item": "cursor" if place.carried else "chest" if place.delivered else "pack",
        "slot": place.slot,
        "items": list(ITEMS),
        "door_slot": SLOT_OF_KEY,
        "swing": place.tick - place.swung < 4,
        "hits": sum(place.broken.values()),
        "done": place.done,
        "results": place.results(),
    }
