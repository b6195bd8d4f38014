"""Scene of Melee: capsules, lines and marks in the grammar of `core/scenes/grammar.py`, no assets.

The scene's y grows downward and the game's upward, so every height is negated.
"""

from __future__ import annotations

from typing import Any

from shadowbox.games.melee.names import (
    ACTIONS,
    CHARACTERS,
    DAMAGED,
    DYING,
    FIGHTERS,
    GRABBED,
    ITEMS,
    LAST_COPY,
    LAST_SPECIAL,
    PROPS,
    SPECIAL,
    STAGES,
    TECHING,
    THROWN,
    action_name,
)
from shadowbox.games.melee.schema import EVENTS
from shadowbox.games.melee.stages import FOUNTAIN_SPAN, GEOMETRY, RANDALL_HALF

# about the standing size of each fighter: [width, height]; others are middle-sized
_SIZES = {
    "mario": (8, 12.5), "fox": (7, 13.5), "falcon": (8, 16), "donkey_kong": (13, 17),
    "kirby": (10, 10), "bowser": (14, 18.5), "link": (8, 15), "sheik": (7, 15), "ness": (7, 11),
    "peach": (8, 15.5), "popo": (7, 10.5), "nana": (7, 10.5), "pikachu": (8, 9), "samus": (9, 16.5),
    "yoshi": (9, 14), "jigglypuff": (9.5, 9.5), "mewtwo": (8, 16.5), "luigi": (8, 14),
    "marth": (7, 15.5), "zelda": (8, 15.5), "young_link": (7, 11.5), "dr_mario": (8, 12.5),
    "falco": (7, 14), "pichu": (7, 7.5), "game_and_watch": (8, 13), "ganondorf": (10, 17),
    "roy": (7, 14.5),
}  # fmt: skip
MIDDLE = (8.0, 15.0)
GROUND = 5.0  # thickness of the ground
PLATFORM = 1.2
_RED, _GOLD, _WHITE, _BLUE, _VIOLET = "#D0342C", "#E0A100", "#FFFFFF", "#8FD3FF", "#C79BFF"


def _field(name: str, **more: Any) -> dict[str, Any]:
    return {"field": name, **more}


def _table(name: str, *at: Any) -> dict[str, Any]:
    return {"table": name, "at": list(at)}


def _sum(*parts: Any) -> dict[str, Any]:
    return {"sum": list(parts)}


def _times(*parts: Any) -> dict[str, Any]:
    return {"product": list(parts)}


def _up(value: Any) -> dict[str, Any]:
    return _times(-1, value)


_HERE = _field("stage/id")
_SEAT = _table("seat", {"slot": True})
_SIDE = _table("side", _field("player/facing_right"))
_FEET = _up(_field("player/y"))
_WIDTH, _HEIGHT = (_table("size", _field("player/character"), i) for i in (0, 1))
_BODY = _sum(_FEET, _times(-0.5, _HEIGHT))
_IN = _table("in", _field("player/action"))
_BOX = {name: {"item": i} for i, name in enumerate(("x", "y", "w", "h"))}

# ---- tables ----


def _on(stage: int) -> list[list[float]]:
    """Ground and fixed platforms of a stage as [x, y, w, h]."""
    if stage not in GEOMETRY:
        return []
    geometry = GEOMETRY[stage]
    ground = [0.0, GROUND / 2, 2 * geometry.edge, GROUND]
    return [
        ground,
        *(
            [(left + right) / 2, -height, right - left, PLATFORM]
            for left, right, height in geometry.platforms
        ),
    ]


def _blast(stage: int) -> list[list[float]]:
    if stage not in GEOMETRY:
        return []
    left, right, top, bottom = GEOMETRY[stage].blast
    return [[(left + right) / 2, -(top + bottom) / 2, right - left, top - bottom]]


def _ledges(stage: int) -> list[list[float]]:
    return [[side * GEOMETRY[stage].edge] for side in (-1, 1)] if stage in GEOMETRY else []


