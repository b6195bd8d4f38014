"""The matches of one server: begun, watched, led, stored, and in the end forgotten."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowbox.core.game import Agent, Game, stable_hash
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.play import specs
from shadowbox.play.live import LiveLoop
from shadowbox.web.person import Person, person_name

MOST_RUNNING = 8
MOST_FINISHED = 16  # kept to be looked at; a match of brawl takes half a megabyte
MOST_STUCK = 4  # threads that wait for an agent that never answers
MOST_PAGES = 200  # that watch, over all matches
# seconds that a paused match waits without a page, and a person's match without the person
LONELY = 60.0
TICK = 0.25  # seconds between looks at the clocks

log = logging.getLogger(__name__)


class _Heartbeat:
    """Wakes everybody who waits. Take `next` before you look for news, and none is missed."""

    def __init__(self) -> None:
        self.next = asyncio.Event()

    def ring(self) -> None:
        """There is news."""
        self.next.set()
        self.next = asyncio.Event()


@dataclass
class LiveMatch:
    """A match, and who is around it."""

    number: int
    live: LiveLoop
    person: Person | None
    seat: int | None
    pulse: _Heartbeat
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    pages: int = 0
    owners: int = 0  # pages of whoever started it
    seen: float = field(default_factory=time.monotonic)  # when somebody who counts was last there
    stored: str | None = None  # where, or why not
    storing: bool = False

    @property
    def summary(self) -> dict[str, Any]:
        """What is particular to this match, for lists and for its page."""
        live = self.live
        return {
            "match": self.number,
            "players": list(live.players),
            "world": live.world.name,
            "seed": live.seed,
            "person": self.seat,
            "frame": max(live.length - 1, 0),
            "fps": live.fps,
            "paused": live.paused,
            "pages": self.pages,
            "result": live.result,
        }


@dataclass(frozen=True, kw_only=True)
class MatchRequest:
    """A match that somebody wants.

    `seat` is where a person sits, and the text there is their name.
    """

    p0: str
    p1: str
    stage: str = ""
    seed: int | None = None
    seat: int | None = None


class MatchManager:
    """Begins matches and looks after them."""

    def __init__(self, game: Game, out: Path) -> None:
        self.game, self.out = game, out
        self.matches: dict[int, LiveMatch] = {}
        self._begun = 0
        self._saving = asyncio.Lock()

    @property
    def pages(self) -> int:
        """That watch, over all matches."""
        return sum(table.pages for table in self.matches.values())

    async def open(self, wish: MatchRequest) -> LiveMatch:
        """Begin a match. Making its world and agents may take a while; others go on meanwhile."""
        self._must_have_room()
        loop, pulse = asyncio.get_running_loop(), _Heartbeat()

        def notify() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(pulse.ring)

        live, person = await asyncio.to_thread(self._made, wish, notify)
        self._must_have_room()
        self._begun += 1
        table = self.matches[self._begun] = LiveMatch(self._begun, live, person, wish.seat, pulse)
        live.start()
        return table

    async def look_after(self) -> None:
        """Until cancelled: forfeit for who is too slow, store what people played, forget what is old."""
        while True:
            for table in list(self.matches.values()):
                table.live.overdue()
                self._break_off_if_left(table)
                if table.live.over and table.person is not None and not table.storing:
                    table.storing = True
                    await self._store(table)
            self._forget()
            await asyncio.sleep(TICK)

    def close(self) -> None:
        """End all matches."""
        for table in self.matches.values():
            table.live.break_off("the server was stopped")

    # ---- inside ----

    def _must_have_room(self) -> None:
        lives = [table.live for table in self.matches.values()]
        if sum(not live.over for live in lives) >= MOST_RUNNING:
            raise UsageError(f"{MOST_RUNNING} matches are being played; wait until one is over")
        if sum(live.stuck for live in lives) >= MOST_STUCK:
            raise UsageError(
                f"{MOST_STUCK} agents have not answered since their matches ended: start the server anew"
            )

    def _made(self, wish: MatchRequest, notify: Any) -> tuple[LiveLoop, Person | None]:
        person = None if wish.seat is None else Person(self.game.schema)
        agents: list[Agent] = []
        players: list[str] = []
        for seat, text in enumerate((wish.p0, wish.p1)):
            sits = person is not None and seat == wish.seat
            agents.append(person if sits and person is not None else specs.agent(text, self.game))
            players.append(person_name(text) if sits else text)
        options = {"stage": wish.stage} if wish.stage else {}
        world = specs.world(self.game.name, self.game, 1, **options)
        # 20 bits: people type it
        seed = wish.seed if wish.seed is not None else stable_hash(secrets.token_bytes(8)) >> 44
        live = LiveLoop(
            self.game, world, agents, players, seed, notify=notify, paused=person is not None
        )
        return live, person

    def _break_off_if_left(self, table: LiveMatch) -> None:
        """A match that waits for somebody does not wait for ever."""
        live, now = table.live, time.monotonic()
        there = table.owners if table.person is not None else table.pages if live.paused else 1
        if there:
            table.seen = now
        elif not live.over and now - table.seen > LONELY:
            live.break_off("nobody was there")

    async def _store(self, table: LiveMatch) -> None:
        live = table.live
        assert live.result is not None
        if live.result["reason"].startswith("broken off") or live.length < 2:
            table.stored = "not stored: the match was broken off"
        else:
            async with self._saving:
                table.stored = await asyncio.to_thread(self._write, table)
        table.pulse.ring()

    def _write(self, table: LiveMatch) -> str:
        episode = table.live.episode()
        meta = {**episode.meta, "person": table.seat}
        try:
            with Writer(
                self.out,
                self.game.schema,
                event_kinds=self.game.event_kinds,
                made={**self.game.made, "serve": self.game.name},
            ) as writer:
                number = writer.add(type(episode)(episode.columns, meta, episode.events))
        except ShadowboxError as error:
            log.warning("a match could not be stored: %s", error)
            return f"not stored: {error}"
        return f"{self.out}#{number}"

    def _forget(self) -> None:
        over = [
            number
            for number, table in self.matches.items()
            if table.live.over and not table.live.stuck
        ]
        unwatched = [number for number in over if not self.matches[number].pages]
        for number in unwatched[: max(0, len(over) - MOST_FINISHED)]:
            del self.matches[number]
