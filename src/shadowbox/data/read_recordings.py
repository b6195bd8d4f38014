"""Reading of one recording by a game's reader: its episodes, checked and packed, or a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import Episode, check
from shadowbox.core.imports import import_object
from shadowbox.core.schema import Array, Schema
from shadowbox.data.archives.compressed import COMPRESSED, plain_name, unpacked
from shadowbox.data.archives.limits import LARGEST, Recording
from shadowbox.data.exchange.parquet import PARQUET, read_parquet
from shadowbox.data.soundness import episode_digest
from shadowbox.errors import EpisodeError, RecordingError, UsageError


@dataclass(frozen=True)
class _PackedEpisode:
    """An episode in the form in which a store keeps it."""

    rows: Array
    events: Array
    meta: Mapping[str, Any]
    absent: Array
    digest: bytes


@dataclass(frozen=True)
class ReadRecording:
    """Result of reading a recording or a part of it.

    Either an episode, or a reason why there is none, or `known`: the store has that recording
    already. `finished` names a block of an archive of which everything came before.
    """

    name: str
    episode: _PackedEpisode | None = None
    refused: str = ""
    known: bool = False
    finished: str = ""


def read_recordings(
    recording: Recording,
    *,
    schema: Schema,
    event_kinds: tuple[str, ...],
    reader: str,
    options: Mapping[str, Any],
    known: frozenset[str] = frozenset(),
) -> Iterator[ReadRecording]:
    """Read, check and pack a recording, an episode at a time. Problems are yielded, not raised.

    `reader` is the import path of the game's reader, which gets `options`. `known` are the sources
    that the store has already; a recording with one of them is not read.
    """
    name, number = recording.name, 0
    if recording.refused or recording.known or recording.finished:
        yield ReadRecording(
            name, refused=recording.refused, known=recording.known, finished=recording.finished
        )
        return
    try:
        content, source = _opened(recording)
        if source in known:
            yield ReadRecording(name, known=True)
            return
        for episode in _episodes(content, plain_name(name), schema, reader, options):
            part = episode.meta.get("part")
            source_of_part = source if part is None else f"{source}#{part}"
            try:
                packed = _packed(episode, schema, event_kinds, source_of_part)
                yield ReadRecording(name, packed)
            except EpisodeError as error:
                reason = str(error) if part is None else f"part {part}: {error}"
                yield ReadRecording(name, refused=reason)
            number += 1
        if not number:
            yield ReadRecording(name, refused="no episode in it that the reader's options allow")
    except (RecordingError, EpisodeError) as error:
        yield ReadRecording(name, refused=str(error).removeprefix(f"{plain_name(name)}: "))
    except OSError as error:
        yield ReadRecording(name, refused=f"cannot be read: {error.strerror}")
    except UsageError:
        raise
    # an error in one untrusted file must not end the work on the others
    except Exception as error:
        reason = f"internal error of Shadowbox: {type(error).__name__}: {error}"
        yield ReadRecording(name, refused=reason)


def _episodes(
    content: Path | bytes, name: str, schema: Schema, reader: str, options: Mapping[str, Any]
) -> Iterable[Episode]:
    """Episodes of a recording, by the game's reader or from a table of frames."""
    if name.lower().endswith(PARQUET):
        return read_parquet(content, name, schema)
    read: Callable[..., Iterable[Episode]] = import_object(reader)
    return read(content, name, **options)


def is_large(recording: Recording) -> bool:
    """Return true if a recording is a file that is too large to be read into memory as a whole."""
    return isinstance(recording.content, Path) and recording.nbytes > LARGEST


def _opened(recording: Recording) -> tuple[Path | bytes, str]:
    """Content for the reader and its identity; a large file stays a path."""
    content = recording.content
    if isinstance(content, Path) and content.name.lower().endswith(COMPRESSED):
        content = unpacked(content)
    if is_large(recording) and isinstance(content, Path):
        with open(content, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    else:
        content = content if isinstance(content, bytes) else content.read_bytes()
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return content, f"blake2b:{digest}"


def _packed(
    episode: Episode, schema: Schema, event_kinds: tuple[str, ...], source: str
) -> _PackedEpisode:
    """Check an episode and pack it as a store keeps it."""
    check(episode, schema, "episode", event_kinds)
    absent = np.packbits(~episode.valid(schema), bitorder="little")
    rows = schema.pack(episode.columns)
    return _PackedEpisode(
        rows,
        episode.events,
        {**episode.meta, "source": source},
        absent,
        episode_digest(rows, episode.events, absent),
    )
