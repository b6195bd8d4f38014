"""Dolphin and the game are found where Slippi's launcher puts them, on three systems."""

from __future__ import annotations

import configparser
import json

import pytest

from shadowbox.errors import UsageError
from shadowbox.games.melee.dolphin import copy_pad
from shadowbox.games.melee.live.launcher import (
    PROGRAMS,
    dolphin_home,
    find_dolphin,
    find_iso,
    launcher_folder,
)

PLACES = {
    "linux": ".config/Slippi Launcher",
    "darwin": "Library/Application Support/Slippi Launcher",
    "win32": "AppData/Roaming/Slippi Launcher",
}


def disc(path, game=b"GALE01", revision=2):
    """A file with the header of a disc, and nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(game + bytes([0, revision]) + bytes(20) + b"\xc2\x33\x9f\x3d")
    return path


@pytest.mark.parametrize("platform", PLACES)
@pytest.mark.parametrize("beta", [False, True])
def test_both_are_found_by_themselves(tmp_path, platform, beta):
    """The launcher's folder, its build and the copy that its settings name, on each system."""
    launcher = tmp_path / PLACES[platform]
    for build, name in zip(("netplay", "netplay-beta"), PROGRAMS[platform], strict=True):
        program = launcher / build / name
        program.parent.mkdir(parents=True)
        program.touch()
    iso = disc(tmp_path / "games" / "melee.iso")
    settings = {"settings": {"isoPath": str(iso), "useNetplayBeta": beta}}
    (launcher / "Settings").write_text(json.dumps(settings), encoding="utf-8")
    here = {"platform": platform, "home": tmp_path, "environment": {}}
    assert launcher_folder(**here) == launcher
    found = find_dolphin(**here)
    assert found == launcher / ("netplay", "netplay-beta")[beta] / PROGRAMS[platform][beta]
    assert find_iso(**here) == iso


def test_the_environment_comes_before_the_launcher_and_a_path_before_both(tmp_path):
    """SHADOWBOX_DOLPHIN and SHADOWBOX_MELEE_ISO, then what the command line names."""
    program, other = tmp_path / "dolphin", tmp_path / "folder" / PROGRAMS["linux"][0]
    other.parent.mkdir()
    program.touch()
    other.touch()
    one, two = disc(tmp_path / "one.iso"), disc(tmp_path / "two.iso")
    environment = {"SHADOWBOX_DOLPHIN": str(program), "SHADOWBOX_MELEE_ISO": str(one)}
    here = {"platform": "linux", "home": tmp_path, "environment": environment}
    assert (find_dolphin(**here), find_iso(**here)) == (program, one)
    assert find_dolphin(str(other.parent), **here) == other
    assert find_iso(str(two), **here) == two
    with pytest.raises(UsageError, match=r"SHADOWBOX_DOLPHIN: .*none does not exist"):
        find_dolphin(**{**here, "environment": {"SHADOWBOX_DOLPHIN": str(tmp_path / "none")}})


def test_an_error_names_every_place_and_what_to_do(tmp_path):
    """Without Dolphin or the game, the message lists where it looked."""
    here = {"platform": "linux", "home": tmp_path, "environment": {}}
    launcher = tmp_path / PLACES["linux"]
    with pytest.raises(UsageError) as dolphin:
        find_dolphin(**here)
    for build, name in zip(("netplay", "netplay-beta"), PROGRAMS["linux"], strict=True):
        assert str(launcher / build / name) in str(dolphin.value)
    assert "--dolphin PATH; --dry-run plays without it" in str(dolphin.value)
    with pytest.raises(UsageError, match=r"the file is missing\. Choose your copy \(NTSC 1.02\)"):
        find_iso(**here)
    launcher.mkdir(parents=True)
    settings = {"settings": {"isoPath": "/gone/melee.iso"}}
    (launcher / "Settings").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(UsageError, match=r"it names /gone/melee\.iso, which is not there"):
        find_iso(**here)


@pytest.mark.parametrize(
    ("game", "revision", "message"),
    [
        (b"GALP01", 2, "is GALP01, revision 2; expected GALE01, revision 2"),
        (b"GALE01", 0, "is GALE01, revision 0; expected GALE01, revision 2"),
    ],
)
def test_another_disc_is_refused(tmp_path, game, revision, message):
    """Another game, region or revision is named before Dolphin starts; packed copies are let through."""
    with pytest.raises(UsageError, match=message):
        find_iso(str(disc(tmp_path / "a.iso", game, revision)))
    (tmp_path / "b.iso").write_bytes(bytes(64))
    with pytest.raises(UsageError, match=r"b\.iso is not a disc of the GameCube"):
        find_iso(str(tmp_path / "b.iso"))
    (tmp_path / "c.ciso").write_bytes(b"CISO" + bytes(64))
    assert find_iso(str(tmp_path / "c.ciso")) == tmp_path / "c.ciso"


def test_a_persons_own_pad_is_copied(tmp_path):
    """--pad own gives the port the controller that the user's Dolphin has on it, else on port 1."""
    home, config = tmp_path / ".config/SlippiOnline", tmp_path / "config"
    (home / "Config").mkdir(parents=True)
    config.mkdir()
    program = tmp_path / PROGRAMS["linux"][0]
    assert dolphin_home(program, platform="linux", home=tmp_path) == home
    with pytest.raises(UsageError, match="--pad own: no controller is set up there"):
        copy_pad(home, config, 2)
    (home / "Config" / "GCPadNew.ini").write_text(
        "[GCPad1]\nDevice = XInput/0/Gamepad\nButtons/A = `Button A`\n[GCPad2]\n", encoding="utf-8"
    )
    (config / "GCPadNew.ini").write_text("[GCPad3]\ndevice = Pipe/0/slippibot3\n", encoding="utf-8")
    copy_pad(home, config, 2)
    written = configparser.ConfigParser(interpolation=None)
    written.read(config / "GCPadNew.ini", encoding="utf-8")
    assert dict(written["GCPad2"]) == {"device": "XInput/0/Gamepad", "buttons/a": "`Button A`"}
    assert written["GCPad3"]["device"] == "Pipe/0/slippibot3"
    written.read(config / "Dolphin.ini", encoding="utf-8")
    assert written["Core"]["SIDevice1"] == "6"
