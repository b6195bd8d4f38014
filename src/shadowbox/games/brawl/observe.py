"""Observation vectors for learners: a view (own slot first) as one vector for each match.

`raw` is the layout of the original game, number for number, so that an agent can move between the
two. `default` holds each fact once, scaled to order one, with categories one-hot, and adds the
facts that `raw` leaves out: time, cooldowns, invulnerability and the keys held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.games.brawl.rules import DODGE_FRAMES, S_DODGE, S_STUN
from shadowbox.games.brawl.schema import KEYS, MAX_DAMAGE, MOVES, STATES, WEAPONS

Features = Iterable[tuple[str, Array]]
_SEATS = ("me", "foe")


@dataclass(frozen=True)
class _Observation:
    """Named vector: `observe(view [N, slots]) -> [N, size]` f32, with one of `names` per number."""

    names: tuple[str, ...]
    observe: Callable[[Columns], Array]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return len(self.names)


def _raw_fighter(view: Columns, p: int) -> Features:
    def get(name: str) -> Array:
        return view[f"player/{name}"][:, p]

    grounded = get("grounded")
    yield "x", np.clip(get("x"), -18, 18)
    yield "y", np.clip(get("y"), -7, 7)
    yield "vx", np.clip(get("vx"), -10, 10)
    yield "vy", np.clip(get("vy"), -10, 10)
    yield "facing_right", get("facing_right")
    yield "grounded", grounded
    yield "aerial", ~grounded
    yield "air_jumps", np.where(grounded, 0, get("air_jumps"))
    yield "state", get("state")
    yield "recoveries", np.where(grounded, 0, get("recoveries"))
    yield (
        "dodging",
        np.where(get("state") == S_DODGE, np.maximum(DODGE_FRAMES - get("age").astype(int), 0), 0),
    )
    yield "stun", np.where(get("state") == S_STUN, get("stun"), 0)
    yield "damage", get("damage") / MAX_DAMAGE
    yield "stocks", get("stocks")
    # the original game numbers its moves from 2
    yield "move", np.where(get("move") > 0, get("move").astype(int) + 1, 0)
    yield "weapon", get("weapon")


def _raw_stage(view: Columns) -> Features:
    for k in range(4):
        alive = view["item/alive"][:, k]
        dropped = view["item/weapon"][:, k].astype(int) + 1
        yield f"item{k}_x", view["item/x"][:, k]
        yield f"item{k}_y", view["item/y"][:, k]
        yield f"item{k}_type", np.where(alive, 1 if k < 2 else dropped, 0)
    for name in ("x", "y", "vx", "vy"):
        yield f"platform_{name}", view[f"platform/{name}"][:, 0]


def _raw(view: Columns) -> Features:
    for p, seat in enumerate(_SEATS):
        for name, values in (*_raw_fighter(view, p), *_raw_stage(view)):
            yield f"{seat}.{name}", values


def _one_hot(name: str, values: Array, names: tuple[str, ...]) -> Features:
    for i, choice in enumerate(names):
        yield f"{name}={choice}", values == i


def _default(view: Columns) -> Features:
    for p, seat in enumerate(_SEATS):
        for name, scale in _SCALES.items():
            yield f"{seat}.{name}", view[f"player/{name}"][:, p] * scale
        for name, names in (("state", STATES), ("move", MOVES), ("weapon", WEAPONS)):
            yield from _one_hot(f"{seat}.{name}", view[f"player/{name}"][:, p], names)
    x, y = view["player/x"], view["player/y"]
    yield "foe_dx", (x[:, 1] - x[:, 0]) * 0.1
    yield "foe_dy", (y[:, 1] - y[:, 0]) * 0.1
    for k in range(4):
        alive = view["item/alive"][:, k]
        yield f"item{k}.dx", np.where(alive, view["item/x"][:, k] - x[:, 0], 0) * 0.1
        yield f"item{k}.dy", np.where(alive, view["item/y"][:, k] - y[:, 0], 0) * 0.1
        yield from _one_hot(
            f"item{k}", np.where(alive, view["item/weapon"][:, k], 0), ("none", "spear", "hammer")
        )
    for name, scale in (("x", 0.5), ("y", 0.5), ("vx", 1.0), ("vy", 1.0)):
        yield f"platform.{name}", view[f"platform/{name}"][:, 0] * scale
    yield "left", view["match/left"][:, 0] / 2700
    yield "mirror_stage", view["match/stage"][:, 0] == 1
    for key in KEYS:
        yield f"held.{key}", view[f"keys/{key}"][:, 0]


_SCALES = {
    "x": 0.1, "y": 0.1, "vx": 0.1, "vy": 0.1, "damage": 0.01, "facing_right": 1.0,
    "grounded": 1.0, "on_platform": 1.0, "air_jumps": 0.5, "recoveries": 1.0, "stocks": 1 / 3,
    "age": 1 / 30, "stun": 0.1, "jump_cooldown": 1 / 6, "dodge_cooldown": 1 / 82,
    "shield": 1 / 90, "move_frame": 1 / 20, "charge": 1 / 20,
}  # fmt: skip


def _observation(features: Callable[[Columns], Features]) -> _Observation:
    from shadowbox.games.brawl.schema import SCHEMA

    names = tuple(name for name, _ in features(SCHEMA.neutral(1)))

    def observe(view: Columns) -> Array:
        out = np.empty((len(view["match/left"]), len(names)), np.float32)
        for i, (_, values) in enumerate(features(view)):
            out[:, i] = values
        return out

    return _Observation(names, observe)


OBSERVATIONS = {"default": _observation(_default), "raw": _observation(_raw)}
