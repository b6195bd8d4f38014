"""World around a live game of Melee in Slippi Dolphin, controlled through libmelee.

libmelee connects, walks the menus and holds the controllers. An agent does not see libmelee's game
state: the events that Dolphin sends go through the reader of replay files, so live columns are the
columns of the replay that the game leaves behind.

    world = dolphin.world(
        dolphin="/path/to/slippi", iso="/path/to/melee.iso", characters="fox,marth",
        stage="battlefield",
    )

Needs the extra `live`, Slippi Dolphin and the user's own copy of the game (NTSC 1.02). Do not use
it in unranked online games.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import RecordingError, ShadowboxError, UsageError, did_you_mean, install_hint
from shadowbox.games.melee.events import events
from shadowbox.games.melee.names import CHARACTERS, FIGHTERS
from shadowbox.games.melee.rows import rows_of
from shadowbox.games.melee.schema import FIRST_FRAME, SCHEMA
from shadowbox.games.melee.slp.stream import EventStream

STAGES = {  # our names -> libmelee's; its numbers differ from the game's
    "battlefield": "BATTLEFIELD",
    "dream_land": "DREAMLAND",
    "final_destination": "FINAL_DESTINATION",
    "fountain_of_dreams": "FOUNTAIN_OF_DREAMS",
    "pokemon_stadium": "POKEMON_STADIUM",
    "yoshis_story": "YOSHIS_STORY",
}
BUTTONS = {  # column of the pad -> libmelee's name
    **{name: f"BUTTON_{name.upper()}" for name in ("a", "b", "x", "y", "z", "l", "r", "start")},
    **{name: f"BUTTON_{name.upper()}" for name in ("d_up", "d_down", "d_left", "d_right")},
}
MENU_FRAMES = 60 * 120  # two minutes in the menus count as failed
IN_GAME = ("IN_GAME", "SUDDEN_DEATH")
MenuNavigation = Callable[[Any, Sequence[Any]], None]  # console state, controllers
FIRST_SEEN = FIRST_FRAME + 1  # a row needs the frame before it


class DolphinWorld:
    """World of one match at a time on a connected console, with a controller for each player.

    `navigate(console state, controllers)` presses the keys that lead to the next game; with None
    the game begins by itself.
    """

    schema = SCHEMA
    matches = 1

    def __init__(
        self,
        console: Any,
        controllers: Sequence[Any],
        navigate: MenuNavigation | None = None,
        name: str = "melee:live",
    ) -> None:
        self.name = name
        self._console, self._controllers, self._navigate = console, list(controllers), navigate
        self._stream = EventStream()
        _listen(console, self._stream)
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
        for controller in self._controllers:
            controller.release_all()
        while self._played and self._stream.begun and not self._stream.over:
            self._wait()  # a console plays a game to its end, here without input
        for _ in range(MENU_FRAMES):
            if (
                self._stream.begun
                and not self._stream.over
                and (self._stream.frame or 0) >= FIRST_SEEN
            ):
                break
            self._wait()
        else:
            raise ShadowboxError(
                f"melee:live: no game began within {MENU_FRAMES} frames; "
                "check the window of Dolphin"
            )
        self._played = True
        self._row = 0
        self._done = np.zeros(1, bool)
        self._columns = self._latest()
        return self._columns

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Press the controls and return the state of the next frame, which reads them."""
        if self._done[0]:
            return self._columns, np.zeros(0, EVENT), self._done
        for seat, controller in enumerate(self._controllers):
            press(controller, {key: controls[key][0, seat] for key in SCHEMA.control_keys})
        before = self._stream.frame
        while self._stream.frame == before and not self._stream.over:
            self._wait()
        self._row += 1
        earlier = self._columns
        self._done = np.array([self._stream.over])
        if self._stream.frame != before:
            self._columns = self._latest()
        return self._columns, self._happened(earlier), self._done

    def snapshot(self, where: Array | None = None) -> Any:
        """Refuse: a console cannot be copied."""
        raise UsageError("melee:live: a live game has no snapshots; use a simulator or a dream")

    def restore(self, snapshot: Any, where: Array | None = None) -> Columns:
        """Refuse: a console cannot be set back."""
        raise UsageError("melee:live: a live game cannot be set back; use a simulator or a dream")

    def close(self) -> None:
        """Disconnect the controllers and stop Dolphin."""
        for controller in self._controllers:
            controller.disconnect()
        # `stop` leaves it running where libmelee did not start Dolphin itself
        self._console._slippstream.shutdown()
        self._console.stop()

    def _wait(self) -> None:
        """Wait for the next frame of the game or of the menus; press keys in the menus."""
        state = _next_state(self._console)
        if state is None:
            if not self._stream.over:
                raise RecordingError("melee:live: the connection to Dolphin has ended")
        elif self._navigate is not None and state.menu_state.name not in IN_GAME:
            self._navigate(state, self._controllers)

    def _latest(self) -> Columns:
        """State of the last frame, [1, slots], with neutral controls, which are not known yet."""
        rows = rows_of(self._stream.replay(2)).columns
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
    except EnetDisconnected:
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
    """Wrapper of libmelee's connection that also feeds every game event to a stream."""

    def __init__(self, inner: Any, stream: EventStream) -> None:
        self._inner, self._stream = inner, stream

    def dispatch(self, *arguments: Any, **options: Any) -> Any:
        message = self._inner.dispatch(*arguments, **options)
        if message and message["type"] == "game_event" and message["payload"]:
            payload = message["payload"]
            self._stream.feed(payload if isinstance(payload, bytes) else base64.b64decode(payload))
        return message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _listen(console: Any, stream: EventStream) -> None:
    console._slippstream = _Tap(console._slippstream, stream)


