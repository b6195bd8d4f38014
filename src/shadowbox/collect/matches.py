"""Recordings of matches: named agents play, and the episodes are written to a store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from shadowbox.core import system
from shadowbox.core.episode import Episode, PackedEpisode
from shadowbox.core.game import Game, Outcome, stable_hash
from shadowbox.core.schema import Array
from shadowbox.core.work.executor import _Backend, run_tasks
from shadowbox.data.manifest import NAME as MANIFEST
from shadowbox.data.store import Progress, Store
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError, UsageError, did_you_mean, interrupted
from shadowbox.play import specs
from shadowbox.play.match import SIDE_BY_SIDE, PlayedMatch, play

STOPPED = (
    "stopped after {done:,} of {total:,} matches; {out} keeps them: "
    "go on with the same command and --resume"
)


@dataclass(frozen=True)
class Pairing:
    """A number of matches of `p0` (seat 0) against `p1`."""

    p0: str
    p1: str
    matches: int


def record(
    game: Game,
    pairings: Sequence[Pairing],
    out: Path,
    *,
    seed: int = 0,
    world: str = "",
    options: Mapping[str, Any] | None = None,
    tracks: bool = False,
    most: int | None = None,
    resume: bool = False,
    backend: _Backend | None = None,
    game_spec: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play all pairings and append them to the store `out`; returns a summary with the wins.

    `world` is the spec of a world (default: the game's simulator), `options` are further options of
    it. `tracks` also stores the tracks of the agents. `most`: frames after which a match is cut off.
    `resume` plays only the matches that a store of the same call lacks. A signal commits the others.
    `backend` plays blocks of matches elsewhere, which load the game by `game_spec`.
    """
    options = dict(options or {})
    total, done, wins = sum(pairing.matches for pairing in pairings), 0, []
    _require_known(game, pairings, world, options)
    call = record_call(game, pairings, seed, world, options, most)
    made = {**game.made, "record": call}
    kept = _stored_matches(out, call) if resume else set()
    with (
        Writer(out, game.schema, event_kinds=game.event_kinds, made=made) as writer,
        system.saves_when_stopped(),
    ):
        before = writer.episodes
        try:
            for pairing in pairings:
                names, seeds = (pairing.p0, pairing.p1), _seeds(seed, pairing)
                seeds = seeds[[(*names, number) not in kept for number in seeds.tolist()]]
                done += pairing.matches - len(seeds)
                count = {"p0": 0, "p1": 0, "draws": 0, "frames": 0}
                where = (game_spec or game.name, world, options, names, tracks, most)
                for played in _played(game, where, seeds, backend):
                    _must_not_forfeit(played.outcome, pairing)
                    _add(played, writer, count)
                    done += 1
                    if progress:
                        progress(done, total)
                wins.append({**vars(pairing), "won": count})
        except KeyboardInterrupt:
            with system.shielded():
                writer.commit()
            raise interrupted(STOPPED.format(done=done, total=total, out=out)) from None
        episodes = writer.episodes - before
    return {
        "store": str(out),
        "game": game.name,
        "episodes": episodes,
        "frames": sum(pairing["won"]["frames"] for pairing in wins),
        "seed": seed,
        "pairings": wins,
    }


# game, world and its options, players, tracks, most frames
_Where = tuple[str, str, Mapping[str, Any], tuple[str, str], bool, int | None]


def _require_known(
    game: Game, pairings: Sequence[Pairing], world: str, options: Mapping[str, Any]
) -> None:
    """Refuse a name that means nothing before the first match."""
    specs.world_factory(world, game, **options)
    for pairing in pairings:
        specs.agent(pairing.p0, game), specs.agent(pairing.p1, game)


def _played(
    game: Game, where: _Where, seeds: Array, backend: _Backend | None
) -> Iterator[PlayedMatch]:
    """Matches in the order of their seeds; by a backend in blocks of SIDE_BY_SIDE."""
    if backend is None:
        _, world, options, names, tracks, most = where
        agents = [specs.agent(spec, game) for spec in names]
        matches = max(1, min(SIDE_BY_SIDE, len(seeds)))
        places = specs.world_factory(world, game, **options)(matches)
        yield from play(game, places, agents, names, seeds, tracks=tracks, most=most)
        return
    blocks = (
        (where, seeds[first : first + SIDE_BY_SIDE]) for first in range(0, len(seeds), SIDE_BY_SIDE)
    )
    for _, found in run_tasks(backend, _play_block, blocks, ordered=True):
        yield from (PlayedMatch(recording, outcome, game.schema) for recording, outcome in found)


