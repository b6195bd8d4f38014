"""Command that compiles brawl ahead of its first match.

Run it as `python -m shadowbox.games.brawl.compile`. Two functions are compiled and kept: `begin_all`
of `physics.py`, and `run` of `loop.py`, which holds the physics, the bots, the observations and the
reward terms.
"""

from __future__ import annotations

from shadowbox.games.brawl.world import BrawlWorld

if __name__ == "__main__":
    BrawlWorld(1)
