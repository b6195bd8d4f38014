"""Recorded players of a store: splits, names, strengths, and ranges of controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.episode import UNKNOWN
from shadowbox.core.schema import Array, Real, Schema
from shadowbox.data.sample import Batch, Segments
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learners.control_baselines import recorded_values
from shadowbox.model.policy import Policy
from shadowbox.model.strategy.encoder import opponent_numbers
from shadowbox.train.config import TrainConfig

MOST_OPPONENTS = 256  # names that a strategy encoder learns to tell apart


def split_episodes(store: Store, split: Split) -> dict[str, Array]:
    """Episodes of the sides train and val; refuses a side without any."""
    sides = {side: split.episodes(store, side) for side in ("train", "val")}
    for side, episodes in sides.items():
        if not len(episodes):
            raise UsageError(
                f"{store.path}: none of its {len(store)} episodes is on the side '{side}': "
                "record more, or change the split"
            )
    return sides


def validation_episodes(store: Store, episodes: Array, length: int, most: int) -> Array:
    """Episodes, evenly spread, whose segments of `length` decisions have at most about `most` rows."""
    rows = -(-(store.lengths[episodes] - 1) // length) * length  # with those outside the episode
    return episodes[:: max(1, -(-int(rows.sum()) // most))]


def segment_batches(
    store: Store, length: int, config: TrainConfig, trained: Array, validated: Array
) -> tuple[Callable[[int, int, int], Segments], Callable[[], Iterable[Batch]]]:
    """Source and validation of a task on segments of `length` decisions of these episodes."""

    def source(batch: int, rank: int, ranks: int) -> Segments:
        return Segments(
            store,
            length,
            batch,
            episodes=trained,
            seed=config.seed,
            rank=rank,
            ranks=ranks,
            drop_last=True,
        )

    def validation() -> Iterable[Batch]:
        whole = Segments(store, length, config.batch, episodes=validated, shuffle=False)
        return whole.rest_of_epoch()

    return source, validation


def episode_labels(
    store: Store, model: Policy, seats: Sequence[int], train: Array
) -> tuple[Array, Array, Array]:
    """Labels by episode: recorded terms bool [E, N], players int64 [E, seats], strengths f32 [E, seats, 2].

    A control that no training episode has is read as never used; one that only some have is not a
    target where it is missing.
    """
    recorded = recorded_values(store, np.arange(len(store)), model.values)
    missing = ~recorded & recorded[train].any(axis=0)
    whose = np.zeros((len(store), len(seats)), np.int64)
    strength = np.zeros((len(store), len(seats), 2), np.float32)
    number = {name: at + 1 for at, name in enumerate(model.config.players)}
    if model.style is not None:
        for episode in range(len(store)):
            whose[episode] = [number.get(name, 0) for name in player_names(store, episode, seats)]
            strengths = store.meta_of(episode).get("strength") or [None] * model.schema.players
            strength[episode] = [
                (0.0, 0.0) if strengths[seat] is None else (strengths[seat], 1.0) for seat in seats
            ]
    return ~(missing @ model.head.members.numpy().T), whose, strength


def player_names(store: Store, episode: int, seats: Sequence[int]) -> list[str]:
    """Names of the players in these seats; empty for unknown ones."""
    names = store.meta_of(episode).get("players") or []
    named = [str(names[seat]) if seat < len(names) else "" for seat in seats]
    return ["" if name == UNKNOWN else name for name in named]


def opponent_names(store: Store, episodes: Sequence[int] | Array) -> tuple[str, ...]:
    """Names of the players in these episodes, of whom each may be an opponent; the most frequent."""
    seats = range(store.schema.players)
    met = Counter(name for each in episodes for name in player_names(store, int(each), seats))
    del met[""]
    return tuple(sorted(name for name, _ in met.most_common(MOST_OPPONENTS)))


def opponent_labels(store: Store, names: Sequence[str], seats: Sequence[int]) -> Array:
    """Number of the opponent of each seat among `names`, int64 [E, seats]; -1 for others."""
    across = [store.schema.players - 1 - seat for seat in seats]
    met = [opponent_numbers(names, player_names(store, at, across)) for at in range(len(store))]
    return np.array(met, np.int64).reshape(len(store), len(across))


def value_ranges(schema: Schema, names: Sequence[str]) -> Tensor:
    """Width of each value's range; 1 for others than bounded reals."""
    fields = [schema.columns[name].field for name in names]
    wide = [
        f.high - f.low if isinstance(f, Real) and f.low is not None and f.high is not None else 1.0
        for f in fields
    ]
    return torch.tensor(wide)
