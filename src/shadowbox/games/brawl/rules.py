"""Constants of Brawl's rules, the stages, and the memory layout of a match.

Lengths are in u, speeds in u/s, times in frames. A match is one record whose members are the
columns of the schema and nothing else, so that the state has no hidden part and the columns of a
world are views. Members are named after their column, `item/x` -> `item_x`; those of the fighters
have no prefix: `player/x` -> `x`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl.schema import EVENTS, FPS, KEYS, SCHEMA, STAGES, STATES, WEAPONS

DT = 1.0 / FPS

# ---- bodies ----

BODY_W, BODY_H = 0.435, 0.5  # half the box that meets walls and floors
# the capsule that can be hit: its radius, and half the length of its core
HURT_R, HURT_H = 0.464, 0.048
BLAST_X, BLAST_Y = 14.0, 8.0  # beyond them a stock is lost
# the fastest launch: 2 u a frame, so that no fighter passes through a block of at least 4 u
TOP_SPEED = 60.0
TOUCH = 1e-3  # closer than this counts as touching and not as overlapping: stored positions are f4

# ---- movement ----

GRAVITY = 17.808
WALK, SPRINT, DASH, BACKDASH = 6.75, 8.0, 10.0, 4.0
AIR_CONTROL = 10.75 * DT  # change of vx a frame
ATTACK_CONTROL = 0.5 * AIR_CONTROL  # while attacking in the air
ATTACK_FRICTION = 1.2  # change of vx a frame while attacking on the ground: a running attack slides
AIR_TURN = 1.0 / 3.0  # of the speed is kept
FAST_FALL = 14.25 * DT
MAX_FALL = 12.0
JUMP = -8.9
AIR_JUMPS, RECOVERIES = 2, 1
DASH_FRAMES, BACKDASH_FRAMES, DODGE_FRAMES, TAUNT_FRAMES, JUMP_FRAMES = 9, 7, 10, 30, 6
DODGE_AGAIN_GROUND, DODGE_AGAIN_AIR = 30, 82

# ---- being hit ----

LAUNCH = 0.096  # u/s for each unit of force
STUN_DRAG = 0.239  # change of vx a frame
BOUNCE = 0.7
BOUNCE_SPEED = 2.5  # a slower fall ends on the floor
CHARGED = 0.6  # a fully charged heavy does this much more, in damage and in force
PLUNGE_FRAMES = 45  # a plunge that does not reach ground ends after this time
KO_FRAMES, SHIELD_FRAMES = 90, 90

# ---- weapons on the stage ----

ITEM_LIFE, DROPPED_LIFE, DROPPED_LOCK = 350, 250, 15
FIRST_WEAPON = 350  # the first one appears within this time
NEXT_WEAPON = (300, 900)
ITEM_H = 0.15  # half its height
ITEM_DROP = 3.0  # it appears this far above the ground, and falls
REACH_X, REACH_Y = 1.2, 0.95  # pick-up distance, center to center

# ---- names as numbers ----

(
    S_WALK,
    S_STAND,
    S_TURN,
    S_AIR_TURN,
    S_SPRINT,
    S_STUN,
    S_AIR,
    S_DODGE,
    S_ATTACK,
    S_DASH,
    S_BACKDASH,
    S_KO,
    S_TAUNT,
) = range(len(STATES))
(
    E_HIT,
    E_COMBO,
    E_KNOCKOUT,
    E_RESPAWN,
    E_PICKUP,
    E_DROP,
    E_LAND,
    E_JUMP,
    E_WIN,
    E_DRAW,
    E_TIMEOUT,
) = range(len(EVENTS))
# keys of one player in one integer
(W, A, S, D, SPACE, H, L, J, K, G) = (1 << bit for bit in range(len(KEYS)))
NO_PLAYER = 2
NO_MOVE, NEUTRAL_LIGHT, NEUTRAL_HEAVY, NEUTRAL_AIR, RECOVERY, GROUND_POUND = 0, 1, 4, 7, 10, 11
DOWNWARD, SIDEWAYS = 1, 2  # added to a neutral move

# ---- rules that differ ----


@dataclass(frozen=True)
class _Rule:
    """Number by which a world may differ: its usual value, the original game's, and its limits."""

    usual: float
    original: float
    low: float
    high: float
    doc: str
    whole: bool = False


