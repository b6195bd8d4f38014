"""Numba, typed, and with a cache that notices edits in every file of the physics.

Numba's own cache looks only at the file of the function that is called, so an edit in `combat.py`
would go unnoticed by a cached `physics.step`. `fingerprint` therefore becomes part of a type that
the step function receives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

SOURCES = ("schema", "rules", "movement", "combat", "items", "physics")


def inner(function: Function) -> Function:
    """Compiled into its callers; needs no cache of its own.

    Never fastmath: a replay must give the same bits.
    """
    return cast(Function, numba.njit(nogil=True)(function))


def entry(function: Function) -> Function:
    """Compiled, called from Python, and cached on disk."""
    return cast(Function, numba.njit(nogil=True, cache=True)(function))


@cache
def fingerprint() -> np.ndarray[Any, Any]:
    """One record whose only member is named after the physics' sources: other sources, another type, compiled anew."""
    digest = hashlib.blake2b(digest_size=6)
    for name in SOURCES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return np.zeros(1, np.dtype([(f"sources_{digest.hexdigest()}", "u1")]))
