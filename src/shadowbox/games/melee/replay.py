"""Reader of Slippi replays: checks a recording and returns it as an Episode with metadata."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.episode import UNKNOWN, Episode
from shadowbox.core.schema import Columns
from shadowbox.errors import RecordingError
from shadowbox.games.melee import slp
from shadowbox.games.melee.accept import ENDINGS, NO_CONTEST, UNRESOLVED, AcceptOptions, options
from shadowbox.games.melee.events import events
from shadowbox.games.melee.names import CHARACTERS, KNOWN_STAGES, LEGAL_STAGES, STAGES, TO_INTERNAL
from shadowbox.games.melee.rows import _RowBuilder, leaders, rows_of
from shadowbox.games.melee.schema import SCHEMA
from shadowbox.games.melee.slp import SlpPlayer, SlpReplay

UNKNOWN_DATE = "1970-01-01"  # of exported episodes: other readers want a date
LONGEST_NAME = 64  # characters that are kept; the recorder's metadata may hold a megabyte
SKILL = {"platinum": 0.0, "diamond": 0.5, "master": 1.0}  # of the ranks in anonymized sets
_RANK = re.compile(r"(platinum|diamond|master) player", re.IGNORECASE)  # names in anonymized sets


def read(source: Path | bytes, name: str, **settings: Any) -> Iterator[Episode]:
    """Read the episodes of a recording: one of a `.slp` or a `.slpz`, many of a `.pt`.

    A `.slp` with impossible values gives an episode for each stretch of frames between them. The
    ending of `name` decides about the format; `settings` are those of `AcceptOptions`.
    """
    if name.lower().endswith(".pt"):
        from shadowbox.games.melee.legacy import read as read_encoded

        yield from read_encoded(source, name, options(**settings))
        return
    if name.lower().endswith(".slpz"):
        from shadowbox.games.melee.slp.packed import unpack_file

        source = unpack_file(source, name)
    yield from episodes_of(source, name, options(**settings))


def episodes_of(source: Path | bytes, name: str, chosen: AcceptOptions) -> Iterator[Episode]:
    """Read a replay as episodes; a replay that is refused raises a RecordingError."""
    replay = slp.read(source, name=name)
    _check_is_match(replay)
    _check_filters(replay, chosen)
    rows = rows_of(replay)
    if chosen.complete and rows.impossible:
        raise RecordingError(
            f"the recording is incomplete: an impossible value ({rows.impossible})"
        )
    parts = [part for part in rows.parts() if part.stop - part.start > chosen.min_frames]
    if not parts:
        longest = max((part.stop - part.start - 1 for part in rows.parts()), default=0)
        cut = f" ({rows.impossible})" if rows.impossible else ""
        raise RecordingError(
            f"the replay holds {longest} decisions{cut}; min_frames={chosen.min_frames}"
        )
    lost = rows.rows - 1 - sum(part.stop - part.start - 1 for part in parts)
    for number, part in enumerate(parts):
        columns = rows.columns
        if rows.impossible:
            columns = {key: np.array(values[part]) for key, values in columns.items()}
            for key in SCHEMA.control_keys:
                columns[key][-1] = 0
        meta = _meta(replay, rows, part, columns, chosen)
        if rows.impossible:
            meta |= {"part": number, "complete": False}
        if rows.impossible and not number:
            meta["cut"] = {"frames": lost, "why": rows.impossible}
        yield Episode(columns, meta, events(columns), frozenset(rows.absent))


# ---- acceptance ----


def _check_is_match(replay: SlpReplay) -> None:
    """Refuse replays without two players and a known stage, which the schema cannot hold."""
    playing = len(replay.start.players)
    if playing != 2:
        raise RecordingError(f"a replay must have two players (this one has {playing})")
    if replay.start.stage not in KNOWN_STAGES:
        raise RecordingError(f"unknown stage {replay.start.stage}")
    if not len(replay.frames) or len(leaders(replay)) != 2:
        raise RecordingError("the replay holds no frames of both players")


def _check_filters(replay: SlpReplay, chosen: AcceptOptions) -> None:
    start = replay.start
    if chosen.human and any(player.kind != "human" for player in start.players):
        raise RecordingError("a player is a CPU; human=True accepts people only")
    if chosen.end != "any":
        method = None if replay.end is None else replay.end.method
        if method not in ENDINGS[chosen.end]:
            raise RecordingError(
                f"the game ended with '{_ending(replay)}', which end={chosen.end} refuses"
            )
    if chosen.complete and not replay.complete:
        raise RecordingError(
            f"the recording is incomplete: {'; '.join(problem.what for problem in replay.problems)}"
        )
    if chosen.legal_stage and start.stage not in LEGAL_STAGES:
        raise RecordingError(f"stage {STAGES[start.stage]} is not one of the six tournament stages")
    if chosen.characters:
        accepted = set(chosen.characters.split(","))
        characters = [_character(player) for player in start.players]
        if others := [character for character in characters if character not in accepted]:
            raise RecordingError(
                f"{' and '.join(others)} played; characters={chosen.characters} are accepted"
            )
    if chosen.min_version:
        least = tuple(int(part) for part in chosen.min_version.split("."))
        if start.version[: len(least)] < least:
            raise RecordingError(
                f"Slippi version {_version(replay)} is older than min_version={chosen.min_version}"
            )


# ---- metadata ----


def _meta(
    replay: SlpReplay, rows: _RowBuilder, part: slice, columns: Columns, chosen: AcceptOptions
) -> dict[str, Any]:
    start = replay.start
    players = [_player_name(player, replay, chosen.keep_names) for player in start.players]
    session = start.match_id or f"seed {start.seed}"  # each offline game is a session
    meta: dict[str, Any] = {
        "players": players,
        "p0": players[0],  # to split by one of them
        "p1": players[1],
        "session": session if chosen.keep_names else pseudonym("session", session),
        "characters": [_character(player) for player in start.players],
        "kinds": [player.kind for player in start.players],
        "ports": [player.port for player in start.players],
        "costumes": [player.costume for player in start.players],
        "stage": STAGES[start.stage],
        "world": f"melee, Slippi {_version(replay)}",
        "version": _version(replay),
        "seed": start.seed,
        "first_frame": rows.first + part.start,
        "end": _ending(replay),
        "complete": replay.complete,
        "result": _result(replay, columns, last=part.stop == rows.rows),
    }
    optional = {
        "ranks": (ranks := _ranks(replay)),
        "rank": [SKILL.get(name) for name in ranks] if ranks else None,  # for `skill: [rank]`
        "pal": start.is_pal,
        "played_at": _date(replay),
        "rolled_back": replay.rolled_back or None,
        "problems": [problem.kind for problem in replay.problems] or None,
        "unusable": rows.unusable or None,
        "items_left_out": rows.items_left_out or None,
        "item_rows_left_out": rows.item_rows_left_out or None,
    }
    return meta | {key: value for key, value in optional.items() if value is not None}


def pseudonym(kind: str, name: str) -> str:
    """Replace a name by a pseudonym that is the same everywhere; a pseudonym stays as it is."""
    if re.fullmatch(rf"{kind}-[0-9a-f]{{12}}", name.lower()):
        return name.lower()
    return (
        f"{kind}-"
        + hashlib.blake2b(name.encode(), digest_size=6, person=b"shadowbox name").hexdigest()
    )


def _player_name(player: SlpPlayer, replay: SlpReplay, keep: bool) -> str:
    """Name of a player: the connect code, else the display name, else the name tag; `cpu-LEVEL`.

    Players whose name is a rank are unknown.
    """
    if player.kind != "human":
        return f"{player.kind}-{player.cpu_level}"
    name = _name_given(player, replay)
    if not name or _RANK.fullmatch(name):
        return UNKNOWN
    return name[:LONGEST_NAME] if keep else pseudonym("player", name.upper())


def _name_given(player: SlpPlayer, replay: SlpReplay) -> str:
    """The first name that a replay has for a player, or an empty one."""
    in_metadata = _names_in_metadata(replay, player.port)
    candidates = (
        player.connect_code,
        in_metadata.get("code"),
        player.display_name,
        in_metadata.get("netplay"),
        player.nametag,
    )
    return next((str(name).strip() for name in candidates if name and str(name).strip()), "")


def _ranks(replay: SlpReplay) -> list[str] | None:
    """Rank of each player in replays whose names are ranks, such as "Master Player"; else None."""
    found = [_RANK.fullmatch(_name_given(player, replay)) for player in replay.start.players]
    return [each[1].lower() if each else "" for each in found] if any(found) else None


def _names_in_metadata(replay: SlpReplay, port: int) -> Mapping[str, Any]:
    """Names in the recorder's metadata for a port, checked because the metadata is untrusted."""
    players = (replay.metadata or {}).get("players")
    entry = players.get(str(port)) if isinstance(players, dict) else None
    names = entry.get("names") if isinstance(entry, dict) else None
    return (
        {key: value for key, value in names.items() if isinstance(value, str)}
        if isinstance(names, dict)
        else {}
    )


