"""The move table of a user's own checkout of Warehouse Brawl, read at run time.

`arsenal=warehouse:PATH` names the checkout, or its folder `environment`. Of its 33 JSON files nothing
is kept. A move of theirs is a graph of powers; here each power is a part of one move, and a power that
can be reached before and after a hit is two parts. Times are halved, as the original does (60 to 30 a
second). Not read: velocities that a hit sets, hurt boxes, cool-downs, teleports.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.core.files import read_json
from shadowbox.errors import UsageError
from shadowbox.games.brawl import moves
from shadowbox.games.brawl.moves import Move, _Effect, _Path, _Strike
from shadowbox.games.brawl.schema import MOVES, WEAPONS

PREFIX = "warehouse:"
UNIT = 0.0064  # u for each unit of boxes and offsets
SLOWER = 1.426  # by which recovery is shortened
LARGEST = 1_000_000  # bytes of a file
FRAMES = 600  # the longest time in a file
FOLDERS = dict(zip(WEAPONS, ("Unarmed", "Spear", "Hammer"), strict=True))
FILES = dict(
    zip(
        MOVES[1:],
        ("NLight", "DLight", "SLight", "NSig", "DSig", "SSig", "NAir", "DAir", "SAir",
         "Recovery", "Groundpound"),
        strict=True,
    )
)  # fmt: skip

_BOX = {"xOffset": float, "yOffset": float, "width": float, "height": float}
_XY = {"activeX?": bool, "activeY?": bool}
_CHANGE = {
    "frame": int,
    "casterVelocitySet?": {"magnitude?": float, "directionDeg?": float, "active?": bool},
    "casterVelocitySetXY?": {"magnitudeX?": float, "magnitudeY?": float, **_XY},
    "casterVelocityAddXY?": {"magnitudeX?": float, "magnitudeY?": float, **_XY},
    "casterVelocityDampXY?": {"dampX?": float, "dampY?": float, **_XY},
    "dealtPositionTarget?": {
        "xOffset?": float, "yOffset?": float, "mult?": float, "active?": bool,
    },
}  # fmt: skip
_CAST = {
    "startupFrames?": int,
    "attackFrames?": int,
    "baseDamage?": float,
    "fixedForce?": float,
    "variableForce?": float,
    "hitAngleDeg?": float,
    "hitboxes?": [_BOX],
    "collisionCheckPoints?": [{"yOffset": float}],
    "frameChanges?": [_CHANGE],
}
_POWER = {
    "recovery?": int,
    "fixedRecovery?": int,
    "stunTime?": int,
    "hitAngleDeg?": float,
    "minCharge?": int,
    "isCharge?": bool,
    "onHitNextPowerIndex?": int,
    "onMissNextPowerIndex?": int,
    "onGroundNextPowerIndex?": int,
    "transitionOnInstantHit?": bool,
    "hitAllHitAgents?": bool,
    "allowLeftRightMobility?": bool,
    "enableFloorDrag?": bool,
    "casts": [_CAST],
}
SHAPE = {"move": {"initialPowerIndex": int}, "powers": [_POWER]}

Powers = list[dict[str, Any]]


def read_arsenal(path: Path) -> Mapping[str, Mapping[str, Move]]:
    """All moves of a checkout; a mistake names the file and the key."""
    root = path / "environment" if (path / "environment").is_dir() else path
    return {
        weapon: {
            name: _read_move(root / f"{weapon}_attacks" / f"{title} {tail}.json", name)
            for name, tail in FILES.items()
        }
        for weapon, title in FOLDERS.items()
    }


def _read_move(path: Path, name: str) -> Move:
    try:
        data = read_json(path, SHAPE, error=UsageError, hint="is this a checkout?", largest=LARGEST)
    except FileNotFoundError:
        raise UsageError(
            f"arsenal: {path} does not exist; name a checkout of Warehouse Brawl, as in "
            f"arsenal={PREFIX}../UTMIST-AI2"
        ) from None
    for problem in _out_of_range(data):
        raise UsageError(f"{path}: {problem}")
    move = _Layout(data["powers"], data["move"]["initialPowerIndex"]).move(name)
    for problem in moves.move_problems(move):
        raise UsageError(f"{path}: {problem}")
    return move


def _out_of_range(data: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of a file that no move can have, with their keys."""
    powers = data["powers"]
    if not 0 <= data["move"]["initialPowerIndex"] < len(powers):
        yield f"move.initialPowerIndex must be below {len(powers)}"
    for at, power in enumerate(powers):
        if not power["casts"]:
            yield f"powers[{at}].casts is empty"
        for key in ("onHitNextPowerIndex", "onMissNextPowerIndex", "onGroundNextPowerIndex"):
            if not -1 <= power.get(key, -1) < len(powers):
                yield f"powers[{at}].{key} must be -1 or below {len(powers)} (got {power[key]})"
        spans = [(f"powers[{at}].{key}", power.get(key, 0)) for key in _TIMES]
        for number, cast in enumerate(power["casts"]):
            where = f"powers[{at}].casts[{number}]"
            spans += [(f"{where}.{key}", cast.get(key, 0)) for key in _CAST_TIMES]
        for name, value in spans:
            if not 0 <= value <= FRAMES:
                yield f"{name} must be 0 to {FRAMES} (got {value})"


