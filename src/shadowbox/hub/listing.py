"""List of a hub folder, `hub.json`: what it holds, and size and digest of each of its files.

    FOLDER/README.md      model card, dataset card or summary of a run card, generated
           hub.json       kind, name, game, license, and an entry for every other file
           ...            files of the kind (hub/contents.py): plain data, without folders

A reader takes the files that the list names, and refuses a folder with any other file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shadowbox import __version__
from shadowbox.core.files import open_plain, parse_json, write_whole
from shadowbox.errors import ShadowboxError

LIST, README = "hub.json", "README.md"
FORMAT, VERSION = "shadowbox hub folder", 1
KINDS = ("run", "checkpoint", "store", "card")
LARGEST_LIST = 16 << 20  # bytes
MOST_FILES = 100_000
# data alone: nothing that is run or unpickled, and nothing that is unpacked
ENDINGS = (".safetensors", ".json", ".jsonl", ".npy", ".npz", ".csv", ".md")
MARKERS = ("done",)  # files without an ending
IGNORED = (".gitattributes",)  # that the hub adds by itself; never taken
PIECE = 1 << 20  # bytes that are read at a time
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,119}")
_SHAPE = {
    "format": str,
    "version": int,
    "kind": str,
    "name": str,
    "game": str,
    "license": str,
    "by": str,
    "files": {str: {"bytes": int, "blake2b": str}},
}


@dataclass(frozen=True)
class _HubList:
    """List of a hub folder."""

    kind: str
    name: str
    game: str
    license: str
    files: Mapping[str, Mapping[str, Any]]  # name -> bytes, blake2b

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(int(entry["bytes"]) for entry in self.files.values())


def name_problem(name: str) -> str:
    """Problem with the name of a file in a hub folder; empty if there is none."""
    if not _NAME.fullmatch(name) or ".." in name:
        return (
            "its name must be letters, digits and . _ + - alone, without folders and without '..'"
        )
    if name not in MARKERS and not name.lower().endswith(ENDINGS):
        known = ", ".join((*ENDINGS, *MARKERS))
        return f"files of its kind are never taken; expected {known}"
    return ""


def digest_of(file: BinaryIO, most: int, into: BinaryIO | None = None) -> dict[str, Any]:
    """Size and BLAKE2b-256 of a file, up to `most` bytes and one more; copied along the way."""
    digest, size = hashlib.blake2b(digest_size=32), 0
    while piece := file.read(min(PIECE, most + 1 - size)):
        digest.update(piece)
        size += len(piece)
        if into is not None:
            into.write(piece)
    return {"bytes": size, "blake2b": digest.hexdigest()}


def write_list(folder: Path, *, kind: str, name: str, game: str, license: str) -> str:
    """Write the list of a folder's files. Return the digest of the list."""
    files = {}
    for path in sorted(folder.iterdir()):
        if problem := name_problem(path.name):
            raise ShadowboxError(f"{path.name} cannot be pushed: {problem}")
        with open_plain(path) as file:
            files[path.name] = digest_of(file, path.stat().st_size)
    data = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "name": name,
        "game": game,
        "license": license,
        "by": f"shadowbox {__version__}",
        "files": files,
    }
    text = (json.dumps(data, indent=1) + "\n").encode()
    write_whole(folder / LIST, text)
    return list_digest(text)


def list_digest(text: bytes) -> str:
    """Digest of a list, and so of the whole folder."""
    return hashlib.blake2b(text, digest_size=32).hexdigest()


def parse_list(text: bytes, where: str) -> _HubList:
    """List of a folder that may be damaged or hostile."""
    data = parse_json(text, f"{where}/{LIST}", _SHAPE, hint="push it again")
    if data["format"] != FORMAT or data["version"] < 1:
        raise ShadowboxError(
            f"{where}/{LIST}: expected '{FORMAT}' version {VERSION} "
            f"(got {data['format']!r:.60} version {data['version']})"
        )
    if data["version"] > VERSION:
        raise ShadowboxError(
            f"{where}/{LIST} has version {data['version']}, this Shadowbox reads {VERSION}: "
            "update Shadowbox"
        )
    if data["kind"] not in KINDS:
        raise ShadowboxError(
            f"{where}/{LIST}: kind must be one of {', '.join(KINDS)} (got {data['kind']!r:.60})"
        )
    files = data["files"]
    if len(files) > MOST_FILES:
        raise ShadowboxError(f"{where}/{LIST} names {len(files):,} files; at most {MOST_FILES:,}")
    for name, entry in files.items():
        problem = name_problem(name)
        if name.lower() == LIST or entry["bytes"] < 0:
            problem = "it cannot be in its own list, nor be shorter than nothing"
        if problem:
            raise ShadowboxError(f"{where}/{LIST} names {name!r:.80}: {problem}")
    if len({name.lower() for name in files}) < len(files):
        raise ShadowboxError(f"{where}/{LIST} names two files that differ by upper case alone")
    if name_problem(data["name"] + ".md"):
        raise ShadowboxError(f"{where}/{LIST}: name {data['name']!r:.80} cannot be used for a file")
    return _HubList(data["kind"], data["name"], data["game"], data["license"], files)


def require_listed(found: Mapping[str, int], listed: _HubList, where: str) -> None:
    """Refuse a folder whose files, by name and size, are not those of its list."""
    for name in sorted(found.keys() - listed.files.keys() - {LIST, *IGNORED}):
        raise ShadowboxError(
            f"{where}/{name[:200]} is not in {LIST}: it was added later; "
            "remove it, or push the folder again"
        )
    for name, entry in listed.files.items():
        if name not in found:
            raise ShadowboxError(f"{where}/{name} is missing; push the folder again")
        if found[name] != entry["bytes"]:
            raise ShadowboxError(
                f"{where}/{name} was changed: {found[name]:,} bytes, {entry['bytes']:,} in {LIST}"
            )
