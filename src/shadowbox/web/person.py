"""A person in a seat: an agent whose answers are the keys that somebody holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from shadowbox.core.schema import Array, Columns, Flag, Schema
from shadowbox.errors import UsageError

LONGEST_NAME = 32


def person_name(typed: str) -> str:
    """What an episode calls somebody: never the spec of an agent."""
    name = " ".join(typed.split())
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a name has at most {LONGEST_NAME} letters, all of them visible")
    return f"person:{name}" if name else "person"


def playable(schema: Schema) -> bool:
    """Whether keys are enough to play: every control is a flag, one for each player."""
    fields = schema.controls.fields
    return schema.controls.slots == schema.players and all(
        isinstance(field, Flag) for field in fields
    )


class Person:
    """Presses what is held.

    A key that went down and up between two frames counts for one: nobody types in frames.
    """

    def __init__(self, schema: Schema) -> None:
        if not playable(schema):
            raise UsageError(
                f"{schema.name} has controls that are no keys, so nobody can play it here"
            )
        self.keys = frozenset(schema.control_keys)
        self._held: frozenset[str] = frozenset()
        self._pressed: frozenset[str] = frozenset()

    def hold(self, keys: Iterable[str]) -> None:
        """These keys are down now, and no others."""
        held = frozenset(keys)
        if unknown := held - self.keys:
            raise UsageError(
                f"there is no key {sorted(unknown)[0][:60]!r}; the keys are {', '.join(sorted(self.keys))}"
            )
        self._pressed |= held
        self._held = held

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """A person remembers by themselves."""
        return None

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """One frame of a match that is alone in its world."""
        down = self._held | self._pressed
        self._pressed = frozenset()
        return {key: np.array([[key in down]]) for key in self.keys}, state
