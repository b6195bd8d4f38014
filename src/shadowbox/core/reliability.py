"""Calibration of predicted probabilities: bins, reliability curves, expected calibration error.

Onsets are rare (1 in 100 frames), so bins of equal width would put nearly all frames into one. Bins
are cut so that each holds equally many *positives*.
"""

from __future__ import annotations

import numpy as np

from shadowbox.core.schema import Array

# least number in a bin: the standard error of a rate is then 7 percent of the rate
POSITIVES = 200
MOST_BINS = 20


def edges(probability: Array, happened: Array, positives: int = POSITIVES) -> Array:
    """Bounds between bins with at least `positives` positives each: [N], bool [N] -> [bins - 1]."""
    order = np.argsort(probability, kind="stable")
    count = np.cumsum(happened[order])
    total = int(count[-1]) if len(count) else 0
    bins = min(MOST_BINS, max(1, total // positives))
    cuts = np.searchsorted(count, np.arange(1, bins) * total / bins)
    bounds = np.unique(probability[order][cuts])
    while len(bounds):  # equal probabilities stay together, which may leave a bin with too few
        few = np.flatnonzero(binned(probability, happened, bounds)[2] < min(positives, total))
        if not len(few):
            break
        bounds = np.delete(bounds, min(int(few[0]), len(bounds) - 1))
    return bounds


def binned(probability: Array, happened: Array, bounds: Array) -> Array:
    """Sums of frames, probability and positives by bin: [N], bool [N], [bins - 1] -> [3, bins].

    The sums add up over episodes.
    """
    at, bins = np.searchsorted(bounds, probability, side="left"), len(bounds) + 1
    sums = [
        np.bincount(at, weights=weights, minlength=bins)
        for weights in (None, probability, happened.astype(np.float64))
    ]
    return np.stack([values.astype(np.float64) for values in sums])


def curve(sums: Array) -> Array:
    """Mean probability and observed frequency of each bin: [..., 3, bins] -> [..., 2, bins]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 1:, :] / sums[..., :1, :])


def error(sums: Array, by: str = "positives") -> Array:
    """Expected calibration error, |predicted - observed| weighted by `positives` or `frames`.

    [..., 3, bins] -> [...]. By frames, the one bin with the many frames without positives decides,
    and any model looks calibrated; by positives, each press counts alike.
    """
    predicted, observed = np.moveaxis(curve(sums), -2, 0)
    weight = sums[..., 2, :] if by == "positives" else sums[..., 0, :]
    gap = np.where(sums[..., 0, :] > 0, np.abs(predicted - observed), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weight * gap).sum(-1) / weight.sum(-1))
