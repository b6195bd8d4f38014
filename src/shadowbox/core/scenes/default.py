"""Default scene of a game without one: every field of its schema, drawn by kind.

Positions (a group's x and y) are dots on a stage, in the players' colors or grey. Beside and below
the stage are lines of text and bars, one for each other field of the state:

    Flag                    a lamp, filled while it is on
    Real, Choice            a gauge between the declared limits, with the number beside it
    Choice with names       the name of its value
    a group with a mask     nothing where the mask is off

A real without limits spans the values that were seen, or else twice its scale to both sides. Fields
without room are counted ("+ 3 more"), first those that are not learned (predict="no"). Lines are
drawn by `default_panels.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadowbox.core.fields import Choice, Field, Flag, Group, Real
from shadowbox.core.game import Game
from shadowbox.core.scenes.grammar import MARKS, Scene
from shadowbox.core.scenes.panels import (
    HIGHEST,
    Shape,
    Span,
    _Area,
    _Line,
    clamped,
    columns_of,
    flow,
    limits,
    lines_of,
    plus,
    times,
    value_names,
)
from shadowbox.core.schema import Array, Schema

WIDTH, HEIGHT = 32.0, 18.0  # size of the picture
SIDE, GAP = 7.4, 0.7  # width of a panel, space between parts
BOTTOM = HEIGHT - 1.2  # below are the names of the world and of events
STRIP = 5.0  # greatest height of the panel below the stage
AXES = (  # names of positions
    ("x", "pos_x", "position_x", "x_pos", "px", "position", "pos"),
    ("y", "pos_y", "position_y", "y_pos", "py"),
)
DOWNWARD = ("px", "pixel", "pixels", "tile", "tiles", "cell", "cells")  # units counted from the top
COLORS = ("p1", "p2", "#0F8A6D", "#A04E9A")  # colors of the players; further ones repeat them
GREY = "#7C7F83"
FACING = ("facing_right", "faces_right", "looks_right")
PIPS = ("stocks", "lives", "points", "score", "wins", "rounds")  # above the stage, up to MOST_PIPS
NUMBERS = ("damage", "percent", "health", "hp", "score", "points")  # above the stage as a number
MOST_PIPS = 8
MOST_LABELS = 8  # most slots of a group with labels on the stage
CROWD = 12  # most slots of a group with dots of full size


def scene_of(game: Game, columns: Mapping[str, Array] | None = None) -> Scene:
    """Scene of a game: its own, or the default one, whose open ranges fit `columns`."""
    if game.scene is not None:
        return game.scene()
    return default_scene(game.schema, game.event_kinds, columns)


def default_scene(
    schema: Schema, event_kinds: Sequence[str] = (), columns: Mapping[str, Array] | None = None
) -> dict[str, Any]:
    """Scene for any schema; reals without limits span the values in `columns` [..., slots]."""
    layout = _Layout(schema, _seen(schema, columns or {}))
    tables: dict[str, Any] = {}
    shapes = [*layout.stage(tables), *layout.panels(tables)]
    kinds = list(event_kinds)
    if "hit" in kinds:
        shapes += layout.hits()
    return {
        "bounds": [0, 0, WIDTH, HEIGHT],
        "event_kinds": kinds,
        "marks": dict(zip(kinds, MARKS, strict=False)),
        "hud": layout.hud,
        "tables": tables,
        "shapes": shapes,
    }


@dataclass(frozen=True)
class _Place:
    """Group that has positions, and its fields that are their axes."""

    group: Group
    x: Field | None
    y: Field | None

    def key(self, field: Field) -> str:
        return f"{self.group.name}/{field.name}"


class _Layout:
    """Places of a schema's fields in the picture."""

    def __init__(self, schema: Schema, seen: Mapping[str, Span]) -> None:
        self.schema, self.seen = schema, seen
        self.places = [place for group in schema.state if (place := _place(group)) is not None]
        self.hud = _hud(schema)
        above = {entry["field"] for entry in self.hud}
        moved = {place.key(axis) for place in self.places for axis in (place.x, place.y) if axis}
        self.elsewhere = above | moved
        sides: list[list[_Line]] = [[], []]
        for player in range(schema.players):
            sides[player % 2] += self._lines(player)
        common = self._lines(None)
        if schema.players == 1 and not self.places:
            sides[0], common = [], [*sides[0], *common]
        elif schema.players == 1:
            sides[1], common = common, []
        self.left, self.right, self.common = sides[0], sides[1], common
        self._divide()

    def _divide(self) -> None:
        """Set the areas: both sides, the stage between them, and the strip below it."""
        pips = sum(entry["as"] == "pips" for entry in self.hud)
        top = 2.1 + 0.9 * pips + 2.0 * (len(self.hud) - pips)  # below the names and numbers
        side = SIDE if self.places or self.common else (WIDTH - 3 * GAP) / 2
        self.left_area = _Area(GAP, top, GAP + side, BOTTOM)
        self.right_area = _Area(WIDTH - GAP - side, top, WIDTH - GAP, BOTTOM)
        start = self.left_area.right + GAP if self.left else GAP
        end = self.right_area.left - GAP if self.right else WIDTH - GAP
        upper = 1.0 if self.left and self.right else top
        deep = max(map(len, columns_of(self.common, end - start, STRIP)), default=0)
        strip = min(STRIP, HIGHEST * deep) if self.places else 0.0
        self.middle = _Area(start, upper, end, BOTTOM - strip - (GAP if strip else 0))
        self.strip = _Area(start, BOTTOM - strip, end, BOTTOM) if self.places else self.middle

    def panels(self, tables: dict[str, Any]) -> list[Shape]:
        """Shapes of every field that is not a position."""
        return [
            *flow(self.left, self.left_area, tables),
            *flow(self.right, self.right_area, tables),
            *flow(self.common, self.strip, tables),
        ]

    def _lines(self, player: int | None) -> list[_Line]:
        """Lines of a player's groups, or of the groups without a player."""
        out: list[_Line] = []
        for group in self.schema.state:
            if (group.per == "player") != (player is not None):
                continue
            fields = [f for f in group.fields if f"{group.name}/{f.name}" not in self.elsewhere]
            if any(place.group is group for place in self.places):  # its dot shows these fields
                kind = _kind(group) if group.slots <= MOST_LABELS and player is None else None
                fields = [f for f in fields if f is not kind and f.name != group.mask]
            slots, heading, color = range(group.slots), group.name, GREY
            if player is not None:
                each = group.slots // self.schema.players
                slots = range(player * each, (player + 1) * each)
                heading, color = f"P{player + 1} {group.name}", _color(player)
            out += lines_of(
                group,
                fields,
                slots,
                heading=heading.replace("_", " "),
                color=color,
                players=self.schema.players,
                seen=self.seen,
            )
        return out

    # ---- the stage -------------------------------------------------------------------------------

    def stage(self, tables: dict[str, Any]) -> Iterator[Shape]:
        """Frame of the stage, and a dot for each position."""
        if not self.places:
            return
        across, down = self._span(0), self._span(1)
        width, height = self._extent(across, down)
        left = (self.middle.left + self.middle.right - width) / 2
        top = (self.middle.top + self.middle.bottom - height) / 2
        self.frame = _Area(left, top, left + width, top + height)
        yield {
            "shape": "rect",
            "x": left + width / 2,
            "y": top + height / 2,
            "w": width,
            "h": height,
            "fill": "ground",
            "alpha": 0.5,
            "line": "line",
            "width": 0.05,
        }
        for number, place in enumerate(sorted(self.places, key=lambda p: p.group.per == "player")):
            yield from self._dots(place, number, (across, down), tables)

    def _span(self, axis: int) -> Span:
        """Range of an axis: of the groups that declare one, or else of all."""
        fields = [
            (place.key(field), field)
            for place in self.places
            if (field := (place.x, place.y)[axis]) is not None
        ]
        declared = [entry for entry in fields if not _open(entry[1])]
        spans = [limits(field, self.seen.get(key)) for key, field in declared or fields]
        ranges = [span for span in spans if span is not None] or [(-1.0, 1.0)]
        margin = 0.5 if any(isinstance(field, Choice) for _, field in fields) else 0.0
        return min(low for low, _ in ranges) - margin, max(high for _, high in ranges) + margin

    def _extent(self, across: Span, down: Span) -> tuple[float, float]:
        """Width and height of the stage: in proportion, where x and y have the same unit."""
        width, height = self.middle.width, self.middle.height
        first = next((p for p in self.places if p.x is not None and p.y is not None), None)
        ratio = (across[1] - across[0]) / (down[1] - down[0])
        if first is None:
            return width, height / 2
        assert first.x is not None
        assert first.y is not None
        if first.x.unit != first.y.unit or not 1 / 6 < ratio < 6:
            return width, height
        return min(width, height * ratio), min(height, width / ratio)

    def _at(self, place: _Place, spans: tuple[Span, Span]) -> tuple[Any, Any]:
        """Place of a group's current slot in the picture."""
        frame, (across, down) = self.frame, spans
        x: Any = (frame.left + frame.right) / 2
        y: Any = (frame.top + frame.bottom) / 2
        if place.x is not None:
            per = frame.width / (across[1] - across[0])
            value = clamped({"field": place.key(place.x)}, *across)
            x = plus(frame.left - per * across[0], times(per, value))
        if place.y is not None:
            per = frame.height / (down[1] - down[0])
            value = clamped({"field": place.key(place.y)}, *down)
            if _downward(place.y):
                y = plus(frame.top - per * down[0], times(per, value))
            else:
                y = plus(frame.bottom + per * down[0], times(-per, value))
        return x, y

    def _dots(
        self, place: _Place, number: int, spans: tuple[Span, Span], tables: dict[str, Any]
    ) -> Iterator[Shape]:
        """Shapes of one group's positions: forms, facings and labels."""
        group, name = place.group, place.group.name
        own = group.per == "player"
        x, y = self._at(place, spans)
        size = (0.36 if own else 0.28) * (0.6 if group.slots > CROWD else 1.0)
        each: Shape = {"each": name, "x": x, "y": y}
        if group.mask:
            each["if"] = {"field": f"{name}/{group.mask}"}
        fill: Any = GREY
        if own:
            tables[f"{name} colors"] = [_color(p) for p in _owners(group, self.schema.players)]
            fill = {"table": f"{name} colors", "at": [{"slot": True}]}
        look = {"fill": fill, "line": "ink", "width": 0.05}
        facing = next((f for f in group.fields if isinstance(f, Flag) and f.name in FACING), None)
        if facing is not None:
            tables["side"] = [-1, 1]
            side = {"table": "side", "at": [{"field": place.key(facing)}]}
            wedge = [[0, -size], [times(side, 2 * size), 0], [0, size]]
            yield {"shape": "polygon", **each, "points": wedge, **look}
        tag = {"tag": "body"} if own or group.slots == 1 else {}
        yield {**_form(0 if own else number, size), **each, **look, **tag}
        if group.slots <= MOST_LABELS:
            above = {**each, "y": plus(y, -size - 0.34)}
            text = self._label(group, tables)
            yield {"shape": "text", **above, "text": text, "size": 0.5, "fill": "ink"}

    def _label(self, group: Group, tables: dict[str, Any]) -> Any:
        """Name of the current slot: its player, its first named choice, or its group."""
        if group.per == "player":
            each = group.slots // self.schema.players
            tables[f"{group.name} labels"] = [
                f"P{owner + 1}" + (f" {slot % each + 1}" if each > 1 else "")
                for slot, owner in enumerate(_owners(group, self.schema.players))
            ]
            return {"table": f"{group.name} labels", "at": [{"slot": True}]}
        kind = _kind(group)
        if kind is None:
            return group.name.replace("_", " ")
        key = f"{group.name}/{kind.name}"
        tables[f"{key} names"] = list(value_names(kind, self.schema.players))
        return {"table": f"{key} names", "at": [{"field": key}]}

    def hits(self) -> Iterator[Shape]:
        """Ring around the player that was hit."""
        for place in self.places:
            if place.group.per == "player" and place.group.slots == self.schema.players:
                x, y = self._at(place, (self._span(0), self._span(1)))
                ring = {"line": "#D0342C", "width": 0.12, "alpha": 0.9, "tag": "ring"}
                yield {"shape": "circle", "on": "hit", "x": x, "y": y, "r": 0.7, **ring}