def _date(replay: SlpReplay) -> str | None:
    """Date of the game as YYYY-MM-DD, or None."""
    text = (replay.metadata or {}).get("startAt")
    match = re.match(r"\d{4}-\d{2}-\d{2}", text) if isinstance(text, str) else None
    return match[0] if match and match[0] != UNKNOWN_DATE else None


def _character(player: SlpPlayer) -> str:
    external = player.character
    return (
        CHARACTERS[TO_INTERNAL[external]]
        if external < len(TO_INTERNAL)
        else f"character_{external}"
    )


def _version(replay: SlpReplay) -> str:
    return ".".join(map(str, replay.version))


def _ending(replay: SlpReplay) -> str:
    return "none" if replay.end is None else replay.end.name


def _result(replay: SlpReplay, columns: Columns, *, last: bool) -> dict[str, Any]:
    """Result of a match: winner, reason, stocks and damage.

    The winner is the player that the game placed first, else the only one with stocks left, else
    the one who did not quit, else the one with more stocks, then less damage. Rows that are not the
    last of their match are broken off.
    """
    stocks = columns["player/stocks"][-1].tolist()
    damage = [round(float(value), 2) for value in columns["player/percent"][-1]]
    winner, reason = _winner(replay, stocks, damage) if last else (None, "broken off")
    return {"winner": winner, "reason": reason, "stocks": stocks, "damage": damage}


def _winner(replay: SlpReplay, stocks: list[int], damage: list[float]) -> tuple[int | None, str]:
    end, ports = replay.end, [player.port for player in replay.start.players]
    left = [seat for seat, count in enumerate(stocks) if count > 0]
    if end is not None and end.method == NO_CONTEST:
        quitter = ports.index(end.lras) if end.lras in ports else None
        return (None if quitter is None else 1 - quitter), "quit"
    placed = (
        [] if end is None or end.placements is None else [end.placements[port] for port in ports]
    )
    if placed.count(0) == 1:
        return placed.index(0), _ending(replay)
    if len(left) == 1:
        return left[0], "game"
    if end is None or end.method == UNRESOLVED:
        return None, "broken off"
    ranking = sorted(range(2), key=lambda seat: (-stocks[seat], damage[seat]))
    first, second = ranking
    even = (stocks[first], damage[first]) == (stocks[second], damage[second])
    return (None if even else first), _ending(replay)
