"""Tracks: series of numbers about an agent's decisions, such as the probability of a press.

An agent declares its tracks once (`track_types`) and gives their values after every decision
(`tracks(state)`). An episode keeps them by key, `SEAT/NAME`, as arrays [T + 1, ...]; a live match
sends them packed after each row, in the declared order. Tracks describe how a match was decided and
are not part of it: neither a fingerprint nor a digest covers them.
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

DTYPES = ("f4", "u4", "f2", "u2", "u1")  # types that a viewer page can read
MOST_NUMBERS = 4096  # most numbers of a track in a row
MOST_TRACKS = 256  # most tracks of an agent
_NAME = re.compile(r"[!-~]{1,100}")  # printable ASCII without spaces
_KEY = re.compile(r"(\d{1,3})/(.+)")


@dataclass(frozen=True)
class Track:
    """Declaration of a track: its name, storage type, the shape of one row, and its agent's seat.

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
        """Key of its values in an episode: `SEAT/NAME`."""
        return f"{self.seat}/{self.name}"

    @property
    def blank(self) -> Any:
        """Value of rows without a decision: NaN, or 0 where integers are stored."""
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
    """Tracks that an agent declares, at its seat."""
    tracks = tuple(getattr(agent, "track_types", ()))
    wrong = [track for track in tracks if not isinstance(track, Track)]
    if wrong:
        raise EpisodeError(f"track_types holds {wrong[0]!r}, expected core.tracks.Track")
    names = [track.name for track in tracks]
    if len(tracks) > MOST_TRACKS or len(set(names)) < len(names):
        raise EpisodeError(
            f"track_types has {len(tracks)} tracks, {len(set(names))} of different names; "
            f"at most {MOST_TRACKS} are possible, each with a name of its own"
        )
    return tuple(replace(track, seat=seat) for track in tracks)


def track_values(tracks: Iterable[Track], values: Any, matches: int) -> Columns:
    """Values of an agent's tracks for one frame, by key, [N, ...] each; others are refused."""
    if not isinstance(values, Mapping):
        raise EpisodeError(f"tracks is a {type(values).__name__}, expected a mapping by name")
    tracks = tuple(tracks)
    if unknown := values.keys() - {track.name for track in tracks}:
        raise EpisodeError(f"track '{sorted(unknown)[0]}' is given and not declared")
    return {track.key: _values(track, values, matches) for track in tracks}


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
    """Declaration of an episode's tracks, in their order, derived from keys and arrays."""
    tracks = []
    for key, array in values.items():
        parts = _KEY.fullmatch(key) if isinstance(key, str) else None
        if parts is None:
            raise EpisodeError(f"track {key!r}: a key is SEAT/NAME, such as 0/value")
        dtype = array.dtype.str.lstrip("<|=")
        tracks.append(Track(parts[2], dtype, tuple(array.shape[1:]), int(parts[1])))
    return tuple(tracks)


def require_tracks(values: Mapping[str, Array], rows: int, players: int, name: str) -> None:
    """Refuse tracks that do not fit an episode of `rows` rows and its players."""
    for track, array in zip(tracks_of(values), values.values(), strict=True):
        if track.seat >= players:
            raise EpisodeError(
                f"{name}, track {track.key}: seat must be from 0 to {players - 1} "
                f"(got {track.seat})"
            )
        if len(array) != rows:
            raise EpisodeError(f"{name}, track {track.key}: {len(array)} rows, expected {rows}")


def tracks_dtype(tracks: Sequence[Track]) -> np.dtype[Any]:
    """Structured dtype of a row of all tracks, without gaps: a member for each key, in order."""
    return np.dtype([(track.key, f"<{track.dtype}", track.shape) for track in tracks])


def pack_tracks(values: Mapping[str, Array]) -> Array:
    """Pack tracks [rows, ...] by key into rows [rows] of `tracks_dtype`."""
    packed = np.zeros(len(next(iter(values.values()))), tracks_dtype(tracks_of(values)))
    for key, array in values.items():
        packed[key] = array
    return packed


def unpack_tracks(packed: Array) -> Columns:
    """Unpack rows into tracks by key; views, without a copy."""
    return {key: packed[key] for key in packed.dtype.names or ()}


def with_tracks(rows: Array, values: Mapping[str, Array]) -> Array:
    """Packed rows of a match, each followed by its tracks, as a live match sends them."""
    if not values:
        return rows
    tracks = pack_tracks(values)
    joined = np.zeros(len(rows), [("row", rows.dtype), ("tracks", tracks.dtype)])
    joined["row"], joined["tracks"] = rows, tracks
    return joined
