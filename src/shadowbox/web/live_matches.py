"""Live matches of a server: starts them, stores those of people, drops old ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shadowbox.core.game import Agent, Game, World, stable_hash
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.play import specs
from shadowbox.play.live import LiveLoop
from shadowbox.web.person import Person, person_name

MOST_RUNNING = 8
MOST_FINISHED = 16  # kept for viewers; a match of brawl takes half a megabyte
MOST_STUCK = 4  # ended matches whose thread still waits for an agent
MOST_PAGES = 200  # open pages, over all matches
# seconds that a paused match waits without viewers, and a match of a person without the person
ABANDONED = 60.0
TICK = 0.25  # seconds between checks of the clocks

log = logging.getLogger(__name__)


class _News:
    """Signal to all pages of a match that there is something to send.

    A page takes `next` before it looks for messages and waits for it afterwards, so that it misses
    no signal.
    """

    def __init__(self) -> None:
        self.next = asyncio.Event()

    def signal(self) -> None:
        """Wake all pages that wait."""
        self.next.set()
        self.next = asyncio.Event()


@dataclass
class LiveMatch:
    """Live match with its pages, the person who plays in it, and the key that controls it."""

    number: int
    live: LiveLoop
    person: Person | None
    seat: int | None  # of the person, while there is one
    news: _News
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    pages: int = 0  # open now
    owners: int = 0  # open pages that have sent the key
    seen: float = field(default_factory=time.monotonic)  # last time that a needed page was open
    stored: str | None = None  # store and episode, or "not stored: REASON"
    storing: bool = False
    played: int | None = None  # the last seat in which a person has played

    def __post_init__(self) -> None:
        self.played = self.seat

    def take(self, seat: int, name: str) -> None:
        """Let a person take over a seat from its agent."""
        if self.person is not None:
            raise UsageError("a person plays in this match already")
        person = Person(self.live.game.schema)
        self.live.take(seat, person, person_name(name))
        self.person, self.seat, self.played = person, seat, seat

    def give(self, seat: int) -> None:
        """Give a seat that a person has taken back to its agent."""
        self.live.give(seat)
        self.person = self.seat = None

    def leave(self) -> None:
        """Release the keys of a person who left; a seat that was taken returns to its agent."""
        if self.person is not None:
            self.person.set_held(())
            with contextlib.suppress(UsageError):  # the seat was the person's from the start
                self.give(self.seat or 0)

    @property
    def summary(self) -> dict[str, Any]:
        """Players, state and result, as plain data for the list of live matches."""
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
    """Request for a match: the agent spec of each seat, and the world's spec or its stage.

    A person plays in `seat`, if it is given; the text of that seat is then their name.
    """

    p0: str
    p1: str
    world: str = ""
    stage: str = ""
    seed: int | None = None
    seat: int | None = None


class MatchManager:
    """Starts the live matches of a server and looks after them until they are dropped."""

    def __init__(self, game: Game, out: Path, worlds: Sequence[str] = ()) -> None:
        """`worlds`: specs given when the server was started; matches use the first by default."""
        self.game, self.out, self.worlds = game, out, tuple(worlds)
        self.matches: dict[int, LiveMatch] = {}
        self._started = 0
        self._saving = asyncio.Lock()

    @property
    def pages(self) -> int:
        """Number of open pages, over all matches."""
        return sum(match.pages for match in self.matches.values())

    async def open(self, request: MatchRequest) -> LiveMatch:
        """Start a match. Its world and agents are built in a thread, so that others continue."""
        self._check_limits()
        loop, news = asyncio.get_running_loop(), _News()

        def notify() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.signal)

        live, person = await asyncio.to_thread(self._build, request, notify)
        self._check_limits()
        self._started += 1
        match = LiveMatch(self._started, live, person, request.seat, news)
        self.matches[match.number] = match
        live.start()
        return match

    async def look_after(self) -> None:
        """Forfeit slow agents, store matches of people and drop old matches, until cancelled."""
        while True:
            for match in list(self.matches.values()):
                match.live.overdue()
                self._break_off_if_abandoned(match)
                if match.live.over and match.played is not None and not match.storing:
                    match.storing = True
                    await self._store(match)
            self._drop_oldest()
            await asyncio.sleep(TICK)

    def change_world(self, live: LiveLoop, spec: str) -> None:
        """Continue a match in another world, from its current state."""
        live.move_to(self._world(spec, {}))

    def sides(self, live: LiveLoop) -> dict[str, str]:
        """Specs of the `game` and of the `dream` that a match can be switched between.

        Each is the world that the match began in, one that was given, the game's simulator, or a
        shipped dream, in this order. Empty where there are not both.
        """
        simulator = [self.game.name] if self.game.world else []
        shipped = [f"dream:{name}" for name in sorted(self.game.worlds)]
        known = [str(live.worlds[0]["spec"]), *self.worlds, *simulator, *shipped]
        dreams = [spec for spec in known if spec.startswith("dream:")]
        games = [spec for spec in known if spec not in dreams]
        return {"game": games[0], "dream": dreams[0]} if games and dreams else {}

    def close(self) -> None:
        """End all matches."""
        for match in self.matches.values():
            match.live.break_off("the server stopped")

    # ---- inside ----

    def _check_limits(self) -> None:
        lives = [match.live for match in self.matches.values()]
        if sum(not live.over for live in lives) >= MOST_RUNNING:
            raise UsageError(f"{MOST_RUNNING} matches are being played; wait until one is over")
        if sum(live.stuck for live in lives) >= MOST_STUCK:
            raise UsageError(
                f"{MOST_STUCK} agents still think although their matches are over; "
                "restart the server"
            )

    def _build(self, request: MatchRequest, notify: Any) -> tuple[LiveLoop, Person | None]:
        person = None if request.seat is None else Person(self.game.schema)
        agents: list[Agent] = []
        players: list[str] = []
        for seat, text in enumerate((request.p0, request.p1)):
            if person is not None and seat == request.seat:
                agents.append(person)
                players.append(person_name(text))
            elif specs.runs_code(text):
                raise UsageError(f"agent '{text}': an agent of Python code cannot be started here")
            else:
                agents.append(specs.agent(text, self.game))
                players.append(text)
        world = self._world(request.world, {"stage": request.stage} if request.stage else {})
        seed = request.seed
        if seed is None:
            seed = stable_hash(secrets.token_bytes(8)) >> 44  # 20 bits, short enough to type
        live = LiveLoop(
            self.game, world, agents, players, seed, notify=notify, paused=person is not None
        )
        return live, person

    def _world(self, spec: str, options: dict[str, Any]) -> World:
        """World of one match; a spec of Python code must have been given to the server."""
        spec = spec or next(iter(self.worlds), "")
        if specs.runs_code(spec) and spec not in self.worlds:
            raise UsageError(
                f"world '{spec}': a world of Python code must be named when the server is started: "
                "shadowbox serve --world SPEC"
            )
        return specs.world(spec, self.game, 1, **options)

    def _break_off_if_abandoned(self, match: LiveMatch) -> None:
        """End a match that has waited ABANDONED seconds for its person, or paused for a viewer."""
        live, now = match.live, time.monotonic()
        if match.person is not None:
            needed, reason = match.owners, "the player left"
        else:
            needed, reason = match.pages if live.paused else 1, "paused without viewers"
        if needed:
            match.seen = now
        elif not live.over and now - match.seen > ABANDONED:
            live.break_off(reason)

    async def _store(self, match: LiveMatch) -> None:
        live = match.live
        assert live.result is not None
        if live.result["reason"].startswith("broken off") or live.length < 2:
            match.stored = "not stored: the match was broken off"
        else:
            async with self._saving:
                match.stored = await asyncio.to_thread(self._write, match)
        match.news.signal()

    def _write(self, match: LiveMatch) -> str:
        episode = match.live.episode()
        meta = {**episode.meta, "person": match.played}
        try:
            with Writer(
                self.out,
                self.game.schema,
                event_kinds=self.game.event_kinds,
                made={**self.game.made, "serve": self.game.name},
            ) as writer:
                number = writer.add(replace(episode, meta=meta))
        except ShadowboxError as error:
            log.warning("match %d was not stored: %s", match.number, error)
            return f"not stored: {error}"
        return f"{self.out}#{number}"

    def _drop_oldest(self) -> None:
        """Forget the oldest ended matches beyond MOST_FINISHED that have no open page."""
        over = [
            number
            for number, match in self.matches.items()
            if match.live.over and not match.live.stuck
        ]
        unwatched = [number for number in over if not self.matches[number].pages]
        for number in unwatched[: max(0, len(over) - MOST_FINISHED)]:
            del self.matches[number]
