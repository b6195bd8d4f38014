"""Spaces of Gymnasium as the JSON text that Minari's metadata holds, both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from shadowbox.core.schema import Array
from shadowbox.errors import RecordingError

KNOWN = "Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple"
TYPES = (
    *("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
)
LARGEST = 1 << 20  # numbers of a space
DEEPEST = 8  # of Dicts and Tuples inside each other


def space_text(space: spaces.Space[Any]) -> str:
    """JSON text of a space."""
    return json.dumps(_plain(space))


def _plain(space: spaces.Space[Any]) -> dict[str, Any]:
    if isinstance(space, spaces.Dict):
        inner: Any = {key: _plain(each) for key, each in space.spaces.items()}
        return {"type": "Dict", "subspaces": inner}
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "subspaces": [_plain(each) for each in space.spaces]}
    if isinstance(space, spaces.Box):
        ends = {"low": space.low.tolist(), "high": space.high.tolist()}
        return {"type": "Box", "dtype": str(space.dtype), "shape": list(space.shape), **ends}
    if isinstance(space, spaces.Discrete):
        return {
            "type": "Discrete",
            "dtype": str(space.dtype),
            "start": int(space.start),
            "n": int(space.n),
        }
    if isinstance(space, spaces.MultiDiscrete):
        counts = {"nvec": space.nvec.tolist(), "start": np.asarray(space.start).tolist()}
        return {"type": "MultiDiscrete", "dtype": str(space.dtype), **counts}
    if isinstance(space, spaces.MultiBinary):
        n = space.n if isinstance(space.n, int) else [int(each) for each in space.n]
        return {"type": "MultiBinary", "n": n}
    raise RecordingError(f"{space}: expected {KNOWN}")


def read_space(text: str, where: str) -> spaces.Space[Any]:
    """Space of a JSON text, whose sizes are checked before anything is made."""
    try:
        return _space(json.loads(text), where, 0)
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
        OverflowError,
        AssertionError,
    ) as error:
        raise RecordingError(
            f"{where} is damaged: {type(error).__name__}: {str(error)[:200]}"
        ) from error


def _space(data: Mapping[str, Any], where: str, depth: int) -> spaces.Space[Any]:
    kind = data["type"]
    if kind in ("Dict", "Tuple") and depth >= DEEPEST:
        raise RecordingError(f"{where}: spaces are nested deeper than {DEEPEST} levels")
    if kind == "Dict":
        inner = data["subspaces"].items()
        return spaces.Dict({str(k): _space(each, f"{where}.{k}", depth + 1) for k, each in inner})
    if kind == "Tuple":
        parts = enumerate(data["subspaces"])
        return spaces.Tuple(tuple(_space(each, f"{where}.{i}", depth + 1) for i, each in parts))
    if kind == "Box":
        shape, dtype = _shape(data["shape"], where), _type(data["dtype"], where)
        low, high = _numbers(data["low"], shape, dtype), _numbers(data["high"], shape, dtype)
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(int(data["n"]), start=int(data.get("start", 0)))
    if kind == "MultiDiscrete":
        counts, start = np.array(data["nvec"], np.int64), data.get("start")
        if start is not None:
            start = np.array(start, np.int64)
        return spaces.MultiDiscrete(counts, _type(data["dtype"], where).type, start=start)
    if kind == "MultiBinary":
        return spaces.MultiBinary(_shape(np.atleast_1d(data["n"]).tolist(), where))
    raise RecordingError(f"{where}: a space of type {str(kind)[:40]!r}, expected {KNOWN}")


def _shape(given: Any, where: str) -> tuple[int, ...]:
    shape = tuple(int(each) for each in given)
    if min(shape, default=1) < 0 or len(shape) > 8 or np.prod(shape, dtype=float) > LARGEST:
        raise RecordingError(f"{where}: shape {shape}, expected at most {LARGEST:,} numbers")
    return shape


def _type(given: Any, where: str) -> Any:
    if given not in TYPES:
        raise RecordingError(
            f"{where}: type {str(given)[:40]!r}, expected one of {', '.join(TYPES)}"
        )
    return np.dtype(given)


def _numbers(given: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return np.broadcast_to(np.array(given, dtype), shape).copy()
