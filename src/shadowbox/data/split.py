"""Which episodes are for training, which for validation and which for the last test: by hash, never by position or frame.

An episode's side depends on its own content (or on a named metadata value), so it stays where it is
when data is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shadowbox.core.game import stable_hash
from shadowbox.core.schema import Array
from shadowbox.data.store import Store
from shadowbox.errors import UsageError

SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Shares of the three sides.

    `key` names a metadata value whose episodes stay together (a player, a session).
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    key: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.train, self.val, self.test)
        # so written, a NaN is refused too
        if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-9):
            raise UsageError(
                f"split {self.train}/{self.val}/{self.test}: shares are at least 0 and add up to 1"
            )

    def to_json(self) -> dict[str, Any]:
        """For the facts of a run."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Split:
        """Back from `to_json`."""
        try:
            return cls(**data)
        except TypeError as error:
            raise UsageError(f"{dict(data)!r:.200} is no split: {error}") from error

    def __str__(self) -> str:
        """As in 75/25/0, by player, seed 3."""
        shares = "/".join(f"{100 * share:g}" for share in (self.train, self.val, self.test))
        return (
            shares
            + (f", by {self.key}" if self.key else "")
            + (f", seed {self.seed}" if self.seed else "")
        )

    def sides(self, store: Store) -> Array:
        """The side of each episode: 0 train, 1 val, 2 test; u1 [E]."""
        if self.key is None:
            keys = [line.tobytes() for line in store.index["digest"]]
        else:
            keys = [self._value(store, episode) for episode in range(len(store))]
        points = np.array([stable_hash(self.seed, key) for key in keys], np.float64) / 2**64
        return np.searchsorted([self.train, self.train + self.val], points, side="right").astype(
            np.uint8
        )

    def episodes(self, store: Store, side: str) -> Array:
        """Numbers of the episodes on one side ("all": every one), int64."""
        if side == "all":
            return np.arange(len(store))
        if side not in SIDES:
            raise UsageError(f"there is no side '{side}': {', '.join(SIDES)} or all")
        return np.flatnonzero(self.sides(store) == SIDES.index(side))

    def _value(self, store: Store, episode: int) -> bytes:
        meta = store.meta_of(episode)
        value = meta.get(self.key or "")
        if not isinstance(value, str | int):
            found = "is missing" if value is None else f"is {value!r}"
            wanted = f"to split by '{self.key}' its metadata needs one text or number of that name"
            raise UsageError(f"{store.path}#{episode}: {wanted}; it {found}")
        return str(value).encode()