# ---- meaning of fields ---------------------------------------------------------------------------


def _seen(schema: Schema, columns: Mapping[str, Array]) -> dict[str, Span]:
    """Ranges of the values of reals without limits."""
    return {
        key: (float(columns[key].min()), float(columns[key].max()))
        for key, column in schema.columns.items()
        if key in columns and _open(column.field) and columns[key].size
    }


def _open(field: Field) -> bool:
    return isinstance(field, Real) and (field.low is None or field.high is None)


def _place(group: Group) -> _Place | None:
    """Axes of a group's positions, if it has any."""
    numbers = {field.name: field for field in group.fields if _is_number(field)}
    x, y = (next((numbers[name] for name in names if name in numbers), None) for names in AXES)
    return _Place(group, x, y) if x is not None or y is not None else None


def _kind(group: Group) -> Choice | None:
    """Named choice that distinguishes the slots of a group."""
    if group.slots == 1:
        return None
    return next((f for f in group.fields if isinstance(f, Choice) and f.names), None)


def _is_number(field: Field) -> bool:
    return isinstance(field, Real) or (isinstance(field, Choice) and not field.names)


def _downward(field: Field) -> bool:
    """Return true if y grows downward: rows of a grid, pixels, and fields whose doc says so."""
    return isinstance(field, Choice) or field.unit in DOWNWARD or "downward" in field.doc


