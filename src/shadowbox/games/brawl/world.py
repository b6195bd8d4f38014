"""Simulator of Brawl as a World: N matches at once, with checked controls, snapshots and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import EVENT, Agent, _TermBlock
from shadowbox.core.schema import Array, Columns
from shadowbox.errors import UsageError
from shadowbox.games.brawl.arsenal import ARSENAL
from shadowbox.games.brawl.bots import rows_of
from shadowbox.games.brawl.jit import compiling, direct, fingerprint
from shadowbox.games.brawl.loop import (
    DECIDE,
    DEFAULT,
    JUDGE,
    MOST_EVENTS,
    NO_WEIGHTS,
    OBSERVE,
    PLAIN_PYTHON,
    RAW,
    RECORD,
    STEP,
    _Records,
    as_records,
    run,
)
from shadowbox.games.brawl.moves import Arsenal, compile_table
from shadowbox.games.brawl.observe import OBSERVATIONS
from shadowbox.games.brawl.physics import begin_all
from shadowbox.games.brawl.rewards import BrawlReward
from shadowbox.games.brawl.rules import MATCH, MAX_EVENTS, NO_PLAYER, TIME_LIMIT, member
from shadowbox.games.brawl.rules import stage as geometry
from shadowbox.games.brawl.schema import KEYS, MAX_FRAMES, SCHEMA, STAGES, STOCKS
from shadowbox.games.brawl.tables import OUTSIDE
from shadowbox.games.brawl.warehouse.options import moves_of, world_name
from shadowbox.games.brawl.warehouse.variation import draw_rules, read_ranges

BOOL = np.dtype(bool)


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
        rules: str = "usual",
        randomize: str = "",
        arsenal: Arsenal | str = ARSENAL,
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
        self.stage = geometry(stage, rules)
        self._ranges = read_ranges(randomize) if randomize else None
        if self._ranges is not None:
            self.stage = np.repeat(self.stage, matches)
        self.weapons, self.time_limit = weapons, time_limit
        self._options: dict[str, Any] = {
            "stage": stage,
            "weapons": weapons,
            "time_limit": time_limit,
            "stocks": stocks,
            "rules": rules,
            "randomize": randomize,
            "arsenal": arsenal,
        }
        self.name = world_name(self._options)
        self._template = np.zeros(1, MATCH)
        self._template["match_left"] = time_limit
        self._template["match_stage"] = STAGES.index(stage)
        self._template["match_winner"] = NO_PLAYER
        self._template["stocks"] = stocks
        self.records = _Records(
            matches, compile_table(moves_of(arsenal)), self.stage, events=matches * MAX_EVENTS
        )
        self._done = self.records.done
        self._pressed = self.records.keys.view(bool).reshape(-1, 2)  # key after key, [10 N, 2]
        self._step = self.records.arguments(STEP)  # its arrays stay the same
        self._columns: Columns = {
            key: self.records.plain[member(key)].view(column.dtype)
            for key, column in SCHEMA.columns.items()
        }
        for column in self._columns.values():
            column.flags.writeable = False
        if PLAIN_PYTHON or direct(run, self._step):
            self.reset(np.arange(matches))
        else:
            self._compile()
        if not PLAIN_PYTHON:
            self.records.run = direct(run, self._step) or run

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
        records = self.records
        records.plain[mask] = begun
        self._draw_rules(mask)
        begin_all(records.rows, mask, records.stage, self.weapons, self._done, fingerprint())
        return self._columns

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Advance by one frame: ten flags [N, 2] -> columns [N, slots], events [E], done [N].

        Matches that are over do not change.
        """
        np.concatenate(self._keys(controls), out=self._pressed)
        count = self.records.run(*self._step)
        return self._columns, self.records.events[:count], self._done

    def compiled(
        self, agents: Sequence[Agent | None], reward: Any = None, observation: Any = None
    ) -> _CompiledMatches | None:
        """The matches in the compiled loop, if all agents are bots of this game."""
        bots = rows_of(agents)
        if bots is None or type(self) is not BrawlWorld:
            return None
        known = observation if observation in OBSERVATIONS.values() else None
        return _CompiledMatches(self, bots, reward, known)

    def alone(self) -> BrawlWorld:
        """A world of one match with the same options."""
        return BrawlWorld(1, **self._options)

    def snapshot(self, where: Array | None = None) -> Array:
        """Copy the records of the chosen matches [n], which hold their whole state."""
        return np.array(self.records.plain[self._mask(where)])

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
        self.records.plain[mask] = snapshot
        self._draw_rules(mask)
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
            _Records(1, self.records.table, self.records.stage)(0)

    def _draw_rules(self, mask: Array) -> None:
        """Draw the rules of the matches in a mask from their seeds, where the world varies them."""
        if self._ranges is not None:
            records = self.records.plain[mask]
            low, high = (records[f"match_seed_{half}"][:, 0] for half in ("low", "high"))
            seeds = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
            draw_rules(self.stage, self._ranges, seeds, mask)

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
            keys.append(values)
        return tuple(keys)


_BITS = 1 << np.arange(len(KEYS))[:, None]  # of each key


