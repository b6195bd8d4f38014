"""Takes of a real person: what is recorded, with which keys, and how clear the gestures are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OPTIONS: Mapping[str, Any] = {
    "person": "me",  # name in the store; people are kept apart by it
    "hand": "right",  # the better one; left-handed people are mirrored
    "seconds": 60.0,  # of a take with prompts
    "countdown": 3.0,
    "labels": "prompts",  # keys without a game: prompts, or none
    "connect": "",  # game that reports its state and the keys; without one, prompts are shown
    "port": 8777,  # of the page
    "open": False,  # the page in a browser
}
LIVE_SOURCES: Mapping[str, Mapping[str, Any]] = {
    "page": {**_OPTIONS, "complexity": "full"},
    "landmarks": {**_OPTIONS, "landmarks_port": 8778},
    "camera": {**_OPTIONS, "camera": 0},
    "phone": {**_OPTIONS, "phone": ""},
    "video": {**_OPTIONS, "labels": "none", "countdown": 0.0, "video": ""},
}
CLIPS: Mapping[str, Any] = {"clips": "clips", "person": "me"}  # of the source bootstrap: a folder
