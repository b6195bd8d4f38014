"""The compiled loop over matches: bots decide, the world steps, learners get their numbers.

`run` is the only function through which Python reaches decisions, steps, rewards and observations.
Its `mode` says which of them a call wants, so that each is compiled once, and once only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shadowbox.core.game import EVENT
from shadowbox.core.schema import BITS, Array, Columns
from shadowbox.errors import UsageError
from shadowbox.games.brawl.brain import TABLE, bot_keys
from shadowbox.games.brawl.jit import entry, fingerprint, inner
from shadowbox.games.brawl.physics import step_match
from shadowbox.games.brawl.rules import MATCH, member
from shadowbox.games.brawl.rules import stage as geometry
from shadowbox.games.brawl.schema import EVENTS, KEYS, SCHEMA
from shadowbox.games.brawl.signals import (
    SUMS,
    add_event,
    judge,
    observe_default,
    observe_raw,
)  # fmt: skip
from shadowbox.games.brawl.tables import OUTSIDE, TAPPER

# ---- what a call computes ------------------------------------------------------------------------

# RECORD plays each match to its end and packs its rows
DECIDE, STEP, JUDGE, EVENTS_GIVEN, RECORD, RAW, DEFAULT = (1 << bit for bit in range(7))
OBSERVE = RAW | DEFAULT

# What a match needs beside its record: the seed of its bots, the players whose noise each seat
# uses, the keys held, and the frame before, for rewards.
SIDE = np.dtype(
    [
        ("seed", "u8"),
        ("players", "i8", (2,)),
        ("keys", "i8", (2,)),
        ("x", "f4", (2,)),
        ("y", "f4", (2,)),
        ("match_frame", "f4", (1,)),
        ("state", "u1", (2,)),
    ],
    align=True,
)


def _places() -> tuple[Array, Array, int]:
    """From record to packed row: (from, to, bytes) of runs, and the bytes that become bits."""
    runs: list[list[int]] = []
    flags: list[int] = []
    members: Any = MATCH.fields
    packed: Any = SCHEMA.row_dtype.fields
    for block in SCHEMA.blocks:
        for column in block.columns:
            start = members[member(column.key)][1]
            if block.store == "bit":
                flags += range(start, start + column.slots)
                continue
            size, to = members[member(column.key)][0].itemsize, packed[column.key][1]
            if runs and runs[-1][0] + runs[-1][2] == start and runs[-1][1] + runs[-1][2] == to:
                runs[-1][2] += size
            else:
                runs.append([start, to, size])
    return np.array(runs), np.array(flags), packed[BITS][1]


RUNS, FLAGS, BITS_AT = _places()
_FIELDS: Any = MATCH.fields
KEYS_AT = int(_FIELDS[member(SCHEMA.control_keys[0])][1])  # two bytes a key, one a player


@inner
def pack_row(record: Any, out: Any) -> None:
    """Bytes of a record -> bytes of a stored row."""
    for r in range(RUNS.shape[0]):
        start, to = RUNS[r, 0], RUNS[r, 1]
        for b in range(RUNS[r, 2]):
            out[to + b] = record[start + b]
    for at in range(BITS_AT, out.shape[0]):
        out[at] = 0
    for f in range(FLAGS.shape[0]):
        out[BITS_AT + (f >> 3)] |= record[FLAGS[f]] << (f & 7)


@inner
def show_keys(record: Any, p: int, keys: int) -> None:
    """Put a player's keys into the columns `keys/*` of a record's bytes."""
    for bit in range(len(KEYS)):
        record[KEYS_AT + 2 * bit + p] = (keys >> bit) & 1


@inner
def pressed_keys(keys: Any, i: int, p: int) -> int:
    """Pack the flags of player `p` in match `i` into bits."""
    bits = 0
    for bit in range(len(KEYS)):
        bits |= int(keys[bit, i, p]) << bit
    return bits


@inner
def press(m: Any, p: int, i: int, s: Any, keys: Any, bots: Any) -> int:
    """Keys of seat `p` in match `i`, of its bot or from outside."""
    if bots[p, 0] != OUTSIDE:
        return int(bot_keys(m, p, bots[p], s.seed, int(s.players[p]), int(s.keys[p])))
    return pressed_keys(keys, i, p)


@inner
def remember(s: Any, m: Any) -> None:
    """Keep what rewards need of the frame before a step."""
    for p in range(2):
        s.x[p], s.y[p], s.state[p] = m.x[p], m.y[p], m.state[p]
    s.match_frame[0] = m.match_frame[0]


@inner
def take_turns(
    i: int, m: Any, s: Any, record: Any, keys: Any, bots: Any, table: Any, stage: Any, log: Any,
    count: Any, history: Any, mode: int,
) -> int:  # fmt: skip
    """Take a turn of match `i`; with RECORD, take all that are left and pack their rows.

    Returns the number of events before the last turn.
    """
    row = 0
    while True:
        complete = mode & RECORD and m.match_over[0]
        if mode & DECIDE:
            for p in range(2):
                s.keys[p] = 0 if complete else press(m, p, i, s, keys, bots)
        if mode & RECORD:
            for p in range(2):
                show_keys(record, p, int(s.keys[p]))
            pack_row(record, history[row])
            row += 1
        before = int(count[0])
        if complete:
            return before
        if mode & JUDGE and mode & STEP:
            remember(s, m)
        if mode & STEP and not m.match_over[0]:
            step_match(m, i, int(s.keys[0]), int(s.keys[1]), table, stage, log, count)
        if mode & RECORD == 0:
            return before


@inner
def step_all(rows: Any, keys: Any, table: Any, stage: Any, log: Any, done: Any, count: Any) -> None:
    """Advance every match that is not over by one frame, with keys from outside alone."""
    own = 1 if stage.shape[0] > 1 else 0  # a record of rules for each match
    for i in range(rows.shape[0]):
        m = rows[i]
        if not m.match_over[0]:
            first, second = pressed_keys(keys, i, 0), pressed_keys(keys, i, 1)
            step_match(m, i, first, second, table, stage[own * i], log, count)
            done[i] = m.match_over[0]


@entry
def run(
    rows: Any,  # [N] MATCH
    raw: Any,  # the same memory, [N, bytes] u1
    side: Any,  # [N] SIDE
    keys: Any,  # [10, N, 2] u1 of 0 and 1, of seats that are played from outside
    bots: Any,  # [1 or N, 2, numbers] i8 of all matches or of each, see brain.py
    weights: Any,  # [terms, 2] f8: reward terms by number, and their weights
    table: Any,
    stage: Any,  # [1 or N] STAGE of all matches or of each
    log: Any,  # [events] EVENT
    done: Any,  # [N] bool
    judged: Any,  # [1 + terms, N, 2] f8
    seen: Any,  # [seats, N, numbers] f4
    seats: Any,  # [seats] i8: who observes
    history: Any,  # [rows, bytes] u1
    mode: int,
    given: int,  # events in `log`, in the order of the matches
    sources: Any,
) -> int:
    """Compute what `mode` says for every match.

    Returns the number of events, and in the bits from 32 on that of the matches that ended; with
    STEP alone, which takes keys from outside and nothing else, only the number of events.
    """
    count = np.zeros(1, np.int64)
    if mode == STEP:  # the rest of the loop would cost a fifth of a step
        step_all(rows, keys, table, stage, log, done, count)
        return int(count[0])
    sums, at, ended = np.zeros((SUMS, 2)), 0, 0
    for i in range(rows.shape[0]):
        m, s = rows[i], side[i]
        over = m.match_over[0]
        who = bots[i if bots.shape[0] > 1 else 0]
        laws = stage[i if stage.shape[0] > 1 else 0]
        before = take_turns(i, m, s, raw[i], keys, who, table, laws, log, count, history, mode)
        if m.match_over[0] != over:
            done[i] = True
            ended += 1
        if mode & JUDGE:
            sums[:] = 0.0
            if mode & EVENTS_GIVEN:
                while at < given and log[at].match == i:
                    add_event(sums, log[at])
                    at += 1
            else:
                for e in range(before, count[0]):
                    add_event(sums, log[e])
            judge(s, m, s.keys, sums, weights, judged, i)
        if mode & OBSERVE:
            for k in range(seats.shape[0]):
                if mode & RAW:
                    observe_raw(m, int(seats[k]), int(s.keys[seats[k]]), seen[k, i])
                else:
                    observe_default(m, int(seats[k]), int(s.keys[seats[k]]), seen[k, i])
    return int(count[0]) | ended << 32


# ---- callers -------------------------------------------------------------------------------------

# NUMBA_DISABLE_JIT=1 leaves functions as they are
PLAIN_PYTHON = not hasattr(run, "signatures")
MOST_EVENTS = (1 << 32) - 1  # mask of the number of events in what `run` returns
NO_BOTS = np.full((1, 2, 2), OUTSIDE, np.int64)  # bots, where both seats are played from outside
PLAYERS = (0, 1)
_NO_EVENTS = np.zeros(1, EVENT)
NO_WEIGHTS, _NO_TERMS = np.zeros((0, 2)), np.zeros((1, 0, 2))
_UNSEEN, _NO_SEATS = np.zeros((0, 0, 0), np.float32), np.zeros(0, np.int64)
_NO_HISTORY = np.zeros((0, 0), np.uint8)


def as_records(array: Array) -> Any:
    """View an array of records so that their members are attributes.

    Numba reads the members of plain arrays as attributes; plain Python needs a recarray.
    """
    return array.view(np.recarray) if PLAIN_PYTHON else array


class _Records:
    """Records of N matches, and the other arguments of `run`; callers set what a mode needs."""

    def __init__(self, matches: int, table: Array, stage: Array, events: int = 0) -> None:
        self.plain = np.zeros(matches, MATCH)
        self.rows = as_records(self.plain)
        self.raw = self.plain.view(np.uint8).reshape(matches, MATCH.itemsize)
        self.plain_side = np.zeros(matches, SIDE)
        self.plain_side["players"] = PLAYERS
        self.side = as_records(self.plain_side)
        self.keys = np.zeros((len(KEYS), matches, 2), np.uint8)
        self.bots, self.weights = NO_BOTS, NO_WEIGHTS
        self.table, self.stage = as_records(table), as_records(stage)
        self.events = np.zeros(events, EVENT) if events else _NO_EVENTS
        self.log = as_records(self.events)
        self.done = np.zeros(matches, bool)
        self.judged, self.seen, self.seats = _NO_TERMS, _UNSEEN, _NO_SEATS
        self.history = _NO_HISTORY
        self.run: Any = run  # or `direct`, where the types of the members never change

    def __call__(self, mode: int, given: int = 0) -> int:
        """Call `run`."""
        return int(self.run(*self.arguments(mode, given)))

    def arguments(self, mode: int, given: int = 0) -> tuple[Any, ...]:
        """Arguments of `run`, as they are now."""
        return (
            self.rows,
            self.raw,
            self.side,
            self.keys,
            self.bots,
            self.weights,
            self.table,
            self.stage,
            self.log,
            self.done,
            self.judged,
            self.seen,
            self.seats,
            self.history,
            mode,
            given,
            fingerprint(),
        )


def _packed(view: Columns, keys: tuple[str, ...]) -> _Records:
    """Records of views [N, slots]: what compiled functions read of a world that keeps columns."""
    records = _Records(len(view["match/frame"]), TABLE, WAREHOUSE)
    for key in keys:
        values = view[key]
        # compiled code does not check indices
        if key in _INDICES and (values >= SCHEMA.columns[key].field.n).any():  # type: ignore[union-attr]
            raise UsageError(f"brawl: '{key}' has the unknown value {values.max()}")
        records.plain[member(key)] = values
    return records


def _require_known(events: Array, matches: int) -> None:
    """Refuse events that no match of brawl can have, for the same reason."""
    for name, low, high in (("kind", 0, len(EVENTS)), ("player", -1, 2), ("match", 0, matches)):
        values = events[name]
        if values.min() < low or values.max() >= high:
            raise UsageError(
                f"brawl: the {name} of an event must be from {low} to {high - 1} "
                f"(got {values.min()} to {values.max()})"
            )


def held_keys(view: Columns, player: int) -> Array:
    """Keys of a player as bits [N]."""
    bits = np.zeros(len(view["match/frame"]), np.int64)
    for bit, key in enumerate(SCHEMA.control_keys):
        bits |= view[key][:, player].astype(np.int64) << bit
    return bits


def decide(view: Columns, bot: Array, seeds: Array, players: Array) -> Array:
    """Keys of a bot as bits [N], for views with its own slot first."""
    records = _packed(view, _DECIDES)
    records.bots = np.stack([bot, np.full_like(bot, OUTSIDE)])[None]
    records.plain_side["seed"] = seeds.astype(np.uint64)
    records.plain_side["players"][:, 0] = players
    if bot[0] == TAPPER:
        records.plain_side["keys"][:, 0] = held_keys(view, 0)
    records(DECIDE)
    return np.array(records.plain_side["keys"][:, 0])


def observe(view: Columns, raw: bool, size: int) -> Array:
    """Observations [N, size] of views with the own slot first."""
    records = _packed(view, _OBSERVED)
    if not raw:
        records.plain_side["keys"][:, 0] = held_keys(view, 0)
    records.seats, records.seen = FIRST_SEAT, np.empty((1, len(records.plain), size), np.float32)
    records(RAW if raw else DEFAULT)
    seen: Array = records.seen[0]
    return seen


def judge_frame(earlier: Columns, after: Columns, events: Array, weights: Array) -> Array:
    """Reward and its weighted terms [1 + terms, N, 2] of a frame whose events are given."""
    records = _packed(after, _JUDGED)
    for key, values in earlier.items():
        records.plain_side[member(key)] = values
    for player in range(2):
        records.plain_side["keys"][:, player] = held_keys(after, player)
    if len(events):
        _require_known(events, len(records.plain))
        # the loop takes them match by match
        records.log = as_records(
            np.ascontiguousarray(events[np.argsort(events["match"], kind="stable")])
        )
    records.weights = weights
    records.judged = np.empty((1 + len(weights), len(records.plain), 2))
    records(JUDGE | EVENTS_GIVEN, len(events))
    return records.judged


_PLAYERS_STATE = tuple(key for key in SCHEMA.state_keys if key.startswith(("player/", "item/")))
_DECIDES = (*_PLAYERS_STATE, "match/frame", "match/stage")
_OBSERVED = (*_DECIDES, *(f"platform/{name}" for name in ("x", "y", "vx", "vy")), "match/left")
_INDICES = ("player/weapon", "player/move", "match/stage")
_JUDGED = ("player/x", "player/y", "player/state", "match/frame")
FIRST_SEAT = np.zeros(1, np.int64)
WAREHOUSE = geometry("warehouse")
