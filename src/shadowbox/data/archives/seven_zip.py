"""Members of .7z archives, block by block: py7zr reads the headers, the data is unpacked here.

A block is what 7-Zip compresses as one: a solid archive is one long block or a few, others have a
block for each member. Unpacking goes through a block once, and keeps one member in memory. A block
that an earlier ingest has finished is passed over without unpacking it.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Any, Protocol

from shadowbox.data.archives.compressed import plain_member
from shadowbox.data.archives.limits import (
    MOST_MEMBERS,
    PIECE,
    Recording,
    _Budget,
    member_problem,
    too_many,
)
from shadowbox.errors import RecordingError, UsageError, install_hint

SEVEN_ZIP = (".7z",)
SIGNATURE = 32  # bytes at the beginning, with the size and the checksum of the header
LARGEST_DICTIONARY = 512 << 20  # bytes of memory that unpacking may take
COPY, DELTA, X86, LZMA2 = b"\x00", b"\x03", b"\x04", b"\x21"
LZMA1, DEFLATE, BZIP2 = b"\x03\x01\x01", b"\x04\x01\x08", b"\x04\x02\x02"


class _Decoder(Protocol):
    """Function of (packed bytes, most bytes to return) -> bytes; holds back what it cannot return."""

    def __call__(self, packed: bytes, most: int) -> bytes: ...


def blocks_of(
    path: Path, endings: Sequence[str], finished: AbstractSet[str] = frozenset()
) -> Iterator[Recording]:
    """Recordings in a .7z archive; after each block one that names it in `finished`.

    Blocks that are in `finished` already are passed over; their recordings are named, as known.
    """
    archive = _opened(path)
    budget, identity = _Budget(path), identity_of(path)
    with archive, open(path, "rb") as file:
        if len(archive.files) > MOST_MEMBERS:
            raise too_many(len(archive.files))
        streams = archive.header.main_streams
        if streams is None:
            return
        places, at = streams.packinfo.packpositions, 0
        for number, block in enumerate(streams.unpackinfo.folders):
            first, at = at, at + max(1, len(block.packed_indices))  # its packed streams
            name = f"{identity}#{number}"
            members = [each for each in block.files or () if not each.emptystream]
            wanted = [each for each in members if _is_wanted(each, endings)]
            if not wanted:
                continue
            if name in finished:
                yield from (Recording(f"{path}:{each.filename}", known=True) for each in wanted)
                continue
            file.seek(archive.afterheader + places[first])
            size = places[first + 1] - places[first]
            yield from _members(path, file, size, block, members, endings, budget)
            yield Recording(str(path), finished=name)


def identity_of(path: Path) -> str:
    """Name of an archive's content: of its size and its signature, which has the header's checksum."""
    with open(path, "rb") as file:
        head = file.read(SIGNATURE)
    return hashlib.blake2b(
        head + path.stat().st_size.to_bytes(8, "little"), digest_size=12
    ).hexdigest()


def _opened(path: Path) -> Any:
    try:
        import py7zr
    except ImportError as error:
        raise UsageError(
            f"{path}: a .7z archive needs py7zr: {install_hint('sevenzip')}"
        ) from error
    try:
        return py7zr.SevenZipFile(path)
    except Exception as error:  # a damaged or encrypted header makes py7zr raise almost anything
        raise RecordingError(
            f"the archive cannot be opened: {type(error).__name__}: {error or 'damaged header'}"
        ) from error


def _is_wanted(member: Any, endings: Sequence[str]) -> bool:
    return not member.is_directory and member.filename.lower().endswith(tuple(endings))


def _members(
    path: Path,
    file: IO[bytes],
    size: int,
    block: Any,
    members: Sequence[Any],
    endings: Sequence[str],
    budget: _Budget,
) -> Iterator[Recording]:
    """Recordings of one block, whose packed bytes begin at the place of `file`."""
    stream = _Stream(file, size, _decoder(block.coders))
    last = max(at for at, each in enumerate(members) if _is_wanted(each, endings))
    for member in members[: last + 1]:
        name, length = f"{path}:{member.filename}", int(member.uncompressed)
        budget.spend(length)  # what is passed over has to be unpacked, too
        problem = member_problem(member.filename, length)
        if problem or not _is_wanted(member, endings):
            for _ in stream.pieces(length):
                pass
            if problem and _is_wanted(member, endings):
                yield Recording(name, refused=problem)
            continue
        content = b"".join(stream.pieces(length))
        if member.is_symlink:
            yield Recording(name, refused="not a file but a link or a device")
        elif member.crc32 is not None and zlib.crc32(content) != member.crc32:
            yield Recording(name, refused="cannot be unpacked: its checksum differs")
        else:
            yield plain_member(name, member.filename, content, budget)


class _Stream:
    """Unpacked bytes of a block, in order."""

    def __init__(self, file: IO[bytes], size: int, decoder: _Decoder) -> None:
        self._file, self._left, self._decoder = file, size, decoder

    def pieces(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes, in pieces."""
        while length > 0:
            piece = self._decoder(b"", min(length, PIECE))
            if not piece:
                packed = self._file.read(min(PIECE, self._left))
                self._left -= len(packed)
                piece = self._decoder(packed, min(length, PIECE))
                if not piece and not packed:
                    raise EOFError("a block ends too early")
            length -= len(piece)
            yield piece


