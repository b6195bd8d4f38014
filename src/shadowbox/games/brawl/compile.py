"""`python -m shadowbox.games.brawl.compile`: compile the simulator ahead of its first match."""

from __future__ import annotations

from shadowbox.games.brawl.world import BrawlWorld

if __name__ == "__main__":
    BrawlWorld(1)
