"""Observation vectors for learners: a view (own slot first) as one vector for each match.

`raw` is the layout of the original game, number for number, so that an agent can move between the
two. `default` holds each fact once, scaled to order one, with categories one-hot, and adds the
facts that `raw` leaves out: time, cooldowns, invulnerability and the keys held. The numbers are
computed in `signals.py`, in the order of the names here.
"""

from __future__ import annotations

from dataclasses import dataclass

from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl.schema import KEYS, MOVES, STATES, WEAPONS

_SEATS = ("me", "foe")


@dataclass(frozen=True)
class _Observation:
    """Named vector: `observe(view [N, slots]) -> [N, size]` f32, with one of `names` per number."""

    names: tuple[str, ...]
    raw: bool

    @property
    def size(self) -> int:
        """Length of the vector."""
        return len(self.names)

    def observe(self, view: Columns) -> Array:
        """Vectors of the views of N matches."""
        from shadowbox.games.brawl.loop import observe

        return observe(view, self.raw, self.size)


_RAW_FIGHTER = (
    "x", "y", "vx", "vy", "facing_right", "grounded", "aerial", "air_jumps", "state", "recoveries",
    "dodging", "stun", "damage", "stocks", "move", "weapon",
)  # fmt: skip
_RAW_STAGE = (
    *(f"item{k}_{name}" for k in range(4) for name in ("x", "y", "type")),
    *(f"platform_{name}" for name in ("x", "y", "vx", "vy")),
)
_RAW = tuple(f"{seat}.{name}" for seat in _SEATS for name in (*_RAW_FIGHTER, *_RAW_STAGE))

_SCALED = (
    "x", "y", "vx", "vy", "damage", "facing_right", "grounded", "on_platform", "air_jumps",
    "recoveries", "stocks", "age", "stun", "jump_cooldown", "dodge_cooldown", "shield",
    "move_frame", "charge",
)  # fmt: skip
_ONE_HOT = tuple(
    f"{name}={choice}"
    for name, choices in (("state", STATES), ("move", MOVES), ("weapon", WEAPONS))
    for choice in choices
)
_DEFAULT = (
    *(f"{seat}.{name}" for seat in _SEATS for name in (*_SCALED, *_ONE_HOT)),
    "foe_dx",
    "foe_dy",
    *(
        f"item{k}{name}"
        for k in range(4)
        for name in (".dx", ".dy", "=none", *(f"={weapon}" for weapon in WEAPONS[1:]))
    ),
    *(f"platform.{name}" for name in ("x", "y", "vx", "vy")),
    "left",
    "mirror_stage",
    *(f"held.{key}" for key in KEYS),
)

OBSERVATIONS = {
    "default": _Observation(_DEFAULT, raw=False),
    "raw": _Observation(_RAW, raw=True),
}
