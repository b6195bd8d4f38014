"""Lock of a store's folder: one writer at a time."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from shadowbox.core import system
from shadowbox.errors import StoreError, StoreLocked

LOCK = "writer.lock"

log = logging.getLogger(__name__)


class _Lock:
    """Lock that admits one writer at a time.

    The kernel releases the lock of a dead process, so the text of a stale file has no effect.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(folder / LOCK, "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise StoreError(f"{folder} cannot be written to: {error.strerror}") from error
        try:
            system.lock(self._file.fileno())
        except BlockingIOError:
            owner = self._owner() or "another process"
            self._file.close()
            raise StoreLocked(
                f"{folder} is being written to by {owner}; wait for that writer, or end it"
            ) from None
        except OSError as error:
            self._file.close()
            raise StoreError(
                f"{folder} cannot be locked: {error.strerror}; use a file system with locks"
            ) from error
        if owner := self._owner():
            log.warning(
                "%s: the last writer (%s) ended without closing it; continuing from its last "
                "commit",
                folder,
                owner,
            )
        try:
            self._write(f"pid {os.getpid()} on host {socket.gethostname()}".encode())
        except OSError as error:
            self._file.close()
            raise StoreError(f"{folder} cannot be written to: {error.strerror}") from error

    def release(self) -> None:
        self._write(b"")
        system.unlock(self._file.fileno())
        self._file.close()

    def _owner(self) -> str:
        self._file.seek(0)
        return self._file.read(400).decode(errors="replace").strip()

    def _write(self, text: bytes) -> None:
        self._file.truncate(0)
        self._file.write(text)  # in append mode, so at the beginning of the empty file
