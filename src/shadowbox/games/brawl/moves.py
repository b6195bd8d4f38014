"""Definition of a move, its check, and the compiled table that the physics reads.

The 33 moves themselves are in `arsenal.py`. Times are frames from the start of the move, lengths
are u from the fighter's center, x forward and y downward.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl.schema import MAX_STRIKES, MOVES, SCHEMA, WEAPONS

MAX_MOTIONS = 3
MOST_STRIKES, MOST_PATHS, MOST_EFFECTS = 16, 32, 64  # of a move with paths
LONGEST = 95  # frames; `player/move_frame` is stored as one of 96
REACH = 3.0  # u; the limit of hit boxes
LOWEST = 1.54  # u; a point of a move below this height has met the ground

# when a path is taken, and what an effect does
WHENS = (ALWAYS, HIT, RELEASED, LOW) = tuple(range(4))
EFFECTS = (SET, DAMP, PUSH, DRAG, STEER, PULL) = tuple(range(6))


@dataclass(frozen=True, kw_only=True)
class _Strike:
    """Hit box that is active for some frames and hits once."""

    frames: tuple[int, int]  # first and last active frame
    box: tuple[float, float, float, float]  # center x, center y, width, height
    damage: float
    force: tuple[float, float]  # fixed, variable: force = fixed + variable * (d / 70 + d^2 / 12000)
    angle: float  # degrees, 0 forward, 90 up, -90 down, 180 backward
    stun: int
    bit: int | None = None  # strikes that share a bit hit once together; default: its own
    sure: bool = False  # hits wherever the other fighter is


@dataclass(frozen=True, kw_only=True)
class _Path:
    """Jump to another part of a move, from any of some frames."""

    frames: tuple[int, int]  # first and last frame from which it is taken
    when: int
    to: int  # frame; the move's length: its end
    y: float = 0.0  # of LOW: the point that meets the ground, u below the center


@dataclass(frozen=True, kw_only=True)
class _Effect:
    """Change of a velocity in some frames of a move."""

    frames: tuple[int, int]  # first and last frame
    kind: int
    # forward and downward: a speed (None: as it is), a factor, or the place to pull to
    x: float | None = None
    y: float | None = None
    strength: float = 0.0  # of a pull, u/s for each u
    sure: bool = False  # of a pull: the other fighter was hit in an earlier part


@dataclass(frozen=True, kw_only=True)
class Move:
    """One of a weapon's eleven moves."""

    name: str
    strikes: tuple[_Strike, ...]
    recovery: int  # frames after the last strike
    # (frame, own velocity forward, downward); None keeps the velocity
    motions: tuple[tuple[int, float | None, float | None], ...] = ()
    hover: tuple[int, int] | None = None  # first and last frame without gravity
    charge: int = 0  # frames for which K may hold it back just before its first strike
    plunge: float = 0.0  # falls with this speed, its last strike active, until it meets the ground
    # of a move in several parts, one behind another: jumps, effects, and all its frames
    paths: tuple[_Path, ...] = ()
    effects: tuple[_Effect, ...] = ()
    length: int = 0

    @property
    def frames(self) -> int:
        """Length of the move in frames if it is neither charged nor plunges."""
        if self.length:
            return self.length
        return max(strike.frames[1] for strike in self.strikes) + 1 + self.recovery


Arsenal = Mapping[str, Mapping[str, Move]]  # weapon -> move -> Move

_PER_STRIKE = (
    "first",
    "last",
    "stun",
    "box_x",
    "box_y",
    "box_w",
    "box_h",
    "damage",
    "fixed",
    "variable",
    "dir_x",
    "dir_y",
    "bit",
    "sure",
)
_WHOLE = ("first", "last", "stun", "bit", "sure")
_PATH = {"first": "i8", "last": "i8", "when": "i8", "to": "i8", "y": "f8"}
_EFFECT = {
    "first": "i8", "last": "i8", "kind": "i8", "sure": "i8", "x": "f8", "y": "f8", "strength": "f8",
}  # fmt: skip
_INTEGERS = (
    "strikes",
    "frames",
    "charge",
    "charge_at",
    "plunge_at",
    "hover_first",
    "hover_last",
    "motions",
    "paths",
    "effects",
)


