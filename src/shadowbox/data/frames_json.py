"""Frames of a match as JSON: one object a frame, keyed by column names, and back.

    {"frame": 0, "player/x": [-3.5, 3.5], ..., "keys/j": [false, true],
     "events": [{"kind": "hit", "player": 0, "other": 1, "what": 4, "value": 8.0}]}

A column has a value for each of its slots. `events` are those that the row is the first to show, and
is missing without any. A number that is not finite is null. The last row decides nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Schema
from shadowbox.errors import EpisodeError

FRAME, EVENTS = "frame", "events"  # columns have a slash in their names, so neither is one


def frame_lines(
    schema: Schema,
    episode: Episode,
    event_kinds: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """The lines of an episode, one a row, without line ends; `more` is in each of them."""
    columns = {key: _plain(episode.columns[key]) for key in schema.columns}
    happened: dict[int, list[dict[str, Any]]] = {}
    for event in episode.events:
        known = {name: event[name].item() for name in ("player", "other", "what", "value")}
        kind = int(event["kind"])
        named = event_kinds[kind] if kind < len(event_kinds) else kind
        happened.setdefault(int(event["frame"]), []).append({"kind": named, **known})
    for row in range(episode.rows):
        line = {**(more or {}), FRAME: row, **{key: each[row] for key, each in columns.items()}}
        if row in happened:
            line[EVENTS] = happened[row]
        yield json.dumps(line, allow_nan=False, separators=(",", ":"))


def read_frames(schema: Schema, lines: Iterable[str], event_kinds: Sequence[str] = ()) -> Episode:
    """Episode of the lines of `frame_lines`, bit for bit; other lines are refused."""
    rows: dict[str, list[Any]] = {key: [] for key in schema.columns}
    events = []
    for number, text in enumerate(lines):
        try:
            line = json.loads(text)
            for key, values in rows.items():
                values.append(line[key])
            for event in line.get(EVENTS, ()):
                kind = event["kind"]
                kind = list(event_kinds).index(kind) if isinstance(kind, str) else kind
                known = {**event, "match": 0, "frame": line[FRAME], "kind": kind}
                events.append(tuple(known[name] for name in EVENT.names or ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EpisodeError(
                f"line {number + 1}: expected a frame of {schema.name}: {type(error).__name__}: {error}"
            ) from error
    if not next(iter(rows.values())):
        raise EpisodeError(f"no line: expected a frame of {schema.name} in each")
    return Episode(
        {key: _column(schema, key, values) for key, values in rows.items()},
        {},
        _events(events),
    )


def _plain(values: Array) -> list[Any]:
    """Values [T, slots] as plain data."""
    found: list[Any] = values.tolist()
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return found
    return [[each if math.isfinite(each) else None for each in row] for row in found]


def _events(events: list[tuple[Any, ...]]) -> Array:
    try:
        return np.array(events, EVENT)
    except (ValueError, TypeError, OverflowError) as error:
        raise EpisodeError(f"events: {error}") from error


def _column(schema: Schema, key: str, values: list[Any]) -> Array:
    column = schema.columns[key]
    if any(not isinstance(row, list) or len(row) != column.slots for row in values):
        raise EpisodeError(f"{key}: expected a list of {column.slots} values in each frame")
    if column.dtype.kind == "f":
        values = [[math.nan if each is None else each for each in row] for row in values]
    try:
        return np.array(values, column.dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise EpisodeError(f"{key}: {error}") from error
