"""Articulated figures as shapes: a pose becomes joints, and joints become strokes.

`page/figure.js` does the same in the browser. Widths are in units of the figure with a least width in
pixels (`least`), so that small figures stay readable; a `rim` widens a stroke on both sides, which
makes the halo around a figure and the gaps between its limbs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from shadowbox.core.scenes.pose import LIMBS, Pose, _Line, _Poses, clamp

Shape = dict[str, Any]
Point = list[float]

GAPS_FROM = 34  # pixels a unit: below, the gaps between near limbs close
HALO, GAP, HOLLOW = (0.05, 1.6), (0.021, 0.6), (-0.032, -1.1)  # rims: units, least pixels
SMEARED = 48  # poses along the path of what hits
MOST_SMEARED = 4  # frames that a smear is long


def joints(table: Mapping[str, Any], pose: Pose, grounded: float, gear: str) -> dict[str, Any]:
    """Places of a posed body's joints, in units around its center, x forward and y down."""
    bones, hip = table["bones"], [pose["x"], pose["y"]]
    neck = _step(hip, pose["torso"], bones["torso"]["length"])
    shoulder = _step(hip, pose["torso"], bones["torso"]["length"] * 0.9)
    body: dict[str, Any] = {
        "pelvis": hip,
        "neck": neck,
        "head": _step(neck, pose["head"], bones["head"]["length"]),
    }
    for limb in LIMBS:
        bone, near = bones[limb], limb.startswith("near")
        if limb.endswith("arm"):
            root = [shoulder[0] + (-0.035 if near else 0.045), shoulder[1] + 0.02]
        else:
            root = [hip[0] + (-0.025 if near else 0.03), hip[1]]
        middle = _step(root, pose[f"{limb}0"], bone["lengths"][0] * pose[f"{limb}2"])
        end = _step(middle, pose[f"{limb}1"], bone["lengths"][1] * pose[f"{limb}2"])
        foot = [_step(end, pose[f"{limb}1"] + 88, bone["foot"][0])] if "foot" in bone else []
        body[limb] = [root, middle, end, *foot]
    held = table.get("gear", {}).get(gear)
    body["gear"] = _held(held, body["near_arm"][2], pose["weapon"]) if held else []
    every = [hip, neck, body["head"], *(p for limb in LIMBS for p in body[limb]), *body["gear"]]
    _turn(every, hip, neck, pose)
    if grounded and pose["plant"] > 0:  # the lowest foot is put on the floor
        feet = [body[limb][2][1] for limb in LIMBS[2:]]
        toes = [body[limb][-1][1] - 0.005 for limb in LIMBS[2:]]
        drop = (table["floor"] - max(*feet, *toes) - 0.055) * pose["plant"] * grounded
        for point in every:
            point[1] += drop
    if held and grounded and pose["plant"] > 0.5:
        _above_floor(body, held, table["floor"] + 0.04)
    if held and pose["hold"] > 0.5:
        _reach(body, bones["far_arm"]["lengths"][0] * pose["far_arm2"] * 1.12)
    body |= {"face": pose["head"] + pose["spin"], "stretch": pose["stretch"], "held": held}
    return body


def _step(start: Sequence[float], angle: float, length: float) -> Point:
    turn = math.radians(angle)
    return [start[0] + math.cos(turn) * length, start[1] - math.sin(turn) * length]


def _held(gear: Mapping[str, Any], hand: Point, angle: float) -> list[Point]:
    """Points of the gear: butt, tip, place of the far hand, both ends of its head."""
    ends = gear.get("blade") or gear["head"]
    return [
        _step(hand, angle, n) for n in (gear["butt"], gear["tip"], gear["hold"], ends[0], ends[1])
    ]


def _turn(points: list[Point], hip: Point, neck: Point, pose: Pose) -> None:
    """Stretch along the torso, then spin about the middle of the torso, in place."""
    middle = [(hip[0] + neck[0]) / 2, (hip[1] + neck[1]) / 2]
    turn, spin = math.radians(pose["torso"]), math.radians(pose["spin"])
    ux, uy = math.cos(turn), -math.sin(turn)
    cos, sin = math.cos(spin), -math.sin(spin)
    along_by, across_by = pose["stretch"], pose["stretch"] ** -0.6
    for point in points:
        x, y = point[0] - middle[0], point[1] - middle[1]
        along, across = (x * ux + y * uy) * along_by, (y * ux - x * uy) * across_by
        x, y = along * ux - across * uy, along * uy + across * ux
        point[0], point[1] = middle[0] + x * cos - y * sin, middle[1] + x * sin + y * cos


