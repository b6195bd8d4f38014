"""World around a live game of Melee in Slippi Dolphin, controlled through libmelee.

libmelee connects, walks the menus and holds the controllers. An agent does not see libmelee's game
state: the events that Dolphin sends go through the reader of replay files, so live columns are the
columns of the replay that the game leaves behind.

    world = dolphin.world(
        dolphin="/path/to/slippi", iso="/path/to/melee.iso", characters="fox,marth",
        stage="battlefield",
    )

Needs the extra `live`, Slippi Dolphin and the user's own copy of the game (NTSC 1.02). Do not use
it in unranked online games. games/melee/dolphin.py starts Dolphin; `shadowbox play melee` plays.
"""

from __future__ import annotations

import base64
import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import RecordingError, ShadowboxError, UsageError
from shadowbox.games.melee.events import events
from shadowbox.games.melee.live.menus import MenuNavigation
from shadowbox.games.melee.rows import rows_of
from shadowbox.games.melee.schema import FIRST_FRAME, SCHEMA
from shadowbox.games.melee.slp import ubjson
from shadowbox.games.melee.slp.data import END_METHODS
from shadowbox.games.melee.slp.layout import EVENT_SIZES
from shadowbox.games.melee.slp.parts import METADATA
from shadowbox.games.melee.slp.read import HEAD
from shadowbox.games.melee.slp.stream import EventStream

BUTTONS = {  # column of the pad -> libmelee's name
    **{name: f"BUTTON_{name.upper()}" for name in ("a", "b", "x", "y", "z", "l", "r", "start")},
    **{name: f"BUTTON_{name.upper()}" for name in ("d_up", "d_down", "d_left", "d_right")},
}
MENU_FRAMES = 60 * 120  # two minutes in the menus count as failed
LOOK_S = 0.5  # between two looks at whether Dolphin still runs, while no frame comes
QUIT = "no contest"  # the end of a game that a player left
IN_GAME = ("IN_GAME", "SUDDEN_DEATH")
FIRST_SEEN = FIRST_FRAME + 1  # a row needs the frame before it
LOST = "melee:live: the connection to Dolphin has ended"


class DolphinWorld:
    """World of one match at a time on a connected console, with a controller for each player.

    Players are in the order of their ports. A controller is None where a person holds
    it. `navigate(console state, controllers)` presses the keys that lead to the next game;
    with None the game begins by itself.

    `thinking` holds the seconds from each frame to its controls, `dropped` counts frames that went
    by meanwhile, which only happens where Dolphin does not wait (`waits` False). `truncated`: a
    player left the game.
    """

    schema = SCHEMA
    matches = 1

    def __init__(
        self,
        console: Any,
        controllers: Sequence[Any],
        navigate: MenuNavigation | None = None,
        name: str = "melee:live",
        *,
        waits: bool = True,
        pauses: bool = True,
        menu_frames: int | None = MENU_FRAMES,
        ended: Callable[[], str] | None = None,
    ) -> None:
        """`menu_frames` None: menus may take any time, such as a person's.

        `pauses` False: START, which would pause the game, is never pressed in a match.

        `ended`: asked while no frame comes; why there will be none, or an empty text.
        """
        self.name = name
        self._console, self._controllers, self._navigate = console, list(controllers), navigate
        self._stream, self._waits, self._menu_frames = EventStream(), waits, menu_frames
        self._pauses = pauses
        self._tap = console._slippstream = _Tap(console._slippstream, self._stream, ended)
        self.thinking: list[float] = []
        self.dropped = 0
        self.truncated = np.zeros(1, bool)
        self._came = time.perf_counter()  # when the last frame came
        self._pressed: Columns = {}
        self._columns: Columns = SCHEMA.neutral(1)
        self._done = np.zeros(1, bool)
        self._row = 0
        self._played = False  # the current game has been returned by an earlier reset

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Leave the current game, walk the menus, and wait for the first frame of the next game.

        The first frame is the first one in which both players can act. The game draws its own
        random numbers, so `seeds` cannot choose them.
        """
        if np.asarray(seeds).shape != (1,):
            raise UsageError(
                "melee:live: a live game is one match, so seeds must have shape (1,) "
                f"(got {np.asarray(seeds).shape})"
            )
        if where is not None and not where[0]:
            return self._columns
        for controller in self._held:
            controller.release_all()
        while self._played and self._stream.begun and not self._stream.over:
            self._wait()  # a console plays a game to its end, here without input
        waited = 0
        while not self._playable:
            if self._menu_frames is not None and waited >= self._menu_frames:
                raise ShadowboxError(
                    f"melee:live: no game began within {self._menu_frames} frames; "
                    "check the window of Dolphin"
                )
            self._wait()
            waited += 1
        self._played = True
        self._row = 0
        self._done, self.truncated = np.zeros(1, bool), np.zeros(1, bool)
        self._columns = self._latest()
        return self._columns

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Press the controls and return the state of the next frame, which reads them."""
        if self._done[0]:
            return self._columns, np.zeros(0, EVENT), self._done
        self.thinking.append(time.perf_counter() - self._came)
        for seat, controller in enumerate(self._controllers):
            if controller is not None:
                pad = {key: controls[key][0, seat] for key in SCHEMA.control_keys}
                press(controller, pad if self._pauses else pad | {"pad/start": False})
        before = self._stream.frame
        while self._stream.frame == before and not self._stream.over:
            self._wait()
        while not self._waits and not self._stream.over and self._tap.has_more():
            self._wait()  # the newest frame is the one to answer
        self._row += 1
        earlier = self._columns
        self._done = np.array([self._stream.over])
        self.truncated = self._done & (self.ending == QUIT)
        if self._stream.frame != before:
            self.dropped += max((self._stream.frame or 0) - (before or 0) - 1, 0)
            self._columns = self._latest()
        return self._columns, self._happened(earlier), self._done

    @property
    def controls_read(self) -> Columns:
        """The controls that led to the last state, as the game read them, [1, slots].

        Also those of a person and of a CPU, which no agent has decided.
        """
        return self._pressed

    @property
    def ending(self) -> str:
        """How the last game ended: game, time, no contest and the like; empty while it is played."""
        return END_METHODS.get(self._stream.method, "") if self._stream.over else ""

    def replay_file(self) -> bytes:
        """The current game as the content of a `.slp`, as far as it has been played."""
        raw, last = bytes(self._tap.recorded), self._stream.frame
        metadata = {"playedOn": "dolphin", **({} if last is None else {"lastFrame": last})}
        return HEAD + struct.pack(">I", len(raw)) + raw + METADATA + ubjson.encode(metadata) + b"}"

    def snapshot(self, where: Array | None = None) -> Any:
        """Refuse: a console cannot be copied."""
        raise UsageError("melee:live: a live game has no snapshots; use a simulator or a dream")

    def restore(self, snapshot: Any, where: Array | None = None) -> Columns:
        """Refuse: a console cannot be set back."""
        raise UsageError("melee:live: a live game cannot be set back; use a simulator or a dream")

    def close(self) -> None:
        """Release and disconnect the controllers, and stop Dolphin."""
        for controller in self._held:
            with contextlib.suppress(OSError, RuntimeError):  # Dolphin may have gone first
                controller.release_all()
                controller.flush()
            controller.disconnect()
        # `stop` leaves it running where libmelee did not start Dolphin itself
        self._console._slippstream.shutdown()
        self._console.stop()

    @property
    def _held(self) -> list[Any]:
        return [controller for controller in self._controllers if controller is not None]

    @property
    def _playable(self) -> bool:
        stream = self._stream
        return stream.begun and not stream.over and (stream.frame or 0) >= FIRST_SEEN

    def _wait(self) -> None:
        """Wait for the next frame of the game or of the menus; press keys in the menus."""
        state = _next_state(self._console)
        self._came = time.perf_counter()
        if state is None:
            if not self._stream.over:
                raise RecordingError(LOST)
        elif state.menu_state.name in IN_GAME or self._navigate is None:
            return
        elif self._waits or not self._tap.has_more():  # a stale cursor would be steered past
            self._navigate(state, self._controllers)

    def _latest(self) -> Columns:
        """State of the last frame, [1, slots], with neutral controls, which are not known yet."""
        rows = rows_of(self._stream.replay(2)).columns
        self._pressed = {
            key: np.array(rows[key][-2:-1], SCHEMA.columns[key].dtype)
            for key in SCHEMA.control_keys
        }
        latest = {
            key: np.array(rows[key][-1:], SCHEMA.columns[key].dtype) for key in SCHEMA.state_keys
        }
        return SCHEMA.neutral(1) | latest

    def _happened(self, earlier: Columns) -> Array:
        happened = events(
            {key: np.concatenate([earlier[key], self._columns[key]]) for key in SCHEMA.state_keys}
        )
        happened["frame"] = self._row
        return happened


