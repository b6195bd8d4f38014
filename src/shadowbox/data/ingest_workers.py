"""Worker processes of ingest: recordings read in parallel, their results in the original order."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp

import numpy as np

from shadowbox.core import system
from shadowbox.data.read_recordings import ReadRecording, is_large
from shadowbox.data.recordings import LARGEST, Recording
from shadowbox.errors import ShadowboxError

WORTH_A_FILE = 1 << 16  # bytes of rows from which a file is cheaper than a pipe
AHEAD = 16  # recordings queued for each worker, so that none is idle while a shard is written

Read = Callable[[Recording], Iterator[ReadRecording]]


def read_in_workers(
    read: Read, recordings: Iterator[Recording], workers: int
) -> Iterator[ReadRecording]:
    """Apply `read` to recordings in several processes, with results in the order of `recordings`.

    A bounded number of recordings is in memory at a time. Large files are read in this process.
    """
    first = next(recordings, None)
    if first is None:
        return
    yield from read(first)  # here, so that forked workers inherit all it imports and compiles
    context = get_context(system.start_method(threading.active_count()))
    waiting: deque[tuple[Recording, Future[list[ReadRecording]] | None]] = deque()
    held = 0  # bytes of archive members in the queue
    with (
        TemporaryDirectory(prefix="shadowbox-") as exchange,
        ProcessPoolExecutor(
            workers, context, initializer=_begin, initargs=(read, Path(exchange))
        ) as pool,
    ):
        try:
            for recording in recordings:
                large = is_large(recording)
                waiting.append((recording, None if large else pool.submit(_in_worker, recording)))
                held += _bytes_in(recording)
                while len(waiting) > AHEAD * workers or held > LARGEST:
                    held -= _bytes_in(waiting[0][0])
                    yield from _finished(read, *waiting.popleft())
            while waiting:
                yield from _finished(read, *waiting.popleft())
        except BrokenProcessPool as error:
            raise ShadowboxError(
                "a worker process died, perhaps out of memory; "
                "run the command again with --resume to continue"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _bytes_in(recording: Recording) -> int:
    return len(recording.content) if isinstance(recording.content, bytes) else 0


def _finished(
    read: Read, recording: Recording, future: Future[list[ReadRecording]] | None
) -> Iterator[ReadRecording]:
    """Results of a worker; a large file is read here instead, an episode at a time."""
    return read(recording) if future is None else map(_fetched, future.result())


# in a worker process: the function to apply, and the folder for rows on their way to the parent
_WORKER: tuple[Read, Path] | None = None


def _begin(read: Read, exchange: Path) -> None:
    global _WORKER
    _WORKER = read, exchange
    # Ctrl-C is for the parent, which stores all that was read so far
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this worker when its parent ends; otherwise it would wait for tasks forever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _in_worker(recording: Recording) -> list[ReadRecording]:
    assert _WORKER is not None
    read, exchange = _WORKER
    return [_without_rows(result, exchange) for result in read(recording)]


def _without_rows(result: ReadRecording, exchange: Path) -> ReadRecording:
    """Move rows into a file that the parent maps; a pipe would copy them five times."""
    if result.episode is None or result.episode.rows.nbytes < WORTH_A_FILE:
        return result
    handle, path = mkstemp(dir=exchange)
    with open(handle, "wb") as file:
        result.episode.rows.tofile(file)
    episode = replace(result.episode, rows=result.episode.rows[:0])
    return replace(result, episode=episode, rows_at=path)


def _fetched(result: ReadRecording) -> ReadRecording:
    if not result.rows_at:
        return result
    assert result.episode is not None
    path, dtype = Path(result.rows_at), result.episode.rows.dtype
    # a mapping keeps the content of a removed file, but Windows removes no file that is mapped
    rows = np.fromfile(path, dtype) if system.WINDOWS else np.memmap(path, dtype, mode="r")
    path.unlink()
    return replace(result, episode=replace(result.episode, rows=rows), rows_at="")
