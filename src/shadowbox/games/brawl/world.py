"""Simulator of Brawl as a World: N matches at once, with checked controls, snapshots and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError
from shadowbox.games.brawl import physics
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.jit import compiling, fingerprint
from shadowbox.games.brawl.moves import Arsenal, compile_table
from shadowbox.games.brawl.rules import MATCH, MAX_EVENTS, NO_PLAYER, TIME_LIMIT, member, stage
from shadowbox.games.brawl.schema import MAX_FRAMES, SCHEMA, STAGES, STOCKS

BOOL = np.dtype(bool)
# NUMBA_DISABLE_JIT=1 leaves functions as they are
PLAIN_PYTHON = not hasattr(physics.step_all, "signatures")


class BrawlWorld:
    """Simulator of N matches of Brawl.

    Returned columns are views of the records: without a copy, and valid until the next step.
    """

    schema = SCHEMA

    def __init__(
        self,
        matches: int,
        *,
        stage: str = "warehouse",
        weapons: bool = True,
        time_limit: int = TIME_LIMIT,
        stocks: int = STOCKS,
        arsenal: Arsenal = ARSENAL,
    ) -> None:
        if matches < 1:
            raise UsageError(f"brawl: matches must be at least 1 (got {matches})")
        if not isinstance(time_limit, int) or not 1 <= time_limit <= MAX_FRAMES:
            raise UsageError(
                f"brawl: time_limit must be 1 to {MAX_FRAMES} frames (got {time_limit})"
            )
        if not isinstance(stocks, int) or not 1 <= stocks <= STOCKS:
            raise UsageError(f"brawl: stocks must be 1 to {STOCKS} (got {stocks})")
        self.matches = matches
        self.name = _name(stage, weapons, time_limit, stocks)
        self.stage = _stage(stage)
        self.weapons = weapons
        self.table = _records(compile_table(arsenal))
        self._template = np.zeros(1, MATCH)
        self._template["match_left"] = time_limit
        self._template["match_stage"] = STAGES.index(stage)
        self._template["match_winner"] = NO_PLAYER
        self._template["stocks"] = stocks
        self._rows = _records(np.zeros(matches, MATCH))
        self._log = _records(np.zeros(matches * MAX_EVENTS, EVENT))
        self._done = np.zeros(matches, bool)
        rows = self._rows.view(np.ndarray)
        self._columns: Columns = {
            key: rows[member(key)].view(column.dtype) for key, column in SCHEMA.columns.items()
        }
        for column in self._columns.values():
            column.flags.writeable = False
        self._events = self._log.view(np.ndarray)
        if PLAIN_PYTHON or cast(Any, physics.step_all).signatures:
            self.reset(np.arange(matches))
        else:
            self._compile()

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Start the matches in the mask `where` [N] (default: all) from `seeds` [N].

        Returns the columns of all N matches.
        """
        mask = self._mask(where)
        seeds = np.asarray(seeds)
        if seeds.shape != (self.matches,) or seeds.dtype.kind not in "iu":
            raise UsageError(
                f"brawl: seeds must be integers of shape ({self.matches},) "
                f"(got {seeds.dtype} {seeds.shape})"
            )
        words = seeds[mask].astype(np.int64).view(np.uint64)
        begun = np.repeat(self._template, len(words))
        begun["match_seed_low"][:, 0] = words & np.uint64(0xFFFFFFFF)
        begun["match_seed_high"][:, 0] = words >> np.uint64(32)
        self._rows[mask] = begun
        physics.begin_all(self._rows, mask, self.stage, self.weapons, self._done, fingerprint())
        return self._columns

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Advance by one frame: ten flags [N, 2] -> columns [N, slots], events [E], done [N].

        Matches that are over do not change.
        """
        keys = self._keys(controls)
        count = physics.step_all(
            self._rows, keys, self.table, self.stage, self._log, self._done, fingerprint()
        )
        return self._columns, self._events[:count], self._done

    def snapshot(self, where: Array | None = None) -> Array:
        """Copy the records of the chosen matches [n], which hold their whole state."""
        return np.array(self._rows.view(np.ndarray)[self._mask(where)])

    def restore(self, snapshot: Array, where: Array | None = None) -> Columns:
        """Put a snapshot into equally many matches; return the columns of all N matches."""
        mask = self._mask(where)
        if getattr(snapshot, "dtype", None) != MATCH or snapshot.shape != (int(mask.sum()),):
            raise UsageError(
                f"brawl: the snapshot does not fit into {int(mask.sum())} matches; restore it with "
                "the mask with which it was taken"
            )
        if (snapshot["match_stage"] != self._template["match_stage"]).any():
            raise UsageError(f"brawl: the snapshot was taken on another stage than '{self.name}'")
        self._rows[mask] = snapshot
        self._done[mask] = snapshot["match_over"][:, 0]
        return self._columns

    def load(self, columns: Mapping[str, Array], where: Array | None = None) -> Columns:
        """Put rows [n, slots], such as an episode's, into the n matches of the mask `where` [N].

        A row holds everything that a match needs to go on bit for bit: position, timers, clock and
        the seed of all randomness. The stage must be this world's, and so must the arsenal, which
        no column names. Controls may be missing: the step overwrites them.
        """
        rows = np.zeros(int(self._mask(where).sum()), MATCH)
        for key in SCHEMA.columns:
            if key in columns:
                rows[member(key)] = _loadable(key, columns[key], len(rows))
            elif key in SCHEMA.state_keys:
                raise UsageError(f"brawl: the loaded rows lack '{key}'")
        return self.restore(rows, where)

    def _compile(self) -> None:
        """Compile both functions, or load them from the cache, by a reset and an empty step."""
        with compiling():
            self.reset(np.arange(self.matches))
            neutral = dict.fromkeys(SCHEMA.control_keys, np.zeros((self.matches, 2), bool))
            physics.step_all(
                self._rows[:0],
                self._keys(neutral),
                self.table,
                self.stage,
                self._log,
                self._done,
                fingerprint(),
            )

    def _mask(self, where: Array | None) -> Array:
        if where is None:
            return np.ones(self.matches, bool)
        mask = np.asarray(where)
        if mask.dtype != BOOL or mask.shape != (self.matches,):
            raise UsageError(
                f"brawl: where must be a bool mask of shape ({self.matches},) "
                f"(got {mask.dtype} {mask.shape})"
            )
        return mask

    def _keys(self, controls: Columns) -> tuple[Array, ...]:
        """Check the ten key columns: flags, or other numbers that are 0 or 1."""
        shape = (self.matches, 2)
        keys = []
        for name in SCHEMA.control_keys:
            try:
                values = controls[name]
            except KeyError:
                raise UsageError(f"brawl: the controls lack '{name}'") from None
            if values.shape != shape:
                raise UsageError(f"brawl: '{name}' must have shape {shape} (got {values.shape})")
            if values.dtype is not BOOL and values.dtype != BOOL:
                values = _as_flags(name, values)
            # for arrays of another layout, or read-only ones, Numba would compile anew
            keys.append(values if values.flags.carray else np.array(values, order="C"))
        return tuple(keys)


def _loadable(key: str, values: Array, matches: int) -> Array:
    """Check a loaded column against the schema, because compiled code does not check indices."""
    column = SCHEMA.columns[key]
    low, high = (0, 1) if column.dtype == bool else column.field.limits
    if values.shape != (matches, column.slots):
        raise UsageError(
            f"brawl: '{key}' must have shape {(matches, column.slots)} (got {values.shape})"
        )
    wrong = ~((values >= low) & (values <= high))  # also true of NaN
    if wrong.any():
        raise UsageError(f"brawl: '{key}' must be {low:g} to {high:g} (got {values[wrong][0]})")
    return values


def _as_flags(name: str, values: Array) -> Array:
    wrong = ~((values == 0) | (values == 1))
    if wrong.any():
        match, player = np.argwhere(wrong)[0]
        raise UsageError(
            f"brawl: '{name}' of match {match}, player {player} must be 0 or 1 "
            f"(got {values[match, player]})"
        )
    return np.asarray(values != 0)


def _records(array: Array) -> Any:
    """View an array of records so that their members are attributes.

    Numba reads the members of plain arrays as attributes; plain Python needs a recarray.
    """
    return array.view(np.recarray) if PLAIN_PYTHON else array


def _name(stage: str, weapons: bool, time_limit: int, stocks: int) -> str:
    """Spec of a world: the options that differ from the defaults."""
    options = (
        (f"stage={stage}", stage != "warehouse"),
        ("weapons=off", not weapons),
        (f"time_limit={time_limit}", time_limit != TIME_LIMIT),
        (f"stocks={stocks}", stocks != STOCKS),
    )
    return "@".join(["brawl", *(text for text, differs in options if differs)])


def _stage(name: str) -> Any:
    return _records(stage(name))