def _play_block(task: tuple[_Where, Array]) -> list[tuple[Episode | PackedEpisode, Outcome]]:
    from shadowbox.games import load

    where, seeds = task
    found = _played(load(where[0]), where, seeds, None)
    return [(played.recording, played.outcome) for played in found]


def _add(played: PlayedMatch, writer: Writer, count: dict[str, int]) -> None:
    with system.shielded():
        writer.add(played.recording)
    winner = played.outcome.winner
    count["draws" if winner is None else f"p{winner}"] += 1
    count["frames"] += played.recording.frames


def _stored_matches(out: Path, call: Mapping[str, Any]) -> set[tuple[str, str, int]]:
    """Players and seed of each match that an interrupted call has stored."""
    if not (out / MANIFEST).exists():
        return set()
    store = Store(out)
    if store.manifest.made.get("record") != json.loads(json.dumps(call)):
        raise UsageError(
            f"{out} was recorded by another call; --resume goes on with the call that began a store"
        )
    metas = map(store.meta_of, range(len(store)))
    return {(*meta["players"], meta["seed"]) for meta in metas}


def record_call(
    game: Game,
    pairings: Sequence[Pairing],
    seed: int,
    world: str,
    options: Mapping[str, Any],
    most: int | None = None,
) -> dict[str, Any]:
    """A call of `record` as plain data, kept in the store and used to identify made data."""
    played_in = {"world": world} if world not in ("", game.name) else {}
    return {
        "game": game.name,
        "pairings": [vars(pairing) for pairing in pairings],
        "seed": seed,
        **played_in,
        "options": dict(options),
        **({} if most is None else {"most": most}),
    }


def read_pairings(path: Path, matches: int) -> list[Pairing]:
    """Read pairings from a YAML list of `{p0: SPEC, p1: SPEC, share: NUMBER}`.

    The shares divide `matches` among them.
    """
    try:
        entries = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse_pairings(entries, matches, str(path))


def parse_pairings(entries: Any, matches: int, path: str) -> list[Pairing]:
    """Parse pairings from plain data; `path` names their origin in errors."""
    if not isinstance(entries, list) or not entries:
        raise UsageError(
            f"{path}: a list is needed, each entry as in  - {{p0: based, p1: random, share: 1}}"
        )
    for number, entry in enumerate(entries, start=1):
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("p0"), str)
            or not isinstance(entry.get("p1"), str)
        ):
            raise UsageError(f"{path}, entry {number}: p0 and p1 must be names of agents")
        for key in entry.keys() - {"p0", "p1", "share"}:
            raise UsageError(
                f"{path}, entry {number}: unknown key '{key}': "
                f"{did_you_mean(str(key), ('p0', 'p1', 'share'))}"
            )
        share = entry.get("share", 1)
        if (
            isinstance(share, bool)
            or not isinstance(share, int | float)
            or not 0 < share < float("inf")
        ):
            raise UsageError(
                f"{path}, entry {number}: share is {share!r}, it must be a positive number"
            )
    ends = np.cumsum([float(entry.get("share", 1)) for entry in entries])
    counts = np.diff(np.round(matches * ends / ends[-1]).astype(int), prepend=0)
    pairs = zip(entries, counts.tolist(), strict=True)
    return [Pairing(entry["p0"], entry["p1"], count) for entry, count in pairs if count]


def _must_not_forfeit(outcome: Outcome, pairing: Pairing) -> None:
    """Refuse forfeits: an agent that fails must be fixed before its matches are recorded."""
    for loss in outcome.facts.get("forfeit", ()):
        name = (pairing.p0, pairing.p1)[loss["player"]]
        raise ShadowboxError(
            f"agent '{name}' broke in seat {loss['player']}: {loss['reason']}; nothing more is recorded"
        )


def _seeds(seed: int, pairing: Pairing) -> Array:
    """A seed for each match, dependent on the pairing, so that pairings of a mix are independent."""
    numbers = (
        stable_hash(seed, pairing.p0, pairing.p1, match) >> 1 for match in range(pairing.matches)
    )
    return np.fromiter(numbers, np.int64, pairing.matches)
