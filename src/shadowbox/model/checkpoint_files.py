"""The files of one checkpoint: written synced, and read only where they are as they were written."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shadowbox.errors import CheckpointError

WEIGHTS, CONFIG, SCHEMA, TRAINER = "model.safetensors", "config.json", "schema.json", "trainer.pt"
DIGESTED, DONE = (WEIGHTS, CONFIG, SCHEMA, TRAINER), "done"


def to_json_bytes(data: Any) -> bytes:
    """The text of a JSON file; numbers that JSON does not have are refused."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that survives a power cut."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def digests(folder: Path) -> dict[str, Any]:
    """Size and BLAKE2b-256 of each file that `done` lists."""
    found = {}
    for name in DIGESTED:
        with open(folder / name, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
        found[name] = {"bytes": (folder / name).stat().st_size, "blake2b": digest}
    return found


def require_whole(folder: Path) -> None:
    """Refuse links out of the folder, pickles, and anything that is not as it was written."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no checkpoint: a checkpoint is a folder")
    if folder.is_symlink() or not folder.name.isdecimal():
        raise CheckpointError(
            f"{folder} is no checkpoint: its folder is named by a step and is no link"
        )
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            raise CheckpointError(
                f"{path} is a link or a folder; the files of a checkpoint lie in it themselves"
            )
    if not (folder / DONE).exists():
        raise CheckpointError(
            f"{folder} is not a finished checkpoint: its '{DONE}' marker is missing; use another step"
        )
    written = read_json(folder / DONE)
    for name in DIGESTED:
        if name not in written or not (folder / name).exists():
            raise CheckpointError(
                f"{folder / name} is missing; use another step, or restore it from a copy"
            )
        size, wanted = (folder / name).stat().st_size, written[name]["bytes"]
        if size != wanted:
            raise CheckpointError(
                f"{folder / name} is {size:,} bytes long, {wanted:,} were written; use another step"
            )
    for name, found in digests(folder).items():
        if found != written[name]:
            raise CheckpointError(
                f"{folder / name} is not what was written: its digest differs; use another step"
            )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__}, an object is needed")
    return found


def load_plain(path: Path) -> Any:
    """`weights_only`: tensors, numbers, text and containers; anything that would run code is refused by torch itself."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds; all mean the same to the user
        told = [line.strip() for line in str(error).splitlines() if line.strip()] or [
            type(error).__name__
        ]
        reason = next(
            (line.partition("Please")[0].strip() for line in told if "Unsupported" in line), told[0]
        )
        raise CheckpointError(
            f"{path} is no trainer state of plain data and is not opened: {reason}"
        ) from error


def require_plain(value: Any, where: str) -> None:
    """Refuse to write what `load_plain` would refuse to read: a run must not find out when it resumes."""
    if isinstance(value, dict):
        for key, item in value.items():
            require_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            require_plain(item, f"{where}[{at}]")
    elif type(value) not in (int, float, str, bool, type(None)) and not isinstance(value, Tensor):
        raise CheckpointError(
            f"{where} is a {type(value).__name__}; a checkpoint holds tensors, numbers, text and containers"
        )
