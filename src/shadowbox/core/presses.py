"""What was pressed, as events: when a press begins, how long it is held, and which of two sequences' presses are the same.

A button is a flag control, or a choice control away from its neutral value 0. Arrays are [T, ...]
with time first: T decisions of one episode. `before` is what was held at the frame before each
decision; that of the first is nothing.

Two ways to ask a policy, and what counts as an onset in each:
- it plays on its own: `down` is what it pressed, an onset is a frame down after a frame up (`onsets`);
- it is asked at each recorded frame, given the truth up to there: an onset is proposed where it wants a button down that
  was *recorded* up the frame before (`proposed`). A policy that repeats the last frame therefore
  never proposes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from shadowbox.core.schema import Array, Flag, Real, Schema


def button_keys(schema: Schema) -> tuple[str, ...]:
    """The controls that are pressed or not: flags and choices."""
    return tuple(
        key for key in schema.control_keys if not isinstance(schema.columns[key].field, Real)
    )


def stick_keys(schema: Schema) -> tuple[str, ...]:
    """The controls that have a position: reals."""
    return tuple(key for key in schema.control_keys if isinstance(schema.columns[key].field, Real))


def buttons(schema: Schema, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Whether each button is down: flags as they are, choices where they are not neutral; bool, shaped as the column."""
    keys = [key for key in button_keys(schema) if key in columns]
    return {
        key: columns[key] if isinstance(schema.columns[key].field, Flag) else columns[key] != 0
        for key in keys
    }


def held_before(down: Array) -> Array:
    """What was held one frame earlier: [T, ...] -> [T, ...]; before the first frame nothing is."""
    before = np.zeros_like(down)
    before[1:] = down[:-1]
    return before


def onsets(down: Array) -> Array:
    """Frames at which a press begins, of what was really pressed: bool [T, ...] -> bool [T, ...]."""
    return down & ~held_before(down)


def releases(down: Array) -> Array:
    """Frames at which a press has just ended: bool [T, ...] -> bool [T, ...]."""
    return ~down & held_before(down)


def proposed(wanted: Array, before: Array) -> Array:
    """Frames at which an asked policy would begin a press, given what was recorded: bool [T, ...], [T, ...] -> [T, ...]."""
    return wanted & ~before


def holds(down: Array) -> Array:
    """Lengths in frames of the presses of one button, in order: bool [T] -> int [n].

    One that the end cuts off counts.
    """
    begin = np.flatnonzero(onsets(down))
    end = np.flatnonzero(releases(down))
    return np.append(end, len(down))[: len(begin)] - begin


def stretches(down: Array) -> list[tuple[int, int]]:
    """The first frame of each press and the one behind its last: bool [T] -> pairs, in order."""
    begin = np.flatnonzero(onsets(down))
    return list(zip(begin.tolist(), (begin + holds(down)).tolist(), strict=True))


class _Matching(NamedTuple):
    """How many presses of two sequences are the same, and how many each has."""

    hits: int
    truths: int
    guesses: int

    @property
    def f1(self) -> float:
        """2 hits / (truths + guesses); no press on either side is no number."""
        both = self.truths + self.guesses
        return 2 * self.hits / both if both else float("nan")


def match(truth: Array, guess: Array, tolerance: int = 0) -> _Matching:
    """Pair presses that begin at most `tolerance` frames apart, one to one: bool [T], bool [T].

    Going through both in order and taking the earliest that fits pairs as many as can be paired.
    """
    true_at, guess_at = np.flatnonzero(truth), np.flatnonzero(guess)
    if tolerance == 0:
        return _Matching(int(np.count_nonzero(truth & guess)), len(true_at), len(guess_at))
    hits, at, other = 0, 0, 0
    while at < len(true_at) and other < len(guess_at):
        offset = int(guess_at[other] - true_at[at])
        if abs(offset) <= tolerance:
            hits, at, other = hits + 1, at + 1, other + 1
        elif offset < 0:
            other += 1
        else:
            at += 1
    return _Matching(hits, len(true_at), len(guess_at))


def nearest(truth: Array, guess: Array, reach: int) -> Array:
    """By how many frames presses are guessed too late, one to one, the nearest pairs first: bool [T], bool [T] -> int [n].

    Fewer may be paired than by `match`, which would pair a run of guesses where it begins rather
    than where it is right.
    """
    truth, guess = truth.copy(), guess.copy()
    found = []
    for offset in sorted(range(-reach, reach + 1), key=abs):
        frames = max(len(truth) - abs(offset), 0)
        own, other = truth[max(-offset, 0) :][:frames], guess[max(offset, 0) :][:frames]
        both = own & other
        own[both] = other[both] = False
        found.append(np.full(np.count_nonzero(both), offset))
    return np.concatenate(found)


def change_error(guess: Array, truth: Array, before: Array) -> tuple[float, int]:
    """How wrong the guessed change of a stick is where it moves: sum of |guess - truth| over frames with truth != before.

    [T] each -> the sum and the number of frames that moved. Who repeats the last frame errs by the
    whole change.
    """
    moved = truth != before
    return float(np.abs(guess - truth)[moved].sum()), int(moved.sum())


def divergence(first: Array, second: Array) -> Array:
    """Jensen-Shannon divergence in bits between histograms: counts [..., n], [..., n] -> [...]; 0 the same, 1 disjoint."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p = first / first.sum(-1, keepdims=True)
        q = second / second.sum(-1, keepdims=True)
        middle = (p + q) / 2
        parts = [
            np.where(side > 0, side * np.log2(side / middle), 0.0).sum(-1) / 2 for side in (p, q)
        ]
    return np.asarray(
        np.where(np.isfinite(middle).all(-1), np.clip(parts[0] + parts[1], 0, 1), np.nan)
    )
