"""Scene of Brawl: the shapes that the viewer draws, in the grammar of `core/scenes/grammar.py`.

Geometry and hit boxes come from the tables of the rules.
"""

from __future__ import annotations

from typing import Any

from shadowbox.games.brawl import rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.figures.body import fighter
from shadowbox.games.brawl.moves import Move
from shadowbox.games.brawl.schema import EVENTS, MOVES, STAGES, STATES, STOCKS, WEAPONS

_BOX = ("x", "y", "w", "h")
_KO_SEEN = 24  # frames for which the camera stays with a knock-out

# Weapons on the stage, drawn in order: a spear is long and thin with a pointed head, a hammer short
# with a heavy head. [x, y, w, h, color], and of a point [x of its base, y, length, half its breadth]
_PIECES = {
    "spear": [[-0.1, 0.0, 1.7, 0.075, "wood"]],
    "hammer": [[-0.1, 0.0, 1.2, 0.095, "wood"], [0.53, -0.12, 0.36, 0.54, "iron"]],
}
_TIPS = {"spear": [[0.65, 0.0, 0.5, 0.1, "steel"]]}


def _field(name: str, slot: int | None = None) -> dict[str, Any]:
    return {"field": name} if slot is None else {"field": name, "slot": slot}


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
_BLAST = [-rules.BLAST_X, -rules.BLAST_Y, rules.BLAST_X, rules.BLAST_Y]


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


def _line(x: float, y: float, w: float, h: float) -> dict[str, Any]:
    """Dotted line of the blast zone."""
    place = {"x": x, "y": y, "w": w, "h": h, "step": 0.4, "r": 0.05}
    return {"shape": "dots", **place, "fill": "kill", "tag": "blast"}