def _tint(action: int) -> str:
    """Color of a fighter's core by its action; "" for no tint."""
    if action in DAMAGED:
        return "#FFD84A"
    if action in GRABBED or action in THROWN:
        return _VIOLET
    if action in TECHING:
        return _WHITE
    return _RED if 44 <= action <= 69 or action >= SPECIAL else ""


def _names(action: int) -> list[str]:
    """Names of an action by character; where all have the same, one entry stands for them."""
    if SPECIAL <= action <= LAST_SPECIAL:
        return [action_name(action, character) for character in sorted(FIGHTERS)]
    if LAST_SPECIAL < action <= LAST_COPY:
        return [action_name(action, CHARACTERS.index("kirby"))]
    return [ACTIONS[action].replace("_", " ")]


_TINTS = [_tint(action) for action in range(len(ACTIONS))]

# ---- shapes ----

_STAGE_SHAPES: list[dict[str, Any]] = [
    {
        "shape": "rect",
        "for": _table("blast", _HERE),
        **_BOX,
        "line": _RED,
        "width": 0.8,
        "alpha": 0.4,
        "tag": "blast",
    },
    {
        "shape": "rect",
        "for": _table("ground", _HERE),
        **_BOX,
        "fill": "ground",
        "line": "ink",
        "width": 0.5,
    },
    {
        "shape": "circle",
        "for": _table("ledges", _HERE),
        "x": {"item": 0},
        "y": 0,
        "r": 1.2,
        "fill": "ink",
    },
    *(
        {
            "shape": "rect",
            "for": _table("fountain", _HERE),
            "x": side * sum(FOUNTAIN_SPAN) / 2,
            "y": _up(_field(f"stage/{name}_height")),
            "w": FOUNTAIN_SPAN[1] - FOUNTAIN_SPAN[0],
            "h": PLATFORM,
            "fill": "ground",
            "line": "ink",
            "width": 0.5,
        }
        for name, side in (("left", -1), ("right", 1))
    ),
    {
        "shape": "capsule",
        "if": _field("stage/randall"),
        "x": _field("stage/randall_x"),
        "y": _sum(_up(_field("stage/randall_y")), 1.5),
        "w": 2 * RANDALL_HALF,
        "h": 3,
        "fill": _WHITE,
        "line": "ink",
        "width": 0.4,
    },
    {
        "shape": "text",  # Whispy blows
        "for": _table("wind", _field("stage/wind")),
        "x": 0,
        "y": -12,
        "text": {"item": 0},
        "size": 9,
        "fill": "ink",
        "alpha": 0.6,
    },
]

_ITEM_SHAPES: list[dict[str, Any]] = [
    {
        "shape": "circle",
        "each": "item",
        "if": _field("item/alive"),
        "x": _field("item/x"),
        "y": _up(_field("item/y")),
        "r": _table("item_size", _field("item/type")),
        "fill": _table("owner", _field("item/owner")),
        "line": "ink",
        "width": 0.4,
    },
    {
        "shape": "polygon",  # direction of flight
        "each": "item",
        "if": _field("item/alive"),
        "x": _field("item/x"),
        "y": _up(_field("item/y")),
        "points": [
            [0, 0],
            [_times(3, _field("item/vx")), _up(_times(3, _field("item/vy")))],
            [0, 0.5],
        ],
        "fill": _GOLD,
        "line": _GOLD,
        "width": 0.6,
    },
]


def _beside(shape: str, **attributes: Any) -> dict[str, Any]:
    """Shape at the middle of each fighter who is in play."""
    return {
        "shape": shape,
        "each": "player",
        "if": _IN,
        "x": _field("player/x"),
        "y": _BODY,
        **attributes,
    }


