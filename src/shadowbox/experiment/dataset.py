"""The data of a card: found, or made by the call that the card names, and told apart from other data."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card, DataSection, IngestCall, RecordCall
from shadowbox.collect.matches import Pairing, record, record_call
from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.data.split import Split
from shadowbox.data.store import Progress, Store
from shadowbox.errors import CardError, ShadowboxError, StoreError, did_you_mean


def existing_store(card: Card) -> Store | None:
    """The card's store, if it is on this disk."""
    path = Path(card.data.store)
    return Store(path) if card.data.store and (path / "manifest.json").exists() else None


def split_of(data: DataSection, seed: int) -> Split:
    """Which episodes are for what, in the run of this seed."""
    train, val, test = (int(part) / 100 for part in data.split.split("/"))
    return Split(train, val, test, seed=seed if data.resplit else 0)


def get_store(card: Card, game: Game, progress: Progress | None = None) -> Store:
    """The card's store; one that is missing is made, if the card says how."""
    store = existing_store(card)
    if store is None:
        if card.data.external:
            raise CardError(
                f"the data of {card.id} lies elsewhere ({card.data.external}): bring it to {card.data.store}"
            )
        if card.data.make is None:
            raise CardError(
                f"there is no store {card.data.store}, and card {card.id} does not say how to make it (data.make)"
            )
        _make(card, game, progress)
        store = Store(Path(card.data.store), game.schema)
    for problem in dataset_problems(card, game, store):
        raise CardError(f"data of {card.id}: {problem}")
    return store


def data_fingerprint(card: Card, game: Game, store: Store | None) -> str | None:
    """What tells this data from other.

    Data that is made: the call and the fields, for floats differ between machines.
    """
    if card.data.make is not None:
        call = {"facts": game.schema.facts_hash, "call": _call(card, game)}
        return "made:" + hashlib.sha256(json.dumps(call, sort_keys=True).encode()).hexdigest()[:32]
    return store.fingerprint if store else None


def dataset_problems(card: Card, game: Game, store: Store) -> list[str]:
    """Why a store on disk is not the one that the card means."""
    found = []
    wanted, there = card.data.fingerprint, data_fingerprint(card, game, store)
    if wanted and wanted != there:
        found.append(f"the card's fingerprint is {wanted}, that of {card.data.store} is {there}")
    if card.data.make and card.data.make.record:
        made = store.manifest.made.get("record")
        if made is not None and made != _call(card, game):
            found.append(
                f"{card.data.store} was made by another call ({json.dumps(made)}): move it away, or name another store"
            )
    if store.schema.name != game.schema.name:
        found.append(
            f"{card.data.store} holds {store.schema.name}, the card is about {game.schema.name}"
        )
    return found


def data_call_problems(card: Card, game: Game) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the call that makes the data, before anything is made: where under `data.make`, and what."""
    make = card.data.make
    if make is not None and make.ingest is not None:
        yield from _doubts_of_reading(game, make.ingest)
    if make is not None and make.record is not None:
        for message in _doubts_of_matches(card, game, make.record):
            yield ("record",), message


def _doubts_of_matches(card: Card, game: Game, call: RecordCall) -> Iterator[str]:
    from shadowbox.play import specs

    if not call.mix and not (call.p0 and call.p1):
        yield "p0 and p1 name agents, or mix lists pairings"
        return
    named: list[Pairing] = []
    yield from _complaints(lambda: named.extend(pairings(card)))
    for spec in [spec for pairing in named for spec in (pairing.p0, pairing.p1)]:
        if not spec.startswith(("policy:", "replay:")):
            yield from _complaints(partial(specs.agent, spec, game))
    yield from _complaints(partial(specs.world_factory, call.world, game, **call.options))


def _complaints(attempt: Callable[[], object]) -> Iterator[str]:
    try:
        attempt()
    except ShadowboxError as error:
        yield str(error)


def _doubts_of_reading(game: Game, call: IngestCall) -> Iterator[tuple[tuple[str, ...], str]]:
    if game.reader is None:
        yield ("ingest",), f"{game.name} reads no recordings"
    elif call.filter and call.filter not in game.reader_filters:
        yield (
            ("ingest", "filter"),
            f"there is no filter '{call.filter}': {did_you_mean(call.filter, game.reader_filters)}",
        )
    for name in call.options:
        if name not in game.reader_options:
            yield (
                ("ingest", "options"),
                f"there is no option '{name}': {did_you_mean(name, game.reader_options)}",
            )


def _call(card: Card, game: Game) -> dict[str, Any]:
    """The call that makes the data, as the store's manifest keeps it."""
    make = card.data.make
    assert make is not None
    if make.record:
        call = make.record
        return record_call(game, pairings(card), call.seed, call.world, call.options)
    assert make.ingest is not None
    return {"game": game.name, **make.ingest.model_dump()}


def pairings(card: Card) -> list[Pairing]:
    """Who plays whom in the matches that make the data."""
    from shadowbox.collect.matches import parse_pairings

    make = card.data.make
    assert make is not None
    assert make.record is not None
    call = make.record
    if call.mix:
        return parse_pairings(call.mix, call.matches, f"card {card.id}, data.make.record.mix")
    return [Pairing(call.p0, call.p1, call.matches)]


def _make(card: Card, game: Game, progress: Progress | None) -> None:
    """Beside its place first, so that an interruption leaves no half of it behind."""
    out = Path(card.data.store)
    make = card.data.make
    assert make is not None
    temporary = out.with_name(f"{out.name}.{os.getpid()}.making")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        if make.record:
            record(
                game,
                pairings(card),
                temporary,
                seed=make.record.seed,
                world=make.record.world,
                options=make.record.options,
                progress=progress,
            )
        elif make.ingest:
            _ingest(game, make.ingest, temporary, progress)
        try:
            system.replace(temporary, out)
        except OSError as error:
            raise StoreError(f"{out} cannot be put in its place: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _ingest(game: Game, call: IngestCall, out: Path, progress: Progress | None) -> None:
    from shadowbox.data.ingest import ingest

    named = dict(game.reader_filters[call.filter]) if call.filter else {}
    facts = ingest(
        game,
        [Path(path) for path in call.paths],
        out,
        options={**named, **call.options},
        progress=progress,
    )
    if not facts["episodes"]:
        raise CardError(
            f"none of {facts['files']:,} files in {', '.join(call.paths)} was accepted: `shadowbox ingest` says why"
        )
