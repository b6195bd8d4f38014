"""Atomic writing of files, and bounded reading of JSON that may be damaged or hostile.

A file is written beside its target, synced and renamed. Reading checks that a file is a plain one,
its size, and the depth, numbers and types of its data.

A shape describes the expected data by example: `{"name": str, "shards": [{"rows": int}]}`. `str`,
`int`, `float` (any finite number), `bool`, `dict` and `list` are types, `object` is anything,
`[shape]` is a list, `{str: shape}` an object with any keys, and a tuple lists alternatives. A key
that ends with `?` may be missing; keys that a shape does not name are ignored.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import get_ident
from typing import Any, BinaryIO

from shadowbox.core import system
from shadowbox.errors import ShadowboxError

Chunk = bytes | bytearray | memoryview
MOST_LINKS = 40  # of one path, as on Linux

LARGEST = 64 << 20  # bytes
DEEPEST = 64  # objects and lists inside each other
LOWEST, HIGHEST = -(1 << 63), (1 << 64) - 1  # integers that fit into 64 bits, signed or not

WORDS: dict[Any, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false",
    dict: "an object", list: "a list", None: "null",
}  # fmt: skip


def write_whole(path: Path, chunks: Chunk | Iterable[Chunk]) -> None:
    """Write `path` so that at every moment it holds its complete old or complete new content.

    A link is followed and stays. A device, a pipe or an open stream (`/dev/stdout`) stays what it
    is and takes the content as it comes; a folder is refused. An OSError names `path`.
    """
    if isinstance(chunks, Chunk):
        chunks = (chunks,)
    try:
        target = _target(path)
        if isinstance(target, int) or _is_special(target):
            _write_into(target, chunks)
        else:
            _write_beside(target, chunks)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # a full disk names no file
        raise


def _write_beside(path: Path, chunks: Iterable[Chunk]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.tmp")
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


def _write_into(target: Path | int, chunks: Iterable[Chunk]) -> None:
    if isinstance(target, int):  # its position in the file is shared with what is printed
        sys.stdout.flush()
        target_file = os.fdopen(os.dup(target), "wb")
    else:
        target_file = open(target, "wb")  # noqa: SIM115  closed below
    with target_file as file:
        for chunk in chunks:
            file.write(chunk)


def _target(path: Path) -> Path | int:
    """Path behind all links; a number where it is an open file of this process."""
    for _ in range(MOST_LINKS):
        if not path.is_symlink():
            return path
        folder = path.parent.resolve()
        if folder == system.open_files():
            return int(path.name)
        if folder.parts[:2] == ("/", "proc"):  # its links have no readable target
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _is_special(path: Path) -> bool:
    """Return true for a device or a pipe; OSError for what cannot be written to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISBLK(mode):
        raise OSError(errno.EPERM, "a disk is not written over", str(path))
    return not stat.S_ISREG(mode)


# ---- reading -------------------------------------------------------------------------------------


def read_bytes(
    path: Path, *, error: type[ShadowboxError] = ShadowboxError, largest: int | None = None
) -> bytes:
    """Content of a plain file; pipes, devices and files above `largest` bytes are refused.

    FileNotFoundError is passed on.
    """
    with open_plain(path, error=error) as file:
        size = os.fstat(file.fileno()).st_size
        if largest is not None and size > largest:
            raise error(f"{path} has {size:,} bytes, expected at most {largest:,}")
        try:
            return file.read()
        except OSError as failed:
            raise error(f"{path} cannot be read: {failed.strerror or failed}") from failed


def open_plain(path: Path, *, error: type[ShadowboxError] = ShadowboxError) -> BinaryIO:
    """Open a plain file for reading; pipes, devices and folders are refused.

    FileNotFoundError is passed on.
    """
    try:
        # opening a pipe would otherwise wait for a writer forever
        handle = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return open(handle, "rb")
        os.close(handle)
        raise error(f"{path} is not a plain file (a pipe, a device or a folder)")
    except FileNotFoundError:
        raise
    except NotADirectoryError as failed:
        raise FileNotFoundError(failed.errno, failed.strerror, str(path)) from failed
    except OSError as failed:
        raise error(f"{path} cannot be read: {failed.strerror or failed}") from failed
    except ValueError as failed:  # a name with a null character
        raise error(f"{str(path)!r} cannot be read: {failed}") from failed


