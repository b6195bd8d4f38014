"""Calibration errors: near 0 for true probabilities, and the difference for wrong ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.core import reliability


def experiment(n: int, bend: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rare events of probability q, with predictions q * bend."""
    draws = np.random.default_rng(seed)
    truth = draws.beta(0.5, 20, n)
    return truth * bend, draws.random(n) < truth


def test_the_truth_is_calibrated() -> None:
    """True probabilities have an error near 0, and doubled ones the error of their doubling."""
    for bend in (1.0, 2.0):
        predicted, happened = experiment(300_000, bend)
        sums = reliability.binned(predicted, happened, reliability.edges(predicted, happened))
        by_hand = abs(bend - 1) * (sums[2] * sums[2] / sums[0]).sum() / sums[2].sum()
        assert reliability.error(sums) == pytest.approx(by_hand, abs=0.004)
        assert reliability.error(sums, "frames") == pytest.approx(
            abs(bend - 1) * happened.mean(), abs=0.002
        )


def test_saying_a_tenth_looks_calibrated_by_frames() -> None:
    """Predicting a tenth of the truth looks far better weighted by frames than by positives."""
    predicted, happened = experiment(100_000, 0.1)
    sums = reliability.binned(predicted, happened, reliability.edges(predicted, happened))
    assert reliability.error(sums, "frames") == pytest.approx(0.9 * happened.mean(), abs=0.002)
    assert reliability.error(sums) > 2.5 * reliability.error(sums, "frames")


@given(st.integers(0, 50), st.integers(0, 4000), st.integers(1, 5))
def test_each_bin_has_its_positives(seed: int, n: int, ties: int) -> None:
    """Each bin has the requested positives if there are enough, for any probabilities and ties."""
    draws = np.random.default_rng(seed)
    predicted = np.round(draws.random(n), ties)
    happened = draws.random(n) < predicted
    bounds = reliability.edges(predicted, happened, 50)
    sums = reliability.binned(predicted, happened, bounds)
    assert np.all(np.diff(bounds) > 0)
    assert sums[2].min() >= min(50, happened.sum())
    assert (sums[0].sum(), sums[2].sum()) == (n, happened.sum())


def test_bins_add_up_over_episodes() -> None:
    """The curve of two episodes' sums is the curve of all their frames."""
    predicted, happened = experiment(20_000, 1.3)
    bounds = reliability.edges(predicted, happened)
    parts = [
        reliability.binned(predicted[part], happened[part], bounds)
        for part in (slice(0, 7000), slice(7000, None))
    ]
    np.testing.assert_allclose(parts[0] + parts[1], reliability.binned(predicted, happened, bounds))
    assert np.isfinite(reliability.curve(parts[0] + parts[1])).all()
