"""Ray: tasks of ingest, recordings, tournaments and sweeps on a cluster, or in Ray on this machine.

Only tasks of Ray's core are used, in the same fixed-size blocks as on one machine, so the results
are the same. A task whose worker dies is run again by Ray. Files are read and written at the same
paths by all workers: a cluster needs a file system that its machines share.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from shadowbox.core import system
from shadowbox.errors import ShadowboxError, UsageError, checkout, install_hint
from shadowbox.launch.session import environment

EMBEDDED = "local"  # address of Ray that is started for this call, and ends with it
ENDLESS = -1  # times that Ray runs a task again whose worker died
MEMORY = 256 << 20  # bytes of Ray's store of objects here: blocks are a few MB each


class _Ray:
    """A backend of Ray's tasks, made by `ray_tasks`."""

    def __init__(self, ray: Any, workers: int) -> None:
        self.ray, self.workers = ray, workers
        self._remote: Any = None

    def submit(self, function: Callable[[Any], Any], task: Any) -> Any:
        """Begin a task."""
        if self._remote is None:
            self._remote = self.ray.remote(num_cpus=1, max_retries=ENDLESS)(_in_folder)
        return self._remote.remote(os.getcwd(), function, task)

    def wait(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Wait for one of the tasks."""
        finished: Sequence[Any] = self.ray.wait(list(handles), num_returns=1)[0]
        return finished

    def result(self, handle: Any) -> Any:
        """Result of a finished task; an error of its function is raised as it was."""
        try:
            return self.ray.get(handle)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self.ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            raise ShadowboxError(f"Ray lost a task: {reason}") from error


def _in_folder(folder: str, function: Callable[[Any], Any], task: Any) -> Any:
    """Call a function where its caller is, so that relative paths mean the same files."""
    os.chdir(folder)
    return function(task)


@contextmanager
def ray_tasks(address: str = "", workers: int = 0) -> Iterator[_Ray]:
    """A backend of Ray: the cluster at `address` or RAY_ADDRESS, else one on this machine.

    `workers`: tasks at a time; 0: as many as the cluster has processors.
    """
    try:
        ray = import_module("ray")
    except ModuleNotFoundError:
        raise UsageError(f"Ray is not installed: {install_hint('ray')}") from None
    address = address or os.environ.get("RAY_ADDRESS", "")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        if not address or address == EMBEDDED:
            settings |= {
                "address": EMBEDDED,
                "num_cpus": workers or system.cores(),
                "include_dashboard": False,
                "object_store_memory": MEMORY,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": folder,
            }
        else:
            settings["address"] = address
        try:
            with environment(_variables()):  # which workers of an embedded Ray inherit
                ray.init(**settings)
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            where = f"at '{address}'" if address else "on this machine"
            raise ShadowboxError(f"no Ray {where}: {reason}") from error
        try:
            cpus = int(ray.cluster_resources().get("CPU", 1))
            yield _Ray(ray, workers or max(1, cpus))
        finally:
            ray.shutdown()


def _variables() -> dict[str, str]:
    """Environment of the workers: one thread each, and this clone's package, if it runs from one."""
    found = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    if (root := checkout()) is not None:
        paths = [str(root / "src"), os.environ.get("PYTHONPATH", "")]
        found["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return found
