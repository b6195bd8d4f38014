"""Safe reading of untrusted recordings from files, folders, zip and tar archives.

Nothing is unpacked to disk. Sizes that an archive declares are checked before a byte is unpacked,
and unpacked bytes are counted: a decompression bomb costs no more memory than one recording, and no
more time than its budget.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from shadowbox.errors import RecordingError, UsageError

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
COMPRESSED = (".gz", ".xz")  # a single recording, as in game.slp.gz
LARGEST = 256 << 20  # bytes of one member; an hour of four players is 150 MB
# an archive may unpack to EXPANSION times its size, and LARGEST more; replays shrink to between a
# tenth and a thirtieth
EXPANSION = 100
MOST_MEMBERS = 1_000_000
LONGEST_NAME = 1 << 16  # bytes of a tar's extended header
XZ_MEMORY = 128 << 20  # bytes that unpacking may take; the strongest preset needs 65 MiB
PIECE = 1 << 20  # bytes that are unpacked at a time
MOST_ENDINGS = 5  # that a message lists

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
    lzma.LZMAError,
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

    @property
    def plain_name(self) -> str:
        """Name without the ending of a compression."""
        return self.name[:-3] if self.name.lower().endswith(COMPRESSED) else self.name

    @property
    def nbytes(self) -> int:
        """Size in bytes, 0 for a file that has vanished."""
        if isinstance(self.content, bytes):
            return len(self.content)
        try:
            return self.content.stat().st_size
        except OSError:
            return 0


def find_recordings(paths: Sequence[Path], endings: Sequence[str]) -> list[Path]:
    """Files to read, in a fixed order: the named ones, and in folders those with a fitting name."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; name a file or a folder")
        files += _below(path, allowed_endings(endings)) if path.is_dir() else [path]
    return list(dict.fromkeys(files))


def allowed_endings(endings: Sequence[str]) -> tuple[str, ...]:
    """Endings of recordings, of compressed ones and of archives."""
    return (*_with_compressed(endings), *ZIP, *TAR)


def _with_compressed(endings: Sequence[str]) -> tuple[str, ...]:
    return (*endings, *(ending + packed for ending in endings for packed in COMPRESSED))


def held_files(paths: Sequence[Path]) -> str:
    """Description of the files in folders by the ends of their names, for a message."""
    names = (file.name for path in paths for file in _below(path, ("",)))
    counts = Counter("".join(PurePosixPath(name).suffixes[-2:]) or "no ending" for name in names)
    most = [f"{count:,} {ending[:20]}" for ending, count in counts.most_common(MOST_ENDINGS)]
    more = ["others"] if len(counts) > MOST_ENDINGS else []
    return f"found: {', '.join([*most, *more])}" if counts else "found no file at all"


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
        found = False
        try:
            members = _zipped(path, endings) if name.endswith(ZIP) else _tarred(path, endings)
            for member in members:
                found = True
                yield member
            if not found:
                wanted = ", ".join(endings)
                yield Recording(
                    str(path), refused=f"no file in the archive ends with one of {wanted}"
                )
        except _BROKEN as error:
            yield Recording(
                str(path), refused=f"the archive is damaged: {error or type(error).__name__}"
            )
        except RecordingError as error:
            yield Recording(str(path), refused=str(error))
    elif name.endswith(_with_compressed(endings)):
        yield Recording(str(path), path)
    else:
        allowed = ", ".join(allowed_endings(endings))
        yield Recording(str(path), refused=f"expected a name that ends with one of {allowed}")


def unpacked(path: Path) -> bytes:
    """Content of a file with one compressed recording, of at most `LARGEST` bytes."""
    pieces, size = [], 0
    try:
        with open(path, "rb") as file:
            unpack = _gz(file) if path.name.lower().endswith(".gz") else _xz(file)
            for piece in unpack:
                size += len(piece)
                if size > LARGEST:
                    raise RecordingError(f"must unpack to at most {LARGEST:,} bytes")
                pieces.append(piece)
    except _BROKEN as error:
        raise RecordingError(f"cannot be unpacked: {error or type(error).__name__}") from error
    return b"".join(pieces)


def _gz(file: IO[bytes]) -> Iterator[bytes]:
    import gzip

    with gzip.GzipFile(fileobj=file) as content:
        while piece := content.read(PIECE):
            yield piece


def _xz(file: IO[bytes]) -> Iterator[bytes]:
    """Pieces of an .xz file, whose decoder may not take more memory than `XZ_MEMORY`."""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    while not decoder.eof:
        packed = file.read(PIECE) if decoder.needs_input else b""
        if decoder.needs_input and not packed:
            raise EOFError("the file ends too early")
        yield decoder.decompress(packed, PIECE)
    if decoder.unused_data or file.read(1):
        raise RecordingError("more data follows the end of the compressed recording")


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
