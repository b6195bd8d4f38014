"""Share of a world's frames that are outside of what its training data showed.

A player of a frame is within the data if its joint choice (in brawl: state and move) occurs in the
training rows, and each of its reals is between the smallest and the largest value that it has in
the training rows with that joint choice. Both seats count as one. A frame is outside if any of its
players is. The same share of recordings that the world did not train on is beside it: a rare move
has few rows, hence narrow ranges, so that it is not 0 there either.

Without the training data there are the recorded moments that a checkpoint carries, a thousand rows
or two: they give one range of each real for all choices, and the checkpoint's own list of choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.game import Game, World
from shadowbox.core.schema import Array, Choice, Columns, Real
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.play import checkpoints

MOST_EPISODES, MOST_HELD = 400, 100  # that are read


class _Unseen(NamedTuple):
    """Shares of frames that are outside of the training data of a world."""

    share: float
    frames: int
    by: Mapping[str, float]  # share of frames by what is outside: columns, joined for the choice
    held_out: float | None  # of recordings that it did not train on
    held_frames: int
    reference: str  # the rows that it is compared with

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**self._asdict(), "by": dict(self.by)}


class _Seen:
    """Joint choices of a player in recorded rows, and the range of each real with each of them.

    `choices`: those that are known beforehand; the ranges are then of all rows together.
    """

    def __init__(self, game: Game, choices: Sequence[int] | None = None) -> None:
        schema = game.schema
        own = [key for key in schema.state_keys if schema.columns[key].slots == schema.players]
        own = [key for key in own if schema.columns[key].group.per]
        together = [key for key in game.dynamics.together if key in own] if game.dynamics else []
        self.choices = together or [key for key in own if _is_named(schema.columns[key].field)]
        self.reals = [key for key in own if isinstance(schema.columns[key].field, Real)]
        self.keys = (*self.choices, *self.reals)
        self._sizes = [getattr(schema.columns[key].field, "n", 1) for key in self.choices]
        self._known = None if choices is None else np.array(choices, np.int64)
        self._codes = np.zeros(0, np.int64)  # sorted
        self._low = self._high = np.zeros((0, len(self.reals)), np.float32)

    def add(self, columns: Columns) -> None:
        """Add rows [T, players]."""
        code, reals = self._split(columns)
        code = code if self._known is None else np.zeros_like(code)
        order = np.argsort(code, kind="stable")
        codes, first = np.unique(code[order], return_index=True)
        low, high = (each.reduceat(reals[order], first) for each in (np.minimum, np.maximum))
        both = np.concatenate([self._codes, codes])
        self._codes, at = np.unique(both, return_inverse=True)
        shape = (len(self._codes), len(self.reals))
        lows, highs = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)
        np.minimum.at(lows, at, np.concatenate([self._low, low]))
        np.maximum.at(highs, at, np.concatenate([self._high, high]))
        self._low, self._high = lows, highs

    def outside(self, columns: Columns) -> dict[str, Array]:
        """Masks of frames [T] in which a player is outside, by what is."""
        code, reals = self._split(columns)
        frames = len(columns[self.keys[0]])
        if self._known is None:
            at = np.minimum(np.searchsorted(self._codes, code), len(self._codes) - 1)
            known = self._codes[at] == code
        else:
            at, known = np.zeros_like(code), np.isin(code, self._known)
        beyond = ~((reals >= self._low[at]) & (reals <= self._high[at])) & known[:, None]
        found = {" and ".join(self.choices): ~known} if self.choices else {}
        found |= {key: beyond[:, number] for number, key in enumerate(self.reals)}
        return {name: mask.reshape(frames, -1).any(1) for name, mask in found.items()}

    def _split(self, columns: Columns) -> tuple[Array, Array]:
        """Joint choices [T * players], and reals [T * players, fields]."""
        code = np.zeros(columns[self.keys[0]].size, np.int64)
        for key, size in zip(self.choices, self._sizes, strict=True):
            code = code * size + columns[key].ravel().astype(np.int64)
        reals = [columns[key].ravel().astype(np.float32) for key in self.reals]
        return code, np.stack(reals, 1) if reals else np.zeros((len(code), 0), np.float32)


def unseen_share(game: Game, world: World, folder: Path, columns: Columns) -> _Unseen | None:
    """Share of the frames `columns` [T, slots] outside of the training data of a learned world.

    Compares with the rows of the run's own store, where it is still there and unchanged, else with
    the recorded moments that the checkpoint carries. None: it has neither, or the game no fields.
    """
    seen, held = _Seen(game), _Counts()
    if not seen.keys:
        return None
    data = _training_data(folder, game)
    if data is not None:
        store, split = data
        trained = _spread(split.episodes(store, "train"), MOST_EPISODES)
        for rows in _rows(store, trained, seen.keys):
            seen.add(rows)
        for rows in _rows(store, _spread(split.episodes(store, "val"), MOST_HELD), seen.keys):
            held.add(seen.outside(rows))
        reference = f"rows of {len(trained)} matches that it was trained on"
    else:
        moments = _carried(world, game)
        if not moments:
            return None
        seen, half = (_Seen(game, _choices(world)) for _ in range(2))
        for number, rows in enumerate(moments):
            seen.add(rows)
            if number % 2 == 0:
                half.add(rows)
        for rows in moments[1::2]:
            held.add(half.outside(rows))
        reference = f"the {len(moments)} recorded moments that it carries"
    counts = _Counts()
    counts.add(seen.outside(columns))
    return _Unseen(
        counts.share or 0.0,
        counts.frames,
        {name: count / counts.frames for name, count in counts.by.items() if count},
        held.share,
        held.frames,
        reference,
    )


class _Counts:
    """Frames that are outside, of all that were added."""

    def __init__(self) -> None:
        self.frames = self.any = 0
        self.by: dict[str, int] = {}

    def add(self, masks: Mapping[str, Array]) -> None:
        both = np.any(list(masks.values()), axis=0)
        self.frames += len(both)
        self.any += int(both.sum())
        for name, mask in masks.items():
            self.by[name] = self.by.get(name, 0) + int(mask.sum())

    @property
    def share(self) -> float | None:
        return self.any / self.frames if self.frames else None


def _is_named(field: Any) -> bool:
    return isinstance(field, Choice) and bool(field.names)


def _training_data(folder: Path, game: Game) -> tuple[Store, Split] | None:
    """Store and split of a checkpoint's run, if the store still holds what it held."""
    (split, fingerprint), path = (
        checkpoints.trained_split(folder),
        checkpoints.trained_store(folder),
    )
    if split is None or path is None:
        return None
    try:
        store = Store(path, game.schema)
    except ShadowboxError:
        return None
    return (store, split) if store.fingerprint == fingerprint else None


def _spread(episodes: Array, most: int) -> list[int]:
    """At most so many episodes, evenly spread."""
    at = np.unique(np.linspace(0, len(episodes) - 1, min(most, len(episodes))).astype(int))
    return [int(each) for each in episodes[at]] if len(episodes) else []


def _rows(store: Store, episodes: Sequence[int], keys: Sequence[str]) -> Iterator[Columns]:
    for episode in episodes:
        yield store.schema.unpack(store.rows_of(episode), keys)


def _choices(world: World) -> list[int] | None:
    """Joint choices that a learned world saw in training."""
    found = getattr(getattr(getattr(world, "model", None), "vocabulary", None), "together", None)
    return list(found) if found else None


def _carried(world: World, game: Game) -> list[Columns]:
    """Recorded rows [K, slots] of each moment that a learned world carries in its weights."""
    model: Any = getattr(world, "model", None)
    if not hasattr(model, "contexts"):
        return []
    lengths = model.context_length.tolist()
    return [
        game.schema.unpack(rows[len(rows) - length :])
        for rows, length in zip(model.contexts.numpy(), lengths, strict=True)
    ]
