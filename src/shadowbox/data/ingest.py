"""Recordings into a store: each read, checked and packed on its own, by one process or by several, written in order.

How many workers share the files changes neither the order nor a byte of what is stored. A recording
that cannot be read, or is not wanted, is no failure: it stands in the report with its reason.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.episode import Episode, check
from shadowbox.core.game import Game
from shadowbox.core.imports import import_object
from shadowbox.core.schema import Array, Schema
from shadowbox.data.recordings import LARGEST, Recording, find_recordings, recordings
from shadowbox.data.store import Progress, Store
from shadowbox.data.write import Writer, episode_digest
from shadowbox.errors import EpisodeError, RecordingError, ShadowboxError, UsageError

# smaller than elsewhere: a shard is digested and written while workers go on reading
SHARD_BYTES = 64 << 20
COMMIT_SECONDS = 60.0  # between commits: what a killed ingest has to read again
# metadata of what a row has no place for, summed in the report
LEFT_OUT = ("items_left_out", "item_rows_left_out")
WORTH_A_FILE = 1 << 16  # bytes
AHEAD = 16  # recordings that wait for each worker, so that none is idle while a shard is written


@dataclass(frozen=True)
class _PackedEpisode:
    """An episode as the store keeps it."""

    rows: Array
    events: Array
    meta: Mapping[str, Any]
    absent: Array
    digest: bytes


@dataclass(frozen=True)
class ReadRecording:
    """What became of a recording or a part of it: an episode, or why there is none, or that the store has it already."""

    name: str
    episode: _PackedEpisode | None = None
    refused: str = ""
    known: bool = False
    rows_at: str = ""  # on its way from a worker: the file that holds the episode's rows


@dataclass(frozen=True)
class _Job:
    """All that a worker needs to know. `known`: sources that the store has already."""

    schema: Schema
    event_kinds: tuple[str, ...]
    reader: str
    options: Mapping[str, Any]
    known: frozenset[str] = frozenset()

    def function(self) -> Callable[..., Iterable[Episode]]:
        """The game's reader."""
        reader: Callable[..., Iterable[Episode]] = import_object(self.reader)
        return reader


@dataclass
class _IngestReport:
    """What was done, as it grows."""

    files: int = 0
    accepted: int = 0
    resumed: int = 0
    episodes: int = 0
    frames: int = 0
    rejected: list[dict[str, str]] = field(default_factory=list)
    # what the row has no place for, summed over the episodes
    left_out: dict[str, int] = field(default_factory=dict)

    def reject(self, file: str, reason: str) -> None:
        """One more that did not come in."""
        self.rejected.append({"file": file, "reason": reason})


