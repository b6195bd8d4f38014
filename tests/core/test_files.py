"""Files are written whole or not at all, and JSON is read within bounds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadowbox.core import system
from shadowbox.core.files import read_json, write_whole
from shadowbox.errors import ShadowboxError, StoreError


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


@pytest.mark.skipif(system.WINDOWS, reason="Windows cannot do this to a folder")
def test_a_power_cut_after_the_end_finds_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is on the disk before the rename, and the folder with the new name after it."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        assert os.fstat(handle).st_ino in {tmp_path.stat().st_ino, *map(inode, tmp_path.iterdir())}
        fsync(handle)

    def inode(path: Path) -> int:
        return path.stat().st_ino

    def renamed(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_whole(tmp_path / "a", b"new")
    assert done == ["file", "rename", "folder"]


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


# ---- what is no plain file -----------------------------------------------------------------------


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A link, also one to a missing file and through another link, leads to the content."""
    (tmp_path / "there").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "there" / "real")
    (tmp_path / "b").symlink_to("a")
    for content in (b"one", b"two"):
        write_whole(tmp_path / "b", content)
        assert (tmp_path / "there" / "real").read_bytes() == content
        assert (tmp_path / "a").is_symlink()
        assert (tmp_path / "b").is_symlink()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["real"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        write_whole(tmp_path / "loop", b"x")


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """A device takes the content; a full one is an error that names it, and both stay what they are."""
    devices = tmp_path / "devices"
    devices.mkdir()
    try:
        for number, name in ((3, "null"), (7, "full")):
            os.mknod(devices / name, 0o666 | stat.S_IFCHR, os.makedev(1, number))
    except (AttributeError, PermissionError):
        pytest.skip("only root makes devices, on Linux")
    write_whole(devices / "null", b"x" * 100_000)
    with pytest.raises(OSError, match="No space left") as refused:
        write_whole(devices / "full", b"x" * 100_000)
    assert refused.value.filename == str(devices / "full")
    assert sorted(path.name for path in devices.iterdir()) == ["full", "null"]
    assert all(path.is_char_device() for path in devices.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    """The reader of a named pipe gets the content, and the pipe stays."""
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(tmp_path / "pipe", [b"one", b"two"])
        assert os.read(reading, 100) == b"onetwo"
    finally:
        os.close(reading)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a system without /proc")
def test_standard_output_goes_on_behind_the_content(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`/dev/stdout` takes the content between what is printed before and after it."""
    with open(tmp_path / "out", "w+b") as file:
        file.write(b"before ")
        file.flush()
        write_whole(Path(f"/proc/self/fd/{file.fileno()}"), b"page ")
        file.write(b"after")
    assert (tmp_path / "out").read_bytes() == b"before page after"
    write_whole(Path("/dev/stdout"), b"page")
    assert capfd.readouterr().out == "page"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder is refused by name before anything is written."""
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError) as refused:
        write_whole(tmp_path / "a", b"x")
    assert refused.value.filename == str(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


SHAPE = {"name": str, "parts": [{"rows": int, "scale?": (float, None)}], "more?": {str: bool}}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b'{"name": "x", "parts": [{"rows": 1' + b"0" * 30 + b"}]}", r"parts\[0\]\.rows must fit"),
        (b'{"name": 1' + b"0" * 5000 + b"}", "damaged"),
        (b'{"name": "x", "parts": [{"rows": NaN}]}', r"parts\[0\]\.rows must be finite"),
        (b'{"name": "x", "parts": [{"rows": 1, "scale": 1e999}]}', "scale must be finite"),
        (b'{"name": "x", "parts": [{"rows": true}]}', r"rows must be a whole number \(got True\)"),
        (b'{"name": "x", "parts": [{"rows": 1, "scale": "2"}]}', "must be a number or null"),
        (b'{"name": "x", "parts": [{}]}', r"parts\[0\]\.rows is missing"),
        (b'{"name": "x", "parts": {}}', r"parts must be a list \(got \{\}\)"),
        (b'{"name": "x", "parts": [], "more": {"a": 1}}', r"more\.a must be true or false"),
        (b'{"name": "\\ud800", "parts": []}', "half of a surrogate pair"),
        (b'{"\\ud800": "x"}', "a name in it has half"),
        (b'{"parts": []}', "name is missing"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"name": ' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper than 64"),
        (b"[]", r"its content must be an object"),
        (b"\xff", "damaged"),
        (b"", "damaged"),
    ],
)
def test_json_of_another_shape_is_refused(tmp_path: Path, text: bytes, key: str) -> None:
    """Numbers, types, depth and names that a file must not have are refused by file and key."""
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(StoreError, match=rf"a\.json .*{key}"):
        read_json(tmp_path / "a.json", SHAPE, error=StoreError)


def test_json_of_the_shape_is_read(tmp_path: Path) -> None:
    """Data of the shape is returned as it is, with keys that the shape does not name."""
    text = '{"name": "é", "parts": [{"rows": 18446744073709551615, "scale": null}], "other": [0.5]}'
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert read_json(tmp_path / "a.json", SHAPE)["parts"] == [
        {"rows": (1 << 64) - 1, "scale": None}
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_only_plain_files_are_read(tmp_path: Path) -> None:
    """A pipe, a device, a folder and a file that is too large are refused and not waited for."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(b" " * 101)
    for name, reason in (("pipe", "plain"), ("zero", "plain"), (".", "plain"), ("large", "101")):
        with pytest.raises(ShadowboxError, match=reason):
            read_json(tmp_path / name, largest=100)
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "gone")
