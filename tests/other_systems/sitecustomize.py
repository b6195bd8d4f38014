"""Makes an interpreter of Linux resemble another system for the code of Shadowbox, child processes included.

Python imports this at its start where the folder is on PYTHONPATH. SHADOWBOX_TEST_SYSTEM names the
system: `bare` lacks what POSIX adds, `windows` also has locks by `msvcrt` and refuses to replace,
rename or remove a file that this process has open or mapped. Other packages keep the real modules:
they have their own code for each system.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import importlib
import os
import sys
import types

SYSTEM = os.environ.get("SHADOWBOX_TEST_SYSTEM")
HIDDEN = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"}
MISSING = ("pread", "pwrite", "sysconf", "fork", "sched_getaffinity", "getloadavg")  # of os
HELD = os.environ.get("SHADOWBOX_TEST_LOCKS")  # a file that lists the calls of `locking`


def locking(handle, mode, count):
    """A lock on bytes from the position of the file on: mandatory, of a file handle, refused at once."""
    if HELD:
        with open(HELD, "a", encoding="utf-8") as calls:
            calls.write(f"{os.getpid()} {mode} {os.lseek(handle, 0, os.SEEK_CUR)} {count}\n")
    try:
        fcntl.flock(handle, fcntl.LOCK_UN if mode == 0 else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


MSVCRT = types.SimpleNamespace(LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, locking=locking)


def importing(real, named):
    """An import function that has another answer for modules of Shadowbox."""

    def other(name, *rest, **options):
        importer = named(rest, options)
        if importer.partition(".")[0] == "shadowbox":
            if name in HIDDEN:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
            if name == "msvcrt" and SYSTEM == "windows":
                return MSVCRT
        return real(name, *rest, **options)

    return other


def guarded(real):
    """A function of `os` that refuses a path that is in use."""

    def other(path, *rest, **options):
        for each in (path, *rest[:1]):
            folder = options.get("dir_fd") or options.get("src_dir_fd")
            if isinstance(each, str | os.PathLike) and folder is None and in_use(each):
                raise PermissionError(errno.EACCES, "in use by another process", str(each))
        return real(path, *rest, **options)

    return other


def in_use(path):
    """Whether this process has the file, or a file in the folder, open or mapped."""
    wanted = os.path.realpath(path)
    taken = set()
    for handle in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            taken.add(os.readlink(f"/proc/self/fd/{handle}"))
    with open("/proc/self/maps", encoding="utf-8") as maps:
        taken |= {line[line.index("/") :].rstrip("\n") for line in maps if "/" in line}
    return any(name == wanted or name.startswith(f"{wanted}/") for name in taken)


if SYSTEM:
    builtins.__import__ = importing(
        builtins.__import__,
        lambda rest, options: (rest[0] if rest and rest[0] else {}).get("__name__", ""),
    )
    importlib.import_module = importing(
        importlib.import_module,
        lambda rest, options: sys._getframe(2).f_globals.get("__name__", ""),
    )
    for name in MISSING:
        if hasattr(os, name):
            delattr(os, name)
if SYSTEM == "windows":
    for name in ("replace", "rename", "unlink", "remove"):
        setattr(os, name, guarded(getattr(os, name)))
