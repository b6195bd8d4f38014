"""Episode: one recorded match with its columns over time, events and metadata.

An episode of T decisions has T + 1 rows. Row t is `(state_t, controls_t)`; `controls_t` produced
`state_{t+1}`. The controls of the last row led to no state: they are stored and never a target.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core.game import EVENT, no_events
from shadowbox.core.schema import Array, Choice, Column, Columns, Real, Schema
from shadowbox.core.spans import spans_of
from shadowbox.core.tracks import require_tracks
from shadowbox.errors import EpisodeError, did_you_mean

UNKNOWN = "unknown"  # player whose name the recording does not have: not one person


@dataclass(frozen=True)
class Episode:
    """Columns "group/field" -> [T + 1, slots], events (EVENT), and metadata that fits into JSON.

    Usual metadata: `players` (names or specs), `seed`, `source` (hash of the recording), `world`,
    `result`, `spans` (core/spans.py: the agent of each seat over time). `absent` names the columns
    that the recording did not have; they hold zeros and are not learned from. `tracks` are series
    that agents exposed, by `SEAT/NAME` [T + 1, ...] (core/tracks.py).
    """

    columns: Columns
    meta: Mapping[str, Any] = field(default_factory=dict)
    events: Array = field(default_factory=no_events)
    absent: frozenset[str] = frozenset()
    tracks: Mapping[str, Array] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows, T + 1."""
        first = next(iter(self.columns.values()), None)
        return len(first) if first is not None and first.ndim else 0

    @property
    def frames(self) -> int:
        """Number of decisions T, each followed by the state that it led to."""
        return self.rows - 1

    def valid(self, schema: Schema) -> Array:
        """Mask of the columns that the recording had, bool [columns] in the schema's order."""
        return np.array([key not in self.absent for key in schema.columns])


@dataclass(frozen=True)
class PackedEpisode:
    """Episode as a store has it: rows [T + 1] of `Schema.row_dtype`; no column is absent."""

    rows: Array
    meta: Mapping[str, Any] = field(default_factory=dict)
    events: Array = field(default_factory=no_events)

    @property
    def frames(self) -> int:
        """Number of decisions T."""
        return len(self.rows) - 1

    def unpack(self, schema: Schema) -> Episode:
        """The same episode in columns."""
        return Episode(schema.unpack(self.rows), self.meta, self.events)


def check(
    episode: Episode, schema: Schema, name: str = "episode", event_kinds: Sequence[str] = ()
) -> None:
    """Refuse an episode that its schema does not allow; `name` begins the message.

    `event_kinds`, if given, limits the kinds of events.
    """
    _check_shape(episode, schema, name)
    for key, column in schema.columns.items():
        values = episode.columns[key]
        if key in episode.absent:
            if np.any(values):
                raise EpisodeError(
                    f"{name}, {key}: expected zeros, because the column is marked absent"
                )
        elif not _all_allowed(values, column) and (
            refused := _first_refused(values, column, episode.columns)
        ):
            raise EpisodeError(f"{name}, {refused}")
        elif hidden := _first_hidden(values, column, episode.columns):
            raise EpisodeError(f"{name}, {hidden}")
    _check_events(episode.events, episode.rows, schema.players, name, event_kinds)
    require_tracks(episode.tracks, episode.rows, schema.players, name)
    _check_meta(episode.meta, episode.frames, schema, name)


def check_packed(
    episode: PackedEpisode, schema: Schema, name: str = "episode", event_kinds: Sequence[str] = ()
) -> None:
    """`check` of a packed episode: the same rules, for the columns of a storage class at once."""
    rows = episode.rows
    if rows.dtype != schema.row_dtype or rows.ndim != 1 or not rows.flags.c_contiguous:
        raise EpisodeError(
            f"{name}: expected packed rows of {schema.name} in one piece "
            f"(got {rows.dtype} {rows.shape})"
        )
    if len(rows) < 2 or not _packed_allowed(rows, schema):
        check(episode.unpack(schema), schema, name, event_kinds)  # which names the value
        return
    _check_events(episode.events, len(rows), schema.players, name, event_kinds)
    _check_meta(episode.meta, episode.frames, schema, name)


def _packed_allowed(rows: Array, schema: Schema) -> bool:
    """Return true if all values are in their ranges, and zero in unused slots."""
    packed = rows.view(np.uint8).reshape(len(rows), -1)
    for block in schema.blocks:
        if block.store == "bit":
            continue
        values = packed[:, block.offset : block.offset + block.nbytes].view("<" + block.store)
        low, high = np.array(
            [column.field.limits for column in block.columns for _ in range(column.slots)]
        ).T
        # so written, a NaN is refused
        if not ((values.min(axis=0) >= low) & (values.max(axis=0) <= high)).all():
            return False
    masked = [column for column in schema.columns.values() if column.group.mask]
    columns = schema.unpack(rows, [column.key for column in masked])
    return not any(_first_hidden(columns[column.key], column, columns) for column in masked)


