"""Observation vectors for learners, one for each match, and masks of their actions.

`raw` is the layout of the original game, number for number, so that an agent can move between the
two. `default` holds each fact once, scaled to order one, with categories one-hot, and adds the
facts that `raw` leaves out: time, cooldowns, invulnerability and the keys held. The numbers are
computed in `signals.py`, in the order of the names here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl.rules import (
    BACKDASH_FRAMES,
    DODGE_FRAMES,
    KO_FRAMES,
    S_ATTACK,
    S_BACKDASH,
    S_DODGE,
    S_KO,
    S_STUN,
    S_TAUNT,
    TAUNT_FRAMES,
    H,
    J,
    K,
)
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


# ---- keys that do nothing ----

_Ranges = dict[str, list[list[int]]]  # own columns -> ranges of values


def action_masks(frames: int) -> dict[str, dict[str, Any]]:
    """Rules by key under which holding it for `frames` frames does nothing (`Game.action_masks`).

    True of the moves of `arsenal.py`, whatever the opponent does. Space, L and, with a weapon in
    hand, H act in the frame in which they are pressed, and only then. A key that such a rule masks
    would count as held in the next frame, which never helps: it could not be pressed then. A and D
    are never masked, because the one pressed last decides while both are held.
    """
    edge, level = list(_locked(1, J)), list(_locked(frames, J))
    air: _Ranges = {"player/grounded": [[0, 0]]}
    ground: _Ranges = {"player/grounded": [[1, 1]]}
    armed: _Ranges = {"player/weapon": [[1, len(WEAPONS) - 1]]}
    unstunned = {"player/state": [[0, S_STUN - 1], [S_STUN + 1, len(STATES) - 1]]}
    alone = frames == 1  # in a later frame, ground may have been lost or reached
    conditions: dict[str, list[_Ranges]] = {
        "w": [{}],
        "s": level + [ground] * alone,
        "space": [
            {"player/held_space": [[1, 1]]},
            *edge,
            air | unstunned | {"player/air_jumps": [[0, 0]]},  # the end of stun gives one
            air | {"player/jump_cooldown": [[2, 7]]},
        ],
        "h": [
            armed | {"player/held_h": [[1, 1]]},
            *(armed | each for each in edge if each.get("player/weapon") != [[0, 0]]),
            *_locked(frames, H),
        ],
        "l": [
            {"player/held_l": [[1, 1]]},
            *edge,
            air | {"player/dodge_cooldown": [[2, 95]]},
        ],
        "j": level,
        "k": list(_locked(frames, K)),
        "g": level + [air] * alone,
    }
    aims = {"w": ["keys/j", "keys/k"], "s": ["keys/j", "keys/k"]}  # act beside an attack
    return {
        f"keys/{key}": {"when": when, "without": aims.get(key, [])}
        for key, when in conditions.items()
    }


def _locked(frames: int, key: int) -> Iterator[_Ranges]:
    """Conditions under which a fighter answers to no press of `key` for `frames` frames."""
    from shadowbox.games.brawl.arsenal import ARSENAL
    from shadowbox.games.brawl.moves import compile_table

    # in the frame of a respawn, H takes a weapon
    yield from _until("age", KO_FRAMES - frames - (key == H), S_KO)
    yield from _until("age", DODGE_FRAMES - 1 - frames, S_DODGE)
    if frames == 1 and key != H:
        for state, length in ((S_BACKDASH, BACKDASH_FRAMES), (S_TAUNT, TAUNT_FRAMES)):
            for each in _until("age", length - 2, state):
                yield each | {"player/grounded": [[1, 1]]}
    table = compile_table(ARSENAL)[:, 1:]
    if frames > table["stun"][table["stun"] > 0].min():
        return  # a hit might end a longer stun, or a move, too early
    yield {"player/state": [[S_STUN, S_STUN]], "player/stun": [[frames + 1, 63]]}
    for weapon, moves in enumerate(table):
        for number, move in enumerate(moves, start=1):
            end, charge = int(move["frames"]) - frames - 1, int(move["charge_at"])
            ranges = [[0, end]]
            if key == K and move["charge"]:  # held, it charges
                ranges = [[0, min(charge - frames, end)], [charge + 1, end]]
            if ranges := [[low, high] for low, high in ranges if low <= high]:
                yield {
                    "player/state": [[S_ATTACK, S_ATTACK]],
                    "player/weapon": [[weapon, weapon]],
                    "player/move": [[number, number]],
                    "player/move_frame": ranges,
                }


def _until(timer: str, last: int, state: int) -> Iterator[_Ranges]:
    """Condition of a state while its timer is at most `last`."""
    if last >= 0:
        yield {"player/state": [[state, state]], f"player/{timer}": [[0, last]]}
