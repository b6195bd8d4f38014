"""Paint the animation of the front page: `make gif`, or `python docs/match_gif.py FILE`.

The match is played here, by the bots of brawl. The same machine paints the same file; on another
one a match may take another course, since floats differ between processors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from shadowbox.core.scenes.motion import Film
from shadowbox.games import load
from shadowbox.page.paint import paint_frame, save_gif
from shadowbox.play import specs
from shadowbox.play.match import play

PLAYERS = ("expert", "aggressive")
SEED = 27  # spear against hammer, across both islands and the platform between them
KNOCKOUT = 3  # the knock-out to show, counted from 0
BEFORE, AFTER = 180, 24  # frames around it; brawl has 30 a second
WIDTH = 640  # pixels


def paint(path: Path, *, before: int = BEFORE, after: int = AFTER, width: int = WIDTH) -> int:
    """Write the GIF, at the pace of the game; the number of its frames."""
    game = load("brawl")
    assert game.scene is not None
    world = specs.world("brawl", game, 1)
    agents = [specs.agent(spec, game) for spec in PLAYERS]
    (played,) = play(game, world, agents, PLAYERS, np.array([SEED], np.int64))
    columns, events = played.episode.columns, played.episode.events
    film = Film(game.scene(), columns, events)
    knockouts = events["frame"][events["kind"] == game.event_kinds.index("knockout")]
    middle = int(knockouts[min(KNOCKOUT, len(knockouts) - 1)])
    frames = range(max(middle - before, 0), min(middle + after, film.length))
    pictures = [
        paint_frame(film, frame, width=width, theme="dark", names=PLAYERS, world="brawl")
        for frame in frames
    ]
    save_gif(pictures, path, game.schema.fps)
    return len(frames)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    count = paint(target)
    print(f"{target}: {count} frames, {target.stat().st_size / 1e6:.2f} MB")
