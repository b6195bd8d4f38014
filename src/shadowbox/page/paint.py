"""A scene as a picture: one row of columns -> RGB pixels. The browser's painter reads the same grammar.

Needs Pillow (the `pictures` extra), which is imported when something is painted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.scene import Scene, Shape, evaluate
from shadowbox.core.schema import Array
from shadowbox.errors import UsageError

PALETTES = {
    "light": {"paper": "#FAFAF7", "ink": "#1C1F23", "line": "#DEDCD5", "ground": "#E9E6DC", "p1": "#2F7FC1", "p2": "#D9722E"},
    "dark": {"paper": "#14171A", "ink": "#E8E6E1", "line": "#2B3036", "ground": "#23282D", "p1": "#2F7FC1", "p2": "#D9722E"},
}
SMOOTH = 2  # painted so many times larger, then shrunk: smooth edges
DANGER = "#C62828"


def paint(
    scene: Scene,
    columns: Mapping[str, Array],
    events: Array | None = None,
    *,
    width: int = 720,
    theme: str = "light",
    hidden: frozenset[str] = frozenset(),
) -> Array:
    """One row of columns [slots] (and its events) as pixels [height, width, 3] u8; shapes tagged in `hidden` are left out."""
    Image, ImageDraw, _ = _pillow()
    left, top, right, bottom = scene["bounds"]
    scale = width * SMOOTH / (right - left)
    height = round(width * (bottom - top) / (right - left))
    colours = PALETTES[theme]
    image = Image.new("RGB", (width * SMOOTH, height * SMOOTH), colours["paper"])
    draw = ImageDraw.Draw(image, "RGBA")
    for shape in evaluate(scene, columns, events):
        if shape.get("tag") not in hidden:
            _paint_shape(draw, shape, colours, scale, left, top)
    _paint_hud(draw, scene, columns, colours, width * SMOOTH)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def save(pixels: Array, path: Path) -> None:
    """Pixels [height, width, 3] as a PNG file."""
    Image, _, _ = _pillow()
    Image.fromarray(pixels).save(path)


def _pillow() -> tuple[Any, Any, Any]:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise UsageError("pictures need Pillow: pip install 'shadowbox[pictures]'") from error
    return Image, ImageDraw, ImageFont


def _colour(name: str, colours: Mapping[str, str], alpha: float) -> tuple[int, int, int, int] | None:
    """A colour with its opacity, for the palette's names and "#rrggbb"; nothing for an empty name."""
    if not name or alpha <= 0:
        return None
    text = colours.get(name, name)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16), round(255 * min(alpha, 1.0))


def _paint_shape(draw: Any, shape: Shape, colours: Mapping[str, str], scale: float, left: float, top: float) -> None:
    alpha = float(shape.get("alpha", 1.0))
    fill, line = (_colour(shape.get(name, ""), colours, alpha) for name in ("fill", "line"))
    stroke = max(1, round(shape.get("width", 0.04) * scale)) if line else 0
    x, y = (shape["x"] - left) * scale, (shape["y"] - top) * scale
    if shape["shape"] == "polygon":
        draw.polygon([(x + dx * scale, y + dy * scale) for dx, dy in shape["points"]], fill=fill, outline=line)
        return
    if shape["shape"] == "text":
        draw.text((x, y), str(shape["text"]), fill=fill, anchor="mm", font=_font(shape["size"] * scale))
        return
    if shape["shape"] == "circle":
        half_w = half_h = shape["r"] * scale
    else:
        half_w, half_h = shape["w"] * scale / 2, shape["h"] * scale / 2
    if half_w < 0.5 and half_h < 0.5:
        return
    box = (x - half_w, y - half_h, x + half_w, y + half_h)
    match shape["shape"]:
        case "rect":
            draw.rectangle(box, fill=fill, outline=line, width=stroke)
        case "circle":
            draw.ellipse(box, fill=fill, outline=line, width=stroke)
        case "capsule":
            draw.rounded_rectangle(box, radius=min(half_w, half_h), fill=fill, outline=line, width=stroke)


def _font(size: float) -> Any:
    _, _, ImageFont = _pillow()
    return ImageFont.load_default(size=max(8, round(size)))


def _paint_hud(draw: Any, scene: Scene, columns: Mapping[str, Array], colours: Mapping[str, str], width: int) -> None:
    """The first player's numbers at the left, the second's at the right."""
    unit = width / 60
    for player, name in enumerate(("p1", "p2")):
        sign, edge = (1, unit) if player == 0 else (-1, width - unit)
        y = unit
        for entry in scene.get("hud", ()):
            value = columns[entry["field"]][player].item()
            if entry["as"] == "pips":
                for i in range(int(entry.get("of", value))):
                    x = edge + sign * (i * 1.4 + 0.5) * unit
                    fill = _colour(name if i < value else "line", colours, 1.0)
                    draw.ellipse((x - unit / 2, y, x + unit / 2, y + unit), fill=fill)
                y += 1.6 * unit
            else:
                heat = min(value / entry["danger"], 1.0) if "danger" in entry else 0.0
                cold, hot = (_colour(c, colours, 1.0) or (0, 0, 0, 0) for c in ("ink", DANGER))
                warm = tuple(round(a + (b - a) * heat) for a, b in zip(cold, hot, strict=True))
                text, anchor = f"{value:.0f}{entry.get('unit', '')}", ("la", "ra")[player]
                draw.text((edge, y), text, fill=warm, anchor=anchor, font=_font(3 * unit))
                y += 3.6 * unit
