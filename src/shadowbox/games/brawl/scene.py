"""Scene of Brawl: the shapes that the viewer draws, in the grammar of `core/scenes/grammar.py`.

Geometry and hit boxes come from the tables of the rules.
"""

from __future__ import annotations

from typing import Any

from shadowbox.games.brawl import rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.moves import Move
from shadowbox.games.brawl.schema import EVENTS, MOVES, STAGES, STATES, STOCKS, WEAPONS

_BODY_W, _BODY_H = 2 * rules.HURT_R, 2 * (rules.HURT_R + rules.HURT_H)

# A state tints the core of a fighter, while the rim keeps the color of the seat; "" draws no tint.
_TINTS = {
    "stun": "#FFD84A",
    "dodge": "#FFFFFF",
    "attack": "#B3261E",
    "dash": "#8FD3FF",
    "backdash": "#8FD3FF",
    "taunt": "#C79BFF",
}
_RED, _GOLD, _WOOD, _STEEL, _IRON = "#D0342C", "#E0A100", "#8B6B43", "#6F9C8C", "#7A6A8F"
_BOX = ("x", "y", "w", "h")

# The pieces of a weapon, drawn in order: a spear is long and thin with a pointed head, a hammer
# short with a heavy head.
_SHAFTS = {"spear": [0.5, 0.12, 2.1, 0.1, _WOOD], "hammer": [0.55, 0.05, 1.1, 0.13, _WOOD]}
_BANDS = {"spear": [1.2, 0.12, 0.1, 0.2, _STEEL], "hammer": [1.15, 0.05, 0.5, 0.74, _IRON]}
# x of its base, y, length, half its breadth, color
_TIPS = {"spear": (1.5, 0.12, 0.55, 0.17, _STEEL)}


def _field(name: str) -> dict[str, Any]:
    return {"field": name}


def _look_up(table: str, *at: Any) -> dict[str, Any]:
    return {"table": table, "at": list(at)}


