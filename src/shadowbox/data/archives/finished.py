"""Blocks of archives that came into a store as a whole, so that they are not unpacked again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json, write_whole
from shadowbox.errors import StoreError

NAME = "blocks.json"  # in a store's folder; it names what is committed only
SHAPE = {"finished": [str]}


class _FinishedBlocks:
    """Finished blocks of a store, read with the same options. Names are added in memory until `write`."""

    def __init__(self, store: Path, options: Mapping[str, Any]) -> None:
        text = json.dumps(dict(options), sort_keys=True, default=str)
        self._file = store / NAME
        self._options = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        try:
            self._all = list(read_json(self._file, SHAPE, error=StoreError)["finished"])
        except FileNotFoundError:
            self._all = []
        self._written = len(self._all)

    @property
    def names(self) -> frozenset[str]:
        """Blocks that came in under these options."""
        own = f"{self._options}/"
        return frozenset(name.removeprefix(own) for name in self._all if name.startswith(own))

    def add(self, block: str) -> None:
        """Note a block of which everything was given to the writer."""
        self._all.append(f"{self._options}/{block}")

    def write(self) -> None:
        """Write the names, after a commit of the store."""
        if len(self._all) > self._written:
            write_whole(self._file, json.dumps({"finished": self._all}).encode())
            self._written = len(self._all)
