"""Scene of gesture: skeleton, both hands, keys, look, cursor, hotbar and the game's state.

The picture is 16 by 9; the person is drawn as the camera sees it, the right hand on the left.
"""

from __future__ import annotations

from typing import Any

from shadowbox.games.gesture.schema import (
    ACTIONS,
    HAND_LANDMARKS,
    HAND_OF,
    HAND_SLOTS,
    HANDS,
    INVENTORY,
    MAIN_HAND,
    POSE_LANDMARKS,
    SCREENS,
    SLOTS,
)

Shape = dict[str, Any]

_BODY = (3.1, 4.0, 2.9)  # x, y of the hips, and units a metre
_HAND_AT = {"right": (6.9, 2.0), "left": (9.1, 2.0)}  # of the wrists
_HAND_SCALE = 8.5
_KEYS = (10.6, 0.7)
_GREEN, _GREY, _RED, _GOLD, _BLUE = "#2E8B57", "#B8B8B8", "#B3261E", "#E0A100", "#2F7FC1"

_BONES = (
    *((f"{side}_{a}", f"{side}_{b}") for side in HANDS for a, b in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "index"), ("wrist", "pinky"),
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "heel"), ("ankle", "foot_index"),
        ("shoulder", "hip"), ("eye", "ear"))),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("left_eye", "nose"),
    ("right_eye", "nose"),
    ("mouth_left", "mouth_right"),
)  # fmt: skip
_FINGERS = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
    for finger in range(5)
    for joint in range(4)
)
_GAUGES = (("health", 20, _RED), ("hunger", 20, _GOLD), ("attack_cooldown", 1, _BLUE))
_LAMPS = ("on_ground", "sprinting", "sneaking", "using_item", "target_hostile", "recently_hurt")


def _field(key: str, slot: int | None = None) -> dict[str, Any]:
    return {"field": key} if slot is None else {"field": key, "slot": slot}


def _scaled(origin: float, scale: float, value: Any) -> dict[str, Any]:
    return {"sum": [origin, {"product": [scale, value]}]}


def _text(x: float, y: float, text: Any, size: float = 0.3, **more: Any) -> Shape:
    return {"shape": "text", "x": x, "y": y, "text": text, "size": size, "fill": "ink", **more}


def _bone(group: str, ends: tuple[int, int], at: tuple[float, float, float], **more: Any) -> Shape:
    """Line between two landmarks."""
    x, y, scale = at
    points = [
        [
            {"product": [scale, _field(f"{group}/x", slot)]},
            {"product": [scale, _field(f"{group}/y", slot)]},
        ]
        for slot in ends
    ]
    return {
        "shape": "polygon",
        "x": x,
        "y": y,
        "points": points,
        "line": "ink",
        "width": 0.05,
        **more,
    }


def _lamp(x: float, y: float, key: str, label: str) -> list[Shape]:
    """Dot that is green while a flag is on, and its name."""
    color = {"table": "lamp", "at": [_field(key)]}
    return [
        {"shape": "circle", "x": x, "y": y, "r": 0.14, "fill": color, "line": "ink", "width": 0.02},
        _text(x + 0.28, y + 0.02, label, 0.26, align="left"),
    ]


def _body() -> list[Shape]:
    at = {name: number for number, name in enumerate(POSE_LANDMARKS)}
    seen = {"if": _field("seen/pose")}
    bones = [_bone("pose", (at[a], at[b]), _BODY, **seen) for a, b in _BONES]
    joints = {
        "shape": "circle",
        "each": "pose",
        **seen,
        "x": _scaled(_BODY[0], _BODY[2], _field("pose/x")),
        "y": _scaled(_BODY[1], _BODY[2], _field("pose/y")),
        "r": 0.06,
        "fill": _BLUE,
        "alpha": _field("pose/visibility"),
    }
    return [*bones, joints]


def _hands() -> list[Shape]:
    shapes: list[Shape] = []
    for side in HANDS:
        seen = {"if": _field(f"seen/{side}_hand")}
        start = HAND_OF[side].start
        place = (*_HAND_AT[side], _HAND_SCALE)
        shapes.append(_text(place[0], 0.6, f"{side} hand", 0.26))
        shapes += [_bone("hand", (start + a, start + b), place, **seen) for a, b in _FINGERS]
    shapes.append(
        {
            "shape": "circle",
            "each": "hand",
            "if": {
                "table": "hand_seen",
                "at": [{"slot": True}, *(_field(f"seen/{side}_hand") for side in HANDS)],
            },
            "x": {
                "sum": [
                    {"table": "hand_x", "at": [{"slot": True}]},
                    {"product": [_HAND_SCALE, _field("hand/x")]},
                ]
            },
            "y": {"sum": [_HAND_AT["left"][1], {"product": [_HAND_SCALE, _field("hand/y")]}]},
            "r": 0.05,
            "fill": _BLUE,
        }
    )
    return shapes


