"""Pull: a hub folder from elsewhere, taken whole after every file was compared with its digest.

Nothing in it is run, unpickled or unpacked: files are data by their endings, weights are
safetensors, arrays are read without pickle, and text is parsed within bounds.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from shadowbox.cards.card import read_card
from shadowbox.cards.file import CardFile
from shadowbox.core.files import write_whole
from shadowbox.core.system import replace, sync_folder
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.hub.listing import (
    LIST,
    _HubList,
    digest_of,
    list_digest,
    parse_list,
    require_listed,
)
from shadowbox.hub.remotes import _Remote, list_text, remote_of

PLACES = {"run": "runs", "checkpoint": "runs", "store": "data", "card": "cards"}


def pull(remote: str, to: Path | None = None, *, digest: str = "") -> dict[str, Any]:
    """Copy a hub folder to the new folder `to`, whole or not at all. Return its facts.

    Without `to` it is runs/NAME, data/NAME or cards/NAME. With `digest`, a list of another digest
    than the one that `push` printed is refused.
    """
    place = remote_of(remote)
    sizes = place.sizes()
    text = list_text(place)
    if digest and list_digest(text) != digest:
        raise ShadowboxError(
            f"{place.name}/{LIST} has the digest {list_digest(text)}, expected {digest}: it is not "
            "the folder that was pushed"
        )
    listed = parse_list(text, place.name)
    require_listed(sizes, listed, place.name)
    target = to or Path(PLACES[listed.kind]) / listed.name
    if target.exists():
        raise UsageError(f"{target} is there already: name a new folder with --to")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name in listed.files:
            _take(place, name, listed, temporary)
        write_whole(temporary / LIST, text)
        _open(temporary, listed)
        sync_folder(temporary)
        replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {
        "folder": str(target),
        "remote": place.name,
        "kind": listed.kind,
        "name": listed.name,
        "game": listed.game,
        "license": listed.license,
        "files": len(listed.files),
        "bytes": listed.bytes,
        "digest": list_digest(text),
    }


def _take(place: _Remote, name: str, listed: _HubList, folder: Path) -> None:
    """Copy a file, of which no more is read than its list says, and compare its digest."""
    expected = listed.files[name]
    with place.open(name) as file, open(folder / name, "wb") as copy:
        found = digest_of(file, int(expected["bytes"]), copy)
        copy.flush()
        os.fsync(copy.fileno())
    if found != {"bytes": expected["bytes"], "blake2b": expected["blake2b"]}:
        raise ShadowboxError(
            f"{place.name}/{name} was changed: its digest is not the one in {LIST}; nothing was kept"
        )


def _open(folder: Path, listed: _HubList) -> None:
    """Open what came, as its kind, so that what cannot be used is refused here."""
    if listed.kind == "store":
        game, files = Store(folder).schema.name, set(listed.files)
        named = {e.name for s in Store(folder).manifest.shards for e in s.files.values()}
        unused = files - named - {"manifest.json", "README.md"}
        if unused:
            raise ShadowboxError(f"{min(unused)} is in {LIST}, and no part of the store")
    elif listed.kind == "card":
        card = read_card(CardFile.read(folder / f"{listed.name}.md"))
        for mistake in card.mistakes:
            raise ShadowboxError(f"{listed.name}.md is not a card: {mistake}")
        game = card.card.game
    else:
        from shadowbox.model.checkpoint import load

        game = load(folder).about.schema.name
    if game != listed.game:
        raise ShadowboxError(f"{LIST} says {listed.game!r:.60}, what came is of the game {game}")
