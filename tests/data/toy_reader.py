"""A game whose recordings are lines of text: `12 frames of seed 3` is an episode.

Other words provoke errors.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from conftest import TOY, random_episode

from shadowbox.core.game import Game
from shadowbox.errors import RecordingError


def read(source, name, **options):
    """Episodes of a recording, one for each line."""
    text = (source.read_bytes() if isinstance(source, Path) else source).decode()
    lines = text.splitlines()
    for part, line in enumerate(lines):
        words = line.split()
        if line == "crash":
            raise ZeroDivisionError("a mistake of the reader")
        if line == "die":
            os._exit(9)
        if len(words) != 5:
            raise RecordingError(f"{name}: line {part} is not a match")
        frames, seed = int(words[0]), int(words[4])
        if frames < options.get("min_frames", 1):
            raise RecordingError(f"{frames} frames")
        episode = random_episode(TOY, frames, seed=seed, items_left_out=1)
        if "bad" in name:
            episode.columns["player/x"][3, 1] = 1000
        yield (
            episode
            if len(lines) == 1
            else dataclasses.replace(episode, meta={**episode.meta, "part": part})
        )


GAME = Game(
    name="toy",
    title="lines of text",
    schema=TOY,
    event_kinds=("hit",),
    reader="toy_reader:read",
    reader_endings=(".txt",),
    reader_options={"min_frames": 1},
)
