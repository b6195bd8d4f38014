"""How brawl looks, in the grammar of `core/scene.py`. Geometry and hit boxes come from the rules' own tables."""

from __future__ import annotations

from typing import Any

from shadowbox.games.brawl import rules
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.moves import Move
from shadowbox.games.brawl.schema import EVENTS, MOVES, STAGES, STATES, STOCKS, WEAPONS

_BODY_W, _BODY_H = 2 * rules.HURT_R, 2 * (rules.HURT_R + rules.HURT_H)

# A state tints the core of a fighter, so that the rim always says whose he is; "" is none.
_TINTS = {
    "stun": "#FFD84A",
    "dodge": "#FFFFFF",
    "attack": "#C8452E",
    "dash": "#8FD3FF",
    "backdash": "#8FD3FF",
    "taunt": "#C79BFF",
}


def _field(name: str) -> dict[str, Any]:
    return {"field": name}


def _look_up(table: str, *at: Any) -> dict[str, Any]:
    return {"table": table, "at": list(at)}


def _blocks(stage: str) -> list[list[float]]:
    """The blocks of a stage as [centre x, centre y, width, height]."""
    rows = rules.stage(stage)["blocks"][0].tolist()
    return [[(left + right) / 2, (top + bottom) / 2, right - left, bottom - top] for left, right, top, bottom in rows]


def _boxes(move: Move | None) -> list[list[list[float]]]:
    """The active hit boxes of a move for each of its frames, up to the first frame after its last strike."""
    if move is None:
        return [[]]
    last = max(strike.frames[1] for strike in move.strikes)
    return [[list(s.box) for s in move.strikes if s.frames[0] <= frame <= s.frames[1]] for frame in range(last + 2)]


_SEAT = _look_up("seat", {"slot": True})
_SIDE = _look_up("side", _field("player/facing_right"))
_IN = _look_up("in", _field("player/state"))
_AT = {"each": "player", "x": _field("player/x"), "y": _field("player/y")}
_HELD = _look_up("held", _field("player/weapon"))


def _beside(shape: str, **attributes: Any) -> dict[str, Any]:
    """A shape for each fighter who is not out, at his place."""
    return {"shape": shape, "if": _IN, **_AT, **attributes}


SCENE: dict[str, Any] = {
    "bounds": [-rules.BLAST_X - 0.9, -rules.BLAST_Y - 0.4, rules.BLAST_X + 0.9, rules.BLAST_Y + 0.4],  # 29.8 x 16.8
    "event_kinds": list(EVENTS),
    "hud": [
        {"label": "stocks", "field": "player/stocks", "as": "pips", "of": STOCKS},
        {"label": "damage", "field": "player/damage", "as": "number", "danger": 150},
    ],
    "tables": {
        "seat": ["p1", "p2"],
        "side": [-1, 1],
        "blocks": [_blocks(stage) for stage in STAGES],
        "in": [state != "ko" for state in STATES],
        "tint": [_TINTS.get(state, "") for state in STATES],
        "tinted": [state in _TINTS for state in STATES],
        "attacks": [state == "attack" for state in STATES],
        "boxes": [[_boxes(ARSENAL[weapon].get(move)) for move in MOVES] for weapon in WEAPONS],
        # a weapon as a shaft and a head: [x, y, width, height] from the holder's centre, for each part
        "held": [[], [[0.55, 0.1, 1.9, 0.08], [1.5, 0.1, 0.3, 0.18]], [[0.6, 0.1, 1.1, 0.1], [1.15, 0.1, 0.35, 0.6]]],
        "lying": [[], [[0, 0, 1.5, 0.09], [0.7, 0, 0.28, 0.2]], [[-0.1, 0, 0.8, 0.11], [0.4, 0, 0.32, 0.46]]],
        "metal": ["", "#5B8C5A", "#8A5A83"],
    },
    "shapes": [
        {
            "shape": "rect",
            "x": 0,
            "y": 0,
            "w": 2 * rules.BLAST_X,
            "h": 2 * rules.BLAST_Y,
            "line": "line",
            "width": 0.05,
            "tag": "blast",
        },
        {
            "shape": "rect",
            "for": _look_up("blocks", _field("match/stage")),
            "x": {"item": 0},
            "y": {"item": 1},
            "w": {"item": 2},
            "h": {"item": 3},
            "fill": "ground",
            "line": "ink",
            "width": 0.06,
        },
        {
            "shape": "rect",
            "x": _field("platform/x"),
            "y": _field("platform/y"),
            "w": 2 * rules.PLATFORM_W,
            "h": 2 * rules.PLATFORM_H,
            "fill": "ink",
        },
        {
            "shape": "rect",
            "each": "item",
            "if": _field("item/alive"),
            "for": _look_up("lying", _field("item/weapon")),
            "x": {"sum": [_field("item/x"), {"item": 0}]},
            "y": {"sum": [_field("item/y"), {"item": 1}]},
            "w": {"item": 2},
            "h": {"item": 3},
            "fill": _look_up("metal", _field("item/weapon")),
        },
        _beside("capsule", w=_BODY_W, h=_BODY_H, fill=_SEAT, line="ink", width=0.05, tag="body"),
        _beside(
            "capsule",
            w=_BODY_W - 0.4,
            h=_BODY_H - 0.4,
            fill=_look_up("tint", _field("player/state")),
            alpha={"product": [0.9, _look_up("tinted", _field("player/state"))]},
        ),
        _beside(
            "polygon",
            fill="paper",
            points=[
                [{"product": [0.42, _SIDE]}, -0.12],
                [{"product": [0.12, _SIDE]}, -0.3],
                [{"product": [0.12, _SIDE]}, 0.06],
            ],
        ),
        {
            "shape": "rect",
            "each": "player",
            "if": _IN,
            "for": _HELD,
            "x": {"sum": [_field("player/x"), {"product": [_SIDE, {"item": 0}]}]},
            "y": {"sum": [_field("player/y"), {"item": 1}]},
            "w": {"item": 2},
            "h": {"item": 3},
            "fill": _look_up("metal", _field("player/weapon")),
        },
        _beside("circle", r={"product": [0.03, _field("player/charge")]}, line="#E0A100", width=0.08, alpha=0.8),
        {
            "shape": "circle",
            "each": "player",
            "if": _field("player/shield"),
            "x": _field("player/x"),
            "y": _field("player/y"),
            "r": 0.85,
            "line": _SEAT,
            "width": 0.08,
            "alpha": 0.7,
        },
        {
            "shape": "rect",
            "each": "player",
            "if": _look_up("attacks", _field("player/state")),
            "tag": "hitbox",
            "for": _look_up("boxes", _field("player/weapon"), _field("player/move"), _field("player/move_frame")),
            "x": {"sum": [_field("player/x"), {"product": [_SIDE, {"item": 0}]}]},
            "y": {"sum": [_field("player/y"), {"item": 1}]},
            "w": {"item": 2},
            "h": {"item": 3},
            "fill": "#D0342C",
            "alpha": 0.35,
            "line": "#D0342C",
            "width": 0.04,
        },
        {
            "shape": "circle",
            "on": "hit",
            "x": _field("player/x"),
            "y": _field("player/y"),
            "r": {"sum": [0.35, {"product": [0.05, {"event": "value"}]}]},
            "line": "#D0342C",
            "width": 0.12,
            "alpha": 0.8,
            "tag": "ring",
        },
    ],
}
