"""Slippi Dolphin and the copy of the game, found where Slippi's launcher puts them.

A path that is given comes first, then the environment (`SHADOWBOX_DOLPHIN`, `SHADOWBOX_MELEE_ISO`),
then the launcher's folder, whose `Settings` file names the copy of the game. An error lists every
place that was looked at, and what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json
from shadowbox.errors import ShadowboxError, UsageError

DOLPHIN, ISO = "SHADOWBOX_DOLPHIN", "SHADOWBOX_MELEE_ISO"  # variables of the environment
SETTINGS = "Settings"  # the launcher's own file, JSON without an ending
BUILDS = ("netplay", "netplay-beta")  # folders of the launcher: Ishiiruka, and its successor
PROGRAMS = {  # by platform, below the folder of a build
    "linux": ("Slippi_Online-x86_64.AppImage", "Slippi_Netplay_Mainline-x86_64.AppImage"),
    "darwin": (
        "Slippi Dolphin.app/Contents/MacOS/Slippi Dolphin",
        "Slippi_Dolphin.app/Contents/MacOS/Slippi_Dolphin",
    ),
    "win32": ("Slippi Dolphin.exe", "Slippi_Dolphin.exe"),
}
HOMES = {  # Dolphin's own settings, below the user's folder; on Windows `User` beside the program
    "linux": (".config/SlippiOnline", ".config/slippi-dolphin/netplay-beta"),
    "darwin": tuple(
        f"Library/Application Support/com.project-slippi.dolphin/{build}/User" for build in BUILDS
    ),
}
DISC, GAME, REVISION = b"\xc2\x33\x9f\x3d", b"GALE01", 2  # of a disc, of Melee, of NTSC 1.02
Environment = Mapping[str, str]


def launcher_folder(
    platform: str = sys.platform, home: Path | None = None, environment: Environment = os.environ
) -> Path:
    """Folder of Slippi's launcher for this user; it may not exist."""
    home = Path.home() if home is None else home
    if platform == "win32":
        return Path(environment.get("APPDATA") or home / "AppData/Roaming") / "Slippi Launcher"
    if platform == "darwin":
        return home / "Library/Application Support/Slippi Launcher"
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "Slippi Launcher"


def find_dolphin(
    given: str = "",
    *,
    platform: str = sys.platform,
    home: Path | None = None,
    environment: Environment = os.environ,
) -> Path:
    """The program of Slippi Dolphin; `given` is the file, or a folder that holds it as the launcher does."""
    for origin, path in (("--dolphin", given), (DOLPHIN, environment.get(DOLPHIN, ""))):
        if path:
            return _program(Path(path).expanduser(), origin, platform)
    launcher = launcher_folder(platform, home, environment)
    builds = sorted(BUILDS, key=lambda name: name != _build(launcher))
    places = [launcher / build / name for build in builds for name in _programs(platform)]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(map(str, places))
    raise UsageError(
        f"Slippi Dolphin was not found: neither --dolphin nor {DOLPHIN} is given, and none of these "
        f"is there: {looked}. Install it with Slippi's launcher and start it once, or name the "
        "program with --dolphin PATH; --dry-run plays without it"
    )


def find_iso(
    given: str = "",
    *,
    platform: str = sys.platform,
    home: Path | None = None,
    environment: Environment = os.environ,
) -> Path:
    """The user's own copy of the game, NTSC 1.02; a disc of another game or revision is refused."""
    for origin, text in (("--iso", given), (ISO, environment.get(ISO, ""))):
        if text:
            path = Path(text).expanduser()
            if not path.is_file():
                raise UsageError(f"{origin}: {path} is not a file; name a copy of Melee, NTSC 1.02")
            return _require_melee(path, origin)
    launcher = launcher_folder(platform, home, environment)
    named = _settings(launcher).get("isoPath")
    if isinstance(named, str) and Path(named).is_file():
        return _require_melee(Path(named), f"{launcher / SETTINGS}, isoPath")
    found = f"it names {named}, which is not there" if named else "it names none"
    state = found if (launcher / SETTINGS).is_file() else "the file is missing"
    raise UsageError(
        f"no copy of Melee was found: neither --iso nor {ISO} is given, and of isoPath in "
        f"{launcher / SETTINGS}: {state}. Choose your copy (NTSC 1.02) in Slippi's launcher, or "
        "name it with --iso PATH; --dry-run plays without it"
    )


def dolphin_home(
    program: Path, *, platform: str = sys.platform, home: Path | None = None
) -> Path | None:
    """Folder of the settings that the user's Dolphin has, such as its controllers; None: none found."""
    home = Path.home() if home is None else home
    if platform == "win32":
        places = [program.parent / "User"]
    else:
        names = HOMES["darwin" if platform == "darwin" else "linux"]
        second = program.name == Path(_programs(platform)[1]).name
        places = [home / name for name in (reversed(names) if second else names)]
    return next((place for place in places if (place / "Config").is_dir()), None)


# ---- inside --------------------------------------------------------------------------------------


def _programs(platform: str) -> tuple[str, ...]:
    return PROGRAMS.get(platform, PROGRAMS["linux"])


def _program(path: Path, origin: str, platform: str) -> Path:
    """The program that a path means: itself, or in a folder one that the launcher names so."""
    if path.is_file():
        return path
    names = _programs(platform)
    if platform == "darwin" and path.suffix == ".app":
        names = tuple(name.partition("/")[2] for name in names)
    for name in names:
        if (path / name).is_file():
            return path / name
    what = f"is a folder without {' or '.join(names)}" if path.is_dir() else "does not exist"
    raise UsageError(f"{origin}: {path} {what}; name the program of Slippi Dolphin")


def _build(launcher: Path) -> str:
    """Folder of the build that the launcher starts."""
    return BUILDS[bool(_settings(launcher).get("useNetplayBeta"))]


def _settings(launcher: Path) -> dict[str, Any]:
    """Settings of the launcher; empty without a readable file, which the launcher writes anew."""
    try:
        found = read_json(launcher / SETTINGS).get("settings")
    except (OSError, ShadowboxError):
        return {}
    return found if isinstance(found, dict) else {}


def _require_melee(path: Path, origin: str) -> Path:
    """Refuse another disc; packed formats (.ciso, .gcz, .rvz) have no header to look at."""
    with open(path, "rb") as file:
        head = file.read(32)
    if head[28:32] != DISC:
        if path.suffix.lower() in (".iso", ".gcm"):
            raise UsageError(f"{origin}: {path} is not a disc of the GameCube")
        return path
    if head[:6] != GAME or head[7] != REVISION:
        name, revision = head[:6].decode("ascii", "replace"), head[7]
        raise UsageError(
            f"{origin}: {path} is {name}, revision {revision}; expected {GAME.decode()}, revision "
            f"{REVISION}: Super Smash Bros. Melee, NTSC 1.02"
        )
    return path
