"""Records of launched jobs, `runs/.launch/CARD/`, and the processes that belong to each.

    record.json   the spec, the state and the processes of the job; written whole
    log.txt       what the job printed, all its sessions one after another

Every process of a job carries the job's mark in its environment, so that exactly those that were
started are found again, whatever sessions and groups they have made.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json, write_whole
from shadowbox.core.system import KILL, has_group
from shadowbox.errors import ShadowboxError, UsageError, did_you_mean
from shadowbox.launch.spec import FOLDER, _LaunchSpec, read_spec
from shadowbox.train import runs as prior

RECORD, LOG = "record.json", "log.txt"
FORMAT, VERSION = "shadowbox launch", 1
MARK = "SHADOWBOX_LAUNCH"  # environment variable of a job's processes
PROC = Path("/proc")
STARTING, RUNNING, SUBMITTED = "starting", "running", "submitted"  # the job is not over
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
ENDED_BY_CARD, OUT_OF_TIME, LOST = "ended by its card", "out of time", "lost"
ALIVE = (STARTING, RUNNING, SUBMITTED)
SHAPE = {
    "format": str, "version": int, "state": str, "spec": dict, "mark": str, "attempt": int,
    "when": str, "text?": str, "process?": {"pid": int, "began": (int, None)}, "job?": str,
}  # fmt: skip
PAUSE_S = 0.05  # between two looks at a process


def folder_of(name: str, runs: Path = prior.RUNS) -> Path:
    """Folder of a job's record."""
    return runs / FOLDER / name


def new_record(spec: _LaunchSpec, mark: str) -> dict[str, Any]:
    """Record of a job that is about to start."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "state": STARTING,
        "spec": spec.to_json(),
        "mark": mark,
        "attempt": 0,
        "when": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    }


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a record, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())


def read_record(folder: Path) -> dict[str, Any]:
    """Record of a job; one that is missing, damaged or of a later version is refused."""
    try:
        found: dict[str, Any] = read_json(
            folder / RECORD, SHAPE, hint=f"remove {folder} to forget the job"
        )
    except FileNotFoundError:
        raise UsageError(f"{folder} holds no launched job") from None
    if found["format"] != FORMAT or found["version"] > VERSION:
        raise ShadowboxError(
            f"{folder / RECORD} is {found['format']} {found['version']}, this Shadowbox reads "
            f"{FORMAT} {VERSION}: update Shadowbox"
        )
    return found


def spec_of(record: Mapping[str, Any]) -> _LaunchSpec:
    """The spec of a job."""
    return read_spec(record["spec"], "the record's spec")


def jobs(runs: Path = prior.RUNS) -> list[Path]:
    """Folders of all jobs, by name."""
    return sorted(path.parent for path in (runs / FOLDER).glob(f"*/{RECORD}"))


def find_job(name: str, runs: Path = prior.RUNS) -> Path:
    """Folder of the job of a name: the card's id, or its path."""
    known = {folder.name: folder for folder in jobs(runs)}
    name = Path(name).stem if name.endswith(".md") else name
    if name not in known:
        raise UsageError(f"no job '{name}' was launched in {runs}: {did_you_mean(name, known)}")
    return known[name]


# ---- processes -----------------------------------------------------------------------------------


def identity(pid: int) -> dict[str, Any]:
    """A process and its start in clock ticks since the machine's, by which it is known again."""
    return {"pid": pid, "began": _began(pid)}


def is_alive(process: Mapping[str, Any] | None) -> bool:
    """True if exactly this process runs still, and not another one that got its number."""
    if process is None:
        return False
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return False
    began = _began(process["pid"])
    return not _is_zombie(process["pid"]) and began == process["began"]


def marked(mark: str) -> list[int]:
    """Processes that carry a job's mark, where the system shows environments (Linux)."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in PROC.iterdir() if PROC.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or belongs to another user
            continue
        if wanted in words and not _is_zombie(int(entry.name)):
            found.append(int(entry.name))
    return found


def end_all(mark: str, group: int | None, grace_s: float) -> None:
    """End all processes of a job: first by SIGTERM, after `grace_s` seconds by SIGKILL.

    `group`: its process group, which is asked where environments are not shown.
    """
    for number, patience in ((signal.SIGTERM, grace_s), (KILL, 10.0)):
        for pid in _members(mark, group):
            _signal(pid, number)
        until = time.monotonic() + patience
        while time.monotonic() < until and list(_members(mark, group)):
            time.sleep(PAUSE_S)


def _members(mark: str, group: int | None) -> Iterator[int]:
    if PROC.is_dir():
        yield from marked(mark)
    elif group is not None and has_group(group):
        yield -group


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has ended meanwhile


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the name, which may hold spaces and brackets."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _began(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else None


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] == ["Z"]
