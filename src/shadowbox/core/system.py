"""Differences between operating systems: file locks, renames, memory, processor time, workers.

`fcntl`, `resource` and `os.sysconf` exist on POSIX systems, `msvcrt` and `psapi` on Windows. All
other modules use this one, and work where they are missing. A quantity that a system does not
report is None, never a guess. Importing this module is fast, since the command line does it.
"""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor


def _optional(name: str) -> Any:
    """Module of the standard library, or None on a system that lacks it."""
    try:
        return import_module(name)
    except ImportError:
        return None


_fcntl, _msvcrt, _resource = (_optional(name) for name in ("fcntl", "msvcrt", "resource"))

WINDOWS = _fcntl is None and _msvcrt is not None
STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGBREAK")  # SIGBREAK: Ctrl-Break, on Windows alone
    if hasattr(signal, name)
)
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # ends a process at once
CPUINFO = Path("/proc/cpuinfo")
STAT = Path("/proc/stat")
LOCKED_BYTE = 1 << 30  # far beyond the text of a lock file, since Windows hides locked bytes
TRIES, PAUSE_S = 20, 0.05  # tries of a rename on Windows, and the pause between: one second in all
IN_USE = "another program has it open: close that program and try again"

_SAVING = 0  # blocks that store results at a KeyboardInterrupt

log = logging.getLogger(__name__)

# ---- files ---------------------------------------------------------------------------------------


def lock(handle: int) -> None:
    """Lock an open file for this process alone; BlockingIOError if another process has it.

    The system releases the lock of a process that dies. A file system without locks raises another
    OSError.
    """
    if _fcntl is not None:
        _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        try:
            _on_locked_byte(handle, _msvcrt.LK_NBLCK)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                raise BlockingIOError(errno.EAGAIN, "another process has locked it") from None
            raise
    else:
        log.warning("this system has no file locks, so a second writer would not be noticed")


def unlock(handle: int) -> None:
    """Release the lock of a file that is closed next; Windows may otherwise delay it."""
    if WINDOWS:
        _on_locked_byte(handle, _msvcrt.LK_UNLCK)


def _on_locked_byte(handle: int, mode: int) -> None:
    before = os.lseek(handle, 0, os.SEEK_CUR)
    os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
    try:
        _msvcrt.locking(handle, mode, 1)
    finally:
        os.lseek(handle, before, os.SEEK_SET)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut; on Windows, which cannot, do nothing."""
    if WINDOWS:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, replacing a file of that name.

    Windows refuses while any program has the target open, such as a virus scanner for a moment; the
    rename is tried for one second there.
    """
    for attempt in range(TRIES if WINDOWS else 1):
        if attempt:
            time.sleep(PAUSE_S)
        try:
            os.replace(source, target)
            return
        except PermissionError as error:
            refused = error
    if WINDOWS:
        raise PermissionError(refused.errno, IN_USE, str(target)) from refused
    raise refused


def discard(path: Path) -> bool:
    """Remove a file that may be missing. Return false if Windows keeps it because it is open."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if not WINDOWS:
            raise
        return False
    return True


def link(source: Path, target: Path) -> None:
    """Give a file a second name; on a file system without hard links, copy it."""
    try:
        os.link(source, target)
    except OSError:
        import shutil

        shutil.copyfile(source, target)


def user_data() -> Path:
    """Folder of this program's data of this user; `XDG_DATA_HOME` names another parent."""
    usual = {True: "AppData/Local", False: ".local/share"}[WINDOWS]
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / usual) / "shadowbox"


# ---- memory and processors -----------------------------------------------------------------------


def open_files() -> Path:
    """Folder whose links are the open files of this process, by number, where the system has one."""
    return Path(f"/proc/{os.getpid()}/fd")


def memory() -> int | None:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _windows_memory()


def peak_memory() -> int | None:
    """Largest number of bytes of memory that this process has held at a time."""
    if _resource is None:
        return _windows_peak_memory()
    unit = 1 if sys.platform == "darwin" else 1024
    return int(_resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss) * unit


def children_cpu_s() -> float | None:
    """CPU seconds of the child processes that have ended; None on Windows."""
    if _resource is None:
        return None
    used = _resource.getrusage(_resource.RUSAGE_CHILDREN)
    return float(used.ru_utime + used.ru_stime)


def major_faults() -> int | None:
    """Pages that this process had to wait for from disks; None on a system that does not say so."""
    return None if _resource is None else int(_resource.getrusage(_resource.RUSAGE_SELF).ru_majflt)


