"""Scripted agents of Brawl: `based`, `expert` and the other opponents that need no training.

Their decisions are compiled (`brain.py`), and their noise depends on match, frame and seat alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shadowbox.core.game import Agent
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl.schema import KEYS
from shadowbox.games.brawl.tables import (
    FIGHTER,
    OUTSIDE,
    RANDOM,
    SCRIPT,
    SCRIPTS,
    STYLES,
    SWITCHER,
    SWITCHES,
    TAPPER,
)

PACING = "a*15,a+j*5,-*10,d*15,d+j*5,-*10"  # the default script of `clockwork`


class _Bot:
    """Bot that is a row of numbers to `brain.bot_keys`, and whose only state is seed and seat."""

    def __init__(self, *row: int) -> None:
        self.row = np.array(row, np.int64)

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Agent state for matches with `seeds` [N] in the seats `players` [N]."""
        seeds, players = np.asarray(seeds, np.int64), np.asarray(players, np.int64)
        if state is None or where is None:
            return {"seeds": seeds, "players": players}
        return {
            "seeds": np.where(where, seeds, state["seeds"]),
            "players": np.where(where, players, state["players"]),
        }

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide for one frame of each match."""
        from shadowbox.games.brawl.loop import decide

        bits = decide(view, self.row, state["seeds"], state["players"])
        return {f"keys/{key}": (bits & (1 << i) != 0)[:, None] for i, key in enumerate(KEYS)}, state


def rows_of(agents: Any) -> Array | None:
    """Rows [1, seats, numbers] of the bots in the seats; None if an agent is of another kind.

    A seat without an agent is played from outside.
    """
    rows = []
    for agent in agents:
        if agent is not None and type(agent) is not _Bot:
            return None
        rows.append(np.array([OUTSIDE]) if agent is None else agent.row)
    table = np.zeros((len(rows), max(2, *(len(row) for row in rows))), np.int64)
    for at, row in enumerate(rows):
        table[at, : len(row)] = row
    return table[None]


def _script(script: str) -> list[int]:
    """Parse a script such as d*20,d+j*5,-*10 into the keys of each frame as bits.

    Each part is keys joined by +, or - for no key, then * and a number of frames.
    """
    bits: list[int] = []
    for part in filter(None, script.split(",")):
        names, _, count = part.partition("*")
        if not count.isdigit() or not 1 <= int(count) <= 10_000:
            raise UsageError(
                f"clockwork: '{part}' needs a number of frames (1 to 10000), "
                "as in 'd*20,d+j*5,-*10'"
            )
        keys = 0
        for name in names.split("+") if names != "-" else ():
            if name not in KEYS:
                raise UsageError(
                    f"clockwork: unknown key '{name}' in '{part}': {did_you_mean(name, KEYS)}"
                )
            keys |= 1 << KEYS.index(name)
        bits += [keys] * int(count)
    if not bits:
        raise UsageError(
            f"clockwork: script '{script}' holds no keys; write it as in 'd*20,d+j*5,-*10'"
        )
    return bits


def _clockwork(script: str = "") -> Agent:
    """Bot that plays a script of keys over and over, whatever happens."""
    bits = _script(script or PACING)
    return _Bot(SCRIPT, len(bits), *bits)


def _switcher(argument: str = "") -> Agent:
    """Bot that changes its style every 300 frames; the argument names the styles, joined by +."""
    names = argument.split("+") if argument else SWITCHES
    for name in names:
        if name not in STYLES:
            raise UsageError(f"switcher: unknown style '{name}': {did_you_mean(name, STYLES)}")
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UsageError(f"switcher:{argument}: name two or more different styles, joined by +")
    return _Bot(SWITCHER, len(names), *(list(STYLES).index(name) for name in names))


def _plain(name: str, *row: int) -> Callable[[str], Agent]:
    """Factory of a bot that takes no argument."""

    def bot(argument: str = "") -> Agent:
        if argument:
            raise UsageError(f"bot '{name}' takes no argument: remove ':{argument}'")
        return _Bot(*row)

    return bot


BOTS: dict[str, Callable[..., Agent]] = {
    "constant": _plain("constant", SCRIPT, 1, 0),  # presses nothing
    "random": _plain("random", RANDOM),  # presses every key in half of all frames
    "clockwork": _clockwork,
    "tapper": _plain("tapper", TAPPER),
    **{name: _plain(name, FIGHTER, style) for style, name in enumerate(STYLES)},
    "switcher": _switcher,
    **{
        name: _plain(name, SCRIPT, len(bits), *bits)
        for name, bits in ((name, _script(script)) for name, script in SCRIPTS.items())
    },
}
