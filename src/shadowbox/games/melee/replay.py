"""A Slippi replay -> an Episode: who may come in, who played, how it ended, and the rows of `rows.py`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.episode import Episode
from shadowbox.errors import RecordingError
from shadowbox.games.melee import slp
from shadowbox.games.melee.accept import ENDINGS, NO_CONTEST, UNRESOLVED, AcceptOptions, options
from shadowbox.games.melee.events import events
from shadowbox.games.melee.names import CHARACTERS, KNOWN_STAGES, LEGAL_STAGES, STAGES, TO_INTERNAL
from shadowbox.games.melee.rows import RowBuilder, leaders, rows_of
from shadowbox.games.melee.slp import SlpPlayer, SlpReplay


def read(source: Path | bytes, name: str, **given: Any) -> Iterator[Episode]:
    """The episodes of a recording, named `name` (its ending says what it is): one of a `.slp`, many of a `.pt`."""
    if name.lower().endswith(".pt"):
        from shadowbox.games.melee.legacy import read as read_encoded

        yield from read_encoded(source, name, options(**given))
        return
    yield episode_of(source, name, options(**given))


def episode_of(source: Path | bytes, name: str, chosen: AcceptOptions) -> Episode:
    """One replay as an episode, or a RecordingError that says why it is refused."""
    replay = slp.read(source, name=name)
    _must_be_a_match(replay)
    _must_be_wanted(replay, chosen)
    rows = rows_of(replay)
    if rows.rows - 1 < chosen.min_frames:
        raise RecordingError(f"{rows.rows - 1} decisions, at least {chosen.min_frames} are wanted")
    return Episode(
        rows.columns, _meta(replay, rows, chosen), events(rows.columns), frozenset(rows.absent)
    )


# ---- who may come in -------------------------------------------------------------------------------------------


def _must_be_a_match(replay: SlpReplay) -> None:
    """Two players and a known stage: less cannot be an episode of this schema."""
    playing = len(replay.start.players)
    if playing != 2:
        raise RecordingError(f"{playing} players, two are needed")
    if replay.start.stage not in KNOWN_STAGES:
        raise RecordingError(f"stage {replay.start.stage} is none of the known ones")
    if not len(replay.frames) or len(leaders(replay)) != 2:
        raise RecordingError("it holds no frame of a game")


def _must_be_wanted(replay: SlpReplay, chosen: AcceptOptions) -> None:
    start = replay.start
    if chosen.human and any(player.kind != "human" for player in start.players):
        raise RecordingError("a player is the game's own")
    if chosen.end != "any":
        method = None if replay.end is None else replay.end.method
        if method not in ENDINGS[chosen.end]:
            raise RecordingError(f"it ended with {_ending(replay)}, wanted is end={chosen.end}")
    if chosen.complete and not replay.complete:
        raise RecordingError(
            f"it is not complete: {'; '.join(problem.what for problem in replay.problems)}"
        )
    if chosen.legal_stage and start.stage not in LEGAL_STAGES:
        raise RecordingError(f"stage {STAGES[start.stage]} is none of the six of tournaments")
    if chosen.characters:
        wanted = set(chosen.characters.split(","))
        if strange := [
            _character(player) for player in start.players if _character(player) not in wanted
        ]:
            raise RecordingError(f"{' and '.join(strange)} played, wanted are {chosen.characters}")
    if chosen.min_version:
        least = tuple(int(part) for part in chosen.min_version.split("."))
        if start.version[: len(least)] < least:
            raise RecordingError(
                f"version {_version(replay)}, {chosen.min_version} or later is wanted"
            )


# ---- what is known of it ---------------------------------------------------------------------------------------


def _meta(replay: SlpReplay, rows: RowBuilder, chosen: AcceptOptions) -> dict[str, Any]:
    start = replay.start
    players = [_named(player, replay, chosen.keep_names) for player in start.players]
    session = start.match_id or f"seed {start.seed}"  # offline games are sessions of their own
    known: dict[str, Any] = {
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
        "first_frame": rows.first,
        "end": _ending(replay),
        "complete": replay.complete,
        "result": _result(replay, rows),
    }
    optional = {
        "pal": start.is_pal,
        "played_at": _date(replay),
        "rolled_back": replay.rolled_back or None,
        "problems": [problem.kind for problem in replay.problems] or None,
        "unusable": rows.unusable or None,
        "items_left_out": rows.items_left_out or None,
        "item_rows_left_out": rows.item_rows_left_out or None,
    }
    return known | {key: value for key, value in optional.items() if value is not None}


def pseudonym(kind: str, name: str) -> str:
    """The same name for the same person everywhere, and not the person's own.

    A pseudonym stays as it is.
    """
    if re.fullmatch(rf"{kind}-[0-9a-f]{{12}}", name.lower()):
        return name.lower()
    return (
        f"{kind}-"
        + hashlib.blake2b(name.encode(), digest_size=6, person=b"shadowbox name").hexdigest()
    )


def _named(player: SlpPlayer, replay: SlpReplay, keep: bool) -> str:
    """A connect code, else a display name, else a name tag.

    The game's own players by their level.
    """
    if player.kind != "human":
        return f"{player.kind}-{player.cpu_level}"
    in_metadata = _names_in_metadata(replay, player.port)
    known = (
        player.connect_code,
        in_metadata.get("code"),
        player.display_name,
        in_metadata.get("netplay"),
        player.nametag,
    )
    name = next((str(name).strip() for name in known if name and str(name).strip()), "")
    if not name:
        return "unknown"
    return name if keep else pseudonym("player", name.upper())


def _names_in_metadata(replay: SlpReplay, port: int) -> Mapping[str, Any]:
    """What the recorder wrote beside the game; anybody may have written it."""
    players = (replay.metadata or {}).get("players")
    entry = players.get(str(port)) if isinstance(players, dict) else None
    names = entry.get("names") if isinstance(entry, dict) else None
    return (
        {key: value for key, value in names.items() if isinstance(value, str)}
        if isinstance(names, dict)
        else {}
    )


def _date(replay: SlpReplay) -> str | None:
    """The day on which it was played."""
    text = (replay.metadata or {}).get("startAt")
    found = re.match(r"\d{4}-\d{2}-\d{2}", text) if isinstance(text, str) else None
    return found[0] if found else None


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


def _result(replay: SlpReplay, rows: RowBuilder) -> dict[str, Any]:
    """Who won: as the game placed them, else who has stocks left, else not who quit, else by stocks and damage."""
    stocks = rows.columns["player/stocks"][-1].tolist()
    damage = [round(float(value), 2) for value in rows.columns["player/percent"][-1]]
    winner, reason = _winner(replay, stocks, damage)
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
    standing = sorted(range(2), key=lambda seat: (-stocks[seat], damage[seat]))
    first, second = standing
    even = (stocks[first], damage[first]) == (stocks[second], damage[second])
    return (None if even else first), _ending(replay)
