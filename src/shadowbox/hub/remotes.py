"""Places to push to and to pull from: a folder of this machine, or a remote of fsspec.

A folder appears whole or not at all. A remote has no such rename: its list is written last and
removed first, so that a push that was cut off cannot be pulled.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from shadowbox.core.files import open_plain
from shadowbox.core.system import replace
from shadowbox.errors import ShadowboxError, UsageError, install_hint
from shadowbox.hub.listing import LARGEST_LIST, LIST, MOST_FILES


class _Remote(Protocol):
    """Place of one hub folder."""

    name: str

    def sizes(self) -> dict[str, int]:
        """Bytes of each file by its path inside; links and the like are refused by name."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        ...

    def staging(self, overwrite: bool) -> Any:
        """Context with an empty folder to fill, for `publish`."""
        ...

    def publish(self, folder: Path, names: Sequence[str]) -> None:
        """Put a filled folder there, its list last."""
        ...


def remote_of(text: str) -> _Remote:
    """The place that a path or a URL such as s3://BUCKET/NAME names."""
    protocol, marks, rest = text.partition("://")
    if not marks:
        return _Folder(Path(text))
    if protocol == "file":
        return _Folder(Path(rest))
    return _Fsspec(text)


def list_text(remote: _Remote) -> bytes:
    """Bytes of the list of a hub folder."""
    with remote.open(LIST) as file:
        text = file.read(LARGEST_LIST + 1)
    if len(text) > LARGEST_LIST:
        raise ShadowboxError(f"{remote.name}/{LIST} has more than {LARGEST_LIST:,} bytes")
    return text


class _Folder:
    """Folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def sizes(self) -> dict[str, int]:
        if self.path.is_symlink() or not self.path.is_dir():
            raise UsageError(f"{self.path} is not a folder; expected one with a {LIST}")
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise ShadowboxError(
                        f"{self.path / entry.name} is a link, a folder or a device; a hub folder "
                        "has plain files alone"
                    )
                found[entry.name] = status.st_size
        return found

    def open(self, name: str) -> BinaryIO:
        if (self.path / name).is_symlink():
            raise ShadowboxError(
                f"{self.path / name} is a link; a hub folder has plain files alone"
            )
        try:
            return open_plain(self.path / name)
        except FileNotFoundError:
            raise ShadowboxError(f"{self.path} is not a hub folder: it has no {name}") from None

    @contextmanager
    def staging(self, overwrite: bool) -> Iterator[Path]:
        if self.path.exists():
            if not overwrite:
                raise UsageError(f"{self.path} is there already: name another, or add --overwrite")
            if not (self.path / LIST).is_file():
                raise UsageError(f"{self.path} is not a hub folder; it is not written over")
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            temporary.mkdir(parents=True)
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def publish(self, folder: Path, names: Sequence[str]) -> None:
        for path in folder.iterdir():  # a second name of a store's file would change with it
            if path.stat().st_nlink > 1:
                copy = path.with_name(f"{path.name}.copy")
                shutil.copyfile(path, copy)
                copy.replace(path)
        before = self.path.with_name(f".{self.path.name}.before")
        if self.path.exists():
            replace(self.path, before)
        replace(folder, self.path)
        shutil.rmtree(before, ignore_errors=True)


class _Fsspec:
    """Prefix of a bucket, a repository of the hub, or any other place that fsspec knows."""

    def __init__(self, text: str) -> None:
        self.name = text.rstrip("/")
        if "::" in text:
            raise UsageError(f"{text}: chained URLs are not taken; name one place")
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise UsageError(f"remotes need fsspec: {install_hint('hub')}") from error
        try:
            self.files, self.root = url_to_fs(self.name)
        except (ImportError, ValueError) as error:  # an unknown protocol, or its package is missing
            raise UsageError(f"{text}: {error}; s3:// needs {install_hint('hub')}") from error
        self.root = self.root.rstrip("/")

    def sizes(self) -> dict[str, int]:
        with self._named("list"):
            self.files.invalidate_cache()
            entries = self.files.find(self.root, detail=True)
        if len(entries) > MOST_FILES + 10:
            raise ShadowboxError(f"{self.name} holds more than {MOST_FILES:,} files")
        found = {}
        for path, entry in entries.items():
            name = path.removeprefix(self.root).lstrip("/")
            if entry.get("type") != "file" or entry.get("islink"):
                raise ShadowboxError(f"{self.name}/{name} is not a plain file")
            found[name] = int(entry["size"] or 0)
        return found

    def open(self, name: str) -> BinaryIO:
        with self._named(f"read {name} of"):
            return cast(BinaryIO, self.files.open(f"{self.root}/{name}", "rb"))

    @contextmanager
    def staging(self, overwrite: bool) -> Iterator[Path]:
        with self._named("look into"):
            self.files.invalidate_cache()
            there = self.files.exists(f"{self.root}/{LIST}")
        if there and not overwrite:
            raise UsageError(f"{self.name} is there already: name another, or add --overwrite")
        with tempfile.TemporaryDirectory(prefix="shadowbox-") as temporary:
            yield Path(temporary)

    def publish(self, folder: Path, names: Sequence[str]) -> None:
        with self._named("write to"):
            self.files.invalidate_cache()
            listed = f"{self.root}/{LIST}"
            if self.files.exists(listed):
                before = self.files.find(self.root)
                self.files.rm_file(listed)
                kept = {f"{self.root}/{name}" for name in names}
                for path in before:
                    if path != listed and path not in kept and not path.endswith("/.gitattributes"):
                        self.files.rm_file(path)
            for name in (*(name for name in names if name != LIST), LIST):
                self.files.put_file(str(folder / name), f"{self.root}/{name}")

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except ShadowboxError:
            raise
        except FileNotFoundError as error:
            raise ShadowboxError(f"{self.name}: {error}; is its name right?") from error
        except Exception as error:  # each backend has errors of its own; all mean the same here
            first = (str(error).strip().splitlines() or [""])[0][:300]
            raise ShadowboxError(
                f"could not {what} {self.name}: {type(error).__name__}: {first}; check the "
                "address and your credentials"
            ) from error
