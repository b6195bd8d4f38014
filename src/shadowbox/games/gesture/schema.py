"""Schema of a frame of gesture: landmarks of body and hands, the game's state, and the controls.

The layout is that of MediaPipe: 33 landmarks of the pose and 21 of each hand, in metres, from the
hips and from each wrist's hand; x grows to the right of the picture, y downward, z away from the
camera. What the camera does not find is zero and marked in `seen`. Velocities are per second, so
that they mean the same at any frame rate. The state of the game is that of the frame before
(games/gesture/features.py).

Zero is the neutral value of every control: no key, no turn, no change of slot, and the cursor in
the middle. A control counts in its mode only (`when`): in play, with a screen open, or always.
Where "nothing" is an answer of its own there is a gate: `looking` for the two axes of the look,
and the first value of `hotbar`.
"""

from __future__ import annotations

from shadowbox.core.schema import Choice, Flag, Group, Real, Schema

FPS = 30  # frames a second of every episode; recordings are resampled
FULL_TURN_RATE = 300.0  # degrees a second of a look of 1
LOOK_DEADZONE = 0.08  # a look of at most this much on both axes does not count

_POSE = (
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
    "left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb right_thumb "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel "
    "left_foot_index right_foot_index"
)
POSE_LANDMARKS = tuple(_POSE.split())
HAND_LANDMARKS = (
    "wrist",
    *(f"thumb_{joint}" for joint in ("cmc", "mcp", "ip", "tip")),
    *(
        f"{finger}_{joint}"
        for finger in ("index", "middle", "ring", "pinky")
        for joint in ("mcp", "pip", "dip", "tip")
    ),
)
HANDS = ("left", "right")
HAND_SLOTS = len(HANDS) * len(HAND_LANDMARKS)  # the left hand's landmarks, then the right's
HAND_OF = {
    hand: slice(at * len(HAND_LANDMARKS), (at + 1) * len(HAND_LANDMARKS))
    for at, hand in enumerate(HANDS)
}

MAIN_HAND = ("melee", "ranged", "placeable", "food", "tool", "empty", "other")
OFF_HAND = ("shield", "food", "totem", "empty")
SCREENS = ("none", "inventory", "container", "other")
SLOTS = 9  # of the hotbar

IN_PLAY, IN_SCREEN, ALWAYS = "!game/screen_open", "game/screen_open", ""


def _other_side(name: str) -> str:
    """Name of the landmark at the same place on the other side of the body."""
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def _bone(name: str) -> tuple[int, ...]:
    """Landmarks of the pose from whose middle a landmark hangs; the hips hang from the origin."""
    side, _, part = name.partition("_")
    above = {
        "shoulder": "hip",
        "ear": "shoulder",
        "elbow": "shoulder",
        "wrist": "elbow",
        "knee": "hip",
        "ankle": "knee",
        **dict.fromkeys(("pinky", "index", "thumb"), "wrist"),
        **dict.fromkeys(("heel", "foot_index"), "ankle"),
    }
    if part == "hip":
        return ()
    sides = (side,) if part in above and part not in ("shoulder", "ear") else HANDS
    return tuple(POSE_LANDMARKS.index(f"{each}_{above.get(part, 'ear')}") for each in sides)


def _finger(slot: int) -> tuple[int, ...]:
    """Landmark of a hand from which another one hangs; fingers hang from the wrist."""
    at = slot % len(HAND_LANDMARKS)
    return () if at == 0 else (slot - at if at % 4 == 1 else slot - 1,)


def _place(name: str, mirror: str, doc: str) -> Real:
    """Coordinate of a landmark."""
    return Real(name, mirror=mirror, scale=3, low=-10, high=10, unit="m", predict="value", doc=doc)


def _rate(name: str, mirror: str = "keep") -> Real:
    """Velocity of a landmark along an axis."""
    return Real(
        name, mirror=mirror, scale=0.5, low=-100, high=100, unit="m/s", predict="no", store="f2"
    )


