"""Tasks of an executor: in order or as they finish, bounded, and with the errors of their functions."""

from __future__ import annotations

import os
import signal
import time

import pytest

from shadowbox.core.work.executor import AHEAD, processes, run_tasks
from shadowbox.errors import ShadowboxError, UsageError


class Late:
    """A backend whose tasks finish in the opposite order, and which counts those that are open."""

    workers = 2

    def __init__(self):
        self.open, self.most, self.number = {}, 0, 0

    def submit(self, function, task):
        self.number += 1
        self.open[self.number] = function(task)
        self.most = max(self.most, len(self.open))
        return self.number

    def wait(self, handles):
        return [max(handles)]

    def result(self, handle):
        return self.open.pop(handle)


def test_order_and_bound():
    """Results come in the order of their tasks, or as they finish; few tasks are open at a time."""
    late = Late()
    assert list(run_tasks(late, abs, range(-20, 0), ordered=True)) == [
        (task, -task) for task in range(-20, 0)
    ]
    assert late.most <= late.workers * AHEAD
    late = Late()
    found = list(run_tasks(late, abs, range(-20, 0)))
    assert sorted(found) == [(task, -task) for task in range(-20, 0)]
    assert found[0][0] != -20
    assert list(run_tasks(Late(), abs, [])) == []


def refuse(task):
    """A task that fails, one that dies, and one that is well."""
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "fail":
        raise UsageError("this task fails")
    time.sleep(0.01)
    return task


@pytest.mark.slow
def test_processes():
    """Errors of a worker's task are its own; a worker that dies is said, with what to do."""
    with processes(2) as pool:
        assert dict(run_tasks(pool, refuse, "abc")) == {"a": "a", "b": "b", "c": "c"}
        with pytest.raises(UsageError, match="this task fails"):
            list(run_tasks(pool, refuse, ["a", "fail"], ordered=True))
    with (
        pytest.raises(ShadowboxError, match=r"a worker process died.*--resume"),
        processes(2) as pool,
    ):
        list(run_tasks(pool, refuse, ["a", "die"]))
