"""Bridge to Minecraft: a client of MCCTP that presses controls, and releases them when in doubt.

`_Hands` turns controls into messages and remembers which keys the game holds. `_Core` adds the
game's state and the watchdog, and is pure: times come from outside. `_Bridge` runs a core in a
thread of its own beside the socket, so that a loop that hangs cannot keep a key pressed, and
connects again by itself.

Of the protocol: keys that are held start and stop; jump, attack, dropping and swapping are presses
of three ticks. MCCTP cannot hold an attack, so that mining repeats the press. A click has
no modifier, so that a shift-click cannot be sent; the bridge names it and clicks without.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowbox.errors import ShadowboxError
from shadowbox.games.gesture import mcctp_messages as mcctp
from shadowbox.games.gesture.controller import KEYS, LIMIT_S, _AnyHands, _Controls, _Signs, alarms
from shadowbox.games.gesture.game_fields import game_fields

MOVES = {
    "move_forward": "forward",
    "move_backward": "backward",
    "strafe_left": "left",
    "strafe_right": "right",
}
HELD = (*MOVES, *mcctp.HOLDABLE)
PRESSES: dict[str, tuple[str, dict[str, Any]]] = {  # control -> action and its parameters
    "jump": ("jump", {}),
    "attack": ("attack", {}),
    "drop_item": ("drop_item", {"full_stack": False}),
    "swap_offhand": ("swap_hands", {}),
    "open_inventory": ("open_inventory", {}),
    "inv_left": ("click", {"button": "left"}),
    "inv_right": ("click", {"button": "right"}),
}
NO_SHIFT = "a click of MCCTP has no modifier: a shift-click was sent as a plain click"
TURN_S = 0.02  # seconds between two looks at the watchdog
SEND_S = 0.15  # a message that cannot be sent for longer means that the server hangs

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _BridgeSettings:
    """Times of the bridge, in seconds, and the smallest changes that are sent."""

    press_every: float = 0.3  # shortest time between two presses of a control
    mine_after: float = 0.4  # an attack held for longer is repeated ...
    mine_every: float = 0.15  # ... at this interval, the three ticks of a press
    longest_look: float = (
        0.1  # time that one look may cover, so that a pause does not end in a jump
    )
    smallest_look: float = 0.01  # degrees
    smallest_cursor: float = 0.002  # half screens
    limit: float = LIMIT_S  # of the watchdog
    backoff: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)  # waits between attempts to connect


class _Hands:
    """Keys that the game holds, and the messages that change them."""

    def __init__(self, settings: _BridgeSettings) -> None:
        self.settings = settings
        self.held: set[str] = set()
        self.pressed_at: dict[str, float] = {}  # of the last message, by control
        self.down_since: dict[str, float] = {}  # of presses whose control is still on
        self.looked_at: float | None = None
        self.turn = np.zeros(2)  # degrees that were too few to send
        self.cursor: np.ndarray | None = None
        self.notes: set[str] = set()  # what the protocol cannot do

    def messages(
        self, controls: _Controls, now: float, slot: int, screen_open: bool
    ) -> Iterator[str]:
        """Messages that bring the game from what it holds to these controls.

        `slot`: the game's selected slot, from 0 on.
        """
        on = {name for name, down in zip(KEYS, controls.keys.tolist(), strict=True) if down}
        yield from self._hold(on & set(HELD))
        if controls.slot and controls.slot - 1 != slot:
            yield mcctp.action("select_slot", slot=controls.slot - 1)
        yield from self._look(controls, now)
        if controls.screen and screen_open:
            yield from self._point(controls.cursor)
        else:
            self.cursor = None
        for name in PRESSES:
            if name not in on:
                self.down_since.pop(name, None)
            elif self._presses(name, now):
                self.pressed_at[name] = now
                if name.startswith("inv_") and "inv_shift_held" in on:
                    self.notes.add(NO_SHIFT)
                closes = name == "open_inventory" and screen_open
                action, params = ("close_screen", {}) if closes else PRESSES[name]
                yield mcctp.action(action, **params)

    def release(self) -> list[str]:
        """Messages that release every key that is held; nothing else is pressed or turned after."""
        messages = list(self._hold(set()))
        self.forget()
        return messages

    def release_all(self) -> list[str]:
        """Messages that release every key there is, for a game that may hold keys of an earlier one."""
        self.held = set(HELD)
        return self.release()

    def forget(self) -> None:
        """Forget what was pressed, after a release or the end of a connection."""
        self.held, self.down_since = set(), {}
        self.looked_at, self.turn, self.cursor = None, np.zeros(2), None

    def _hold(self, wanted: set[str]) -> Iterator[str]:
        for name in HELD:
            if (name in wanted) != (name in self.held):
                state = "start" if name in wanted else "stop"
                if name in MOVES:
                    yield mcctp.action("move", direction=MOVES[name], state=state)
                else:
                    yield mcctp.action(name, state=state)
        self.held = wanted

    def _presses(self, name: str, now: float) -> bool:
        """True if a control that is on is pressed now: at its beginning, or repeated to mine."""
        last = self.pressed_at.get(name, -np.inf)
        if name not in self.down_since:
            self.down_since[name] = now
            return bool(now - last >= self.settings.press_every)
        mines = name == "attack" and now - self.down_since[name] >= self.settings.mine_after
        return bool(mines and now - last >= self.settings.mine_every)

    def _look(self, controls: _Controls, now: float) -> Iterator[str]:
        past = 0.0 if self.looked_at is None else now - self.looked_at
        self.looked_at = now
        self.turn = self.turn + controls.look * min(max(past, 0.0), self.settings.longest_look)
        if not np.any(controls.look):
            self.turn = np.zeros(2)
        elif np.abs(self.turn).max() >= self.settings.smallest_look:
            yaw, pitch = np.round(self.turn, 3).tolist()
            self.turn = np.zeros(2)
            yield mcctp.action("look", yaw=yaw, pitch=pitch, relative=True)

    def _point(self, cursor: np.ndarray) -> Iterator[str]:
        before = self.cursor
        if before is None or np.abs(cursor - before).max() >= self.settings.smallest_cursor:
            self.cursor = cursor.copy()
            x, y = np.round(np.clip((cursor + 1) / 2, 0, 1), 4).tolist()
            yield mcctp.action("cursor", x=x, y=y)


class _Core:
    """Bridge without a socket: orders and messages in, messages out, at times from outside."""

    largest = mcctp.LARGEST_MESSAGE  # bytes of a message that is read

    def __init__(
        self, settings: _BridgeSettings | None = None, hands: _AnyHands | None = None
    ) -> None:
        """`hands`: of another game than Minecraft."""
        self.settings = settings or _BridgeSettings()
        self.hands: _AnyHands = hands or _Hands(self.settings)
        self.signs = _Signs(pose=None, state=None, order=None, connected=False)
        self.orders: deque[tuple[_Controls, float]] = deque(maxlen=8)  # newest last, frame's time
        self.order_now: _Controls | None = None
        self.state: mcctp.State | None = None  # newest of the game
        self.fields: dict[str, float] | None = None  # the same in the schema's fields
        self.modules: tuple[str, ...] = ()
        self.alarms: tuple[str, ...] = ()
        self.releases: deque[dict[str, Any]] = deque(maxlen=50)
        self.problems: deque[str] = deque(maxlen=20)
        self.counts = {"states": 0, "sent": 0, "refused": 0, "errors": 0, "connections": 0}
        self.delays: deque[float] = deque(maxlen=300)  # from a frame to its messages, seconds

    def order(
        self, controls: _Controls, now: float, pose_at: float | None, frame_at: float
    ) -> None:
        """Take the controls of a frame. `pose_at`: when a person was seen last."""
        self.orders.append((controls, frame_at))
        self.signs = self.signs._replace(order=now, pose=pose_at)

    def receive(self, text: str | bytes, now: float) -> None:
        """Take a message of the game; a wrong one is counted and named, and changes nothing."""
        try:
            kind, data = mcctp.parse(text)
            if kind == "game_state":
                state = mcctp.game_state(data)
                self.state, self.fields = state, game_fields(state)
                self.signs = self.signs._replace(state=now)
                self.counts["states"] += 1
            elif kind == "handshake":
                self.modules = mcctp.handshake_modules(data)
                if "mcstp" not in self.modules:
                    self.problem(
                        f"the game has the modules {', '.join(self.modules) or 'none'}: without "
                        "mcstp it sends no state; install the mod MCSTP beside MCCTP"
                    )
            else:
                self.counts["errors"] += 1
                self.problem(f"the game refused an action: {mcctp.error_text(data)}")
        except ShadowboxError as error:
            self.counts["refused"] += 1
            self.problem(str(error))

    def connected(self) -> list[str]:
        """Begin a connection; returns its first messages, which release every key."""
        self.counts["connections"] += 1
        self.signs = self.signs._replace(connected=True, state=None)
        return self.hands.release_all()

    def lost(self, now: float, why: str) -> None:
        """End a connection: everything counts as released, and the state as unknown."""
        if not self.signs.ending:
            self.problem(why)
        if self.signs.connected:
            self._note_release(now, ("not connected",))
        self.signs = self.signs._replace(connected=False, state=None)
        self.state = self.fields = None
        self.hands.forget()
        self.orders.clear()
        self.order_now = None

    def panic(self, on: bool) -> None:
        """Release everything until `panic(False)`."""
        self.signs = self.signs._replace(panic=on)

    def end(self) -> None:
        """Release everything for good."""
        self.signs = self.signs._replace(ending=True)

    def turn(self, now: float) -> list[str]:
        """Messages that are due now: those of new orders, or the release of everything."""
        before, self.alarms = self.alarms, alarms(self.signs, now, self.settings.limit)
        if self.alarms:
            self.orders.clear()
            self.order_now = None
            if self.hands.held or not before:
                self._note_release(now, self.alarms)
            return self._sent(self.hands.release()) if self.signs.connected else []
        messages: list[str] = []
        slot = int(self.state["selectedSlot"]) if self.state else 0
        screen = bool(self.state and self.state["screenState.screenOpen"])
        while self.orders:
            self.order_now, frame_at = self.orders.popleft()
            messages += self.hands.messages(self.order_now, now, slot, screen)
            self.order_now = self.order_now._replace(slot=0)  # chosen once
            self.delays.append(now - frame_at)
        if self.order_now is not None and not messages:
            messages += self.hands.messages(self.order_now, now, slot, screen)
        for note in self.hands.notes:
            self.problem(note)
        self.hands.notes.clear()
        return self._sent(messages)

    def problem(self, text: str) -> None:
        """Note a problem, once while it is the newest."""
        if not self.problems or self.problems[-1] != text:
            self.problems.append(text)
            log.info("%s", text)

    def _sent(self, messages: list[str]) -> list[str]:
        self.counts["sent"] += len(messages)
        return messages

    def _note_release(self, now: float, reasons: tuple[str, ...]) -> None:
        held = sorted(self.hands.held)
        self.releases.append({"at": now, "reasons": list(reasons), "held": held})


class _Bridge:
    """Bridge to a game at `url`, in a thread of its own while the block of `with` is entered."""

    def __init__(
        self,
        url: str,
        settings: _BridgeSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        core: _Core | None = None,
    ) -> None:
        """`core`: of another game than Minecraft, with its own settings."""
        self.url, self.core, self.clock = url, core or _Core(settings), clock
        self.latency: float | None = None  # half of it is the way to the game, seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bridge to the game", daemon=True)
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> _Bridge:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def order(self, controls: _Controls, *, pose_at: float | None, frame_at: float) -> None:
        """Press these controls from now on, until the next order or an alarm."""
        self._call(self.core.order, controls, self.clock(), pose_at, frame_at)

    def panic(self, on: bool = True) -> None:
        """Release everything until `panic(False)`."""
        self._call(self.core.panic, on)

    def close(self) -> None:
        """Release everything and disconnect; takes a second at most."""
        self._ending.set()
        self._call(self.core.end)
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function of the core in the bridge's thread, which alone changes the core."""
        if self._loop is not None and self._wake is not None:
            with contextlib.suppress(RuntimeError):  # the thread has ended
                self._loop.call_soon_threadsafe(function, *arguments)
                self._loop.call_soon_threadsafe(self._wake.set)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        attempt = 0
        while not self._ending.is_set():
            began = self.clock()
            try:
                async with connect(
                    self.url,
                    max_size=self.core.largest,
                    open_timeout=3,
                    close_timeout=0.3,
                    ping_interval=2,
                    ping_timeout=4,
                    compression=None,
                    proxy=None,
                ) as socket:
                    await self._talk(socket)
            except (OSError, WebSocketException, TimeoutError) as error:
                self.core.lost(self.clock(), f"{self.url}: {str(error) or type(error).__name__}")
            except Exception as error:  # of the bridge itself: named, and the next attempt follows
                self.core.lost(self.clock(), f"an error of the bridge: {error!r}")
            else:
                self.core.lost(self.clock(), f"{self.url}: the game closed the connection")
            attempt = 0 if self.clock() - began > 5 else attempt + 1
            waits = self.core.settings.backoff
            await self._wait(waits[min(max(attempt - 1, 0), len(waits) - 1)])

    async def _wait(self, seconds: float) -> None:
        until = self.clock() + seconds
        while not self._ending.is_set() and self.clock() < until:
            await asyncio.sleep(0.02)

    async def _talk(self, socket: Any) -> None:
        """Talk until the connection or the bridge ends; the last messages release everything."""
        reader = asyncio.create_task(self._read(socket))
        assert self._wake is not None
        try:
            await self._send(socket, self.core.connected())
            while not reader.done() and not self._ending.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), TURN_S)
                self._wake.clear()
                await self._send(socket, self.core.turn(self.clock()))
                self.latency = socket.latency
            if reader.done():
                await reader  # raises the reason
        finally:
            reader.cancel()
            await self._send(socket, self.core.hands.release_all(), quietly=True)

    async def _send(self, socket: Any, messages: list[str], quietly: bool = False) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                for message in messages:
                    await socket.send(message)
        except Exception:
            if not quietly:
                raise

    async def _read(self, socket: Any) -> None:
        async for text in socket:
            self.core.receive(text, self.clock())