_LANDMARK = (
    _place("x", "negate", "to the right of the picture"),
    _place("y", "keep", "downward"),
    _place("z", "keep", "away from the camera"),
    _rate("vx", "negate"),
    _rate("vy"),
    _rate("vz"),
)
_POSE_GROUP = Group(
    "pose",
    slots=len(POSE_LANDMARKS),
    mirror_slots=tuple(POSE_LANDMARKS.index(_other_side(name)) for name in POSE_LANDMARKS),
    shown_by=("seen/pose",) * len(POSE_LANDMARKS),
    bones=tuple(map(_bone, POSE_LANDMARKS)),
    doc="Landmarks of the body, from the middle of the hips, in the order of POSE_LANDMARKS.",
    fields=(
        *_LANDMARK,
        Real("visibility", low=0, high=1, predict="no", store="f2", doc="0: hidden, 1: visible"),
    ),
)
_HAND_GROUP = Group(
    "hand",
    slots=HAND_SLOTS,
    mirror_slots=tuple((slot + len(HAND_LANDMARKS)) % HAND_SLOTS for slot in range(HAND_SLOTS)),
    shown_by=tuple(f"seen/{hand}_hand" for hand in HANDS for _ in HAND_LANDMARKS),
    bones=tuple(map(_finger, range(HAND_SLOTS))),
    doc="Landmarks of the left hand, then of the right one, in the order of HAND_LANDMARKS.",
    fields=_LANDMARK,
)
_SEEN_GROUP = Group(
    "seen",
    doc="What the camera found.",
    fields=(
        Flag("pose"),
        Flag("left_hand", mirror="right_hand"),
        Flag("right_hand", mirror="left_hand"),
    ),
)


def _amount(name: str, most: float, unit: str = "", doc: str = "", low: float = 0.0) -> Real:
    """Number of the game's state, from `low` to `most`, coded as a share of `most`."""
    return Real(name, scale=1 / most, low=low, high=most, unit=unit, store="f2", doc=doc)


# in the order of the older system's vector; `screen_open` follows from `screen`
_GAME_GROUP = Group(
    "game",
    doc="State of Minecraft one frame ago.",
    fields=(
        Choice("main_hand", len(MAIN_HAND), names=MAIN_HAND, embed=4),
        Choice("off_hand", len(OFF_HAND), names=OFF_HAND, embed=2),
        _amount("health", 20, "half hearts"),
        _amount("hunger", 20, "half drumsticks"),
        _amount("armor", 20, "points"),
        *(
            Flag(name)
            for name in (
                "on_ground",
                "in_water",
                "swimming",
                "flying",
                "climbing",
                "on_fire",
                "sprinting",
                "sneaking",
            )
        ),
        _amount("fall_distance", 20, "blocks"),
        _amount("velocity_y", 3, "blocks/tick", "upward", low=-3),
        _amount("attack_cooldown", 1, doc="1: ready"),
        Flag("using_item"),
        Flag("blocking"),
        _amount("item_use_progress", 1),
        Flag("recently_hurt"),
        Flag("crosshair_entity"),
        Flag("crosshair_block"),
        Flag("target_hostile"),
        _amount("target_distance", 6, "blocks", "6: nothing in reach"),
        _amount("hostile_distance", 32, "blocks", "of the nearest; 32: none known"),
        Real(
            "hostile_yaw",
            scale=1 / 180,
            low=-180,
            high=180,
            unit="degrees",
            store="f2",
            mirror="negate",
            doc="direction of the nearest hostile, 0: none known",
        ),
        _amount("hostile_count", 10),
        Real("time_of_day", scale=1 / 24000, low=0, high=24000, unit="ticks"),
        Flag("survival", doc="off: any other game mode"),
        Choice("screen", len(SCREENS), names=SCREENS, embed=2),
        *(
            Flag(name)
            for name in ("speed", "slowness", "strength", "poison_or_wither", "fire_resistance")
        ),
        Choice("selected_slot", SLOTS, embed=4, doc="of the hotbar, 0 is the first"),
        Flag("horizontal_collision"),
        Flag("screen_open", doc="`screen` is not none; the mode of the controls"),
    ),
)

_HELD = ("move_forward", "move_backward", "strafe_left", "strafe_right", "sprint", "sneak")
ACTIONS = (*_HELD, "jump", "attack", "use_item", "drop_item", "swap_offhand", "open_inventory")
PULSES = ("jump", "attack", "drop_item", "swap_offhand", "open_inventory", "inv_left", "inv_right")
LOOK = ("look_yaw", "look_pitch")
HOTBAR = tuple(f"hotbar_{slot + 1}" for slot in range(SLOTS))
CURSOR = ("cursor_x", "cursor_y")
INVENTORY = ("inv_left", "inv_right", "inv_shift_held")
# the five groups of controls, each value by the older system's name
CONTROL_GROUPS = {
    "action": ACTIONS,
    "look": LOOK,
    "hotbar": HOTBAR,
    "cursor": CURSOR,
    "inventory": INVENTORY,
}
CONTROLS = tuple(name for names in CONTROL_GROUPS.values() for name in names)
# order of the older system's vector of controls
OLDER_ORDER = (*ACTIONS[:9], *LOOK, *ACTIONS[9:], *HOTBAR, *CURSOR, *INVENTORY)

