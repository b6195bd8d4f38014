"""Moments of recorded matches from which a world predicts, with their past and their future."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shadowbox.core.game import Game, stable_hash
from shadowbox.core.schema import Array, Columns
from shadowbox.data.store import Store
from shadowbox.errors import UsageError

CONTEXT = 32  # rows before a start, which a world may need
NEAR = 30  # frames before an event, from which half of the starts are drawn
SHORT = 20  # frames that every start is followed by


class _Starts(NamedTuple):
    """S starts: row `CONTEXT` of their rows is the moment from which a world goes on.

    `rows` [S, CONTEXT + 1 + frames, slots]: beyond the end of a match its last row is repeated, and
    `valid` [S, frames + 1] is false.
    """

    episodes: Array  # [S], numbers in the store
    frames: Array  # [S], the row of the episode
    rows: Columns
    valid: Array

    @property
    def number(self) -> int:
        """Number of starts."""
        return len(self.episodes)

    @property
    def reach(self) -> int:
        """Frames after the start."""
        return int(self.valid.shape[1]) - 1

    @property
    def future(self) -> Columns:
        """Rows [S, frames + 1, slots] from the start on."""
        return {key: values[:, CONTEXT:] for key, values in self.rows.items()}

    def past(self, starts: Array, later: Array | int = 0) -> Columns:
        """Rows [CONTEXT + 1, n, slots] that lead to `later` frames after the chosen starts."""
        at = np.arange(CONTEXT + 1)[:, None] + np.broadcast_to(later, np.shape(starts))
        return {key: values[starts, at] for key, values in self.rows.items()}

    def controls(self, keys: Sequence[str], starts: Array, later: Array | int = 0) -> Columns:
        """Recorded controls [frames, n, slots] from `later` frames after the chosen starts on."""
        last = CONTEXT + self.reach
        at = CONTEXT + np.arange(self.reach)[:, None] + np.broadcast_to(later, np.shape(starts))
        return {key: self.rows[key][starts, np.minimum(at, last)] for key in keys}


def draw_starts(
    store: Store, episodes: Sequence[int], game: Game, count: int, frames: int, seed: int
) -> _Starts:
    """Draw starts, equally many from each episode: half anywhere, half shortly before an event.

    Kinds of events are equally likely, so that rare ones are not missed.
    """
    lengths = store.lengths[list(episodes)] - 1
    usable = [
        episode
        for episode, decisions in zip(episodes, lengths.tolist(), strict=True)
        if decisions >= CONTEXT + SHORT
    ]
    if not usable:
        raise UsageError(
            f"{store.path}: no chosen episode has {CONTEXT + SHORT} decisions, which a start needs; "
            "record longer matches, or choose another --side"
        )
    shares = np.bincount(np.arange(count) % len(usable), minlength=len(usable))
    chosen, rows, valid = [], [], []
    for episode, share in zip(usable, shares.tolist(), strict=True):
        draws = np.random.default_rng(stable_hash("starts", seed, episode))
        decisions = int(store.lengths[episode]) - 1
        for start in sorted(_draw(store, episode, game, share, decisions, draws)):
            at = start - CONTEXT + np.arange(CONTEXT + 1 + frames)
            rows.append(np.asarray(store.rows_of(episode))[np.minimum(at, decisions)])
            valid.append(at[CONTEXT:] <= decisions)
            chosen.append((episode, start))
    numbers = np.array(chosen, np.int64).reshape(-1, 2)
    return _Starts(
        numbers[:, 0], numbers[:, 1], store.schema.unpack(np.stack(rows)), np.stack(valid)
    )


def _draw(
    store: Store,
    episode: int,
    game: Game,
    count: int,
    decisions: int,
    draws: np.random.Generator,
) -> list[int]:
    """Rows of an episode to start from."""
    first, last = CONTEXT, decisions - SHORT
    anywhere = draws.integers(first, last + 1, count - count // 2).tolist()
    events = store.events_of(episode)
    if not len(events) and game.events is not None:
        events = game.events(store.schema.unpack(store.rows_of(episode)))
    kinds = [
        np.unique(events["frame"][events["kind"] == kind]) for kind in np.unique(events["kind"])
    ]
    kinds = [inside for at in kinds if len(inside := at[(at > first) & (at <= last + NEAR)])]
    if not kinds:
        return [*anywhere, *draws.integers(first, last + 1, count // 2).tolist()]
    near = []
    for _ in range(count // 2):
        at = kinds[draws.integers(len(kinds))]
        start = int(at[draws.integers(len(at))]) - 1 - int(draws.integers(NEAR))
        near.append(min(max(start, first), last))
    return [*anywhere, *near]


def is_world_spec(text: str, game: Game | None = None) -> bool:
    """True if a text names a world rather than a run: GAME, dream:RUN, py:MODULE:FACTORY."""
    word = text.partition("@")[0]
    if word.startswith(("dream:", "py:")):
        return True
    if game is not None:
        return word in (game.name, game.spec)
    from shadowbox.games import names

    return word in names() and not Path(text).exists()
