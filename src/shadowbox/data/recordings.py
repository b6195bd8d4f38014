"""Safe reading of untrusted recordings from files, folders, zip and tar archives.

Nothing is unpacked to disk. Sizes that an archive declares are checked before a byte is unpacked,
and unpacked bytes are counted: a decompression bomb costs no more memory than one recording, and no
more time than its budget.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from shadowbox.errors import RecordingError, UsageError

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
LARGEST = 256 << 20  # bytes of one member; an hour of four players is 150 MB
# an archive may unpack to EXPANSION times its size, and LARGEST more; replays shrink to between a
# tenth and a thirtieth
EXPANSION = 100
MOST_MEMBERS = 1_000_000
LONGEST_NAME = 1 << 16  # bytes of a tar's extended header

_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)


@dataclass(frozen=True)
class Recording:
    """Name of a recording, and its file or content; or a reason why it is refused."""

    name: str
    content: Path | bytes = b""
    refused: str = ""


def find_recordings(paths: Sequence[Path], endings: Sequence[str]) -> list[Path]:
    """Files to read, in a fixed order: the named ones, and in folders those with a fitting name."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; name a file or a folder")
        files += _below(path, (*endings, *ZIP, *TAR)) if path.is_dir() else [path]
    return list(dict.fromkeys(files))


def _below(folder: Path, endings: Sequence[str]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}")

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from (
            Path(place) / name for name in sorted(files) if name.lower().endswith(tuple(endings))
        )


def recordings(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    """Recordings at a path: the file itself, or the members of the archive."""
    name = path.name.lower()
    if not path.is_file():
        yield Recording(str(path), refused="not a regular file")
    elif name.endswith(ZIP) or name.endswith(TAR):
        try:
            yield from _zipped(path, endings) if name.endswith(ZIP) else _tarred(path, endings)
        except _BROKEN as error:
            yield Recording(
                str(path), refused=f"the archive is damaged: {error or type(error).__name__}"
            )
        except RecordingError as error:
            yield Recording(str(path), refused=str(error))
    elif name.endswith(tuple(endings)):
        yield Recording(str(path), path)
    else:
        yield Recording(
            str(path),
            refused=f"expected a name that ends with one of {', '.join((*endings, *ZIP, *TAR))}",
        )


class _Budget:
    """Bytes to which an archive may still unpack."""

    def __init__(self, path: Path) -> None:
        self.left = EXPANSION * path.stat().st_size + LARGEST

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise RecordingError(
                f"the archive unpacks to more than {EXPANSION} times its size; "
                f"the rest of it is not read"
            )


def _zipped(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise RecordingError(
                f"the archive must have at most {MOST_MEMBERS:,} members (got {len(members):,})"
            )
        for member in members:
            if member.is_dir() or not member.filename.lower().endswith(tuple(endings)):
                continue
            name = f"{path}:{member.filename}"
            if problem := _member_problem(member.filename, member.file_size):
                yield Recording(name, refused=problem)
                continue
            budget.spend(member.file_size)
            try:
                with archive.open(member) as file:
                    yield Recording(name, _content(file, member.file_size))
            except RecordingError as error:
                yield Recording(name, refused=str(error))
            except _BROKEN as error:
                yield Recording(
                    name, refused=f"cannot be unpacked: {error or type(error).__name__}"
                )


def _tarred(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    budget = _Budget(path)
    # a stream: memory does not grow with the archive
    with tarfile.open(path, "r|*", tarinfo=_Member) as archive:
        for number, member in enumerate(archive):
            # otherwise tarfile keeps every member in memory
            archive.members = []  # type: ignore[attr-defined]
            if number >= MOST_MEMBERS:
                raise RecordingError(
                    f"the archive has more than {MOST_MEMBERS:,} members; "
                    f"the rest of it is not read"
                )
            name, wanted = f"{path}:{member.name}", member.name.lower().endswith(tuple(endings))
            budget.spend(member.size)
            if member.isdir() or (not wanted and member.isreg()):
                continue
            if not member.isreg():
                if wanted:
                    yield Recording(name, refused="not a file but a link or a device")
                continue
            if problem := _member_problem(member.name, member.size):
                yield Recording(name, refused=problem)
                continue
            file = archive.extractfile(member)
            assert file is not None
            yield Recording(name, _content(file, member.size))


class _Member(tarfile.TarInfo):
    """Member of a tar whose extended header is at most as long as a name.

    tarfile reads the whole header into memory, whatever its declared size.
    """

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _EXTENDED and self.size > LONGEST_NAME:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _member_problem(name: str, size: int) -> str:
    """Problem with the declared name or size of a member; empty if there is none."""
    location = PurePosixPath(name.replace("\\", "/"))
    if location.is_absolute() or ".." in location.parts or ":" in name or "\0" in name:
        return "name leads out of the archive"
    if size > LARGEST:
        return f"must be at most {LARGEST:,} bytes long (got {size:,})"
    return ""


def _content(file: IO[bytes], size: int) -> bytes:
    """Content of a member, which must be as long as the archive declares."""
    content = file.read(size + 1)
    if len(content) != size:
        raise RecordingError(f"length differs from the {size:,} bytes that the archive declares")
    return content
