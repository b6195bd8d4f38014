"""Validation: every score beside its baselines, each with an interval over episodes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.stats import Interval, bootstrap_ratio
from shadowbox.errors import TrainingError
from shadowbox.train.distributed import Ranks
from shadowbox.train.protocols import Learner, _Combining

MOST_SHOWN = 4  # scores in a line of the table; the log has all of them
TRIES = 500  # of the bootstrap: enough for two digits, and a fraction of a second


class _Bounded:
    """Batches of a validation: the first `most` (0: all), and none after `seconds`."""

    def __init__(self, batches: Iterable[Any], most: int, seconds: float) -> None:
        self._batches, self._most, self._seconds = batches, most, seconds
        self.taken, self.late = 0, False

    def __iter__(self) -> Iterator[Any]:
        began = time.monotonic()
        for batch in islice(self._batches, self._most or None):
            if not self._most and self.taken and time.monotonic() - began > self._seconds:
                self.late = True
                return
            self.taken += 1
            yield batch


@torch.no_grad()
def validate(
    learner: Learner, model: nn.Module, batches: Iterable[Any], ranks: Ranks
) -> dict[str, Interval]:
    """Each score and each "score/baseline" over all batches.

    Ranks share the batches and get the same answer.
    """
    training = model.training
    model.eval()
    sums: dict[str, dict[int, tuple[float, float]]] = {}
    try:
        for batch in batches:
            found = learner.score(model, learner.to_device(batch, ranks.device))
            require_declared("scores", found, score_names(learner))
            for name, score in found.items():
                figures = torch.stack([score.top.double(), score.bottom.double()]).cpu().numpy()
                _add(sums.setdefault(name, {}), np.asarray(batch.episode), figures)
    finally:
        model.train(training)
    merged = _merged(sums, ranks)
    intervals = {name: _interval(per_episode) for name, per_episode in merged.items()}
    return intervals | (_combined(learner, merged) if isinstance(learner, _Combining) else {})


def score_names(learner: Learner) -> set[str]:
    """Names that `score` of a learner must return."""
    apart = learner.combined if isinstance(learner, _Combining) else ()
    scores = {name: info for name, info in learner.scores.items() if name not in apart}
    return {
        *scores,
        *(f"{name}/{each}" for name, info in scores.items() for each in info.baselines),
    }


def require_declared(what: str, found: Iterable[str], declared: Iterable[str]) -> None:
    """Assert that the returned names are the declared ones."""
    more, less = set(found) - set(declared), set(declared) - set(found)
    if more or less:
        parts = [f"returned and not declared: {', '.join(sorted(more))}"] * bool(more)
        parts += [f"declared and not returned: {', '.join(sorted(less))}"] * bool(less)
        raise TrainingError(
            f"the learner's {what} are not those that it declares; " + "; ".join(parts)
        )


def require_weighted_sum(
    loss: Tensor, found: Mapping[str, Tensor], weights: Mapping[str, float]
) -> None:
    """Assert that the scalar loss is the weighted sum of the declared losses."""
    total = sum(weight * float(found[name].detach()) for name, weight in weights.items())
    scalar = float(loss.detach())
    # bf16 has three digits; a NaN is dealt with elsewhere
    if abs(scalar - total) > 1e-2 * max(1.0, abs(total)):
        raise TrainingError(
            f"the learner's loss is {scalar:.6g}, its declared losses times their weights are {total:.6g}"
        )


def as_row(learner: Learner, scores: Mapping[str, Interval]) -> dict[str, float]:
    """Row of the table: the first declared scores, each beside the best of its baselines."""
    row: dict[str, float] = {}
    for name, info in islice(learner.scores.items(), MOST_SHOWN):
        row[name] = scores[name].value
        values = [scores[f"{name}/{each}"].value for each in info.baselines]
        if values:
            row[f"~{name}"] = min(values, key=lambda value: distance(value, info.better))
    return row


def distance(value: float, better: str) -> float:
    """Distance of a value from the best possible: "low", "high", or a number to reach."""
    if better == "high":
        return -value
    return value if better == "low" else abs(value - float(better))


def as_figures(scores: dict[str, Interval]) -> dict[str, float]:
    """Flat names for the log: the value, and `.low` and `.high` of its interval."""
    flat: dict[str, float] = {}
    for name, (value, low, high) in scores.items():
        flat |= {name: value, f"{name}.low": low, f"{name}.high": high}
    return flat


def _add(
    sums: dict[int, tuple[float, float]],
    episodes: np.ndarray[Any, Any],
    figures: np.ndarray[Any, Any],
) -> None:
    numbers, at = np.unique(episodes, return_inverse=True)
    tops, bottoms = (np.bincount(at, weights=row, minlength=len(numbers)) for row in figures)
    for number, top, bottom in zip(numbers.tolist(), tops.tolist(), bottoms.tolist(), strict=True):
        before = sums.get(number, (0.0, 0.0))
        sums[number] = before[0] + top, before[1] + bottom


def _merged(
    sums: dict[str, dict[int, tuple[float, float]]], ranks: Ranks
) -> dict[str, dict[int, tuple[float, float]]]:
    merged: dict[str, dict[int, tuple[float, float]]] = {}
    for part in ranks.collect(sums):
        for name, per_episode in part.items():
            into = merged.setdefault(name, {})
            for number, (top, bottom) in per_episode.items():
                before = into.get(number, (0.0, 0.0))
                into[number] = before[0] + top, before[1] + bottom
    return merged


def _interval(per_episode: dict[int, tuple[float, float]]) -> Interval:
    tops, bottoms = zip(*(per_episode[number] for number in sorted(per_episode)), strict=True)
    return Interval(*map(float, bootstrap_ratio(np.array(tops), np.array(bottoms), tries=TRIES)))


def _combined(
    learner: _Combining, merged: Mapping[str, Mapping[int, tuple[float, float]]]
) -> dict[str, Interval]:
    """Combined scores, with intervals over the same resampled episodes for all."""
    episodes = sorted(next(iter(merged.values())))
    sums = {name: np.array([per[at] for at in episodes]).T for name, per in merged.items()}
    picks = np.random.default_rng(0).integers(0, len(episodes), (TRIES, len(episodes)))
    whole = learner.combine(
        {name: tuple(each.sum(1, keepdims=True)) for name, each in sums.items()}
    )
    drawn = learner.combine({name: tuple(each[:, picks].sum(2)) for name, each in sums.items()})
    found = {}
    for name, value in whole.items():
        values = drawn[name][np.isfinite(drawn[name])]
        ends = np.quantile(values, [0.025, 0.975]) if len(values) and len(episodes) > 1 else ()
        found[name] = Interval(float(value[0]), *(map(float, ends) if len(ends) else 2 * [np.nan]))
    return found
