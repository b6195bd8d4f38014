"""What a signed ledger holds beyond results: links between lines, controls, weights, a signature.

Each line after the first has `prev`, the digest of the line before it, so that no line can be changed
alone. Who could write all lines anew is met by the signature of the whole file, by `ssh-keygen -Y`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core import system
from shadowbox.core.files import read_bytes
from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Schema
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.play.checkpoints import folder_of_spec

NAMESPACE = "shadowbox-tournament"  # of signatures
WEIGHTS = "model.safetensors"
LARGEST = 1 << 28  # bytes of the controls of a match


def link(line: bytes) -> str:
    """Digest of a line without its end, which the next line holds."""
    return hashlib.blake2b(line, digest_size=16).hexdigest()


def last_link(ledger: Path) -> str:
    """Digest of the last line of a ledger."""
    return link(read_bytes(ledger).rstrip(b"\n").rpartition(b"\n")[2])


def broken_link(lines: Sequence[bytes], links: Sequence[str]) -> int | None:
    """Number of the first line, from 1, whose successor in `links` does not fit; None if all do."""
    for at, (line, prev) in enumerate(zip(lines, links, strict=False), start=1):
        if link(line) != prev:
            return at
    return None


def ledger_record(game: Game, agents: Sequence[str]) -> dict[str, Any]:
    """What the first line of a signed ledger says of machine and agents."""
    return {"cpu": system.processor(), "weights": weights_of(game, agents)}


def weights_of(game: Game, agents: Sequence[str]) -> dict[str, str]:
    """Digest of the weights of each agent that has some."""
    found = {}
    for name in agents:
        folder = folder_of_spec(name, game)
        if folder is not None:
            content = read_bytes(folder / WEIGHTS, error=UsageError)
            found[name] = f"blake2b:{hashlib.blake2b(content, digest_size=32).hexdigest()}"
    return found


# ---- controls ------------------------------------------------------------------------------------


def packed_controls(schema: Schema, columns: Mapping[str, Array]) -> str:
    """Controls [T + 1, slots] of a match as text, without the last row, which holds no decision."""
    parts = []
    for key in schema.control_keys:
        values = np.ascontiguousarray(columns[key][:-1])
        parts.append(np.packbits(values).tobytes() if values.dtype == bool else values.tobytes())
    return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode()


def unpacked_controls(schema: Schema, text: str, frames: int) -> dict[str, Array]:
    """Controls [T, slots] by column, of a text that came from outside."""
    try:
        unzip = zlib.decompressobj()
        raw = unzip.decompress(base64.b64decode(text, validate=True), LARGEST)
    except (binascii.Error, zlib.error, ValueError) as failed:
        raise ShadowboxError(f"its controls cannot be read: {failed}") from failed
    found, at = {}, 0
    for key in schema.control_keys:
        column = schema.columns[key]
        shape, kind = (frames, column.slots), np.dtype(column.dtype)
        count = math.prod(shape)
        size = -(-count // 8) if kind.kind == "b" else count * kind.itemsize
        part = np.frombuffer(raw[at : at + size], np.uint8)
        if len(part) != size:
            raise ShadowboxError(f"its controls are too short for {frames} frames")
        flat = np.unpackbits(part)[:count].astype(bool) if kind.kind == "b" else part.view(kind)
        found[key], at = flat.reshape(shape), at + size
    if at != len(raw):
        raise ShadowboxError(f"its controls are too long for {frames} frames")
    return found


# ---- signatures ----------------------------------------------------------------------------------


def sign(ledger: Path, key: Path) -> Path:
    """Sign a ledger with an SSH key; returns the file of the signature."""
    _ssh(["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(ledger)], f"{ledger} was not signed")
    return signature_file(ledger)


def signature_file(ledger: Path) -> Path:
    """File of a ledger's signature."""
    return ledger.with_name(f"{ledger.name}.sig")


def signer_of(ledger: Path, signers: Path | None) -> str:
    """Who signed a ledger: a name in the file `signers`, or the key's own digest without one.

    Empty without a signature; a signature that does not fit is refused.
    """
    signature = signature_file(ledger)
    if not signature.exists():
        return ""
    text = read_bytes(ledger)
    wrong = f"{ledger}: its signature {signature.name} does not fit"
    if signers is None:
        call = ["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature)]
        return _ssh(call, wrong, text).strip().rpartition("with ")[2]
    call = ["-Y", "find-principals", "-f", str(signers), "-s", str(signature)]
    name = _ssh(call, f"{ledger}: its key is not in {signers}").split("\n")[0].strip()
    call = ["-Y", "verify", "-f", str(signers), "-I", name, "-n", NAMESPACE, "-s", str(signature)]
    _ssh(call, wrong, text)
    return name


def _ssh(arguments: list[str], failed: str, text: bytes | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["ssh-keygen", *arguments],  # noqa: S607
            input=text if text is not None else b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("signatures need ssh-keygen: install OpenSSH") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ShadowboxError(f"{failed}: {words[-1]}")
    return done.stdout.decode(errors="replace")
