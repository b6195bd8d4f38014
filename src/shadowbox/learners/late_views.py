"""Late views: each player of a training match sees the game by a delay of its own.

N matches, n players in some of them. The delay is drawn from a policy's `delays` at the start of
each match. It applies to the state and to the opponents' keys, never to the own keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from shadowbox.core.game import noise
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.view import from_seat
from shadowbox.learners.plain_state import from_plain, to_plain
from shadowbox.model.design import DELAY
from shadowbox.play.policy_agent import DRAW

DELAY_DRAW = DRAW - 1  # noise that chooses a delay, before the draws of a policy


class _LateViews:
    """The last frames of N matches in a ring, as long as the longest delay."""

    def __init__(
        self, schema: Schema, reads: Sequence[str], delays: Sequence[int], matches: int
    ) -> None:
        """`reads`: columns that are kept."""
        self.schema, self.delays = schema, np.array(delays, np.int64)
        self.own = schema.controls.slots // schema.players  # slots of a player's controls
        length = int(self.delays.max()) + 1
        self.ring: Columns = {}
        for key in reads:
            column = schema.columns[key]
            self.ring[key] = np.zeros((length, matches, column.slots), column.dtype)
        self.length = length
        self.clock = 0  # frames
        self.begun = np.zeros(matches, np.int64)  # clock at the first frame of each match

    def add(self, view: Columns) -> None:
        """Keep the next frame of every match; `view` [N, slots], seat 0 first."""
        self.clock += 1
        for key, ring in self.ring.items():
            ring[self.clock % self.length] = view[key]

    def begin(self, view: Columns, where: Array) -> None:
        """Forget the past of the matches `where` [N], which begin with this frame."""
        self.begun[where] = self.clock
        for key, ring in self.ring.items():
            ring[self.clock % self.length, where] = view[key][where]

    def drawn(self, seeds: Array, players: Array) -> Array:
        """Delays [n] of players in matches with these seeds, in frames."""
        uniform = noise(seeds, 0, players, DELAY_DRAW)
        return np.asarray(self.delays[(uniform * len(self.delays)).astype(np.int64)])

    def seen(self, matches: Array, players: Array, seeds: Array) -> Columns:
        """Views [n, slots] of players in matches, own slot first, with the column `delay` [n, 1].

        `seeds` [n] are those of the matches. Until a match is older than the delay, its first frame
        is seen.
        """
        delays = self.drawn(seeds, players)
        frame = np.maximum(self.clock - delays, self.begun[matches]) % self.length
        ours = {key: ring[frame, matches] for key, ring in self.ring.items()}
        theirs = from_seat(self.schema, ours, 1)
        second = (players == 1)[:, None]
        seen: Columns = {DELAY: delays[:, None].astype(np.float32)}
        for key, values in ours.items():
            seen[key] = values if theirs[key] is values else np.where(second, theirs[key], values)
        slots = players[:, None] * self.own + np.arange(self.own)
        for key in self.schema.control_keys:
            now = self.ring[key][self.clock % self.length]
            seen[key][:, : self.own] = now[matches[:, None], slots]
        return seen

    def state(self) -> dict[str, Any]:
        """State as plain data."""
        return {
            "clock": self.clock,
            "begun": torch.from_numpy(self.begun.copy()),
            "ring": to_plain(self.ring, "late views"),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.clock, self.begun = int(state["clock"]), state["begun"].numpy().copy()
        self.ring = from_plain(state["ring"])
