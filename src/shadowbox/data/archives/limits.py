"""Limits of untrusted archives: sizes of members, names, and the bytes that an archive unpacks to."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from shadowbox.errors import RecordingError

LARGEST = 256 << 20  # bytes of one member; an hour of four players is 150 MB
# an archive may unpack to EXPANSION times its size, and LARGEST more; replays shrink to between a
# tenth and a thirtieth
EXPANSION = 100
MOST_MEMBERS = 1_000_000
PIECE = 1 << 20  # bytes that are unpacked at a time

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)


@dataclass(frozen=True)
class Recording:
    """Name of a recording, and its file or content; or a reason why it is refused.

    `known`: it came in before, as part of a block. `finished` names a block of an archive instead,
    whose recordings all came before this one.
    """

    name: str
    content: Path | bytes = b""
    refused: str = ""
    known: bool = False
    finished: str = ""

    @property
    def nbytes(self) -> int:
        """Size in bytes, 0 for a file that has vanished."""
        if isinstance(self.content, bytes):
            return len(self.content)
        try:
            return self.content.stat().st_size
        except OSError:
            return 0


class _Budget:
    """Bytes to which an archive may still unpack."""

    def __init__(self, path: Path) -> None:
        self.left = EXPANSION * path.stat().st_size + LARGEST

    def spend(self, size: int) -> None:
        """Take from the budget; an archive that exceeds it is refused from here on."""
        self.left -= size
        if self.left < 0:
            raise RecordingError(
                f"the archive unpacks to more than {EXPANSION} times its size; "
                f"the rest of it is not read"
            )


def too_many(count: int) -> RecordingError:
    """Error of an archive with more members than are read."""
    return RecordingError(f"the archive must have at most {MOST_MEMBERS:,} members (got {count:,})")


def member_problem(name: str, size: int) -> str:
    """Problem with the declared name or size of a member; empty if there is none."""
    location = PurePosixPath(name.replace("\\", "/"))
    if location.is_absolute() or ".." in location.parts or ":" in name or "\0" in name:
        return "name leads out of the archive"
    if size > LARGEST:
        return f"must be at most {LARGEST:,} bytes long (got {size:,})"
    return ""


def content_of(file: IO[bytes], size: int) -> bytes:
    """Content of a member, which must be as long as the archive declares."""
    content = file.read(size + 1)
    if len(content) != size:
        raise RecordingError(f"length differs from the {size:,} bytes that the archive declares")
    return content
