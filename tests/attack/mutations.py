"""Mutations of good files, each drawn from a seed: bits, lengths, JSON values, and odd kinds of files."""

from __future__ import annotations

import hashlib
import json
import os

ODD_NUMBERS = (10**30, 10**400, -1, 0, 1, 2**63, 2**64, -(10**30), 1e308, 0.5, 3)
ODD_VALUES = (*ODD_NUMBERS, float("nan"), float("inf"), "", "x", "x" * 100_000, "\ud800", "../../x",
              None, True, [], {}, [[]], [None], {"": None})  # fmt: skip
NOT_FINITE = (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f")  # NaN and infinity as little-endian f4


def bits(data, draws):
    """Flip one to eight bits, near each other or anywhere."""
    data = bytearray(data)
    if data:
        near = draws.randrange(len(data))
        for _ in range(draws.choice((1, 1, 2, 8))):
            at = near + draws.randint(0, 16) if draws.random() < 0.5 else draws.randrange(len(data))
            data[at % len(data)] ^= 1 << draws.randrange(8)
    return bytes(data)


def length(data, draws):
    """Cut the end, cut the beginning, repeat a part, or append."""
    at = draws.randrange(len(data) + 1)
    return draws.choice((data[:at], data[at:], data[:at] + data[at // 2 :], data + data[:at], b""))


def spans(data, draws):
    """Overwrite some bytes by zeros, ones, random bytes, or floats that are not finite."""
    at, size = draws.randrange(len(data) + 1), draws.choice((1, 4, 8, 64))
    filling = draws.choice((b"\0" * size, b"\xff" * size, draws.randbytes(size)))
    if draws.random() < 0.3:
        at, filling = at // 4 * 4, draws.choice(NOT_FINITE)
    return data[:at] + filling + data[at + len(filling) :]


def nested(data, draws):
    """Brackets in the place of the file, or of a value."""
    deep = draws.choice((100, 2_000, 200_000))
    inside = draws.choice((b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep))
    return draws.choice((inside, data.replace(b'"', inside, 1), data.replace(b"[", inside, 1)))


def values(data, draws):
    """Replace, remove or add one to three values of JSON text, or of one of its lines."""
    lines = (
        data.split(b"\n") if data.count(b"\n") and data[:1] == b"{" and b"}\n{" in data else [data]
    )
    at = draws.randrange(len(lines))
    try:
        tree = json.loads(lines[at])
    except (ValueError, RecursionError):  # nested by the mutation before
        return spans(data, draws)
    for _ in range(draws.randint(1, 3)):
        tree = _change(tree, draws)
    lines[at] = _text(tree)
    return b"\n".join(lines)


def mutate(data, draws, name=""):
    """One mutation that suits a file of this name."""
    kinds = [bits, length, spans]
    if name.endswith((".json", ".jsonl", "done")):
        kinds = [values, values, values, nested, bits, length]
    return draws.choice(kinds)(data, draws)


def disturb(folder, draws, names):
    """Mutate one or two files of a folder, or put something that is no plain file in the place of one.

    The folder's own seals are renewed most of the time, so that the checks behind them are met.
    """
    for _ in range(draws.randint(1, 2)):
        path = folder / draws.choice(names)
        if draws.random() < 0.12:
            replace(path, draws)
        elif path.is_file() and not path.is_symlink():
            path.write_bytes(mutate(path.read_bytes(), draws, path.name))
    if draws.random() < 0.85:
        reseal(folder)


def replace(path, draws):
    """Put a pipe, a link to nothing, a device, itself or a folder, a folder, or nothing there."""
    if path.is_dir() and not path.is_symlink():
        return
    path.unlink(missing_ok=True)
    kind = draws.randrange(6)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind < 5:
        path.symlink_to(("/nowhere/at/all", "/dev/zero", path.name)[kind - 2])


def reseal(folder):
    """Renew the seal of a manifest with the sizes and digests of its files, and `done` markers."""
    for path in (folder / "manifest.json", *folder.glob("**/done")):
        try:
            data = json.loads(path.read_bytes()) if path.is_file() else None
            if isinstance(data, dict):
                _sealed(path, data)
        except (ValueError, OSError, TypeError, KeyError, AttributeError, RecursionError):
            continue


def _sealed(path, data):
    if path.name == "done":
        for name in data:
            _entry(data[name], path.parent / name, 32)
    else:
        for shard in data["shards"]:
            for file in shard["files"].values():
                _entry(file, path.parent / file["name"], 32)
        data.pop("seal", None)
        text = json.dumps(data, sort_keys=True)
        data["seal"] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    path.write_bytes(_text(data))


def _entry(entry, path, size):
    if path.is_file():
        content = path.read_bytes()
        entry["bytes"] = len(content)
        entry["blake2b"] = hashlib.blake2b(content, digest_size=size).hexdigest()


def _change(tree, draws):
    """The tree with one value, drawn by a walk from the top, replaced, removed or doubled."""
    if not isinstance(tree, dict | list) or not tree or draws.random() < 0.08:
        return draws.choice(ODD_VALUES)
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    key = draws.choice(keys)
    if draws.random() < 0.1:
        del tree[key]
    elif draws.random() < 0.05:
        if isinstance(tree, dict):
            tree[draws.choice(("", "name", "x" * 1000, "__class__"))] = draws.choice(ODD_VALUES)
        else:
            tree.append(tree[key])
    else:
        tree[key] = _change(tree[key], draws)
    return tree


def _text(tree):
    """JSON, in which numbers of any length and values that are not finite are allowed."""
    return json.dumps(tree).encode()
