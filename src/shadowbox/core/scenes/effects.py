"""Effects of a scene as shapes: hits, knock-outs, ribbons, hatching, and marks around figures.

`page/effects.js` does the same in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from shadowbox.core.scenes.pose import clamp, ease_out, noise

Shape = dict[str, Any]

IMPACT_FRAMES, BURST_FRAMES = 8, 20
SHAKE_FRAMES, SHAKE_MOST = 5, 4.0  # frames, pixels
SHAKE_PER_DAMAGE = 0.16  # pixels
RIBBON_LAYERS = 9
RAYS = 13


def impact(shape: Mapping[str, Any], t: float, seed: int, over: bool) -> list[Shape]:
    """Ring and ticks of a hit (behind the figures), or its spark (`over`); `t` is 0 to 1.

    The place is a little in front of x, y, on the line to `toward`; `size` is the ring's radius.
    """
    size, count = shape["size"], 5 + math.floor(shape["count"] + 0.5)
    (tx, ty), color = shape["toward"], shape["fill"]
    far = math.hypot(tx - shape["x"], ty - shape["y"]) or 1
    ahead = shape.get("ahead", 0.0) / far
    x, y = shape["x"] + (tx - shape["x"]) * ahead, shape["y"] + (ty - shape["y"]) * ahead
    place = {"x": x, "y": y, "tag": "ring"}
    if over:
        if t >= 0.7:
            return []
        left = 1 - t / 0.7
        return [
            _star(place, size * 0.28 * left, size * 0.76 * left, count, seed, "ink"),
            _star(place, size * 0.19 * left, size * 0.54 * left, count, seed, "paper"),
        ]
    ring = {
        "shape": "circle",
        **place,
        "r": size * (0.62 + 0.38 * ease_out(t)),
        "line": color,
        "width": size * 0.3 * (1 - t),
        "alpha": (1 - t) ** 0.8,
    }
    ticks = []
    for i in range(count):
        angle = (i + 0.5) * 2 * math.pi / count + seed
        near = size * (1.1 + 0.2 * ease_out(t))
        end = near + size * 0.3 * (1 - t) * (0.6 + noise(i + 9))
        cos, sin = math.cos(angle), math.sin(angle)
        tick = {"points": [[near * cos, near * sin], [end * cos, end * sin]], "line": "ink"}
        ticks.append({"shape": "path", **place, **tick, "width": size * 0.08, "alpha": 1 - t})
    return [ring, *ticks]


def _star(
    place: Mapping[str, Any], low: float, high: float, count: int, seed: int, color: str
) -> Shape:
    points = []
    for i in range(2 * count):
        angle = (i + seed * 3.7) * math.pi / count
        radius = low if i % 2 else high * (0.75 + 0.5 * noise(i * 3 + seed))
        points.append([radius * math.cos(angle), radius * math.sin(angle)])
    return {"shape": "polygon", **place, "points": points, "fill": color}


def shake(shape: Mapping[str, Any], age: float) -> tuple[float, float]:
    """Pixels by which a hit moves the picture, `age` frames after it."""
    if not 0 <= age < SHAKE_FRAMES:
        return 0.0, 0.0
    power = shape.get("power", 0.0)
    reach = min(SHAKE_MOST, power * SHAKE_PER_DAMAGE) * (1 - age / SHAKE_FRAMES)
    return reach * math.cos(age * 9 + power), reach * math.sin(age * 7)


def burst(shape: Mapping[str, Any], t: float) -> list[Shape]:
    """Rays of a knock-out, from the edge of `box` back into the stage; `t` is 0 to 1."""
    left, top, right, bottom = shape["box"]
    size, color = shape["size"], shape["fill"]
    x, y = clamp(shape["x"], left, right), clamp(shape["y"], top, bottom)
    across = min(abs(shape["x"] - left), abs(shape["x"] - right)) / (right - left)
    upright = min(abs(shape["y"] - top), abs(shape["y"] - bottom)) / (bottom - top)
    if across < upright:
        into = 180.0 if x > (left + right) / 2 else 0.0
        x = right if into else left
    else:
        into = 90.0 if y > (top + bottom) / 2 else -90.0
        y = bottom if into > 0 else top
    place = {"x": x, "y": y, "tag": "burst"}
    out: list[Shape] = []
    for i in range(RAYS):
        spread = (i / (RAYS - 1) - 0.5) * 128
        angle = math.radians(into + spread)
        reach = (3.9 - abs(spread) / 34) * (0.7 + 0.5 * noise(i * 7))
        long = size * reach * ease_out(min(1.0, t * 2.2))
        near = long * clamp((t - 0.25) * 1.5, 0, 1)
        half = math.radians((5 if i % 2 else 9) * (1 - t * 0.6) * 0.5)
        ray = [(near, -0.4), (long, -1), (long * 1.06, 0), (long, 1), (near, 0.4)]
        points = [[r * math.cos(angle + w * half), -r * math.sin(angle + w * half)] for r, w in ray]
        fill = f"{color}/paper/0.5" if i % 3 == 1 else color
        alpha = clamp(1.35 - t * 1.35, 0, 1)
        out.append({"shape": "polygon", **place, "points": points, "fill": fill, "alpha": alpha})
    ring = {"r": size * (0.5 + 1.7 * ease_out(t)), "line": "ink", "width": size * 0.1 * (1 - t)}
    return [*out, {"shape": "circle", **place, **ring, "alpha": 1 - t}]


def ribbon(places: Sequence[Sequence[float]], width: float, color: str) -> list[Shape]:
    """Trail through places, newest first: tapering, and fainter with age."""
    points = [list(place) for place in places]
    for _ in range(3):
        points[1:-1] = [
            [(points[n - 1][i] + 2 * points[n][i] + points[n + 1][i]) / 4 for i in (0, 1)]
            for n in range(1, len(points) - 1)
        ]
    rims: list[list[list[float]]] = [[], []]
    for n, (x, y) in enumerate(points):
        a, b = points[max(0, n - 1)], points[min(len(points) - 1, n + 1)]
        long = math.hypot(b[0] - a[0], b[1] - a[1]) or 1
        half = width * (1 - n / 13)
        nx, ny = -(b[1] - a[1]) / long * half, (b[0] - a[0]) / long * half
        rims[0].append([x + nx, y + ny])
        rims[1].append([x - nx, y - ny])
    out: list[Shape] = []
    for layer in range(RIBBON_LAYERS):  # shorter ones over longer ones: darker where it is young
        end = max(2, math.floor(len(points) * (RIBBON_LAYERS - layer) / RIBBON_LAYERS + 0.5))
        ring = [*rims[0][:end], *reversed(rims[1][:end])]
        out.append({"shape": "polygon", "x": 0, "y": 0, "points": ring, "fill": color})
        out[-1] |= {"alpha": 0.055, "tag": "trail"}
    return out


def hatch(shape: Mapping[str, Any]) -> list[Shape]:
    """Slanted lines inside a rectangle, `step` apart."""
    inset = shape["width"]  # round ends stay inside
    x, y, w, h = shape["x"], shape["y"], shape["w"] - inset, shape["h"] - inset
    step, lean = shape["step"], 0.7
    style = {"line": shape["line"], "width": shape["width"], "tag": "stage"}
    out = []
    for k in range(1, math.ceil((w + lean * h) / step)):
        top, low = k * step, 0.0  # from (top, 0) down to the left
        if top > w:
            low, top = (top - w) / lean, w
        deep = min(h, low + top / lean)
        ends = [[top - w / 2, low - h / 2], [top - (deep - low) * lean - w / 2, deep - h / 2]]
        out.append({"shape": "path", "x": x, "y": y, "points": ends, **style})
    return out


def shade(shape: Mapping[str, Any]) -> list[Shape]:
    """Mark on the ground below a figure: the higher the figure, the smaller and fainter."""
    x, y, size = shape["x"], shape["y"], shape.get("size", 1)
    tops = [
        floor
        for floor in shape.get("floors", ())
        if floor[0] - 0.2 * size < x < floor[1] + 0.2 * size and floor[2] > y
    ]
    if not tops:
        return []
    left, right, top = min(tops, key=lambda floor: floor[2])
    near = clamp(1 - (top - y - 0.5 * size) / (5 * size), 0.15, 1)
    a, b = max(left, x - 0.42 * near * size), min(right, x + 0.42 * near * size)
    if b <= a:
        return []
    place = {"x": (a + b) / 2, "y": top + 0.035 * size, "w": b - a, "h": 0.11 * size}
    return [
        {"shape": "capsule", **place, "fill": shape["fill"], "alpha": 0.9 * near, "tag": "shade"}
    ]


def marks_around(shape: Mapping[str, Any], frame: float, dizzy: bool) -> list[Shape]:
    """Marks around a figure: a charge that fills, a shield of dashes, stars of a dazed one."""
    size = shape.get("size", 1)
    out: list[Shape] = []
    place = {"x": shape["x"], "y": shape["y"], "tag": "figure"}
    charge = shape.get("charge", 0)
    if charge > 0:
        share = min(1.0, charge / 20)
        out.append(_arc(place, 0.82 * size, -math.pi / 2, 2 * math.pi * share, 24))
        out[-1] |= {"line": "gold", "width": 0.07 * size, "least": 2}
    if shape.get("shield", 0) > 0:
        for i in range(16):
            start = i * math.pi / 8 + frame * 0.02
            out.append(_arc(place, 0.86 * size, start, 0.22, 3))
            out[-1] |= {"line": shape["fill"], "width": 0.035 * size, "least": 1.2}
    if dizzy:
        for i in range(3):
            turn = frame * 0.28 + i * 2.1
            x = shape["x"] + math.cos(turn) * 0.3 * size
            y = shape["y"] - 0.68 * size + math.sin(turn) * 0.08 * size
            out.append({"shape": "circle", "x": x, "y": y, "r": 0.035 * size, "least": 1.4})
            out[-1] |= {"fill": "ink", "tag": "figure"}
    return out


def _arc(place: Mapping[str, Any], radius: float, start: float, turn: float, parts: int) -> Shape:
    angles = [start + turn * i / parts for i in range(parts + 1)]
    points = [[radius * math.cos(angle), radius * math.sin(angle)] for angle in angles]
    return {"shape": "path", **place, "points": points}
