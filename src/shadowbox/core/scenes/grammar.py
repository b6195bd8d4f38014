"""Scenes: what to draw, as data. Numbers of shapes are bound to fields of a row.

Painters know this grammar and no game. A scene is plain JSON:

    bounds       [left, top, right, bottom] of the visible world; y grows downward
    tables       {name: nested lists}: constants to look up
    shapes       [shape, ...] in painting order
    hud          [{label, field, as: "pips" | "number", of?, danger?, unit?}, ...]: per-player
                 fields above the stage; `of` is the largest number of pips, `danger` the number
                 that is shown as alarming. {label, value, as: "word"} is a value in small type
    who, where   values in small type: the character of a player, before the name, and the stage
    event_kinds  [name, ...]: names of an event's `kind` (needed only by shapes with `on`)
    marks        {event kind: "tick" | "cross" | "diamond" | "ring" | "square" | "dot"}: the mark
                 of each kind that a timeline shows
    camera       {keep: [left, top, right, bottom], margin}: follow the shapes tagged `body`;
                 `keep` is always in the picture
    figures      {name: figure table}: bones, poses and moves (core/scenes/pose.py)

    shape        {"shape": kind, attribute: value, ...}
      rect, capsule  x, y (center), w, h       circle  x, y, r
      text           x, y, text, size, align ("left", "right" of x; else centered)
      polygon, path  x, y, points [[dx, dy], ...]; a path is a stroke with round ends
      dots           x, y, w, h, r: a dot every `step` in both directions
      hatch          x, y, w, h: slanted lines `step` apart
      figure         x, y, figure (a name of `figures`), side (1 or -1), state, age, move, clock
                     (frame of the move), gear, grounded, vx, vy; size, wears (0: a ribbon, 1: a
                     crest), charge, flip, hollow, shield, floors [[left, right, top], ...]
      impact, burst  x, y, size: a hit (count, toward [x, y], ahead, power) and a knock-out (box)
      all            fill, line (colors: "#rrggbb", a name of the painter's palette, or
                     "a/b/share" between two of them), width, alpha (0 .. 1), tag, from
                     (drawn only where a unit has as many pixels)
      tag            "hitbox" can be hidden; "body" and "ring" also show in later rows. Figures,
                     impacts, bursts and hatches become simpler shapes (core/scenes/motion.py)
      "each": group      once for each slot of the group
      "for": value       once for each element of a list, after `each`
      "on": event kind   once for each such event of the row, at the slot of its `other` player
                         (or its `player`, if alone)
      "if": value        only where this is neither 0 nor false

    value        a number, string or boolean: itself
      {"field": "group/name"}              of the current slot ("slot": value for another; slot 0
                                           outside `each` and `on`)
      {"slot": true}                       number of the current slot
      {"item": i}                          part i of the current element of `for`
      {"event": "value"}                   member of the current event
      {"table": name, "at": [value, ...]}  look-up; an index beyond an end gives the last entry
      {"sum": [value, ...]}, {"product": [value, ...]}, {"min": [value, ...]},
      {"max": [value, ...]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.scenes.pose import problems as figure_problems
from shadowbox.core.schema import Array, Schema
from shadowbox.errors import SchemaError

Scene = Mapping[str, Any]
Shape = dict[str, Any]
Key = tuple[int, int, int]  # number of the shape in its scene, slot, turn of its loop

_SIZES = {
    "rect": ("x", "y", "w", "h"),
    "capsule": ("x", "y", "w", "h"),
    "circle": ("x", "y", "r"),
    "polygon": ("x", "y", "points"),
    "text": ("x", "y", "text", "size"),
    "path": ("x", "y", "points"),
    "dots": ("x", "y", "w", "h", "step", "r"),
    "hatch": ("x", "y", "w", "h", "step", "line", "width"),
    "figure": (
        *("x", "y", "figure", "side", "state", "age", "move", "clock"),
        *("gear", "grounded", "vx", "vy", "fill"),
    ),
    "impact": ("x", "y", "size", "count", "toward", "fill"),
    "burst": ("x", "y", "size", "box", "fill"),
}
_OPTIONAL = {
    "text": ("align",),
    "path": ("least",),
    "figure": ("size", "wears", "charge", "flip", "hollow", "shield", "floors"),
    "impact": ("ahead", "power"),
}
_STYLES = ("fill", "line", "width", "alpha", "tag", "from")
_ALIGNED = ("left", "right")
_LOOPS = ("shape", "each", "for", "on", "if")
_HUD = ("pips", "number", "word")
MARKS = ("tick", "cross", "diamond", "ring", "square", "dot")


@dataclass(frozen=True)
class _Scope:
    """Context of a value: a row [slots], the slot, the element of `for`, the event."""

    scene: Scene
    columns: Mapping[str, Array]
    slot: int = 0
    item: Any = None
    event: Any = None


def evaluate(
    scene: Scene, columns: Mapping[str, Array], events: Array | None = None
) -> list[Shape]:
    """Shapes of one row of columns [slots] and its events [E], with plain values."""
    return [shape for _, shape in keyed(scene, columns, events)]


def keyed(
    scene: Scene,
    columns: Mapping[str, Array],
    events: Array | None = None,
    wanted: Callable[[Mapping[str, Any]], bool] = lambda shape: True,
) -> list[tuple[Key, Shape]]:
    """Shapes as `evaluate` gives them, each with a key that is the same in other rows."""
    out: list[tuple[Key, Shape]] = []
    for number, shape in enumerate(scene["shapes"]):
        if not wanted(shape):
            continue
        scopes = _scopes(shape, _Scope(scene, columns), () if events is None else events)
        for turn, scope in enumerate(scopes):
            if "if" in shape and not _value(shape["if"], scope):
                continue
            drawn = {
                "shape": shape["shape"],
                **{key: _value(v, scope) for key, v in shape.items() if key not in _LOOPS},
            }
            out.append(((number, scope.slot, turn), drawn))
    return out


def value_of(scene: Scene, columns: Mapping[str, Array], value: Any, slot: int = 0) -> Any:
    """Value of the grammar for a slot of a row."""
    return _value(value, _Scope(scene, columns, slot))


def _scopes(shape: Mapping[str, Any], scope: _Scope, events: Iterable[Any]) -> Iterator[_Scope]:
    """Scopes in which a shape is drawn: one for each slot or event and each element of `for`."""
    base = [scope]
    if "each" in shape:
        slots = next(
            len(values)
            for key, values in scope.columns.items()
            if key.startswith(shape["each"] + "/")
        )
        base = [_Scope(scope.scene, scope.columns, slot) for slot in range(slots)]
    elif "on" in shape:
        kind = list(scope.scene["event_kinds"]).index(shape["on"])
        matching = [event for event in events if event["kind"] == kind]
        base = [
            _Scope(
                scope.scene,
                scope.columns,
                max(int(e["other"] if e["other"] >= 0 else e["player"]), 0),
                None,
                e,
            )
            for e in matching
        ]
    for one in base:
        if "for" not in shape:
            yield one
        else:
            for item in _value(shape["for"], one):
                yield _Scope(one.scene, one.columns, one.slot, item, one.event)


def _value(value: Any, scope: _Scope) -> Any:
    if isinstance(value, list | tuple):
        return [_value(part, scope) for part in value]
    if not isinstance(value, Mapping):
        return value
    if "field" in value:
        values = scope.columns[value["field"]]
        slot = max(int(_value(value.get("slot", scope.slot), scope)), 0)
        return values[min(slot, len(values) - 1) if slot == scope.slot else slot].item()
    if "slot" in value:
        return scope.slot
    if "item" in value:
        return scope.item[value["item"]]
    if "event" in value:
        return scope.event[value["event"]].item()
    if "sum" in value:
        return sum(_value(part, scope) for part in value["sum"])
    if "product" in value:
        return np.prod([_value(part, scope) for part in value["product"]]).item()
    if "min" in value:
        return min(_value(part, scope) for part in value["min"])
    if "max" in value:
        return max(_value(part, scope) for part in value["max"])
    entry = scope.scene["tables"][value["table"]]
    for index in value["at"]:
        entry = entry[min(int(_value(index, scope)), len(entry) - 1)]
    return entry


# ---- checking ------------------------------------------------------------------------------------


def validate(scene: Scene, schema: Schema) -> None:
    """Refuse a scene that does not fit the grammar or its schema, listing every problem."""
    problems = list(_problems(scene, schema))
    if problems:
        raise SchemaError(f"scene of '{schema.name}': " + "; ".join(problems))


def _problems(scene: Scene, schema: Schema) -> Iterator[str]:
    if not _is_box(scene.get("bounds")):
        yield "bounds must be [left, top, right, bottom]"
    camera = scene.get("camera")
    if camera is not None and not (_is_box(camera.get("keep")) and camera.get("margin", -1) >= 0):
        yield "camera must be {keep: [left, top, right, bottom], margin: 0 or more}"
    for kind, mark in scene.get("marks", {}).items():
        if kind not in scene.get("event_kinds", ()):
            yield f"marks: keys must be event kinds (got '{kind}')"
        if mark not in MARKS:
            yield f"marks: a mark must be one of {', '.join(MARKS)} (got '{mark}')"
    for entry in scene.get("hud", ()):
        column = schema.columns.get(entry.get("field", ""))
        if entry.get("as") == "word":
            yield from _value_problems(entry.get("value"), {}, scene, schema)
        elif column is None or column.group.per != "player":
            yield f"hud: field must name a per-player column (got '{entry.get('field')}')"
        if entry.get("as") not in _HUD:
            yield f"hud: as must be one of {', '.join(_HUD)} (got '{entry.get('as')}')"
    for name in ("who", "where"):
        if name in scene:
            yield from _value_problems(scene[name], {}, scene, schema)
    for name, table in scene.get("figures", {}).items():
        yield from (f"figure {name}: {problem}" for problem in figure_problems(table))
    for i, shape in enumerate(scene.get("shapes", ())):
        yield from (f"shape {i}: {problem}" for problem in _shape_problems(shape, scene, schema))


def _is_box(box: Any) -> bool:
    return isinstance(box, Sequence) and len(box) == 4 and box[0] < box[2] and box[1] < box[3]


def _shape_problems(shape: Mapping[str, Any], scene: Scene, schema: Schema) -> Iterator[str]:
    kind = shape.get("shape")
    if kind not in _SIZES:
        yield f"shape must be one of {', '.join(_SIZES)} (got '{kind}')"
        return
    yield from (f"a {kind} needs '{name}'" for name in _SIZES[kind] if name not in shape)
    yield from (
        f"a {kind} has no '{name}'"
        for name in shape
        if name not in (*_SIZES[kind], *_STYLES, *_LOOPS, *_OPTIONAL.get(kind, ()))
    )
    if kind == "figure" and shape.get("figure") not in scene.get("figures", {}):
        yield f"figure must name one of figures (got '{shape.get('figure')}')"
    if shape.get("align", "left") not in _ALIGNED:
        yield f"align must be one of {', '.join(_ALIGNED)} (got '{shape['align']}')"
    if "each" in shape and shape["each"] not in {group.name for group in schema.groups}:
        yield f"each must name a group (got '{shape['each']}')"
    if "on" in shape and shape["on"] not in scene.get("event_kinds", ()):
        yield f"on must name an event kind (got '{shape['on']}')"
    for name, value in shape.items():
        if name not in ("shape", "each", "on"):
            yield from (
                f"{name}: {problem}" for problem in _value_problems(value, shape, scene, schema)
            )


def _value_problems(
    value: Any, shape: Mapping[str, Any], scene: Scene, schema: Schema
) -> Iterator[str]:
    parts: Iterable[Any] = ()
    match value:
        case list() | tuple():
            parts = value
        case {"field": str(key)}:
            if key not in schema.columns:
                yield f"no column '{key}'"
            parts = [value["slot"]] if "slot" in value else ()
        case {"slot": True}:
            pass
        case {"item": int()}:
            if "for" not in shape:
                yield "item needs 'for' in its shape"
        case {"event": str(name)}:
            if "on" not in shape or name not in (EVENT.names or ()):
                yield f"event needs 'on' in its shape and a member of events (got '{name}')"
        case {"sum": list() as parts} | {"product": list() as parts}:
            pass
        case {"min": [_, *_] as parts} | {"max": [_, *_] as parts}:
            pass
        case {"table": str(name), "at": list() as parts}:
            if name not in scene.get("tables", {}):
                yield f"no table '{name}'"
        case bool() | int() | float() | str():
            pass
        case _:
            yield f"expected a value of the grammar of core/scenes/grammar.py (got {value!r})"
    for part in parts:
        yield from _value_problems(part, shape, scene, schema)