def _record(strikes: int, paths: int, effects: int) -> np.dtype[Any]:
    """Record of a move with room for so many strikes, paths and effects.

    The step reads it twice a frame, so that one with room for paths costs every match a sixth.
    """
    return np.dtype(
        [(name, "i8") for name in _INTEGERS]
        + [("plunge", "f8")]
        + [
            ("motion_at", "i8", (MAX_MOTIONS,)),
            ("motion_x", "f8", (MAX_MOTIONS,)),
            ("motion_y", "f8", (MAX_MOTIONS,)),
        ]
        + [(name, "i8" if name in _WHOLE else "f8", (strikes,)) for name in _PER_STRIKE]
        + [(f"path_{name}", kind, (paths,)) for name, kind in _PATH.items()]
        + [(f"effect_{name}", kind, (effects,)) for name, kind in _EFFECT.items()],
        align=True,
    )


TABLE, TABLE_WITH_PATHS = (
    _record(MAX_STRIKES, 1, 1),
    _record(MOST_STRIKES, MOST_PATHS, MOST_EFFECTS),
)


def compile_table(arsenal: Arsenal) -> Array:
    """Compile an arsenal into the array [3 weapons, 12 moves] of records for the physics.

    They are TABLE records, or TABLE_WITH_PATHS where a move has paths or effects: the physics is
    compiled for each. An arsenal that `check` faults is refused.
    """
    problems = list(check(arsenal))
    if problems:
        raise UsageError("move table: " + "; ".join(problems))
    moves = [move for weapon in WEAPONS for move in arsenal[weapon].values()]
    parts = any(move.paths or move.effects for move in moves)
    table = np.zeros((len(WEAPONS), len(MOVES)), TABLE_WITH_PATHS if parts else TABLE)
    for w, weapon in enumerate(WEAPONS):
        for m, name in enumerate(MOVES[1:], start=1):
            _fill(table[w, m], arsenal[weapon][name])
    return table


def _fill(row: Any, move: Move) -> None:
    row["strikes"], row["frames"], row["motions"] = (
        len(move.strikes),
        move.frames,
        len(move.motions),
    )
    row["charge"] = move.charge
    row["charge_at"] = move.strikes[0].frames[0] - 1 if move.strikes else -1
    row["plunge"], row["plunge_at"] = move.plunge, move.strikes[-1].frames[1] if move.plunge else -1
    row["hover_first"], row["hover_last"] = move.hover or (-1, -2)
    for i, (at, x, y) in enumerate(move.motions):
        row["motion_at"][i] = at
        row["motion_x"][i] = math.nan if x is None else x
        row["motion_y"][i] = math.nan if y is None else y
    for i, strike in enumerate(move.strikes):
        angle = math.radians(strike.angle)
        x, y, width, height = strike.box
        values = (
            *strike.frames,
            strike.stun,
            x,
            y,
            width / 2,
            height / 2,
            strike.damage,
            *strike.force,
        )
        last = (i if strike.bit is None else strike.bit, strike.sure)
        for name, value in zip(
            _PER_STRIKE,
            (*values, _whole(math.cos(angle)), -_whole(math.sin(angle)), *last),
            strict=True,
        ):
            row[name][i] = value
    _fill_parts(row, move)


def _fill_parts(row: Any, move: Move) -> None:
    """The paths and effects of a move."""
    row["paths"], row["effects"] = len(move.paths), len(move.effects)
    for i, path in enumerate(move.paths):
        for name, value in zip(_PATH, (*path.frames, path.when, path.to, path.y), strict=True):
            row[f"path_{name}"][i] = value
    for i, each in enumerate(move.effects):
        x, y = (math.nan if value is None else value for value in (each.x, each.y))
        values = (*each.frames, each.kind, each.sure, x, y, each.strength)
        for name, value in zip(_EFFECT, values, strict=True):
            row[f"effect_{name}"][i] = value


def _whole(value: float) -> float:
    """Round a cosine or sine that is within 1e-9 of a whole number.

    In floats, cos 90 degrees is 6e-17: a launch straight up would drift, and not symmetrically.
    """
    return round(value) + 0.0 if abs(value - round(value)) < 1e-9 else value


