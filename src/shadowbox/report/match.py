"""Pages of one match and of two: viewers, events and numbers, and the origin of each match."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.core.episode import Episode
from shadowbox.core.game import Game, Outcome
from shadowbox.core.scenes.default import scene_of
from shadowbox.core.schema import Array
from shadowbox.core.tracks import tracks_of, with_tracks
from shadowbox.page.document import Html, Text, badge, code, facts, folded, heading, sentence, table
from shadowbox.page.match_page import clip, hello, lockstep_page, match_page
from shadowbox.play.match_facts import match_facts

MOST_STATES = 12  # of each named field, the most frequent first


def match_document(game: Game, episode: Episode, source: Sequence[tuple[str, str]] = ()) -> str:
    """The HTML file of an episode; `source` lists its origin as names and values."""
    known = greeting(game, episode.meta, episode.columns, episode.tracks)
    result = episode.meta.get("result")
    return match_page(
        " against ".join(known["players"]),
        known,
        with_tracks(game.schema.pack(episode.columns), episode.tracks),
        episode.events,
        result=result if isinstance(result, dict) else None,
        blocks=below_the_viewer(game, episode, source),
    )


def greeting(
    game: Game,
    meta: Mapping[str, Any],
    columns: Mapping[str, Array] | None = None,
    tracks: Mapping[str, Array] | None = None,
) -> dict[str, Any]:
    """Facts that the viewer needs before the first row; `columns` of the match set the view.

    `tracks` are those that follow each row (`core.tracks.with_tracks`).
    """
    players = meta.get("players")
    return hello(
        game.schema,
        scene_of(game, columns),
        players=[str(name) for name in players] if isinstance(players, list) else [],
        world=str(meta.get("world", "")),
        worlds=_worlds(meta),
        event_kinds=game.event_kinds,
        event_whats=game.event_whats,
        tracks=tracks_of(tracks or {}),
    )


def _worlds(meta: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Worlds of a match that changed its world, from metadata that may hold anything."""
    given = meta.get("worlds")
    known = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return [
        {"from": each["from"], "spec": each["spec"]}
        for each in known
        if isinstance(each.get("from"), int) and isinstance(each.get("spec"), str)
    ]


def match_clip(game: Game, caption: str, episode: Episode, frames: int | None = None) -> Html:
    """Clip of an episode with its tracks: all of it, or only its first `frames`."""
    rows = with_tracks(game.schema.pack(episode.columns), episode.tracks)[:frames]
    result = episode.meta.get("result") if len(rows) > episode.frames else None
    known = greeting(game, episode.meta, episode.columns, episode.tracks)
    return clip(caption, known, rows, episode.events[episode.events["frame"] < len(rows)], result)


def lockstep_document(matches: Sequence[tuple[Game, Episode, str]]) -> str:
    """The HTML file in which matches play as one; each has its game, its episode and a name."""
    return lockstep_page(
        " beside ".join(name for _, _, name in matches),
        [match_clip(game, name, episode) for game, episode, name in matches],
        [folded(name, below_the_viewer(game, episode)) for game, episode, name in matches],
    )


def same_moment(
    first: tuple[Path, int, Mapping[str, Any]], second: tuple[Path, int, Mapping[str, Any]]
) -> tuple[int, int]:
    """Rows of two stored matches that show the same moment: store, number and metadata of each.

    A match that was begun from a row of the other one, such as its dream, begins beside that row.
    """
    for at, (begun, (path, number, _)) in enumerate(((second, first), (first, second))):
        begin = re.fullmatch(r"(.+)#(\d+):(\d+)", str(begun[2].get("from", "")))
        if begin and int(begin[2]) == number and Path(begin[1]).resolve() == path.resolve():
            return (int(begin[3]), 0) if at == 0 else (0, int(begin[3]))
    return 0, 0


def later_part(episode: Episode, row: int) -> Episode:
    """Episode from a row on, to be looked at."""
    if row == 0:
        return episode
    events = episode.events[episode.events["frame"] >= row].copy()
    events["frame"] -= row
    meta = {key: value for key, value in episode.meta.items() if key != "spans"}
    if worlds := _worlds(meta):
        meta["worlds"] = [{**each, "from": max(0, each["from"] - row)} for each in worlds]
    columns, tracks = (
        {key: values[row:] for key, values in each.items()}
        for each in (episode.columns, episode.tracks)
    )
    return Episode(columns, meta, events, episode.absent, tracks)


