"""Schema of a Melee frame: all facts of a replay that a model can use.

Every encoding is a selection of its columns. Units are the game's own; **y grows upward**;
velocities are units a frame, timers are frames, and 60 frames are a second. Values with a
resolution of 1/80 (sticks), and those that need no more, are stored as f2; positions and damage
are f4, as in a replay. A column that a replay's version does not have is marked absent in its
episode and holds zeros.
"""

from __future__ import annotations

from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.games.melee.names import ACTION_COUNT, ACTIONS, ATTACKS, CHARACTERS, ITEMS, STAGES

FPS = 60
# the first frame in which players can act; the entry before it is left out
FIRST_FRAME = -39
ITEM_SLOTS = 5
EVENTS = ("hit", "ko", "land", "ledge", "shield", "grab", "tech")

# The five bytes of state flags, bit 0 first. Documented bits have a name; the others are stored as
# they are, and not predicted unless an encoding asks for it: a third of them never change.
_DOCUMENTED = {
    (0, 1): ("absorbing", "an absorber is out"),
    (0, 3): ("reflecting_keeps_owner", "a reflector that leaves projectiles to their owner"),
    (0, 4): ("reflecting", "a reflector is out"),
    (1, 2): ("subaction_invulnerable", "invulnerable through the move itself"),
    (1, 3): ("fast_falling", ""),
    (1, 4): ("hitlag_defender", "frozen by a hit taken; the stick shifts the body"),
    (1, 5): ("in_hitlag", "frozen by a hit"),
    (2, 2): ("holding", "holds a grabbed fighter"),
    (2, 7): ("shield_active", ""),
    (3, 1): ("in_hitstun", "`hitstun` counts"),
    (3, 2): ("shield_touching", "the hit box meets a shield"),
    (3, 5): ("powershielding", ""),
    (4, 1): ("cloaked", ""),
    (4, 3): ("is_follower", ""),
    (4, 4): ("inactive", "Zelda while Sheik is out, and the like"),
    (4, 6): ("is_dead", ""),
    (4, 7): ("offscreen", ""),
}


def flag_name(byte: int, bit: int) -> str:
    """Name of the field of one bit of the state flags; `byte` 0 to 4, `bit` 0 is the lowest."""
    return _DOCUMENTED[byte, bit][0] if (byte, bit) in _DOCUMENTED else f"bit_{byte}_{bit}"


FLAG_NAMES = tuple(flag_name(byte, bit) for byte in range(5) for bit in range(8))
NAMED_FLAGS = tuple(name for name, _ in _DOCUMENTED.values())
UNDOCUMENTED = tuple(f"player/{name}" for name in FLAG_NAMES if name not in NAMED_FLAGS)

_STATE_FLAGS = tuple(
    Flag(
        name,
        predict="value" if name in NAMED_FLAGS else "no",
        doc=dict(_DOCUMENTED.values()).get(name, "undocumented"),
    )
    for name in FLAG_NAMES
)

_STAGE = Group(
    "stage",
    doc="The stage, the clock, and the moving parts.",
    fields=(
        Choice("id", len(STAGES), names=STAGES, embed=4, predict="no"),
        Real(
            "clock",
            scale=1 / 480,
            unit="s",
            store="f2",
            predict="no",
            doc="since the players could first act; 0.25 s near the end",
        ),
        Flag(
            "randall", predict="no", doc="Randall, the cloud of Yoshi's Story, is out of the wall"
        ),
        Real(
            "randall_x",
            scale=0.05,
            unit="units",
            store="f2",
            mirror="negate",
            predict="no",
            doc="its middle",
        ),
        Real("randall_y", scale=0.05, unit="units", store="f2", predict="no", doc="its top"),
        Real(
            "left_height",
            scale=0.05,
            unit="units",
            store="f2",
            mirror="right_height",
            doc="y of a platform of Fountain of Dreams",
        ),
        Real(
            "right_height",
            scale=0.05,
            unit="units",
            store="f2",
            mirror="left_height",
            doc="y of the other platform",
        ),
        Choice(
            "wind",
            3,
            names=("none", "left", "right"),
            predict="no",
            doc="Whispy, the tree of Dream Land, blows",
        ),
    ),
)

