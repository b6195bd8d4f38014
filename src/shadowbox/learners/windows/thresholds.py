"""Threshold of each control, chosen on recordings in the order in which they were made.

The score of a threshold is F1 less half of the share of idle frames in which it presses, with the
hysteresis of play. Of equally good thresholds the middle is taken; a control with too few presses
gets a safe one. The figures are cross-fitted: chosen on one half of the sessions, counted on the
other one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.core.stats import halves

CANDIDATES = np.arange(2, 19) / 20  # .1, .15, ... .9, each the nearest number to its decimal
SAFE = 0.9  # threshold of a control that cannot be tuned
FEWEST = 20  # frames in which a control is down
MARGIN = 0.05  # of the hysteresis: on above threshold + margin, off below threshold - margin
IDLE_COST = 0.5


class _Threshold(NamedTuple):
    """Threshold of a control, and its figures on sessions that it was not chosen on."""

    value: float
    tuned: bool  # False: there were too few presses
    f1: float  # NaN without presses
    idle_rate: float  # share of the idle frames with a press; NaN without any


class _Frames(NamedTuple):
    """Frames of a control in order."""

    probability: Array  # [N]
    down: Array  # bool [N]
    idle: Array  # bool [N]
    session: Array  # [N] numbers from 0; the memory of the hysteresis ends with a session

    def part(self, chosen: Array) -> _Frames:
        """Some of the frames."""
        return _Frames(*(values[chosen] for values in self))


def tune(frames: _Frames) -> _Threshold:
    """Threshold of a control, chosen on all sessions, with cross-fitted figures."""
    half = halves(frames.session)
    counts = np.zeros(4)
    for chosen_on in (0, 1):
        rest = frames.part(half != chosen_on)
        value = choose(frames.part(half == chosen_on))
        counts += _counts(rest, np.array([SAFE if value is None else value]))[:, 0]
    value = choose(frames)
    f1, idle_rate = _f1(*counts[:2]), counts[2] / counts[3] if counts[3] else math.nan
    return _Threshold(SAFE if value is None else value, value is not None, float(f1), idle_rate)


def choose(frames: _Frames) -> float | None:
    """Best threshold of CANDIDATES, in the middle of its plateau; None with too few presses."""
    if frames.down.sum() < FEWEST:
        return None
    scores = threshold_scores(frames)
    best = np.flatnonzero(scores > scores.max() - 1e-9)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    plateau = max(runs, key=len)  # the lowest of equally long ones
    return float(CANDIDATES[plateau[len(plateau) // 2]])


def threshold_scores(frames: _Frames) -> Array:
    """Score of each of CANDIDATES, [K]."""
    hits, both, false, idle = _counts(frames, CANDIDATES)
    rate = false / np.maximum(idle, 1)
    scores: Array = np.nan_to_num(_f1(hits, both)) - IDLE_COST * rate
    return scores


def pressed(probability: Array, session: Array, thresholds: Array) -> Array:
    """Presses with hysteresis at each threshold, bool [N, K]."""
    out = np.zeros((len(probability), len(thresholds)), bool)
    begins = np.diff(session, prepend=-1) != 0
    on, off = np.minimum(thresholds + MARGIN, 1.0), thresholds - MARGIN
    held = np.zeros(len(thresholds), bool)
    for at, (value, new) in enumerate(zip(probability.tolist(), begins.tolist(), strict=True)):
        held = np.where(held & (not new), value >= off, value >= on)
        out[at] = held
    return out


def _counts(frames: _Frames, thresholds: Array) -> Array:
    """Hits, presses plus frames down, presses in idle frames, and idle frames: [4, K]."""
    guess = pressed(frames.probability, frames.session, thresholds)
    down, idle = frames.down[:, None], frames.idle[:, None]
    many = np.full(len(thresholds), idle.sum())
    return np.stack(
        [(guess & down).sum(0), guess.sum(0) + down.sum(), (guess & idle).sum(0), many]
    ).astype(float)


def _f1(hits: Array, both: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(np.asarray(both) > 0, 2 * np.asarray(hits) / both, np.nan)
    return found


def tune_all(by_control: Mapping[str, _Frames]) -> dict[str, _Threshold]:
    """Threshold of each control by name."""
    return {name: tune(frames) for name, frames in by_control.items()}
