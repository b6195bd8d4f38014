"""Body of a Brawl fighter: the table of poses (`poses.yaml`), laid along the frames of the moves.

Start-up, active frames and recovery come from the move table, so a changed move is drawn as it is.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.schema import MOVES

LOW_BLOWS = ("down_light", "neutral_light")  # they double the body over


@cache
def fighter() -> dict[str, Any]:
    """Figure table of a fighter, in the grammar of `core/scenes/pose.py`."""
    text = (files("shadowbox.games.brawl.figures") / "poses.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text[text.index("{") :])  # below the comment
    for weapon, moves in table["moves"].items():
        for name, pose in moves.items():
            move = ARSENAL[weapon][name]
            begun = {strike.frames[0]: strike.frames for strike in reversed(move.strikes)}
            pose["windows"] = [list(begun[first]) for first in sorted(begun)]
            pose["frames"], pose["charge"] = move.frames, move.charge
    low = [MOVES.index(name) for name in LOW_BLOWS]
    table["since"] = {
        "hit": {"on": "hit", "who": "other", "low": low},
        "land": {"on": "land", "who": "player"},
        "pickup": {"on": "pickup", "who": "player"},
    }
    return table
