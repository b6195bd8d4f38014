"""Profile of a person: thresholds and the speed of the look, changed while playing and kept in a file.

    {"version": 1, "threshold": 0.45, "thresholds": {"jump": 0.6}, "look_speed": 280.0}

`threshold` moves the thresholds of a checkpoint as far as it is from its own default; those of
`thresholds` replace them. `calibration`, of the last one that was recorded with this profile, says which
gestures look alike. A file of others is checked: its types, names and ranges.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.files import mismatches, read_json, write_whole
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.gesture.controller import KEYS, _Settings

VERSION = 1
CALIBRATION = {
    "clear?": float,  # share of the half seconds that are nearest to their own gesture
    "confused?": [{"gesture": str, "with": str, "share": float}],
    "missing?": [str],
}
SHAPE = {
    "version": int,
    "threshold": float,
    "thresholds": {str: float},
    "look_speed": float,
    "calibration?": CALIBRATION,
}
MOST_SHOWN = 3  # pairs of gestures that look alike
THRESHOLD, LOOK = (0.05, 0.95), (20.0, 600.0)  # lowest and highest; degrees a second
GATE = "looking"  # its threshold is that of the look


@dataclass(frozen=True, kw_only=True)
class _Profile:
    """Settings that a person changes while playing."""

    threshold: float = _Settings.threshold
    thresholds: Mapping[str, float] = field(default_factory=dict)  # of some controls alone
    look_speed: float = _Settings.look_speed
    calibration: Mapping[str, Any] = field(default_factory=dict)  # of `CALIBRATION`; empty: none

    def apply(self, settings: _Settings) -> _Settings:
        """Settings of a checkpoint as this person plays with them."""
        by = self.threshold - settings.threshold
        moved = {
            name: _within(value + by, THRESHOLD) for name, value in settings.thresholds.items()
        }
        own = dict(self.thresholds)
        gate = own.pop(GATE, _within(settings.look_gate + by, THRESHOLD))
        return replace(
            settings,
            threshold=self.threshold,
            thresholds=moved | own,
            look_gate=gate,
            look_speed=self.look_speed,
        )

    def changed(self, name: str, by: float, now: _Settings) -> _Profile:
        """The profile with one setting changed: `threshold`, `threshold/CONTROL` or `look`.

        `now` are the settings that are played with; an unknown name changes nothing.
        """
        _, _, control = name.partition("threshold/")
        if name == "threshold":
            return replace(self, threshold=_within(self.threshold + by, THRESHOLD))
        if name == "look":
            return replace(self, look_speed=_within(self.look_speed + by, LOOK))
        if control in (*KEYS, GATE):
            usual = now.look_gate if control == GATE else now.threshold
            value = _within(now.thresholds.get(control, usual) + by, THRESHOLD)
            return replace(self, thresholds={**self.thresholds, control: value})
        return self


def with_calibration(profile: _Profile, result: Mapping[str, Any]) -> _Profile:
    """The profile with the result of a calibration (games/gesture/takes/calibration.py)."""
    kept = {name.removesuffix("?") for name in CALIBRATION}
    return replace(profile, calibration={k: v for k, v in result.items() if k in kept})


def calibration_text(profile: _Profile) -> str:
    """What the last calibration says, in a line; empty without one."""
    found = profile.calibration
    if "clear" not in found:
        return ""
    pairs = sorted(found.get("confused", ()), key=lambda pair: -float(pair["share"]))
    alike = ", ".join(f"{each['gesture']} looks like {each['with']}" for each in pairs[:MOST_SHOWN])
    return f"calibration: {100 * found['clear']:.0f} % clear" + (f"; {alike}" if alike else "")


def profile_path(name: str) -> Path:
    """File of a profile: a path that ends in .json, or a name in the user's data folder."""
    if name.endswith(".json"):
        return Path(name)
    if not re.fullmatch(r"[\w-]{1,64}", name):
        raise UsageError(
            f"--profile '{name}': expected a name of letters, digits, - and _, or a path to a .json file"
        )
    usual = Path.home() / (".local/share" if os.name != "nt" else "AppData/Local")
    return (
        Path(os.environ.get("XDG_DATA_HOME") or usual) / "shadowbox" / "profiles" / f"{name}.json"
    )


def read_profile(path: Path) -> _Profile:
    """Profile of a file; the default one without a file. A wrong one is refused by name."""
    hint = "mend it, or remove it to begin anew"
    try:
        data = read_json(path, error=UsageError, hint=hint)
    except FileNotFoundError:
        return _Profile()
    wrong = next(mismatches(data, SHAPE), "")
    if wrong:
        raise UsageError(f"profile {path}: {wrong}; {hint}")
    known = {name.removesuffix("?") for name in SHAPE}
    if unknown := sorted(set(data) - known):
        raise UsageError(
            f"profile {path}: unknown key '{unknown[0]}': {did_you_mean(unknown[0], known)}"
        )
    if data["version"] != VERSION:
        raise UsageError(f"profile {path}: version is {data['version']}, expected {VERSION}")
    for name in data["thresholds"]:
        if name not in (*KEYS, GATE):
            raise UsageError(
                f"profile {path}: thresholds has '{name:.40}': {did_you_mean(name, (*KEYS, GATE))}"
            )
    limits = dict.fromkeys(data["thresholds"], THRESHOLD)
    for name, value, (low, high) in (
        ("threshold", data["threshold"], THRESHOLD),
        ("look_speed", data["look_speed"], LOOK),
        *((f"thresholds.{name}", data["thresholds"][name], limits[name]) for name in limits),
    ):
        if not low <= value <= high:
            raise UsageError(
                f"profile {path}: {name} is {value:g}, expected {low:g} to {high:g}; {hint}"
            )
    return _Profile(
        threshold=float(data["threshold"]),
        thresholds={name: float(value) for name, value in data["thresholds"].items()},
        look_speed=float(data["look_speed"]),
        calibration=data.get("calibration", {}),
    )


def write_profile(path: Path, profile: _Profile) -> None:
    """Write a profile; its folder is made."""
    data = {
        "version": VERSION,
        "threshold": profile.threshold,
        "thresholds": dict(profile.thresholds),
        "look_speed": profile.look_speed,
        **({"calibration": dict(profile.calibration)} if profile.calibration else {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(data, indent=1) + "\n").encode())


def _within(value: float, limits: tuple[float, float]) -> float:
    return round(float(np.clip(value, *limits)), 3)
