"""Memories of worlds and agents as plain data, which a checkpoint can keep: tensors, numbers, text.

Arrays of any type become bytes with their type and shape; dicts, lists, tuples, numbers, texts and
None stay what they are. Anything else is refused, for it could not be restored exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowbox.errors import TrainingError

ARRAY, TUPLE = "array:", "tuple:"  # keys that no state of an agent uses


def to_plain(state: Any, owner: str) -> Any:
    """A state as plain data; `owner` is named if that is not possible."""
    if isinstance(state, np.ndarray):
        data = np.frombuffer(np.ascontiguousarray(state).tobytes(), np.uint8).copy()
        kind = _descriptor(np.lib.format.dtype_to_descr(state.dtype))
        return {ARRAY: torch.from_numpy(data), "dtype": kind, "shape": list(state.shape)}
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, np.generic):
        return state.item()
    if state is None or isinstance(state, bool | int | float | str):
        return state
    if isinstance(state, Mapping):
        return {str(key): to_plain(value, owner) for key, value in state.items()}
    if isinstance(state, list):
        return [to_plain(value, owner) for value in state]
    if type(state) is tuple:
        return {TUPLE: [to_plain(value, owner) for value in state]}
    raise TrainingError(
        f"the memory of {owner} holds a {type(state).__name__}, which no checkpoint can keep: "
        "expected arrays, tensors, numbers and text, in dicts, lists and tuples"
    )


def from_plain(state: Any) -> Any:
    """The state that `to_plain` was given."""
    if isinstance(state, Mapping):
        if ARRAY in state:
            kind = np.lib.format.descr_to_dtype(_tuples(state["dtype"]))
            return (
                np.frombuffer(state[ARRAY].numpy().tobytes(), kind).reshape(state["shape"]).copy()
            )
        if TUPLE in state:
            return tuple(from_plain(value) for value in state[TUPLE])
        return {key: from_plain(value) for key, value in state.items()}
    return [from_plain(value) for value in state] if isinstance(state, list) else state


def _descriptor(described: Any) -> Any:
    """A NumPy type's description in lists in place of tuples."""
    if isinstance(described, list | tuple):
        return [_descriptor(each) for each in described]
    return described


def _tuples(described: Any) -> Any:
    """A description as NumPy takes it: text, or a list of (name, type) or (name, type, shape)."""
    if isinstance(described, str):
        return described
    return [(name, _tuples(kind), *map(tuple, shape)) for name, kind, *shape in described]
