"""Takes of a real person: what is recorded, with which keys, and how clear the gestures are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OPTIONS: Mapping[str, Any] = {
    "person": "me",  # name in the store; people are kept apart by it
    "hand": "right",  # the better one; left-handed people are mirrored
    "profile": "",  # that keeps the result of a calibration, as `play gesture --profile` names it
    "seconds": 60.0,  # of a take with prompts
    "countdown": 3.0,
    "labels": "prompts",  # keys without a game: prompts, or none
    "connect": "",  # game that reports its state and the keys; without one, prompts are shown
    "port": 8777,  # of the page
    "open": False,  # the page in a browser
}
# own models of MediaPipe's tasks; empty: those inside MediaPipe
_MODELS: Mapping[str, Any] = {"pose_model": "", "hand_model": ""}
LIVE_SOURCES: Mapping[str, Mapping[str, Any]] = {
    "page": {**_OPTIONS, "complexity": "full"},
    "landmarks": {**_OPTIONS, "landmarks_port": 8778},
    "camera": {**_OPTIONS, "camera": 0, **_MODELS},
    "phone": {**_OPTIONS, "phone": "", **_MODELS},
    "video": {**_OPTIONS, "labels": "none", "countdown": 0.0, "video": "", **_MODELS},
}
CLIPS: Mapping[str, Any] = {"clips": "clips", "person": "me"}  # of the source bootstrap: a folder