def _check_meta(meta: Mapping[str, Any], frames: int, schema: Schema, name: str) -> None:
    spans_of(meta, frames, schema.players, name)
    try:
        json.dumps(dict(meta), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise EpisodeError(f"{name}: metadata must fit into JSON: {error}") from error


def _check_shape(episode: Episode, schema: Schema, name: str) -> None:
    missing = [key for key in schema.columns if key not in episode.columns]
    if missing:
        raise EpisodeError(
            f"{name}: column {missing[0]} is missing; "
            f"give all {len(schema.columns)}, or zeros and `absent`"
        )
    unknown = (set(episode.columns) | episode.absent) - set(schema.columns)
    if unknown:
        first = sorted(unknown)[0]
        raise EpisodeError(
            f"{name}: column {first} is not in the schema: {did_you_mean(first, schema.columns)}"
        )
    if episode.rows < 2:
        raise EpisodeError(
            f"{name}: expected at least 2 rows, a decision and the state after it "
            f"(got {episode.rows})"
        )
    for key, column in schema.columns.items():
        values = episode.columns[key]
        expected = (episode.rows, column.slots)
        if values.shape != expected:
            raise EpisodeError(f"{name}, {key}: expected shape {expected} (got {values.shape})")
        kinds = {"real": "fiu", "flag": "b", "choice": "iu"}[column.field.kind]
        if values.dtype.kind not in kinds:
            raise EpisodeError(
                f"{name}, {key}: expected values of a {column.field.kind} (got type {values.dtype})"
            )


def _all_allowed(values: Array, column: Column) -> bool:
    """Return true if the smallest and the largest value are allowed: a fast check.

    A NaN makes both NaN, and every comparison false.
    """
    if values.dtype == bool:
        return True
    low, high = column.field.limits
    return bool(values.min() >= low and values.max() <= high)


def _first_refused(values: Array, column: Column, columns: Mapping[str, Array]) -> str:
    """Message about the first bad value; empty if there is none.

    Zeros in an unused slot are allowed by any range.
    """
    low, high = column.field.limits
    bad = ~((values >= low) & (values <= high))
    mask = column.group.mask
    if mask and column.field.name != mask:
        bad &= (values != 0) | columns[f"{column.group.name}/{mask}"]
    if not bad.any():
        return ""
    frame, slot = (int(i) for i in np.argwhere(bad)[0])
    more = f" ({int(bad.sum())} such values)" if bad.sum() > 1 else ""
    allowed = f"{low:g} .. {high:g}" if isinstance(column.field, Real) else f"{low} .. {high}"
    extra = f" for a choice of {column.field.n}" if isinstance(column.field, Choice) else ""
    place = f"frame {frame}, {column.key}[{slot}]"
    return f"{place}: {values[frame, slot]}, allowed {allowed}{extra}{more}"


def _first_hidden(values: Array, column: Column, columns: Mapping[str, Array]) -> str:
    """Message about the first value in an unused slot; empty if there is none."""
    mask = column.group.mask
    if not mask or column.field.name == mask:
        return ""
    hidden = (values != 0) & ~columns[f"{column.group.name}/{mask}"]
    if not hidden.any():
        return ""
    frame, slot = (int(i) for i in np.argwhere(hidden)[0])
    return (
        f"frame {frame}, {column.key}[{slot}]: expected 0, because {mask} is off there "
        f"(got {values[frame, slot]})"
    )


def _check_events(events: Array, rows: int, players: int, name: str, kinds: Sequence[str]) -> None:
    if events.dtype != EVENT or events.ndim != 1:
        raise EpisodeError(
            f"{name}: events must be a flat array of core.game.EVENT "
            f"(got {events.dtype} {events.shape})"
        )
    if not len(events):
        return
    outside = (events["frame"] < 0) | (events["frame"] >= rows)
    if outside.any():
        raise EpisodeError(
            f"{name}: the frame of an event must be from 0 to {rows - 1} "
            f"(got {events['frame'][outside][0]})"
        )
    if not np.isfinite(events["value"]).all():
        raise EpisodeError(f"{name}: the value of an event must be a finite number")
    for who in ("player", "other"):
        outside = (events[who] < -1) | (events[who] >= players)
        if outside.any():
            raise EpisodeError(
                f"{name}: the {who} of an event must be from -1 to {players - 1} "
                f"(got {events[who][outside][0]})"
            )
    if kinds and events["kind"].max() >= len(kinds):
        raise EpisodeError(
            f"{name}: the kind of an event must be below {len(kinds)} "
            f"({', '.join(kinds)}), got {events['kind'].max()}"
        )
    if np.any(np.diff(events["frame"]) < 0):
        raise EpisodeError(f"{name}: events must be ordered by frame")
