"""Dynamics of Melee: each line of `rules` is exact on recorded matches without healing items.

The rest is learned: Melee's own rules differ between characters and moves.
"""

from __future__ import annotations

from shadowbox.core.dynamics.declaration import _Dynamics
from shadowbox.games.melee.schema import UNDOCUMENTED

DYNAMICS = _Dynamics(
    events={
        "hit": "rises player/percent",
        "ko": "falls player/stocks",
        "respawn": "enters player/action=rebirth",
    },
    together=("player/action",),
    rules={
        "stage/clock": "tick",
        "player/percent": "carried; at hit drawn; at respawn 0",
        "player/stocks": "carried; at ko minus 1",
        "player/hitstun": "drawn; 0 unless player/in_hitstun",
    },
    rates={
        "player/x": "player/air_vx; player/knock_vx",
        "player/y": "player/vy; player/knock_vy",
        "item/x": "item/vx",
        "item/y": "item/vy",
    },
    ignored=(
        "stage/clock",
        "stage/randall",
        "stage/randall_x",
        "stage/randall_y",
        "player/instance",
        *UNDOCUMENTED,
    ),
    over="player/stocks=0",
)
