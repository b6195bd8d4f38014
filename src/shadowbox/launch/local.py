"""Jobs on this machine: started detached under a supervisor, looked at, and stopped."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from shadowbox.core import system
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.launch import records
from shadowbox.launch.spec import _LaunchSpec

PATIENCE_S = 60.0  # until a supervisor has started its first session


def start(spec: _LaunchSpec, folder: Path) -> dict[str, Any]:
    """Start a job under a supervisor of its own; its record once it runs."""
    if system.WINDOWS:
        raise UsageError(
            "jobs are launched on Linux and macOS alone: call "
            f"`{system.command_line(spec.command)}` in a window of its own"
        )
    require_idle(folder)
    record = records.new_record(spec, secrets.token_hex(8))
    records.write_record(folder, record)
    supervisor = _detached(
        [sys.executable, "-m", "shadowbox.launch.supervisor", str(folder)], folder / records.LOG
    )
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and os.waitpid(supervisor, os.WNOHANG) == (0, 0):
        found = records.read_record(folder)
        if found["state"] != records.STARTING:
            return found
        time.sleep(records.PAUSE_S)
    if (found := records.read_record(folder))["state"] != records.STARTING:
        return found
    records.write_record(folder, record | {"state": records.FAILED, "text": "it never began"})
    raise ShadowboxError(f"the job of {spec.card} never began: see {folder / records.LOG}")


def _detached(words: list[str], log: Path) -> int:
    """Start a process in a session of its own, which outlives this one; its number."""
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        words[0],
        words,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def require_idle(folder: Path) -> None:
    """Refuse a second job of a card while the first one runs."""
    if (folder / records.RECORD).exists() and status(folder)["state"] in records.ALIVE:
        raise UsageError(
            f"{folder.name} runs already: see `shadowbox launch status`, or end it with "
            f"`shadowbox launch stop {folder.name}`"
        )


def status(folder: Path) -> dict[str, Any]:
    """Record of a job, whose state is `lost` where its supervisor is gone without a word."""
    record = records.read_record(folder)
    if record["state"] in (records.RUNNING, records.STARTING) and "process" in record:
        if records.is_alive(record["process"]):
            return record
        record = records.read_record(folder)  # it may have ended in between
        if record["state"] == records.RUNNING:
            return record | {"state": records.LOST, "text": "its supervisor was killed"}
    return record


def stop(folder: Path) -> dict[str, Any]:
    """End a job with all its processes, and no others; its record.

    The run saves first. A supervisor that is gone is done without.
    """
    record = status(folder)
    spec = records.spec_of(record)
    if record["state"] not in (*records.ALIVE, records.LOST):
        return record
    process = record.get("process")
    if records.is_alive(process):
        assert process is not None
        os.kill(process["pid"], signal.SIGTERM)
        until = time.monotonic() + spec.grace_s + 20.0
        while time.monotonic() < until and records.is_alive(process):
            time.sleep(records.PAUSE_S)
    child = (record.get("child") or {}).get("pid")
    records.end_all(record["mark"], child, spec.grace_s)
    found = records.read_record(folder)
    if found["state"] in records.ALIVE:  # its supervisor could not say so
        again = system.command_line(spec.resume)
        found |= {"state": records.STOPPED, "text": f"go on with: {again}"}
        records.write_record(folder, found)
    return found


def wait(folder: Path) -> dict[str, Any]:
    """Wait until a job is over; its record."""
    while (found := status(folder))["state"] in records.ALIVE:
        time.sleep(0.2)
    return found
