"""Panels of default scenes: lines that show a field as text, lamp or gauge.

A panel is a list of lines that flows into the columns of an area. A line shows one field for some
of its slots, side by side.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadowbox.core.fields import Choice, Field, Flag, Group

Shape = dict[str, Any]
Span = tuple[float, float]

LOWEST, HIGHEST = 0.5, 0.8  # least and greatest height of a line
COLUMN, BROADEST, APART = 5.0, 9.0, 1.0  # least and greatest width of a column, and the gap
LABEL, DIGITS = 0.42, 0.22  # shares of a line: its name, and the number behind its gauge
MOST_SLOTS = 16  # greatest number of slots side by side in a line
WIDEST = 1e6  # widest range that is shown as a gauge
LETTER = 0.52  # width of a letter, in units of the text's size


@dataclass(frozen=True)
class _Area:
    """Rectangle of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Distance from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Distance from top to bottom."""
        return self.bottom - self.top


@dataclass(frozen=True)
class _Line:
    """Field with the slots to show, or a heading if it has no field."""

    label: str
    color: str
    key: str = ""
    field: Field | None = None
    slots: tuple[int, ...] = ()
    mask: str = ""  # key of the flag that marks slots in use
    span: Span | None = None  # range of a gauge
    names: tuple[str, ...] = ()  # names of the values of a choice

    @property
    def narrow(self) -> bool:
        """Return true for a single lamp, two of which share a line."""
        return isinstance(self.field, Flag) and len(self.slots) == 1


def lines_of(
    group: Group,
    fields: Sequence[Field],
    slots: Sequence[int],
    *,
    heading: str,
    color: str,
    players: int,
    seen: Mapping[str, Span],
) -> list[_Line]:
    """Heading, and a line for each of some fields of a group; numbers and names before flags."""
    if not fields:
        return []
    out = [_Line(heading, color)]
    for field in sorted(fields, key=lambda field: isinstance(field, Flag)):
        key = f"{group.name}/{field.name}"
        mask = f"{group.name}/{group.mask}" if group.mask and field.name != group.mask else ""
        out.append(
            _Line(
                field.name.replace("_", " "),
                color,
                key,
                field,
                tuple(slots),
                mask,
                limits(field, seen.get(key)),
                value_names(field, players),
            )
        )
    return out


def limits(field: Field, seen: Span | None = None) -> Span | None:
    """Ends of a gauge: declared, seen, or twice the scale; None where they are too far apart."""
    if isinstance(field, Flag):
        return 0.0, 1.0
    if isinstance(field, Choice):
        return (0.0, float(max(field.n - 1, 1))) if field.n <= WIDEST else None
    low, high = field.low, field.high
    if low is None or high is None:
        reach = 2 / field.scale
        ends = seen or (
            low if low is not None else -reach if high is None else high - reach,
            high if high is not None else reach if low is None else low + reach,
        )
        low, high = (ends[0] if low is None else low), (ends[1] if high is None else high)
    return (float(low), float(high)) if 0 < high - low <= WIDEST else None


def value_names(field: Field, players: int) -> tuple[str, ...]:
    """Names of a choice's values; P1, P2 and so on for a seat without names."""
    if not isinstance(field, Choice):
        return ()
    if field.names or not field.seat:
        return field.names
    return (*(f"P{player + 1}" for player in range(players)), "none")[: field.n]


def flow(lines: Sequence[_Line], area: _Area, tables: dict[str, Any]) -> list[Shape]:
    """Shapes of lines in an area, in as many columns as fit; their names are added to `tables`."""
    if not lines or area.height < LOWEST:
        return []
    columns = columns_of(lines, area.width, area.height)
    height = min(HIGHEST, area.height / max(len(column) for column in columns))
    width = min((area.width + APART) / len(columns) - APART, BROADEST)
    start = (area.left + area.right - len(columns) * (width + APART) + APART) / 2
    shapes: list[Shape] = []
    for at, column in enumerate(columns):
        left = start + at * (width + APART)
        for below, row in enumerate(column):
            top, share = area.top + below * height, width / (2 if row[0].narrow else 1)
            for place, line in enumerate(row):
                here = left + place * share
                shapes += _drawn(line, _Area(here, top, here + share, top + height), tables)
    return shapes


