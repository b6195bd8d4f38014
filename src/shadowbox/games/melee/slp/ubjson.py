"""Reader and writer of UBJSON maps, lists, strings and numbers, as in a replay's metadata."""

from __future__ import annotations

import struct
from typing import Any

from shadowbox.errors import RecordingError

NUMBERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
CONSTANTS = {b"Z": None, b"T": True, b"F": False}
MAX_DEPTH = 16


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Decode the value that starts at byte `at`; return it and the byte after its end."""
    return _Reader(data, at).value()


def encode(value: Any) -> bytes:
    """Encode a value as recorders of replays do.

    Keys and short strings have a length of one byte, integers take four bytes.
    """
    match value:
        case None | bool():
            return {None: b"Z", True: b"T", False: b"F"}[value]
        case int():
            return (
                b"l" + struct.pack(">i", value)
                if -(2**31) <= value < 2**31
                else b"L" + struct.pack(">q", value)
            )
        case float():
            return b"D" + struct.pack(">d", value)
        case str():
            return b"S" + _counted(value)
        case dict():
            return (
                b"{"
                + b"".join(_counted(str(key)) + encode(each) for key, each in value.items())
                + b"}"
            )
        case list() | tuple():
            return b"[" + b"".join(map(encode, value)) + b"]"
    raise RecordingError(
        f"metadata cannot hold a {type(value).__name__}; use text, numbers, lists and maps"
    )


def _counted(text: str) -> bytes:
    content = text.encode()
    length = (
        b"U" + struct.pack(">B", len(content))
        if len(content) < 256
        else b"l" + struct.pack(">i", len(content))
    )
    return length + content


class _Reader:
    """Cursor that never reads past the end and never nests deeper than `MAX_DEPTH`."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def value(self, depth: int = 0) -> tuple[Any, int]:
        return self._value(self._take(1), depth), self.at

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.at:
            raise RecordingError(
                f"byte {self.at}: expected {size} more bytes, "
                f"only {len(self.data) - self.at} are left"
            )
        taken = self.data[self.at : self.at + size]
        self.at += size
        return taken

    def _value(self, kind: bytes, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise RecordingError(
                f"byte {self.at}: maps and lists are nested more than {MAX_DEPTH} deep"
            )
        if kind in CONSTANTS:
            return CONSTANTS[kind]
        if kind in NUMBERS:
            return self._number(kind)
        if kind in (b"S", b"H"):
            return self._text()
        if kind == b"C":
            return self._take(1).decode("latin1")
        if kind == b"{":
            return self._map(depth)
        if kind == b"[":
            return self._list(depth)
        raise RecordingError(f"byte {self.at - 1}: expected the marker of a value (got {kind!r})")

    def _number(self, kind: bytes) -> Any:
        if kind not in NUMBERS:
            raise RecordingError(
                f"byte {self.at - 1}: expected the marker of a number (got {kind!r})"
            )
        layout = NUMBERS[kind]
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _text(self) -> str:
        length = self._number(self._take(1))
        if not isinstance(length, int):
            raise RecordingError(f"byte {self.at}: a length must be an integer (got {length})")
        return self._take(length).decode(errors="replace")

    def _map(self, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while (mark := self._take(1)) != b"}":
            self.at -= 1
            if mark in (b"$", b"#"):
                raise RecordingError(f"byte {self.at}: maps of a fixed type are not supported")
            key = self._text()
            entries[key] = self._value(self._take(1), depth + 1)
        return entries

    def _list(self, depth: int) -> list[Any]:
        entries: list[Any] = []
        while (mark := self._take(1)) != b"]":
            if mark in (b"$", b"#"):
                raise RecordingError(
                    f"byte {self.at}: lists of a fixed type are supported for frames only"
                )
            entries.append(self._value(mark, depth + 1))
        return entries
