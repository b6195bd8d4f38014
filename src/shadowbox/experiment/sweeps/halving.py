"""Successive halving: all settings begin, and from rung to rung the best of them go on.

A rung is a number of steps of the whole run, whose schedule every setting keeps: a setting that goes
on is its own run, resumed bit for bit, and the last one is the run that it would have been alone. A
setting that is dropped stays paused at its rung.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from shadowbox.cards.card import Card
from shadowbox.cards.sections import Target
from shadowbox.experiment.targets import UNFINISHED
from shadowbox.train.observer import (
    Note,
    Observer,
    ObserverDecision,
    TrainProgress,
    _SaveObserver,
    stronger,
)
from shadowbox.train.runs import Run, runs_in

if TYPE_CHECKING:
    from shadowbox.experiment.outcome import CardResult

METHOD = "halving"
DROPPED = "halving"  # first word of the reason of a run that was dropped at a rung


class _Rung(NamedTuple):
    """Number of settings that reach a rung, and the steps after which it is decided."""

    settings: int
    steps: int


class _Train(Protocol):
    """Train the setting at a position up to so many steps, None: to the end."""

    def __call__(self, at: int, steps: int | None, resume: bool) -> CardResult: ...


def rungs_of(card: Card, settings: int) -> list[_Rung]:
    """Rungs of a sweep over so many settings; the last one is the whole run."""
    assert card.sweep is not None
    steps, every = _steps(card), _validated_every(card)
    factor, left = card.sweep.factor, settings
    counts = [left]
    while left > 1:
        left = max(1, left // factor)
        counts.append(left)
    found = []
    for at, count in enumerate(counts):
        share = float(factor) ** (at - len(counts) + 1)
        found.append(_Rung(count, min(steps, max(1, math.ceil(share * steps / every)) * every)))
    return found


def problems(card: Card) -> Iterator[str]:
    """Messages about a card that cannot be halved."""
    if not card.settings.get("train.steps"):
        yield "the steps of a rung are a share of the run's: give train.steps, not epochs"
    target = decisive(card)
    if target is None or not target.metric.startswith("val/"):
        yield "settings are compared at their validations: the first primary target must be val/..."


def whole_runs(card: Card, settings: int) -> float:
    """Number of whole runs that take as many steps as the sweep."""
    taken, before = 0, 0
    for rung in rungs_of(card, settings):
        taken += rung.settings * (rung.steps - before)
        before = rung.steps
    return taken / _steps(card)


def decisive(card: Card) -> Target | None:
    """The target by which settings are compared: the first primary one, else the first."""
    return next(
        (each for each in card.targets if each.primary), card.targets[0] if card.targets else None
    )


def halve(card: Card, settings: int, train: _Train, say: Callable[[str], None]) -> list[CardResult]:
    """Train so many settings, each as far as it is among the best. Return all results, in order."""
    rungs = rungs_of(card, settings)
    found: dict[int, CardResult] = {}
    left = list(range(settings))
    for number, rung in enumerate(rungs):
        say(f"rung {number + 1} of {len(rungs)}: {len(left)} settings, {rung.steps:,} steps each")
        last = rung is rungs[-1]
        for at in left:
            found[at] = train(at, None if last else rung.steps, number > 0)
            if found[at].verdict == UNFINISHED:
                return [found[each] for each in sorted(found)]
        if not last:
            left = _best(card, {at: found[at] for at in left}, rung, rungs[number + 1].settings)
    return [found[each] for each in sorted(found)]


def _best(card: Card, results: Mapping[int, CardResult], rung: _Rung, count: int) -> list[int]:
    """The best settings at a rung, by the mean over seeds; those that ended before take no part."""
    target = decisive(card)
    assert target is not None
    sign = 1.0 if target.op.startswith("<") else -1.0
    worth = {}
    for at, result in results.items():
        runs = [run for run in runs_in(result.run) if int(run.facts.get("step") or 0) >= rung.steps]
        values = [_value_at(run, target.metric, rung.steps) for run in runs]
        if len(values) == len(card.seeds) and all(map(math.isfinite, values)):
            worth[at] = (sign * math.fsum(values) / len(values), at)
    return sorted(sorted(worth, key=lambda at: worth[at])[:count])


def _value_at(run: Run, metric: str, step: int) -> float:
    """Value of the first validation from a step on; NaN without any."""
    name = metric.partition("/")[2]
    for line in run.lines:
        if line["kind"] == "val" and line["step"] >= step and isinstance(line.get(name), float):
            return float(line[name])
    return math.nan


@dataclass(frozen=True)
class _Pausing:
    """Observer that pauses a run at the first validation from `steps` on."""

    inner: Observer
    steps: int

    def __call__(self, progress: TrainProgress) -> ObserverDecision:
        """The inner decision, or a pause."""
        decision = self.inner(progress)
        if progress.kind == "val" and self.steps <= progress.step < progress.total:
            reason = f"{DROPPED}: decided at step {progress.step:,} of {progress.total:,}"
            return stronger(decision, ObserverDecision("pause", reason))
        return decision

    def saved(self, step: int, epoch: int, note: Note) -> None:
        """Pass a checkpoint on to the inner observer."""
        inner: object = self.inner
        if isinstance(inner, _SaveObserver):
            inner.saved(step, epoch, note)


def until(observer: Observer, steps: int | None) -> Observer:
    """The observer, which also pauses the run at a rung."""
    return observer if steps is None else _Pausing(observer, steps)


def reached(run: Run, steps: int) -> bool:
    """True if a run has been trained up to a rung."""
    return int(run.facts.get("step") or 0) >= steps


def dropped(run: Run) -> bool:
    """True for a run that was paused at a rung."""
    return str(run.facts.get("reason") or "").startswith(DROPPED)


def _steps(card: Card) -> int:
    return int(card.settings.get("train.steps") or 1)


def _validated_every(card: Card) -> int:
    every = card.settings.get("train.validate_every")
    return int(every) if isinstance(every, int) and every > 0 else _steps(card)