def ingest(
    game: Game,
    paths: Sequence[Path],
    out: Path,
    *,
    workers: int = 1,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Append the recordings below `paths` to the store `out`; what came in, what did not and why, and how fast.

    `resume` passes over files whose content the store has already. Without it they are read again
    and rejected as seen.
    """
    if game.reader is None:
        raise UsageError(
            f"{game.name} has no recordings to read; `shadowbox record {game.name}` makes some"
        )
    options = dict(options or {})
    files = find_recordings(paths, game.reader_endings)
    before = _Clock()
    made = {**game.made, "ingest": {"game": game.name, "options": options}}
    report = _IngestReport()
    with Writer(
        out, game.schema, event_kinds=game.event_kinds, made=made, shard_bytes=SHARD_BYTES
    ) as writer:
        seen = _seen(out) if writer.episodes else {}
        job = _Job(
            game.schema,
            game.event_kinds,
            game.reader,
            options,
            _sources(out) if resume and writer.episodes else frozenset(),
        )
        try:
            _take_in(
                _all_read(job, files, game.reader_endings, workers, progress), writer, seen, report
            )
        except KeyboardInterrupt:
            writer.commit()
            raise
    seconds, cpu_seconds = before.passed(alone=workers <= 1)
    store = Store(out)
    content = sum(entry.bytes for shard in store.manifest.shards for entry in shard.files.values())
    return {
        "store": str(out),
        "game": game.name,
        "files": report.files,
        "accepted": report.accepted,
        "resumed": report.resumed,
        "rejected": report.rejected,
        "episodes": report.episodes,
        "frames": report.frames,
        "left_out": report.left_out,
        "bytes_per_frame": content / store.frames if store.frames else None,
        "frames_per_cpu_s": report.frames / cpu_seconds if cpu_seconds else None,
        "cpu_seconds": cpu_seconds,
        "seconds": seconds,
        "workers": workers,
    }


def _take_in(
    results: Iterator[ReadRecording], writer: Writer, seen: dict[bytes, str], report: _IngestReport
) -> None:
    """Write what was read, in order, each content once."""
    committed = time.monotonic()
    file, came_in = "", False  # a recording of many parts comes part by part
    for read in results:
        if read.name != file:
            report.files += 1
            file, came_in = read.name, False
        report.resumed += read.known
        if read.refused:
            report.reject(file, read.refused)
        if read.episode is not None and read.episode.digest in seen:
            report.reject(file, f"seen before: the same as {seen[read.episode.digest]}")
        elif read.episode is not None:
            seen[read.episode.digest] = file
            _add(read.episode, writer, report)
            report.accepted += not came_in
            came_in = True
        if time.monotonic() - committed > COMMIT_SECONDS:
            writer.commit()
            committed = time.monotonic()


def _add(episode: _PackedEpisode, writer: Writer, report: _IngestReport) -> None:
    writer.add_packed(episode.rows, episode.events, episode.meta, episode.absent, episode.digest)
    report.episodes += 1
    report.frames += len(episode.rows) - 1
    for name in LEFT_OUT:
        report.left_out[name] = report.left_out.get(name, 0) + int(episode.meta.get(name, 0))


# ---- one recording ---------------------------------------------------------------------------------------------


def read_recordings(job: _Job, recording: Recording) -> Iterator[ReadRecording]:
    """A recording, read, checked and packed, an episode at a time.

    Whatever is wrong with it is said and not raised.
    """
    name, number = recording.name, 0
    if recording.refused:
        yield ReadRecording(name, refused=recording.refused)
        return
    try:
        content, source = _opened(recording)
        if source in job.known:
            yield ReadRecording(name, known=True)
            return
        for episode in job.function()(content, name, **job.options):
            part = episode.meta.get("part")
            try:
                yield ReadRecording(
                    name, pack(job, episode, source if part is None else f"{source}#{part}")
                )
            except EpisodeError as error:
                yield ReadRecording(
                    name, refused=str(error) if part is None else f"part {part}: {error}"
                )
            number += 1
        if not number:
            yield ReadRecording(name, refused="nothing of it is wanted")
    except RecordingError as error:
        yield ReadRecording(name, refused=str(error).removeprefix(f"{name}: "))
    except OSError as error:
        yield ReadRecording(name, refused=f"it cannot be read: {error.strerror}")
    except UsageError:
        raise
    # whatever a stranger's file brings to light must not end the work on the others
    except Exception as error:
        yield ReadRecording(
            name, refused=f"an error of Shadowbox itself: {type(error).__name__}: {error}"
        )


def _opened(recording: Recording) -> tuple[Path | bytes, str]:
    """What the reader gets, and the content's identity: a large file is not taken into memory as a whole."""
    content = recording.content
    if _is_large(recording):
        assert isinstance(content, Path)
        with open(content, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    else:
        content = content if isinstance(content, bytes) else content.read_bytes()
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return content, f"blake2b:{digest}"


def pack(job: _Job, episode: Episode, source: str) -> _PackedEpisode:
    """Check an episode and bring it into the form in which it is stored."""
    check(episode, job.schema, "it", job.event_kinds)
    absent = np.packbits(~episode.valid(job.schema), bitorder="little")
    rows = job.schema.pack(episode.columns)
    return _PackedEpisode(
        rows,
        episode.events,
        {**episode.meta, "source": source},
        absent,
        episode_digest(rows, episode.events, absent),
    )


# ---- all of them -----------------------------------------------------------------------------------------------


def _all_read(
    job: _Job,
    files: Sequence[Path],
    endings: Sequence[str],
    workers: int,
    progress: Progress | None,
) -> Iterator[ReadRecording]:
    """Every recording of every file, in order."""
    done = 0

    def tasks() -> Iterator[Recording]:
        nonlocal done
        for path in files:
            yield from recordings(path, endings)
            done += 1

    here = (read for recording in tasks() for read in read_recordings(job, recording))
    for read in here if workers <= 1 else _in_several(job, tasks(), workers):
        yield read
        if progress:
            progress(done, len(files))


def _in_several(job: _Job, tasks: Iterator[Recording], workers: int) -> Iterator[ReadRecording]:
    """The same reads in the same order; a bounded number of recordings is under way at a time."""
    first = next(tasks, None)
    if first is None:
        return
    yield from read_recordings(
        job, first
    )  # what it imports and compiles, forked workers then have, too
    context = get_context(system.start_method(threading.active_count()))
    waiting: deque[tuple[Recording, Future[list[ReadRecording]] | None]] = deque()
    held = 0  # bytes of archive members among them
    with (
        TemporaryDirectory(prefix="shadowbox-") as desk,
        ProcessPoolExecutor(
            workers, context, initializer=_begin, initargs=(job, Path(desk))
        ) as pool,
    ):
        try:
            for recording in tasks:
                waiting.append(
                    (
                        recording,
                        None if _is_large(recording) else pool.submit(_read_in_worker, recording),
                    )
                )
                held += _bytes_in(recording)
                while len(waiting) > AHEAD * workers or held > LARGEST:
                    held -= _bytes_in(waiting[0][0])
                    yield from _finished(job, *waiting.popleft())
            while waiting:
                yield from _finished(job, *waiting.popleft())
        except BrokenProcessPool as error:
            raise ShadowboxError(
                "a worker process died, perhaps of too little memory; --resume goes on from here"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _bytes_in(recording: Recording) -> int:
    return len(recording.content) if isinstance(recording.content, bytes) else 0


def _finished(
    job: _Job, recording: Recording, read: Future[list[ReadRecording]] | None
) -> Iterator[ReadRecording]:
    """What a worker read; a large file is read here, an episode at a time."""
    return read_recordings(job, recording) if read is None else map(_fetched, read.result())


# of this worker process: what to do, and where to lay down what was made
_WORKER: tuple[_Job, Path] | None = None


def _begin(job: _Job, desk: Path) -> None:
    global _WORKER
    _WORKER = job, desk
    # Ctrl-C is for the parent, which stores what was read
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A worker would wait for ever for the next task of a parent that was killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read_in_worker(recording: Recording) -> list[ReadRecording]:
    assert _WORKER is not None
    job, desk = _WORKER
    return [_laid_down(read, desk) for read in read_recordings(job, recording)]


def _laid_down(read: ReadRecording, desk: Path) -> ReadRecording:
    """Rows go through a file that is mapped and not through a pipe, which would copy them five times."""
    if read.episode is None or read.episode.rows.nbytes < WORTH_A_FILE:
        return read
    handle, path = mkstemp(dir=desk)
    with open(handle, "wb") as file:
        read.episode.rows.tofile(file)
    return replace(read, episode=replace(read.episode, rows=read.episode.rows[:0]), rows_at=path)


def _fetched(read: ReadRecording) -> ReadRecording:
    if not read.rows_at:
        return read
    assert read.episode is not None
    path, dtype = Path(read.rows_at), read.episode.rows.dtype
    # a mapping keeps the content of a removed file, but Windows removes no file that is mapped
    rows = np.fromfile(path, dtype) if system.WINDOWS else np.memmap(path, dtype, mode="r")
    path.unlink()
    return replace(read, episode=replace(read.episode, rows=rows), rows_at="")


def _is_large(recording: Recording) -> bool:
    return isinstance(recording.content, Path) and recording.content.stat().st_size > LARGEST


# ---- what was there before, and what it took ---------------------------------------------------------------------


def _seen(out: Path) -> dict[bytes, str]:
    """Digests of what the store holds already."""
    return {
        line.tobytes(): f"episode {number} of the store"
        for number, line in enumerate(Store(out).index["digest"])
    }


def _sources(out: Path) -> frozenset[str]:
    store = Store(out)
    return frozenset(str(store.meta_of(number).get("source")) for number in range(len(store)))


class _Clock:
    """Wall and CPU seconds of this process and of the workers that it waited for."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._children = system.children_cpu_s()

    def passed(self, *, alone: bool) -> tuple[float, float | None]:
        """Seconds; those of the CPU are None where workers had a part that the system does not report."""
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        children = system.children_cpu_s()
        if children is None or self._children is None:
            return wall, cpu if alone else None
        return wall, cpu + children - self._children
