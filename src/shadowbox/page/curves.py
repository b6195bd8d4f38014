"""Small charts of many curves, one curve each: a page, or one picture of all of them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from shadowbox.page.document import facts, heading, lines, page

COLUMNS, WIDE, TALL, EDGE = 3, 360, 190, 24  # charts in a row of a picture; pixels
INK, LINE, CURVE, PAPER = "#1C1F23", "#DEDCD5", "#2F7FC1", "#FAFAF7"


class _Chart(NamedTuple):
    """Curve with its title; `even` draws a level to compare it with."""

    title: str
    points: Sequence[tuple[float, float]]
    even: float | None = None


def curves_page(title: str, charts: Sequence[_Chart]) -> str:
    """Page with a chart for each curve that has finite points."""
    blocks = []
    for chart in charts:
        points = _finite(chart.points)
        if not points:
            continue
        curves = [(chart.title, points, "p1")]
        if chart.even is not None:
            ends = [(x, chart.even) for x in (points[0][0], points[-1][0])]
            curves.append((f"{chart.even:g}", ends, "baseline"))
        last = f"{points[-1][1]:.5g} at step {points[-1][0]:,.0f}"
        blocks += [heading(chart.title), lines(curves), facts([("last", last)])]
    return page(title, blocks)


def curves_picture(charts: Sequence[_Chart]) -> bytes | None:
    """The charts side by side as a PNG; None without Pillow (the extra `pictures`)."""
    drawn = [chart for chart in charts if _finite(chart.points)]
    if find_spec("PIL") is None or not drawn:
        return None
    from PIL import Image, ImageDraw

    size = COLUMNS * WIDE, math.ceil(len(drawn) / COLUMNS) * TALL
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    for at, chart in enumerate(drawn):
        _draw(draw, chart, at % COLUMNS * WIDE, at // COLUMNS * TALL)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _draw(draw: Any, chart: _Chart, left: int, top: int) -> None:
    points = _finite(chart.points)
    xs, ys = ([point[axis] for point in points] for axis in (0, 1))
    ys += [chart.even] if chart.even is not None else []
    (first, last), (low, high) = (min(xs), max(xs)), (min(ys), max(ys))
    box = (left + EDGE, top + EDGE, left + WIDE - EDGE, top + TALL - EDGE)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - first) / ((last - first) or 1), (y - low) / ((high - low) or 1)
        return box[0] + across * (box[2] - box[0]), box[3] - up * (box[3] - box[1])

    draw.rectangle(box, outline=LINE)
    if chart.even is not None:
        draw.line([place(first, chart.even), place(last, chart.even)], fill=LINE, width=2)
    if len(points) > 1:
        draw.line([place(*point) for point in points], fill=CURVE, width=2)
    x, y = place(*points[-1])
    draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=CURVE)
    draw.text((box[0], top + 8), chart.title.encode("ascii", "replace").decode(), fill=INK)
    draw.text((box[0] + 3, box[1] + 2), f"{high:.4g}", fill=INK)
    draw.text((box[0] + 3, box[3] - 13), f"{low:.4g}", fill=INK)
    draw.text((box[2] - 60, box[3] + 4), f"step {last:,.0f}", fill=INK)


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [point for point in points if math.isfinite(point[1])]