_TIMES = ("recovery", "fixedRecovery", "stunTime", "minCharge")
_CAST_TIMES = ("startupFrames", "attackFrames")


class _Part(NamedTuple):
    """A power as a part of a move: its number, and whether the move has hit before it."""

    power: int
    hit: bool


class _Layout:
    """Parts of a move behind each other; the first begins in the frame after the press."""

    def __init__(self, powers: Powers, first: int) -> None:
        self.powers = powers
        self.starts: dict[_Part, int] = {}
        self.end, waiting = 1, [_Part(first, False)]
        while waiting:
            part = waiting.pop(0)
            if part not in self.starts:
                self.starts[part] = self.end
                self.end += self._frames(part)
                waiting += [each for each in self._next(part) if each is not None]

    def move(self, name: str) -> Move:
        """The move of this layout."""
        strikes: list[_Strike] = []
        paths: list[_Path] = []
        effects: list[_Effect] = []
        for part, start in self.starts.items():
            paths += self._paths(part, start)
            effects += self._effects(part, start)
            strikes += self._strikes(part, start)
        return Move(
            name=name,
            strikes=tuple(strikes),
            recovery=1,
            paths=tuple(paths),
            effects=tuple(effects),
            length=self.end,
        )

    # ---- times -----------------------------------------------------------------------------------

    def _casts(self, part: _Part) -> Iterator[tuple[dict[str, Any], int, int, int]]:
        """Casts with their first frame in the part, their frames of start-up and of attack."""
        at = 0
        for cast in self.powers[part.power]["casts"]:
            startup, attack = (cast.get(key, 0) // 2 for key in _CAST_TIMES)
            yield cast, at, startup, attack
            at += startup + attack + 1  # a frame to switch

    def _frames(self, part: _Part) -> int:
        """Length of a part."""
        power = self.powers[part.power]
        *_, (_, at, startup, attack) = self._casts(part)
        if power.get("isCharge", False):
            return startup + 2
        recovery = power.get("fixedRecovery", 0) // 2 + math.floor(
            (power.get("recovery", 0) // 2) / SLOWER
        )
        if self._last(power):  # attack frames count as recovery then
            recovery = max(recovery - attack, 0)
        return int(at + startup + attack + recovery + 1)

    # ---- jumps -----------------------------------------------------------------------------------

    def _last(self, power: Mapping[str, Any]) -> bool:
        return bool(
            power.get("onHitNextPowerIndex", -1) < 0 and power.get("onMissNextPowerIndex", -1) < 0
        )

    def _next(self, part: _Part) -> tuple[_Part | None, _Part | None, _Part | None]:
        """Parts after a hit, after a miss and on the ground; None ends the move."""
        power = self.powers[part.power]
        hit, miss, ground = (
            power.get(f"on{name}NextPowerIndex", -1) for name in ("Hit", "Miss", "Ground")
        )
        on_hit = hit if hit >= 0 else miss
        on_ground = (ground if ground >= 0 else miss) if self._checks(part) else -1
        return (
            _Part(on_hit, True) if on_hit >= 0 and not power.get("isCharge", False) else None,
            _Part(miss, part.hit) if miss >= 0 else None,
            _Part(on_ground, part.hit) if on_ground >= 0 else None,
        )

    def _checks(self, part: _Part) -> bool:
        return any(cast.get("collisionCheckPoints") for cast, *_ in self._casts(part))

    def _start(self, part: _Part | None) -> int:
        return self.end if part is None else self.starts[part]

    def _paths(self, part: _Part, start: int) -> Iterator[_Path]:
        """Jumps out of a part, the earlier ones first."""
        power, last = self.powers[part.power], start + self._frames(part) - 1
        on_hit, on_miss, on_ground = self._next(part)
        if power.get("isCharge", False):
            first = min(start + power.get("minCharge", 0) // 2 + 1, last)
            yield _Path(frames=(first, last), when=moves.RELEASED, to=self._start(on_miss))
            yield _Path(frames=(last, last), when=moves.ALWAYS, to=self._start(on_miss))
            return
        for cast, at, startup, attack in self._casts(part):
            begin, end = start + at + startup, start + at + startup + attack - 1
            points = cast.get("collisionCheckPoints", [])
            if points and on_ground is not None and end > begin:
                low = points[-1]["yOffset"] * UNIT
                to = self._start(on_ground)
                yield _Path(frames=(begin + 1, end), when=moves.LOW, to=to, y=low)
            if power.get("transitionOnInstantHit", False) and on_hit is not None and attack:
                yield _Path(frames=(begin, end), when=moves.HIT, to=self._start(on_hit))
        if not self._last(power):
            yield _Path(frames=(last, last), when=moves.HIT, to=self._start(on_hit))
        yield _Path(frames=(last, last), when=moves.ALWAYS, to=self._start(on_miss))

    # ---- strikes and velocities ------------------------------------------------------------------

    def _strikes(self, part: _Part, start: int) -> Iterator[_Strike]:
        """Strikes of a part, which hit once together; each cast's boxes are joined into one."""
        power = self.powers[part.power]
        stun = power.get("stunTime", 0) // 2
        if power.get("isCharge", False):
            return
        everybody = power.get("hitAllHitAgents", False) and part.hit
        for cast, at, startup, attack in self._casts(part):
            pulls = set(self._pull_frames(cast, start + at))
            begin, end = start + at + startup, start + at + startup + attack - 1
            boxes = cast.get("hitboxes", [])
            if everybody:
                begin, end = start + at, start + at + startup + attack
            elif not boxes or not attack:
                continue
            for first, last in _runs(begin, end, pulls):
                force = (cast.get("fixedForce", 0.0), cast.get("variableForce", 0.0))
                yield _Strike(
                    frames=(first, last),
                    box=_joined(boxes) if boxes else (0.0, 0.0, 0.1, 0.1),
                    damage=cast.get("baseDamage", 0),
                    force=(0.0, 0.0) if first in pulls else force,
                    angle=cast.get("hitAngleDeg", 0.0) or power.get("hitAngleDeg", 0.0),
                    stun=stun,
                    bit=0,
                    sure=everybody,
                )

    @staticmethod
    def _pull_frames(cast: Mapping[str, Any], start: int) -> Iterator[int]:
        for change in cast.get("frameChanges", []):
            if change.get("dealtPositionTarget", {}).get("active", False):
                yield start + change["frame"] // 2

    def _effects(self, part: _Part, start: int) -> Iterator[_Effect]:
        """Velocities of a part."""
        power, frames = self.powers[part.power], (start, start + self._frames(part) - 1)
        if power.get("enableFloorDrag", False):
            yield _Effect(frames=frames, kind=moves.DRAG)
        if power.get("allowLeftRightMobility", False):
            yield _Effect(frames=frames, kind=moves.STEER)
        for cast, at, startup, attack in self._casts(part):
            seen: set[int] = set()
            for change in cast.get("frameChanges", []):
                frame = change["frame"] // 2
                if frame in seen or not 0 <= frame <= startup + attack:
                    continue  # the original takes the first one of a frame
                seen.add(frame)
                if start + at + frame <= frames[1]:
                    yield from _changes(change, start + at + frame, part.hit)


def _changes(change: Mapping[str, Any], frame: int, hit: bool) -> Iterator[_Effect]:
    """Effects of a frame's changes, in the order in which the original makes them."""
    at = (frame, frame)
    pull = change.get("dealtPositionTarget", {})
    if pull.get("active", False):
        x, y = (pull.get(name, 0.0) * UNIT for name in ("xOffset", "yOffset"))
        strength = pull.get("mult", 2.0)
        yield _Effect(frames=at, kind=moves.PULL, x=x, y=y, strength=strength, sure=hit)
    speed = change.get("casterVelocitySet", {})
    if speed.get("active", False):
        angle = math.radians(speed.get("directionDeg", 0.0))
        size = speed.get("magnitude", 0.0)
        yield _Effect(
            frames=at, kind=moves.SET, x=math.cos(angle) * size, y=-math.sin(angle) * size
        )
    for key, kind, names, idle in (
        ("casterVelocitySetXY", moves.SET, ("magnitudeX", "magnitudeY"), None),
        ("casterVelocityDampXY", moves.DAMP, ("dampX", "dampY"), 1.0),
        ("casterVelocityAddXY", moves.PUSH, ("magnitudeX", "magnitudeY"), 0.0),
    ):
        given = change.get(key, {})
        active = [given.get(f"active{axis}", False) for axis in "XY"]
        if any(active):
            x = given.get(names[0], idle or 0.0) if active[0] else idle
            y = given.get(names[1], idle or 0.0) if active[1] else idle
            if kind != moves.DAMP and active[1]:
                y = -(y or 0.0)  # theirs is upward
            yield _Effect(frames=at, kind=kind, x=x, y=y)


def _joined(boxes: list[dict[str, float]]) -> tuple[float, float, float, float]:
    """The smallest box (x, y, width, height) in u around several of theirs."""
    ends = []
    for centers, sizes in (("xOffset", "width"), ("yOffset", "height")):
        low = min(box[centers] - abs(box[sizes]) / 2 for box in boxes) * UNIT
        high = max(box[centers] + abs(box[sizes]) / 2 for box in boxes) * UNIT
        ends.append((low, high))
    (left, right), (top, bottom) = ends
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _runs(first: int, last: int, special: set[int]) -> Iterator[tuple[int, int]]:
    """Runs of frames that are all special or all not."""
    begin = first
    for frame in range(first + 1, last + 2):
        if frame > last or (frame in special) != (begin in special):
            yield begin, frame - 1
            begin = frame
