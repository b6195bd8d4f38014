"""Several ranks of a run as copies of this warm process, which already has torch."""

from __future__ import annotations

import os
import socket

import torch


def in_child(work):
    """Start `work` in a copy of this process; its process id."""
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"child: {type(error).__name__}: {error}\n".encode())
            os._exit(1)
    return child


def ended(child):
    """The exit status of a child, or minus its signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def together(work, count=2):
    """The exit status of each of `count` ranks that run `work(rank)`."""
    port = _free_port()

    def rank(number):
        os.environ.update(
            RANK=str(number), WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
        )
        work(number)

    children = [in_child(lambda number=number: rank(number)) for number in range(count)]
    return [ended(child) for child in children]


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
