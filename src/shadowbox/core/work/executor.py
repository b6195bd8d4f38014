"""Tasks run by a backend: processes of this machine, or another engine, with the same results.

A backend takes a task, waits until one is finished, and hands out its result. Order and bounds are
the same for all of them. Functions are module-level ones and tasks plain data, so that both can be
sent to other processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from shadowbox.core import system
from shadowbox.errors import ShadowboxError

AHEAD = 4  # unfinished tasks of each worker, so that none is idle and memory is bounded

Task = TypeVar("Task")
Result = TypeVar("Result")


class _Backend(Protocol):
    """An engine that runs tasks."""

    @property
    def workers(self) -> int:
        """Number of tasks that run at a time."""
        ...

    def submit(self, function: Callable[[Any], Any], task: Any) -> Any:
        """Begin a task; its handle, which is hashable."""
        ...

    def wait(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Wait until at least one of the tasks is finished; the handles of those that are."""
        ...

    def result(self, handle: Any) -> Any:
        """Result of a finished task; raises what the task raised."""
        ...


def run_tasks(
    backend: _Backend,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    ordered: bool = False,
) -> Iterator[tuple[Task, Result]]:
    """Tasks with their results as they finish; `ordered`: in the order of the tasks.

    `tasks` are drawn as they are needed: at most AHEAD for each worker are begun and not yielded.
    """
    waiting, upcoming = deque[tuple[Any, Task]](), iter(tasks)
    finished: set[Any] = set()
    more = True
    while True:
        while more and len(waiting) < backend.workers * AHEAD:
            try:
                task = next(upcoming)
            except StopIteration:
                more = False
                break
            waiting.append((backend.submit(function, task), task))
        if not waiting:
            return
        left = [handle for handle, _ in waiting if handle not in finished]
        if left and not (ordered and waiting[0][0] in finished):
            finished |= set(backend.wait(left))
        for handle, task in list(waiting):
            if handle in finished:
                waiting.remove((handle, task))
                finished.discard(handle)
                yield task, backend.result(handle)
            if ordered:
                break


class _Processes:
    """Worker processes of this machine, made by `processes`."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        # spawn: a forked child would inherit the locks of whatever threads the caller has
        self.pool = ProcessPoolExecutor(
            workers, get_context("spawn"), initializer=system.begin_worker
        )

    def submit(self, function: Callable[[Any], Any], task: Any) -> Future[Any]:
        """Begin a task."""
        with system.start_workers():  # the first tasks start the workers
            return self.pool.submit(function, task)

    def wait(self, handles: Sequence[Future[Any]]) -> Sequence[Future[Any]]:
        """Wait for one of the tasks."""
        return list(wait(handles, return_when=FIRST_COMPLETED).done)

    def result(self, handle: Future[Any]) -> Any:
        """Result of a finished task."""
        try:
            return handle.result()
        except BrokenProcessPool as error:
            raise ShadowboxError(
                "a worker process died, perhaps out of memory: what was finished is kept; "
                "run the command again with --resume, or with fewer --workers"
            ) from error


@contextmanager
def processes(workers: int) -> Iterator[_Backend]:
    """A backend of worker processes; they end with the block, at once if it fails."""
    backend = _Processes(workers)
    with backend.pool, system.end_workers(backend.pool):
        yield backend
