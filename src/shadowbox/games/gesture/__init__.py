"""Minecraft played with body and hands in front of a camera: landmarks in, controls out.

schema.py      landmarks, the game's state and the controls, with their modes and gates
features.py    landmarks and the game's state as rows, the same for recordings and for play
recording.py   sessions as episodes; npz.py reads those of an older system
older.py       a frame as the inputs of an older system
body.py        a simulated body that makes the gestures of script.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.figures.declaration import _Replay
from shadowbox.core.game import Game
from shadowbox.games.gesture import controller, figures
from shadowbox.games.gesture.body import SOURCE
from shadowbox.games.gesture.npz import OPTIONS
from shadowbox.games.gesture.older import ENCODING
from shadowbox.games.gesture.schema import BODY, LEARNED, SCHEMA
from shadowbox.games.gesture.takes import CLIPS, LIVE_SOURCES


def scene() -> Mapping[str, Any]:
    """Scene that the viewer draws, imported on demand."""
    from shadowbox.games.gesture.scene import SCENE

    return SCENE


GAME = Game(
    name="gesture",
    title="Minecraft with body and hands, one player in front of a camera",
    schema=SCHEMA,
    reader="shadowbox.games.gesture.npz:read",
    reader_endings=(".npz",),
    reader_options=OPTIONS,
    scene=scene,
    sources={
        "synthetic": ("shadowbox.games.gesture.body:record", SOURCE),
        "bootstrap": ("shadowbox.games.gesture.takes.clips:record", CLIPS),
    },
    live_sources=LIVE_SOURCES,
    replay=_Replay(
        settings=controller.settings_of,
        rest=lambda row: controller.at_rest(bool(row["game/screen_open"][0])),
        decide=controller.decide,
        count=figures.count,
        figures=figures.figures,
        person="person",
        unit="session",
    ),
    learns_by=("imitation", "windows"),
    policies={"people": str(Path(__file__).with_name("shipped") / "people")},
    encodings={
        "default": LEARNED,  # without state that follows the controls
        "all": tuple(SCHEMA.columns),
        "older": ENCODING,
        # of the game's state the mode alone, so that the policy plays games it never saw
        "body": (*BODY, "game/screen_open", *SCHEMA.control_keys),
    },
)
