"""Offline figures: metrics of predictions at recorded frames, with intervals, beside baselines.

Each metric is a function of sums over episodes, computed from parts [E, ...], one an episode, so
that episodes can be resampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shadowbox.core import presses, reliability
from shadowbox.core.evaluation import Figure
from shadowbox.core.metrics import metric_of
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval, bootstrap, bootstrap_ratio, halves
from shadowbox.evaluate.recorded import SeatAnswer, SeatData
from shadowbox.evaluate.sticks import SMALLEST

CANDIDATES = 200  # thresholds that are tried


@dataclass(frozen=True)
class Answers:
    """Predictions of one predictor for each seat."""

    seats: Sequence[SeatData]
    answers: Sequence[SeatAnswer]

    @property
    def pairs(self) -> list[tuple[SeatData, SeatAnswer]]:
        """Pairs of a seat and its predictions."""
        return list(zip(self.seats, self.answers, strict=True))

    @cached_property
    def half(self) -> Mapping[int, int]:
        """Half of each episode: choices made on one half are scored on the other."""
        numbers = [seat.episode for seat in self.seats]
        return dict(zip(numbers, halves(numbers).tolist(), strict=True))


Measure = Callable[[Answers], Interval]
Counts = Callable[[SeatData, SeatAnswer, Sequence[str]], tuple[float, float]]


def figures(everybody: Mapping[str, Answers], tolerance: int) -> dict[str, Figure]:
    """Offline figures of the predictor named "" beside those of the baselines."""
    asked = everybody[""]
    buttons = list(dict.fromkeys(name for seat in asked.seats for name in seat.down))
    sticks = list(dict.fromkeys(name for seat in asked.seats for name in seat.stick))
    placed = list(dict.fromkeys(name for answer in asked.answers for name in answer.stick_cost))
    measures = _of_all(buttons, sticks, placed, tolerance)
    for name in buttons:
        measures |= _named(name, _of_buttons([name], tolerance))
    for name in placed:
        measures |= _named(name, {"stick_nll": _summed(_place_cost, [name])})
    for name in sticks:
        measures |= _named(name, {"stick_change_error": _summed(_change_error, [name])})
    return {name: _beside(name, measure, everybody) for name, measure in measures.items()}


def _of_all(
    buttons: Sequence[str], sticks: Sequence[str], placed: Sequence[str], tolerance: int
) -> dict[str, Measure]:
    """Measures over all controls together, by metric."""
    measures: dict[str, Measure] = {}
    if buttons:
        measures |= _of_buttons(buttons, tolerance) | {
            "onset_offset": lambda asked: _offset(asked, buttons, tolerance),
            "nll": lambda asked: _mean_of(asked, lambda seat, answer: answer.cost),
            "copycat_gap": lambda asked: _mean_of(asked, _gap),
            "press_accuracy": lambda asked: _ratio_of(asked, _pressed_right),
        }
    if sticks:
        measures |= {
            "stick_change_error": _summed(_change_error, sticks),
            "stick_error": _summed(_stick_error, sticks),
        }
    if placed:
        measures["stick_nll"] = _summed(_place_cost, placed)
    if buttons and placed:
        measures["controller_nll"] = _summed(_controller_cost, placed)
    return measures


def _of_buttons(buttons: Sequence[str], tolerance: int) -> dict[str, Measure]:
    """Measures over some buttons, by metric."""
    return {
        "onset_f1": lambda asked: onset_f1(asked, buttons, tolerance),
        "onset_f1_sampled": lambda asked: _ratio_of(
            asked, lambda seat, answer: _drawn_counts(seat, answer, buttons, tolerance)
        ),
        "press_f1": _summed(_press_counts, buttons),
        "onset_nll": _summed(_onset_cost, buttons),
        "onset_ece": lambda asked: _calibration(asked, buttons),
    }


def _named(control: str, measures: Mapping[str, Measure]) -> dict[str, Measure]:
    return {f"{metric}.{control}": measure for metric, measure in measures.items()}


def _summed(counts: Counts, names: Sequence[str]) -> Measure:
    return lambda asked: _ratio_of(asked, lambda seat, answer: counts(seat, answer, names))


def _beside(name: str, measure: Measure, everybody: Mapping[str, Answers]) -> Figure:
    """A figure with its metric's baselines, as far as they have predictions."""
    others = [each for each in metric_of(name).baselines if each in everybody]
    return Figure(measure(everybody[""]), {each: measure(everybody[each]) for each in others})


def bins_sentence(bins: Mapping[str, Any]) -> str:
    """Sentence on the options of each part of a policy's head, by which likelihoods are comparable."""
    parts = [
        f"{name} {each['options']:,}" if each["options"] else f"{name} without bins"
        for name, each in bins.items()
        if name != "fingerprint"
    ]
    return (
        f"Bins of controller_nll: {', '.join(parts)} (fingerprint {bins['fingerprint']}). "
        "Likelihoods over other bins are not comparable."
    )


