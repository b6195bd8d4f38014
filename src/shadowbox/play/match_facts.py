"""Facts of a match by player: numbers for programs, and remarks in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from shadowbox.core.episode import Episode
from shadowbox.core.game import Game, Outcome
from shadowbox.core.schema import Array, Choice, Flag
from shadowbox.data.soundness import episode_digest
from shadowbox.play import specs

PATIENCE = 200  # frames; a player who does not attack once in so many is named


def match_facts(game: Game, episode: Episode, outcome: Outcome) -> dict[str, Any]:
    """Winner, length, fingerprint and each player's facts, as plain data."""
    names = [str(name) for name in episode.meta.get("players", [])]
    players = [_player(game, episode, player, names) for player in range(game.schema.players)]
    marks = episode.meta.get("marks")
    warned = [
        {"player": player["name"], "mark": str(mark)}
        for player, mark in zip(players, marks if isinstance(marks, list) else [], strict=False)
        if mark
    ]
    return {
        "game": game.name,
        "world": episode.meta.get("world"),
        "seed": episode.meta.get("seed"),
        "frames": episode.frames,
        "seconds": episode.frames / game.schema.fps,
        "winner": outcome.winner,
        "reason": outcome.reason,
        **outcome.facts,
        "fingerprint": fingerprint(game, episode),
        "players": players,
        "opponents": _met([player["name"] for player in players]),
        "held_out": specs.held_out(dict.fromkeys(names), game),
        "marks": warned,
        "remarks": [remark for player in players for remark in player["remarks"]],
    }


def _met(names: list[str]) -> dict[str, list[str]]:
    """The opponents that each player met, by name."""
    return {
        name: sorted({other for seat, other in enumerate(names) if seat != names.index(name)})
        for name in names
    }


def fingerprint(game: Game, episode: Episode) -> str:
    """Fingerprint of a match: a hash of every row and event, without the players' names."""
    absent = np.packbits(~episode.valid(game.schema), bitorder="little")
    return episode_digest(game.schema.pack(episode.columns), episode.events, absent).hex()


def _player(game: Game, episode: Episode, player: int, names: list[str]) -> dict[str, Any]:
    name = names[player] if player < len(names) else f"P{player + 1}"
    return {
        "name": name,
        **_blows(game, episode, player),
        "events": _events(game, episode.events, player),
        **_attacks(game, episode, player, name),
        "controls": _controls(game, episode, player),
        "states": _states(game, episode, player),
    }


def _blows(game: Game, episode: Episode, player: int) -> dict[str, Any]:
    """Hits by move, and damage dealt and taken by them."""
    if "hit" not in game.event_kinds:
        return {}
    hits = episode.events[episode.events["kind"] == game.event_kinds.index("hit")]
    dealt = hits[hits["player"] == player]
    whats = game.event_whats.get("hit", ())
    by_what: dict[str, int] = {}
    for what in dealt["what"].tolist():
        label = whats[what] if 0 <= what < len(whats) else str(what)
        by_what[label] = by_what.get(label, 0) + 1
    return {
        "damage_dealt": float(dealt["value"].sum(dtype=np.float64)),
        "damage_taken": float(hits["value"][hits["other"] == player].sum(dtype=np.float64)),
        "hits": dict(sorted(by_what.items(), key=lambda item: -item[1])),
    }


def _events(game: Game, events: Array, player: int) -> dict[str, int]:
    mine = events[events["player"] == player]
    return {
        kind: count
        for at, kind in enumerate(game.event_kinds)
        if (count := int((mine["kind"] == at).sum()))
    }


def _attacks(game: Game, episode: Episode, player: int, name: str) -> dict[str, Any]:
    """Number of attacks, and the longest time without one, with a remark if it is too long."""
    if game.attacks is None:
        return {"remarks": []}
    begun = np.flatnonzero(game.attacks(episode.columns)[:, player])
    edges = np.concatenate([[0], begun, [episode.frames]])
    waits = np.diff(edges)
    longest, start = int(waits.max()), int(edges[waits.argmax()])
    remarks = []
    if longest >= PATIENCE:
        when = "in the whole match" if not len(begun) else f"in {longest} frames from frame {start}"
        remarks.append(f"{name} (player {player}) did not attack once {when}")
    return {"attacks": len(begun), "longest_without_attack": longest, "remarks": remarks}


def _controls(game: Game, episode: Episode, player: int) -> dict[str, Any]:
    """Frames down and presses of each key, without the last row, which decides nothing."""
    found = {}
    for key in game.schema.control_keys:
        if isinstance(game.schema.columns[key].field, Flag):
            down = episode.columns[key][:-1, player]
            begun = down & ~np.concatenate([[False], down[:-1]])
            found[key] = {"presses": int(down.sum()), "onsets": int(begun.sum())}
    return found


def _states(game: Game, episode: Episode, player: int) -> dict[str, dict[str, float]]:
    """Share of frames in each value of the player's named choices, the most frequent first."""
    found = {}
    for key in game.schema.state_keys:
        column = game.schema.columns[key]
        if (
            column.group.per
            and isinstance(column.field, Choice)
            and column.field.names
            and key not in episode.absent
        ):
            slot = player * (column.slots // game.schema.players)
            counts = (
                np.bincount(episode.columns[key][:, slot], minlength=column.field.n) / episode.rows
            )
            shares = {
                name: float(share)
                for name, share in zip(column.field.names, counts, strict=True)
                if share
            }
            found[key] = dict(sorted(shares.items(), key=lambda item: -item[1]))
    return found