_STAGE_SHAPES: list[dict[str, Any]] = [
    {
        "shape": "dots",  # squared paper, so that speed and height can be read
        "x": 0,
        "y": 0,
        "w": 4 * rules.BLAST_X,
        "h": 4 * rules.BLAST_Y,
        "step": 1,
        "r": 0.028,
        "fill": "line",
        "from": 14,
    },
    *(_line(0, side * rules.BLAST_Y, 2 * rules.BLAST_X, 0) for side in (-1, 1)),
    *(_line(side * rules.BLAST_X, 0, 0, 2 * rules.BLAST_Y) for side in (-1, 1)),
    *(
        {
            "shape": shape,
            "for": _look_up("blocks", _field("match/stage")),
            **{name: {"item": i} for i, name in enumerate(_BOX)},
            **style,
        }
        for shape, style in (
            ("rect", {"fill": "ground"}),
            ("hatch", {"line": "ground/ink/0.075", "width": 0.035, "step": 0.6}),
        )
    ),
    {
        "shape": "capsule",  # the upper edge of a block
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

_ITEM: dict[str, Any] = {"each": "item", "if": _field("item/alive")}
_ITEM_SHAPES: list[dict[str, Any]] = [
    {
        "shape": "path",  # a chevron above a weapon on the stage
        **_ITEM,
        "x": _field("item/x"),
        "y": {"sum": [_field("item/y"), -0.6]},
        "points": [[-0.17, -0.17], [0, 0], [0.17, -0.17]],
        "line": "gold",
        "width": 0.07,
        "least": 2,
    },
    {
        "shape": "rect",
        **_ITEM,
        "for": _look_up("pieces", _field("item/weapon")),
        "x": {"sum": [_field("item/x"), {"item": 0}]},
        "y": {"sum": [_field("item/y"), {"item": 1}]},
        "w": {"item": 2},
        "h": {"item": 3},
        "fill": {"item": 4},
    },
    {
        "shape": "polygon",
        **_ITEM,
        "for": _look_up("tips", _field("item/weapon")),
        "x": {"sum": [_field("item/x"), {"item": 0}]},
        "y": {"sum": [_field("item/y"), {"item": 1}]},
        "points": [[0, {"product": [-1, {"item": 3}]}], [{"item": 2}, 0], [0, {"item": 3}]],
        "fill": {"item": 4},
    },
]

_FIGHTER_SHAPES: list[dict[str, Any]] = [
    {
        "shape": "figure",
        **_AT,
        "if": _IN,
        "figure": "fighter",
        "fill": _SEAT,
        "wears": {"slot": True},
        "side": _SIDE,
        "state": _look_up(
            "states",
            _field("match/over", 0),
            _field("match/winner", 0),
            {"slot": True},
            _field("player/state"),
        ),
        "move": _look_up("moves", _field("player/move")),
        "gear": _look_up("weapons", _field("player/weapon")),
        "clock": _field("player/move_frame"),
        **{name: _field(f"player/{name}") for name in ("age", "vx", "vy", "grounded", "charge")},
        "shield": _field("player/shield"),
        "hollow": _look_up("hollow", _field("player/state")),
        # frames left of an air jump, in which the body flips; none before the first of them
        "flip": {
            "product": [
                _field("player/jump_cooldown"),
                _look_up("flips", _field("player/air_jumps")),
            ]
        },
        "floors": {"sum": []},
        "tag": "body",
    },
    {
        "shape": "circle",  # the camera stays with a knock-out for a moment
        **_AT,
        "if": {
            "product": [
                _look_up("out", _field("player/state")),
                _look_up("seen", _field("player/age")),
            ]
        },
        "x": {"max": [-rules.BLAST_X, {"min": [rules.BLAST_X, _field("player/x")]}]},
        "y": {"max": [-rules.BLAST_Y, {"min": [rules.BLAST_Y, _field("player/y")]}]},
        "r": 0,
        "tag": "body",
    },
]
_PLATFORM_TOP = [
    {"sum": [_field("platform/x", 0), -rules.PLATFORM_W]},
    {"sum": [_field("platform/x", 0), rules.PLATFORM_W]},
    {"sum": [_field("platform/y", 0), -rules.PLATFORM_H]},
]
_FIGHTER_SHAPES[0]["floors"] = [
    _PLATFORM_TOP,
    *(
        [{"table": "tops", "at": [_field("match/stage", 0), n, i]} for i in range(3)]
        for n in (0, 1)
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
        fill="kill",
        line="kill",
        width=0.03,
        alpha=0.2,
    ),
    {
        "shape": "impact",
        "on": "hit",
        "x": _field("player/x"),
        "y": _field("player/y"),
        "toward": [{**_field(f"player/{axis}"), "slot": {"event": "player"}} for axis in "xy"],
        "ahead": 0.3,
        "size": {"sum": [0.3, {"product": [0.024, {"event": "value"}]}]},
        "count": {"product": [0.25, {"event": "value"}]},
        "power": {"event": "value"},
        "fill": _look_up("seat", {"event": "player"}),
    },
    {
        "shape": "burst",
        "on": "knockout",
        **{axis: {**_field(f"player/{axis}"), "slot": {"event": "player"}} for axis in "xy"},
        "size": 1,
        "box": _BLAST,
        "fill": _look_up("seat", {"event": "player"}),
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
    "camera": {"keep": [-4, 0, 4, 3.2], "margin": 2},
    "event_kinds": list(EVENTS),
    "marks": {"hit": "tick", "knockout": "cross", "pickup": "diamond"},
    "hud": [
        {"label": "stocks", "field": "player/stocks", "as": "pips", "of": STOCKS},
        {"label": "damage", "field": "player/damage", "as": "number", "danger": 150},
    ],
    "tables": {
        "seat": ["p1", "p2"],
        "side": [-1, 1],
        "blocks": [_blocks(stage) for stage in STAGES],
        "edges": [
            [[x, y - h / 2 + 0.075, w + 0.1, 0.15] for x, y, w, h in _blocks(stage)]
            for stage in STAGES
        ],
        "in": [state != "ko" for state in STATES],
        "attacks": [state == "attack" for state in STATES],
        "boxes": [[_boxes(ARSENAL[weapon].get(move)) for move in MOVES] for weapon in WEAPONS],
        "pieces": [_PIECES.get(weapon, []) for weapon in WEAPONS],
        "tips": [_TIPS.get(weapon, []) for weapon in WEAPONS],
        # over, winner, slot: while a match goes on the state, after its end who won
        "states": [
            [[list(STATES)]],
            [[["victory"], ["beaten"]], [["beaten"], ["victory"]], [list(STATES)]],
        ],
        "moves": list(MOVES),
        "weapons": list(WEAPONS),
        "out": [state == "ko" for state in STATES],
        "hollow": [state == "dodge" for state in STATES],
        "seen": [*([1] * _KO_SEEN), 0],
        "flips": [1, 1, 0],
        "tops": [[[x - w / 2, x + w / 2, y - h / 2] for x, y, w, h in _blocks(s)] for s in STAGES],
    },
    "figures": {"fighter": fighter()},
    "shapes": [*_STAGE_SHAPES, *_ITEM_SHAPES, *_FIGHTER_SHAPES, *_STRIKE_SHAPES],
}
