"""Schema of a Brawl match: enough to resume it bit for bit, to draw it and to learn from it.

Units: one `u` is a little less than a fighter is tall. (0, 0) is the middle of the stage and **y
grows downward**. Thirty frames are a second; velocities are u/s, timers are frames. Every real is
stored as f4, because the physics continues from the stored number: half precision would break
"state + controls give the next state".
"""

from __future__ import annotations

from shadowbox.core.schema import Choice, Flag, Group, Real, Schema

FPS = 30
KEYS = ("w", "a", "s", "d", "space", "h", "l", "j", "k", "g")

STATES = (
    "walking", "standing", "turnaround", "air_turnaround", "sprinting", "stun", "in_air",
    "dodge", "attack", "dash", "backdash", "ko", "taunt",
)  # fmt: skip
WEAPONS = ("unarmed", "spear", "hammer")
MOVES = (
    "none", "neutral_light", "down_light", "side_light", "neutral_heavy", "down_heavy",
    "side_heavy", "neutral_air", "down_air", "side_air", "recovery", "ground_pound",
)  # fmt: skip
STAGES = ("warehouse", "mirror")
EVENTS = (
    "hit",
    "combo",
    "knockout",
    "respawn",
    "pickup",
    "drop",
    "land",
    "jump",
    "win",
    "draw",
    "timeout",
)

STOCKS = 3
MAX_DAMAGE = 700.0
MAX_STRIKES = 4  # hits that one move can have; `struck` holds a bit for each
MAX_FRAMES = 65535  # the longest time limit

_PLAYER = Group(
    "player",
    slots=2,
    per="player",
    doc="The two fighters.",
    fields=(
        Real(
            "x",
            scale=0.1,
            low=-18,
            high=18,
            unit="u",
            mirror="negate",
            reset_on="respawn",
            doc="center of the body",
        ),
        Real(
            "y",
            scale=0.1,
            low=-12,
            high=12,
            unit="u",
            reset_on="respawn",
            doc="center of the body, downward",
        ),
        Real("vx", scale=0.1, low=-64, high=64, unit="u/s", mirror="negate", doc="velocity"),
        Real("vy", scale=0.1, low=-64, high=64, unit="u/s", doc="velocity, downward"),
        Real(
            "damage",
            scale=0.01,
            low=0,
            high=MAX_DAMAGE,
            reset_on="respawn",
            doc="taken with this stock; knock-back grows with it",
        ),
        Flag("facing_right", mirror="invert"),
        Flag("grounded", doc="on a block or on the platform"),
        Flag("on_platform", doc="on the moving platform, which carries"),
        Choice("state", len(STATES), names=STATES, embed=16),
        Choice("age", 256, unit="frames", embed=8, doc="since the state was entered, at most 255"),
        Choice("air_jumps", 3, doc="left until the next landing"),
        Choice("recoveries", 2, doc="recovery moves left until the next landing"),
        Choice("jump_cooldown", 8, unit="frames", doc="until the next air jump"),
        Choice("dodge_cooldown", 96, unit="frames", embed=8, doc="until the next dodge"),
        Choice("stun", 64, unit="frames", embed=8, doc="until stun ends and keys act again"),
        Choice(
            "shield",
            96,
            unit="frames",
            embed=8,
            doc="invulnerable after a respawn; ends with the own first attack",
        ),
        Choice("stocks", STOCKS + 1, doc="lives left"),
        Choice("weapon", len(WEAPONS), names=WEAPONS, embed=4),
        Choice("move", len(MOVES), names=MOVES, embed=8),
        Choice(
            "move_frame",
            96,
            unit="frames",
            embed=8,
            doc="inside the move; stops while charging or plunging",
        ),
        Choice("charge", 32, unit="frames", doc="for which a heavy was held back"),
        Choice(
            "struck", 1 << MAX_STRIKES, doc="bits: the strikes of this move that have already hit"
        ),
        Flag(
            "leans_right",
            mirror="invert",
            predict="no",
            doc="D was pressed after A; decides while both are held",
        ),
        Flag(
            "held_a",
            mirror="held_d",
            predict="no",
            doc="key held in the last frame, as all held_* flags: a press is an edge",
        ),
        Flag("held_d", mirror="held_a", predict="no"),
        Flag("held_space", predict="no"),
        Flag("held_h", predict="no"),
        Flag("held_l", predict="no"),
    ),
)