def _next_state(console: Any) -> Any:
    """Next state of libmelee, or None if the connection has ended."""
    from melee.slippstream import EnetDisconnected

    try:
        return console.step()
    except (EnetDisconnected, OSError):  # OSError: of the pipes of controllers
        return None


def press(controller: Any, pad: dict[str, Any]) -> None:
    """Set a whole controller to one player's pad; buttons that are not pressed are released."""
    from melee import Button

    values = {key.partition("/")[2]: value for key, value in pad.items()}
    for stick, button in (("main", Button.BUTTON_MAIN), ("c", Button.BUTTON_C)):
        x, y = (float(np.clip(values[f"{stick}_{axis}"], -1, 1)) for axis in ("x", "y"))
        controller.tilt_analog(button, (x + 1) / 2, (y + 1) / 2)
    for side, button in (("l", Button.BUTTON_L), ("r", Button.BUTTON_R)):
        controller.press_shoulder(button, float(np.clip(values[f"{side}_push"], 0, 1)))
    for name, button in BUTTONS.items():
        (controller.press_button if values[name] else controller.release_button)(Button[button])


class _Tap:
    """Wrapper of libmelee's connection that also feeds every game event to a stream.

    `recorded` holds the events of the current game.
    """

    def __init__(
        self, inner: Any, stream: EventStream, ended: Callable[[], str] | None = None
    ) -> None:
        self._inner, self._stream, self._ended = inner, stream, ended
        self.recorded = bytearray()

    def dispatch(self, *arguments: Any, **options: Any) -> Any:
        while self._ended is not None and not self.has_more(LOOK_S):
            if why := self._ended():
                raise RecordingError(f"{LOST}: {why}")
        message = self._inner.dispatch(*arguments, **options)
        if message and message["type"] == "game_event" and message["payload"]:
            payload = message["payload"]
            events = payload if isinstance(payload, bytes) else base64.b64decode(payload)
            if events[0] == EVENT_SIZES:
                self.recorded.clear()
            self.recorded += events
            self._stream.feed(events)
        return message

    def has_more(self, seconds: float = 0.0) -> bool:
        """True once a message, or the end of the connection, can be read."""
        return bool(self._inner._buffer.poll(seconds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