class _CompiledMatches:
    """The matches of a world in the compiled loop, see `core.game.CompiledMatches`."""

    def __init__(self, world: Any, bots: Array, reward: Any, observation: Any) -> None:
        self.world, self.bots = world, bots
        self.seats = np.flatnonzero(bots[0, :, 0] == OUTSIDE)  # those that are played from outside
        self.observation = observation if len(self.seats) else None
        self.records: _Records = world.records
        self.mode = DECIDE | STEP
        if self.observation is not None:
            self.mode |= RAW if observation.raw else DEFAULT
        matches = world.matches
        self._places = {seat: at for at, seat in enumerate(self.seats.tolist())}
        self._keys_shape = (matches, len(KEYS))
        self._seen_shape = (len(self._places), matches, observation.size if observation else 0)
        self._solo: Any = None
        self.pay(reward)

    def pay(self, reward: Any) -> None:
        """Compute another reward from the next turn on, if it is one of this game."""
        self.reward = reward if type(reward) is BrawlReward else None
        self.mode = self.mode & ~JUDGE | (JUDGE if self.reward is not None else 0)
        self._terms = () if self.reward is None else tuple(self.reward.weights)
        self._judged_shape = (1 + len(self._terms), self.world.matches, 2)
        self._learning_step, self._weights = -1, NO_WEIGHTS

    def seat(self, agent: Agent | None, matches: Array, seats: Array) -> bool:
        """Let a bot of this game play the seats [n] of these matches [n], and no bot the others."""
        row = rows_of([agent])
        if row is None:
            return False
        rows, size = self.world.matches, max(row.shape[-1], self.bots.shape[-1])
        if self.bots.shape != (rows, 2, size):
            wider = np.zeros((rows, 2, size), np.int64)
            wider[..., : self.bots.shape[-1]] = self.bots
            self.bots = wider
        self.bots[matches] = 0
        self.bots[matches, 1 - seats, 0] = OUTSIDE
        self.bots[matches, seats, : row.shape[-1]] = row[0, 0]
        return True

    def begin(self, seeds: Array, where: Array) -> None:
        """Give the matches `where` [N], which have just begun, the seeds of their bots."""
        self.records.plain_side["seed"][where] = seeds[where].astype(np.uint64)
        self.records.plain_side["keys"][where] = 0

    @property
    def pressed(self) -> Columns:
        """The controls of the last turn."""
        bits = self.records.plain_side["keys"].reshape(-1)  # a copy without gaps
        flags = (bits & _BITS != 0).reshape(len(KEYS), self.world.matches, 2)
        return dict(zip(SCHEMA.control_keys, flags, strict=True))

    @pressed.setter
    def pressed(self, controls: Columns) -> None:
        bits = self.records.plain_side["keys"]
        bits[:] = 0
        for bit, key in enumerate(SCHEMA.control_keys):
            bits |= controls[key].astype(np.int64) << bit

    def turn(
        self, outside: Mapping[int, Array], learning_step: int = 0
    ) -> tuple[Array, Array | None]:
        """Take a turn in every match: its events, and `done` [N] if a match ended."""
        records = self.records
        records.bots = self.bots
        for seat, pressed in outside.items():
            if pressed.shape != self._keys_shape or pressed.dtype != BOOL:
                pressed = self._checked(pressed)
            records.keys[:, :, seat] = pressed.T
        # fresh arrays, which callers may keep
        if self.reward is not None:
            if learning_step != self._learning_step:
                self._learning_step, self._weights = learning_step, self.reward.table(learning_step)
            records.weights, records.judged = self._weights, np.empty(self._judged_shape)
        if self.observation is not None:
            records.seats, records.seen = self.seats, np.empty(self._seen_shape, np.float32)
        found = records(self.mode)
        return records.events[: found & MOST_EVENTS], records.done if found >> 32 else None

    @property
    def rewards(self) -> tuple[Array, Mapping[str, Array]]:
        """Rewards [N, players] of the last turn, and the terms that they are sums of."""
        judged = self.records.judged
        return judged[0], _TermBlock(self._terms, judged)

    def observe(self) -> None:
        """Observe again, because matches have begun since the last turn."""
        records = self.records
        records.seats, records.seen = self.seats, np.empty(self._seen_shape, np.float32)
        records(self.mode & OBSERVE)

    def seen(self, seat: int) -> Array:
        """Observation [N, size] of a seat without an agent, of the last turn or of `observe`."""
        found: Array = self.records.seen[self._places[seat]]
        return found

    def _checked(self, pressed: Array) -> Array:
        """Keys [N, 10] of any type, each 0 or 1."""
        if pressed.shape != self._keys_shape:
            raise UsageError(
                f"brawl: keys must have shape {self._keys_shape} (got {pressed.shape})"
            )
        if not ((pressed == 0) | (pressed == 1)).all():
            raise UsageError("brawl: keys must be 0 or 1")
        return pressed

    def play(self, seeds: Array) -> Iterator[tuple[Array, Array]]:
        """Play a match for each seed to its end: packed rows [T + 1], events."""
        if self._solo is None:
            self._solo = self.world.alone()
        solo, longest = self._solo, int(self.world.time_limit) + 1
        records: _Records = solo.records
        records.bots = self.bots
        records.events = np.empty(MAX_EVENTS * longest, EVENT)
        records.log = as_records(records.events)
        records.history = np.empty((longest, SCHEMA.row_dtype.itemsize), np.uint8)
        for seed in np.asarray(seeds, np.int64):
            solo.reset(np.array([seed]))
            records.plain_side["seed"], records.plain_side["keys"] = seed.astype(np.uint64), 0
            count = records(DECIDE | STEP | RECORD) & MOST_EVENTS
            rows = int(records.plain["match_frame"][0, 0]) + 1
            yield (
                SCHEMA.as_rows(records.history[:rows].copy()),
                records.events[:count].copy(),
            )


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
