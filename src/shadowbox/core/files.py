"""Atomic writing of files: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import get_ident

from shadowbox.core import system

Chunk = bytes | bytearray | memoryview
MOST_LINKS = 40  # of one path, as on Linux


def write_whole(path: Path, chunks: Chunk | Iterable[Chunk]) -> None:
    """Write `path` so that at every moment it holds its complete old or complete new content.

    A link is followed and stays. A device, a pipe or an open stream (`/dev/stdout`) stays what it
    is and takes the content as it comes; a folder is refused. An OSError names `path`.
    """
    if isinstance(chunks, Chunk):
        chunks = (chunks,)
    try:
        target = _target(path)
        if isinstance(target, int) or _is_special(target):
            _write_into(target, chunks)
        else:
            _write_beside(target, chunks)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # a full disk names no file
        raise


def _write_beside(path: Path, chunks: Iterable[Chunk]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        system.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    system.sync_folder(path.parent)


def _write_into(target: Path | int, chunks: Iterable[Chunk]) -> None:
    if isinstance(target, int):  # its position in the file is shared with what is printed
        sys.stdout.flush()
        target_file = os.fdopen(os.dup(target), "wb")
    else:
        target_file = open(target, "wb")  # noqa: SIM115  closed below
    with target_file as file:
        for chunk in chunks:
            file.write(chunk)


def _target(path: Path) -> Path | int:
    """Path behind all links; a number where it is an open file of this process."""
    for _ in range(MOST_LINKS):
        if not path.is_symlink():
            return path
        folder = path.parent.resolve()
        if folder == Path(f"/proc/{os.getpid()}/fd"):
            return int(path.name)
        if folder.parts[:2] == ("/", "proc"):  # its links have no readable target
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _is_special(path: Path) -> bool:
    """Return true for a device or a pipe; OSError for what cannot be written to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISBLK(mode):
        raise OSError(errno.EPERM, "a disk is not written over", str(path))
    return not stat.S_ISREG(mode)
