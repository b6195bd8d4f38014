"""Files are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shadowbox.core.files import write_whole


def test_chunks_become_one_file(tmp_path: Path) -> None:
    """Chunks of bytes are joined in order, and the folder holds no other file."""
    write_whole(tmp_path / "a", b"one")
    write_whole(tmp_path / "b", [b"one", bytearray(b"two"), memoryview(b"three")])
    write_whole(tmp_path / "c", memoryview(b"four"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"one",
        "b": b"onetwothree",
        "c": b"four",
    }


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """An error in the middle of writing leaves the old file and no temporary one."""

    def failing() -> Iterator[bytes]:
        yield b"new, but"
        raise KeyboardInterrupt

    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", failing())
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "b", failing())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_the_old_file_is_there_until_the_end(tmp_path: Path) -> None:
    """A reader during a write sees the complete old content."""
    (tmp_path / "a").write_bytes(b"old")
    seen = []

    def chunks() -> Iterator[bytes]:
        yield b"x" * 100_000
        seen.append((tmp_path / "a").read_bytes())
        yield b"y"

    write_whole(tmp_path / "a", chunks())
    assert seen == [b"old"]
    assert (tmp_path / "a").stat().st_size == 100_001
