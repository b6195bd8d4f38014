"""Advantage-weighted regression: recorded decisions count by what followed them.

    weight = min(clip, exp(A / (beta * deviation of A))) / mean weight,    A = return - baseline

The return is the discounted sum of the game's reward; the baseline is a ridge regression of it on the
numbers and flags of the state, from the own seat. Both are fitted on the training side, once.
T: decisions of an episode, F: features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shadowbox.core.game import Game, Reward
from shadowbox.core.schema import Array, Choice, Columns, Schema
from shadowbox.core.view import from_seat
from shadowbox.data.sample import Batch
from shadowbox.data.store import Store
from shadowbox.learners.imitation_options import ImitationConfig
from shadowbox.play.rewards import resolve_reward

SCALED_ON = 64  # episodes of which mean and deviation of the features are taken
RIDGE = 1e-3  # of the regression, as a share of the number of decisions


@dataclass(frozen=True)
class _DecisionWeights:
    """Weight of each decision, f32 [rows of the training side, seats], with a mean of 1."""

    weights: Array
    start: Array  # [E] of each episode in `weights`; -1: it has none, and counts 1
    length: Array  # [E]

    def of(self, batch: Batch) -> Array:
        """Weights of a batch, f32 [B, R, seats]; rows outside of their episode have 1."""
        at = batch.first[:, None] + np.arange(batch.rows.shape[1])
        length, start = self.length[batch.episode][:, None], self.start[batch.episode][:, None]
        known = (at >= 0) & (at < length) & (start >= 0)
        found: Array = self.weights[np.where(known, start + at, 0)]
        return np.where(known[..., None], found, np.float32(1))


def decision_weights(
    store: Store, game: Game, seats: Sequence[int], train: Array, config: ImitationConfig
) -> _DecisionWeights:
    """Weights of all decisions of the training episodes."""
    reward = resolve_reward(config.advantage_reward or None, game)
    gamma, players = config.advantage_gamma, store.schema.players
    returns = []
    for episode, columns in _episodes(store, train):
        rewards = _rewards(store, episode, columns, reward, players)
        returns.append(_discounted(rewards, gamma)[:, list(seats)])
    target = np.concatenate(returns)
    advantage = target - _baseline(store, seats, train, target)
    spread = float(advantage.std())
    scaled = advantage / (spread or 1.0) / config.advantage_beta
    # far above the clip an exponential only overflows
    weights = np.minimum(np.exp(np.minimum(scaled, 50.0)), config.advantage_clip)
    weights = (weights / weights.mean()).astype(np.float32)
    start, length = np.full(len(store), -1), np.zeros(len(store), np.int64)
    counts = np.array([len(part) for part in returns])
    start[train] = np.concatenate([[0], np.cumsum(counts)[:-1]])
    length[train] = counts
    return _DecisionWeights(weights, start, length)


def _episodes(store: Store, chosen: Array) -> Iterator[tuple[int, Columns]]:
    for episode in chosen.tolist():
        yield episode, store.schema.unpack(store.rows_of(episode))


def _rewards(
    store: Store, episode: int, columns: Columns, reward: Reward | None, players: int
) -> Array:
    """Reward of each player for each decision, f64 [T, players]."""
    frames = len(next(iter(columns.values()))) - 1
    if reward is None:  # the result alone
        found = np.zeros((frames, players))
        result = store.meta_of(episode).get("result") or {}
        winner = result.get("winner") if isinstance(result, dict) else None
        if winner is not None:
            found[-1] = -1.0
            found[-1, int(winner)] = 1.0
        return found
    earlier = reward.before({key: values[:-1] for key, values in columns.items()})
    after = {key: values[1:] for key, values in columns.items()}
    happened = store.events_of(episode).copy()
    happened = happened[(happened["frame"] >= 1) & (happened["frame"] <= frames)]
    happened["match"] = happened["frame"] - 1  # every decision as a match of one frame
    return np.asarray(reward(earlier, after, happened)[0], np.float64)


def _discounted(rewards: Array, gamma: float) -> Array:
    """Discounted sum of the rewards from each decision on, [T, players].

    In log2 T passes, each of which doubles the frames that are summed.
    """
    found, reach = rewards.copy(), 1
    while reach < len(found):
        later = np.zeros_like(found)
        later[:-reach] = found[reach:]
        found += gamma**reach * later
        reach *= 2
    return found


def _baseline(store: Store, seats: Sequence[int], train: Array, returns: Array) -> Array:
    """Expected return of each decision, [rows, seats], by a ridge regression on the state."""
    keys = [
        key for key in store.schema.state_keys
        if not isinstance(store.schema.columns[key].field, Choice)
    ]  # fmt: skip
    some = train[:: max(1, len(train) // SCALED_ON)]
    sample = np.concatenate(
        [_features(store.schema, columns, seat, keys)
         for _, columns in _episodes(store, some) for seat in seats]
    )  # fmt: skip
    middle, spread = sample.mean(0), sample.std(0)
    spread[spread < 1e-6] = np.inf  # a feature that never changes says nothing
    many = sample.shape[1] + 1
    products, sums = np.zeros((many, many)), np.zeros(many)

    def inputs() -> Iterator[tuple[slice, int, Array]]:
        at = 0
        for _, columns in _episodes(store, train):
            for place, seat in enumerate(seats):
                x = (_features(store.schema, columns, seat, keys) - middle) / spread
                rows = slice(at, at + len(x))
                yield rows, place, np.concatenate([x, np.ones((len(x), 1))], 1)
            at += len(x)

    for rows, place, x in inputs():
        products += x.T @ x
        sums += x.T @ returns[rows, place]
    ridge = RIDGE * returns.size * np.eye(many)
    ridge[-1, -1] = 0.0  # not of the constant
    fitted = np.linalg.solve(products + ridge, sums)
    found = np.empty_like(returns)
    for rows, place, x in inputs():
        found[rows, place] = x @ fitted
    return found


def _features(schema: Schema, columns: Columns, seat: int, keys: Sequence[str]) -> Array:
    """Numbers and flags of the state from a seat, f64 [T, F]."""
    seen = from_seat(schema, columns, seat)
    parts = [seen[key][:-1].reshape(len(seen[key]) - 1, -1) for key in keys]
    return np.concatenate(parts, 1).astype(np.float64)
