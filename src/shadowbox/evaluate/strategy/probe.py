"""Linear probes: the opponent's name, read from a vector.

A multinomial logistic regression with a small penalty, on standardized features. Matches that it is
tested on are none that it was fitted to. R: rows, F: features, K: names.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import numpy as np

from shadowbox.core.schema import Array, Choice, Columns, Flag, Real, Schema

PENALTY = 1e-2  # of the squared weights, beside the mean cross-entropy
ROUNDS = 60  # of the optimizer
MOST_CHOICES = 64  # values of a choice that are counted


@dataclass(frozen=True)
class _Probe:
    """Weights of a fitted probe."""

    mean: Array  # [F]
    scale: Array  # [F]
    weight: Array  # [F, K]
    bias: Array  # [K]

    def __call__(self, rows: Array) -> Array:
        """Probability of each name [..., K] for vectors [..., F]."""
        logits = (rows - self.mean) / self.scale @ self.weight + self.bias
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        found: Array = odds / odds.sum(-1, keepdims=True)
        return found


def fit_probe(rows: Array, names: Array, count: int) -> _Probe:
    """Fit a probe to vectors [R, F] and the numbers [R] of their names, of which there are `count`."""
    import torch
    from torch.nn import functional

    mean, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    x = torch.from_numpy(((rows - mean) / scale).astype(np.float32))
    y = torch.from_numpy(np.asarray(names, np.int64))
    weight = torch.zeros(x.shape[1], count, requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=ROUNDS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(x @ weight + bias, y) + PENALTY * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return _Probe(mean, scale, weight.detach().numpy(), bias.detach().numpy())


def mean_statistics(schema: Schema, views: Columns, frames: int) -> Array:
    """Means of the opponent's columns over the last `frames` decisions, [N, T, F].

    `views` [N, T, slots] have the own slot first. A choice is counted by value.
    """
    parts = []
    for key, values in views.items():
        column = schema.columns[key]
        if not (column.group.per or column.group is schema.controls):
            continue
        each = column.slots // schema.players
        theirs = values[..., each : 2 * each]
        if isinstance(column.field, Choice):
            if column.field.n <= MOST_CHOICES:
                seen = theirs[..., None] == np.arange(column.field.n)
                parts.append(seen.reshape(*seen.shape[:2], -1))
        elif isinstance(column.field, Real):
            parts.append(theirs * column.field.scale)
        else:
            assert isinstance(column.field, Flag)
            parts.append(theirs)
    features = np.concatenate([part.astype(np.float32) for part in parts], -1)
    sums = np.cumsum(features, axis=1, dtype=np.float64)
    earlier = np.zeros_like(sums)
    earlier[:, frames:] = sums[:, :-frames]
    counts = np.minimum(np.arange(sums.shape[1]) + 1, frames)[:, None]
    return np.asarray((sums - earlier) / counts, np.float32)


def principal_plane(rows: Array) -> Array:
    """Vectors [R, F] on the plane in which they vary most, [R, 2]."""
    centered = rows - rows.mean(0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    return np.asarray(centered @ axes[:2].T)


def neighbor_plane(rows: Array) -> tuple[str, Array]:
    """The name of a projection and its points [R, 2]: t-SNE with scikit-learn, else principal axes."""
    try:
        manifold = import_module("sklearn.manifold")  # not a dependency
    except ImportError:
        return "PCA", principal_plane(rows)
    perplexity = min(30.0, max(2.0, len(rows) / 4))
    tsne = manifold.TSNE(perplexity=perplexity, init="pca", random_state=0)
    found = tsne.fit_transform(rows)
    return "t-SNE", np.asarray(found)
