"""The data of a card: find its store, make it if it is missing, and identify it by a fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from shadowbox.cards.card import Card
from shadowbox.cards.sections import DataCall, DataSection, IngestCall, RecordCall
from shadowbox.collect.matches import Pairing, record, record_call
from shadowbox.collect.sources import record_sessions, sessions_call
from shadowbox.core import system
from shadowbox.core.game import Game
from shadowbox.data.split import Split
from shadowbox.data.store import Progress, Store
from shadowbox.errors import CardError, ShadowboxError, StoreError, did_you_mean


def existing_store(card: Card) -> Store | None:
    """The card's store, if it is on this disk."""
    path = Path(card.data.store) if card.data and card.data.store else None
    return Store(path) if path and (path / "manifest.json").exists() else None


def split_of(data: DataSection, seed: int) -> Split:
    """Split of the store in the run of this seed."""
    train, val, test = (int(part) / 100 for part in data.split.split("/"))
    seed = seed if data.resplit else 0
    return Split(train, val, test, key=data.by or None, seed=seed)


def get_store(card: Card, game: Game, progress: Progress | None = None) -> Store:
    """The card's store, made first if it is missing and the card says how."""
    store, data = existing_store(card), card.data
    if data is None:
        raise CardError(f"card {card.id} has no data: its learner needs none")
    if store is None:
        if data.external:
            raise CardError(
                f"the data of {card.id} is elsewhere ({data.external}): copy it to {data.store}"
            )
        if data.make is None:
            raise CardError(
                f"store {data.store} not found, and card {card.id} does not say how to make it "
                "(data.make)"
            )
        _make(card, data, game, progress)
        store = Store(Path(data.store), game.schema)
    for problem in dataset_problems(card, game, store):
        raise CardError(f"data of {card.id}: {problem}")
    return store


def judged_on(card: Card) -> Card | None:
    """The card with the other recordings that it is evaluated on as its data; None without any."""
    if card.eval is None or card.eval.data is None:
        return None
    return card.model_copy(update={"data": card.eval.data})


def data_fingerprint(card: Card, game: Game, store: Store | None) -> str | None:
    """Fingerprint of the data.

    For recorded matches, the call and the fields: floats differ between processors. For replays and
    all other data, the content; None while it is not here.
    """
    make = card.data.make if card.data else None
    if make is not None and make.record is not None:
        call = {"facts": game.schema.facts_hash, "call": _record_call(card, game)}
        return "made:" + hashlib.sha256(json.dumps(call, sort_keys=True).encode()).hexdigest()[:32]
    return store.fingerprint if store else None


def dataset_problems(card: Card, game: Game, store: Store) -> list[str]:
    """Reasons why the store on disk is not the one that the card means."""
    found: list[str] = []
    data = card.data
    if data is None:
        return found
    wanted, there = data.fingerprint, data_fingerprint(card, game, store)
    if wanted and wanted != there:
        found.append(f"the card's fingerprint is {wanted}, that of {data.store} is {there}")
    if data.make is not None:
        made, asked = _made_by(card, game, store)
        if made is not None and made != asked:
            found.append(
                f"{data.store} was made by another call ({json.dumps(made)}): move it away, "
                "or name another store"
            )
    if store.schema.name != game.schema.name:
        found.append(
            f"{data.store} holds {store.schema.name}, the card is about {game.schema.name}"
        )
    return found


def data_call_problems(card: Card, game: Game) -> Iterator[tuple[tuple[str, ...], str]]:
    """Place (under `data.make`) and message of each problem of the call that makes the data."""
    make = card.data.make if card.data else None
    if make is not None and make.ingest is not None:
        yield from _doubts_of_reading(game, make.ingest)
    if make is not None and make.record is not None:
        for message in _doubts_of_matches(card, game, make.record):
            yield ("record",), message


def _doubts_of_matches(card: Card, game: Game, call: RecordCall) -> Iterator[str]:
    from shadowbox.play import specs

    if call.source:
        if call.p0 or call.p1 or call.mix or call.world:
            yield "source brings its own players: leave p0, p1, mix and world out"
        yield from _complaints(lambda: _sessions_call(game, call))
        return
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
            f"unknown filter '{call.filter}': {did_you_mean(call.filter, game.reader_filters)}",
        )
    for name in call.options:
        if name not in game.reader_options:
            yield (
                ("ingest", "options"),
                f"unknown option '{name}': {did_you_mean(name, game.reader_options)}",
            )


def _made_by(card: Card, game: Game, store: Store) -> tuple[Any, Any]:
    """Call that made the store, if it says so, and the card's call.

    A call of `ingest` does not hold its paths: what was read is identified by its content.
    """
    make, made = _how(card), store.manifest.made
    if make.record:
        return made.get("record"), _record_call(card, game)
    assert make.ingest is not None
    read = made.get("ingest")
    given = read.get("options") if isinstance(read, dict) else None
    return given, _reading_options(game, make.ingest)


def _record_call(card: Card, game: Game) -> dict[str, Any]:
    """The call of `record` that makes the data, in the form of the store's manifest."""
    call = _how(card).record
    assert call is not None
    if call.source:
        return _sessions_call(game, call)
    return record_call(game, pairings(card), call.seed, call.world, call.options)


def _sessions_call(game: Game, call: RecordCall) -> dict[str, Any]:
    return sessions_call(game, call.source, call.matches, call.seed, call.options)


def _reading_options(game: Game, call: IngestCall) -> dict[str, Any]:
    """Options of the reader: those of a named filter, and single ones."""
    named = dict(game.reader_filters.get(call.filter, {})) if call.filter else {}
    return {**named, **call.options}


def _how(card: Card) -> DataCall:
    assert card.data is not None
    assert card.data.make is not None
    return card.data.make


def pairings(card: Card) -> list[Pairing]:
    """Pairings of the matches that make the data."""
    from shadowbox.collect.matches import parse_pairings

    call = _how(card).record
    assert call is not None
    if call.mix:
        return parse_pairings(call.mix, call.matches, f"card {card.id}, data.make.record.mix")
    return [Pairing(call.p0, call.p1, call.matches)]


def _make(card: Card, data: DataSection, game: Game, progress: Progress | None) -> None:
    """Make the store under a temporary name first, so that an interruption leaves no partial store."""
    out, make = Path(data.store), _how(card)
    temporary = out.with_name(f"{out.name}.{os.getpid()}.making")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        if make.record and make.record.source:
            call = make.record
            record_sessions(
                game,
                call.source,
                call.matches,
                temporary,
                seed=call.seed,
                options=call.options,
                progress=progress,
            )
        elif make.record:
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

    facts = ingest(
        game,
        [Path(path) for path in call.paths],
        out,
        options=_reading_options(game, call),
        progress=progress,
    )
    if not facts["episodes"]:
        raise CardError(
            f"none of {facts['files']:,} files in {', '.join(call.paths)} was accepted: "
            "`shadowbox ingest` shows the reasons"
        )
