"""Tracks: series of numbers that agents show beside the rows of a match, such as the probability of a press.

An agent declares its tracks once (`track_types`) and gives their values after every decision
(`tracks(state)`). An episode keeps them by key, `SEAT/NAME`, as arrays [T + 1, ...]; a live match
sends them packed after each row, in the declared order. Tracks describe how a match was decided and
are no part of it: neither a fingerprint nor a digest covers them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.errors import EpisodeError

DTYPES = ("f4", "u4", "f2", "u2", "u1")  # those that a viewer page reads
MOST_NUMBERS = 4096  # of one track in one row
MOST_TRACKS = 256  # of one agent
_NAME = re.compile(r"[!-~]{1,100}")  # printable ASCII without spaces
_KEY = re.compile(r"(\d{1,3})/(.+)")


@dataclass(frozen=True)
class Track:
    """One declared track: its name, storage type, the shape of one row, and the seat of its agent.

    Names begin with their kind: `press/keys/j` is the probability that the control `keys/j` is
    pressed, `value` the expected return. The seat is filled in where an agent takes its seat.
    """

    name: str
    dtype: str = "f4"
    shape: tuple[int, ...] = ()
    seat: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise EpisodeError(
                f"track {self.name!r}: a name has 1 to 100 ASCII characters without spaces"
            )
        if self.dtype not in DTYPES:
            raise EpisodeError(
                f"track '{self.name}': dtype is {self.dtype!r}, expected one of {', '.join(DTYPES)}"
            )
        whole = all(isinstance(size, int) and size > 0 for size in self.shape)
        if not whole or math.prod(self.shape) > MOST_NUMBERS:
            raise EpisodeError(
                f"track '{self.name}': shape is {self.shape}, expected positive whole numbers "
                f"whose product is at most {MOST_NUMBERS:,}"
            )

    @property
    def key(self) -> str:
        """The key of its values in an episode: `SEAT/NAME`."""
        return f"{self.seat}/{self.name}"

    @property
    def blank(self) -> Any:
        """The value of rows without a decision: NaN, or 0 where whole numbers are stored."""
        return np.array(np.nan if self.dtype.startswith("f") else 0, self.dtype)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as a live match declares it: name, seat, dtype and shape."""
        return {
            "name": self.name,
            "seat": self.seat,
            "dtype": self.dtype,
            "shape": list(self.shape),
        }


def declared_tracks(agent: object, seat: int) -> tuple[Track, ...]:
    """The tracks that an agent declares, at its seat; none where it declares none."""
    found = tuple(getattr(agent, "track_types", ()))
    wrong = [track for track in found if not isinstance(track, Track)]
    if wrong:
        raise EpisodeError(f"track_types holds {wrong[0]!r}, expected core.tracks.Track")
    names = [track.name for track in found]
    if len(found) > MOST_TRACKS or len(set(names)) < len(names):
        raise EpisodeError(
            f"track_types has {len(found)} tracks, {len(set(names))} of different names; "
            f"at most {MOST_TRACKS} are possible, each with a name of its own"
        )
    return tuple(replace(track, seat=seat) for track in found)


def track_values(tracks: Iterable[Track], given: Any, matches: int) -> Columns:
    """The values that an agent gave for one frame, by key, [N, ...] each; anything else is refused."""
    if not isinstance(given, Mapping):
        raise EpisodeError(f"tracks is a {type(given).__name__}, expected a mapping by name")
    tracks = tuple(tracks)
    if unknown := given.keys() - {track.name for track in tracks}:
        raise EpisodeError(f"track '{sorted(unknown)[0]}' is given and not declared")
    return {track.key: _values(track, given, matches) for track in tracks}


def _values(track: Track, given: Mapping[str, Any], matches: int) -> Array:
    if track.name not in given:
        raise EpisodeError(f"track '{track.name}' is declared and not given")
    values, expected = np.asarray(given[track.name]), (matches, *track.shape)
    kinds = "fiub" if track.dtype.startswith("f") else "ub"
    if values.shape != expected or values.dtype.kind not in kinds:
        raise EpisodeError(
            f"track '{track.name}': {values.dtype} {values.shape} given, "
            f"{track.dtype} {expected} expected"
        )
    return values.astype(track.dtype, copy=False)


def blank_rows(tracks: Iterable[Track], rows: int) -> Columns:
    """Values of rows without a decision, by key, [rows, ...]."""
    return {track.key: np.full((rows, *track.shape), track.blank) for track in tracks}


# ---- tracks of an episode ------------------------------------------------------------------------


def tracks_of(values: Mapping[str, Array]) -> tuple[Track, ...]:
    """The declaration of an episode's tracks, in their order, read from keys and arrays."""
    found = []
    for key, array in values.items():
        parts = _KEY.fullmatch(key) if isinstance(key, str) else None
        if parts is None:
            raise EpisodeError(f"track {key!r}: a key is SEAT/NAME, such as 0/value")
        dtype = array.dtype.str.lstrip("<|=")
        found.append(Track(parts[2], dtype, tuple(array.shape[1:]), int(parts[1])))
    return tuple(found)


def require_tracks(values: Mapping[str, Array], rows: int, players: int, name: str) -> None:
    """Refuse tracks that do not fit an episode of so many rows and players."""
    for track, array in zip(tracks_of(values), values.values(), strict=True):
        if track.seat >= players:
            raise EpisodeError(
                f"{name}, track {track.key}: there is no seat {track.seat}, "
                f"seats are 0 .. {players - 1}"
            )
        if len(array) != rows:
            raise EpisodeError(f"{name}, track {track.key}: {len(array)} rows, expected {rows}")


def tracks_dtype(tracks: Sequence[Track]) -> np.dtype[Any]:
    """One row of all tracks, packed without gaps: a member for each key, in order."""
    return np.dtype([(track.key, f"<{track.dtype}", track.shape) for track in tracks])


def pack_tracks(values: Mapping[str, Array]) -> Array:
    """Tracks [rows, ...] by key -> packed rows [rows] of `tracks_dtype`."""
    packed = np.zeros(len(next(iter(values.values()))), tracks_dtype(tracks_of(values)))
    for key, array in values.items():
        packed[key] = array
    return packed


def unpack_tracks(packed: Array) -> Columns:
    """Packed rows -> tracks by key; views, without a copy."""
    return {key: packed[key] for key in packed.dtype.names or ()}


def with_tracks(rows: Array, values: Mapping[str, Array]) -> Array:
    """Packed rows of a match with the tracks of each row after it, as a live match sends them."""
    if not values:
        return rows
    tracks = pack_tracks(values)
    joined = np.zeros(len(rows), [("row", rows.dtype), ("tracks", tracks.dtype)])
    joined["row"], joined["tracks"] = rows, tracks
    return joined
