"""What a move is, its check, and the tables that physics reads. The 33 moves themselves stand in `arsenal.py`.

Times are frames from the start of the move, lengths are u from the fighter's center, x forward and
y downward.
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
LONGEST = 95  # frames; `player/move_frame` is stored as one of 96
REACH = 3.0  # u; no hit box goes further


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A hit box that is active for some frames and hits once."""

    frames: tuple[int, int]  # first and last active frame
    box: tuple[float, float, float, float]  # center x, center y, width, height
    damage: float
    force: tuple[float, float]  # fixed, variable: force = fixed + variable * (d / 70 + d^2 / 12000)
    angle: float  # degrees, 0 forward, 90 up, -90 down, 180 backward
    stun: int


@dataclass(frozen=True, kw_only=True)
class Move:
    """One of a weapon's eleven moves."""

    name: str
    strikes: tuple[Strike, ...]
    recovery: int  # frames after the last strike
    # at a frame: own velocity forward, downward; None: keep
    motions: tuple[tuple[int, float | None, float | None], ...] = ()
    hover: tuple[int, int] | None = None  # first and last frame without gravity
    charge: int = 0  # K may hold it back for so many frames just before its first strike
    plunge: float = 0.0  # falls with this speed, its last strike active, until it meets the ground

    @property
    def frames(self) -> int:
        """The length of the move if it is neither charged nor plunges."""
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
)
_INTEGERS = (
    "strikes",
    "frames",
    "charge",
    "charge_at",
    "plunge_at",
    "hover_first",
    "hover_last",
    "motions",
)
TABLE = np.dtype(
    [(name, "i8") for name in _INTEGERS]
    + [("plunge", "f8")]
    + [
        ("motion_at", "i8", (MAX_MOTIONS,)),
        ("motion_x", "f8", (MAX_MOTIONS,)),
        ("motion_y", "f8", (MAX_MOTIONS,)),
    ]
    + [
        (name, "i8" if name in ("first", "last", "stun") else "f8", (MAX_STRIKES,))
        for name in _PER_STRIKE
    ],
    align=True,
)


def compile_table(arsenal: Arsenal) -> Array:
    """An arsenal as the array [3 weapons, 12 moves] of TABLE records that physics reads.

    A broken one is refused.
    """
    problems = list(check(arsenal))
    if problems:
        raise UsageError("move table: " + "; ".join(problems))
    table = np.zeros((len(WEAPONS), len(MOVES)), TABLE)
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
    row["charge"], row["charge_at"] = move.charge, move.strikes[0].frames[0] - 1
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
        for name, value in zip(
            _PER_STRIKE, (*values, _whole(math.cos(angle)), -_whole(math.sin(angle))), strict=True
        ):
            row[name][i] = value


def _whole(value: float) -> float:
    """Cos 90 degrees is 6e-17 in floats.

    Straight up must be straight up, or the mirror would lean.
    """
    return round(value) + 0.0 if abs(value - round(value)) < 1e-9 else value


def check(arsenal: Arsenal) -> Iterable[str]:
    """Everything that is wrong with an arsenal, one line each."""
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
                    for problem in _move_problems(arsenal[weapon][name])
                )


def _move_problems(move: Move) -> Iterable[str]:
    if not 1 <= len(move.strikes) <= MAX_STRIKES:
        yield f"{len(move.strikes)} strikes, 1 to {MAX_STRIKES} are possible"
        return
    if move.recovery < 1:
        yield f"recovery is {move.recovery} frames, at least 1 is needed"
    if move.frames > LONGEST:
        yield f"it takes {move.frames} frames, {LONGEST} are possible"
    if len(move.motions) > MAX_MOTIONS:
        yield f"{len(move.motions)} motions, {MAX_MOTIONS} are possible"
    for at, *speeds in move.motions:
        if not 0 <= at < move.frames:
            yield f"a motion at frame {at}, the move has frames 0 to {move.frames - 1}"
        if any(speed is not None and not abs(speed) <= 20 for speed in speeds):
            yield f"the motion at frame {at} is faster than 20 u/s"
    longest = SCHEMA.columns["player/charge"].field.limits[1]
    if not 0 <= move.charge <= longest:
        yield f"charge is {move.charge} frames, 0 to {longest:g} are possible"
    if not 0 <= move.plunge <= 12:
        yield f"plunge is {move.plunge:g} u/s, 0 to 12 are possible"
    for i, strike in enumerate(move.strikes):
        yield from (f"strike {i}: {problem}" for problem in _strike_problems(strike))


def _strike_problems(strike: Strike) -> Iterable[str]:
    first, last = strike.frames
    if not 1 <= first <= last:
        yield f"active frames {first} to {last}, they begin at 1 or later and end no sooner"
    x, y, width, height = strike.box
    if not (width > 0 and height > 0):
        yield f"the hit box is {width:g} x {height:g} u, both must be positive"
    if not (abs(x) + width / 2 <= REACH and abs(y) + height / 2 <= REACH):
        yield f"the hit box reaches further than {REACH:g} u"
    for what, value, high in (
        ("damage", strike.damage, 40),
        ("fixed force", strike.force[0], 150),
        ("variable force", strike.force[1], 80),
        ("stun", strike.stun, 40),
    ):
        if not 0 <= value <= high:
            yield f"{what} is {value:g}, 0 to {high} are possible"
    if not -360 <= strike.angle <= 360:
        yield f"the angle is {strike.angle:g} degrees"