_SIDES = {"strafe_left": "strafe_right", "strafe_right": "strafe_left"}


def _stick(name: str, unit: str, when: str, mirror: str, doc: str, scale: float = 1.0) -> Real:
    """Control between -1 and 1."""
    return Real(
        name,
        scale=scale,
        low=-1,
        high=1,
        store="f2",
        unit=unit,
        predict="value",
        when=when,
        mirror=mirror,
        doc=doc,
    )


_CONTROL_GROUP = Group(
    "control",
    per="player",
    doc="Keys, look, hotbar, cursor and clicks.",
    fields=(
        *(
            Flag(
                name,
                when=ALWAYS if name == "open_inventory" else IN_PLAY,
                mirror=_SIDES.get(name, "keep"),
            )
            for name in ACTIONS
        ),
        Flag("looking", when=IN_PLAY, doc="gate of the look: off means no turn"),
        _stick("look_yaw", f"{FULL_TURN_RATE:.0f} degrees/s", IN_PLAY, "negate", "to the right", 4),
        _stick("look_pitch", f"{FULL_TURN_RATE:.0f} degrees/s", IN_PLAY, "keep", "downward", 4),
        Choice(
            "hotbar",
            1 + SLOTS,
            names=("no_change", *HOTBAR),
            when=IN_PLAY,
            doc="in the frame of a change only",
        ),
        _stick("cursor_x", "half a screen", IN_SCREEN, "negate", "to the right of the middle", 3),
        _stick("cursor_y", "half a screen", IN_SCREEN, "keep", "below the middle", 3),
        *(Flag(name, when=IN_SCREEN) for name in INVENTORY),
    ),
)

SCHEMA = Schema(
    "gesture",
    fps=FPS,
    state=(_POSE_GROUP, _HAND_GROUP, _SEEN_GROUP, _GAME_GROUP),
    controls=_CONTROL_GROUP,
)

# ---- sizes of the older system's vectors, derived ------------------------------------------------

POSITIONS = tuple(f"{group}/{axis}" for group in ("pose", "hand") for axis in "xyz")
GAME_KEYS = tuple(
    f"game/{field.name}" for field in _GAME_GROUP.fields if field.name != "screen_open"
)
ONE_HOT = ("game/main_hand", "game/off_hand")  # the other choices are one number each
HISTORY = 5  # frames of earlier controls in the older system's input

POSITION_VALUES = sum(SCHEMA.columns[key].slots for key in POSITIONS)  # 225, and their velocities
FRAME_VALUES = POSITION_VALUES + len(HANDS) + len(POSE_LANDMARKS)  # 260: presence, visibility
STATE_VALUES = sum(
    field.n if isinstance(field, Choice) and key in ONE_HOT else 1
    for key in GAME_KEYS
    for field in (SCHEMA.columns[key].field,)
)  # 46
HISTORY_VALUES = HISTORY * len(CONTROLS)  # 140
INPUT_VALUES = FRAME_VALUES + POSITION_VALUES + STATE_VALUES + HISTORY_VALUES  # 671

# ---- inputs of models ----------------------------------------------------------------------------

# They follow a control within a frame or two of the game, so that a policy that reads them repeats
# its keys, or in a recording those of the person, and does not look at the body.
LEAKS = (
    "game/main_hand",
    "game/off_hand",
    "game/on_ground",
    "game/velocity_y",
    "game/fall_distance",
    "game/attack_cooldown",
    "game/sprinting",
    "game/sneaking",
    "game/using_item",
    "game/item_use_progress",
    "game/blocking",
    "game/selected_slot",
)
BODY = tuple(key for key in SCHEMA.columns if key.startswith(("pose/", "hand/", "seen/")))
LEARNED = tuple(key for key in SCHEMA.columns if key not in LEAKS)
