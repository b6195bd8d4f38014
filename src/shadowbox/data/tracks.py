"""File of a shard with the tracks of its episodes, `00000.tracks.npz`; absent without tracks.

A zip of `.npy` arrays without compression, which `np.load` reads: the member `12.npy` holds the
tracks of the episode at position 12 of the shard, one structured row for each row of the episode,
with a member `SEAT/NAME` for each track. Episodes without tracks have no member.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.schema import Array, Columns
from shadowbox.core.tracks import tracks_of, unpack_tracks
from shadowbox.errors import EpisodeError, StoreError


def tracks_file(packed: Mapping[int, Array]) -> bytes:
    """Content of the file: packed tracks by position."""
    file = io.BytesIO()
    members: dict[str, Any] = {str(position): rows for position, rows in sorted(packed.items())}
    np.savez(file, **members)
    return file.getvalue()


def read_tracks(path: Path, position: int, rows: int) -> Columns:
    """Tracks of the episode at a position, by `SEAT/NAME`; empty if it has none."""
    name = f"{position}.npy"
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                info = archive.getinfo(name)
            except KeyError:
                return {}
            if info.compress_type != zipfile.ZIP_STORED:
                raise StoreError(f"{path}: {name} is compressed; a store writes it without")
            with archive.open(info) as member:
                packed = np.lib.format.read_array(member, allow_pickle=False)
    except FileNotFoundError:
        raise StoreError(
            f"{path} is gone: the store was changed while it was open; open it again"
        ) from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path} cannot be read as tracks: {error}") from error
    tracks = unpack_tracks(packed)
    if packed.shape != (rows,):
        raise StoreError(
            f"{path}, {name}: expected tracks of {rows} rows (got shape {packed.shape})"
        )
    try:
        tracks_of(tracks)
    except EpisodeError as error:
        raise StoreError(f"{path}, {name}: {error}") from error
    return tracks
