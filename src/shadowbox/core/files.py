"""Files are written whole or not at all: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from threading import get_ident

Chunk = bytes | bytearray | memoryview


def write_whole(path: Path, chunks: Chunk | Iterable[Chunk]) -> None:
    """Write `path` so that at every moment it holds either its old content or all of the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.tmp")
    if isinstance(chunks, Chunk):
        chunks = (chunks,)
    try:
        with open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
