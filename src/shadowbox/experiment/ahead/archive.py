"""Ingest of an archive, rehearsed: generated episodes as a game's recordings, in one .7z, read back.

Public sets are .7z archives, so that reading one is the first stage of a night with them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from shadowbox.core.game import Game
from shadowbox.data.ingest import ingest
from shadowbox.data.store import Store
from shadowbox.errors import CardError, UsageError, install_hint

EPISODES = 4
FILTER = "train"  # options of the reader, where the game has them


def recording_writer(game: Game) -> str:
    """Name of the game's writer whose files its reader reads; empty if it has none."""
    return next((name for name in game.writers if f".{name}" in game.reader_endings), "")


def rehearse_ingest(game: Game, store: Store, folder: Path) -> int:
    """Write episodes of `store` into `folder`.7z and read them into a store there; how many.

    Recordings are on the disk only until they are in the archive. An episode that does not come
    back is a CardError, and a missing py7zr a UsageError: the night would end with it, too.
    """
    try:
        import py7zr
    except ModuleNotFoundError as error:
        raise UsageError(f".7z archives need py7zr: {install_hint('sevenzip')}") from error
    ending = recording_writer(game)
    archive = folder.with_name(folder.name + ".7z")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    many = min(EPISODES, len(store))
    with tempfile.TemporaryDirectory(dir=folder.parent) as written:
        for number in range(many):
            path = Path(written) / f"{number}.{ending}"
            game.writers[ending](store.episode(number), path)
        with py7zr.SevenZipFile(archive, "w") as packed:
            packed.writeall(written, folder.name)
    report = ingest(game, [archive], folder, options=game.reader_filters.get(FILTER, {}))
    if report["episodes"] != many:
        raise CardError(
            f"{archive}: {report['episodes']} of {many} generated episodes came back from the archive: "
            f"run `shadowbox ingest {game.name} {archive} --out {folder}` to see why"
        )
    return many
