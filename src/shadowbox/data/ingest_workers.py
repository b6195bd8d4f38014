"""Worker processes of ingest: recordings read in parallel, their results in the original order.

Rows come back through memory that a worker shares with its parent. It vanishes with the two
processes; files would stay behind a killed parent.
"""

from __future__ import annotations

import mmap
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.schema import Array
from shadowbox.core.work.executor import _Backend, run_tasks
from shadowbox.data.archives.limits import LARGEST, Recording
from shadowbox.data.read_recordings import ReadRecording, is_large
from shadowbox.errors import ShadowboxError

# A batch ends at so many recordings, or bytes of them: a worker answers batch by batch.
BATCH, BATCH_BYTES = 16, 4 << 20
# batches given to each worker at a time, so that none is idle while a shard is written
IN_HAND = 6
AREA = 8 << 20  # bytes of shared memory for the rows of one batch; rows without room use the pipe

Read = Callable[[Recording], Iterator[ReadRecording]]
# results; the place of each one's rows in shared memory, or the rows; their dtype
_Answer = tuple[list[ReadRecording], list[tuple[int, int] | bytes | None], Any]


@dataclass
class _Batch:
    """Recordings that one worker reads, or a large one that this process reads, in order."""

    recordings: list[Recording]
    results: list[ReadRecording] | None = None

    @property
    def large(self) -> bool:
        return is_large(self.recordings[0])

    @property
    def held(self) -> int:
        """Bytes of archive members in memory."""
        return sum(len(r.content) for r in self.recordings if isinstance(r.content, bytes))


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
    batches = _batches(recordings)
    order: deque[_Batch] = deque()
    pool = _Pool(read, workers)
    try:
        more = True
        while more or order:
            while more and pool.has_room(order):
                batch = next(batches, None)
                more = batch is not None
                if batch is not None:
                    order.append(batch)
                    if not batch.large:
                        pool.give(batch)
            if order and order[0].large:
                yield from read(order.popleft().recordings[0])
            elif order and order[0].results is not None:
                yield from order.popleft().results or ()
            elif order:
                pool.receive()
        pool.close()
    finally:
        pool.kill()


def read_by(
    backend: _Backend, read: Read, recordings: Iterator[Recording]
) -> Iterator[ReadRecording]:
    """Apply `read` to recordings by a backend, in the same batches and the same order.

    A batch whose worker dies is read again where the backend tries again.
    """
    batches = ((read, batch.recordings) for batch in _batches(recordings))
    for _, results in run_tasks(backend, _read_batch, batches, ordered=True):
        yield from results


def _read_batch(task: tuple[Read, list[Recording]]) -> list[ReadRecording]:
    read, recordings = task
    return [result for recording in recordings for result in read(recording)]


def _batches(recordings: Iterator[Recording]) -> Iterator[_Batch]:
    batch: list[Recording] = []
    nbytes = 0
    for recording in recordings:
        large = is_large(recording)
        if batch and (large or nbytes >= BATCH_BYTES or len(batch) >= BATCH):
            yield _Batch(batch)
            batch, nbytes = [], 0
        if large:
            yield _Batch([recording])
        else:
            batch.append(recording)
            nbytes += recording.nbytes
    if batch:
        yield _Batch(batch)


@dataclass
class _Worker:
    """Worker process, as its parent sees it."""

    process: BaseProcess
    tasks: Connection
    answers: Connection
    areas: list[mmap.mmap]  # batch n of a worker puts its rows into area n % IN_HAND
    in_hand: deque[_Batch] = field(default_factory=deque)
    received: int = 0


