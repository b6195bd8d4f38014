"""Files of one checkpoint: synced writing, and reading that refuses every damage."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shadowbox.core import files
from shadowbox.errors import CheckpointError

WEIGHTS, CONFIG, SCHEMA, TRAINER = "model.safetensors", "config.json", "schema.json", "trainer.pt"
NEEDED = (
    WEIGHTS,
    CONFIG,
    SCHEMA,
)  # of every checkpoint; one that is shipped has no trainer's state
DIGESTED, DONE = (*NEEDED, TRAINER), "done"


def to_json_bytes(data: Any) -> bytes:
    """Text of a JSON file; NaN and infinity are refused."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that survives a power cut."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def digests(folder: Path) -> dict[str, Any]:
    """Size and BLAKE2b-256 of each file that `done` lists."""
    entries = {}
    for name in DIGESTED:
        if name not in NEEDED and not (folder / name).exists():
            continue
        with open(folder / name, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
        entries[name] = {"bytes": (folder / name).stat().st_size, "blake2b": digest}
    return entries


def require_whole(folder: Path) -> None:
    """Refuse links out of the folder, pickles, and files that differ from what was written."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a checkpoint: expected a folder")
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link; a checkpoint is a folder itself")
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            raise CheckpointError(
                f"{path} is a link or a folder; expected only files in a checkpoint"
            )
    if not (folder / DONE).exists():
        raise CheckpointError(
            f"{folder} is not a finished checkpoint: its '{DONE}' marker is missing; "
            f"use another step"
        )
    written = read_json(folder / DONE)
    there = [name for name in DIGESTED if (folder / name).exists()]
    for name in dict.fromkeys((*NEEDED, *there, *(n for n in DIGESTED if n in written))):
        if not isinstance(written.get(name), dict) or name not in there:
            raise CheckpointError(
                f"{folder / name} is missing; use another step, or restore it from a copy"
            )
        size, expected = (folder / name).stat().st_size, written[name].get("bytes")
        if size != expected:
            raise CheckpointError(
                f"{folder / name} is {size:,} bytes long, {expected} were written; use another step"
            )
    for name, entry in digests(folder).items():
        if entry != written[name]:
            raise CheckpointError(
                f"{folder / name} is damaged: its digest differs; use another step"
            )


def step_of(folder: Path, config: dict[str, Any]) -> int:
    """The step of a checkpoint: its folder's name, or what a shipped one says."""
    step = config.get("step")
    if isinstance(step, int) and not isinstance(step, bool) and step >= 0:
        return step
    if not folder.name.isdecimal() or len(folder.name) > 18:
        raise CheckpointError(
            f"{folder} is not a checkpoint: its folder is named by a step, or its config.json has one"
        )
    return int(folder.name)


def read_json(path: Path) -> dict[str, Any]:
    """Object in a JSON file."""
    try:
        data: dict[str, Any] = files.read_json(path, error=CheckpointError, hint="use another step")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; use another step") from None
    return data


def load_plain(path: Path) -> Any:
    """Read tensors, numbers, text and containers (`weights_only`).

    Torch itself refuses any content that would execute code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds; all mean the same to the user
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        unsupported = (
            line.partition("Please")[0].strip() for line in lines if "Unsupported" in line
        )
        reason = next(unsupported, lines[0] if lines else type(error).__name__)
        raise CheckpointError(
            f"{path} is not a trainer state of plain data and is not opened: {reason}"
        ) from error


def require_plain(value: Any, where: str) -> None:
    """Refuse to write data that `load_plain` would refuse to read, long before a run is resumed."""
    if isinstance(value, dict):
        for key, item in value.items():
            require_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            require_plain(item, f"{where}[{at}]")
    elif type(value) not in (int, float, str, bool, type(None)) and not isinstance(value, Tensor):
        raise CheckpointError(
            f"{where} is a {type(value).__name__}; "
            f"expected a tensor, a number, a text or a container of these"
        )
