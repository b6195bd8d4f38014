"""Shipping of a checkpoint with a game: the best of a run, without the state of its trainer.

`make ship RUN=runs/brawl-world-small/1 AS=src/shadowbox/games/brawl/shipped/world`
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from shadowbox.model.checkpoint import find_checkpoint, load, ship


def main() -> None:
    """Put the checkpoint that is named into a folder, in place of the one that is there."""
    parser = argparse.ArgumentParser(description="Ship a checkpoint with a game.")
    parser.add_argument(
        "run", help="run (its best checkpoint), RUN@step=N, or a checkpoint's folder"
    )
    parser.add_argument("folder", type=Path, help="folder that the Game record names")
    given = parser.parse_args()
    found = find_checkpoint(given.run)
    if given.folder.exists():
        load(given.folder)  # refuses a folder that holds anything else
    new = ship(found, given.folder.with_name(f".{given.folder.name}.new"))
    if given.folder.exists():
        shutil.rmtree(given.folder)
    new.rename(given.folder)
    size = sum(each.stat().st_size for each in given.folder.iterdir())
    print(f"{given.folder}: {found}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
