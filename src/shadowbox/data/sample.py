"""Sampling of batches from a store: packed bytes in an order that is seeded, resumable and sharded.

Two shapes:

- `Windows`: `length` consecutive rows inside one episode. Every such window is drawn once an epoch.
- `Segments`: `length` consecutive decisions with the row before and the row after them. The
  segments of an epoch cover every decision of every episode exactly once; rows outside the episode
  are zeros, marked in `inside`.

`align` is the only place that distinguishes input and target. Bytes stay packed until they are on
the device. Copying a window is one memcpy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from shadowbox.core.game import stable_hash
from shadowbox.core.schema import Array, Schema
from shadowbox.data.store import Store
from shadowbox.errors import UsageError

GATHERED = 64  # examples that are copied together where batches are smaller

A = TypeVar("A")  # a NumPy array or a torch tensor: the shift is the same slicing


@dataclass(frozen=True)
class Batch:
    """B windows of R rows.

    `rows` are packed bytes, u1 [B, R, row_bytes]; `inside` [B, R] marks rows of the episode.
    """

    rows: Array
    inside: Array
    episode: Array  # [B] number in the store
    first: Array  # [B] row of the episode at which the window begins (-1: the row before the first)

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, chosen: slice) -> Batch:
        """Some of the windows."""
        return Batch(
            self.rows[chosen], self.inside[chosen], self.episode[chosen], self.first[chosen]
        )


@dataclass(frozen=True)
class Aligned(Generic[A]):
    """States and controls at P = R - 2 positions of a window of R rows.

    A position t holds state_t, controls_{t-1} (`previous`), controls_t and state_{t+1}
    (`following`). `decided` [B, P] marks decisions of the episode (positions whose controls led to
    the next state). Where the row before is missing (`started` [B, P] is false), the previous
    controls are neutral.
    """

    state: Mapping[str, A]
    previous: Mapping[str, A]
    controls: Mapping[str, A]
    following: Mapping[str, A]
    decided: A
    started: A

    def for_policy(self) -> tuple[dict[str, Any], Mapping[str, A]]:
        """Inputs and targets of a policy: state_t and controls_{t-1}, and controls_t."""
        return {"state": self.state, "previous": self.previous}, self.controls

    def for_world(self) -> tuple[dict[str, Any], Mapping[str, A]]:
        """Inputs and targets of a world: state_t and controls_t, and state_{t+1}."""
        return {"state": self.state, "controls": self.controls}, self.following


def align(schema: Schema, columns: Mapping[str, A], inside: A) -> Aligned[A]:
    """Cut columns [B, R, slots] into inputs and targets at rows 1 .. R - 2: the alignment rule.

    A row is (state_t, controls_t): the controls were pressed having seen state_t and produced
    state_{t+1}. A decision therefore needs its own row and the one after it; the last row of an
    episode decides nothing.
    """
    before, here, after = slice(0, -2), slice(1, -1), slice(2, None)

    def cut(keys: tuple[str, ...], rows: slice) -> dict[str, A]:
        return {key: columns[key][:, rows] for key in keys if key in columns}  # type: ignore[index]

    return Aligned(
        state=cut(schema.state_keys, here),
        previous=cut(schema.control_keys, before),
        controls=cut(schema.control_keys, here),
        following=cut(schema.state_keys, after),
        decided=inside[:, here] & inside[:, after],  # type: ignore[index]
        started=inside[:, before],  # type: ignore[index]
    )


class Sampler(ABC):
    """Examples of a store in a seeded, endless order that `state` and `load` resume anywhere.

    Ranks take turns inside each global batch of `batch * ranks` examples, so together they see
    every example exactly once an epoch. The order does not depend on the number of ranks as long as
    the global batch is the same.
    """

    shape: ClassVar[str]
    shared_order: ClassVar[bool] = True  # any number of ranks may go on from a state of any other
    extra: ClassVar[tuple[int, int]] = (0, 0)  # rows before and after the `length` ones

    def __init__(
        self,
        store: Store,
        length: int,
        batch: int,
        *,
        episodes: Array | None = None,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        """Draw from `episodes` (default: all; see `data/split.py`).

        `drop_last` leaves out a smaller batch at the end of an epoch.
        """
        if length < 1 or batch < 1 or not 0 <= rank < ranks:
            raise UsageError(
                f"length and batch must be at least 1, and rank must be from 0 to ranks - 1 "
                f"(got length={length}, batch={batch}, rank={rank}, ranks={ranks})"
            )
        self.store, self.length, self.batch = store, length, batch
        self.seed, self.rank, self.ranks, self.shuffle, self.drop_last = (
            seed,
            rank,
            ranks,
            shuffle,
            drop_last,
        )
        chosen = np.arange(len(store)) if episodes is None else np.asarray(episodes)
        self.episodes = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        self._gather = _Gather(store, self.extra[0] + length + self.extra[1])
        self._rows = store.lengths[self.episodes]
        # position: number of examples of this epoch that all ranks together have drawn
        self.epoch = self.position = 0
        self._begin_epoch()

    @abstractmethod
    def _examples(self, rows: Array, shift: int) -> Array:
        """Number of examples in each episode, given its number of rows: [E] -> [E]."""

    @abstractmethod
    def _first_row(self, rank: Array, shift: int) -> Array:
        """First row of each example, given its number in its episode; may be outside of it."""

    def __len__(self) -> int:
        """Number of batches of this rank in this epoch."""
        return self._batches(self.examples)

    @property
    def left(self) -> int:
        """Number of batches of this rank still to come in this epoch."""
        return self._batches(self.examples - self.position)

    def batches_in(self, epoch: int) -> int:
        """Number of batches of this rank in an epoch.

        Segments begin elsewhere in each epoch, so their number differs a little.
        """
        return self._batches(int(self._examples(self._rows, self._shift_in(epoch)).sum()))

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self.rest_of_epoch()
            if self.examples == 0 or len(self) == 0:
                raise UsageError(
                    f"{self.store.path}: no {self.shape} of length {self.length} in "
                    f"{len(self.episodes)} episodes; reduce the length or the batch"
                )

    def rest_of_epoch(self) -> Iterator[Batch]:
        """Batches from here to the end of the epoch; afterwards the next epoch begins."""
        while upcoming := self._upcoming():
            numbers = np.concatenate([own for own, _ in upcoming])
            gathered, at = self._take(self._order(numbers) if self.shuffle else numbers), 0
            for own, position in upcoming:
                self.position, epoch = position, self.epoch
                yield gathered.part(slice(at, at + len(own)))
                at += len(own)
                if (self.epoch, self.position) != (epoch, position):  # `load` was called meanwhile
                    break
        self.epoch, self.position = self.epoch + 1, 0
        self._begin_epoch()

    def state(self) -> dict[str, Any]:
        """Position in the order, as plain data."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "length": self.length,
            "shape": self.shape,
            "shuffle": self.shuffle,
            "episodes": stable_hash(self.episodes.tobytes(), self._rows.tobytes()),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Resume at a position from `state`; refuse data or settings that give another order."""
        own = self.state()
        for name in own.keys() - {"epoch", "position"}:
            if own[name] != state.get(name):
                saved = "another selection" if name == "episodes" else state.get(name)
                raise UsageError(
                    f"cannot resume in the middle of an epoch: expected {name} as it was saved "
                    f"({saved}), got {own[name]}"
                )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self._begin_epoch()

    # ---- inside ----------------------------------------------------------------------------------

    def _begin_epoch(self) -> None:
        # segments begin elsewhere in each epoch, so that every frame occurs at every place of a
        # segment
        self._shift = self._shift_in(self.epoch)
        ends = np.cumsum(self._examples(self._rows, self._shift))
        self._ends = ends
        self.examples = int(ends[-1]) if len(ends) else 0
        self._order = _Permutation(self.examples, stable_hash(self.seed, self.epoch, "order"))

    def _shift_in(self, epoch: int) -> int:
        return stable_hash(self.seed, epoch) % self.length if self.shuffle else 0

    def _batches(self, examples: int) -> int:
        whole, rest = divmod(examples, self.batch * self.ranks)
        return whole + (1 if rest and not self.drop_last else 0)

    def _upcoming(self) -> list[tuple[Array, int]]:
        """Positions of this rank's examples in the next batches, and the position after each batch.

        As many batches as hold GATHERED examples, so that an example of a small batch costs no more
        than one of a large batch.
        """
        together, position = self.batch * self.ranks, self.position
        upcoming: list[tuple[Array, int]] = []
        while len(upcoming) * self.batch < GATHERED and self._batches(self.examples - position):
            taken = min(self.examples - position, together)
            own = np.arange(
                position + taken * self.rank // self.ranks,
                position + taken * (self.rank + 1) // self.ranks,
            )
            position += taken
            upcoming.append((own, position))
        return upcoming

    def _take(self, numbers: Array) -> Batch:
        at = np.searchsorted(self._ends, numbers, side="right")
        rank = numbers - np.where(at > 0, self._ends[at - 1], 0)
        episode, rows = self.episodes[at], self._rows[at]
        first = self._first_row(rank, self._shift)
        inside = self._inside(first, rows)
        return Batch(self._gather(episode, first, inside), inside, episode, first)

    def _inside(self, first: Array, rows: Array) -> Array:
        at = first[:, None] + np.arange(self._gather.width)
        return np.asarray((at >= 0) & (at < rows[:, None]))


class Windows(Sampler):
    """Overlapping windows of `length` rows inside an episode, each once an epoch."""

    shape = "window"

    def _examples(self, rows: Array, shift: int) -> Array:
        return np.asarray(np.maximum(rows - self.length + 1, 0))

    def _first_row(self, rank: Array, shift: int) -> Array:
        return rank

    def _inside(self, first: Array, rows: Array) -> Array:
        return np.ones((len(first), self.length), bool)


class Segments(Sampler):
    """Segments of `length` decisions with a row before and after; each decision once an epoch."""

    shape = "segment"
    extra = (1, 1)

    def _examples(self, rows: Array, shift: int) -> Array:
        return np.asarray(-(-(rows - 1 + shift) // self.length))

    def _first_row(self, rank: Array, shift: int) -> Array:
        return np.asarray(rank * self.length - shift - 1)


class _Permutation:
    """Seeded permutation of 0 .. n-1 without a table: position -> number.

    Four Feistel rounds on the smallest even number of bits that holds n; a result outside 0 .. n-1
    is permuted again.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self.half = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
        self.keys = [np.uint32(stable_hash(seed, turn) & 0xFFFFFFFF) for turn in range(4)]

    def __call__(self, positions: Array) -> Array:
        """Numbers at positions, [B] -> [B]."""
        numbers = self._once(np.asarray(positions, np.uint64))
        while len(again := np.flatnonzero(numbers >= self.n)):
            numbers[again] = self._once(numbers[again])
        return numbers.astype(np.int64)

    def _once(self, x: Array) -> Array:
        half, mask = np.uint64(self.half), np.uint32((1 << self.half) - 1)
        left, right = (x >> half).astype(np.uint32), (x & np.uint64(mask)).astype(np.uint32)
        for key in self.keys:
            mixed = (right ^ key) * np.uint32(0x9E3779B1)
            mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x85EBCA77)
            left, right = right, left ^ ((mixed ^ (mixed >> np.uint32(13))) & mask)
        return (left.astype(np.uint64) << half) | right


