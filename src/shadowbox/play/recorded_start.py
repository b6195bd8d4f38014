"""Start of a match from a row of a recorded one: `STORE#12:300`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from shadowbox.core.game import Game
from shadowbox.core.schema import Columns
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.play.specs import runs_code


@dataclass(frozen=True)
class _RecordedStart:
    """A stored match up to the row to begin from, its seed and its world."""

    past: Columns  # [row + 1, slots]
    seed: int
    world: str  # a spec; empty where the recording does not name one


def recorded_start(where: str, game: Game, world: str = "") -> _RecordedStart:
    """The start that `STORE#EPISODE:ROW` names, in `world` or in the recorded one."""
    parts = re.fullmatch(r"(.+)#(\d+):(\d+)", where)
    if parts is None:
        raise UsageError(f"'{where}': expected STORE#EPISODE:ROW, such as data/brawl#12:300")
    store, number, row = Store(Path(parts[1]), game.schema), int(parts[2]), int(parts[3])
    episode = store.episode(number)
    if row >= episode.frames:
        raise UsageError(
            f"'{where}': episode {number} has {episode.frames} decisions, "
            f"in the rows 0 to {episode.frames - 1}"
        )
    needed = [key for key in episode.absent if key in game.schema.state_keys]
    if needed:
        raise UsageError(
            f"'{where}': {needed[0]} is absent from this recording, so it cannot be gone on from"
        )
    seed, recorded_in = episode.meta.get("seed"), str(episode.meta.get("world", ""))
    if runs_code(recorded_in) and not world:
        raise UsageError(
            f"'{where}' was played in '{recorded_in}', which is code: name it with --world to run "
            "it, or another world"
        )
    return _RecordedStart(
        {key: episode.columns[key][: row + 1] for key in game.schema.columns},
        seed if isinstance(seed, int) and seed >= 0 else 0,
        world or recorded_in,
    )
