"""Menus of the fake Dolphin: the screens for characters and for the stage, and the scores.

They have the places and the rules that libmelee's helper counts on: a cursor for each port, moved by
its stick; a grid of characters; below it a switch and a slider for CPUs; a cursor for the stage.
Each step gives one menu event in the layout that libmelee reads.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shadowbox.games.melee.live.menus import STAGES, libmelee
from shadowbox.games.melee.names import CHARACTERS
from shadowbox.games.melee.names import STAGES as STAGE_NAMES

if TYPE_CHECKING:
    from shadowbox.games.melee.dolphin import _GameSetup

EVENT, SIZE = 0x3E, 0x49
CHARACTER_SCREEN, STAGE_SCREEN, SCORES = 0x0002, 0x0102, 0x0402  # scenes
HUMAN, CPU, EMPTY = 0, 1, 3  # what a port is switched to
NO_CHARACTER, DOWN = 0x21, 2  # of a port that has not chosen; of a coin that is on a character
LEFT, BOTTOM, TILE, COLUMNS = -32.5, 1.0, 7.0, 9  # of the grid of characters
SPEED = 0.93  # units a step: whole ones could end on the rim that the helper counts as outside
NEAR = 1.6  # units around a thing in which it is met
SWITCH, SLIDER = (-32.2, 15.82, -2.2), (-30.9, 15.4, -15.12)  # of port 1: x, x to the next, y
SLIDE = 8  # steps that the slider takes for a level
PLACES = {  # of stages on their screen
    "battlefield": (1.0, -9.0),
    "final_destination": (6.7, -9.0),
    "dream_land": (12.5, -9.0),
    "pokemon_stadium": (15.0, 3.5),
    "yoshis_story": (3.5, 15.5),
    "fountain_of_dreams": (10.0, 15.5),
}
PERSON_S = 40  # steps that a person takes for a choice
Place = tuple[float, float]


@dataclass
class _Pad:
    """State of a controller: sticks from -1 to 1, shoulders from 0 to 1, names of buttons."""

    main: Place = (0.0, 0.0)
    c: Place = (0.0, 0.0)
    l: float = 0.0  # noqa: E741
    r: float = 0.0
    held: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Chosen:
    """The game that the menus led to: internal numbers of characters, a stage, levels of CPUs."""

    characters: tuple[int, ...]
    stage: int
    levels: tuple[int, ...]


@dataclass
class _Port:
    """One port on the screen of characters."""

    x: float
    y: float = 12.0
    switch: int = EMPTY
    character: int = NO_CHARACTER
    down: bool = False  # its coin is on its character
    level: int = 1
    slides: bool = False
    before: frozenset[str] = frozenset()  # buttons of the step before
    moved: int = 0


@dataclass
class _FakeMenus:
    """The menus before each game of a setup; a person in it chooses after PERSON_S steps."""

    setup: _GameSetup
    scene: int = CHARACTER_SCREEN
    steps: int = 0  # on this screen
    ports: list[_Port] = field(default_factory=list)
    cursor: Place = (0.0, 0.0)

    def __post_init__(self) -> None:
        self.ports = [_Port(-20.0 + 13 * at) for at in range(4)]
        for port in self.setup.ports:
            self.ports[port - 1].switch = HUMAN

    def step(self, pads: Mapping[int, _Pad]) -> tuple[bytes, _Chosen | None]:
        """The next menu event, and the game if the stage is chosen by it."""
        chosen = None
        fresh = {
            at: pad.held - self.ports[at - 1].before for at, pad in pads.items()
        }  # pressed with this step
        if self.scene == CHARACTER_SCREEN:
            for at, pad in pads.items():
                self._choose(at, pad, fresh[at])
            self._person()
            pressed = any("START" in each for each in fresh.values()) or self._person_begins()
            if self.ready and pressed:
                self._enter(STAGE_SCREEN)
        elif self.scene == STAGE_SCREEN:
            chosen = self._stage(pads, fresh)
        elif any("START" in each for each in fresh.values()) or self.steps > PERSON_S:
            self._enter(CHARACTER_SCREEN)
        for at, pad in pads.items():
            self.ports[at - 1].before = pad.held
        event = self._event()
        self.steps += 1
        if chosen is not None:
            self._enter(SCORES)  # what follows the game
        return event, chosen

    @property
    def ready(self) -> bool:
        """True once every player has chosen a character."""
        return all(port.down for port in self.ports if port.switch != EMPTY)

    # ---- inside ----------------------------------------------------------------------------------

    def _enter(self, scene: int) -> None:
        self.scene, self.steps, self.cursor = scene, 0, (0.0, 0.0)

    def _choose(self, at: int, pad: _Pad, fresh: frozenset[str]) -> None:
        """One step of a controller on the screen of characters."""
        port = self.ports[at - 1]
        if port.slides:
            port.moved += 1 if abs(pad.main[0]) > 0.1 else 0
            if port.moved >= SLIDE:
                port.moved = 0
                port.level = min(max(port.level + (1 if pad.main[0] > 0 else -1), 1), 9)
            port.slides = "A" not in fresh
            return
        port.x, port.y = port.x + SPEED * pad.main[0], port.y + SPEED * pad.main[1]
        if "B" in fresh:
            port.down = False
        if "A" not in fresh:
            return
        if _meets(port, SWITCH, at):
            port.switch = CPU if port.switch == HUMAN else HUMAN
        elif _meets(port, SLIDER, at) and port.switch == CPU:
            port.slides, port.moved = True, 0
        elif not port.down and (found := _tile(port.x, port.y)) is not None:
            port.character, port.down = found, True

    def _person(self) -> None:
        """The person puts the coin on a character."""
        melee = libmelee()
        names = self.setup.characters.split(",")
        for port, kind, name in zip(self.setup.ports, self.setup.kinds, names, strict=True):
            if kind == "human" and self.steps >= PERSON_S:
                number = melee.Character(CHARACTERS.index(name))
                self.ports[port - 1].character = melee.enums.from_internal(number)
                self.ports[port - 1].down = True

    def _person_begins(self) -> bool:
        return not self.setup.begins and self.steps >= 2 * PERSON_S

    def _stage(
        self, pads: Mapping[int, _Pad], fresh: Mapping[int, frozenset[str]]
    ) -> _Chosen | None:
        """One step on the screen of stages; the game, if a stage was chosen with it."""
        if not self.setup.begins:
            return self._game(self.setup.stage) if self.steps >= PERSON_S else None
        x, y = self.cursor
        for pad in pads.values():
            x, y = x + SPEED * pad.main[0], y + SPEED * pad.main[1]
        self.cursor = x, y
        if not any("A" in each for each in fresh.values()):
            return None
        for name, (left, up) in PLACES.items():
            if abs(x - left) < NEAR and abs(y - up) < NEAR:
                return self._game(name)
        return None

    def _game(self, stage: str) -> _Chosen:
        melee = libmelee()
        seats = [self.ports[port - 1] for port in self.setup.ports]
        characters = [melee.enums.to_internal(port.character).value for port in seats]
        levels = [port.level if port.switch == CPU else 0 for port in seats]
        return _Chosen(tuple(characters), STAGE_NAMES.index(stage), tuple(levels))

    def _event(self) -> bytes:
        """The menu event of now."""
        event, melee = bytearray(SIZE), libmelee()
        event[0] = EVENT
        struct.pack_into(">H", event, 0x1, self.scene)
        for at, port in enumerate(self.ports):
            struct.pack_into(">ff", event, 0x3 + 8 * at, port.x, port.y)
            event[0x25 + at], event[0x29 + at] = port.switch, port.character
            event[0x2D + at] = DOWN if port.down else 0
            event[0x41 + at], event[0x45 + at] = port.level, port.slides
        event[0x23] = 0 if self.ready else 1
        event[0x24] = melee.Stage[STAGES["battlefield"]].value
        struct.pack_into(">ff", event, 0x31, *self.cursor)
        struct.pack_into(">i", event, 0x39, self.steps)
        return bytes(event)


def _meets(port: _Port, thing: tuple[float, float, float], at: int) -> bool:
    """True if a port's cursor is on its own switch or slider."""
    x, wide, y = thing
    return abs(port.x - (x + wide * (at - 1))) < NEAR and abs(port.y - y) < NEAR


def _tile(x: float, y: float) -> int | None:
    """Number of the character on the select screen below a cursor."""
    row, column = 2 - int((y - BOTTOM) // TILE), int((x - LEFT) // TILE)
    if row == 2:
        column -= 1  # the last row begins with "random"
    number = row * COLUMNS + column
    return number if row in (0, 1, 2) and 0 <= column < COLUMNS and number < 25 else None
