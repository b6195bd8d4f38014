"""Weights of recorded decisions by the holder of the seat: a person who took over counts more.

An entry `NAME=WEIGHT` is about every decision of NAME: a whole name of a player (`person:ann`,
`policy:runs/x`, `expert@delay=6`), or its beginning before `:` and `@` (`person`, `policy`,
`expert`). The first entry that fits counts; decisions of all others have the weight 1. With
`person=1` and `policy=0` only decisions of people are learned, in the situations into which the
policy got them (DAgger).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from shadowbox.core.schema import Array
from shadowbox.core.spans import spans_of
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.learners.imitation_options import player_weights
from shadowbox.learners.weighting.advantage import _DecisionWeights


def holder_weights(
    store: Store, seats: Sequence[int], train: Array, texts: Sequence[str]
) -> _DecisionWeights:
    """Weights of all decisions of the training episodes, with a mean of 1."""
    given, met = player_weights(texts), dict[str, float]()
    parts = []
    for episode in train.tolist():
        frames, meta = int(store.lengths[episode]) - 1, store.meta_of(episode)
        players = [str(name) for name in meta.get("players", ())]
        part = np.ones((frames, store.schema.players), np.float32)
        for seat, name in enumerate(players[: store.schema.players]):
            part[:, seat] = met.setdefault(name, _weight_of(name, given))
        name = f"{store.path}#{episode}"
        for span in spans_of(meta, frames, store.schema.players, name):
            weight = met.setdefault(span.by, _weight_of(span.by, given))
            part[span.start : span.end, span.seat] = weight
        parts.append(part[:, list(seats)])
    _require_met(given, met, store)
    weights = np.concatenate(parts)
    if not weights.any():
        raise UsageError(
            f"imitation: holder_weights: all decisions on the training side of {store.path} have the "
            "weight 0; nothing would be learned"
        )
    start, length = np.full(len(store), -1), np.zeros(len(store), np.int64)
    counts = np.array([len(part) for part in parts])
    start[train] = np.concatenate([[0], np.cumsum(counts)[:-1]])
    length[train] = counts
    return _DecisionWeights(weights / weights.mean(), start, length)


def both(one: _DecisionWeights, two: _DecisionWeights) -> _DecisionWeights:
    """Product of two weightings of the same decisions, with a mean of 1."""
    weights = one.weights * two.weights
    return _DecisionWeights(weights / weights.mean(), one.start, one.length)


def _weight_of(name: str, given: Mapping[str, float]) -> float:
    begins = re.split("[:@]", name, maxsplit=1)[0]
    return next((given[each] for each in given if each in (name, begins)), 1.0)


def _require_met(given: Mapping[str, float], met: Mapping[str, float], store: Store) -> None:
    """Refuse an entry about a player who never held a seat, which is usually a slip."""
    known = {*met, *(re.split("[:@]", name, maxsplit=1)[0] for name in met)}
    for name in given:
        if name not in known:
            raise UsageError(
                f"imitation: holder_weights: '{name}' never held a seat on the training side of "
                f"{store.path}: {did_you_mean(name, known)}"
            )