def _controls() -> list[Shape]:
    shapes: list[Shape] = []
    x, y = _KEYS
    for number, name in enumerate((*ACTIONS, *INVENTORY)):
        column, row = divmod(number, 8)
        shapes += _lamp(x + 2.8 * column, y + 0.42 * row, f"control/{name}", name.replace("_", " "))
    x, y, r = 7.0, 5.4, 0.8
    ring = {"shape": "circle", "x": x, "y": y, "r": r, "line": "ink", "width": 0.03}
    stick = {
        "shape": "circle",
        "x": _scaled(x, r, _field("control/look_yaw")),
        "y": _scaled(y, r, _field("control/look_pitch")),
        "r": 0.14,
        "fill": {"table": "lamp", "at": [_field("control/looking")]},
    }
    shapes += [_text(x, y - 1.1, "look", 0.26), ring, stick]
    x, y, w, h = 9.3, 5.4, 2.0, 1.2
    opened = {"if": _field("game/screen_open")}
    shapes += [
        _text(x, y - 1.1, "cursor", 0.26),
        {"shape": "rect", "x": x, "y": y, "w": w, "h": h, "line": "ink", "width": 0.03},
        {
            "shape": "circle",
            **opened,
            "x": _scaled(x, w / 2, _field("control/cursor_x")),
            "y": _scaled(y, h / 2, _field("control/cursor_y")),
            "r": 0.12,
            "fill": _GREEN,
        },
    ]
    return shapes


def _game() -> list[Shape]:
    x, y = 10.6, 4.6
    shapes = [
        _text(x - 0.14, y, "game, one frame ago", 0.26, align="left"),
        _text(
            x - 0.14,
            y + 0.4,
            {"table": "screen", "at": [_field("game/screen")]},
            0.26,
            align="left",
        ),
        _text(
            x + 2.66,
            y + 0.4,
            {"table": "held", "at": [_field("game/main_hand")]},
            0.26,
            align="left",
        ),
    ]
    for number, (name, most, color) in enumerate(_GAUGES):
        at, width = y + 0.85 + 0.4 * number, 2.4
        share = {"product": [width / most, _field(f"game/{name}")]}
        shapes += [
            _text(x - 0.14, at, name.replace("_", " "), 0.24, align="left"),
            {
                "shape": "rect",
                "x": x + 3.6,
                "y": at,
                "w": width,
                "h": 0.18,
                "line": "ink",
                "width": 0.02,
            },
            {
                "shape": "rect",
                "x": {"sum": [x + 3.6 - width / 2, {"product": [0.5, share]}]},
                "y": at,
                "w": share,
                "h": 0.18,
                "fill": color,
            },
        ]
    for number, name in enumerate(_LAMPS):
        column, row = divmod(number, 3)
        shapes += _lamp(
            x + 2.8 * column, y + 2.15 + 0.4 * row, f"game/{name}", name.replace("_", " ")
        )
    return shapes


def _hotbar() -> list[Shape]:
    shapes: list[Shape] = []
    x, y, size = 6.1, 8.2, 0.55
    for slot in range(SLOTS):
        shapes += [
            {
                "shape": "rect",
                "x": x + size * slot,
                "y": y,
                "w": size,
                "h": size,
                "line": "ink",
                "width": 0.02,
            },
            _text(x + size * slot, y + 0.03, str(slot + 1), 0.24),
        ]
    chosen = {"shape": "rect", "y": y, "w": size, "h": size, "width": 0.08}
    shapes += [
        {**chosen, "x": _scaled(x, size, _field("game/selected_slot")), "line": _GOLD},
        {
            **chosen,
            "if": _field("control/hotbar"),
            "x": _scaled(x - size, size, _field("control/hotbar")),
            "line": _GREEN,
        },
    ]
    return shapes


SCENE: dict[str, Any] = {
    "bounds": [0, 0, 16, 9],
    "hud": [],
    "tables": {
        "lamp": [_GREY, _GREEN],
        "screen": [f"screen: {name}" for name in SCREENS],
        "held": [f"in hand: {name}" for name in MAIN_HAND],
        "hand_x": [_HAND_AT[HANDS[slot // len(HAND_LANDMARKS)]][0] for slot in range(HAND_SLOTS)],
        "hand_seen": [
            [[False, False], [True, True]]
            if slot < len(HAND_LANDMARKS)
            else [[False, True], [False, True]]
            for slot in range(HAND_SLOTS)
        ],
    },
    "shapes": [*_body(), *_hands(), *_controls(), *_game(), *_hotbar()],
}
