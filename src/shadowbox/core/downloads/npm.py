"""Packages of npm at a pinned version, fetched by npm itself and checked before they are opened.

`npm pack` asks the registry that is configured for npm, and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from shadowbox.core.files import write_whole
from shadowbox.errors import ShadowboxError, system_error

LONGEST_S = 900  # of a download


class _NpmPackage(NamedTuple):
    """Package at the one version that is used."""

    name: str
    version: str
    sha512: str  # of the archive, in hexadecimal digits
    size: int  # of the archive, in bytes
    again: str  # command to run again once npm is there


def fetched(package: _NpmPackage) -> bytes:
    """Archive of the package, a .tgz, as npm fetches it; any other content is refused."""
    with tempfile.TemporaryDirectory(prefix="shadowbox-npm-") as temporary:
        return checked(package, _packed(package, Path(temporary)))


def checked(package: _NpmPackage, archive: Path) -> bytes:
    """Content of the archive, if it has the pinned digest."""
    size = archive.stat().st_size
    content = archive.read_bytes() if size == package.size else b""
    digest = hashlib.sha512(content).hexdigest()
    if digest != package.sha512:
        reason = (
            f"it has {size:,} bytes; expected {package.size:,}"
            if size != package.size
            else f"its SHA-512 begins with {digest[:16]}; expected {package.sha512[:16]}"
        )
        raise ShadowboxError(
            f"{package.name} {package.version}: the archive is not the known one: {reason}. "
            "Nothing was kept; check which registry npm asks: npm config get registry"
        )
    return content


def keep(name: str, archive: bytes, files: Mapping[str, int], folder: Path, inside: str) -> None:
    """Write files of an archive, each whole; `files` have their sizes, and are below `inside` in it.

    A file of another size than the known one is refused; `name` names the package then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        for file, size in files.items():
            member = opened.extractfile(f"{inside}/{file}")
            data = b"" if member is None else member.read(size + 1)
            if len(data) != size:
                raise ShadowboxError(f"{name}: {file} has {len(data):,} bytes; expected {size:,}")
            write_whole(folder / file, data)


def _packed(package: _NpmPackage, folder: Path) -> Path:
    """Archive that `npm pack` writes into the folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise ShadowboxError(
            f"npm was not found, which fetches {package.name}: install Node.js, which brings npm "
            f"(Debian: apt-get install npm), and run `{package.again}` again"
        )
    command = [npm, "pack", f"{package.name}@{package.version}", "--pack-destination", str(folder)]
    command += ["--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    try:
        ended = subprocess.run(  # noqa: S603  npm by its full path, without a shell
            command,
            cwd=folder,
            env={**os.environ, "npm_config_update_notifier": "false"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ShadowboxError(
            f"npm did not fetch {package.name} within {LONGEST_S} s; try again"
        ) from None
    except OSError as error:
        raise ShadowboxError(f"npm cannot be started: {system_error(error)}") from error
    archives = sorted(folder.glob("*.tgz"))
    if ended.returncode or len(archives) != 1:
        raise ShadowboxError(_refusal(package, ended.stderr))
    return archives[0]


def _refusal(package: _NpmPackage, text: str) -> str:
    """Reason of npm in plain words."""
    lines = [line.partition("npm")[2].strip() for line in text.splitlines() if "npm" in line]
    words = " ".join(lines)
    unreachable = (
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ETIMEDOUT",
        "ECONNRESET",
        "ENETUNREACH",
    )
    if any(code in words for code in unreachable):
        reason = "the registry cannot be reached: check the network, and npm config get registry"
    elif "E404" in words or "ETARGET" in words:
        reason = "the registry that is configured does not have this version"
    elif "E401" in words or "E403" in words:
        reason = "the registry refuses this user: npm login"
    else:
        reason = f"npm failed: {words[:300] or 'without a message'}"
    return f"{package.name} {package.version} was not fetched: {reason}"