class _Gather:
    """Copies windows of `width` rows out of the shards: one memcpy for each, inside a shard."""

    def __init__(self, store: Store, width: int) -> None:
        self.width, self.row_bytes = width, store.schema.row_dtype.itemsize
        self._shards = [shard.rows.view(np.uint8).reshape(-1) for shard in store.shards]
        self._start = store.index["start"].astype(np.int64)
        self._shard_of = store.shard_of
        self._windows = [self._overlapping(data) for data in self._shards]

    def __call__(self, episode: Array, first: Array, inside: Array) -> Array:
        """Bytes [B, width, row_bytes] of windows; rows that are not inside are zero."""
        rows = np.empty((len(episode), self.width, self.row_bytes), np.uint8)
        starts = self._start[episode] + first
        shards = self._shard_of[episode]
        for shard in (
            np.unique(shards) if len(self._shards) > 1 else range(min(1, len(self._shards)))
        ):
            chosen = np.flatnonzero(shards == shard) if len(self._shards) > 1 else slice(None)
            self._copy(rows, chosen, starts[chosen], int(shard))
        if not inside.all():
            rows[~inside] = 0
        return rows

    def _overlapping(self, data: Array) -> Array:
        """All windows of a shard as one array of elements that overlap in memory.

        An element is `width * row_bytes` bytes wide.
        """
        count = max(0, len(data) // self.row_bytes - self.width + 1)
        return np.ndarray(
            (count,), f"V{self.row_bytes * self.width}", buffer=data.data, strides=(self.row_bytes,)
        )

    def _copy(self, rows: Array, chosen: Any, starts: Array, shard: int) -> None:
        windows = self._windows[shard]
        whole = (starts >= 0) & (starts < len(windows))
        flat = rows.reshape(len(rows), self.width * self.row_bytes).view(windows.dtype)[:, 0]
        if whole.all():
            # indexing with [starts], not np.take: np.take copies the whole overlapping view first
            flat[chosen] = windows[starts]
            return
        places = np.arange(len(rows))[chosen]
        flat[places[whole]] = windows[starts[whole]]
        data = self._shards[shard].reshape(-1, self.row_bytes)
        # the few windows that extend beyond an end of the shard
        for place, start in zip(places[~whole], starts[~whole], strict=True):
            low, high = max(0, start), min(len(data), start + self.width)
            rows[place, low - start : high - start] = data[low:high]
