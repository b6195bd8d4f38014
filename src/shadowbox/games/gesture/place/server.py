"""Mock server of MCCTP around the place: the messages, the errors and the pace of the mods.

`_MockServer` needs no socket: `answer` takes a message, and `step` is a tick of 1/20 s.
`_MockInThread` puts one behind a WebSocket of this machine. With `wrong="original"` errors have the
mod's own bare words, and states lack the fields that revisions before MCSTP 1.1.0 do not send, to
see whether a client copes; by default an error says what to call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
from collections.abc import Callable
from typing import Any

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.gesture.listening import listen
from shadowbox.games.gesture.mcctp_messages import ACTIONS, DIRECTIONS, HOLDABLE, LARGEST_MESSAGE
from shadowbox.games.gesture.place import course
from shadowbox.games.gesture.place.course import CATEGORIES, ITEMS, TICKS, _Place, facing

PATH = "/mcctp"
HANDSHAKE = {"type": "handshake", "modules": ["mcctp", "mcstp"], "version": "1.0"}
WRONG = ("named", "original")
LATER_FIELDS = {  # that revisions before MCSTP 1.1.0 do not send
    "playerState": (
        *("armor", "fallDistance", "velocityY", "horizontalCollision", "climbing", "recentlyHurt"),
    ),
    "combatContext": ("attackCooldown", "itemUseProgress", "recentlyHurt"),
    "": ("gameMode", "timeOfDay"),
}
MOST_CLIENTS = 8


class _MockServer:
    """The place and its protocol, without a socket."""

    def __init__(self, seed: int = 0, wrong: str = "named") -> None:
        if wrong not in WRONG:
            raise UsageError(f"mock server: wrong='{wrong}': {did_you_mean(wrong, WRONG)}")
        self.place, self.wrong, self.ended = _Place(seed), wrong, False
        self.actions: dict[str, int] = {}  # counts by name, to see what a client calls
        self.errors = 0
        self.finished: list[dict[str, Any]] = []  # results of earlier courses
        self._turned = (0.0, 0.0)  # degrees since the last state

    def begin(self, seed: int) -> None:
        """Begin the next course; the results of the last one are kept in `finished`."""
        self.finished.append(self.place.results())
        held = self.place.held  # clients press a key once, and hold it
        self.place, self.ended = _Place(seed), False
        self.place.held = held

    def answer(self, text: str | bytes) -> str | None:
        """Obey an action; the error message to send, or None."""
        try:
            if not isinstance(text, str) or len(text) > LARGEST_MESSAGE:
                return self._error("Expected a JSON object")
            message = json.loads(text)
            name = message.get("action") if isinstance(message, dict) else None
            params = (message.get("params") or {}) if isinstance(message, dict) else {}
            if not isinstance(name, str):
                return self._error("Missing 'action' field")
            if name not in ACTIONS:
                hint = f": {did_you_mean(name, ACTIONS)}" if self.wrong == "named" else ""
                return self._error(f"Unknown action: {name[:60]}{hint}")
            self.actions[name] = self.actions.get(name, 0) + 1
            self._obey(name, params)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return self._error(f"{type(error).__name__}: {str(error)[:100]}")
        return None

    def step(self) -> str:
        """Advance a tick; the game state to broadcast."""
        was_done = self.place.done
        course.tick(self.place)
        self.ended = was_done
        return json.dumps(self.state())

    def disconnected(self) -> None:
        """Release what a client that has gone held."""
        self.place.held.clear()

    def state(self) -> dict[str, Any]:
        """Game state as the mods send it."""
        place, keys = self.place, self.place.held | self.place.pressed.keys()
        target = course.looked_at(place)
        dx, dz = facing(place.yaw)
        state: dict[str, Any] = {
            "type": "game_state",
            "timestamp": place.tick * 1000 // TICKS,
            "selectedSlot": place.slot,
            "gameMode": "survival",
            "timeOfDay": (1000 + place.tick) % 24000,
            "heldItem": _item(ITEMS[place.slot], CATEGORIES[place.slot]),
            "offhandItem": _item("shield", "SHIELD") if place.offhand else _item("air", "EMPTY"),
            "playerState": _player(place),
            "combatContext": {
                "isUsingItem": "use_item" in keys,
                "isBlocking": "use_item" in keys and place.offhand,
                "activeHand": "MAIN_HAND",
                "crosshairTarget": "MISS" if target is None else "BLOCK",
                "crosshairDistance": -1
                if target is None
                else round(
                    abs((target[0] + 0.5 - place.x) * dx + (target[1] + 0.5 - place.z) * dz), 2
                ),
                "attackCooldown": min(1.0, (place.tick - place.swung) / 12),
                "itemUseProgress": 0.0,
                "recentlyHurt": False,
            },
            "playerInput": self._input(keys),
            "screenState": {
                "screenOpen": place.screen,
                "screenType": "InventoryScreen" if place.screen else None,
                "cursorX": place.cursor[0],
                "cursorY": place.cursor[1],
                "mouseLeft": False,
                "mouseRight": False,
                "shiftHeld": False,
            },
            "statusEffects": {"speed": "sprint" in keys, "activeEffectCount": 0},
            "threat": {
                "targetEntityHostile": False,
                "targetDistance": -1,
                "nearestHostileDist": -1,
                "nearestHostileYaw": 0,
                "hostileCount": 0,
            },
        }
        if self.wrong == "original":
            for section, names in LATER_FIELDS.items():
                part = state[section] if section else state
                for name in names:
                    part.pop(name, None)
        self._turned = (0.0, 0.0)
        return state

    def _input(self, keys: set[str]) -> dict[str, Any]:
        return {
            "movementForward": float("forward" in keys) - float("backward" in keys),
            "movementSideways": float("left" in keys) - float("right" in keys),
            "jump": "jump" in keys,
            "sprint": "sprint" in keys,
            "sneak": "sneak" in keys,
            "attack": "attack" in keys,
            "useItem": "use_item" in keys,
            "drop": "drop_item" in keys,
            "swapOffhand": "swap_hands" in keys,
            "openInventory": False,  # of the mod, too, even in the moment of the press
            "yawDelta": self._turned[0],
            "pitchDelta": self._turned[1],
        }

    def _obey(self, name: str, params: dict[str, Any]) -> None:
        place = self.place
        if name == "move" or name in HOLDABLE:
            key = str(params["direction"]) if name == "move" else name
            if name == "move" and key not in DIRECTIONS:
                raise ValueError(f"direction {key}")
            if params["state"] not in ("start", "stop"):
                raise ValueError(f"state {params['state']}")
            starts = params["state"] == "start" and key not in place.held
            if params["state"] == "start" and not place.screen:
                place.held.add(key)
            else:
                place.held.discard(key)
            if key == "use_item" and starts:
                course.use(place)
        elif name == "look":
            yaw, pitch = _finite(params["yaw"]), _finite(params["pitch"])
            if not params.get("relative", True):
                yaw, pitch = yaw - place.yaw, pitch - place.pitch
            course.turn(place, yaw, pitch)
            self._turned = (self._turned[0] + yaw, self._turned[1] + pitch)
        elif name == "select_slot":
            slot = params["slot"]
            if not isinstance(slot, int) or not 0 <= slot <= 8:
                raise ValueError(f"slot {slot}")
            place.slot = slot
        elif name == "cursor":
            x, y = (min(max(_finite(params[axis]), 0.0), 1.0) for axis in ("x", "y"))
            place.cursor = (x, y) if place.screen else place.cursor
        elif name == "click":
            course.click(place, str(params["button"]))
        elif name == "throw_item":  # a right click, in the mod
            course.press(place, "use_item")
        elif name not in ("inventory_click", "send_chat", "toggle_wheel"):
            course.press(place, name)

    def _error(self, message: str) -> str:
        self.errors += 1
        return json.dumps({"type": "error", "message": message})


def _player(place: _Place) -> dict[str, Any]:
    return {
        "health": 20.0,
        "maxHealth": 20.0,
        "hunger": 20,
        "saturation": 5.0,
        "x": place.x,
        "y": place.y,
        "z": place.z,
        "yaw": place.yaw,
        "pitch": place.pitch,
        "onGround": place.vy == 0.0,
        "sprinting": "sprint" in place.held,
        "sneaking": "sneak" in place.held,
        "swimming": False,
        "flying": False,
        "inWater": False,
        "onFire": False,
        "armor": 0,
        "fallDistance": 0.0,
        "velocityY": place.vy,
        "horizontalCollision": place.collided,
        "climbing": False,
        "recentlyHurt": False,
    }


def _item(name: str, category: str) -> dict[str, Any]:
    return {"name": f"minecraft:{name}", "category": category, "stackCount": int(name != "air")}


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not finite")
    return number


class _MockInThread:
    """Mock server behind a WebSocket of 127.0.0.1, in a thread, while the block of `with` is entered.

    `sleep` is called with the seconds between two ticks; a test may make it shorter.
    """

    def __init__(
        self,
        server: _MockServer,
        port: int = 0,
        *,
        pace: Callable[[], float] = lambda: 1 / TICKS,
    ) -> None:
        self.server, self.port, self.pace = server, port, pace
        self.stalled = False  # no states are sent, although the connection is open
        self._clients: set[Any] = set()
        self._started, self._ending = threading.Event(), threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="mock of MCCTP", daemon=True)

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"ws://127.0.0.1:{self.port}{PATH}"

    def __enter__(self) -> _MockInThread:
        self._thread.start()
        self._started.wait(10)
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and its connections."""
        self._ending.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # raised again where the server was started
            self._failed = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        listening = await listen(
            self._client,
            self.port,
            "--mock-port",
            max_size=LARGEST_MESSAGE,
            process_request=_only_mcctp,
        )
        self.port = listening.sockets[0].getsockname()[1]
        self._started.set()
        async with listening:
            while not self._ending.is_set():
                await asyncio.sleep(self.pace())
                text = self.server.step()
                for client in () if self.stalled else list(self._clients):
                    with contextlib.suppress(Exception):  # it has gone; its task ends by itself
                        await asyncio.wait_for(client.send(text), 0.05)

    async def _client(self, client: Any) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            await client.close(1013, "too many clients")
            return
        await client.send(json.dumps(HANDSHAKE))
        self._clients.add(client)
        try:
            async for text in client:
                answer = self.server.answer(text)
                if answer is not None:
                    await client.send(answer)
        finally:
            self._clients.discard(client)
            self.server.disconnected()


def _only_mcctp(connection: Any, request: Any) -> Any:
    """Response to a request for another address; None for ours."""
    return None if request.path == PATH else connection.respond(404, f"the address is {PATH}\n")
