"""Socket of a page of a live match: sends it the match, and obeys the messages it may send."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from shadowbox.core.scenes.default import scene_of
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.page.match_page import hello
from shadowbox.web.cursor import Cursor
from shadowbox.web.live_matches import MOST_PAGES, LiveMatch, MatchManager
from shadowbox.web.person import playable
from shadowbox.web.wire import Message, parse, say

PATIENCE = 30.0  # seconds that a page may take for one message
APART = 1 / 45  # seconds between messages
BURST, RATE = 240, 120.0  # messages that a page may send: at once, and per second
GONE, NOT_ALLOWED, FULL = 1006, 1008, 1013  # close codes

log = logging.getLogger(__name__)


async def watch(socket: WebSocket) -> None:
    """Serve the socket of one page until the page is closed."""
    manager: MatchManager = socket.app.state.manager
    match = manager.matches.get(socket.path_params["number"])
    if match is None:
        await socket.send_denial_response(PlainTextResponse("match not found", 404))
        return
    try:
        await socket.accept()
        if manager.pages >= MOST_PAGES:
            await socket.close(FULL, "too many viewers")
            return
    except (OSError, RuntimeError, WebSocketDisconnect):  # the page left before it was let in
        return
    page = _Page(socket, match, manager)
    match.pages += 1
    match.news.signal()
    try:
        await page.serve()
    finally:
        match.pages -= 1
        page.disown()
        match.news.signal()


class _Page:
    """Both directions of one socket; when one ends, the other is cancelled."""

    def __init__(self, socket: WebSocket, match: LiveMatch, manager: MatchManager) -> None:
        self.socket, self.match, self.manager = socket, match, manager
        start = {name: _count(socket.query_params.get(name)) for name in ("row", "event")}
        self.cursor = Cursor(match.live, **start)
        self.owner = self.closed = False
        self.tokens, self.refilled = float(BURST), time.monotonic()

    async def serve(self) -> None:
        """Send and receive until the page is closed."""
        async with anyio.create_task_group() as both:
            for direction in (self.send_match, self.receive_messages):
                both.start_soon(self._run, direction, both.cancel_scope)

    async def _run(self, direction: Callable[[], Awaitable[None]], both: anyio.CancelScope) -> None:
        try:
            await direction()
        except (WebSocketDisconnect, TimeoutError):
            pass  # the page was closed, or no longer takes messages
        except Exception:
            log.exception("match %d: the socket of a page failed", self.match.number)
        both.cancel()

    def disown(self) -> None:
        """Give up control of the match.

        The last page of a person also releases their keys, and gives a taken seat back.
        """
        if self.owner:
            self.match.owners -= 1
            if not self.match.owners:
                self.match.leave()

    # ---- to the page ----

    async def send_match(self) -> None:
        """Send the match so far and then its news, as fast as the page takes them."""
        game, match, live = self.manager.game, self.match, self.match.live
        greeting = hello(
            game.schema,
            scene_of(game),
            players=live.players,
            world=live.world.name,
            worlds=live.worlds,
            event_kinds=game.event_kinds,
            event_whats=game.event_whats,
            tracks=live.tracks,
        )
        more = {"match": match.number, "seed": live.seed, "person": match.seat}
        sides = self.manager.sides(live)
        await self.send(
            say("hello", **greeting, **more, sides=sides, playable=playable(game.schema))
        )
        stored = False
        while True:
            news, began = match.news.next, time.monotonic()
            messages = self.cursor.due(pages=match.pages)
            for message in messages:
                await self.send(message)
            if match.stored and self.cursor.ended and not stored:
                stored = True
                await self.send(say("saved", where=match.stored))
            if not messages:
                await news.wait()
            if self.cursor.row >= self.cursor.joined:  # the page has caught up
                await anyio.sleep(max(0.0, began + APART - time.monotonic()))

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits up to PATIENCE seconds while the page takes none."""
        if self.closed:  # by the other direction
            raise WebSocketDisconnect(NOT_ALLOWED)
        with anyio.fail_after(PATIENCE):
            try:
                if isinstance(message, str):
                    await self.socket.send_text(message)
                else:
                    await self.socket.send_bytes(message)
            except (OSError, RuntimeError) as error:  # the socket ended since it was looked at
                raise WebSocketDisconnect(GONE) from error

    # ---- from the page ----

    async def receive_messages(self) -> None:
        """Obey the messages of the page; an invalid message ends the connection."""
        while True:
            received = await self.socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                self._limit_rate()
                text = received.get("text")
                if text is None:
                    raise UsageError("a message must be text, not bytes")
                message = parse(text)
            except UsageError as error:
                client = self.socket.client.host if self.socket.client else "an unknown address"
                log.warning(
                    "match %d: refused a message from %s: %s", self.match.number, client, error
                )
                await self.send(say("refused", why=str(error)))
                self.closed = True
                # the other direction ends as soon as it sees this, and would cancel the close
                with (
                    anyio.move_on_after(PATIENCE, shield=True),
                    contextlib.suppress(OSError, RuntimeError),
                ):
                    await self.socket.close(NOT_ALLOWED, "invalid message")
                return
            try:
                await self.obey(message)
            except ShadowboxError as error:  # a world that cannot be loaded is another kind
                await self.send(say("refused", why=str(error)))
            if message.kind == "want":
                self.match.news.signal()

    async def obey(self, message: Message) -> None:
        """Carry out a message; raises UsageError if the page may not send it."""
        live = self.match.live
        match message.kind:
            case "own":
                self._own(message.key)
            case "want":
                self.cursor.wanted = (message.first, message.end)
            case _ if not self.owner:
                raise UsageError("only the page that started the match can control it")
            case "pause":
                live.pause(message.on)
            case "step":
                live.step(message.frames)
            case "speed":
                live.pace(message.times)
            case "keys":
                if self.match.person is None:
                    raise UsageError("this match has no person to press keys")
                self.match.person.set_held(message.held)
            case "take":
                self.match.take(message.seat, message.name)
            case "give":
                self.match.give(message.seat)
            case "set":  # waits for the end of a turn
                await anyio.to_thread.run_sync(live.set, message.name, message.value)
            case "world":  # may load a model
                await anyio.to_thread.run_sync(self.manager.change_world, live, message.spec)

    def _own(self, key: str) -> None:
        if not secrets.compare_digest(key.encode(errors="replace"), self.match.key.encode()):
            raise UsageError("wrong key: only the page that started the match can control it")
        if not self.owner:
            self.owner = True
            self.match.owners += 1

    def _limit_rate(self) -> None:
        now = time.monotonic()
        self.tokens = min(float(BURST), self.tokens + (now - self.refilled) * RATE) - 1
        self.refilled = now
        if self.tokens < 0:
            raise UsageError("too many messages")


def _count(text: Any) -> int:
    return (
        int(text)
        if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10
        else 0
    )