def columns_of(lines: Sequence[_Line], width: float, height: float) -> list[list[list[_Line]]]:
    """Columns of rows of one or two lines: as few rows as possible, groups kept together."""
    most, deepest = max(1, int(width // COLUMN)), max(1, int(height / LOWEST))
    rows = _fitted(lines, most * deepest)
    longest = max(map(len, _groups(rows)), default=1)
    for deep in range(max(math.ceil(len(rows) / most), min(longest, deepest)), deepest + 1):
        columns = _columns(rows, deep)
        if len(columns) <= most:
            return columns
    return [rows[at : at + deepest] for at in range(0, len(rows), deepest)]


# ---- arithmetic of the grammar -------------------------------------------------------------------


def plus(*parts: Any) -> Any:
    """Sum as a value of the grammar."""
    return {"sum": list(parts)}


def times(*parts: Any) -> Any:
    """Product as a value of the grammar."""
    return {"product": list(parts)}


def clamped(value: Any, low: float, high: float) -> Any:
    """Value limited to a range, as a value of the grammar."""
    return {"max": [low, {"min": [high, value]}]}


# ---- inside --------------------------------------------------------------------------------------


def _rows(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Rows of lines, two narrow ones in a row."""
    rows: list[list[_Line]] = []
    for line in lines:
        if line.narrow and rows and len(rows[-1]) == 1 and rows[-1][0].narrow:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _groups(rows: Sequence[list[_Line]]) -> list[Sequence[list[_Line]]]:
    """Rows cut before each heading."""
    heads = [at for at, row in enumerate(rows) if row[0].field is None and at]
    return [rows[start:end] for start, end in itertools.pairwise([0, *heads, len(rows)])]


def _columns(rows: Sequence[list[_Line]], deep: int) -> list[list[list[_Line]]]:
    """Rows in columns of a depth; a group that would be cut begins the next column if it fits."""
    columns: list[list[list[_Line]]] = [[]]
    for group in _groups(rows):
        if columns[-1] and len(columns[-1]) + len(group) > deep >= len(group):
            columns.append([])
        for row in group:
            if len(columns[-1]) == deep:
                columns.append([])
            columns[-1].append(row)
    return columns


def _fitted(lines: Sequence[_Line], most: int) -> list[list[_Line]]:
    """As many rows as there is room for; the last one gives the number of omitted fields."""
    kept = [line for line in lines if len(line.slots) <= MOST_SLOTS]
    rows = _rows(kept)
    while len(rows) + (len(kept) < len(lines)) > max(most, 1) and kept:
        unlearned = [
            at for at, line in enumerate(kept) if line.field and line.field.predict == "no"
        ]
        del kept[unlearned[-1] if unlearned else -1]
        rows = _rows(kept)
    gone = sum(line.field is not None for line in lines) - sum(
        line.field is not None for line in kept
    )
    return [*rows, [_Line(f"+ {gone} more", "")]] if gone else rows


def _drawn(line: _Line, area: _Area, tables: dict[str, Any]) -> Iterator[Shape]:
    """Shapes of one line."""
    y, size = (area.top + area.bottom) / 2, 0.6 * area.height
    if line.field is None:
        yield from _heading(line, area, y, size)
        return
    if line.narrow:
        yield from _lamp(line, line.slots[0], area.left + 0.2, y, size)
        yield _text(area.left + 0.5, y, _short(line.label, area.width - 0.6, size), size, alpha=0.8)
        return
    start = area.left + LABEL * area.width
    yield _text(area.left, y, _short(line.label, start - area.left - 0.1, size), size, alpha=0.8)
    cell = (area.right - start) / len(line.slots)
    for at, slot in enumerate(line.slots):
        left = start + at * cell
        here = _Area(
            left, area.top, left + cell * (1 if len(line.slots) == 1 else 0.86), area.bottom
        )
        yield from _value(line, slot, here, y, size, tables)


def _value(
    line: _Line, slot: int, area: _Area, y: float, size: float, tables: dict[str, Any]
) -> Iterator[Shape]:
    """One slot of a line: a lamp, a name, or a gauge with its number where there is room."""
    value = {"field": line.key, "slot": slot}
    alone = len(line.slots) == 1
    if isinstance(line.field, Flag):
        yield from _lamp(line, slot, (area.left + area.right) / 2, y, size)
    elif line.names and (alone or area.width > LETTER * size * max(map(len, line.names))):
        table = f"{line.key} {area.width:.1f}"
        tables[table] = [_short(name, area.width, size) for name in line.names]
        name = {"table": table, "at": [value]}
        yield _text(area.right, y, name, size, align="right", **_shown(line, slot))
    else:
        digits = (
            0.0
            if not alone
            else area.width
            if line.span is None
            else DIGITS / (1 - LABEL) * area.width
        )
        if line.span is not None:
            yield from _gauge(
                line,
                value,
                _Area(area.left, area.top, area.right - digits - 0.1, area.bottom),
                y,
                slot,
            )
        if digits or line.span is None:
            yield _text(area.right, y, value, size * 0.95, align="right", **_shown(line, slot))


def _gauge(line: _Line, value: Any, area: _Area, y: float, slot: int) -> Iterator[Shape]:
    """Track, and a bar from zero (or the nearer end) to the value."""
    assert line.span is not None
    low, high = line.span
    height, zero = 0.3 * area.height, min(max(0.0, low), high)
    per = area.width / (high - low)
    off = plus(clamped(value, low, high), -zero)
    origin = area.left + per * (zero - low)
    yield {
        "shape": "rect",
        "x": area.left + area.width / 2,
        "y": y,
        "w": area.width,
        "h": height,
        "fill": "ground",
    }
    yield {
        "shape": "rect",
        "x": plus(origin, times(per / 2, off)),
        "y": y,
        "w": {"max": [times(per, off), times(-per, off)]},
        "h": height,
        "fill": line.color,
        **_shown(line, slot),
    }


def _lamp(line: _Line, slot: int, x: float, y: float, size: float) -> Iterator[Shape]:
    """Ring that is filled while the flag is on."""
    ring = {"shape": "circle", "x": x, "y": y, "r": 0.32 * size, "line": "ink", "width": 0.04}
    on: Any = {"field": line.key, "slot": slot}
    yield {**ring, "alpha": 0.6}
    shown = _shown(line, slot).get("if")
    yield {**ring, "fill": line.color, "if": times(on, shown) if shown else on}


def _heading(line: _Line, area: _Area, y: float, size: float) -> Iterator[Shape]:
    """Name of a group behind a stroke of its color."""
    if line.color:
        yield {
            "shape": "rect",
            "x": area.left + 0.08,
            "y": y,
            "w": 0.16,
            "h": 0.6 * area.height,
            "fill": line.color,
        }
    indent = 0.36 if line.color else 0.0
    yield _text(area.left + indent, y, _short(line.label, area.width - indent, size), size)


def _shown(line: _Line, slot: int) -> Shape:
    """Condition under which a slot is in use."""
    return {"if": {"field": line.mask, "slot": slot}} if line.mask else {}


def _text(x: float, y: float, text: Any, size: float, *, align: str = "left", **more: Any) -> Shape:
    return {
        "shape": "text",
        "x": x,
        "y": y,
        "text": text,
        "size": size,
        "align": align,
        "fill": "ink",
        **more,
    }


def _short(text: str, width: float, size: float) -> str:
    """Text cut to a width."""
    most = max(int(width / (LETTER * size)), 2)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