def _above_floor(body: dict[str, Any], gear: Mapping[str, Any], floor: float) -> None:
    """Turn the gear about the hand until neither its tip nor its butt is below the floor."""
    hand, points = body["near_arm"][2], body["gear"]
    half = gear["head"][2] if "head" in gear else 0.03
    for end, thick in ((points[4], half), (points[0], 0.03)):
        x, y = end[0] - hand[0], end[1] - hand[1]
        reach = math.hypot(x, y) or 1e-6
        slant = math.atan2(thick, reach)
        lowest = math.asin(clamp((floor - hand[1]) / math.hypot(reach, thick), -1, 1)) - slant
        angle = math.atan2(y, abs(x))  # below the horizon is positive
        if angle > lowest:
            turn = (lowest - angle) * (1 if x >= 0 else -1)
            cos, sin = math.cos(turn), math.sin(turn)
            for point in points:
                x, y = point[0] - hand[0], point[1] - hand[1]
                point[0], point[1] = hand[0] + x * cos - y * sin, hand[1] + x * sin + y * cos


def _reach(body: dict[str, Any], length: float) -> None:
    """Far hand on the shaft: two bones of one length and one triangle."""
    root, grip = body["far_arm"][0], body["gear"][2]
    x, y = grip[0] - root[0], grip[1] - root[1]
    far = min(math.hypot(x, y), 2 * length - 0.002) or 0.01
    base, bend = math.atan2(y, x), math.acos(far / (2 * length))
    elbow = [root[0] + length * math.cos(base + bend), root[1] + length * math.sin(base + bend)]
    body["far_arm"][1] = elbow
    body["far_arm"][2] = [root[0] + far * math.cos(base), root[1] + far * math.sin(base)]


