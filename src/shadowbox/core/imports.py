"""Import of objects named by text, `module:NAME`: a user's games, readers and policies."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_PATH_LOCK = threading.Lock()  # sys.path is shared by the threads of the web server


def import_object(spec: str) -> Any:
    """Object named by `module:NAME`.

    A module that is not installed is looked for in the current folder, which is on `sys.path` for
    this one import only. ImportError and AttributeError name the missing part; code of the module
    may raise anything else.
    """
    module, _, name = spec.partition(":")
    return getattr(import_from_here(module), name)


def import_from_here(module: str) -> Any:
    """Module of this name: installed, or else in the current folder."""
    if not all(part.isidentifier() for part in module.split(".")):
        raise ImportError(f"'{module}' cannot be the name of a module")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # an existing module whose own import fails is broken, not missing
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
    with _current_folder_on_path():
        return importlib.import_module(module)


@contextmanager
def _current_folder_on_path() -> Iterator[None]:
    here = str(Path.cwd())
    with _PATH_LOCK:
        sys.path.insert(0, here)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(here)


def make_callable(module: str, spec: str) -> None:
    """Make a module callable as the function named by `spec`.

    `shadowbox.play` is a room and, in `import shadowbox as sb`, a function of the front door:
    importing anything from the room puts the module in the place of the function.
    """

    class _CallableModule(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return import_object(spec)(*args, **kwargs)

    sys.modules[module].__class__ = _CallableModule