def _hud(schema: Schema) -> list[dict[str, Any]]:
    """Entries above the stage: one count as pips and one large number, if fields suit."""
    if schema.players > 2:
        return []
    own = [
        (f"{group.name}/{field.name}", field)
        for group in schema.state
        if group.per == "player" and group.slots == schema.players
        for field in group.fields
    ]
    out: list[dict[str, Any]] = []
    for name, key, field in ((f.name, k, f) for k, f in own):
        kinds = [entry["as"] for entry in out]
        few = isinstance(field, Choice) and not field.names and 2 <= field.n <= MOST_PIPS + 1
        entry: dict[str, Any] = {"label": name.replace("_", " "), "field": key}
        if isinstance(field, Choice) and few and name in PIPS and "pips" not in kinds:
            out.append({**entry, "as": "pips", "of": field.n - 1})
        elif name in NUMBERS and _is_number(field) and "number" not in kinds:
            out.append({**entry, "as": "number"})
    return sorted(out, key=lambda entry: entry["as"] != "pips")


def _owners(group: Group, players: int) -> list[int]:
    """Player of each slot."""
    return [slot // (group.slots // players) for slot in range(group.slots)]


def _color(player: int) -> str:
    return COLORS[player % len(COLORS)]


def _form(number: int, size: float) -> Shape:
    """Shape of a group's dots: groups differ in shape and not only in color."""
    match number % 4:
        case 0:
            return {"shape": "circle", "r": size}
        case 1:
            return {"shape": "rect", "w": 1.8 * size, "h": 1.8 * size}
        case 2:
            diamond = [[0, -1.3 * size], [1.3 * size, 0], [0, 1.3 * size], [-1.3 * size, 0]]
            return {"shape": "polygon", "points": diamond}
        case _:
            triangle = [[0, -1.3 * size], [1.2 * size, size], [-1.2 * size, size]]
            return {"shape": "polygon", "points": triangle}
