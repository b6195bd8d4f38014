"""Processes that share each step of a run, as actors of Ray: its rollouts and its gradients.

`python -m shadowbox.launch.ranks --processes N --address A --logs FOLDER run CARD ...` starts one
actor a rank; each runs `shadowbox run CARD ...` as a rank of one process group, as torchrun would.
An actor that dies ends its session, and another one goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from shadowbox.core.system import STOP_SIGNALS
from shadowbox.errors import ShadowboxError
from shadowbox.launch.ray import ray_tasks

DEATHS = 25  # of actors, in all sessions of one call
PAUSE_S = 0.2
GRACE_S = 60.0  # until a rank that is asked to save is killed


class _Rank:
    """Actor: one rank of a run, a process of its own on the actor's machine."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def place(self) -> tuple[str, int]:
        """Address of the actor's machine, and a port that is free on it."""
        host: str = import_module("ray.util").get_node_ip_address()
        with socket.socket() as probe:
            probe.bind(("", 0))
            return host, probe.getsockname()[1]

    def run(
        self, folder: str, words: list[str], variables: dict[str, str], log: str
    ) -> tuple[int, float]:
        """Run the rank to its end; its exit status and CPU seconds.

        What it prints is appended to the file `log`.
        """
        with Path(log).open("ab") as file:
            self.child = subprocess.Popen(  # noqa: S603  the words of a launch spec
                [sys.executable, "-m", "shadowbox", *words],
                cwd=folder,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            if self.stopped:  # asked before there was a child
                self.child.terminate()
            status = self.child.wait()
        used = os.times()  # of this process and its only child
        return status, used.children_user + used.children_system

    def stop(self, grace_s: float) -> None:
        """Ask the rank to save and to end; kill it if it does not."""
        self.stopped = True
        if self.child is None or self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.child.kill()


class _Group:
    """The actors of one session."""

    def __init__(self, ray: Any, processes: int) -> None:
        self.ray = ray
        # an actor with a GPU of its own sees no other, so that it is number 0 for each rank
        gpus = int(ray.cluster_resources().get("GPU", 0) >= processes)
        actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_concurrency=2)(_Rank)
        self.actors = [actor.remote() for _ in range(processes)]

    def begin(self, words: Sequence[str], logs: Path) -> list[Any]:
        """Start all ranks; handles of their exit statuses."""
        host, port = self.ray.get(self.actors[0].place.remote())
        shared = {
            "MASTER_ADDR": host,
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(len(self.actors)),
        }
        return [
            actor.run.remote(
                os.getcwd(),
                list(words),
                {**shared, "RANK": str(rank), "LOCAL_RANK": "0"},
                str(logs / f"rank-{rank}.log"),
            )
            for rank, actor in enumerate(self.actors)
        ]

    def stop(self, grace_s: float) -> None:
        """Ask all ranks that live to save and end."""
        for handle in [actor.stop.remote(grace_s) for actor in self.actors]:
            try:
                self.ray.get(handle)
            except self.ray.exceptions.RayError:
                continue  # it is dead already

    def end(self) -> None:
        """End the actors."""
        for actor in self.actors:
            self.ray.kill(actor)


class _Follower:
    """Prints what the first rank writes into its log."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, path.stat().st_size if path.exists() else 0

    def show(self) -> None:
        """Print what is new."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.at)
            new = file.read()
        self.at += len(new)
        os.write(1, new)


class _Job:
    """Sessions of a run, until it ends by itself or is asked to stop."""

    def __init__(self, ray: Any, processes: int, logs: Path) -> None:
        self.ray, self.processes, self.logs = ray, processes, logs
        self.stopped = False
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)

    def run(self, words: Sequence[str]) -> int:
        """Exit status of the run."""
        for deaths in range(DEATHS + 1):
            status = self._session(
                [*words, *["--resume"] * bool(deaths and "--resume" not in words)]
            )
            if status is not None:
                return status
            _say(f"a rank's actor died ({deaths + 1}): the run goes on from its checkpoint")
        raise ShadowboxError(f"{DEATHS + 1} actors died: see {self.logs}, and go on with --resume")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True

    def _session(self, words: Sequence[str]) -> int | None:
        """Exit status of one session; None if an actor died and another session is to follow."""
        group = _Group(self.ray, self.processes)
        follower = _Follower(self.logs / "rank-0.log")
        try:
            statuses = self._wait(group, group.begin(words, self.logs), follower)
        except self.ray.exceptions.RayActorError:
            group.stop(0.0)  # the others wait for it in vain
            return 1 if self.stopped else None
        finally:
            follower.show()
            group.end()
        return next(filter(None, statuses), 0)

    def _wait(self, group: _Group, handles: list[Any], follower: _Follower) -> list[int]:
        """Exit statuses of the ranks in the order in which they ended; the death of one is raised.

        When one rank fails, the others are stopped.
        """
        ended: list[tuple[int, float]] = []
        asked = False
        while handles:
            done, handles = self.ray.wait(handles, num_returns=1, timeout=PAUSE_S)
            ended += self.ray.get(done)
            follower.show()
            if not asked and handles and (self.stopped or any(status for status, _ in ended)):
                asked = True
                group.stop(GRACE_S)
        _say(f"CPU seconds of the ranks: {', '.join(f'{seconds:.1f}' for _, seconds in ended)}")
        return [status for status, _ in ended]


def _say(text: str) -> None:
    os.write(1, f"launch: {text}\n".encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ranks of a command; the exit status of the run."""
    parser = argparse.ArgumentParser(prog="shadowbox.launch.ranks")
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--address", default="")
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    given.logs.mkdir(parents=True, exist_ok=True)
    with ray_tasks(given.address, given.processes) as found:
        return _Job(found.ray, given.processes, given.logs).run(given.words)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShadowboxError as error:
        sys.exit(f"launch: {error}")
