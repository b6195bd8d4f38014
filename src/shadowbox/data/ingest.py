"""Ingest of recordings into a store: each is read, checked and packed, and written in order.

The number of worker processes changes neither the order nor a byte of the stored content. A
recording that cannot be read, or that the reader's options exclude, is not an error: it is listed
in the report with a reason.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.core.work.executor import _Backend
from shadowbox.data.archives.finished import _FinishedBlocks
from shadowbox.data.archives.limits import Recording
from shadowbox.data.exchange.parquet import PARQUET
from shadowbox.data.ingest_workers import Read, read_by, read_in_workers
from shadowbox.data.read_recordings import ReadRecording, read_recordings
from shadowbox.data.recordings import (
    allowed_endings,
    find_recordings,
    held_files,
    recordings,
)
from shadowbox.data.stop_signal import stop_signal
from shadowbox.data.store import Progress, Store
from shadowbox.data.write import Writer
from shadowbox.errors import RecordingError, ShadowboxError, UsageError

# smaller than elsewhere: a shard is digested and written while workers continue to read
SHARD_BYTES = 64 << 20
COMMIT_SECONDS = 60.0  # between commits; a killed ingest has to read at most this much again
# metadata that counts content without a place in a row, summed in the report
LEFT_OUT = ("items_left_out", "item_rows_left_out")


@dataclass
class _IngestReport:
    """Counts of an ingest in progress."""

    files: int = 0
    accepted: int = 0
    resumed: int = 0
    rejected: list[dict[str, str]] = field(default_factory=list)
    episodes: int = 0
    frames: int = 0
    # content without a place in a row, summed over the episodes
    left_out: dict[str, int] = field(default_factory=dict)
    # recordings that lost frames with impossible values: file, number of frames, the first value
    cut: list[dict[str, Any]] = field(default_factory=list)
    # remarks of the reader: file and text
    notes: list[dict[str, str]] = field(default_factory=list)
    # columns that hold nothing possible -> recordings in which they are absent
    unusable: dict[str, int] = field(default_factory=dict)

    def reject(self, file: str, reason: str) -> None:
        """Add a file to the rejected ones."""
        self.rejected.append({"file": file, "reason": reason})

    def accept(self, file: str, frames: int, meta: Mapping[str, Any], *, first: bool) -> None:
        """Count an episode, the `first` of its file or another one."""
        self.accepted += first
        self.episodes += 1
        self.frames += frames
        for name in LEFT_OUT:
            self.left_out[name] = self.left_out.get(name, 0) + int(meta.get(name, 0))
        if "cut" in meta:
            self.cut.append({"file": file, **meta["cut"]})
        for note in meta.get("notes", ()) if first else ():
            self.notes.append({"file": file, "note": note})
        for key in meta.get("unusable", ()) if first else ():
            self.unusable[key] = self.unusable.get(key, 0) + 1


def ingest(
    game: Game,
    paths: Sequence[Path],
    out: Path,
    *,
    workers: int = 1,
    backend: _Backend | None = None,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Append the recordings below `paths` to the store `out`; a report of counts, reasons and rates.

    `backend` reads elsewhere, where the files must be in reach; the store is the same. `resume`
    passes over files whose content the store has already; without it they are rejected as seen.
    SIGINT and SIGTERM end the work with an error after all that was read is in the store.
    """
    options = dict(options or {})
    files, clock = _files(game, paths), _Clock()
    made = {**game.made, "ingest": {"game": game.name, "options": options}}
    report = _IngestReport()
    with (
        stop_signal() as stopped,
        Writer(
            out, game.schema, event_kinds=game.event_kinds, made=made, shard_bytes=SHARD_BYTES
        ) as writer,
    ):
        seen = _seen(out) if writer.episodes else {}
        blocks = _FinishedBlocks(out, options)
        read = partial(
            read_recordings,
            schema=game.schema,
            event_kinds=game.event_kinds,
            reader=game.reader or "",
            options=options,
            known=_sources(out) if resume and writer.episodes else frozenset(),
        )
        passed_over = blocks.names if resume and writer.episodes else frozenset[str]()
        results = _read_all(read, game, files, passed_over, workers, backend, progress)
        with closing(results):  # which ends the workers
            _write_all(results, writer, blocks, seen, report, stopped)
        writer.commit()
        blocks.write()
        if number := stopped():
            raise _stopped(number, report, writer)
    seconds, cpu_seconds = clock.passed(alone=workers <= 1 and backend is None)
    store = Store(out)
    content = sum(entry.bytes for shard in store.manifest.shards for entry in shard.files.values())
    return {
        "store": str(out),
        "game": game.name,
        **vars(report),
        "bytes_per_frame": content / store.frames if store.frames else None,
        "frames_per_cpu_s": report.frames / cpu_seconds if cpu_seconds else None,
        "cpu_seconds": cpu_seconds,
        "seconds": seconds,
        "workers": workers if backend is None else backend.workers,
    }


