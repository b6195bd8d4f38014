"""Command that compiles the simulator ahead of its first match.

Run it as `python -m shadowbox.games.brawl.compile`.
"""

from __future__ import annotations

from shadowbox.games.brawl.world import BrawlWorld

if __name__ == "__main__":
    BrawlWorld(1)
