"""Motion in a picture: figures, trails, lingering effects and the camera, from the rows around it.

`evaluate` in `grammar.py` knows one row. A picture in motion is between two rows, whose places and
poses are interpolated, and also shows

    body    a trail: its places in the last TRAIL rows, smaller and fainter with age
    ring    lingers: the rings of the last LINGER rows, wider and fainter with age
    figure  a posed body (pose.py, figure.py), with the path of what hits
    impact, burst  for some frames after their event (effects.py)

and where the scene has a `camera`, the part of the world around the bodies of this row and the rows
before it. All of it is a function of the rows, so a picture looks the same however it was reached.
`page/motion.js` does the same in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from shadowbox.core.scenes import effects, figure
from shadowbox.core.scenes.grammar import Key, Scene, Shape, keyed
from shadowbox.core.scenes.pose import NEVER, Pose, _Poses, blend, clamp
from shadowbox.core.schema import Array

Box = tuple[float, float, float, float]  # left, top, right, bottom

TRAIL, LINGER = 12, 8  # rows
HELD, SMOOTH = 14, 16  # rows: a box holds the bodies of HELD rows; the camera is the mean of SMOOTH
LOOK_BACK = 64  # rows in which the last event of a figure is looked for
JUMP = 0.084  # of the world's width: farther in one row is a jump, which is not interpolated
KEPT = 512
DAZED_AFTER = 8  # frames after a hit
TIMED = {"impact": effects.IMPACT_FRAMES, "burst": effects.BURST_FRAMES}


class Film:
    """Shapes and camera of each moment of an episode: columns [T + 1, slots] and events."""

    def __init__(self, scene: Scene, columns: Mapping[str, Array], events: Array) -> None:
        self.scene, self.columns, self.events = scene, columns, events
        self.length = len(next(iter(columns.values())))
        self.jump = JUMP * (scene["bounds"][2] - scene["bounds"][0])
        self.poses = {name: _Poses(table) for name, table in scene.get("figures", {}).items()}
        self._shapes = lru_cache(KEPT)(lambda frame: self._at(frame, lambda one: "on" not in one))
        self._pose = lru_cache(KEPT)(self._posed)
        self._box = lru_cache(KEPT)(lambda frame: around(self._bodies(frame)))

    def row(self, frame: int) -> dict[str, Array]:
        """Columns [slots] of one row."""
        return {key: values[frame] for key, values in self.columns.items()}

    def happened(self, frame: int) -> Array:
        """Events of a row."""
        first, last = np.searchsorted(self.events["frame"], (frame, frame + 1))
        return self.events[first:last]

    def shapes(self, position: float) -> list[Shape]:
        """Shapes to paint at a frame, or between two frames, in order.

        Trails come before the first body, old rings last.
        """
        frame, share = self._split(position)
        later = dict(self._shapes(frame + 1)) if share else {}
        before: list[Shape] = []
        after: list[Shape] = []
        figures: list[Any] = []
        met = False
        for key, shape in self._shapes(frame):
            other, kind = later.get(key), shape["shape"]
            met = met or shape.get("tag") == "body"
            part = after if met else before
            if kind == "figure":
                figures.append((key, self._between(shape, other, share), shape, other))
            elif kind == "hatch":
                part += effects.hatch(shape)
            else:
                part.append(self._between(shape, other, share))
        trails = [*self._trails(frame), *self._ribbons(frame, figures)]
        bodies = self._figures(frame, share, figures)
        rings = self._on(frame)
        under, over = self._timed("impact", position, False), self._timed("impact", position, True)
        old = [
            _ring(ring, age + share)
            for age in _ages(LINGER, frame)
            for ring in self._on(frame - age)
            if ring.get("tag") == "ring"
        ]
        bursts = self._timed("burst", position)
        return [*before, *trails, *under, *bodies, *after, *rings, *over, *old, *bursts]

    def shake(self, position: float) -> tuple[float, float]:
        """Pixels by which the hits of the last frames move the picture."""
        frame, share = self._split(position)
        x = y = 0.0
        for age in range(min(effects.SHAKE_FRAMES, frame + 1)):
            for hit in self._on(frame - age, "impact"):
                dx, dy = effects.shake(hit, age + share)
                x, y = x + dx, y + dy
        most = effects.SHAKE_MOST
        return clamp(x, -most, most), clamp(y, -most, most)

    def camera(self, position: float) -> Box:
        """Part of the world to show, in the bounds' proportions; it holds all of the bodies."""
        frame, share = self._split(position)
        a = self._camera(frame)
        if not share:
            return a
        b = self._camera(frame + 1)
        left, top, right, bottom = (a[i] + (b[i] - a[i]) * share for i in range(4))
        return left, top, right, bottom

    # ---- rows ----

    def _split(self, position: float) -> tuple[int, float]:
        """Frame at or before a position, and the share of the way to the next one."""
        frame = min(math.floor(position), self.length - 1)
        return frame, position - frame if frame < self.length - 1 else 0.0

    def _at(self, frame: int, wanted: Any) -> list[tuple[Key, Shape]]:
        return keyed(self.scene, self.row(frame), self.happened(frame), wanted)

    def _on(self, frame: int, kind: str = "") -> list[Shape]:
        """Shapes of a row's events: of one kind, or all but the effects."""
        if not len(self.happened(frame)):
            return []
        shapes = [shape for _, shape in self._at(frame, lambda one: "on" in one)]
        return [s for s in shapes if (s["shape"] == kind if kind else s["shape"] not in TIMED)]

    def _bodies(self, frame: int) -> list[Shape]:
        return [shape for _, shape in self._shapes(frame) if shape.get("tag") == "body"]

    def _between(self, shape: Shape, other: Shape | None, share: float) -> Shape:
        """Shape on its way to its place in the next row, unless it jumps there."""
        if other is None or not share:
            return shape
        dx, dy = other["x"] - shape["x"], other["y"] - shape["y"]
        if (dx == 0 and dy == 0) or abs(dx) > self.jump or abs(dy) > self.jump:
            return shape
        return {**shape, "x": shape["x"] + dx * share, "y": shape["y"] + dy * share}

    def _timed(self, kind: str, position: float, over: bool = False) -> list[Shape]:
        """Effects of one kind that have begun and are not over."""
        frame, share = self._split(position)
        frames, out = TIMED[kind], list[Shape]()
        for age in (*_ages(frames - 1, frame), 0):
            for shape in self._on(frame - age, kind):
                t = (age + share) / frames
                if kind == "impact":
                    out += effects.impact(shape, t, frame - age, over)
                else:
                    out += effects.burst(shape, t)
        return out

    # ---- figures ----

    def _figure(self, frame: int, key: Key) -> Shape | None:
        if frame < 0:
            return None
        return next((shape for other, shape in self._shapes(frame) if other == key), None)

    def _since(self, frame: int, slot: int, table: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """Frames since the last event of each kind that a figure table asks for, and its `what`."""
        out: dict[str, tuple[int, int]] = {}
        kinds = list(self.scene.get("event_kinds", ()))
        for name, rule in table.get("since", {}).items():
            kind = kinds.index(rule["on"])
            for back in range(min(LOOK_BACK, frame + 1)):
                events = self.happened(frame - back)
                hits = [e for e in events if e["kind"] == kind and e[rule["who"]] == slot]
                if hits:
                    out[name] = back, int(hits[0]["what"])
                    break
        return out

    def _posed(self, frame: int, key: Key) -> Pose:
        shape = self._figure(frame, key)
        assert shape is not None
        poses = self.poses[shape["figure"]]
        pose = poses.of(shape, self._since(frame, key[1], poses.table), frame)
        age = int(shape["age"])
        if age >= len(poses.table["timing"]["settle"]) or poses.rule(shape).get("at_once"):
            return pose
        old = self._figure(frame - age - 1, key)
        if old is None:
            return pose
        before = poses.of(old, self._since(frame - age - 1, key[1], poses.table), frame - age - 1)
        return poses.settled(shape, (before, old["state"]), pose)

    def _figures(self, frame: int, share: float, figures: Sequence[Any]) -> list[Shape]:
        """Posed figures: all shades first, then each with its smear and marks, the striking last."""
        shades: list[Shape] = []
        drawn: list[tuple[bool, list[Shape]]] = []
        for key, placed, shape, other in figures:
            poses = self.poses[shape["figure"]]
            shades += effects.shade(placed)
            pose, grounded = self._pose(frame, key), float(shape["grounded"])
            same = other is not None and _goes_on(shape, other)
            if other is not None and share:
                pose = blend(pose, self._pose(frame + 1, key), share, not same)
                grounded += (float(other["grounded"]) - grounded) * share
            side = other["side"] if other is not None and share >= 0.5 else shape["side"]
            lag = self._lag(frame, key, shape, side)
            place = {**placed, "side": side, "lag": lag, "frame": frame + share}
            place["hollow"] = bool(shape.get("hollow") or shape.get("shield", 0) > 0)
            rule = poses.rule(shape)
            line = poses.line(shape["gear"], shape["move"]) if rule.get("move") else None
            place["charge"] = shape.get("charge", 0) if line is not None else 0
            parts: list[Shape] = []
            if line is not None:
                at = shape["clock"] + (share if same else 0)
                parts += figure.smear(place, poses, line, at, grounded)
            dazed = "since" in rule and bool(shape["grounded"])
            if dazed:
                since = self._since(frame, key[1], poses.table)
                dazed = since.get(rule["since"], (NEVER, 0))[0] > DAZED_AFTER
            parts += effects.marks_around(place, frame + share, dazed)
            body = figure.joints(poses.table, pose, grounded, shape["gear"])
            parts += figure.strokes(place, poses.table, body)
            drawn.append((line is not None, parts))
        drawn.sort(key=lambda one: one[0])
        return [*shades, *(shape for _, parts in drawn for shape in parts)]

    def _lag(self, frame: int, key: Key, shape: Shape, side: float) -> list[float]:
        """Where a ribbon trails to: against the speed of the last frames."""
        old = self._figure(max(0, frame - 3), key) or shape
        size = shape.get("size", 1)
        vx = (old["vx"] + shape["vx"]) / 2 * side / size
        vy = (old["vy"] + shape["vy"]) / 2 / size
        return [clamp(-0.16 - vx * 0.035, -0.5, 0.36), clamp(0.12 - vy * 0.035, -0.4, 0.4)]

    # ---- trails ----

    def _ribbons(self, frame: int, figures: Sequence[Any]) -> list[Shape]:
        out: list[Shape] = []
        for key, placed, shape, _ in figures:
            places = [[placed["x"], placed["y"]]]
            for back in range(min(TRAIL, frame + 1)):
                old = self._figure(frame - back, key)
                x, y = places[-1]
                if old is None or abs(old["x"] - x) > self.jump or abs(old["y"] - y) > self.jump:
                    break
                places.append([old["x"], old["y"]])
            if len(places) > 2:
                out += effects.ribbon(places, 0.24 * shape.get("size", 1), shape["fill"])
        return out

    def _trails(self, frame: int) -> list[Shape]:
        return [
            faded
            for age in _ages(TRAIL, frame)
            for body in self._bodies(frame - age)
            if body["shape"] != "figure"
            for faded in _trail(body, age)
        ]

    def _camera(self, frame: int) -> Box:
        camera = self.scene.get("camera")
        if camera is None:
            left, top, right, bottom = self.scene["bounds"]
            return left, top, right, bottom
        boxes = []
        for center in range(max(frame - SMOOTH + 1, 0), frame + 1):
            near = [self._box(at) for at in range(max(center - HELD + 1, 0), center + 1)]
            boxes.append(_union([box for box in near if box], camera["keep"]))
        means = [sum(box[side] for box in boxes) / len(boxes) for side in range(4)]
        here = self._box(frame)
        return fitted(_union([here] if here else [], means), camera["margin"], self.scene["bounds"])


def _goes_on(shape: Shape, other: Shape) -> bool:
    """True if the next row goes on with the same state and move."""
    same = all(shape[name] == other[name] for name in ("state", "move", "side"))
    return same and bool(other["clock"] >= shape["clock"])


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


def _ring(ring: Shape, age: float) -> Shape:
    """Ring that is `age` rows old."""
    out = {**ring, "alpha": ring.get("alpha", 1) * (1 - age / (LINGER + 1))}
    return out | {"r": ring["r"] * (1 + 0.07 * age)} if "r" in ring else out
