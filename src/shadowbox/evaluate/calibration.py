"""Fitting of temperatures by group of controls, and of press thresholds and offsets by button.

Each value is chosen on one half of the sessions and scored on the other; the stored value is chosen
on all of them. A good fit on recorded frames is not yet good play, so the temperature of play is
fitted in play. T: frames of a session, H: candidate temperatures, P: groups (parts of the head).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.core.stats import halves

TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(2.0), 29))  # the middle one is 1
PLAYED_AT = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1)  # temperatures that are tried in play
USUAL = (0.9, 1.1)  # outside, the model should be mended rather than its temperature
CANDIDATES = tuple(k / 20 for k in range(2, 19))  # exact decimals, .10 to .90
MARGIN = 0.05  # of the hysteresis: on above threshold + margin, off below threshold - margin
ENOUGH = 20  # presses begun, of which a threshold can be chosen
FARTHEST = 20.0  # offset of a logit
SMALLEST = 1e-7  # probability of which a logit is taken
NEAR = 0.01  # of the best score: what is less apart is chance
FALSE_COST = 0.1  # in F1, of one false press in each minute in which nothing is pressed
SAFE = 0.9  # the threshold of a control with fewer


@dataclass(frozen=True)
class _TemperatureFit:
    """Temperature of one group.

    `before` and `after`: nats a frame on sessions that did not choose it, at 1 and at the
    temperature.
    """

    temperature: float
    before: float
    after: float

    @property
    def is_default(self) -> bool:
        """True if the temperature is near 1, as it should be."""
        return USUAL[0] <= self.temperature <= USUAL[1]


@dataclass(frozen=True)
class ThresholdFit:
    """Threshold and hysteresis of one button.

    `f1`: F1 of onsets on sessions that did not choose it; None if untuned.
    """

    threshold: float
    on: float
    off: float
    presses: int  # begun, in all sessions
    f1: float | None

    @property
    def tuned(self) -> bool:
        """True if the threshold was fitted; False for a safe default."""
        return self.f1 is not None


@dataclass(frozen=True)
class _OffsetFit:
    """Offset of one button's logit, at which its mean probability is the rate of the data.

    `before` and `after`: that mean without and with the offset, on sessions that did not choose it.
    """

    offset: float
    rate: float  # share of frames in which the button is down in the data
    before: float
    after: float


@dataclass(frozen=True)
class PlayTemperatureFit:
    """Temperature of play, which multiplies all others.

    `before` and `after`: gate distance at 1 and at the temperature, in matches that did not choose
    it.
    """

    temperature: float
    before: float
    after: float


@dataclass(frozen=True)
class Calibration:
    """Calibration stored with a checkpoint."""

    temperatures: Mapping[str, _TemperatureFit]
    thresholds: Mapping[str, ThresholdFit]
    play: PlayTemperatureFit | None = None  # of games without a simulator there is none
    offsets: Mapping[str, _OffsetFit] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads."""
        return {
            "temperature": {
                name: asdict(temperatures) for name, temperatures in self.temperatures.items()
            },
            "thresholds": {name: asdict(threshold) for name, threshold in self.thresholds.items()},
            "offsets": {name: asdict(offset) for name, offset in self.offsets.items()},
            "play": asdict(self.play) if self.play else None,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_json`; empty data means not calibrated."""
        temperatures = {
            name: _TemperatureFit(**values) for name, values in data.get("temperature", {}).items()
        }
        thresholds = {
            name: ThresholdFit(**values) for name, values in data.get("thresholds", {}).items()
        }
        return Calibration(
            temperatures,
            thresholds,
            PlayTemperatureFit(**data["play"]) if data.get("play") else None,
            {name: _OffsetFit(**values) for name, values in data.get("offsets", {}).items()},
        )


# ---- temperatures --------------------------------------------------------------------------------


def fit_temperature(
    names: Sequence[str], costs: Array, frames: Array
) -> dict[str, _TemperatureFit]:
    """Best temperature of each group: summed nats [sessions, H, P], frames [sessions]."""
    half_of = halves(np.arange(len(costs)))
    one = int(np.argmin(np.abs(TEMPERATURES - 1)))
    found = {}
    for at, name in enumerate(names):
        cost = costs[:, :, at]
        before = after = 0.0
        for half in (0, 1):
            chosen = int(cost[half_of == half].sum(0).argmin()) if (half_of == half).any() else one
            other = cost[half_of != half].sum(0)
            before, after = before + float(other[one]), after + float(other[chosen])
        every = max(float(frames.sum()), 1.0)
        found[name] = _TemperatureFit(
            round(float(TEMPERATURES[cost.sum(0).argmin()]), 4), before / every, after / every
        )
    return found


# ---- the temperature of play ---------------------------------------------------------------------


def fit_play_temperature(strains: Array) -> PlayTemperatureFit:
    """Temperature of play with the least gate distance: [3, candidates], for all matches and each half."""
    every, one, other = (_bottom(row) for row in strains)
    nearest = [int(np.abs(np.array(PLAYED_AT) - chosen).argmin()) for chosen in (one, other)]
    before = strains[1:, PLAYED_AT.index(1.0)].mean()
    # each half is judged by what the other chose
    after = (strains[2, nearest[0]] + strains[1, nearest[1]]) / 2
    return PlayTemperatureFit(every, float(before), float(after))


def _bottom(strains: Array) -> float:
    """Minimum of a parabola fitted to the squared distances; single candidates are too noisy."""
    if np.ptp(strains) == 0:
        return 1.0
    tried = np.log(PLAYED_AT)
    steps = np.round(np.arange(PLAYED_AT[0], PLAYED_AT[-1] + 0.005, 0.01), 2)
    return float(steps[np.polyval(np.polyfit(tried, strains**2, 2), np.log(steps)).argmin()])


# ---- offsets -------------------------------------------------------------------------------------


def logits(chances: Array) -> Array:
    """Log-odds of probabilities; of 0 and 1 those of the nearest f32."""
    p = np.clip(np.asarray(chances, np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(p) - np.log1p(-p))


def fit_offset(
    chances: Sequence[Array], downs: Sequence[Array], sessions: Sequence[int] | None = None
) -> _OffsetFit:
    """Offset of one button from its probabilities and presses, [T] each, and session numbers [T].

    A button that is never or always down in the data gets the farthest offset.
    """
    half_of = halves(np.arange(len(chances)) if sessions is None else sessions)
    logit = [logits(chance) for chance in chances]
    before = after = frames = 0.0
    for half in (0, 1):
        chosen = np.flatnonzero(half_of == half).tolist()
        others = np.flatnonzero(half_of != half).tolist()
        if not chosen or not others:
            continue
        offset = _offset([logit[at] for at in chosen], [downs[at] for at in chosen])
        here = np.concatenate([logit[at] for at in others])
        before, after = before + _odds(here).sum(), after + _odds(here + offset).sum()
        frames += len(here)
    rate = float(np.concatenate(list(downs)).mean())
    frames = max(frames, 1.0)
    return _OffsetFit(round(_offset(logit, downs), 4), rate, before / frames, after / frames)


def _offset(logit: Sequence[Array], downs: Sequence[Array]) -> float:
    """Offset at which the mean probability is the rate of presses: by bisection, for it only rises."""
    all_, rate = np.concatenate(list(logit)), float(np.concatenate(list(downs)).mean())
    low, high = -FARTHEST, FARTHEST
    for _ in range(32):
        middle = (low + high) / 2
        low, high = (middle, high) if _odds(all_ + middle).mean() < rate else (low, middle)
    return (low + high) / 2


def _odds(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit)))


# ---- thresholds ----------------------------------------------------------------------------------


def with_hysteresis(chance: Array, on: float, off: float) -> Array:
    """State of a button that goes down above `on` and up below `off`: [T] -> bool [T], starting up."""
    change = np.where(chance > on, 1, np.where(chance < off, 0, -1))
    last = np.maximum.accumulate(np.where(change >= 0, np.arange(len(chance)), -1))
    return np.asarray((last >= 0) & (change[last] == 1))


def fit_threshold(
    chances: Sequence[Array],
    downs: Sequence[Array],
    tolerance: int = 2,
    sessions: Sequence[int] | None = None,
    calm: Sequence[Array] | None = None,
    fps: float = 1.0,
) -> ThresholdFit:
    """Threshold of one button from its probabilities and presses, [T] each, and session numbers [T].

    In a plateau of equally good thresholds the middle is chosen, because its edges are due to
    chance. `calm` [T]: frames of rest, in which each press counts against a threshold as well.
    """
    from shadowbox.core import presses

    begun = sum(int(presses.onsets(down).sum()) for down in downs)
    if begun < ENOUGH:
        return ThresholdFit(SAFE, SAFE + MARGIN, SAFE - MARGIN, begun, None)
    rest = [np.zeros(len(down), bool) for down in downs] if calm is None else calm
    minutes = np.array([each.sum() for each in rest]) / (60 * fps)
    counts = np.zeros((len(chances), len(CANDIDATES), 3))
    for row, (chance, down) in enumerate(zip(chances, downs, strict=True)):
        truth = presses.onsets(down)
        for at, threshold in enumerate(CANDIDATES):
            guess = presses.onsets(with_hysteresis(chance, threshold + MARGIN, threshold - MARGIN))
            found = presses.match(truth, guess, tolerance)
            false = np.count_nonzero(guess & rest[row])
            counts[row, at] = 2 * found.hits, found.truths + found.guesses, false
    half_of = halves(np.arange(len(chances)) if sessions is None else sessions)
    top = bottom = 0.0
    for half in (0, 1):
        mine = half_of == half
        chosen = _middle_of_best(_scores(counts[mine].sum(0), minutes[mine].sum()))
        hits, both, _ = counts[~mine].sum(0)[chosen]
        top, bottom = top + hits, bottom + both
    threshold = CANDIDATES[_middle_of_best(_scores(counts.sum(0), minutes.sum()))]
    return ThresholdFit(
        threshold,
        round(threshold + MARGIN, 3),
        round(threshold - MARGIN, 3),
        begun,
        top / max(bottom, 1.0),
    )


def _scores(counts: Array, minutes: float) -> Array:
    """F1 less the cost of false presses: [candidates, 3] and minutes of rest -> [candidates]."""
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(counts[:, 0] / counts[:, 1])
    return np.asarray(f1 - FALSE_COST * counts[:, 2] / minutes if minutes else f1)


def _middle_of_best(scores: Array) -> int:
    """Middle of the longest run of candidates with the best score: [candidates] -> index.

    Among equal runs, the one with the highest thresholds.
    """
    best = scores >= scores.max() - NEAR
    edges = np.flatnonzero(np.diff(np.concatenate([[0], best, [0]])))
    begins, ends = edges[::2], edges[1::2]
    longest = len(begins) - 1 - int(np.argmax((ends - begins)[::-1]))
    return int((begins[longest] + ends[longest]) // 2)
