"""Atomic writing of files: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from threading import get_ident

from shadowbox.core import system

Chunk = bytes | bytearray | memoryview


def write_whole(path: Path, chunks: Chunk | Iterable[Chunk]) -> None:
    """Write `path` so that at every moment it holds its complete old or complete new content."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.tmp")
    if isinstance(chunks, Chunk):
        chunks = (chunks,)
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
