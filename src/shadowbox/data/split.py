"""Split of a store's episodes into training, validation and test sides, by hash of their content.

The side of an episode depends on its own content (or on a named metadata value), never on its
position, so it does not change when data is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shadowbox.core.episode import UNKNOWN
from shadowbox.core.game import stable_hash
from shadowbox.core.schema import Array
from shadowbox.data.store import Store
from shadowbox.errors import UsageError

SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Shares of the three sides.

    `key` names a metadata value; episodes with the same value (a player, a session) stay together.
    An unknown player is many people: those episodes are assigned by their content.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    key: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.train, self.val, self.test)
        # written as `not (... and ...)`, so that a NaN is refused too
        if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-9):
            raise UsageError(
                f"shares of a split must be at least 0 and add up to 1 "
                f"(got {self.train}/{self.val}/{self.test})"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data for the facts of a run."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Split:
        """Split from the data of `to_json`."""
        try:
            return cls(**data)
        except TypeError as error:
            raise UsageError(
                f"expected a split (train, val, test, key, seed), got {dict(data)!r:.200}: {error}"
            ) from error

    def __str__(self) -> str:
        """Text as in "75/25/0, by player, seed 3"."""
        shares = "/".join(f"{100 * share:g}" for share in (self.train, self.val, self.test))
        return (
            shares
            + (f", by {self.key}" if self.key else "")
            + (f", seed {self.seed}" if self.seed else "")
        )

    def sides(self, store: Store) -> Array:
        """Side of each episode: 0 train, 1 val, 2 test; u1 [E]."""
        if self.key is None:
            keys = [line.tobytes() for line in store.index["digest"]]
        else:
            keys = [self._value(store, episode) for episode in range(len(store))]
        points = np.array([stable_hash(self.seed, key) for key in keys], np.float64) / 2**64
        return np.searchsorted([self.train, self.train + self.val], points, side="right").astype(
            np.uint8
        )

    def episodes(self, store: Store, side: str) -> Array:
        """Numbers of the episodes on one side, or of every episode if `side` is "all"; int64."""
        if side == "all":
            return np.arange(len(store))
        if side not in SIDES:
            raise UsageError(f"unknown side '{side}': expected {', '.join(SIDES)} or all")
        return np.flatnonzero(self.sides(store) == SIDES.index(side))

    def _value(self, store: Store, episode: int) -> bytes:
        meta = store.meta_of(episode)
        value = meta.get(self.key or "")
        if not isinstance(value, str | int):
            got = "missing" if value is None else repr(value)
            raise UsageError(
                f"{store.path}#{episode}: to split by '{self.key}', the metadata value "
                f"'{self.key}' must be a text or an integer (got {got})"
            )
        if value in ("", UNKNOWN):
            return bytes(store.line_of(episode)["digest"].tobytes())
        return str(value).encode()