# What was measured on the original game, beside our own rules. Every match reads them from its
# STAGE record.
RULES = {
    "late_gravity": _Rule(0, 1, 0, 1, "bodies move with the old velocity; then gravity acts", True),
    "ground_jump_cools": _Rule(1, 0, 0, 1, "the first air jump waits after a ground jump", True),
    "attack_steering": _Rule(ATTACK_CONTROL, 0, 0, 1, "change of vx a frame in an attack, in air"),
    "attack_friction": _Rule(ATTACK_FRICTION, 0.291, 0, 7, "the same on the ground, toward 0"),
    "shield_frames": _Rule(SHIELD_FRAMES, 0, 0, 95, "protection after a respawn", True),
    "launch_adds": _Rule(0, 1, 0, 1, "a launch is added to the velocity", True),
    "standing_dash": _Rule(1, 0, 0, 1, "L dashes with the first press of a direction", True),
    "walk_delay": _Rule(0, 1, 0, 1, "walking begins a frame after the key", True),
    "turn_frames": _Rule(1, 3, 1, 8, "a turn on the ground; from 2 on it slides", True),
    "wall_friction": _Rule(0, 0.49, 0, 1, "share of the speed into a wall taken from vy"),
    "wall_bounce": _Rule(BOUNCE, 0, 0, 1, "share of the speed that a wall throws back in stun"),
    "solid_platform": _Rule(0, 1, 0, 1, "the platform is solid from every side", True),
    "damage_breaks_ties": _Rule(1, 0, 0, 1, "equal stocks: less damage wins", True),
    "gravity": _Rule(GRAVITY, GRAVITY, 10, 25, "u/s^2"),
    "launch": _Rule(LAUNCH, LAUNCH, 0.05, 0.15, "u/s for each unit of force"),
    "reach": _Rule(0, 0, -0.3, 0.3, "u by which hit boxes are larger on each side"),
}
RULE_SETS = ("usual", "original")

MAX_EVENTS = 20  # in one frame of one match
TIME_LIMIT = 2700

# ---- the record of a match ----


def member(key: str) -> str:
    """Name of the record member that holds a column."""
    group, _, name = key.partition("/")
    return name if group == "player" else f"{group}_{name}"


# The pressed keys are kept beside the state: a world's columns show them too. Flags are bytes that
# hold 0 or 1, because Numba does not support arrays of bool inside a record.
MATCH = np.dtype(
    [
        (member(key), np.uint8 if c.dtype == bool else c.dtype, (c.slots,))
        for key, c in SCHEMA.columns.items()
    ],
    align=True,
)

# ---- stages ----

STAGE = np.dtype(
    [
        ("blocks", "f8", (2, 4)),  # left, right, top, bottom
        ("start", "f8", (2, 2)),  # x, y; a coin flip assigns them to the fighters
        ("path", "f8", (2, 2)),  # x, y of the platform's turning points
        ("period", "f8"),  # frames from one to the other
        ("weapons", "f8", (2, 3)),  # for each spawner: x from, x to, y of the ground
    ]
    + [(name, "f8") for name in RULES],
    align=True,
)
PLATFORM_W, PLATFORM_H = 1.0, 0.1  # half its size

_STAGES = {
    # The right block is 2 u higher, and the platform is the bridge.
    "warehouse": {
        "blocks": ((2, 7, 0.85, 5), (-7, -2, 2.85, 7)),
        "start": ((5, 0), (-5, 0)),
        "path": ((1, 0), (-1, 2)),
        "weapons": ((2.6, 6.5, 0.85), (-6.5, -2.6, 2.85)),
    },
    # Symmetric. The platform goes up and down between two equal blocks.
    "mirror": {
        "blocks": ((2, 7, 1.85, 6), (-7, -2, 1.85, 6)),
        "start": ((5, 1), (-5, 1)),
        "path": ((0, 2.4), (0, 0.2)),
        "weapons": ((2.6, 6.5, 1.85), (-6.5, -2.6, 1.85)),
    },
}


def stage(name: str, rules: str = "usual") -> Array:
    """Geometry of a stage and a set of rules: one STAGE record in an array [1]."""
    if name not in _STAGES:
        raise UsageError(f"unknown stage '{name}': {did_you_mean(name, _STAGES)}")
    record = np.zeros(1, STAGE)
    for key, value in _STAGES[name].items():
        record[key] = value
    record["period"] = 128
    if rules not in RULE_SETS:
        raise UsageError(f"unknown rules '{rules}': {did_you_mean(rules, RULE_SETS)}")
    for key, rule in RULES.items():
        record[key] = getattr(rule, rules)
    return record


assert tuple(_STAGES) == STAGES
assert len(WEAPONS) == 3
