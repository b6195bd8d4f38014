"""Does what is said to happen with probability p happen that often? Bins, reliability curves, expected calibration error.

Presses that begin are rare (1 in 100 frames), so equally wide bins would put nearly all frames into
one. Bins are cut so that each holds equally many *positives*.
"""

from __future__ import annotations

import numpy as np

from shadowbox.core.schema import Array

# in each bin at least: a rate of so many has a standard error of 7 per cent of itself
POSITIVES = 200
MOST_BINS = 20


def edges(probability: Array, happened: Array, positives: int = POSITIVES) -> Array:
    """Bounds between bins with at least `positives` of what happened in each: [N], bool [N] -> [bins - 1], ascending."""
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
    """Sums in each bin: frames, probability, positives; [N], bool [N], [bins - 1] -> [3, bins].

    They add up over episodes.
    """
    at, bins = np.searchsorted(bounds, probability, side="left"), len(bounds) + 1
    sums = [
        np.bincount(at, weights=weights, minlength=bins)
        for weights in (None, probability, happened.astype(np.float64))
    ]
    return np.stack([values.astype(np.float64) for values in sums])


def curve(sums: Array) -> Array:
    """[..., 3, bins] -> [..., 2, bins]: the mean probability of a bin and how often it happened there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 1:, :] / sums[..., :1, :])


def error(sums: Array, by: str = "positives") -> Array:
    """Expected calibration error: |said - happened|, bins weighted by their `positives` or by their `frames`.

    [..., 3, bins] -> [...]. By frames, the one bin of the many frames in which nothing happens
    decides, and any model looks calibrated; by positives, each press counts alike.
    """
    said, happened = np.moveaxis(curve(sums), -2, 0)
    weight = sums[..., 2, :] if by == "positives" else sums[..., 0, :]
    gap = np.where(sums[..., 0, :] > 0, np.abs(said - happened), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weight * gap).sum(-1) / weight.sum(-1))