def onset_f1(asked: Answers, names: Sequence[str], tolerance: int) -> Interval:
    """F1 of predicted onsets over these buttons.

    Thresholds come from the other half of the episodes.
    """
    thresholds = _thresholds(asked, names)

    def counts(seat: SeatData, answer: SeatAnswer) -> tuple[float, float]:
        chosen = thresholds[1 - asked.half[seat.episode]]
        found = [presses.match(*onsets, tolerance) for onsets in _onsets(seat, answer, chosen)]
        return sum(2.0 * pairs.hits for pairs in found), sum(
            float(pairs.truths + pairs.guesses) for pairs in found
        )

    return _ratio_of(asked, counts)


def best_threshold(chance: Array, happened: Array) -> float:
    """Threshold with the best F1, the highest of equals: [N], bool [N]; above all without an event."""
    if not happened.any():
        return np.inf
    tried = np.unique(np.quantile(chance[happened], np.linspace(0, 1, CANDIDATES)))
    tried = tried[tried > 0]  # a probability of 0 predicts nothing
    if not len(tried):
        return np.inf
    order = np.sort(chance)
    guesses = len(order) - np.searchsorted(order, tried, side="left")
    sorted_hits = np.sort(chance[happened])
    hits = len(sorted_hits) - np.searchsorted(sorted_hits, tried, side="left")
    f1 = 2 * hits / (guesses + len(sorted_hits))
    return float(tried[len(f1) - 1 - int(np.argmax(f1[::-1]))])


def reliability_curves(asked: Answers) -> dict[str, Array]:
    """Calibration bins of each button: sums [3, bins] (frames, probability, onsets) over all seats."""
    names = list(dict.fromkeys(name for seat in asked.seats for name in seat.down))
    return {name: _binned(asked, [name], {name: _bounds(asked, name)}).sum(0) for name in names}


def onset_timing(asked: Answers, reach: int = 8) -> Array:
    """Counts of onsets by delay in frames, then missed and false ones: [2 reach + 3].

    Index `reach` counts delays of 0; the last two count presses without a prediction, and
    predictions without a press.
    """
    thresholds = _thresholds(
        asked, list(dict.fromkeys(name for seat in asked.seats for name in seat.down))
    )
    counts = np.zeros(2 * reach + 3, np.int64)
    for seat, answer in asked.pairs:
        for real, proposed in _onsets(seat, answer, thresholds[1 - asked.half[seat.episode]]):
            offsets = presses.nearest(real, proposed, reach)
            counts[:-2] += np.bincount(offsets + reach, minlength=2 * reach + 1)
            counts[-2:] += (
                np.count_nonzero(real) - len(offsets),
                np.count_nonzero(proposed) - len(offsets),
            )
    return counts


# ---- one seat at a time: numerator and denominator -----------------------------------------------


def _press_counts(seat: SeatData, answer: SeatAnswer, names: Sequence[str]) -> tuple[float, float]:
    top = bottom = 0.0
    for name in names:
        if name in seat.down:
            guess, truth = answer.chance[name] > 0.5, seat.down[name]
            top, bottom = (
                top + 2 * float((guess & truth).sum()),
                bottom + float(guess.sum() + truth.sum()),
            )
    return top, bottom


def _drawn_counts(
    seat: SeatData, answer: SeatAnswer, names: Sequence[str], tolerance: int
) -> tuple[float, float]:
    top = bottom = 0.0
    for name in names:
        if name in seat.down:
            guess = presses.proposed(answer.drawn[name], seat.before[name])
            pairs = presses.match(presses.onsets(seat.down[name]), guess, tolerance)
            top, bottom = top + 2 * pairs.hits, bottom + pairs.truths + pairs.guesses
    return top, bottom


def _onset_cost(seat: SeatData, answer: SeatAnswer, names: Sequence[str]) -> tuple[float, float]:
    """Nats, and frames, over frames in which the button was up."""
    top = bottom = 0.0
    for name in names:
        if name in seat.down:
            free = ~seat.before[name]
            p, truth = answer.chance[name][free], seat.down[name][free]
            top -= float(np.log(np.clip(np.where(truth, p, 1 - p), SMALLEST, 1)).sum())
            bottom += float(free.sum())
    return top, bottom


def _pressed_right(seat: SeatData, answer: SeatAnswer) -> tuple[float, float]:
    truth = np.stack(list(seat.down.values()))
    guess = np.stack([answer.chance[name] > 0.5 for name in seat.down])
    some = truth.any(0)
    return float((truth == guess)[:, some].sum()), float(len(truth) * some.sum())


def _stick_error(seat: SeatData, answer: SeatAnswer, names: Sequence[str]) -> tuple[float, float]:
    errors = [
        np.abs(answer.position[name] - seat.stick[name]) for name in names if name in seat.stick
    ]
    return float(sum(error.sum() for error in errors)), float(sum(len(error) for error in errors))


def _change_error(seat: SeatData, answer: SeatAnswer, names: Sequence[str]) -> tuple[float, float]:
    top = bottom = 0.0
    for name in names:
        if name in seat.stick:
            error, moved = presses.change_error(
                answer.position[name], seat.stick[name], seat.stick_before[name]
            )
            top, bottom = top + error, bottom + moved
    return top, bottom