_ITEM = Group(
    "item",
    slots=4,
    mask="alive",
    doc="Weapons on the stage: slots 0 and 1 from the two spawners, slots 2 and 3 dropped ones.",
    fields=(
        Flag("alive"),
        Choice("weapon", len(WEAPONS), names=WEAPONS, embed=4),
        Real("x", scale=0.1, low=-18, high=18, unit="u", mirror="negate", doc="center"),
        Real("y", scale=0.1, low=-12, high=12, unit="u"),
        Real("vy", scale=0.1, low=-64, high=64, unit="u/s"),
        Real("life", scale=0.003, low=0, high=1024, unit="frames", doc="until it vanishes"),
        Choice("lock", 16, unit="frames", doc="until it can be picked up"),
    ),
)

_SPAWNER = Group(
    "spawner",
    slots=2,
    doc="The two places at which weapons appear.",
    fields=(
        Real(
            "timer",
            scale=0.002,
            low=0,
            high=2048,
            unit="frames",
            predict="no",
            doc="until the next weapon; 0: waits, or is off",
        ),
    ),
)

_PLATFORM = Group(
    "platform",
    doc="The moving platform: 2 u wide, open from below.",
    fields=(
        Real("x", scale=0.1, low=-18, high=18, unit="u", mirror="negate"),
        Real("y", scale=0.1, low=-12, high=12, unit="u"),
        Real("vx", scale=0.1, low=-64, high=64, unit="u/s", mirror="negate"),
        Real("vy", scale=0.1, low=-64, high=64, unit="u/s"),
    ),
)

_MATCH = Group(
    "match",
    doc="The clock, the result, and the seed of all randomness.",
    fields=(
        Real(
            "frame",
            scale=1 / 2700,
            low=0,
            high=MAX_FRAMES,
            unit="frames",
            predict="no",
            doc="since the start",
        ),
        Real(
            "left", scale=1 / 2700, low=0, high=MAX_FRAMES, unit="frames", doc="until time runs out"
        ),
        Choice("stage", len(STAGES), names=STAGES, predict="no"),
        Flag("over"),
        Choice(
            "winner",
            3,
            names=("first", "second", "nobody"),
            seat=True,
            doc="the last value: a draw, or not over yet",
        ),
        Choice("seed_low", 1 << 32, predict="no", doc="the lower half of the seed"),
        Choice("seed_high", 1 << 32, predict="no"),
    ),
)

_KEYS = Group(
    "keys",
    slots=2,
    per="player",
    doc="The keys that the players hold.",
    fields=(
        Flag("w", doc="aim up: neutral moves"),
        Flag("a", mirror="d", doc="left"),
        Flag("s", doc="aim down; fall faster"),
        Flag("d", mirror="a", doc="right"),
        Flag("space", doc="jump (on press)"),
        Flag("h", doc="pick up (held), drop (on press)"),
        Flag("l", doc="on press: dash along, back-dash against, otherwise dodge"),
        Flag("j", doc="light attack"),
        Flag("k", doc="heavy attack; on the ground it charges while held"),
        Flag("g", doc="taunt"),
    ),
)

SCHEMA = Schema(
    "brawl", fps=FPS, state=(_PLAYER, _ITEM, _SPAWNER, _PLATFORM, _MATCH), controls=_KEYS
)

# The default encoding leaves out the seed and the absolute clock, by which a model could memorize
# single matches.
HIDDEN = ("match/frame", "match/seed_low", "match/seed_high", "spawner/timer")
LEARNED = tuple(key for key in SCHEMA.columns if key not in HIDDEN)
