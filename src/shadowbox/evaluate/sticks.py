"""Baselines of stick positions: rates of staying at, and moving between, the policy's points.

T: decisions, K: points, S: states of the own player. The counts use the points of the evaluated
policy's codebook, so that nats can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shadowbox.core.baselines import means_by_situation
from shadowbox.core.schema import Array

SMALLEST = 1e-6  # of a chance, where its logarithm is taken


class StickPositions(NamedTuple):
    """Positions of a stick in a seat as point numbers [T], now and in the frame before, of `size` points."""

    now: Array
    before: Array
    size: int


@dataclass(frozen=True)
class _StickMoves:
    """Counts of a stick, by state, smoothed by one frame at the overall rate."""

    at: Array  # [K] how often it is there
    stays: Array  # [1 + S] how often it stays where it is: overall, then in each state
    goes: Array  # [1 + S, K] where it goes if it does not stay

    def staying(self, standing: StickPositions, row: Array | int = 0) -> Array:
        """Nats of each position [T] given the last one; row 0 of the counts is over all states."""
        now, before, _ = standing
        elsewhere = self.goes[row, now] / np.maximum(1 - self.goes[row, before], SMALLEST)
        chance = np.where(now == before, self.stays[row], (1 - self.stays[row]) * elsewhere)
        return _nats(chance)

    def anywhere(self, standing: StickPositions) -> Array:
        """Nats of each position [T] without context."""
        return _nats(self.at[standing.now])


def count_moves(
    standings: Sequence[StickPositions], states: Sequence[Array], number: int
) -> _StickMoves:
    """Count a stick in seats, each with the own player's state [T], one of `number`."""
    size = standings[0].size
    at, stayed, gone = np.zeros(size), np.zeros((number, 2)), np.zeros((number, size))
    for (now, before, _), state in zip(standings, states, strict=True):
        moved = now != before
        at += np.bincount(now, minlength=size)
        np.add.at(stayed, (state, (~moved).astype(int)), 1)
        np.add.at(gone, (state[moved], now[moved]), 1)
    usual = _shares(stayed.sum(0))[1]
    usually = _shares(gone.sum(0))
    stays = means_by_situation(stayed[:, 1], stayed.sum(1), usual, 1.0)
    goes = means_by_situation(gone, gone.sum(1, keepdims=True), usually, 1.0)
    return _StickMoves(
        _shares(at), np.concatenate([[usual], stays]), np.concatenate([usually[None], goes])
    )


def _shares(counts: Array) -> Array:
    """Shares, smoothed by half a count each."""
    found: Array = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return found


def _nats(chance: Array) -> Array:
    found: Array = -np.log(np.clip(chance, SMALLEST, 1))
    return found