def has_group(group: int) -> bool:
    """Return true if a process group has a process; false on a system without groups."""
    if not hasattr(os, "killpg"):
        return False
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def busy_cpu_s(stat: Path = STAT) -> float | None:
    """CPU seconds that all processes of this machine have used since its start; Linux reports it."""
    try:
        words = stat.read_text(encoding="ascii", errors="replace").split("\n", 1)[0].split()
        ticks = [int(word) for word in words[1:9]]
        unit = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
    # user, nice, system, idle, waiting for devices, interrupts (two), stolen by other machines
    idle = sum(ticks[3:5])
    return (sum(ticks) - idle) / unit if len(ticks) == 8 else None


def cores() -> int:
    """Number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def processor() -> str:
    """Name of the processor, where the system reports it."""
    import platform

    return _first("model name", CPUINFO) or platform.processor() or platform.machine()


def processor_flags(cpuinfo: Path = CPUINFO) -> set[str]:
    """Instruction sets of the processor, as Linux names them; empty on other systems."""
    return set(_first("flags", cpuinfo).split())


def _first(name: str, path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _windows_memory() -> int | None:
    """Field of MEMORYSTATUSEX of kernel32: length and load (four bytes each), seven numbers."""
    return _windows_number(64, "kernel32", "GlobalMemoryStatusEx")


def _windows_peak_memory() -> int | None:
    """Field of PROCESS_MEMORY_COUNTERS of psapi: length and page faults, then eight numbers."""
    return _windows_number(72, "psapi", "GetProcessMemoryInfo")


def _windows_number(size: int, library: str, function: str) -> int | None:
    """First 64-bit number of a record that Windows fills, whose first member is its size."""
    import ctypes
    import struct

    load: Any = getattr(ctypes, "WinDLL", None)
    if load is None:
        return None
    record = ctypes.create_string_buffer(size)
    struct.pack_into("<I", record, 0, size)
    arguments: list[Any] = [record]
    if library == "psapi":  # takes a process and the size of the record, too
        own = load("kernel32").GetCurrentProcess
        own.restype = ctypes.c_void_p  # otherwise 64 bits are cut to 32
        arguments = [ctypes.c_void_p(own()), record, ctypes.c_uint32(size)]
    succeeded = getattr(load(library), function)(*arguments)
    return int(struct.unpack_from("<Q", record, 8)[0]) if succeeded else None


# ---- processes and the terminal ------------------------------------------------------------------


def start_method(threads: int) -> str:
    """Start method of worker processes: `fork` on Linux from a process of one thread, else `spawn`.

    A forked child would inherit the locks of other threads. On macOS system libraries break in
    forked children, and Windows has no fork.
    """
    can_fork = sys.platform.startswith("linux") and hasattr(os, "fork")
    return "fork" if can_fork and threads == 1 else "spawn"


def begin_worker() -> None:
    """Prepare a worker process: Ctrl-C is for its parent, and it ends when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this worker when its parent ends; otherwise it would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def start_workers() -> Iterator[None]:
    """Start the worker processes of a pool in this block, whatever signals come meanwhile.

    A worker whose start was cut off would be unknown to its parent, and one that Ctrl-C meets before
    `begin_worker` would print a traceback. So signals wait until the block has ended, and workers
    begin with Ctrl-C blocked.
    """
    with shielded():
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            yield
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def end_workers(pool: ProcessPoolExecutor) -> Iterator[None]:
    """End the workers of a pool at once if the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise


@contextmanager
def saves_when_stopped() -> Iterator[None]:
    """Mark work that stores its results at a KeyboardInterrupt, so that none is cut off before."""
    global _SAVING
    _SAVING += 1
    try:
        yield
    finally:
        _SAVING -= 1


def is_saving() -> bool:
    """Return true while a KeyboardInterrupt would store results."""
    return _SAVING > 0


@contextmanager
def shielded() -> Iterator[None]:
    """Delay signals that end the process until the block has ended, so that it is never cut."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: noted.append(number))
        for number in STOP_SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if noted:
            signal.raise_signal(noted[0])


def command_line(words: Sequence[str]) -> str:
    """Words as one line that can be pasted into this system's shell."""
    if WINDOWS:
        import subprocess

        return subprocess.list2cmdline(words)
    import shlex

    return shlex.join(words)


def is_closed_pipe(error: Exception) -> bool:
    """Return true if a write failed because the program at the other end of a pipe has ended."""
    if not WINDOWS:
        return isinstance(error, BrokenPipeError)
    return isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None


def write_any_letter() -> None:
    """Replace letters that the encoding of standard output and error lacks, instead of failing.

    A pipe on Windows takes the letters of one alphabet only.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and (stream.encoding or "").lower() not in ("utf-8", "utf8"):
            reconfigure(errors="replace")
