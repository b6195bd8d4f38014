"""Painter of scenes: shapes become RGB pixels, PNG files and GIFs, as paint.js paints them.

Needs Pillow (the extra `pictures`), which is imported when something is painted.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.files import write_whole
from shadowbox.core.game import no_events
from shadowbox.core.scenes.grammar import Scene, Shape, value_of
from shadowbox.core.scenes.motion import Film
from shadowbox.core.schema import Array
from shadowbox.errors import UsageError, install_hint

PALETTES = {
    "light": {
        "paper": "#FAFAF7",
        "ink": "#1C1F23",
        "line": "#DEDCD5",
        "ground": "#E9E6DC",
        "p1": "#2F7FC1",
        "p2": "#D9722E",
        "shade": "#1C1F23",
        "wood": "#8B6B43",
        "steel": "#6F9C8C",
        "iron": "#6B5F78",
        "kill": "#C5362F",
        "gold": "#B98200",
    },
    "dark": {
        "paper": "#14171A",
        "ink": "#E8E6E1",
        "line": "#2B3036",
        "ground": "#23282D",
        "p1": "#2F7FC1",
        "p2": "#D9722E",
        "shade": "#14171A",
        "wood": "#A98A60",
        "steel": "#8DB8A8",
        "iron": "#9A8FA8",
        "kill": "#E2635A",
        "gold": "#E0A93A",
    },
}
SMOOTH = 2  # factor by which pictures are painted larger, then shrunk, for smooth edges
GIF_COLORS = 128  # size of the palette that all frames of a GIF share
GIF_SAMPLES = 16  # evenly spread frames from which the palette is chosen
SOFT = "#7C7F83"
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
    """Paint one row of columns [slots] and its events: pixels [height, width, 3] u8.

    Shapes tagged in `hidden` are left out.
    """
    happened = no_events() if events is None else events.copy()
    happened["frame"] = 0  # the film is this one row
    film = Film(scene, {key: values[None] for key, values in columns.items()}, happened)
    shapes = [shape for shape in film.shapes(0) if shape.get("tag") not in hidden]
    return _picture(scene, columns, shapes, scene["bounds"], width, theme, (), "")


def paint_frame(
    film: Film,
    frame: float,
    *,
    width: int = 960,
    theme: str = "light",
    names: Sequence[str] = (),
    world: str = "",
) -> Array:
    """Paint a moment of a match as the viewer shows it: figures, trails, camera and names.

    The picture of a dream (a `world` that starts with "dream:") is labeled DREAM.
    """
    return _picture(
        film.scene,
        film.row(int(frame)),
        film.shapes(frame),
        film.camera(frame),
        width,
        theme,
        names,
        world,
    )


def save(pixels: Array, path: Path) -> None:
    """Save pixels [height, width, 3] as a PNG file."""
    Image, _, _ = _pillow()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    write_whole(path, file.getvalue())


def save_gif(frames: Iterable[Array], path: Path, fps: float) -> None:
    """Save pictures as a GIF that plays at `fps` on average and repeats forever.

    A frame of a GIF lasts a whole number of hundredths of a second, so durations alternate. All
    frames share one palette and none is dithered, so that a still part stays still.
    """
    Image, _, _ = _pillow()
    pictures = list(frames)
    sample = np.concatenate(pictures[:: max(1, len(pictures) // GIF_SAMPLES)])
    palette = Image.fromarray(sample).quantize(GIF_COLORS)
    images = [
        Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)
        for pixels in pictures
    ]
    ticks = np.diff(np.round(np.arange(len(images) + 1) * 100 / fps)).astype(int)
    file = io.BytesIO()
    images[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=images[1:],
        duration=[int(t) * 10 for t in ticks],
        loop=0,
    )
    write_whole(path, file.getvalue())


def _picture(
    scene: Scene,
    columns: Mapping[str, Array],
    shapes: Iterable[Shape],
    box: Sequence[float],
    width: int,
    theme: str,
    names: Sequence[str],
    world: str,
) -> Array:
    Image, ImageDraw, _ = _pillow()
    left, top, right, bottom = box
    scale = width * SMOOTH / (right - left)
    height = round(width * (bottom - top) / (right - left))
    colors = PALETTES[theme]
    image = Image.new("RGB", (width * SMOOTH, height * SMOOTH), colors["paper"])
    draw = ImageDraw.Draw(image, "RGBA")
    for shape in shapes:
        _paint_shape(draw, shape, colors, scale, left, top)
    _paint_hud(draw, scene, columns, colors, width * SMOOTH, names)
    _paint_world(draw, world, colors, width * SMOOTH, height * SMOOTH)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _pillow() -> tuple[Any, Any, Any]:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise UsageError(f"pictures need Pillow: {install_hint('pictures')}") from error
    return Image, ImageDraw, ImageFont


def _color(name: str, colors: Mapping[str, str], alpha: float) -> tuple[int, int, int, int] | None:
    """RGBA of a palette's name, "#rrggbb" or "a/b/share", with opacity; None for an empty name."""
    if not name or alpha <= 0:
        return None
    red, green, blue = mixed(name, colors)
    return red, green, blue, round(255 * min(alpha, 1.0))


