"""Supervisor of a job on this machine: a process of its own that starts, times and resumes the run.

`python -m shadowbox.launch.supervisor FOLDER` reads the record in FOLDER. A session that exceeds
the time-out is asked to save (SIGTERM), and the next one goes on under the same run. SIGTERM to the
supervisor ends the job the same way, without another session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from shadowbox.core.files import read_json
from shadowbox.core.system import STOP_SIGNALS, command_line
from shadowbox.launch import records

EXIT_KILLED, EXIT_INTERRUPTED = 75, 130  # of `shadowbox run`: by its card, by a signal
# what a word at the beginning of a command means on this machine
PROGRAMS = {
    "shadowbox": [sys.executable, "-m", "shadowbox"],
    "torchrun": [sys.executable, "-m", "torch.distributed.run"],
    "python": [sys.executable],
}


@dataclass
class _Session:
    """End of one session of the run."""

    status: int
    timed_out: bool  # it was asked to save because its time was over


class _Supervisor:
    """The job of one record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = records.read_record(folder)
        self.spec = records.spec_of(self.record)
        self.stopped = False
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)

    def run(self) -> str:
        """Sessions until the run is finished, fails, or has no session left; the job's state."""
        again = self.record["attempt"] > 0
        for attempt in range(self.record["attempt"], self.spec.resumes + 1):
            words = self.spec.resume if again or attempt else self.spec.command
            session = self._session(attempt, words)
            state, text = self._judged(session, attempt)
            if state != records.RUNNING:
                break
        self.write(state, text)
        return state

    def write(self, state: str, text: str = "", **more: Any) -> None:
        """Update the record."""
        self.record |= {"state": state, "text": text, **more}
        records.write_record(self.folder, self.record)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True

    def _session(self, attempt: int, words: Sequence[str]) -> _Session:
        """Run one session to its end, or to the time-out."""
        if self.stopped:
            return _Session(EXIT_INTERRUPTED, timed_out=False)
        _print(f"session {attempt + 1} of at most {self.spec.resumes + 1}: {command_line(words)}")
        child = subprocess.Popen(  # noqa: S603  the words of the record's own spec
            executable(words),
            stdin=subprocess.DEVNULL,
            env=os.environ | dict(self.spec.environment) | {records.MARK: self.record["mark"]},
            start_new_session=True,
        )
        supervisor = records.identity(os.getpid())
        self.write(
            records.RUNNING,
            f"session {attempt + 1}",
            attempt=attempt,
            process=supervisor,
            child=records.identity(child.pid),
        )
        limit = time.monotonic() + self.spec.timeout_s - self.spec.grace_s
        while child.poll() is None and not self.stopped and time.monotonic() < limit:
            time.sleep(records.PAUSE_S)
        timed_out = child.poll() is None and not self.stopped
        if child.poll() is None:
            _print("time is over: the run is asked to save" if timed_out else "asked to stop")
            self._end(child)
        status = child.wait()
        # nothing that the session has started outlives it
        records.end_all(self.record["mark"], child.pid, grace_s=1.0)
        return _Session(status, timed_out)

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Ask the session's first process to save and end, which asks the others itself."""
        child.terminate()
        try:
            child.wait(self.spec.grace_s)
        except subprocess.TimeoutExpired:
            _print(f"it did not end within {self.spec.grace_s} s, and is killed")
            records.end_all(self.record["mark"], child.pid, grace_s=0.0)

    def _judged(self, session: _Session, attempt: int) -> tuple[str, str]:
        """State of the job after a session, with the reason; `running` if another one follows."""
        again = command_line(self.spec.resume)
        if session.status == 0:
            return records.FINISHED, ""
        if self.stopped:
            return records.STOPPED, f"go on with: {again}"
        if session.timed_out or self._paused_by_timeout(session.status):
            if attempt < self.spec.resumes:
                _print("the next session goes on from the last checkpoint")
                return records.RUNNING, ""
            return records.OUT_OF_TIME, f"{self.spec.timeout_s:,} s are over; go on with: {again}"
        if session.status == EXIT_KILLED:
            return records.ENDED_BY_CARD, self._verdict().get("reason", "")
        if session.status < 0:
            name = signal.Signals(-session.status).name
            return records.FAILED, f"killed by {name}; go on with: {again}"
        return records.FAILED, f"exit {session.status}: see {self.folder / records.LOG}"

    def _paused_by_timeout(self, status: int) -> bool:
        """True if the card's own timeout paused the run."""
        return status == EXIT_KILLED and str(self._verdict().get("reason")).startswith("timeout")

    def _verdict(self) -> Mapping[str, Any]:
        path = self.folder.parent.parent / self.spec.card / "verdict.json"
        try:
            found: dict[str, Any] = read_json(path)
        except FileNotFoundError:
            return {}
        return found


def executable(words: Sequence[str]) -> list[str]:
    """Words of a command with its program's place on this machine."""
    return [*PROGRAMS.get(words[0], [words[0]]), *words[1:]]


def supervise(folder: Path) -> str:
    """Supervise the job of a record in this process; the state in which it ended."""
    return _Supervisor(folder).run()


def _print(text: str) -> None:
    os.write(1, f"launch: {text}\n".encode())


if __name__ == "__main__":
    sys.exit(0 if supervise(Path(sys.argv[1])) == records.FINISHED else 1)
