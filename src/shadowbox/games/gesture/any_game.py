"""Any game played with the body: a table from gestures to another game's keys, and a bridge to it.

A table is data: for each key of the game, the gestures that hold it.

    {"game": "brawl", "keys": {"keys/a": ["strafe_left"], "keys/space": ["jump"]}}

Gestures have the names of the controls that they mean in Minecraft, and `look_left`, `look_right`,
`look_up`, `look_down` and `slot_1` to `slot_9`. The bridge is a client of a live match's page
(`shadowbox serve`): it presses keys as a person in the browser does, with the same watchdog as the
bridge to Minecraft, whose rows of the match are the signs of life.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.files import mismatches, read_json
from shadowbox.core.game import noise
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.gesture.controller import KEYS, _Controls
from shadowbox.games.gesture.mcctp_bridge import _BridgeSettings, _Core
from shadowbox.games.gesture.schema import FPS, INVENTORY, SLOTS

SHAPE = {"game": str, "keys": {str: [str]}}
TURNING = 40.0  # degrees a second of a look that counts as a gesture
LOOKS = {"look_left": (0, -1), "look_right": (0, 1), "look_up": (1, -1), "look_down": (1, 1)}
SLOT_GESTURES = {f"slot_{slot + 1}": slot + 1 for slot in range(SLOTS)}
PLAYED = tuple(name for name in KEYS if name not in INVENTORY)  # without a screen
GESTURES = (*PLAYED, *LOOKS, *SLOT_GESTURES)
LARGEST = 8 << 20  # bytes of a message: many rows at once, when it joins late
MEANT_S = 0.6  # seconds for which the restless person means a gesture


@dataclass(frozen=True)
class _Table:
    """Gestures that hold each key of a game."""

    game: str
    keys: Mapping[str, tuple[str, ...]]

    def held(self, controls: _Controls) -> tuple[str, ...]:
        """Keys of the game that these controls hold."""
        made = gestures_in(controls)
        return tuple(key for key, names in self.keys.items() if made.intersection(names))


def table_of(data: Any, known: Collection[str], where: str = "table") -> _Table:
    """Table from plain data, for a game with the keys `known`; a wrong one is refused by name."""
    wrong = next(mismatches(data, SHAPE), "")
    if wrong:
        raise UsageError(f"{where}: {wrong}")
    for key, names in data["keys"].items():
        if key not in known:
            raise UsageError(
                f"{where}: {data['game']:.40} has no key '{key:.40}': {did_you_mean(key, known)}"
            )
        for name in names:
            if name not in GESTURES:
                raise UsageError(
                    f"{where}: {key}: unknown gesture '{name:.40}': {did_you_mean(name, GESTURES)}"
                )
    return _Table(data["game"], {key: tuple(names) for key, names in data["keys"].items()})


def read_table(path: Path, known: Callable[[str], Collection[str]]) -> _Table:
    """Table of a JSON file; `known` gives the keys of the game that it names."""
    try:
        data = read_json(path, error=UsageError, hint="see docs/gesture.md for its form")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    game = data.get("game") if isinstance(data, dict) else None
    return table_of(data, known(game) if isinstance(game, str) else (), str(path))


def gestures_in(controls: _Controls) -> set[str]:
    """Gestures that controls are made of."""
    made = {name for name, down in zip(KEYS, controls.keys.tolist(), strict=True) if down}
    made |= {name for name, (axis, sign) in LOOKS.items() if sign * controls.look[axis] > TURNING}
    return made | {name for name, slot in SLOT_GESTURES.items() if controls.slot == slot}


class _KeyHands:
    """Keys that the match holds, and the messages that change them."""

    def __init__(self, table: _Table) -> None:
        self.table = table
        self.held: set[str] = set()
        self.notes: set[str] = set()

    def messages(
        self, controls: _Controls, now: float, slot: int, screen_open: bool
    ) -> Iterator[str]:
        """Messages that bring the match from the keys it holds to those of these controls."""
        wanted = set(self.table.held(controls))
        if wanted != self.held:
            self.held = wanted
            yield _keys(wanted)

    def release(self) -> list[str]:
        """Message that releases every key, if any is held."""
        held, self.held = self.held, set()
        return [_keys(())] if held else []

    def release_all(self) -> list[str]:
        """Message that releases every key."""
        self.held = set()
        return [_keys(())]

    def forget(self) -> None:
        """Forget the keys, after the end of a connection."""
        self.held = set()


class _MatchCore(_Core):
    """Bridge to a live match: its rows are the game's state, and `key` is that of its first page."""

    largest = LARGEST

    def __init__(self, table: _Table, key: str, settings: _BridgeSettings | None = None) -> None:
        super().__init__(settings, hands=_KeyHands(table))
        self.key = key

    def receive(self, text: str | bytes, now: float) -> None:
        """Take a message of the match; a wrong one is counted and named, and changes nothing."""
        if isinstance(text, bytes):
            self.signs = self.signs._replace(state=now)
            self.counts["states"] += 1
            return
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        kind = data.get("kind") if isinstance(data, dict) else None
        if not isinstance(kind, str):
            self.counts["refused"] += 1
            self.problem("the match sent a message that is not a JSON object with a kind")
        elif kind == "refused":
            self.counts["errors"] += 1
            self.problem(f"the match refused a message: {str(data.get('why'))[:200]}")

    def connected(self) -> list[str]:
        """Begin a connection: take control of the match, release every key, and let it go on."""
        own = json.dumps({"kind": "own", "key": self.key})
        return [own, *super().connected(), json.dumps({"kind": "pause", "on": False})]


def _keys(held: Collection[str]) -> str:
    return json.dumps({"kind": "keys", "held": sorted(held)})


def restless(seed: int, table: _Table) -> Callable[[int], Mapping[str, float]]:
    """Keys that a restless person means by frame: gestures of a table, drawn one after another.

    For trials without a person: it does not see the match.
    """
    names = sorted({name for names in table.keys.values() for name in names if name in PLAYED})
    frames = round(MEANT_S * FPS)

    def meant(number: int) -> Mapping[str, float]:
        at = number // frames
        drawn = noise(np.array([seed]), at, 0, np.arange(2))
        if not names or drawn[0] < 0.25:
            return {}
        return {names[int(drawn[1] * len(names))]: 1.0}

    return meant
