"""Starting Slippi Dolphin for a live game: its ports, its controllers, and the first connection.

Dolphin gets a folder of settings of its own, which libmelee makes and removes: the settings of the
user are not changed. Of them only a person's controller is copied, where that is asked for.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.games.melee.live.launcher import dolphin_home, find_dolphin, find_iso
from shadowbox.games.melee.live.menus import libmelee, menus
from shadowbox.games.melee.live.world import MENU_FRAMES, DolphinWorld

PORTS = (1, 2, 3, 4)
PADS = ("adapter", "own")
PAD_FILE, DOLPHIN_FILE = "GCPadNew.ini", "Dolphin.ini"
NOTHING, STANDARD = "0", "6"  # devices of a port, in Dolphin's numbers


@dataclass(frozen=True)
class _GameSetup:
    """A live game of two players, in the order of their ports."""

    characters: str = "fox,fox"
    stage: str = "final_destination"
    ports: tuple[int, int] = (1, 2)
    kinds: tuple[str, str] = ("agent", "agent")  # agent, cpu, or human, who chooses on his own
    levels: tuple[int, int] = (0, 0)  # of CPUs, 1 to 9
    waits: bool = True  # Dolphin waits for the controls of each frame
    begins: bool = True  # the game begins when all are ready, on `stage`; else a person does both
    pad: str = "adapter"  # of a person: a GameCube adapter, or as in the user's own Dolphin
    slippi_port: int = 51441

    def __post_init__(self) -> None:
        if self.ports[0] >= self.ports[1] or any(port not in PORTS for port in self.ports):
            raise UsageError(f"melee:live: ports must be two of 1 to 4 (got {self.ports})")
        if self.pad not in PADS:
            raise UsageError(f"melee:live: a person's pad is one of {', '.join(PADS)}")

    @property
    def name(self) -> str:
        """Name of the world."""
        return f"melee:live {self.characters} {self.stage}"


def start(setup: _GameSetup, dolphin: Path, iso: Path) -> DolphinWorld:
    """Start Dolphin with the game and connect to it."""
    navigate = menus(setup.characters, setup.stage, setup.levels, start=setup.begins)
    melee = libmelee()
    try:
        console = melee.Console(
            path=str(dolphin),
            slippi_port=setup.slippi_port,
            blocking_input=setup.waits,
            tmp_home_directory=True,
            fullscreen=False,
        )
    except (OSError, ValueError, AssertionError, RuntimeError) as error:
        raise ShadowboxError(
            f"melee:live: {dolphin} cannot be started as Slippi Dolphin: {error}"
        ) from error
    try:
        controllers = _plug_in(console, setup, dolphin_home(dolphin))
        console.run(iso_path=str(iso))

        def ended() -> str:
            process = console._process
            status = None if process is None else process.poll()
            return "" if status is None else f"Dolphin has ended (exit status {status})"

        return connect(console, controllers, setup, navigate, ended)
    except BaseException:
        console.stop()
        raise


def connect(
    console: Any,
    controllers: list[Any],
    setup: _GameSetup,
    navigate: Any,
    ended: Callable[[], str],
) -> DolphinWorld:
    """World of a console that has been started."""
    if not console.connect():
        raise ShadowboxError(
            f"melee:live: Dolphin was started but does not answer on port {setup.slippi_port}; "
            "check that Slippi is enabled, or choose another port"
        )
    for controller in controllers:
        if controller is not None:
            controller.connect()
    return DolphinWorld(
        console,
        controllers,
        navigate,
        setup.name,
        waits=setup.waits,
        pauses=False,
        menu_frames=None if "human" in setup.kinds else MENU_FRAMES,
        ended=ended,
    )


def _plug_in(console: Any, setup: _GameSetup, home: Path | None) -> list[Any]:
    """Controllers of the seats, None for a person's; other ports are left empty."""
    melee, found = libmelee(), []
    config = Path(console._get_dolphin_config_path())
    for port, kind in zip(setup.ports, setup.kinds, strict=True):
        if kind != "human":
            found.append(melee.Controller(console, port))
            continue
        found.append(None)
        if setup.pad == "adapter":
            console.setup_dolphin_controller(port, melee.ControllerType.GCN_ADAPTER)
        else:
            copy_pad(home, config, port)
    for port in sorted(set(PORTS) - set(setup.ports)):
        _set_device(config, port, NOTHING)  # a plugged controller would have to choose, too
    return found


def copy_pad(home: Path | None, config: Path, port: int) -> None:
    """Give a port the controller of the user's own Dolphin: that of the port, else of port 1."""
    own = configparser.ConfigParser(interpolation=None)
    own.optionxform = str  # type: ignore[assignment, method-assign]
    if home is not None:
        own.read(home / "Config" / PAD_FILE, encoding="utf-8")
    names = [name for name in (f"GCPad{port}", "GCPad1") if own.has_option(name, "Device")]
    if not names:
        where = home / "Config" / PAD_FILE if home else "no settings of Slippi Dolphin"
        raise UsageError(
            f"--pad own: no controller is set up there ({where}); set one up in Slippi Dolphin "
            "(Controllers, port 1: Standard Controller), or use --pad adapter"
        )
    written = configparser.ConfigParser(interpolation=None)
    written.optionxform = str  # type: ignore[assignment, method-assign]
    written.read(config / PAD_FILE, encoding="utf-8")
    written[f"GCPad{port}"] = dict(own[names[0]])
    with open(config / PAD_FILE, "w", encoding="utf-8") as file:
        written.write(file)
    _set_device(config, port, STANDARD)


def _set_device(config: Path, port: int, device: str) -> None:
    """Set what is plugged into a port, in Dolphin's own file of settings."""
    written = configparser.ConfigParser(interpolation=None)
    written.read(config / DOLPHIN_FILE, encoding="utf-8")
    if not written.has_section("Core"):
        written.add_section("Core")
    written.set("Core", f"SIDevice{port - 1}", device)
    with open(config / DOLPHIN_FILE, "w", encoding="utf-8") as file:
        written.write(file)


def world(
    matches: int = 1,
    *,
    dolphin: str = "",
    iso: str = "",
    characters: str = "fox,fox",
    stage: str = "final_destination",
    cpu: int = 0,
    port: int = 51441,
) -> DolphinWorld:
    """Start Dolphin, connect two controllers, and prepare to walk the menus.

    Without `dolphin` and `iso`, both are taken where Slippi's launcher has put them. With `cpu` 1 to
    9, the second player is a CPU of that level.
    """
    if matches != 1:
        raise UsageError(f"melee:live: a console plays one match at a time (got {matches})")
    setup = _GameSetup(
        characters,
        stage,
        kinds=("agent", "cpu" if cpu else "agent"),
        levels=(0, cpu),
        slippi_port=port,
    )
    return start(setup, find_dolphin(dolphin), find_iso(iso))
