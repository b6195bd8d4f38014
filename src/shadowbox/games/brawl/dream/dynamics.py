"""Dynamics of brawl: each line of `rules` is exact on simulated matches, which a test measures."""

from __future__ import annotations

from shadowbox.core.dynamics.declaration import _Dynamics

_IN_ATTACK = "drawn; 0 unless player/state=attack; 0 where player/move changes"
_PLATFORM = "periodic match/frame 256 by match/stage"

DYNAMICS = _Dynamics(
    events={
        "hit": "rises player/damage",
        "knockout": "enters player/state=ko",
        "respawn": "leaves player/state=ko",
    },
    together=("player/state", "player/move"),
    rules={
        "match/frame": "step 1",
        "match/left": "step -1",
        "match/stage": "carried",
        "platform/x": _PLATFORM,
        "platform/y": _PLATFORM,
        "platform/vx": _PLATFORM,
        "platform/vy": _PLATFORM,
        "player/move": "drawn; at knockout 0",
        "player/state": ("drawn; stun only at hit; at hit stun; at knockout ko; at respawn in_air"),
        "player/damage": "carried; at hit drawn; at respawn 0",
        "player/stocks": "carried; at knockout minus 1",
        "player/age": "drawn; 0 where player/state changes; 0 where player/move changes",
        "player/vx": "drawn; at knockout 0",
        "player/vy": "drawn; at knockout 0",
        "player/weapon": "drawn; at knockout 0",
        "player/grounded": "drawn; at knockout 0",
        "player/stun": "count_down; at hit drawn; at knockout 0",
        "player/shield": "drawn; at respawn 90",
        "player/move_frame": _IN_ATTACK,
        "player/charge": _IN_ATTACK,
        "player/struck": _IN_ATTACK,
        "player/on_platform": "drawn; 0 unless player/grounded",
        "player/air_jumps": "drawn; 2 where player/grounded",
        "player/recoveries": "drawn; 1 where player/grounded",
        "player/x": "drawn; within -14 14 unless player/state=ko else knockout",
        "player/y": (
            "drawn; platform/y+-0.6 where player/on_platform; "
            "within -8 8 unless player/state=ko else knockout"
        ),
        "player/leans_right": "last_pressed keys/d keys/a",
        **{f"player/held_{key}": f"pressed keys/{key}" for key in ("a", "d", "space", "h", "l")},
        "spawner/timer": "drawn",
        "match/over": "ends player/stocks match/left",
        "match/winner": "winner player/stocks player/damage",
    },
    rates={
        "player/x": "player/vx; platform/vx while player/on_platform",
        "player/y": "player/vy",
        "item/y": "item/vy",
    },
    reach={"hit": ("player/weapon", "player/move", "player/move_frame")},
    ground=("player/grounded", "player/y", "player/x"),
    takes={"player/weapon": "item/weapon"},
    ignored=("match/frame", "match/left", "match/over", "match/winner"),
    over="match/over",
    clock="match/frame",
    seed=("match/seed_low", "match/seed_high"),
)