_FIGHTER_SHAPES: list[dict[str, Any]] = [
    _beside(
        "polygon",  # a wedge that shows the facing
        points=[[_times(1, _SIDE), -4], [_times(8, _SIDE), 0], [_times(1, _SIDE), 4]],
        fill=_SEAT,
        line="ink",
        width=0.5,
    ),
    _beside("capsule", w=_WIDTH, h=_HEIGHT, fill=_SEAT, line="ink", width=0.5, tag="body"),
    _beside(
        "capsule",
        w=_sum(_WIDTH, -3),
        h=_sum(_HEIGHT, -3),
        fill=_table("tint", _field("player/action")),
        alpha=_table("tinted", _field("player/action")),
    ),
    {
        "shape": "circle",  # the shield, sized by its strength
        "each": "player",
        "if": _field("player/shield_active"),
        "x": _field("player/x"),
        "y": _BODY,
        "r": _sum(4, _times(0.12, _field("player/shield"))),
        "fill": _SEAT,
        "line": _SEAT,
        "width": 0.5,
        "alpha": 0.35,
    },
    {
        "shape": "circle",  # invulnerable or intangible
        "each": "player",
        "if": _field("player/hurtbox"),
        "x": _field("player/x"),
        "y": _BODY,
        "r": 10,
        "line": _BLUE,
        "width": 0.7,
        "alpha": 0.7,
    },
    _beside(
        "polygon",  # knock-back
        points=[
            [0, -0.8],
            [_times(5, _field("player/knock_vx")), _up(_times(5, _field("player/knock_vy")))],
            [0, 0.8],
        ],
        fill=_GOLD,
    ),
    _beside(
        "text",
        y=_sum(_FEET, _up(_HEIGHT), -3),
        text=_table("label", {"slot": True}),
        size=5,
        fill="ink",
    ),
]

_MARKS: list[dict[str, Any]] = [
    {
        "shape": "circle",
        "on": "hit",
        "x": _field("player/x"),
        "y": _BODY,
        "r": _sum(5, _times(0.5, {"event": "value"})),
        "line": _RED,
        "width": 1.2,
        "alpha": 0.9,
        "tag": "ring",
    },
]

SCENE: dict[str, Any] = {
    "bounds": [-260, -255, 260, 150],
    "camera": {"keep": [-60, -45, 60, 15], "margin": 25},
    "event_kinds": list(EVENTS),
    "marks": {"hit": "tick", "ko": "cross", "ledge": "square", "grab": "diamond", "tech": "ring"},
    "hud": [
        {"label": "stocks", "field": "player/stocks", "as": "pips", "of": 4},
        {"label": "damage", "field": "player/percent", "as": "number", "danger": 100, "unit": "%"},
        {
            "label": "state",
            "as": "word",
            "value": _table("action", _field("player/action"), _field("player/character")),
        },
    ],
    "who": _table("character", _field("player/character")),
    "where": _table("stage", _HERE),
    "tables": {
        "seat": ["p1", "p2"],
        "label": ["P1", "P2"],
        "side": [-1, 1],
        "size": [list(_SIZES.get(name, MIDDLE)) for name in CHARACTERS],
        "character": [name.replace("_", " ").title() for name in CHARACTERS],
        "stage": [name.replace("_", " ").title() for name in STAGES],
        "ground": [_on(stage) for stage in range(len(STAGES))],
        "blast": [_blast(stage) for stage in range(len(STAGES))],
        "ledges": [_ledges(stage) for stage in range(len(STAGES))],
        "fountain": [[[0]] if name == "fountain_of_dreams" else [] for name in STAGES],
        "wind": [[], [["<<"]], [[">>"]]],
        "in": [action not in DYING for action in range(len(ACTIONS))],
        "tint": _TINTS,
        "tinted": [tint != "" for tint in _TINTS],
        "action": [_names(action) for action in range(len(ACTIONS))],
        "owner": ["p1", "p2", _GOLD],
        "item_size": [1.0 if number in PROPS else 2.0 for number in range(len(ITEMS))],
    },
    "shapes": [*_STAGE_SHAPES, *_ITEM_SHAPES, *_FIGHTER_SHAPES, *_MARKS],
}
