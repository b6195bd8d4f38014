"""Datasets of other libraries, read and written: Minari and LeRobot, without their packages.

own.py             what an exported dataset holds besides, so that nothing is lost
minari_read.py     Minari, and minari_write.py: metadata.json and one HDF5 file
spaces.py          spaces of Gymnasium as Minari writes them in JSON
lerobot_read.py    LeRobot v2.0, v2.1 and v3.0
lerobot_write.py   LeRobot v3.0: parquet files, statistics, tasks, episodes

`shadowbox ingest minari|lerobot PATH --out STORE` reads a dataset into a store, and `shadowbox store
export STORE --minari|--lerobot FOLDER` writes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from shadowbox.core.game import Game
from shadowbox.core.imports import import_object
from shadowbox.data.store import Store

READERS = {  # name -> "module:function" that gives the game and the file of a dataset
    "minari": "shadowbox.collect.datasets.minari_read:minari_game",
    "lerobot": "shadowbox.collect.datasets.lerobot_read:lerobot_game",
}
WRITERS = {  # name -> "module:function" that writes episodes of a store into a new folder
    "minari": "shadowbox.collect.datasets.minari_write:write_minari",
    "lerobot": "shadowbox.collect.datasets.lerobot_write:write_lerobot",
}


def dataset_game(kind: str, places: Sequence[Path]) -> tuple[Game, list[Path]]:
    """Game whose recordings are datasets of a kind, from the first of them, and their files."""
    describe: Callable[[Path], tuple[Game, Path]] = import_object(READERS[kind])
    found = [describe(place) for place in places]
    return found[0][0], [path for _, path in found]


def write_dataset(kind: str, store: Store, episodes: Sequence[int], out: Path) -> None:
    """Write episodes of a store as a dataset in a new folder."""
    write: Callable[[Store, Sequence[int], Path], None] = import_object(WRITERS[kind])
    write(store, episodes, out)
