"""One page that watches a match: what it is sent, and what it says."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from shadowbox.core.default_scene import scene_of
from shadowbox.errors import UsageError
from shadowbox.page.match_page import hello
from shadowbox.web.cursor import Cursor
from shadowbox.web.live_matches import MOST_PAGES, LiveMatch, MatchManager
from shadowbox.web.wire import Keys, Message, OwnKey, Pause, RowRange, Speed, Step, parse, say

PATIENCE = 30.0  # seconds that a page may take for one message
APART = 1 / 45  # seconds between messages: more would be painted by no screen
BURST, RATE = 240, 120.0  # messages from a page: at once, and a second
NOT_ALLOWED, FULL = 1008, 1013  # closing codes

log = logging.getLogger(__name__)


async def watch(socket: WebSocket) -> None:
    """The socket of one page, from its hello to its end."""
    hall: MatchManager = socket.app.state.manager
    table = hall.matches.get(socket.path_params["number"])
    if table is None:
        await socket.send_denial_response(PlainTextResponse("there is no such match", 404))
        return
    await socket.accept()
    if hall.pages >= MOST_PAGES:
        await socket.close(FULL, "too many are watching")
        return
    page = _Page(socket, table, hall)
    table.pages += 1
    table.pulse.ring()
    try:
        await page.serve()
    finally:
        table.pages -= 1
        page.disown()
        table.pulse.ring()


class _Page:
    """The two directions of one socket. Where one ends the other is ended, too."""

    def __init__(self, socket: WebSocket, table: LiveMatch, hall: MatchManager) -> None:
        self.socket, self.table, self.hall = socket, table, hall
        start = {name: _count(socket.query_params.get(name)) for name in ("row", "event")}
        self.cursor = Cursor(table.live, **start)
        self.owner = False
        self.tokens, self.asked = float(BURST), time.monotonic()

    async def serve(self) -> None:
        """Until the page leaves."""
        async with anyio.create_task_group() as both:
            for direction in (self.speak, self.listen):
                both.start_soon(self._one, direction, both.cancel_scope)

    async def _one(self, direction: Callable[[], Awaitable[None]], both: anyio.CancelScope) -> None:
        try:
            await direction()
        except (WebSocketDisconnect, TimeoutError):
            pass  # it left, or takes nothing any more
        except Exception:
            log.exception("a page's socket failed")
        both.cancel()

    def disown(self) -> None:
        """The page leads no more; a person who is gone holds no keys."""
        if self.owner:
            self.table.owners -= 1
            if self.table.person is not None and not self.table.owners:
                self.table.person.hold(())

    # ---- to the page ----

    async def speak(self) -> None:
        """Everything there is, and then what comes, as fast as the page takes it."""
        game, live, table = self.hall.game, self.table.live, self.table
        greeting = hello(
            game.schema,
            scene_of(game),
            players=live.players,
            world=live.world.name,
            event_kinds=game.event_kinds,
            event_whats=game.event_whats,
        )
        await self.send(
            say("hello", **greeting, match=table.number, seed=live.seed, person=table.seat)
        )
        stored = False
        while True:
            news, began = table.pulse.next, time.monotonic()
            messages = self.cursor.due(pages=table.pages)
            for message in messages:
                await self.send(message)
            if table.stored and self.cursor.ended and not stored:
                stored = True
                await self.send(say("saved", where=table.stored))
            if not messages:
                await news.wait()
            if self.cursor.row >= self.cursor.joined:  # it has caught up
                await anyio.sleep(max(0.0, began + APART - time.monotonic()))

    async def send(self, message: str | bytes) -> None:
        """Wait while the page cannot take more."""
        with anyio.fail_after(PATIENCE):
            if isinstance(message, str):
                await self.socket.send_text(message)
            else:
                await self.socket.send_bytes(message)

    # ---- from the page ----

    async def listen(self) -> None:
        """Obey what is allowed; what is no message ends the connection."""
        while True:
            received = await self.socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                self._must_be_patient()
                text = received.get("text")
                if text is None:
                    raise UsageError("messages are text")
                message = parse(text)
            except UsageError as error:
                client = self.socket.client.host if self.socket.client else "somebody"
                log.warning(
                    "match %d: refused a message of %s: %s", self.table.number, client, error
                )
                await self.send(say("refused", why=str(error)))
                await self.socket.close(NOT_ALLOWED, "this is no message")
                return
            try:
                self.obey(message)
            except UsageError as error:
                await self.send(say("refused", why=str(error)))
            if isinstance(message, RowRange):
                self.table.pulse.ring()

    def obey(self, message: Message) -> None:
        """Do what a message says, or say why not."""
        live = self.table.live
        match message:
            case OwnKey(key):
                self._own(key)
            case RowRange():
                self.cursor.wanted = message
            case _ if not self.owner:
                raise UsageError("only who started the match may lead it")
            case Pause(on):
                live.pause(on)
            case Step(frames):
                live.step(frames)
            case Speed(times):
                live.pace(times)
            case Keys(held):
                if self.table.person is None:
                    raise UsageError("nobody plays in this match")
                self.table.person.hold(held)

    def _own(self, key: str) -> None:
        if not secrets.compare_digest(key.encode(errors="replace"), self.table.key.encode()):
            raise UsageError("this is not the key of the match")
        if not self.owner:
            self.owner = True
            self.table.owners += 1

    def _must_be_patient(self) -> None:
        now = time.monotonic()
        self.tokens = min(float(BURST), self.tokens + (now - self.asked) * RATE) - 1
        self.asked = now
        if self.tokens < 0:
            raise UsageError("too many messages")


def _count(text: Any) -> int:
    return (
        int(text)
        if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10
        else 0
    )
