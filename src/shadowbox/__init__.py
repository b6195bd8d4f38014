"""Shadowbox learns to play real-time games: from recordings, inside learned worlds, and against itself."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Store",
    "evaluate",
    "load_game",
    "load_policy",
    "play",
    "record",
    "save_page",
    "train",
]


def __getattr__(name: str) -> Any:
    """A name of the front door, imported when it is first used: this module stays quick to import."""
    if name not in __all__:
        raise AttributeError(f"module 'shadowbox' has no attribute '{name}'")
    module = "shadowbox.data.store" if name == "Store" else "shadowbox.api"
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _AfterGymnasium:
    """Import hook that registers `shadowbox/Brawl-v0` once Gymnasium is imported.

    Gymnasium reads no entry points of packages, and importing it takes a quarter of a second, which
    `import shadowbox` should not.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The module as the other finders find it; executing it registers the environment."""
        if name != "gymnasium":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec: Any = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: Any) -> None:
                execute(module)
                sys.meta_path.remove(self)
                import_module("shadowbox.envs")

            spec.loader.exec_module = execute_and_register
        return spec


if "gymnasium" in sys.modules:
    import_module("shadowbox.envs")
else:
    sys.meta_path.insert(0, _AfterGymnasium())