def check(arsenal: Arsenal) -> Iterable[str]:
    """Problems of an arsenal, one line each."""
    for weapon in arsenal:
        if weapon not in WEAPONS:
            yield f"unknown weapon '{weapon}': {did_you_mean(weapon, WEAPONS)}"
    for weapon in WEAPONS:
        if weapon not in arsenal:
            yield f"weapon '{weapon}' is missing"
            continue
        for name in arsenal[weapon]:
            if name not in MOVES[1:]:
                yield f"{weapon}: unknown move '{name}': {did_you_mean(name, MOVES[1:])}"
        for name in MOVES[1:]:
            if name not in arsenal[weapon]:
                yield f"{weapon}: move '{name}' is missing"
            else:
                yield from (
                    f"{weapon}.{name}: {problem}"
                    for problem in move_problems(arsenal[weapon][name])
                )


def move_problems(move: Move) -> Iterable[str]:
    """Problems of a move, one line each."""
    fewest, most = (0, MOST_STRIKES) if move.paths else (1, MAX_STRIKES)
    if not fewest <= len(move.strikes) <= most:
        yield f"strikes must number {fewest} to {most} (got {len(move.strikes)})"
        return
    yield from _part_problems(move)
    if move.recovery < 1:
        yield f"recovery must be at least 1 frame (got {move.recovery})"
    if move.frames > LONGEST:
        yield f"the move must be at most {LONGEST} frames long (got {move.frames})"
    if len(move.motions) > MAX_MOTIONS:
        yield f"motions must number at most {MAX_MOTIONS} (got {len(move.motions)})"
    for at, *speeds in move.motions:
        if not 0 <= at < move.frames:
            yield f"motion at frame {at}: the frame must be within 0 to {move.frames - 1}"
        if any(speed is not None and not abs(speed) <= 20 for speed in speeds):
            yield f"motion at frame {at}: the speed must be at most 20 u/s (got {speeds})"
    longest = SCHEMA.columns["player/charge"].field.limits[1]
    if not 0 <= move.charge <= longest:
        yield f"charge must be 0 to {longest:g} frames (got {move.charge})"
    if not 0 <= move.plunge <= 12:
        yield f"plunge must be 0 to 12 u/s (got {move.plunge:g})"
    for i, strike in enumerate(move.strikes):
        yield from (f"strike {i}: {problem}" for problem in _strike_problems(strike))


def _part_problems(move: Move) -> Iterable[str]:
    for name, parts, most in (
        ("paths", move.paths, MOST_PATHS),
        ("effects", move.effects, MOST_EFFECTS),
    ):
        if len(parts) > most:
            yield f"{name} must number at most {most} (got {len(parts)})"
        for part in parts:
            if not 0 <= part.frames[0] <= part.frames[1] < move.frames:
                yield f"{name}: frames must be within 0 and {move.frames - 1} (got {part.frames})"
    for path in move.paths:
        if path.when not in WHENS or not 0 <= path.to <= move.frames:
            yield f"paths: a jump to frame {path.to} must be within 0 and {move.frames}"
    for effect in move.effects:
        if effect.kind not in EFFECTS:
            yield f"effects: unknown kind {effect.kind}"
    bits = [strike.bit for strike in move.strikes if strike.bit is not None]
    if any(not 0 <= bit < MAX_STRIKES for bit in bits):
        yield f"bits of strikes must be 0 to {MAX_STRIKES - 1} (got {bits})"


def _strike_problems(strike: _Strike) -> Iterable[str]:
    first, last = strike.frames
    if not 1 <= first <= last:
        yield f"active frames must satisfy 1 <= first <= last (got {first} to {last})"
    x, y, width, height = strike.box
    if not (width > 0 and height > 0):
        yield f"width and height of the hit box must be positive (got {width:g} x {height:g} u)"
    if not (abs(x) + width / 2 <= REACH and abs(y) + height / 2 <= REACH):
        yield f"the hit box must stay within {REACH:g} u of the fighter (got {strike.box})"
    for name, value, high in (
        ("damage", strike.damage, 40),
        ("fixed force", strike.force[0], 150),
        ("variable force", strike.force[1], 80),
        ("stun", strike.stun, 40),
    ):
        if not 0 <= value <= high:
            yield f"{name} must be 0 to {high} (got {value:g})"
    if not -360 <= strike.angle <= 360:
        yield f"angle must be -360 to 360 degrees (got {strike.angle:g})"