def mixed(name: str, colors: Mapping[str, str]) -> tuple[int, int, int]:
    """RGB of a palette's name, of "#rrggbb", or of "a/b/share": that share of the way from a to b."""
    first, *rest = name.split("/")
    text = colors.get(first, first)
    red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    if not rest:
        return red, green, blue
    second, share = mixed(rest[0], colors), float(rest[1])
    pairs = zip((red, green, blue), second, strict=True)
    red, green, blue = (math.floor(a + (b - a) * share + 0.5) for a, b in pairs)
    return red, green, blue


def _paint_shape(
    draw: Any, shape: Shape, colors: Mapping[str, str], scale: float, left: float, top: float
) -> None:
    """Paint one shape; `scale` is pixels a unit of the picture that is painted larger."""
    alpha = float(shape.get("alpha", 1.0))
    fill, line = (_color(shape.get(name, ""), colors, alpha) for name in ("fill", "line"))
    if scale / SMOOTH < shape.get("from", 0) or (fill is None and line is None):
        return
    x, y = (shape["x"] - left) * scale, (shape["y"] - top) * scale
    kind, rim = shape["shape"], _rim(shape, scale)
    if kind == "path":
        least = max(shape.get("least", 1) * SMOOTH, shape.get("width", 0.04) * scale)
        points = [(x + dx * scale, y + dy * scale) for dx, dy in shape["points"]]
        _stroke(draw, points, least + 2 * rim, line)
    elif kind == "polygon":
        points = [(x + dx * scale, y + dy * scale) for dx, dy in shape["points"]]
        if rim >= 0:
            draw.polygon(points, fill=fill)
        if rim > 0:
            _stroke(draw, [*points, points[0]], 2 * rim, fill)
        elif rim < 0:
            draw.polygon(_shrunk(points, -rim), fill=fill)
        if line:
            width = max(SMOOTH, shape.get("width", 0.04) * scale)
            _stroke(draw, [*points, points[0]], width, line)
    elif kind == "text":
        anchor = {"left": "lm", "right": "rm"}.get(shape.get("align", ""), "mm")
        font = _font(shape["size"] * scale)
        draw.text((x, y), _words(shape["text"]), fill=fill, anchor=anchor, font=font)
    elif kind == "dots":
        _paint_dots(draw, shape, fill, scale, (x, y))
    else:
        _paint_round(draw, shape, (fill, line), scale, (x, y), rim)


def _rim(shape: Shape, scale: float) -> float:
    """Pixels by which a shape is wider on each side; negative: narrower."""
    units, least = shape.get("rim", (0.0, 0.0))
    sign = -1 if units < 0 else 1
    return float(sign * max(abs(units) * scale, abs(least) * SMOOTH))


def _stroke(draw: Any, points: Sequence[tuple[float, float]], width: float, color: Any) -> None:
    """Line through points with round ends and joints."""
    half = width / 2
    if half <= 0:
        return
    for i, (x, y) in enumerate(points):
        if half > 0.5 and (color[3] == 255 or len(points) > 2):
            draw.ellipse((x - half, y - half, x + half - 1, y + half - 1), fill=color)
        if i:
            a, b = points[i - 1]
            long = math.hypot(x - a, y - b)
            if long:
                nx, ny = (b - y) / long * half, (x - a) / long * half
                corners = [(a + nx, b + ny), (x + nx, y + ny), (x - nx, y - ny), (a - nx, b - ny)]
                draw.polygon([(cx - 0.5, cy - 0.5) for cx, cy in corners], fill=color)


def _shrunk(points: Sequence[tuple[float, float]], by: float) -> list[tuple[float, float]]:
    """Points moved towards their middle."""
    mx, my = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    out = []
    for x, y in points:
        long = math.hypot(x - mx, y - my) or 1
        share = max(0.0, 1 - by / long)
        out.append((mx + (x - mx) * share, my + (y - my) * share))
    return out


