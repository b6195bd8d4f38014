"""Presses as events: onsets, holds, and the matching of two sequences' presses.

A button is a flag control, or a choice control away from its neutral value 0. Arrays are [T, ...]
with time first: T decisions of one episode. `before` is true where a button was held at the frame
before a decision, and false at the first.

Policies are evaluated in two ways, with different onsets:

- A policy that plays presses `down`; an onset is a frame down after a frame up (`onsets`).
- A policy that answers each recorded frame, given the truth up to there, proposes an onset where it
  wants a button down that was *recorded* up the frame before (`proposed`). A policy that repeats
  the last frame therefore never proposes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from shadowbox.core.schema import Array, Flag, Real, Schema


def button_keys(schema: Schema) -> tuple[str, ...]:
    """Controls that are pressed or not: flags and choices."""
    return tuple(
        key for key in schema.control_keys if not isinstance(schema.columns[key].field, Real)
    )


def stick_keys(schema: Schema) -> tuple[str, ...]:
    """Controls that have a position: reals."""
    return tuple(key for key in schema.control_keys if isinstance(schema.columns[key].field, Real))


def buttons(schema: Schema, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Mask of each button's frames down, bool in the shape of the column.

    A flag is down where it is set, a choice where it is not neutral.
    """
    keys = [key for key in button_keys(schema) if key in columns]
    return {
        key: columns[key] if isinstance(schema.columns[key].field, Flag) else columns[key] != 0
        for key in keys
    }


def held_before(down: Array) -> Array:
    """Buttons held one frame earlier, [T, ...] -> [T, ...]; none before the first frame."""
    before = np.zeros_like(down)
    before[1:] = down[:-1]
    return before


def onsets(down: Array) -> Array:
    """Frames at which a press begins, bool [T, ...] -> bool [T, ...]."""
    return down & ~held_before(down)


def releases(down: Array) -> Array:
    """Frames at which a press has just ended, bool [T, ...] -> bool [T, ...]."""
    return ~down & held_before(down)


def proposed(wanted: Array, before: Array) -> Array:
    """Frames [T, ...] at which a policy would begin a press, given the recorded frame before."""
    return wanted & ~before


def holds(down: Array) -> Array:
    """Lengths in frames of the presses of one button, in order: bool [T] -> int [n].

    A press that the end cuts off is included.
    """
    begin = np.flatnonzero(onsets(down))
    end = np.flatnonzero(releases(down))
    return np.append(end, len(down))[: len(begin)] - begin


def stretches(down: Array) -> list[tuple[int, int]]:
    """First frame and end (exclusive) of each press, in order: bool [T] -> pairs."""
    begin = np.flatnonzero(onsets(down))
    return list(zip(begin.tolist(), (begin + holds(down)).tolist(), strict=True))


class _Matching(NamedTuple):
    """Number of presses that two sequences share (hits), and of the presses of each."""

    hits: int
    truths: int
    guesses: int

    @property
    def f1(self) -> float:
        """F1 score, 2 hits / (truths + guesses); NaN without any press."""
        both = self.truths + self.guesses
        return 2 * self.hits / both if both else float("nan")


def match(truth: Array, guess: Array, tolerance: int = 0) -> _Matching:
    """Pair presses that begin at most `tolerance` frames apart, one to one: bool [T], bool [T].

    Taking the earliest partner of each in order gives as many pairs as possible.
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
    """Delays in frames of guessed presses, paired one to one, nearest first: [T], [T] -> int [n].

    Fewer may be paired than by `match`, which pairs a run of guesses at its beginning rather than
    at the nearest one.
    """
    truth, guess = truth.copy(), guess.copy()
    delays = []
    for offset in sorted(range(-reach, reach + 1), key=abs):
        frames = max(len(truth) - abs(offset), 0)
        own, other = truth[max(-offset, 0) :][:frames], guess[max(offset, 0) :][:frames]
        both = own & other
        own[both] = other[both] = False
        delays.append(np.full(np.count_nonzero(both), offset))
    return np.concatenate(delays)


def change_error(guess: Array, truth: Array, before: Array) -> tuple[float, int]:
    """Sum of |guess - truth| over the frames in which a stick moves, and their number.

    All arrays are [T]. Repeating the last frame gives an error of the whole change.
    """
    moved = truth != before
    return float(np.abs(guess - truth)[moved].sum()), int(moved.sum())


def divergence(first: Array, second: Array) -> Array:
    """Jensen-Shannon divergence in bits between histograms: counts [..., n], [..., n] -> [...].

    0 for equal histograms, 1 for disjoint ones.
    """
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
