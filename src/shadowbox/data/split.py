"""Split of a store's episodes into training, validation and test sides, by hash of their content.

The side of an episode depends on its own content (or on a named metadata value), never on its
position, so it does not change when data is added.

`player` holds out players: in a set of ranked games everybody has met everybody, so that no split of
the episodes keeps all games of a player together. A player is held out by the hash of the name; an
episode is a test if its judged seat is such a player, is trained on if none of its players is, and
is dropped otherwise. `day` holds out the days on which episodes were played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shadowbox.core.episode import UNKNOWN
from shadowbox.core.game import stable_hash
from shadowbox.core.schema import Array
from shadowbox.data.store import Store
from shadowbox.errors import UsageError

SIDES = ("train", "val", "test")
TRAIN, VAL, TEST, DROPPED = range(4)  # sides as numbers; a dropped episode is on none
PLAYER, DAY = "player", "day"  # keys that hold out people and days
DATE = "played_at"  # metadata with the day of an episode, YYYY-MM-DD


@dataclass(frozen=True)
class Split:
    """Shares of the three sides.

    `key` names a metadata value; episodes with the same value (a player, a session) stay together.
    An unknown player is many people: those episodes are assigned by their content. With `player`
    they are dropped, and `seat` is the one that is judged.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    key: str | None = None
    seed: int = 0
    seat: int = 0

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
        found = asdict(self)
        if not self.seat:
            del found["seat"]
        return found

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Split:
        """Split from the data of `to_json`."""
        try:
            return cls(**data)
        except TypeError as error:
            raise UsageError(
                f"expected a split (train, val, test, key, seed, seat), got {dict(data)!r:.200}: {error}"
            ) from error

    def __str__(self) -> str:
        """Text as in "75/25/0, by player, seed 3"."""
        shares = "/".join(f"{100 * share:g}" for share in (self.train, self.val, self.test))
        return (
            shares
            + (f", by {self.key}" if self.key else "")
            + (f" in seat {self.seat}" if self.seat else "")
            + (f", seed {self.seed}" if self.seed else "")
        )

    def sides(self, store: Store) -> Array:
        """Side of each episode: 0 train, 1 val, 2 test, 3 dropped; u1 [E]."""
        if self.key is None:
            keys = [line.tobytes() for line in store.index["digest"]]
        elif self.key in (PLAYER, DAY) and not self._is_plain(store):
            of = self._side_of_players if self.key == PLAYER else self._side_of_day
            metas = map(store.meta_of, range(len(store)))
            return np.fromiter((of(meta) for meta in metas), np.uint8, len(store))
        else:
            keys = [self._value(store, episode) for episode in range(len(store))]
        return self._sides_of(keys)

    def side_of(self, digest: bytes, meta: Mapping[str, Any]) -> int:
        """Side of one episode, which need not be in a store."""
        if self.key is None:
            return int(self._sides_of([digest])[0])
        if self.key == PLAYER and self.key not in meta:
            return self._side_of_players(meta)
        if self.key == DAY and self.key not in meta:
            return self._side_of_day(meta)
        return int(self._sides_of([str(meta.get(self.key)).encode()])[0])

    def _sides_of(self, keys: Sequence[bytes]) -> Array:
        """Side of each key, by its hash."""
        points = np.array([stable_hash(self.seed, key) for key in keys], np.float64) / 2**64
        return np.searchsorted([self.train, self.train + self.val], points, side="right").astype(
            np.uint8
        )

    def _is_plain(self, store: Store) -> bool:
        """True if the episodes have a metadata value of this very name."""
        return len(store) > 0 and self.key in store.meta_of(0)

    def _side_of_players(self, meta: Mapping[str, Any]) -> int:
        """Side of an episode by the players who are held out."""
        names = meta.get("players")
        if not isinstance(names, list) or not 0 <= self.seat < len(names):
            raise UsageError(
                f"to split by player, the metadata must name the players of each seat, and seat "
                f"{self.seat} must be one of them (got {names!r:.80})"
            )
        if any(name in ("", UNKNOWN) for name in names):
            return DROPPED  # who may be one of those who are held out
        sides = self._sides_of([str(name).encode() for name in names]).tolist()
        judged = sides[self.seat]
        if judged == TEST or set(sides) == {TRAIN}:
            return int(judged)
        # choices are made on the validation side: no player of the test may be in it
        return VAL if judged == VAL and TEST not in sides else DROPPED

    def _side_of_day(self, meta: Mapping[str, Any]) -> int:
        """Side of an episode by the day on which it was played; dropped if that is not known."""
        day = meta.get(DATE)
        return int(self._sides_of([day.encode()])[0]) if isinstance(day, str) else DROPPED

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