def read_json(
    path: Path,
    shape: Any = dict,
    *,
    error: type[ShadowboxError] = ShadowboxError,
    hint: str = "restore it from a copy",
    largest: int = LARGEST,
) -> Any:
    """Data of a JSON file, of the expected shape; FileNotFoundError is passed on."""
    return parse_json(
        read_bytes(path, error=error, largest=largest), str(path), shape, error=error, hint=hint
    )


def parse_json(
    text: bytes,
    where: str,
    shape: Any = dict,
    *,
    error: type[ShadowboxError] = ShadowboxError,
    hint: str = "restore it from a copy",
) -> Any:
    """Data of JSON text, of the expected shape; errors name `where` and the key."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise error(
            f"{where} is damaged: it is nested deeper than {DEEPEST} levels; {hint}"
        ) from None
    except ValueError as failed:
        raise error(f"{where} is damaged: {failed}; {hint}") from failed
    for problem in _unbounded(data):
        raise error(f"{where} cannot be used: {problem}; {hint}")
    for problem in mismatches(data, shape):
        raise error(f"{where} cannot be used: {problem}; {hint}")
    return data


def mismatches(data: Any, shape: Any, key: str = "") -> Iterator[str]:
    """Differences between data and a shape as text, each with its key."""
    if shape is object:
        return
    if isinstance(shape, tuple):
        if all(next(mismatches(data, each, key), None) is not None for each in shape):
            expected = " or ".join(_expected(each) for each in shape)
            yield f"{key or 'its content'} must be {expected} (got {_short(data)})"
    elif isinstance(shape, type) or shape is None:
        if not _is(data, shape):
            yield f"{key or 'its content'} must be {WORDS[shape]} (got {_short(data)})"
    elif isinstance(shape, list):
        if not isinstance(data, list):
            yield f"{key or 'its content'} must be a list (got {_short(data)})"
            return
        for at, item in enumerate(data):
            yield from mismatches(item, shape[0], _inside(key, at))
    elif not isinstance(data, dict):
        yield f"{key or 'its content'} must be an object (got {_short(data)})"
    elif set(shape) == {str}:
        for name, item in data.items():
            yield from mismatches(item, shape[str], _inside(key, name))
    else:
        for name, each in shape.items():
            known = name.removesuffix("?")
            if known in data:
                yield from mismatches(data[known], each, _inside(key, known))
            elif known == name:
                yield f"{_inside(key, known)} is missing, expected {_expected(each)}"


def _unbounded(data: Any) -> Iterator[str]:
    """Values that no file of this project holds, with their keys; without recursion."""
    waiting: list[tuple[Any, str, int]] = [({"": data}, "", -1)]
    while waiting:
        value, key, depth = waiting.pop()
        if depth > DEEPEST:
            yield f"{key[:80]}... is nested deeper than {DEEPEST} levels"
            return
        if isinstance(value, dict):
            if half := [name for name in value if _is_half(name)]:
                yield f"a name in {key or 'it'} has half of a surrogate pair ({half[0][:60]!r})"
            items: Any = value.items()
        else:
            items = enumerate(value)
        for name, item in items:
            if isinstance(item, dict | list):
                waiting.append((item, _inside(key, name), depth + 1))
            elif problem := _unbounded_value(item):
                yield f"{_inside(key, name) or 'its content'} {problem}"


def _unbounded_value(value: Any) -> str:
    if isinstance(value, str):
        return "has half of a surrogate pair" if _is_half(value) else ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"must be finite (got {value})"
    if value is None or LOWEST <= value <= HIGHEST:
        return ""
    return f"must fit into 64 bits (got a number of {value.bit_length()} bits)"


def _is_half(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _is(data: Any, kind: Any) -> bool:
    if kind is None:
        return data is None
    if kind is float:
        return isinstance(data, int | float) and not isinstance(data, bool)
    return isinstance(data, kind) and (kind is not int or not isinstance(data, bool))


def _expected(shape: Any) -> str:
    if isinstance(shape, tuple):
        return " or ".join(_expected(each) for each in shape)
    if shape is object:
        return "a value"
    return WORDS[list if isinstance(shape, list) else dict if isinstance(shape, dict) else shape]


def _inside(key: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{key}[{name}]"
    name = name if name.isprintable() and len(name) <= 60 else f"{name[:60]!r}..."
    return f"{key}.{name}" if key and name else key or name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
