"""_Poses of an articulated figure: from a table (data of a scene) and a fighter's state to angles.

A figure table is plain data, so that every game can bring its own:

    bones, gear   lengths and widths, in units of the figure (about its height); `gear` is held
    defaults      the numbers of a pose that no pose names
    poses         {name: pose}. A pose names only what differs from its `from`; a limb is
                  [upper, lower, reach]. Angles are absolute: degrees, 0 forward, 90 up. `spin` turns
                  the body, `stretch` lengthens it along the torso, `plant` puts the lowest foot on
                  the floor, `hold` lets the far hand reach for the gear, `swap` exchanges the sides
    cycles        {name: {keys: [pose, ...], by, period | at}}: laid along time, distance or a number
    moves         {gear: {move: {beats, windows, frames, smear, air, charge}}}: each beat has `ready`,
                  `strike` and perhaps `follow` and `rest`; `windows` are its active frames
    states        {state: rule}. A rule is {pose, turn?}, {cycle, by}, {move, otherwise} or
                  {since, first, frames, tumble, stagger}; `air` replaces it off the ground, `bare`
                  leaves the arms as they are, `at_once` lets no older state blend into it
    overlays      [{since, pose, frames}]: laid over a state for some frames after an event
    since         {name: {on: event kind, who: "player" | "other", low: [what, ...]}}

Everything is a function of the rows and events, so that seeking and playing agree. `page/pose.js`
does the same in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Pose = dict[str, float]
Since = Mapping[str, tuple[int, int]]  # frames since the last event of a kind, and its `what`

LIMBS = ("near_arm", "far_arm", "near_leg", "far_leg")
_TURNED = ("torso", "head", "weapon", "spin")
_MEASURED = ("x", "y", "stretch", "plant", "hold")
_ANGLES = {*_TURNED, *(f"{limb}{part}" for limb in LIMBS for part in (0, 1))}
NEVER = 99  # frames since an event that has not happened lately
SEATS_APART = 17  # frames between the idle cycles of two players


def ease_out(t: float) -> float:
    """Fast, then slow."""
    return 1 - (1 - t) ** 3


def ease_in(t: float) -> float:
    """Slow, then fast."""
    return t * t


def ease(t: float) -> float:
    """Slow at both ends."""
    return t * t * (3 - 2 * t)


def clamp(value: float, low: float, high: float) -> float:
    """Value inside [low, high]."""
    return min(high, max(low, value))


def blend(a: Pose, b: Pose, share: float, wrap: bool = False) -> Pose:
    """Pose between two; with `wrap` angles go along the shorter arc, else as they are written."""
    if share <= 0:
        return a
    out = {}
    for name, value in a.items():
        difference = b[name] - value
        if wrap and name in _ANGLES:
            difference = (difference + 540) % 360 - 180
        out[name] = value + difference * share
    return out


class _Line:
    """A move laid along its frames: keys (frame, pose, easing), and its active windows."""

    def __init__(self, poses: _Poses, gear: str, move: str) -> None:
        one = poses.table["moves"][gear][move]
        timing = poses.table["timing"]
        name = poses.table["stance"]["air" if one.get("air") else "ground"]
        stance = poses.carried(poses.named(name), gear)
        self.windows: list[list[int]] = one["windows"]
        self.smear: str = one.get("smear", "")
        self.charge: int = one.get("charge", 0)
        self.air = bool(one.get("air"))
        self.keys: list[tuple[float, Pose, Callable[[float], float]]] = [(0, stance, ease_out)]
        before, beat, follow = 0.0, one["beats"][0], stance
        for i, (first, last) in enumerate(self.windows):
            beat = one["beats"][min(i, len(one["beats"]) - 1)]
            ready, strike = poses.pose(beat["ready"], stance), poses.pose(beat["strike"], stance)
            follow = {**strike, "stretch": 1 + (strike["stretch"] - 1) * 0.5}
            if "follow" in beat:
                follow = poses.pose(beat["follow"], stance)
            self.keys += [
                (before + timing["ready"] * (first - before), ready, ease_out),
                (max(first - 1, before + 0.7), ready, ease_out),
                (first, strike, ease_in),
            ]
            if last > first:
                self.keys.append((last, follow, ease_out))
            before = last
        self.end = one["frames"] - 1
        rest = beat.get("rest")
        turned = rest is not None and "from" not in rest and "spin" in rest
        held = poses.pose(rest, stance) if rest is not None and not turned else follow
        back = {**stance, "spin": rest["spin"]} if rest is not None and "spin" in rest else stance
        self.keys.append((before + timing["held"] * (self.end - before), held, ease_out))
        self.keys.append((self.end, back, ease))

    def at(self, frame: float) -> Pose:
        """Pose at a frame of the move."""
        i = 0
        while i < len(self.keys) - 2 and frame >= self.keys[i + 1][0]:
            i += 1
        (start, a, _), (end, b, eased) = self.keys[i], self.keys[i + 1]
        return blend(a, b, eased(clamp((frame - start) / max(end - start, 1e-6), 0, 1)))

    def phase(self, frame: float) -> str:
        """Part of the move that a frame is in: start-up, active, between or recovery."""
        if any(first <= frame <= last for first, last in self.windows):
            return "active"
        if frame < self.windows[0][0]:
            return "start-up"
        return "recovery" if frame > self.windows[-1][1] else "between"


class _Poses:
    """_Poses of one figure table."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table
        self._named: dict[str, Pose] = {}
        self._lines: dict[tuple[str, str], _Line] = {}

    def named(self, name: str) -> Pose:
        """Pose of the table by its name."""
        if name not in self._named:
            self._named[name] = self.pose(self.table["poses"][name])
        return self._named[name]

    def pose(self, spec: str | Mapping[str, Any], base: Pose | None = None) -> Pose:
        """Pose as all its numbers; what it does not name comes from its `from`, or from `base`."""
        if isinstance(spec, str):
            return self.named(spec)
        out = dict(self.named(spec["from"])) if "from" in spec else dict(base or {})
        out = (out or _flat(self.table["defaults"])) | _flat(spec)
        if spec.get("swap"):
            for part in ("arm", "leg"):
                for i in range(3):
                    near, far = f"near_{part}{i}", f"far_{part}{i}"
                    out[near], out[far] = out[far], out[near]
        return out

    def carried(self, pose: Pose, gear: str) -> Pose:
        """Pose with both arms on the gear."""
        name = self.table.get("carry", {}).get(gear)
        if name is None:
            return pose
        carry = self.table["poses"][name]
        arms = {limb: carry[limb] for limb in ("near_arm", "far_arm")}
        return {**pose, **_flat({**arms, "weapon": carry["weapon"], "hold": 1})}

    def cycle(self, name: str, at: float) -> Pose:
        """Pose of a cycle at a time, a distance, or the number that it is laid along."""
        one = self.table["cycles"][name]
        keys = [self.named(key) for key in one["keys"]]
        if "at" in one:
            stops, i = one["at"], 0
            while i < len(stops) - 2 and at > stops[i + 1]:
                i += 1
            share = clamp((at - stops[i]) / (stops[i + 1] - stops[i]), 0, 1)
            return blend(keys[i], keys[i + 1], ease(share))
        place = (at / one["period"]) % 1 * len(keys)
        i = int(place) % len(keys)
        share = place - int(place)
        even = share if one["by"] == "distance" else ease(share)
        return blend(keys[i], keys[(i + 1) % len(keys)], even, True)

    def line(self, gear: str, move: str) -> _Line | None:
        """A move along its frames; None if the table has no such move."""
        if move not in self.table.get("moves", {}).get(gear, {}):
            return None
        key = gear, move
        if key not in self._lines:
            self._lines[key] = _Line(self, gear, move)
        return self._lines[key]

    def rule(self, shape: Mapping[str, Any]) -> Mapping[str, Any]:
        """Rule of a figure's state; one that the table does not know uses the first rule."""
        rules: Mapping[str, Any] = self.table["states"]
        rule: Mapping[str, Any] = rules.get(shape["state"]) or next(iter(rules.values()))
        return rule

    def of(self, shape: Mapping[str, Any], since: Since, frame: int) -> Pose:
        """Pose of an evaluated shape `figure` at a frame."""
        rule = self.rule(shape)
        if rule.get("move"):
            line = self.line(shape["gear"], shape["move"])
            if line is not None:
                return self._struck(line, shape, frame)
            rule = rule["otherwise"]
        if "since" in rule:
            return self._hurt(rule, shape, since, frame)
        if not shape["grounded"] and "air" in rule:
            rule = rule["air"]
        pose = self._plain(rule, shape, frame)
        flip = self.table.get("flip")
        if flip and shape.get("flip", 0) > 0 and not shape["grounded"] and not rule.get("bare"):
            left, frames = shape["flip"], flip["frames"]
            turned = flip["turn"] * ease(clamp((frames - left) / frames, 0, 1))
            tucked = {**self.named(flip["pose"]), "spin": turned}
            share = ease_in(clamp((frames - 1 - left) / (frames - 1), 0, 1))
            pose = blend(tucked, {**pose, "spin": flip["turn"]}, share)
        if not rule.get("bare"):
            pose = self.carried(pose, shape["gear"])
        return self._overlaid(pose, shape, since)

    def settled(
        self, shape: Mapping[str, Any], before: tuple[Pose, str] | None, pose: Pose
    ) -> Pose:
        """Pose that comes in from the last pose and state before it; blows and hurts never wait."""
        shares = self.table["timing"]["settle"]
        age = int(shape["age"])
        if before is None or age >= len(shares) or self.rule(shape).get("at_once"):
            return pose
        return pose if before[1] == shape["state"] else blend(before[0], pose, shares[age], True)

    def _struck(self, line: _Line, shape: Mapping[str, Any], frame: int) -> Pose:
        pose, charge = line.at(shape["clock"]), shape.get("charge", 0)
        if charge > 0 and line.phase(shape["clock"]) == "start-up":  # held back, it trembles
            shaken = (noise(frame) - 0.5) * 0.002 * charge
            stretch = pose["stretch"] - 0.003 * charge
            pose = {**pose, "stretch": stretch, "x": pose["x"] + shaken}
        if not shape["grounded"] and pose["plant"] and not line.air:
            pose = {**pose, "plant": 0}
        return pose

    def _hurt(
        self, rule: Mapping[str, Any], shape: Mapping[str, Any], since: Since, frame: int
    ) -> Pose:
        age, what = since.get(rule["since"], (NEVER, -1))
        low = what in self.table.get("since", {}).get(rule["since"], {}).get("low", ())
        if age < rule["frames"]:
            pose = self.named(rule["first"][int(low)])
        elif not shape["grounded"] or math.hypot(shape["vx"], shape["vy"]) > rule["fast"]:
            turn = rule["tumble"]["turn"] * (1 if shape["vx"] * shape["side"] < 0 else -1)
            pose = {**self.named(rule["tumble"]["pose"]), "spin": turn * (age - rule["frames"])}
        else:
            pose = self._plain(rule["stagger"], shape, frame)
        return {**pose, "hold": 0, "weapon": pose["near_arm1"] + 20}

    def _plain(self, rule: Mapping[str, Any], shape: Mapping[str, Any], frame: int) -> Pose:
        if "pose" in rule:
            pose = self.named(rule["pose"])
            turn = rule.get("turn", 0) * shape["age"]
            return {**pose, "spin": turn} if turn else pose
        by = rule["by"]
        if by == "time":
            at = frame + SEATS_APART * shape.get("wears", 0)
        elif by == "x":
            at = shape["x"] * shape["side"] / shape.get("size", 1)
        else:
            at = shape[by]
        return self.cycle(rule["cycle"], at)

    def _overlaid(self, pose: Pose, shape: Mapping[str, Any], since: Since) -> Pose:
        for over in self.table.get("overlays", ()):
            age = since.get(over["since"], (NEVER, -1))[0]
            if age < over["frames"] and (shape["grounded"] or not over.get("grounded")):
                top = self.named(over["pose"])
                carried = self.carried(top, shape["gear"]) if over.get("grounded") else top
                pose = blend(
                    {**carried, "hold": carried["hold"] if over.get("grounded") else 0},
                    pose,
                    ease(age / over["frames"]) if age else 0,
                    True,
                )
        return pose


