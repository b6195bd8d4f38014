"""A platform that is solid from every side, as the original game's is in practice."""

from __future__ import annotations

from typing import Any

from shadowbox.games.brawl.jit import inner
from shadowbox.games.brawl.rules import BODY_H, BODY_W, PLATFORM_H, PLATFORM_W

Record = Any  # a MATCH record


@inner
def stay_out(
    m: Record, x: float, y: float, vx: float, vy: float
) -> tuple[float, float, float, float]:
    """Place and velocity (x, y, vx, vy) of a body that has moved, outside of the platform.

    A body that overlaps leaves on the shortest way: a head is bumped, a shoulder pushed aside.
    """
    px, py = float(m.platform_x[0]), float(m.platform_y[0])
    deep_x = PLATFORM_W + BODY_W - abs(x - px)
    deep_y = PLATFORM_H + BODY_H - abs(y - py)
    if deep_x <= 0.0 or deep_y <= 0.0:
        return x, y, vx, vy
    if deep_y <= deep_x:
        if y > py:
            return x, y + deep_y, vx, max(vy, 0.0)
        return x, y - deep_y, vx, min(vy, 0.0)
    if x > px:
        return x + deep_x, y, max(vx, 0.0), vy
    return x - deep_x, y, min(vx, 0.0), vy
