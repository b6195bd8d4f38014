"""Where recordings lie: files, folders, zip and tar archives. Nothing is ever unpacked to disk, and no archive is believed.

What an archive declares is checked before a byte is unpacked, and what is unpacked is counted: a
bomb costs no more memory than one recording, and no more time than its budget.
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
# an archive may unpack to so many times its size, and LARGEST more; replays shrink ten to thirty
# times
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
    """A recording: its name for people, and the file or its content; or why it cannot be had."""

    name: str
    content: Path | bytes = b""
    refused: str = ""


def find_recordings(paths: Sequence[Path], endings: Sequence[str]) -> list[Path]:
    """The files to look at, in a fixed order: what was named, and in folders what has a fitting name."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        found += _below(path, (*endings, *ZIP, *TAR)) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _below(folder: Path, endings: Sequence[str]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}")

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from (
            Path(place) / name for name in sorted(files) if name.lower().endswith(tuple(endings))
        )


def recordings(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    """What lies at a path: the file itself, or the members of the archive that it is."""
    name = path.name.lower()
    if not path.is_file():
        yield Recording(str(path), refused="it is no regular file")
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
            str(path), refused=f"its name ends with none of {', '.join((*endings, *ZIP, *TAR))}"
        )


class _Budget:
    """How much an archive may still unpack to."""

    def __init__(self, path: Path) -> None:
        self.left = EXPANSION * path.stat().st_size + LARGEST

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise RecordingError(
                f"the archive unpacks to more than {EXPANSION} times its size; the rest of it is not read"
            )


def _zipped(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise RecordingError(
                f"the archive has {len(members):,} members, {MOST_MEMBERS:,} are possible"
            )
        for member in members:
            if member.is_dir() or not member.filename.lower().endswith(tuple(endings)):
                continue
            name = f"{path}:{member.filename}"
            if problem := _strange(member.filename, member.file_size):
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
                    name, refused=f"it cannot be unpacked: {error or type(error).__name__}"
                )


def _tarred(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    budget = _Budget(path)
    # a stream: memory does not grow with the archive
    with tarfile.open(path, "r|*", tarinfo=_Member) as archive:
        for number, member in enumerate(archive):
            archive.members = []  # type: ignore[attr-defined]  # it would keep every member that it ever saw
            if number >= MOST_MEMBERS:
                raise RecordingError(
                    f"the archive has more than {MOST_MEMBERS:,} members; the rest of it is not read"
                )
            name, wanted = f"{path}:{member.name}", member.name.lower().endswith(tuple(endings))
            budget.spend(member.size)
            if member.isdir() or (not wanted and member.isreg()):
                continue
            if not member.isreg():
                if wanted:
                    yield Recording(name, refused="it is a link or a device, not a file")
                continue
            if problem := _strange(member.name, member.size):
                yield Recording(name, refused=problem)
                continue
            file = archive.extractfile(member)
            assert file is not None
            yield Recording(name, _content(file, member.size))


class _Member(tarfile.TarInfo):
    """A member whose extended header is not larger than a name can be: tarfile would read all of it into memory."""

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _EXTENDED and self.size > LONGEST_NAME:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _strange(name: str, size: int) -> str:
    """What is wrong with what an archive says of a member, in words."""
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in name or "\0" in name:
        return "its name leads out of the archive"
    if size > LARGEST:
        return f"it is {size:,} bytes long, {LARGEST:,} are possible"
    return ""


def _content(file: IO[bytes], size: int) -> bytes:
    """The member, if it is as long as the archive says."""
    content = file.read(size + 1)
    if len(content) != size:
        raise RecordingError(f"it is not {size:,} bytes long, as the archive says")
    return content