def below_the_viewer(
    game: Game, episode: Episode, source: Sequence[tuple[str, str]] = ()
) -> list[Html]:
    """Blocks below the viewer: facts of the match, and its origin."""
    found = match_facts(game, episode, outcome_of(game, episode))
    return [*_facts(found), _origin(game, episode.meta, found, source)]


def outcome_of(game: Game, episode: Episode) -> Outcome:
    """Outcome of an episode from its metadata, or from the game's own rules."""
    result = episode.meta.get("result")
    if isinstance(result, Mapping) and "winner" in result:
        rest = {key: value for key, value in result.items() if key not in ("winner", "reason")}
        return Outcome(result["winner"], str(result.get("reason", "")), rest)
    if game.outcome:
        return game.outcome(episode.columns, episode.events)
    return Outcome(None, "unknown")


def _facts(found: Mapping[str, Any]) -> Iterator[Html]:
    for mark in found["marks"]:
        yield sentence(
            badge("gate not passed", "bad"), " ", code(mark["player"]), f" {mark['mark']}."
        )
    for remark in found["remarks"]:
        yield sentence(badge("passive", "bad"), f" {remark}.")
    for loss in found.get("forfeit", ()):
        yield sentence(badge("forfeit", "bad"), f" player {loss['player']}: {loss['reason']}")
    players = found["players"]
    if totals := _totals(players):  # none of a game without events, such as a recorded body
        yield heading("What happened")
        yield table(["", *(player["name"] for player in players)], totals)
    if any(player.get("hits") for player in players):
        yield heading("Hits by what hit")
        yield table(["", *(player["name"] for player in players)], _counts(players, "hits"))
    yield folded("Keys", [_keys(players)])
    for key in players[0]["states"]:
        yield folded(f"Time spent: {key}", [_shares(players, key)])


def _totals(players: Sequence[Mapping[str, Any]]) -> list[list[Text]]:
    rows: list[list[Text]] = []
    for label, key in (
        ("damage dealt", "damage_dealt"),
        ("damage taken", "damage_taken"),
        ("attacks begun", "attacks"),
        ("longest without an attack, frames", "longest_without_attack"),
    ):
        if key in players[0]:
            rows.append([label, *(f"{player[key]:,.0f}" for player in players)])
    return [*rows, *_counts(players, "events")]


def _counts(players: Sequence[Mapping[str, Any]], what: str) -> list[list[Text]]:
    labels = dict.fromkeys(label for player in players for label in player.get(what, {}))
    return [
        [label, *(f"{player.get(what, {}).get(label, 0):,}" for player in players)]
        for label in labels
    ]


def _keys(players: Sequence[Mapping[str, Any]]) -> Html:
    """Table of presses and frames held, side by side."""
    head = [
        "key",
        *(f"{player['name']}: {what}" for player in players for what in ("presses", "frames")),
    ]
    rows = [
        [
            key,
            *(
                f"{player['controls'][key][what]:,}"
                for player in players
                for what in ("onsets", "presses")
            ),
        ]
        for key in players[0]["controls"]
    ]
    return table(head, rows)


def _shares(players: Sequence[Mapping[str, Any]], key: str) -> Html:
    names = dict.fromkeys(name for player in players for name in player["states"][key])
    rows = [
        [name, *(f"{100 * player['states'][key].get(name, 0):.1f} %" for player in players)]
        for name in names
    ]
    return table(["", *(player["name"] for player in players)], rows[:MOST_STATES])


def _origin(
    game: Game, meta: Mapping[str, Any], found: Mapping[str, Any], source: Sequence[tuple[str, str]]
) -> Html:
    known: list[tuple[Text, Text]] = [
        *((name, code(value)) for name, value in source),
        ("game", code(game.name)),
        ("world", code(str(meta.get("world", "unknown")))),
        ("seed", code(str(meta.get("seed", "unknown")))),
        ("fields", code(game.schema.facts_hash)),
        ("content", code(found["fingerprint"])),
    ]
    return folded("Where this match comes from", [facts(known)])
