"""Push: a run, a checkpoint, a store or a card becomes a hub folder at another place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.hub.contents import change_texts, fill
from shadowbox.hub.listing import LIST, README, parse_list, write_list
from shadowbox.hub.readme import readme
from shadowbox.hub.remotes import remote_of
from shadowbox.hub.scan import refuse, replacer, scan


def push(
    what: str,
    remote: str,
    *,
    game: Game | None = None,
    license: str = "",
    replace: bool = False,
    allow: Collection[str] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a hub folder of `what` at `remote`, whole or not at all. Return its facts.

    `what`: a run, a checkpoint, what a game ships (policy:champion), a store, or a card's file.
    Names of players, connect codes, absolute paths and mail addresses are refused with their
    places; `replace` writes pseudonyms and last parts of paths instead, `allow` lets texts pass.
    """
    place = remote_of(remote)
    with place.staging(overwrite) as folder:
        content = fill(what, folder, game, license)
        if replace:
            change_texts(folder, content.kind, replacer(content.bots, allow))
        write_whole(folder / README, readme(folder, content).encode())
        refuse(scan(folder, content.bots, allow), what)
        digest = write_list(
            folder,
            kind=content.kind,
            name=content.name,
            game=content.game,
            license=content.license,
        )
        listed = parse_list((folder / LIST).read_bytes(), remote)
        place.publish(folder, [*listed.files, LIST])
    return {
        "remote": place.name,
        "kind": content.kind,
        "name": content.name,
        "game": content.game,
        "license": content.license,
        "files": len(listed.files),
        "bytes": listed.bytes,
        "digest": digest,
    }
