"""Scripted agents of Brawl: `based`, `expert` and the other opponents that need no training.

All are vectorized, and their noise depends on match, frame and seat alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from shadowbox.core.game import Agent, noise
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl import brain
from shadowbox.games.brawl.schema import KEYS
from shadowbox.games.brawl.styles import STYLES, SWITCH_FRAMES, SWITCHES, Style

PACING = "a*15,a+j*5,-*10,d*15,d+j*5,-*10"  # the default script of `clockwork`
SWITCH_DRAW, RANDOM_DRAW, TAPPER_DRAW = 40, 50, 60  # far from the draws of `brain.py`


class _Seeded:
    """Base of all bots, whose only state is the seed of the match and the seat."""

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


class _Constant(_Seeded):
    """Bot that presses nothing."""

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide for one frame of each match."""
        return brain.as_controls(np.zeros(len(view["match/frame"]), np.int64)), state


class _Random(_Seeded):
    """Bot that presses every key in half of all frames."""

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide for one frame of each match."""
        draw = noise(
            state["seeds"],
            view["match/frame"][:, 0].astype(np.int64),
            state["players"],
            RANDOM_DRAW,
        )
        return brain.as_controls((draw * (1 << len(KEYS))).astype(np.int64)), state


class _Clockwork(_Seeded):
    """Bot that plays a script of keys over and over, whatever happens."""

    def __init__(self, script: str = "") -> None:
        self.bits = _script(script or PACING)  # [frames]

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide for one frame of each match."""
        frame = view["match/frame"][:, 0].astype(np.int64)
        return brain.as_controls(self.bits[frame % len(self.bits)]), state


class _Tapper(_Seeded):
    """Bot that walks, jumps and taps `j` at random, `j` more often near its opponent.

    The time of its next press cannot be predicted, only the rate of its presses: a policy that
    samples can match that rate, and a policy that rounds its probabilities cannot.
    """

    # chances to begin and to end a press
    TAPS = (("a", 0.05, 0.06), ("d", 0.05, 0.06), ("space", 0.03, 0.6), ("j", 0.03, 0.35))
    NEAR, BEGINS_NEAR = 3.0, 0.15  # u, and the chance to begin a press of `j` within it

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide for one frame of each match."""
        frame = view["match/frame"][:, 0].astype(np.int64)
        near = np.abs(view["player/x"][:, 0] - view["player/x"][:, 1]) < self.NEAR
        keys = np.zeros(len(frame), np.int64)
        for at, (key, usual, ends) in enumerate(self.TAPS):
            begins = np.where(near & (key == "j"), self.BEGINS_NEAR, usual)
            chance = np.where(view[f"keys/{key}"][:, 0], 1 - ends, begins)
            down = noise(state["seeds"], frame, state["players"], TAPPER_DRAW + at) < chance
            keys |= down.astype(np.int64) << KEYS.index(key)
        return brain.as_controls(keys), state


class _Fighter(_Seeded):
    """Bot that fights in one style, or in several by turns."""

    def __init__(self, styles: list[Style], frames: int = 0) -> None:
        self.table = brain.style_arrays(styles)
        self.styles, self.frames = len(styles), frames

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Decide for one frame of each match."""
        seeds, players = state["seeds"], state["players"]
        style = np.zeros(len(seeds), np.int64)
        if self.frames:
            # the first change comes at a random frame
            shift = noise(seeds, 0, players, SWITCH_DRAW) * self.frames
            turn = (view["match/frame"][:, 0] + shift).astype(np.int64) // self.frames
            style = self._style_at(seeds, players, turn)
        keys = brain.decide(
            view, {name: column[style] for name, column in self.table.items()}, seeds, players
        )
        return brain.as_controls(keys), state

    def _style_at(self, seeds: Array, players: Array, turn: Array) -> Array:
        """Style of each turn [N]; successive turns differ by 1 to styles - 1, hence never agree."""
        first = (noise(seeds, 0, players, SWITCH_DRAW + 1) * self.styles).astype(np.int64)
        step = 1 + (noise(seeds, 0, players, SWITCH_DRAW + 2) * (self.styles - 1)).astype(np.int64)
        return (first + step * turn) % self.styles


def _script(script: str) -> Array:
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
    return np.array(bits, np.int64)


def _plain(name: str, build: Callable[[], Agent]) -> Callable[[str], Agent]:
    """Factory of a bot that takes no argument."""

    def bot(argument: str = "") -> Agent:
        if argument:
            raise UsageError(f"bot '{name}' takes no argument: remove ':{argument}'")
        return build()

    return bot


BOTS: dict[str, Callable[..., Agent]] = {
    "constant": _plain("constant", _Constant),
    "random": _plain("random", _Random),
    "clockwork": _Clockwork,
    "tapper": _plain("tapper", _Tapper),
    **{name: _plain(name, partial(_Fighter, [style])) for name, style in STYLES.items()},
    "switcher": _plain(
        "switcher", partial(_Fighter, [STYLES[name] for name in SWITCHES], SWITCH_FRAMES)
    ),
}
