"""Members of zip and tar archives, one by one. Nothing is unpacked to disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shadowbox.data.archives.compressed import plain_member
from shadowbox.data.archives.limits import (
    BROKEN,
    MOST_MEMBERS,
    Recording,
    _Budget,
    content_of,
    member_problem,
    too_many,
)
from shadowbox.errors import RecordingError

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
LONGEST_NAME = 1 << 16  # bytes of a tar's extended header

_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def zipped(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    """Recordings in a zip archive."""
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise too_many(len(members))
        for member in members:
            if member.is_dir() or not member.filename.lower().endswith(tuple(endings)):
                continue
            name = f"{path}:{member.filename}"
            if problem := member_problem(member.filename, member.file_size):
                yield Recording(name, refused=problem)
                continue
            budget.spend(member.file_size)
            try:
                with archive.open(member) as file:
                    content = content_of(file, member.file_size)
            except RecordingError as error:
                yield Recording(name, refused=str(error))
                continue
            except BROKEN as error:
                yield Recording(
                    name, refused=f"cannot be unpacked: {error or type(error).__name__}"
                )
                continue
            yield plain_member(name, member.filename, content, budget)


def tarred(path: Path, endings: Sequence[str]) -> Iterator[Recording]:
    """Recordings in a tar archive, which is read as a stream: memory does not grow with it."""
    budget = _Budget(path)
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
            if problem := member_problem(member.name, member.size):
                yield Recording(name, refused=problem)
                continue
            file = archive.extractfile(member)
            assert file is not None
            yield plain_member(name, member.name, content_of(file, member.size), budget)


class _Member(tarfile.TarInfo):
    """Member of a tar whose extended header is at most as long as a name.

    tarfile reads the whole header into memory, whatever its declared size.
    """

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _EXTENDED and self.size > LONGEST_NAME:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]
