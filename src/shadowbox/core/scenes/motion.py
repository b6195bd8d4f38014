"""Motion in a picture: trails, lingering rings, and the camera, from the rows around a frame.

`evaluate` in `scene.py` knows one row. A picture in motion also shows, for shapes with these tags,

    body   a trail: its places in the last TRAIL rows, smaller and fainter with age
    ring   lingers: the rings of the last LINGER rows, wider and fainter with age

and where the scene has a `camera`, the part of the world around the bodies. All of it is a function
of the rows, so a frame looks the same however it was reached. `page/motion.js` does the same in the
browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np

from shadowbox.core.scenes.grammar import Scene, Shape, evaluate
from shadowbox.core.schema import Array

Box = tuple[float, float, float, float]  # left, top, right, bottom

TRAIL, LINGER = 12, 8  # rows
# rows: a box holds the bodies of AHEAD rows both ways; the camera is the mean of SMOOTH boxes both
# ways
AHEAD, SMOOTH = 14, 12


class Film:
    """Shapes and camera of each frame of an episode: columns [T + 1, slots] and events."""

    def __init__(self, scene: Scene, columns: Mapping[str, Array], events: Array) -> None:
        self.scene, self.columns, self.events = scene, columns, events
        self.length = len(next(iter(columns.values())))
        self._bodies = lru_cache(256)(lambda frame: self._tagged("body", frame))
        self._box = lru_cache(256)(lambda frame: around(self._bodies(frame)))

    def row(self, frame: int) -> dict[str, Array]:
        """Columns [slots] of one row."""
        return {key: values[frame] for key, values in self.columns.items()}

    def happened(self, frame: int) -> Array:
        """Events of a row."""
        first, last = np.searchsorted(self.events["frame"], (frame, frame + 1))
        return self.events[first:last]

    def shapes(self, frame: int) -> list[Shape]:
        """Shapes to paint at a frame, in order: trails before the first body, old rings last."""
        shapes = evaluate(self.scene, self.row(frame), self.happened(frame))
        first = next(
            (at for at, shape in enumerate(shapes) if shape.get("tag") == "body"), len(shapes)
        )
        trail = [
            faded
            for age in _ages(TRAIL, frame)
            for body in self._bodies(frame - age)
            for faded in _trail(body, age)
        ]
        rings = [
            _ring(ring, age)
            for age in _ages(LINGER, frame)
            for ring in self._tagged("ring", frame - age)
        ]
        return [*shapes[:first], *trail, *shapes[first:], *rings]

    def camera(self, frame: int) -> Box:
        """Part of the world to show, in the bounds' proportions; it holds all of the bodies."""
        camera, last = self.scene.get("camera"), self.length - 1
        if camera is None:
            left, top, right, bottom = self.scene["bounds"]
            return left, top, right, bottom
        boxes = []
        for center in range(max(frame - SMOOTH, 0), min(frame + SMOOTH, last) + 1):
            near = [
                self._box(at) for at in range(max(center - AHEAD, 0), min(center + AHEAD, last) + 1)
            ]
            boxes.append(_union([box for box in near if box], camera["keep"]))
        means = [sum(box[side] for box in boxes) / len(boxes) for side in range(4)]
        return fitted(
            (means[0], means[1], means[2], means[3]), camera["margin"], self.scene["bounds"]
        )

    def _tagged(self, tag: str, frame: int) -> list[Shape]:
        return evaluate(self._only[tag], self.row(frame), self.happened(frame))

    @cached_property
    def _only(self) -> dict[str, Scene]:
        shapes = self.scene["shapes"]
        return {
            tag: {**self.scene, "shapes": [s for s in shapes if s.get("tag") == tag]}
            for tag in ("body", "ring")
        }


def around(shapes: Sequence[Shape]) -> Box | None:
    """Box of the shapes' centers; None without shapes."""
    if not shapes:
        return None
    xs, ys = [shape["x"] for shape in shapes], [shape["y"] for shape in shapes]
    return min(xs), min(ys), max(xs), max(ys)


def fitted(box: Box, margin: float, bounds: Sequence[float]) -> Box:
    """Box with a margin, grown to the proportions of the bounds and moved inside them."""
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    share = min(
        1.0, max((box[2] - box[0] + 2 * margin) / width, (box[3] - box[1] + 2 * margin) / height)
    )
    left = (box[0] + box[2] - share * width) / 2
    top = (box[1] + box[3] - share * height) / 2
    left = min(max(left, bounds[0]), bounds[2] - share * width)
    top = min(max(top, bounds[1]), bounds[3] - share * height)
    return left, top, left + share * width, top + share * height


def _union(boxes: Sequence[Box], keep: Sequence[float]) -> Box:
    sides = [*boxes, keep]
    return (
        min(b[0] for b in sides),
        min(b[1] for b in sides),
        max(b[2] for b in sides),
        max(b[3] for b in sides),
    )


def _ages(most: int, frame: int) -> Iterator[int]:
    """Ages in rows, from the oldest to that of the row before."""
    return iter(range(min(most, frame), 0, -1))


def _trail(body: Shape, age: int) -> Iterator[Shape]:
    """Trail of a body `age` rows ago, smaller and without its outline; text leaves none."""
    left = 1 - age / (TRAIL + 1)
    size = 0.35 + 0.55 * left
    out = {**body, "line": "", "alpha": body.get("alpha", 1) * 0.4 * left, "tag": "trail"}
    out |= {name: body[name] * size for name in ("w", "h", "r") if name in body}
    if "points" in body:
        out["points"] = [[dx * size, dy * size] for dx, dy in body["points"]]
    if body["shape"] != "text":
        yield out


def _ring(ring: Shape, age: int) -> Shape:
    """Ring that is `age` rows old."""
    out = {**ring, "alpha": ring.get("alpha", 1) * (1 - age / (LINGER + 1))}
    return out | {"r": ring["r"] * (1 + 0.07 * age)} if "r" in ring else out
