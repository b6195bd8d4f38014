"""Single compressed recordings, such as game.slp.gz: .gz, .xz, and zlib's .zlib and .zz."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from shadowbox.data.archives import limits
from shadowbox.data.archives.limits import BROKEN, PIECE, Recording, _Budget
from shadowbox.errors import RecordingError

XZ_MEMORY = 128 << 20  # bytes that unpacking may take; the strongest preset needs 65 MiB


def plain_name(name: str) -> str:
    """Name without the ending of a compression."""
    ending = next((end for end in COMPRESSED if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)]


def unpacked(path: Path) -> bytes:
    """Content of a file with one compressed recording, of at most `LARGEST` bytes."""
    try:
        with open(path, "rb") as file:
            return _unpacked(path.name, file, lambda size: None)
    except OSError as error:
        raise RecordingError(f"cannot be unpacked: {error}") from error


def plain_member(name: str, member: str, content: bytes, budget: _Budget) -> Recording:
    """Recording of an archive's member, which is unpacked, within the archive's budget, if packed."""
    if not member.lower().endswith(COMPRESSED):
        return Recording(name, content)
    plain = plain_name(name)
    try:
        return Recording(plain, _unpacked(member, io.BytesIO(content), budget.spend))
    except _Spent as spent:
        raise RecordingError(str(spent)) from spent
    except RecordingError as error:
        return Recording(name, refused=str(error))


class _Spent(Exception):
    """The budget of an archive is spent, which ends the archive and not only its member."""


def _unpacked(name: str, file: IO[bytes], spend: Callable[[int], None]) -> bytes:
    pieces, size = [], 0
    unpack = next(of for end, of in _UNPACK.items() if name.lower().endswith(end))
    try:
        for piece in unpack(file):
            size += len(piece)
            if size > limits.LARGEST:
                raise RecordingError(f"must unpack to at most {limits.LARGEST:,} bytes")
            try:
                spend(len(piece))
            except RecordingError as error:
                raise _Spent(str(error)) from error
            pieces.append(piece)
    except BROKEN as error:
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


def _zlib(file: IO[bytes]) -> Iterator[bytes]:
    """Pieces of a zlib stream (RFC 1950)."""
    decoder, packed = zlib.decompressobj(), b""
    while not decoder.eof:
        packed = packed or file.read(PIECE)
        if not packed:
            raise EOFError("the file ends too early")
        yield decoder.decompress(packed, PIECE)
        packed = decoder.unconsumed_tail
    if decoder.unused_data or file.read(1):
        raise RecordingError("more data follows the end of the compressed recording")


_UNPACK: dict[str, Callable[[IO[bytes]], Iterator[bytes]]] = {
    ".gz": _gz,
    ".xz": _xz,
    ".zlib": _zlib,
    ".zz": _zlib,
}
COMPRESSED = tuple(_UNPACK)  # endings after that of a recording
