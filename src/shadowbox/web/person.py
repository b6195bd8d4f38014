"""Person: an agent that presses the keys which a person holds in the browser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from shadowbox.core.schema import Array, Columns, Flag, Schema
from shadowbox.errors import UsageError

LONGEST_NAME = 32


def person_name(typed: str) -> str:
    """Name of a person in an episode; the prefix keeps it apart from the specs of agents."""
    name = " ".join(typed.split())
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"your name must have at most {LONGEST_NAME} printable letters")
    return f"person:{name}" if name else "person"


def playable(schema: Schema) -> bool:
    """Test that a game can be played with keys: its controls are flags, a set for each player."""
    fields = schema.controls.fields
    return schema.controls.slots == schema.players and all(
        isinstance(field, Flag) for field in fields
    )


class Person:
    """Agent that presses the held keys.

    A key that went down and up between two frames is pressed for one frame.
    """

    def __init__(self, schema: Schema) -> None:
        if not playable(schema):
            raise UsageError(
                f"{schema.name} cannot be played here: its controls must all be flags, "
                "with a set for each player"
            )
        self.keys = frozenset(schema.control_keys)
        self._held: frozenset[str] = frozenset()
        self._pressed: frozenset[str] = frozenset()

    def set_held(self, keys: Iterable[str]) -> None:
        """Replace the set of held keys."""
        held = frozenset(keys)
        if unknown := held - self.keys:
            raise UsageError(
                f"unknown key {sorted(unknown)[0][:60]!r}; keys: {', '.join(sorted(self.keys))}"
            )
        self._pressed |= held
        self._held = held

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Start a match; a person needs no state."""
        return None

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Controls of one frame, for a world of one match: held keys, and those tapped since."""
        down = self._held | self._pressed
        self._pressed = frozenset()
        return {key: np.array([[key in down]]) for key in self.keys}, state
