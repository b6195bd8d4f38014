"""Geometry of the tournament stages: ground, platforms, ledges, blast lines, moving parts.

Units of the game, y upward. Other stages have no table and are drawn without ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.games.melee.names import (
    BATTLEFIELD,
    DREAM_LAND,
    FINAL_DESTINATION,
    FOUNTAIN,
    STADIUM,
    YOSHIS,
)


@dataclass(frozen=True)
class _Stage:
    """Geometry of one stage."""

    edge: float  # |x| of the ledges
    platforms: tuple[tuple[float, float, float], ...]  # left, right, height
    blast: tuple[float, float, float, float]  # left, right, top, bottom


GEOMETRY = {
    # the side platforms move
    FOUNTAIN: _Stage(63.35, ((-14.25, 14.25, 42.75),), (-198.75, 198.75, 202.5, -146.25)),
    STADIUM: _Stage(87.75, ((-55.0, -25.0, 25.0), (25.0, 55.0, 25.0)), (-230, 230, 180, -111)),
    YOSHIS: _Stage(
        56.0,
        ((-59.5, -28.0, 23.45), (28.0, 59.5, 23.45), (-15.75, 15.75, 42.0)),
        (-175.7, 173.6, 168, -91),
    ),
    DREAM_LAND: _Stage(
        77.27,
        ((-61.4, -31.7, 30.1), (31.7, 63.1, 30.2), (-19.0, 19.0, 51.4)),
        (-255, 255, 250, -123),
    ),
    BATTLEFIELD: _Stage(
        68.4,
        ((-57.6, -20.0, 27.2), (20.0, 57.6, 27.2), (-18.8, 18.8, 54.4)),
        (-224, 224, 200, -108.8),
    ),
    FINAL_DESTINATION: _Stage(85.57, (), (-246, 246, 188, -140)),
}

# ---- Randall, the cloud of Yoshi's Story ----

RANDALL_PERIOD = 1200  # frames for one round of the stage
RANDALL_HALF = 5.9  # half its width
# frame, x of the middle, y of the top: along the top to the left, around, and back below the stage
_KNOTS = np.array(
    [
        (477, 95.3, -13.65),
        (1016, -95.95, -13.65),
        (1023, -97.75, -15.28),
        (1069, -97.75, -31.6),
        (1076, -95.95, -33.25),
        (1615, 95.3, -33.25),
        (1622, 97.2, -31.6),
        (1669, 97.2, -15.0),
        (1677, 95.3, -13.65),
    ]
)
_INSIDE = 60.0  # |x| below which it is inside the stage


def randall(frames: Array) -> tuple[Array, Array, Array]:
    """Position of Randall at frame numbers [F]: solid (bool), x of its middle, y of its top.

    It depends on the frame number alone.
    """
    phase = (frames - 477) % RANDALL_PERIOD + 477
    x, y = (np.interp(phase, _KNOTS[:, 0], _KNOTS[:, i]) for i in (1, 2))
    return np.abs(x) > _INSIDE - RANDALL_HALF, x, y


# ---- the platforms of Fountain of Dreams ----

RIGHT, LEFT = 0, 1  # as replays number them
FOUNTAIN_BEGINS = {LEFT: 20.0, RIGHT: 28.0}  # replays record changes only
# from the recorded height to the y of a fighter on the platform
FOUNTAIN_SCALE, FOUNTAIN_BASE = 0.75, 1.1251
# x of the inner and outer end of the right platform; the left one mirrors it
FOUNTAIN_SPAN = (21.0, 49.5)


def heights(rows: Array, platforms: Array, values: Array, frames: int, side: int) -> Array:
    """Height of one side's platform in every frame, [frames].

    rows, platforms and values [E] are the recorded changes, in order.
    """
    chosen = platforms == side
    return (
        FOUNTAIN_SCALE * hold(rows[chosen], values[chosen], frames, FOUNTAIN_BEGINS[side])
        + FOUNTAIN_BASE
    )


def hold(rows: Array, values: Array, frames: int, begins: float) -> Array:
    """Hold each value from its row until the next one, [frames]."""
    last = np.searchsorted(rows, np.arange(frames), side="right")
    return np.concatenate([[begins], values])[last]
