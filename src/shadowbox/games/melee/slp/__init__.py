"""Slippi replays (`.slp`) of versions 0.1 to 3.18: read, write, and build from arrays.

replay = slp.read("game.slp")
replay.post[0, False]["x"]                    # port 1's leader, f32[F]
replay.has("post", "hitlag")                  # False in old files, which lack the field
Path("copy.slp").write_bytes(slp.write(replay))
"""

from shadowbox.games.melee.slp.data import GameEnd, Slot, SlpProblem, SlpReplay
from shadowbox.games.melee.slp.layout import EVENTS, FIRST_FRAME, NEWEST, Version
from shadowbox.games.melee.slp.read import Rollbacks, read
from shadowbox.games.melee.slp.start import GameStart, SlpPlayer, new_start
from shadowbox.games.melee.slp.write import from_arrays, write

__all__ = [
    "EVENTS",
    "FIRST_FRAME",
    "NEWEST",
    "GameEnd",
    "GameStart",
    "Rollbacks",
    "Slot",
    "SlpPlayer",
    "SlpProblem",
    "SlpReplay",
    "Version",
    "from_arrays",
    "new_start",
    "read",
    "write",
]
