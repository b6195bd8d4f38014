"""Settings of a game: the game-start event decoded, and built for games that we write."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shadowbox.errors import RecordingError
from shadowbox.games.melee.slp.layout import EVENTS, Array, Version

KINDS = ("human", "cpu", "demo")
EMPTY = 3
PORTS = 4
ENCODING = "cp932"  # Shift JIS of Windows, which differs from the standard in a few characters

_SEAT = np.dtype(
    {
        "names": [
            "character",
            "kind",
            "stocks",
            "costume",
            "shade",
            "handicap",
            "team",
            "bits",
            "cpu_level",
            "scales",
        ],
        "formats": ["u1", "u1", "u1", "u1", "u1", "u1", "u1", "u1", "u1", (">f4", 3)],
        "offsets": [0x0, 0x1, 0x2, 0x3, 0x7, 0x8, 0x9, 0xC, 0xF, 0x18],
        "itemsize": 0x24,
    }
)
BLOCK = np.dtype(
    {
        "names": ["bits", "teams", "item_spawn", "stage", "timer", "damage_ratio", "seats"],
        "formats": [("u1", 4), "u1", "i1", ">u2", ">u4", ">f4", (_SEAT, 6)],
        "offsets": [0x0, 0x8, 0xB, 0xE, 0x10, 0x30, 0x60],
        "itemsize": 312,
    }
)
_VERSUS_BITS = (0x32, 0x01, 0x8E, 0x4C)  # as consoles write them for a game with stocks
_SEAT_BITS = 0xC0


@dataclass(frozen=True)
class SlpPlayer:
    """Player at a port; `None` where the version does not record a field."""

    port: int  # 0..3
    character: int  # the game's *external* id, which differs from the id in post frames
    kind: str = "human"  # KINDS
    stocks: int = 4
    costume: int = 0
    team: int | None = None  # 0 red, 1 blue, 2 green; None: no teams
    cpu_level: int = 0
    nametag: str | None = None
    display_name: str | None = None
    connect_code: str | None = None
    user_id: str | None = None


@dataclass(frozen=True)
class GameStart:
    """Settings of a game, read from the payload of its game-start event.

    A property is `None` where the version does not record it.
    """

    payload: bytes

    @cached_property
    def _record(self) -> Any:
        return np.frombuffer(self.payload, EVENTS["start"].dtype(len(self.payload), ">"), count=1)[
            0
        ]

    @cached_property
    def _block(self) -> Any:
        return np.frombuffer(self._record["block"].tobytes(), BLOCK)[0]

    def _integer(self, name: str) -> int | None:
        return int(self._record[name]) if name in self._record.dtype.names else None

    def _switch(self, name: str) -> bool | None:
        value = self._integer(name)
        return None if value is None else value != 0

    def _texts(self, name: str, width: int) -> list[str | None]:
        if name not in self._record.dtype.names:
            return [None] * PORTS
        return [_text(row) for row in self._record[name].reshape(PORTS, width)]

    @property
    def version(self) -> Version:
        """Version of Slippi that recorded the game."""
        major, minor, build, _ = (int(part) for part in self._record["version"])
        return major, minor, build

    @property
    def stage(self) -> int:
        """Number of the stage."""
        return int(self._block["stage"])

    @property
    def teams(self) -> bool:
        """True if the players are in teams."""
        return bool(self._block["teams"])

    @property
    def timer(self) -> int:
        """Seconds on the clock at the start."""
        return int(self._block["timer"])

    @property
    def item_spawn(self) -> int:
        """Frequency of items; -1: never."""
        return int(self._block["item_spawn"])

    @property
    def damage_ratio(self) -> float:
        """Factor of all damage."""
        return float(self._block["damage_ratio"])

    @property
    def seed(self) -> int:
        """Random seed of the game."""
        return int(self._record["seed"])

    @property
    def is_pal(self) -> bool | None:
        """True for the European release, whose characters differ."""
        return self._switch("is_pal")

    @property
    def frozen_stadium(self) -> bool | None:
        """True if Pokemon Stadium does not transform."""
        return self._switch("frozen_stadium")

    @property
    def scene(self) -> tuple[int, int] | None:
        """Major and minor scene; major 2 is versus, 8 is online."""
        minor, major = self._integer("minor_scene"), self._integer("major_scene")
        return None if major is None or minor is None else (major, minor)

    @property
    def online(self) -> bool | None:
        """True if the game was played over the network."""
        return None if self.scene is None else self.scene[0] == 8

    @property
    def language(self) -> int | None:
        """Language: 0 Japanese, 1 English."""
        return self._integer("language")

    @property
    def match_id(self) -> str | None:
        """Identifier of the online session that the game belongs to."""
        return _text(self._record["match_id"]) if "match_id" in self._record.dtype.names else None

    @property
    def game_number(self) -> int | None:
        """Number of the game in its match."""
        return self._integer("game_number")

    @property
    def tiebreak(self) -> int | None:
        """Number of the tiebreak; 0: none."""
        return self._integer("tiebreak")

    @cached_property
    def players(self) -> tuple[SlpPlayer, ...]:
        """Players by port."""
        tags, names = self._texts("nametags", 16), self._texts("display_names", 31)
        codes, users = self._texts("connect_codes", 10), self._texts("user_ids", 29)
        return tuple(
            SlpPlayer(
                port,
                int(seat["character"]),
                KINDS[seat["kind"]],
                int(seat["stocks"]),
                int(seat["costume"]),
                int(seat["team"]) if self.teams else None,
                int(seat["cpu_level"]),
                tags[port],
                names[port],
                None if codes[port] is None else unicodedata.normalize("NFKC", codes[port] or ""),
                users[port],
            )
            for port, seat in enumerate(self._block["seats"][:PORTS])
            if seat["kind"] < len(KINDS)
        )


def new_start(
    version: Version,
    stage: int,
    players: Sequence[SlpPlayer],
    *,
    seed: int = 0,
    timer: int = 480,
    item_spawn: int = -1,
    is_pal: bool = False,
    frozen_stadium: bool = False,
    scene: tuple[int, int] = (2, 2),
    match_id: str = "",
    game_number: int = 1,
) -> GameStart:
    """Build the settings of a game as a recorder of that version would have written them."""
    event = EVENTS["start"]
    # the newest layout, cut to the version at the end
    record = np.zeros(1, event.dtype(event.size((99, 0, 0)), ">"))
    block = np.zeros(1, BLOCK)
    block["bits"], block["stage"], block["timer"] = _VERSUS_BITS, stage, timer
    block["item_spawn"], block["damage_ratio"] = item_spawn, 1
    block["teams"] = any(player.team is not None for player in players)
    seats = block["seats"][0]
    seats["kind"], seats["character"], seats["scales"], seats["bits"], seats["handicap"] = (
        EMPTY,
        26,
        1,
        _SEAT_BITS,
        9,
    )
    for player in players:
        if not 0 <= player.port < PORTS:
            raise RecordingError(f"port must be 0 to {PORTS - 1} (got port {player.port})")
        _seat(seats[player.port], player)
        for name, width, text in (
            ("nametags", 16, player.nametag),
            ("display_names", 31, player.display_name),
            # full width, as recorders write it
            ("connect_codes", 10, (player.connect_code or "").replace("#", "\uff03")),
            ("user_ids", 29, player.user_id),
        ):
            record[name].reshape(PORTS, width)[player.port] = _coded(
                text or "", width, f"port {player.port + 1}: {name}"
            )
    record["version"], record["block"], record["seed"] = (
        (*version, 0),
        np.frombuffer(block.tobytes(), "u1"),
        seed,
    )
    record["is_pal"], record["frozen_stadium"], record["language"] = is_pal, frozen_stadium, 1
    record["major_scene"], record["minor_scene"] = scene
    record["match_id"], record["game_number"] = _coded(match_id, 51, "match_id"), game_number
    return GameStart(record.tobytes()[: event.size(version)])


def _seat(seat: Any, player: SlpPlayer) -> None:
    seat["character"], seat["kind"] = player.character, KINDS.index(player.kind)
    seat["stocks"], seat["costume"], seat["cpu_level"] = (
        player.stocks,
        player.costume,
        player.cpu_level,
    )
    seat["team"] = player.team or 0


def _text(raw: Array) -> str:
    return raw.tobytes().split(b"\0", 1)[0].decode(ENCODING, errors="replace")


def _coded(text: str, width: int, where: str) -> Array:
    content = text.encode(ENCODING, errors="replace")
    if len(content) >= width:
        raise RecordingError(
            f"{where}: text must fit into {width - 1} bytes ('{text}' takes {len(content)})"
        )
    return np.frombuffer(content.ljust(width, b"\0"), "u1")