def _files(game: Game, paths: Sequence[Path]) -> list[Path]:
    """Files to read; a folder without any is refused with the endings that it holds."""
    files = find_recordings(paths, game.reader_endings, game.reader_missing)
    tables = [path for path in files if path.suffix.lower() == PARQUET]
    if game.reader is None and (not files or len(tables) < len(files)):
        raise UsageError(
            f"{game.name} has no reader of recordings, only of {PARQUET} files that `store export` "
            f"wrote; `shadowbox record {game.name}` makes recordings by playing"
        )
    if not files:
        raise RecordingError(
            f"{', '.join(map(str, paths))}: no file has a name that ends with one of "
            f"{', '.join(allowed_endings(game.reader_endings))}; {held_files(paths)}"
        )
    return files


def _read_all(
    read: Read,
    game: Game,
    files: Sequence[Path],
    passed_over: frozenset[str],
    workers: int,
    backend: _Backend | None,
    progress: Progress | None,
) -> Generator[ReadRecording, None, None]:
    """Results of every recording of every file, in order."""
    done = 0

    def tasks() -> Iterator[Recording]:
        nonlocal done
        for path in files:
            yield from recordings(
                path, game.reader_endings, missing=game.reader_missing, finished=passed_over
            )
            done += 1

    if backend is not None:
        results = read_by(backend, read, tasks())
    elif workers > 1:
        results = read_in_workers(read, tasks(), workers)
    else:
        results = (result for recording in tasks() for result in read(recording))
    for result in results:
        yield result
        if progress:
            progress(done, len(files))


def _write_all(
    results: Iterator[ReadRecording],
    writer: Writer,
    blocks: _FinishedBlocks,
    seen: dict[bytes, str],
    report: _IngestReport,
    stopped: Callable[[], int],
) -> None:
    """Write the episodes of all results in order, each content once, until `stopped`."""
    committed = time.monotonic()
    file, accepted = "", False  # the parts of a recording come one by one
    while not stopped():
        try:
            result = next(results, None)
        except KeyboardInterrupt:  # the second one, or one that a caller raised
            writer.commit()
            blocks.write()
            raise
        if result is None:
            return
        if result.finished:
            blocks.add(result.finished)
            continue
        if result.name != file:
            report.files += 1
            file, accepted = result.name, False
        report.resumed += result.known
        if result.refused:
            report.reject(file, result.refused)
        if result.episode is not None and result.episode.digest in seen:
            report.reject(file, f"seen before: the same as {seen[result.episode.digest]}")
        elif (episode := result.episode) is not None:
            seen[episode.digest] = file
            writer.add_packed(
                episode.rows, episode.events, episode.meta, episode.absent, episode.digest
            )
            report.accept(file, len(episode.rows) - 1, episode.meta, first=not accepted)
            accepted = True
        if time.monotonic() - committed > COMMIT_SECONDS:
            writer.commit()
            blocks.write()
            committed = time.monotonic()


def _stopped(number: int, report: _IngestReport, writer: Writer) -> ShadowboxError:
    """Error of an ingest that a signal has ended, with the exit code that shells expect."""
    error = ShadowboxError(
        f"stopped by {signal.Signals(number).name} after {report.files:,} recordings: "
        f"{writer.path} holds {writer.episodes:,} episodes; "
        f"run the command again with --resume to continue"
    )
    error.exit_code = 128 + number
    return error


def _seen(out: Path) -> dict[bytes, str]:
    """Digests of the episodes of a store, each with the episode's name."""
    return {
        line.tobytes(): f"episode {number} of the store"
        for number, line in enumerate(Store(out).index["digest"])
    }


def _sources(out: Path) -> frozenset[str]:
    store = Store(out)
    return frozenset(str(store.meta_of(number).get("source")) for number in range(len(store)))


class _Clock:
    """Wall and CPU seconds of this process and of the workers that have ended."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._children = system.children_cpu_s()

    def passed(self, *, alone: bool) -> tuple[float, float | None]:
        """Wall and CPU seconds since the clock was made.

        CPU seconds are None if workers took part and the system does not report their time.
        """
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        children = system.children_cpu_s()
        if children is None or self._children is None:
            return wall, cpu if alone else None
        return wall, cpu + children - self._children