# ---- starting Dolphin ----


def world(
    matches: int = 1,
    *,
    dolphin: str,
    iso: str,
    characters: str = "fox,fox",
    stage: str = "final_destination",
    cpu: int = 0,
    port: int = 51441,
) -> DolphinWorld:
    """Start Dolphin, connect two controllers, and prepare to walk the menus.

    With `cpu` 1 to 9, the second player is a CPU of that level.
    """
    if matches != 1:
        raise UsageError(f"melee:live: a console plays one match at a time (got {matches})")
    for option, path in (("dolphin", dolphin), ("iso", iso)):
        if not Path(path).exists():
            raise UsageError(f"melee:live: {option}={path} does not exist")
    navigate = menus(characters, stage, cpu)  # checks the names before Dolphin starts
    melee = libmelee()
    console = melee.Console(
        path=dolphin,
        slippi_port=port,
        blocking_input=True,
        tmp_home_directory=True,
        fullscreen=False,
    )
    controllers = [melee.Controller(console, number) for number in (1, 2)]
    console.run(iso_path=iso)
    if not console.connect():
        console.stop()
        raise ShadowboxError(
            f"melee:live: Dolphin was started but does not answer on port {port}; "
            "check that Slippi is enabled, or choose another port"
        )
    for controller in controllers:
        controller.connect()
    return DolphinWorld(console, controllers, navigate, f"melee:live {characters} {stage}")


def libmelee() -> Any:
    """Import libmelee; if it is missing, the error says how to install it."""
    try:
        import melee
    except ImportError as error:
        raise UsageError(f"melee:live needs libmelee: {install_hint('live')}") from error
    return melee


def menus(characters: str, stage: str, cpu: int = 0) -> MenuNavigation:
    """Navigation through the menus to a game with given characters on a given stage.

    The result presses the keys of one frame, given the console's state and the controllers; the
    last player to be ready starts the game.
    """
    names = characters.split(",")
    fighters = [CHARACTERS[number] for number in sorted(FIGHTERS)]
    if len(names) != 2:
        raise UsageError(
            f"melee:live: characters must be two, such as fox,marth (got '{characters}')"
        )
    for name in names:
        if name not in fighters:
            raise UsageError(
                f"melee:live: unknown character '{name}': {did_you_mean(name, fighters)}"
            )
    if stage not in STAGES:
        raise UsageError(f"melee:live: unknown stage '{stage}': {did_you_mean(stage, STAGES)}")
    helpers: list[Any] = []  # one for each controller; each remembers its own way

    def navigate(state: Any, controllers: Sequence[Any]) -> None:
        melee = libmelee()
        helpers.extend(melee.MenuHelper() for _ in controllers[len(helpers) :])
        for number, (helper, controller) in enumerate(zip(helpers, controllers, strict=True)):
            helper.menu_helper_simple(
                state,
                controller,
                melee.Character(CHARACTERS.index(names[number])),
                melee.Stage[STAGES[stage]],
                cpu_level=cpu if number else 0,
                costume=number,
                autostart=number == len(controllers) - 1,
            )

    return navigate