def _blocks(stage: str) -> list[list[float]]:
    """Blocks of a stage as [center x, center y, width, height]."""
    rows = rules.stage(stage)["blocks"][0].tolist()
    return [
        [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        for left, right, top, bottom in rows
    ]


def _boxes(move: Move | None) -> list[list[list[float]]]:
    """Active hit boxes of a move for each frame, up to the first frame after its last strike."""
    if move is None:
        return [[]]
    last = max(strike.frames[1] for strike in move.strikes)
    return [
        [list(s.box) for s in move.strikes if s.frames[0] <= frame <= s.frames[1]]
        for frame in range(last + 2)
    ]


_SEAT = _look_up("seat", {"slot": True})
_SIDE = _look_up("side", _field("player/facing_right"))
_IN = _look_up("in", _field("player/state"))
_AT = {"each": "player", "x": _field("player/x"), "y": _field("player/y")}


def _beside(shape: str, **attributes: Any) -> dict[str, Any]:
    """Shape for each fighter who is not out, at the fighter's position."""
    return {"shape": shape, "if": _IN, **_AT, **attributes}


def _parts(table: str, *at: Any, **attributes: Any) -> dict[str, Any]:
    """Rectangle for each [x, y, w, h] of a table, relative to a fighter's center and facing."""
    x, y, w, h = ({"item": i} for i in range(4))
    return {
        "shape": "rect",
        "each": "player",
        "for": _look_up(table, *at),
        "x": {"sum": [_field("player/x"), {"product": [_SIDE, x]}]},
        "y": {"sum": [_field("player/y"), y]},
        "w": w,
        "h": h,
        **attributes,
    }


def _tip(group: str, side: Any, **attributes: Any) -> dict[str, Any]:
    """Head of a spear, in a hand or on the stage."""
    base, y, length, half = ({"item": i} for i in range(4))
    return {
        "shape": "polygon",
        "each": group,
        "for": _look_up("tips", _field(f"{group}/weapon")),
        "x": {"sum": [_field(f"{group}/x"), {"product": [side, base]}]},
        "y": {"sum": [_field(f"{group}/y"), y]},
        "points": [[0, {"product": [-1, half]}], [{"product": [side, length]}, 0], [0, half]],
        "fill": {"item": 4},
        "line": "ink",
        "width": 0.03,
        **attributes,
    }


_STAGE_SHAPES: list[dict[str, Any]] = [
    {
        "shape": "rect",
        "x": 0,
        "y": 0,
        "w": 2 * rules.BLAST_X,
        "h": 2 * rules.BLAST_Y,
        "line": _RED,
        "width": 0.06,
        "alpha": 0.4,
        "tag": "blast",
    },
    {
        "shape": "rect",
        "for": _look_up("blocks", _field("match/stage")),
        **{name: {"item": i} for i, name in enumerate(_BOX)},
        "fill": "ground",
    },
    {
        "shape": "rect",  # the upper edge of a block
        "for": _look_up("edges", _field("match/stage")),
        **{name: {"item": i} for i, name in enumerate(_BOX)},
        "fill": "ink",
    },
    {
        "shape": "capsule",
        "x": _field("platform/x"),
        "y": _field("platform/y"),
        "w": 2 * rules.PLATFORM_W,
        "h": 2 * rules.PLATFORM_H,
        "fill": "ink",
    },
]

_ITEM_SHAPES: list[dict[str, Any]] = [
    {
        "shape": "circle",  # a glow around items
        "each": "item",
        "if": _field("item/alive"),
        "x": _field("item/x"),
        "y": _field("item/y"),
        "r": 0.6,
        "fill": _GOLD,
        "alpha": 0.18,
    },
    {
        "shape": "rect",
        "each": "item",
        "if": _field("item/alive"),
        "for": _look_up("pieces", _field("item/weapon")),
        "x": {"sum": [_field("item/x"), {"item": 0}, -0.6]},
        "y": {"sum": [_field("item/y"), {"item": 1}, -0.1]},
        "w": {"item": 2},
        "h": {"item": 3},
        "fill": {"item": 4},
        "line": "ink",
        "width": 0.03,
    },
    _tip(
        "item",
        1,
        **{
            "if": _field("item/alive"),
            "x": {"sum": [_field("item/x"), {"item": 0}, -0.6]},
            "y": _field("item/y"),
        },
    ),
]

_FIGHTER_SHAPES: list[dict[str, Any]] = [
    _beside(
        "polygon",  # a wedge that shows the facing
        points=[
            [{"product": [0.1, _SIDE]}, -0.48],
            [{"product": [0.92, _SIDE]}, 0],
            [{"product": [0.1, _SIDE]}, 0.48],
        ],
        fill=_SEAT,
        line="ink",
        width=0.06,
    ),
    _beside("capsule", w=_BODY_W, h=_BODY_H, fill=_SEAT, line="ink", width=0.06, tag="body"),
    _beside(
        "capsule",
        w=_BODY_W - 0.36,
        h=_BODY_H - 0.36,
        fill=_look_up("tint", _field("player/state")),
        alpha=_look_up("tinted", _field("player/state")),
    ),
    _parts(
        "pieces", _field("player/weapon"), **{"if": _IN}, fill={"item": 4}, line="ink", width=0.03
    ),
    _tip("player", _SIDE, **{"if": _IN}),
    _beside(
        "circle", r={"product": [0.04, _field("player/charge")]}, line=_GOLD, width=0.1, alpha=0.8
    ),
    {
        "shape": "circle",
        "each": "player",
        "if": _field("player/shield"),
        "x": _field("player/x"),
        "y": _field("player/y"),
        "r": 0.95,
        "fill": _SEAT,
        "line": _SEAT,
        "width": 0.08,
        "alpha": 0.3,
    },
    _beside(
        "text",
        y={"sum": [_field("player/y"), -1.05]},
        text=_look_up("label", {"slot": True}),
        size=0.55,
        fill="ink",
    ),
]

_STRIKE_SHAPES: list[dict[str, Any]] = [
    _parts(
        "boxes",
        _field("player/weapon"),
        _field("player/move"),
        _field("player/move_frame"),
        **{"if": _look_up("attacks", _field("player/state"))},
        tag="hitbox",
        fill=_RED,
        line=_RED,
        width=0.04,
        alpha=0.35,
    ),
    {
        "shape": "circle",
        "on": "hit",
        "x": _field("player/x"),
        "y": _field("player/y"),
        "r": {"sum": [0.5, {"product": [0.05, {"event": "value"}]}]},
        "line": _RED,
        "width": 0.14,
        "alpha": 0.9,
        "tag": "ring",
    },
]

SCENE: dict[str, Any] = {
    # 29.8 x 16.8
    "bounds": [
        -rules.BLAST_X - 0.9,
        -rules.BLAST_Y - 0.4,
        rules.BLAST_X + 0.9,
        rules.BLAST_Y + 0.4,
    ],
    "camera": {"keep": [-5.5, -1, 5.5, 3.5], "margin": 2.5},
    "event_kinds": list(EVENTS),
    "marks": {"hit": "tick", "knockout": "cross", "pickup": "diamond"},
    "hud": [
        {"label": "stocks", "field": "player/stocks", "as": "pips", "of": STOCKS},
        {"label": "damage", "field": "player/damage", "as": "number", "danger": 150},
    ],
    "tables": {
        "seat": ["p1", "p2"],
        "label": ["P1", "P2"],
        "side": [-1, 1],
        "blocks": [_blocks(stage) for stage in STAGES],
        "edges": [
            [[x, y - h / 2 + 0.08, w, 0.16] for x, y, w, h in _blocks(stage)] for stage in STAGES
        ],
        "in": [state != "ko" for state in STATES],
        "tint": [_TINTS.get(state, "") for state in STATES],
        "tinted": [state in _TINTS for state in STATES],
        "attacks": [state == "attack" for state in STATES],
        "boxes": [[_boxes(ARSENAL[weapon].get(move)) for move in MOVES] for weapon in WEAPONS],
        "pieces": [
            [part[weapon] for part in (_SHAFTS, _BANDS) if weapon in part] for weapon in WEAPONS
        ],
        "tips": [[list(_TIPS[weapon])] if weapon in _TIPS else [] for weapon in WEAPONS],
    },
    "shapes": [*_STAGE_SHAPES, *_ITEM_SHAPES, *_FIGHTER_SHAPES, *_STRIKE_SHAPES],
}