def _decoder(coders: Sequence[Any]) -> _Decoder:
    """Decoder of a block; a method that is not read is refused by its code."""
    methods = [coder["method"] for coder in coders]
    if methods == [COPY]:
        return _held(lambda packed, most: packed)
    if methods == [DEFLATE]:
        inflate = zlib.decompressobj(-15)
        return _held(lambda packed, most: inflate.decompress(packed, most), inflate)
    if methods == [BZIP2]:
        return _of_object(bz2.BZ2Decompressor())
    filters = [found for coder in reversed(coders) if (found := _filter(coder))]
    # liblzma loses the end of a member behind LZMA1 and a filter for programs
    lossy = LZMA1 in methods and len(methods) > 1
    if lossy or not filters or len(filters) < len(coders):
        codes = ", ".join(method.hex() for method in methods)
        raise RecordingError(
            f"the archive is packed with a method that is not read ({codes}); "
            f"pack it again with LZMA2, 7-Zip's own default"
        )
    return _of_object(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters))


def _filter(coder: Any) -> dict[str, Any] | None:
    """Filter of liblzma for a coder; None for another method."""
    method, settings = coder["method"], coder["properties"] or b""
    found: dict[str, Any] | None = None
    if method == LZMA2 and len(settings) == 1 and settings[0] <= 40:
        size = (2 | settings[0] & 1) << (settings[0] // 2 + 11)
        found = {"id": lzma.FILTER_LZMA2, "dict_size": size}
    elif method == LZMA1 and len(settings) == 5 and settings[0] < 225:
        rest, lc = divmod(settings[0], 9)
        pb, lp = divmod(rest, 5)
        size = int.from_bytes(settings[1:], "little")
        found = {
            "id": lzma.FILTER_LZMA1,
            "dict_size": max(size, 4096),
            "lc": lc,
            "lp": lp,
            "pb": pb,
        }
    elif method == DELTA and len(settings) == 1:
        found = {"id": lzma.FILTER_DELTA, "dist": settings[0] + 1}
    elif method in (X86, b"\x03\x03\x01\x03"):
        found = {"id": lzma.FILTER_X86}
    if found and found.get("dict_size", 0) > LARGEST_DICTIONARY:
        raise RecordingError(
            f"unpacking the archive takes {found['dict_size']:,} bytes of memory, "
            f"at most {LARGEST_DICTIONARY:,} are allowed; pack it again with a smaller dictionary"
        )
    return found


def _of_object(decoder: Any) -> _Decoder:
    """Function of a decompressor that holds packed bytes back by itself."""

    def decode(packed: bytes, most: int) -> bytes:
        if decoder.eof or (decoder.needs_input and not packed):
            return b""
        found: bytes = decoder.decompress(packed, most)
        return found

    return decode


def _held(unpack: Callable[[bytes, int], bytes], inflate: Any = None) -> _Decoder:
    """Function of one that returns packed bytes which it has not used (`unconsumed_tail`), or all."""
    held = b""

    def decode(packed: bytes, most: int) -> bytes:
        nonlocal held
        held += packed
        if inflate is None:
            found, held = held[:most], held[most:]
            return found
        found = unpack(held, most) if held else b""
        held = inflate.unconsumed_tail
        return found

    return decode
