"""Scaling law: a loss as a power of the training's operations, above an offset; fitted and extrapolated.

    loss = offset + scale * (operations / reference) ** -exponent

Pure functions of numbers: the same points give the same prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.core.stats import T95, Z95, Interval
from shadowbox.errors import UsageError

FEWEST = 4  # runs: one more than the law has parameters
NARROWEST = 2.0  # least ratio of the most and the fewest operations
EXPONENTS = np.concatenate([np.linspace(0.01, 0.6, 60), np.linspace(0.65, 2.0, 28)])
TRIES = 2000


@dataclass(frozen=True)
class _Point:
    """A finished run: its operations, its loss, and the half-width of the loss's 95 % interval."""

    name: str
    operations: float
    loss: float
    half_width: float = 0.0


@dataclass(frozen=True)
class _Law:
    """Fitted law, with the root mean square of what it leaves."""

    offset: float
    scale: float  # of the loss above the offset at `reference` operations
    exponent: float
    reference: float
    residual: float

    def at(self, operations: float) -> float:
        """Loss after so many operations."""
        return float(self.offset + self.scale * (operations / self.reference) ** -self.exponent)


def operations_of(parameters: float, examples: float) -> float:
    """Operations of a training: two a parameter and example forward, four backward."""
    return 6.0 * parameters * examples


def fit_law(points: Sequence[_Point]) -> _Law:
    """Least squares over the exponent's grid, with offset and scale at least 0."""
    _require_enough(points)
    x, reference = _places(points)
    loss = np.array([point.loss for point in points])
    offset, scale, exponent, error = _fit(x, loss[None])
    return _Law(
        float(offset[0]), float(scale[0]), float(exponent[0]), reference,
        float(np.sqrt(error[0] / max(1, len(points) - 3))),
    )  # fmt: skip


def predict_loss(points: Sequence[_Point], operations: float, seed: int = 0) -> Interval:
    """Loss of a run of so many operations, with a 95 % bootstrap interval for a single run.

    Losses are drawn anew around the law, by what it leaves and by each run's own interval, and the
    law is fitted to each draw; then a run of its own deviates once more.
    """
    law = fit_law(points)
    x, reference = _places(points)
    draws = np.random.default_rng(seed)
    own = np.array([point.half_width for point in points]) / Z95
    # the spread of so few runs is itself an estimate: Student's t
    tail = T95[min(len(points) - 3, len(T95)) - 1] / Z95
    spread = np.sqrt((tail * law.residual) ** 2 + own**2)
    expected = np.array([law.at(point.operations) for point in points])
    losses = expected + spread * draws.standard_normal((TRIES, len(points)))
    offset, scale, exponent, _ = _fit(x, losses)
    far = offset + scale * (operations / reference) ** -exponent
    far = far + np.sqrt(np.mean(spread**2)) * draws.standard_normal(TRIES)
    low, high = np.quantile(far, [0.025, 0.975]).tolist()
    value = law.at(operations)
    return Interval(value, min(low, value), max(high, value))


def _require_enough(points: Sequence[_Point]) -> None:
    if len(points) < FEWEST:
        raise UsageError(
            f"a scaling law needs at least {FEWEST} finished runs of different sizes, got "
            f"{len(points)}: train more small ones, for instance as a card with a sweep"
        )
    done = sorted(point.operations for point in points)
    if not done[0] > 0 or done[-1] / done[0] < NARROWEST:
        raise UsageError(
            f"the runs took {done[0]:.3g} to {done[-1]:.3g} operations: for a scaling law the largest "
            f"must take at least {NARROWEST:g} times those of the smallest, by its size or its steps"
        )
    for point in points:
        if not np.isfinite(point.loss):
            raise UsageError(f"{point.name}: its loss is {point.loss}, a finite number is needed")


def _places(points: Sequence[_Point]) -> tuple[Array, float]:
    """Operations of each run as multiples of their geometric mean, and that mean."""
    done = np.array([point.operations for point in points])
    reference = float(np.exp(np.log(done).mean()))
    return done / reference, reference


def _fit(x: Array, losses: Array) -> tuple[Array, Array, Array, Array]:
    """Offset, scale, exponent and squared error [tries] of losses [tries, points] at x [points]."""
    found = []
    for exponent in EXPONENTS:
        power = x**-exponent
        centered = power - power.mean()
        mean = losses.mean(-1)
        scale = np.clip((losses @ centered) / (centered @ centered), 0, None)
        offset = mean - scale * power.mean()
        below = offset < 0  # then the law has no offset
        scale = np.where(below, np.clip((losses @ power) / (power @ power), 0, None), scale)
        offset = np.where(below, 0.0, offset)
        error = ((offset[:, None] + scale[:, None] * power - losses) ** 2).sum(-1)
        found.append((offset, scale, np.full(len(losses), exponent), error))
    stacked = [np.stack(part) for part in zip(*found, strict=True)]  # [exponents, tries]
    best = stacked[3].argmin(0)
    offset, scale, exponents, error = (part[best, np.arange(len(best))] for part in stacked)
    return offset, scale, exponents, error