def noise(number: float) -> float:
    """Number of [0, 1) that looks random, the same in every language."""
    return (number * 7919 + 104729) % 1009 / 1009


def _flat(spec: Mapping[str, Any]) -> Pose:
    out = {name: spec[name] for name in (*_TURNED, *_MEASURED) if name in spec}
    for limb in LIMBS:
        if limb in spec:
            upper, lower, *reach = spec[limb]
            out |= {f"{limb}0": upper, f"{limb}1": lower, f"{limb}2": reach[0] if reach else 1}
    return out


def problems(table: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a table from being posed: missing parts, and names of poses that it lacks."""
    parts = ("bones", "defaults", "poses", "cycles", "states", "timing", "stance")
    missing = [part for part in parts if part not in table]
    if missing:
        yield f"a figure needs {', '.join(missing)}"
        return
    used = [*table["stance"].values(), *table.get("carry", {}).values()]
    used += [key for cycle in table["cycles"].values() for key in cycle["keys"]]
    used += list(_poses_in([table["states"], table.get("overlays", ()), table.get("moves", {})]))
    for name in used:
        if name not in table["poses"]:
            yield f"no pose '{name}'"
    for name in _values_in(table["states"], "cycle"):
        if name not in table["cycles"]:
            yield f"no cycle '{name}'"


def _poses_in(part: Any) -> Iterator[str]:
    yield from _values_in(part, "pose")
    yield from _values_in(part, "from")


def _values_in(part: Any, key: str) -> Iterator[str]:
    if isinstance(part, Mapping):
        if isinstance(part.get(key), str):
            yield part[key]
        part = list(part.values())
    if isinstance(part, Sequence) and not isinstance(part, str):
        for one in part:
            yield from _values_in(one, key)