_PLAYER = Group(
    "player",
    slots=2,
    per="player",
    doc="The two fighters (of Ice Climbers the leader), by port.",
    fields=(
        Real("x", scale=0.05, unit="units", mirror="negate"),
        Real("y", scale=0.05, unit="units", doc="upward; the ground of most stages is 0"),
        Real(
            "percent",
            scale=0.01,
            low=0,
            high=999,
            unit="%",
            reset_on="ko",
            doc="damage, with its fraction",
        ),
        Real("shield", scale=0.01, low=0, high=64, store="f2", doc="strength left, 60 at most"),
        Real(
            "air_vx",
            scale=0.05,
            unit="units/frame",
            store="f2",
            mirror="negate",
            doc="own speed in the air",
        ),
        Real("vy", scale=0.05, unit="units/frame", store="f2", doc="own speed, upward"),
        Real(
            "ground_vx",
            scale=0.05,
            unit="units/frame",
            store="f2",
            mirror="negate",
            doc="own speed on the ground",
        ),
        Real(
            "knock_vx",
            scale=0.05,
            unit="units/frame",
            store="f2",
            mirror="negate",
            doc="speed through a hit",
        ),
        Real("knock_vy", scale=0.05, unit="units/frame", store="f2", doc="speed through a hit"),
        Real(
            "age",
            scale=0.01,
            unit="frames",
            store="f2",
            predict="value",
            doc="of the action; can stop, jump and have a fraction",
        ),
        Real(
            "hitlag",
            scale=0.1,
            low=0,
            unit="frames",
            store="f2",
            predict="value",
            doc="until the freeze of a hit ends",
        ),
        Real(
            "hitstun",
            scale=0.02,
            low=0,
            unit="frames",
            store="f2",
            predict="value",
            doc="0 unless `in_hitstun`",
        ),
        Choice("action", ACTION_COUNT, names=ACTIONS, embed=32),
        Choice(
            "instance",
            1 << 16,
            embed=1,
            predict="no",
            doc="counts the actions of both players: a new number is a new action",
        ),
        Choice(
            "character",
            len(CHARACTERS),
            names=CHARACTERS,
            embed=8,
            predict="no",
            doc="internal number",
        ),
        Choice("stocks", 100, embed=4, doc="lives left"),
        Choice("jumps", 8, embed=4, doc="left until the next landing"),
        Choice("combo", 256, embed=4, doc="the game's own count of the hits in a row"),
        Choice(
            "l_cancel",
            3,
            names=("none", "done", "missed"),
            embed=2,
            doc="in the frame of an aerial's landing only",
        ),
        Choice("hurtbox", 3, names=("vulnerable", "invulnerable", "intangible"), embed=2),
        Choice("ground", 256, embed=4, doc="1 + the number of the ground last stood on, 0: none"),
        Choice("last_attack", 256, names=ATTACKS, embed=8, doc="the attack that last landed"),
        Choice("last_hit_by", 3, names=("first", "second", "nobody"), embed=2, seat=True),
        Flag("facing_right", mirror="invert"),
        Flag("on_ground"),
        *_STATE_FLAGS,
    ),
)

_ITEM = Group(
    "item",
    slots=ITEM_SLOTS,
    mask="alive",
    doc="Projectiles and items; an item keeps its slot for life, and a slot is empty for a frame "
    "between two items.",
    fields=(
        Flag("alive"),
        Flag("facing_right", mirror="invert"),
        Real("x", scale=0.05, unit="units", store="f2", mirror="negate"),
        Real("y", scale=0.05, unit="units", store="f2"),
        Real("vx", scale=0.05, unit="units/frame", store="f2", mirror="negate"),
        Real("vy", scale=0.05, unit="units/frame", store="f2"),
        Choice("type", len(ITEMS), names=ITEMS, embed=8),
        Choice("state", 256, embed=4, doc="its action, numbered separately for each type"),
        Choice("owner", 3, names=("first", "second", "nobody"), embed=2, seat=True),
    ),
)

_PAD = Group(
    "pad",
    slots=2,
    per="player",
    doc="The players' inputs: the sticks as the game reads them (steps of 1/80), the shoulders as "
    "they were pushed.",
    fields=(
        Real("main_x", low=-1, high=1, store="f2", mirror="negate", predict="value"),
        Real("main_y", low=-1, high=1, store="f2", predict="value"),
        Real("c_x", low=-1, high=1, store="f2", mirror="negate", predict="value"),
        Real("c_y", low=-1, high=1, store="f2", predict="value"),
        Real("l_push", low=0, high=1, store="f2", predict="value", doc="analog, steps of 1/140"),
        Real("r_push", low=0, high=1, store="f2", predict="value"),
        Flag("a"),
        Flag("b"),
        Flag("x"),
        Flag("y"),
        Flag("z"),
        Flag("l", doc="clicked: the click techs, air-dodges and cancels; the push alone does not"),
        Flag("r"),
        Flag("start"),
        Flag("d_up"),
        Flag("d_down"),
        Flag("d_left", mirror="d_right"),
        Flag("d_right", mirror="d_left"),
    ),
)

SCHEMA = Schema("melee", fps=FPS, state=(_STAGE, _PLAYER, _ITEM), controls=_PAD)

# The default encoding leaves out the action counter, which only separates actions, and the
# undocumented bits.
HIDDEN = ("player/instance", *UNDOCUMENTED)
LEARNED = tuple(key for key in SCHEMA.columns if key not in HIDDEN)