def _paint_dots(draw: Any, shape: Shape, fill: Any, scale: float, at: tuple[float, float]) -> None:
    width, height = draw.im.size
    r, step = max(shape["r"] * scale, 0.9 * SMOOTH), shape["step"]
    for i in range(math.floor(shape["w"] / step + 1e-9) + 1):
        x = at[0] + (i * step - shape["w"] / 2) * scale
        if not -r < x < width + r:
            continue
        for j in range(math.floor(shape["h"] / step + 1e-9) + 1):
            y = at[1] + (j * step - shape["h"] / 2) * scale
            if -r < y < height + r:
                draw.ellipse((x - r, y - r, x + r - 1, y + r - 1), fill=fill)


def _paint_round(
    draw: Any,
    shape: Shape,
    colors: tuple[Any, Any],
    scale: float,
    at: tuple[float, float],
    rim: float,
) -> None:
    """Paint a rectangle, circle or capsule."""
    fill, line = colors
    (x, y), kind = at, shape["shape"]
    if kind == "circle":
        half_w = half_h = max(shape["r"] * scale, shape.get("least", 0) * SMOOTH) + rim
    else:
        half_w, half_h = shape["w"] * scale / 2, shape["h"] * scale / 2
    if min(half_w, half_h) < 0.5:
        return
    stroke = max(1, round(shape.get("width", 0.04) * scale)) if line else 0
    out = stroke / 2  # the browser draws a line centered on the edge, Pillow inside it
    box = (x - half_w - out, y - half_h - out, x + half_w + out - 1, y + half_h + out - 1)
    if kind == "rect":
        draw.rectangle(box, fill=fill, outline=line, width=stroke)
    elif kind == "circle":
        draw.ellipse(box, fill=fill, outline=line, width=stroke)
    else:
        round_by = min(half_w, half_h) + out
        draw.rounded_rectangle(box, radius=round_by, fill=fill, outline=line, width=stroke)


def _words(value: Any) -> str:
    """Text of a value; a float is rounded to two decimals."""
    return f"{round(value, 2) + 0.0:g}" if isinstance(value, float) else str(value)  # never -0


def _font(size: float) -> Any:
    _, _, ImageFont = _pillow()
    return ImageFont.load_default(size=max(8, round(size)))


def _paint_hud(
    draw: Any,
    scene: Scene,
    columns: Mapping[str, Array],
    colors: Mapping[str, str],
    width: int,
    names: Sequence[str],
) -> None:
    """Paint names and numbers: the first player's at the left, the second's at the right."""
    unit = width / 60
    for player, seat in enumerate(("p1", "p2")):
        sign, edge, anchor = (1, unit, "la") if player == 0 else (-1, width - unit, "ra")
        y = unit
        if player < len(names):
            who = value_of(scene, columns, scene["who"], player) if "who" in scene else ""
            draw.text(
                (edge, y),
                f"{who} · {names[player]}" if who else names[player],
                fill=_color("ink", colors, 1.0),
                anchor=anchor,
                font=_font(1.4 * unit),
            )
            y += 2.2 * unit
        for entry in scene.get("hud", ()):
            if entry["as"] == "word":
                text = _words(value_of(scene, columns, entry["value"], player))
                soft = _color(SOFT, colors, 1.0)
                draw.text((edge, y), text, fill=soft, anchor=anchor, font=_font(1.2 * unit))
                y += 1.8 * unit
                continue
            values = columns[entry["field"]]
            if player >= len(values):
                continue  # a game of one player
            value = values[player].item()
            if entry["as"] == "pips":
                for i in range(int(entry.get("of", value))):
                    x = edge + sign * (i * 1.4 + 0.5) * unit
                    draw.ellipse(
                        (x - unit / 2, y, x + unit / 2, y + unit),
                        fill=_color(seat, colors, 1.0) if i < value else None,
                        outline=_color(seat, colors, 1.0),
                        width=max(1, round(unit / 6)),
                    )
                y += 1.6 * unit
            else:
                heat = min(value / entry["danger"], 1.0) if "danger" in entry else 0.0
                cold, hot = (_color(c, colors, 1.0) or (0, 0, 0, 0) for c in ("ink", DANGER))
                warm = tuple(round(a + (b - a) * heat) for a, b in zip(cold, hot, strict=True))
                draw.text(
                    (edge, y),
                    f"{value:.0f}{entry.get('unit', '')}",
                    fill=warm,
                    anchor=anchor,
                    font=_font(3 * unit),
                )
                y += 3.6 * unit


def _paint_world(draw: Any, world: str, colors: Mapping[str, str], width: int, height: int) -> None:
    """Paint the world's name in a corner, and DREAM in large letters if it is a dream."""
    unit, soft = width / 60, _color(SOFT, colors, 1.0)
    draw.text((unit, height - unit), world, fill=soft, anchor="ls", font=_font(1.1 * unit))
    if world.startswith("dream:"):
        draw.text((width / 2, 3 * unit), "D R E A M", fill=soft, anchor="mm", font=_font(3 * unit))