class _Pool:
    """Worker processes with several batches each."""

    def __init__(self, read: Read, workers: int) -> None:
        context: Any = get_context(system.start_method(threading.active_count()))
        forked = context.get_start_method() == "fork"  # only then memory without a name is shared
        self._workers: list[_Worker] = []
        for _ in range(workers):
            theirs, tasks = context.Pipe(duplex=False)
            answers, back = context.Pipe(duplex=False)
            areas = [mmap.mmap(-1, AREA) for _ in range(IN_HAND)] if forked else []
            # what a forked worker inherits of the others would keep their pipes open
            inherited = [end for w in self._workers for end in (w.tasks, w.answers)]
            others = [*inherited, tasks, answers] if forked else []
            process = context.Process(
                target=_work, args=(read, theirs, back, areas, others), daemon=True
            )
            with system.start_workers():
                process.start()
            theirs.close()
            back.close()
            self._workers.append(_Worker(process, tasks, answers, areas))

    def has_room(self, order: deque[_Batch]) -> bool:
        """True if a worker can take another batch and memory is left for it."""
        return (
            len(order) < len(self._workers) * (IN_HAND + 1)
            and any(len(worker.in_hand) < IN_HAND for worker in self._workers)
            and sum(batch.held for batch in order) <= LARGEST
        )

    def give(self, batch: _Batch) -> None:
        """Give a batch to the worker with the fewest."""
        worker = min(self._workers, key=lambda worker: len(worker.in_hand))
        worker.in_hand.append(batch)
        try:
            worker.tasks.send(batch.recordings)
        except OSError as error:
            raise _died() from error

    def receive(self) -> None:
        """Wait for answers, and copy their rows out of shared memory."""
        by_pipe: dict[Any, _Worker] = {worker.answers: worker for worker in self._workers}
        for pipe in wait(list(by_pipe)):
            worker = by_pipe[pipe]
            try:
                answer: _Answer = worker.answers.recv()
            except (EOFError, OSError) as error:
                raise _died() from error
            batch = worker.in_hand.popleft()
            area = worker.areas[worker.received % IN_HAND] if worker.areas else None
            worker.received += 1
            results, places, dtype = answer
            batch.results = [
                result if place is None else _with_rows(result, _rows(place, area, dtype))
                for result, place in zip(results, places, strict=True)
            ]

    def close(self) -> None:
        """Let the workers end, which counts their CPU seconds."""
        for worker in self._workers:
            with suppress(OSError):
                worker.tasks.send(None)
        for worker in self._workers:
            worker.process.join()

    def kill(self) -> None:
        """End the workers that still run, whatever they do."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.tasks.close()
            worker.answers.close()
            for area in worker.areas:
                area.close()


def _died() -> ShadowboxError:
    return ShadowboxError(
        "a worker process died, perhaps out of memory; "
        "run the command again with --resume to continue"
    )


def _rows(place: tuple[int, int] | bytes, area: mmap.mmap | None, dtype: Any) -> Array:
    """Rows of an episode, copied out of shared memory, which the worker uses again."""
    if isinstance(place, bytes):
        return np.frombuffer(place, dtype)
    assert area is not None
    return np.frombuffer(area, np.uint8, place[1], place[0]).copy().view(dtype)


def _with_rows(result: ReadRecording, rows: Array) -> ReadRecording:
    assert result.episode is not None
    return replace(result, episode=replace(result.episode, rows=rows))


# ---- in a worker process ----


def _work(
    read: Read,
    tasks: Connection,
    answers: Connection,
    areas: list[mmap.mmap],
    others: list[Connection],
) -> None:
    # these signals are for the parent, which stores all that was read so far
    for number in system.STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for connection in others:
        connection.close()
    inbox: queue.SimpleQueue[list[Recording] | None] = queue.SimpleQueue()
    threading.Thread(target=_take, args=(tasks, inbox), daemon=True).start()
    number, dtype = 0, None
    while (batch := inbox.get()) is not None:
        area = areas[number % IN_HAND] if areas else None
        results, places, used = [], [], 0
        for result in (result for recording in batch for result in read(recording)):
            place: tuple[int, int] | bytes | None = None
            if result.episode is not None:
                rows = result.episode.rows
                dtype = rows.dtype
                result = _with_rows(result, rows[:0].view(np.uint8))
                place, used = _put(rows, area, used)
            results.append(result)
            places.append(place)
        answers.send((results, places, dtype))
        number += 1


def _take(tasks: Connection, inbox: queue.SimpleQueue[list[Recording] | None]) -> None:
    """Take batches as they come, so that the parent never waits to give one.

    A parent that has ended gives none, and its workers end with it.
    """
    try:
        while True:
            inbox.put(batch := tasks.recv())
            if batch is None:
                return
    except (EOFError, OSError):
        os._exit(1)


def _put(rows: Array, area: mmap.mmap | None, used: int) -> tuple[tuple[int, int] | bytes, int]:
    """Copy rows into shared memory from `used` on, or return them if they do not fit."""
    end = used + rows.nbytes
    if area is None or end > AREA:
        return rows.tobytes(), used
    np.frombuffer(area, np.uint8, rows.nbytes, used)[:] = rows.view(np.uint8)
    return (used, rows.nbytes), end