class _Pen:
    """Strokes of one figure, in units of the world."""

    def __init__(
        self, shape: Mapping[str, Any], table: Mapping[str, Any], body: dict[str, Any]
    ) -> None:
        self.x, self.y, self.side = shape["x"], shape["y"], shape["side"]
        self.size, self.bones, self.body = shape.get("size", 1), table["bones"], body
        self.wears, self.lag = shape.get("wears", 0), shape.get("lag", [-0.25, 0.06])
        self.wave = shape.get("frame", 0) * 0.45
        self.out: list[Shape] = []

    def points(self, points: Sequence[Sequence[float]]) -> list[Point]:
        """Points relative to the figure's place, mirrored by its facing."""
        return [[self.side * x * self.size, y * self.size] for x, y in points]

    def add(self, kind: str, color: str, rim: tuple[float, float] | None, **more: Any) -> None:
        """Add a shape; gaps are only painted where the figure is large enough."""
        one: Shape = {"shape": kind, "x": self.x, "y": self.y, "tag": "figure", **more}
        one["fill" if kind != "path" else "line"] = color
        if rim is not None:
            one["rim"] = [rim[0] * self.size, rim[1]]
            if rim == GAP:
                one["from"] = GAPS_FROM / self.size
        self.out.append(one)

    def path(self, points: Any, width: float, least: float, color: str, rim: Any = None) -> None:
        """Stroke with round ends."""
        moved = self.points(points)
        self.add("path", color, rim, points=moved, width=width * self.size, least=least)

    def area(self, points: Any, color: str, rim: Any = None) -> None:
        """Filled outline."""
        self.add("polygon", color, rim, points=self.points(points))

    def dot(self, point: Point, radius: float, least: float, color: str, rim: Any = None) -> None:
        """Filled circle."""
        ((x, y),) = self.points([point])
        self.add("circle", color, rim, r=radius * self.size, least=least)
        self.out[-1]["x"] += x
        self.out[-1]["y"] += y

    # ---- parts of the body ----

    def limb(self, name: str, color: str, rim: Any = None) -> None:
        """Arm with its fist, or leg with its foot."""
        points, bone = self.body[name], self.bones[name]
        self.path(points[:2], bone["widths"][0], 2.3, color, rim)
        self.path(points[:3], bone["widths"][1], 2.0, color, rim)
        if "foot" in bone:
            self.path(points[2:4], bone["foot"][1], 2.2, color, rim)
        else:
            self.dot(points[2], bone["fist"], 1.7, color, rim)

    def torso(self, color: str, rim: Any = None) -> None:
        """Trunk, narrower at the hip."""
        hip, neck, bone = self.body["pelvis"], self.body["neck"], self.bones["torso"]
        thin = self.body["stretch"] ** -0.6
        low, high = (width / 2 * thin for width in bone["width"])
        turn = math.atan2(neck[1] - hip[1], neck[0] - hip[0])
        chest = [hip[i] + (neck[i] - hip[i]) * 0.86 for i in (0, 1)]
        ring = []
        for center, radius, start in (
            (hip, low, turn + math.pi / 2),
            (chest, high, turn - math.pi / 2),
        ):
            for i in range(9):
                angle = start + i * math.pi / 8
                ring.append(
                    [center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle)]
                )
        self.area(ring, color, rim)

    def skull(self, color: str, rim: Any = None) -> None:
        """Head."""
        self.dot(self.body["head"], self.bones["head"]["radius"], 3.4, color, rim)

    def on_head(self, x: float, y: float) -> Point:
        """Point of the head: x forward, y up."""
        face = math.radians(self.body["face"])
        cos, sin = math.cos(face), math.sin(face)
        head: Point = self.body["head"]
        return [head[0] + sin * x + cos * y, head[1] + cos * x - sin * y]

    def worn(self, color: str, rim: Any = None) -> None:
        """Mark of a seat that needs no color: a ribbon that trails, or a crest."""
        if self.wears:
            crest = [[0.12, 0.11], [0.0, 0.305], [-0.035, 0.2], [-0.165, 0.27]]
            crest += [[-0.155, 0.13], [-0.29, 0.12], [-0.17, -0.04], [-0.04, 0.0]]
            self.area([self.on_head(x, y) for x, y in crest], color, rim)
            return
        lag = self.lag
        length = math.hypot(*lag) or 1
        nx, ny = -lag[1] / length, lag[0] / length
        knot = self.on_head(-self.bones["head"]["radius"] * 0.9, 0.045)
        for apart, part in ((0.05, 1.0), (-0.03, 0.72)):
            wave = 0.05 * math.sin(self.wave + part * 3)
            a, b = apart + wave, apart * 1.6 - wave
            middle = [
                knot[0] + lag[0] * 0.5 * part + nx * a,
                knot[1] + lag[1] * 0.5 * part + ny * a,
            ]
            end = [knot[0] + lag[0] * part + nx * b, knot[1] + lag[1] * part + ny * b]
            self.path([knot, middle, end], 0.055, 1.3, color, rim)

    def gear(self, shaft: str, metal: str, rim: Any = None) -> None:
        """Weapon: a shaft with a blade or a block."""
        gear = self.body["held"]
        if not gear:
            return
        butt, tip, _, a, b = self.body["gear"]
        self.path([butt, tip], gear["width"], 1.4, shaft, rim)
        long = math.hypot(b[0] - a[0], b[1] - a[1]) or 1
        half = (gear.get("blade") or gear["head"])[2]
        nx, ny = -(b[1] - a[1]) / long * half, (b[0] - a[0]) / long * half
        if "blade" in gear:
            m = [a[i] + (b[i] - a[i]) * 0.34 for i in (0, 1)]
            self.area([a, [m[0] + nx, m[1] + ny], b, [m[0] - nx, m[1] - ny]], metal, rim)
        else:
            corners = [
                [p[0] + s * nx, p[1] + s * ny] for p, s in ((a, 1), (b, 1), (b, -1), (a, -1))
            ]
            self.area(corners, metal, rim)


