"""Content of a hub folder: the files of a run, a checkpoint, a store or a run card.

run, checkpoint   model.safetensors, config.json, schema.json, done and evaluation.json of one
checkpoint, without the trainer's state; of a run also run.json, metrics.jsonl,
events.jsonl and curves.csv. The folder is itself a checkpoint.
store             manifest.json and the shards; the folder is itself a store
card              the card's own file
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.cards.card import require_card
from shadowbox.core.files import parse_json, read_bytes, write_whole
from shadowbox.core.game import Game
from shadowbox.core.system import link
from shadowbox.data import manifest
from shadowbox.data.soundness import require_sound
from shadowbox.data.store import Store, missing_or_resized
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.games import find as find_game
from shadowbox.hub.listing import name_problem
from shadowbox.hub.scan import mapped
from shadowbox.train import log

OF_RUN = (log.FACTS, log.METRICS, log.EVENTS, "curves.csv")
SHIPPED_LICENSE = "mit"  # of what comes with this package
Change = Callable[[str, bool], str]  # (text, it names a player) -> text


class _Content(NamedTuple):
    """What a folder holds."""

    kind: str  # run, checkpoint, store or card
    name: str
    game: str
    license: str
    bots: frozenset[str]  # of the game


def fill(what: str, folder: Path, game: Game | None, license: str) -> _Content:
    """Put the files of a run, a checkpoint, a store or a card into a folder that is empty."""
    path = Path(what)
    if path.suffix == ".md":
        return _card(path, folder, license)
    if (path / manifest.NAME).is_file():
        return _store(path, folder, game, license)
    return _model(what, folder, game, license)


def change_texts(folder: Path, kind: str, change: Change) -> None:
    """Replace texts in a filled folder: facts of a run, or the metadata of a store's episodes."""
    if kind == "card":
        raise UsageError("a card is signed as it is: edit its text, or allow it")
    if kind == "store":
        _change_store(folder, change)
        return
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json" and path.name != "schema.json":
            data = mapped(parse_json(read_bytes(path), path.name, object), change)
            write_whole(path, log_json(data, 1))
        elif path.suffix == ".jsonl":
            lines = [mapped(line, change) for line in log.read_lines(path)]
            write_whole(path, [log_json(line) for line in lines])
    from shadowbox.model.checkpoint_files import DONE, digests

    write_whole(folder / DONE, log_json(digests(folder), 1))


def log_json(data: Any, indent: int | None = None) -> bytes:
    """JSON text that ends with a line's end."""
    import json

    return (json.dumps(data, indent=indent, allow_nan=False) + "\n").encode()


def _model(what: str, folder: Path, game: Game | None, license: str) -> _Content:
    from shadowbox.export.source import find_source
    from shadowbox.model.checkpoint import ship
    from shadowbox.model.kinds import run_of

    source = find_source(what, game)
    folder.rmdir()  # `ship` makes it
    ship(source.folder, folder)
    run = run_of(source.folder)
    facts = (run / log.FACTS).is_file()
    if facts and log.read_facts(run).get("status") == "running":
        raise UsageError(f"{run} is being trained: wait for its end, or stop it with Ctrl-C")
    for name in OF_RUN if facts else ():
        if (run / name).is_file():
            write_whole(folder / name, read_bytes(run / name))
    prefix, _, argument = what.partition("@")[0].rpartition(":")
    if facts:
        name = f"{run.parent.name}-{run.name}" if run.name.isdecimal() else run.name
    else:
        name = argument if prefix and not Path(argument).exists() else source.folder.name
    shipped = not facts and bool(prefix) and not Path(argument).exists()
    license = license or (SHIPPED_LICENSE if shipped else "")
    kind = "run" if facts else "checkpoint"
    return _content(kind, name, source.game.name, license, source.game)


def _store(path: Path, folder: Path, game: Game | None, license: str) -> _Content:
    store = Store(path)
    for problem in missing_or_resized(store):
        raise ShadowboxError(problem)
    require_sound(store, range(len(store)))
    link(path / manifest.NAME, folder / manifest.NAME)
    for shard in store.manifest.shards:
        for entry in shard.files.values():
            link(path / entry.name, folder / entry.name)
    game = game or find_game(store.schema.name)
    return _content("store", path.resolve().name, store.schema.name, license, game)


def _card(path: Path, folder: Path, license: str) -> _Content:
    file, card = require_card(path)
    write_whole(folder / f"{card.id}.md", file.text.encode())
    return _content("card", card.id, card.game, license, find_game(card.game))


def _content(kind: str, name: str, game: str, license: str, record: Game | None) -> _Content:
    from shadowbox.play.specs import bot_names

    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip("-.") or kind
    if name_problem(name + ".md"):
        raise UsageError(f"'{name}' cannot be the name of a hub folder: rename what you push")
    bots = frozenset(bot_names(record)) if record else frozenset[str]()
    return _Content(kind, name, game, license.lower(), bots)


def _change_store(folder: Path, change: Change) -> None:
    """Write a store again with changed metadata; rows, events and digests stay."""
    import numpy as np

    source = Store(folder)
    again = folder / "again"
    made = mapped(dict(source.manifest.made), change)
    kinds = source.manifest.event_kinds
    with Writer(again, source.schema, event_kinds=kinds, made=made, new=True) as writer:
        for number in range(len(source)):
            line = source.line_of(number)
            writer.add_packed(
                source.rows_of(number),
                source.events_of(number),
                mapped(source.meta_of(number), change),
                np.array(line["absent"]),
                line["digest"].tobytes(),
                source.tracks_of(number),
            )
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.unlink()
    for path in [path for path in again.iterdir() if path.name != "writer.lock"]:
        path.rename(folder / path.name)
    (again / "writer.lock").unlink(missing_ok=True)
    again.rmdir()