def _place_cost(seat: SeatData, answer: SeatAnswer, names: Sequence[str]) -> tuple[float, float]:
    """Nats of stick positions, and decisions in which they are known."""
    known = [answer.stick_cost[name] for name in names if name in answer.stick_cost]
    return float(sum(cost.sum() for cost in known)), float(seat.frames if known else 0)


def _controller_cost(
    seat: SeatData, answer: SeatAnswer, names: Sequence[str]
) -> tuple[float, float]:
    """Nats of buttons and positions together, and decisions of a seat in which all are known."""
    if not all(name in answer.stick_cost for name in names):
        return 0.0, 0.0
    both = answer.cost + sum(answer.stick_cost[name] for name in names)
    return float(both.sum()), float(seat.frames)


def _gap(seat: SeatData, answer: SeatAnswer) -> Array:
    assert answer.blank is not None
    return answer.blank - answer.cost


# ---- all seats -----------------------------------------------------------------------------------


def _ratio_of(
    asked: Answers, counts: Callable[[SeatData, SeatAnswer], tuple[float, float]]
) -> Interval:
    """Ratio of summed numerators and denominators, with a bootstrap over episodes or players."""
    found: dict[tuple[str, int], Array] = {}
    for seat, answer in asked.pairs:
        found[seat.sample] = found.get(seat.sample, np.zeros(2)) + np.array(counts(seat, answer))
    parts = np.array([found[sample] for sample in sorted(found)]).reshape(-1, 2)
    return bootstrap_ratio(parts[:, 0], parts[:, 1], tries=1000)


def _mean_of(asked: Answers, values: Callable[[SeatData, SeatAnswer], Array]) -> Interval:
    return _ratio_of(
        asked, lambda seat, answer: (float(values(seat, answer).sum()), float(seat.frames))
    )


def _offset(asked: Answers, names: Sequence[str], tolerance: int) -> Interval:
    thresholds = _thresholds(asked, names)

    def counts(seat: SeatData, answer: SeatAnswer) -> tuple[float, float]:
        chosen = thresholds[1 - asked.half[seat.episode]]
        found = [presses.nearest(*onsets, tolerance) for onsets in _onsets(seat, answer, chosen)]
        return sum(float(offsets.sum()) for offsets in found), sum(
            float(len(offsets)) for offsets in found
        )

    return _ratio_of(asked, counts)


def _onsets(
    seat: SeatData, answer: SeatAnswer, thresholds: Mapping[str, float]
) -> Iterator[tuple[Array, Array]]:
    """Recorded and predicted onsets of each button."""
    for name, threshold in thresholds.items():
        if name in seat.down:
            yield (
                presses.onsets(seat.down[name]),
                presses.proposed(answer.chance[name] >= threshold, seat.before[name]),
            )


def _thresholds(asked: Answers, names: Sequence[str]) -> dict[int, dict[str, float]]:
    """Best threshold of each button in each half of the episodes."""
    return {half: {name: _threshold(asked, name, half) for name in names} for half in (0, 1)}


def _threshold(asked: Answers, name: str, half: int) -> float:
    """Best threshold of a button in one half of the episodes, over frames in which it was up."""
    chosen = [(s, a) for s, a in asked.pairs if asked.half[s.episode] == half and name in s.down]
    chance = [a.chance[name][~s.before[name]] for s, a in chosen]
    truth = [s.down[name][~s.before[name]] for s, a in chosen]
    return best_threshold(np.concatenate(chance), np.concatenate(truth)) if chosen else np.inf


def _bounds(asked: Answers, name: str) -> Array:
    """Bin edges of the probability that a press of this button begins."""
    chosen = [(s, a) for s, a in asked.pairs if name in s.down]
    chance = np.concatenate([a.chance[name][~s.before[name]] for s, a in chosen])
    return reliability.edges(
        chance, np.concatenate([s.down[name][~s.before[name]] for s, a in chosen])
    )


def _binned(asked: Answers, names: Sequence[str], bounds: Mapping[str, Array]) -> Array:
    """Sums in bins of all these buttons, one after another: [E, 3, bins]."""
    found: dict[tuple[str, int], Array] = {}
    for seat, answer in asked.pairs:
        parts = []
        for name in names:
            free = ~seat.before[name] if name in seat.down else np.zeros(0, bool)
            p = answer.chance[name][free] if len(free) else np.zeros(0)
            parts.append(
                reliability.binned(
                    p, seat.down[name][free] if len(free) else np.zeros(0, bool), bounds[name]
                )
            )
        found[seat.sample] = found.get(seat.sample, 0) + np.concatenate(parts, -1)
    return np.array([found[sample] for sample in sorted(found)])


def _calibration(asked: Answers, names: Sequence[str]) -> Interval:
    # of a baseline: its own chances, its own bins
    own = {name: _bounds(asked, name) for name in names}
    return bootstrap(reliability.error, _binned(asked, names, own), reflect=True)