def strokes(
    shape: Mapping[str, Any], table: Mapping[str, Any], body: dict[str, Any]
) -> list[Shape]:
    """Shapes of a figure: halo, far limbs, trunk, head, near leg, gear, near arm and visor."""
    pen, color = _Pen(shape, table, body), shape["fill"]
    far, paper = f"{color}/shade/0.39", "paper"
    shaft, metal = (body["held"] or {}).get("colors", ("ink", "ink"))
    for name in ("far_arm", "far_leg"):
        pen.limb(name, paper, HALO)
    pen.worn(paper, HALO)
    pen.torso(paper, HALO)
    pen.skull(paper, HALO)
    pen.limb("near_leg", paper, HALO)
    pen.gear(paper, paper, HALO)
    pen.limb("near_arm", paper, HALO)
    pen.limb("far_arm", far)
    pen.limb("far_leg", far)
    pen.worn(far)
    pen.torso(paper, GAP)
    pen.torso(color)
    pen.limb("near_leg", color)
    pen.skull(paper, GAP)
    pen.skull(color)
    if body["held"]:
        pen.gear(paper, paper, GAP)
        pen.gear(shaft, metal)
        pen.dot(body["far_arm"][2], table["bones"]["far_arm"]["fist"], 1.7, far)
    pen.limb("near_arm", paper, GAP)
    pen.limb("near_arm", color)
    pen.dot(body["near_arm"][0], 0.062, 1.2, color)
    if shape.get("hollow"):
        for name in ("far_arm", "far_leg", "near_leg"):
            pen.limb(name, f"paper/{color}/0.14", HOLLOW)
        pen.torso(f"paper/{color}/0.14", HOLLOW)
        pen.skull(f"paper/{color}/0.14", HOLLOW)
        pen.limb("near_arm", f"paper/{color}/0.14", HOLLOW)
    visor = [pen.on_head(0.045, 0.025), pen.on_head(0.115, 0.02)]
    pen.path(visor, 0.058, 1.5, color if shape.get("hollow") else paper)
    return pen.out


def smear(
    shape: Mapping[str, Any], poses: _Poses, line: _Line, at: float, grounded: float
) -> list[Shape]:
    """Path of what hits over the last frames as a crescent; speed lines beside a thrust."""
    windows = [w for w in line.windows if w[0] - 0.5 <= at <= w[1] + 2.5]
    if not line.smear or not windows:
        return []
    first, last = windows[-1]
    fade = clamp(1 - (at - last) / 3, 0, 1)
    color, gear = shape["fill"], shape["gear"]
    start, end = max(first - 0.82, at - MOST_SMEARED), min(at, last)

    def body(frame: float) -> dict[str, Any]:
        return joints(poses.table, line.at(frame), grounded, gear)

    pen = _Pen(shape, poses.table, {})
    if line.smear == "thrust":
        here = body(at)
        hand, tip = here["near_arm"][2], here["gear"][1]
        long = math.hypot(tip[0] - hand[0], tip[1] - hand[1]) or 1
        nx, ny = -(tip[1] - hand[1]) / long, (tip[0] - hand[0]) / long
        for apart, a, b, width in (
            (-0.13, 0.42, 0.84, 0.05),
            (0.12, 0.30, 0.74, 0.05),
            (0.22, 0.5, 0.66, 0.035),
            (-0.22, 0.2, 0.4, 0.035),
        ):
            ends = [
                [hand[i] + (tip[i] - hand[i]) * t + (nx, ny)[i] * apart for i in (0, 1)]
                for t in (a, b)
            ]
            pen.path(ends, width, 1, f"{color}/paper/0.35")
    else:
        outer: list[Point] = []
        inner: list[Point] = []
        for i in range(SMEARED + 1):
            share = i / SMEARED
            far, near = _edge(line.smear, body(start + (end - start) * share), gear)
            outer.append(far)
            inner.append([far[j] + (near[j] - far[j]) * share for j in (0, 1)])
        pen.area([*outer, *reversed(inner)], f"{color}/paper/0.45")
    for one in pen.out:
        one |= {"alpha": 0.75 * fade, "tag": "smear"}
    return pen.out


def _edge(kind: str, body: Mapping[str, Any], gear: str) -> tuple[Point, Point]:
    """What hits, and a point nearer to the body: the two edges of a smear."""
    if kind == "tip" and body["gear"]:
        butt, tip = body["gear"][0], body["gear"][1]
        a, b, share = butt, tip, 0.5 if "head" in body["held"] else 0.82
    elif kind == "near":
        a, b, share = body["near_arm"][0], body["near_arm"][2], 0.72
    else:
        a, b = body["near_leg"][0], body["near_leg"][2]
        share = 0.7 if kind == "near_foot" else 0.62
    far = body["near_leg"][-1] if kind in ("near_foot", "feet") else b
    return far, [a[i] + (b[i] - a[i]) * share for i in (0, 1)]
