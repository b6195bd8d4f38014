"""A turn of a match: views of the players, their controls, and the world's next state.

    batch = MatchBatch(game, world, [agent, None])   # seat 1 is played from outside
    batch.begin(seeds)
    while True:
        turn = batch.turn({1: controls})
        if turn.ended.any():
            batch.begin(seeds, turn.ended)           # when to go on is the caller's decision

This is the one place in which agents meet a world: whole matches, live matches, environments and
rollouts all take their turns here. A turn goes from the state to the views of the seats, to the
controls, to the world's next state and events, and to the end of matches by forfeit or by outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.game import Agent, CompiledMatches, Game, Outcome, Reward, World
from shadowbox.core.schema import Array, Columns
from shadowbox.core.tracks import Track
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError
from shadowbox.play.referee import Referee
from shadowbox.play.rewards import rewards_of

Record = Callable[[Columns, Columns], object]  # the row (state_t, controls_t), its tracks
STOPPED = "broken off by the world"  # the reason of matches that a world truncates


class Turn(NamedTuple):
    """One frame of N matches. Columns and events are valid until the next turn.

    `terminated` matches are over: nothing is to be earned after them. `truncated` ones were ended
    by the clock or by the world itself, and could have gone on: a learner adds the value of their
    last state (`bootstrap`), which is in `columns` until the match begins anew.
    """

    columns: Columns  # state_{t+1}, as the world returned it
    events: Array  # of this frame; `match` is the place in the batch, `frame` the row of the match
    ended: Array  # bool [N]: with this frame
    outcomes: Mapping[int, Outcome]  # of the ended matches
    terminated: Array  # bool [N]
    truncated: Array  # bool [N]
    rewards: Array  # [N, players]
    terms: Mapping[str, Array]  # what the rewards are sums of, [N, players] each

    @property
    def bootstrap(self) -> Array:
        """Mask of matches whose next state has a value, bool [N]: all that did not terminate."""
        return ~self.terminated


class MatchBatch:
    """N matches of a world side by side, and the players in their seats.

    `agents` has an entry for each seat; None: the seat is played from outside, by the controls
    handed to `turn`. `view` is the state and the controls that led to it, seat 0 first. `over`
    [N]: matches that have ended and not begun anew. `rows` [N]: the row that each match is at.
    `context` [K, n, slots]: the rows that the agents of the n matches begun last have watched,
    for players outside who have a memory, too; empty where there were none.
    """

    def __init__(
        self,
        game: Game,
        world: World,
        agents: Sequence[Agent | None],
        *,
        reward: Reward | None = None,
        observation: Any = None,
        tracks: bool = False,
        referee: Callable[..., Referee] = Referee,
    ) -> None:
        """`reward`: None: the result of a match is its reward. `tracks`: ask agents for theirs.

        `observation`: what the players outside see (play/observations.py), for a world that
        computes it in its compiled loop.
        """
        self.game, self.world, self.schema = game, world, game.schema
        self.reward, self.matches = reward, world.matches
        self.referees = {
            seat: referee(game.schema, agent, seat, world.matches)
            for seat, agent in enumerate(agents)
            if agent is not None
        }
        self.outside = tuple(seat for seat, agent in enumerate(agents) if agent is None)
        self.tracks: tuple[Track, ...] = (
            tuple(track for one in self.referees.values() for track in one.track_types)
            if tracks
            else ()
        )
        self.over = np.zeros(self.matches, bool)
        self._rows = np.zeros(self.matches, np.int64)
        self._uncounted = 0  # turns that `_rows` lacks; nothing ended in them
        self._nothing = np.zeros(self.matches, bool)  # mask of the matches that ended: none
        self._nothing.flags.writeable = False
        self.columns: Columns = {}
        self.context: Columns = {}
        neutral = game.schema.neutral(self.matches)
        self._pressed: Columns = {key: neutral[key] for key in game.schema.control_keys}
        self._counts_rows = True  # whether the world counts its events' frames as `rows` does
        # None: agents act on views; else those in the seats `asked` do, and the loop plays the rest
        self.compiled: CompiledMatches | None = None
        self.asked: tuple[int, ...] = ()
        if referee is Referee and not self.tracks:
            others = [None] * (len(agents) - 1)
            known = [each if compiled_matches(world, [each, *others]) else None for each in agents]
            self.compiled = compiled_matches(world, known, reward, observation)
            if self.compiled is not None:
                self.asked = tuple(seat for seat in self.referees if known[seat] is None)

    @property
    def pressed(self) -> Columns:
        """Everybody's controls_{t-1}, [N, slots]."""
        return self._pressed if self.compiled is None else self.compiled.pressed

    @property
    def rows(self) -> Array:
        """The row that each match is at, [N]."""
        if self._uncounted:
            self._rows = self._rows + self._uncounted * ~self.over
            self._uncounted = 0
        return self._rows

    @property
    def view(self) -> Columns:
        """state_t and everybody's controls_{t-1}, [N, slots], seat 0 first."""
        state = {key: self.columns[key] for key in self.schema.state_keys}
        return {**state, **self.pressed}

    def begin(
        self, seeds: Array, where: Array | None = None, past: Mapping[str, Array] | None = None
    ) -> None:
        """Begin the matches in the mask `where` [N] (default: all) from `seeds` [N].

        `past` [K + 1, n, slots]: recorded rows of the n matches. They begin from the last row,
        which the world must be able to `load`, and the agents watch the rows before it first. A
        world that starts from a `context` of its own shows the agents that one.
        """
        fresh = np.ones(self.matches, bool) if where is None else where
        if self.compiled is None:
            for values in self._pressed.values():
                values[fresh] = 0
        self.columns = self.world.reset(seeds, where)
        if past is not None:
            self._load(self.world, past, fresh)
            context: Columns = {key: rows[:-1] for key, rows in past.items()}
        else:
            offered = getattr(self.world, "context", None)
            context = dict(offered(fresh)) if offered else {}
        watched = context if context and len(_first(context)) else None
        self.context = watched or {}
        if self.compiled is not None:
            self.compiled.begin(seeds, fresh)
        if watched is not None:
            pressed = self.pressed
            for key, values in pressed.items():
                values[fresh] = watched[key][-1]
            if self.compiled is not None:
                self.compiled.pressed = pressed
        self.rows[fresh] = 0
        self.over[fresh] = False
        for referee in self.referees.values():
            referee.seat(seeds, where, watched)

    def turn(
        self,
        outside: Mapping[int, Columns | Array] | None = None,
        *,
        record: Record | None = None,
        learning_step: int = 0,
    ) -> Turn:
        """Take one turn in every match.

        `outside`: controls [N, slots a player] of each seat without an agent, by key or as one
        array [N, values] in the order of the schema. `record` is called with the row
        (state_t, controls_t) and its tracks before the world moves on, for its arrays are
        overwritten then.
        """
        if self.compiled is not None:
            if record is None:
                return self._compiled_turn(self.compiled, outside or {}, learning_step)
            self._leave_compiled()
        view = self.view
        pressed = self._decide(view, outside or {})
        if record is not None:
            tracks = [one.tracks() for one in self.referees.values()] if self.tracks else []
            record(
                {**view, **pressed},
                {key: values for part in tracks for key, values in part.items()},
            )
        earlier = {} if self.reward is None else self.reward.before(view)
        self.columns, events, done = self.world.step(pressed)
        self._pressed = getattr(self.world, "controls_read", pressed)  # a live game has people, too
        self._uncounted += 1
        if len(events) and not self._counts_rows:
            events = events.copy()
            events["frame"] = self.rows[events["match"]]
        return self._judged(earlier, events, done, learning_step)

    def move_to(self, world: World, past: Columns) -> None:
        """Go on in another world, from the state of now; `past` [K, N, slots] are the rows before."""
        self._leave_compiled()
        rows = {key: np.concatenate([past[key], now[None]]) for key, now in self.view.items()}
        self._load(world, rows, np.ones(self.matches, bool))
        self.world = world

    def snapshot(self) -> dict[str, Any]:
        """State of all matches in plain arrays, without the memories of their agents."""
        return {
            "world": self.world.snapshot(),
            "pressed": {key: values.copy() for key, values in self.pressed.items()},
            "over": self.over.copy(),
            "rows": self.rows.copy(),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Continue from a snapshot; agents in seats must be restored by their owner."""
        self.columns = self.world.restore(snapshot["world"])
        self._press({key: np.array(values) for key, values in snapshot["pressed"].items()})
        self.over, self._rows = np.array(snapshot["over"]), np.array(snapshot["rows"])
        self._uncounted = 0

    def set_reward(self, reward: Reward | None) -> None:
        """Pay another reward from the next turn on."""
        self.reward = reward
        if self.compiled is not None:
            self.compiled.pay(reward)

    # ---- inside ----------------------------------------------------------------------------------

    def _press(self, pressed: Columns) -> None:
        if self.compiled is not None:
            self.compiled.pressed = pressed
        else:
            self._pressed = pressed

    def _compiled_turn(
        self,
        compiled: CompiledMatches,
        outside: Mapping[int, Columns | Array],
        learning_step: int,
    ) -> Turn:
        """Turn in the compiled loop of the world, whose own agents break no rules."""
        self._require_outside(outside)
        earlier: Columns = {}
        if self.reward is not None and compiled.reward is None:
            earlier = self.reward.before(self.view)
        pressed = {seat: self._as_values(given) for seat, given in outside.items()}
        view = self.view if self.asked else {}
        for seat in self.asked:
            asked = self.referees[seat].ask(from_seat(self.schema, view, seat))
            pressed[seat] = self._as_values(asked)
        events, done = compiled.turn(pressed, learning_step)
        self._uncounted += 1
        if not self._counts_rows and len(events):
            events = events.copy()
            events["frame"] = self.rows[events["match"]]
        none = self._nothing
        if done is None and compiled.reward is not None and not self.asked:
            return Turn(self.columns, events, none, {}, none, none, *compiled.rewards)
        done = none if done is None else done
        return self._judged(earlier, events, done, learning_step, compiled)

    def _require_outside(self, outside: Mapping[int, Any]) -> None:
        if self.outside != tuple(outside) and (missing := set(self.outside) ^ set(outside)):
            raise UsageError(
                f"controls for the seats {sorted(outside)} are given; "
                f"the seats played from outside are {list(self.outside)} (see {sorted(missing)})"
            )

    def _as_values(self, given: Columns | Array) -> Array:
        """Controls of a seat as one array [N, values]."""
        if isinstance(given, np.ndarray):
            return given
        return np.concatenate([given[key] for key in self.schema.control_keys], axis=1)

    def _leave_compiled(self) -> None:
        """Go on with agents that act on views."""
        if self.compiled is not None:
            self._pressed, self.compiled = self.compiled.pressed, None

    def _load(self, world: World, past: Mapping[str, Array], fresh: Array) -> None:
        load = getattr(world, "load", None)
        if load is None:
            raise UsageError(
                f"{world.name} cannot begin from a recorded row: it has no load(columns)"
            )
        watches = hasattr(world, "context")  # the rows before the last one, too
        row = {key: np.array(rows if watches else rows[-1]) for key, rows in past.items()}
        for key in (
            () if watches else self.schema.control_keys
        ):  # those that led to the row, not those pressed in it
            rows = past[key]
            row[key] = np.array(rows[-2]) if len(rows) > 1 else np.zeros_like(row[key])
        self.columns = load(row, fresh)
        self._counts_rows = False

    def _decide(self, view: Columns, outside: Mapping[int, Columns | Array]) -> Columns:
        """Everybody's controls [N, slots]. Each player sees the same frame, its own slot first."""
        self._require_outside(outside)
        answers = [
            self._by_key(outside[seat])
            if seat in outside
            else self.referees[seat].ask(from_seat(self.schema, view, seat))
            for seat in range(self.schema.players)
        ]
        return {
            key: np.concatenate([answer[key] for answer in answers], axis=1)
            for key in self.schema.control_keys
        }

    def _by_key(self, given: Columns | Array) -> Columns:
        """Controls of a seat by key."""
        if not isinstance(given, np.ndarray):
            return given
        each = self.schema.controls.slots // self.schema.players
        return {
            key: given[:, at * each : (at + 1) * each]
            for at, key in enumerate(self.schema.control_keys)
        }

    def _judged(
        self,
        earlier: Columns,
        events: Array,
        done: Array,
        learning_step: int,
        compiled: CompiledMatches | None = None,
    ) -> Turn:
        """Matches that ended with this frame, their outcomes, and the rewards."""
        lost = np.zeros(self.matches, bool)
        for referee in self.referees.values():
            lost |= referee.lost
        ended = (done | lost) & ~self.over
        if ended.any():
            self._rows = self.rows  # counted before they are over
        outcomes: dict[int, Outcome] = {}
        terminated, truncated = ended, np.zeros(self.matches, bool)
        if ended.any():
            stopped = getattr(self.world, "truncated", truncated)
            last = {key: values[ended] for key, values in self.view.items()}
            for at, match in enumerate(np.flatnonzero(ended).tolist()):
                forfeit = self.forfeit(match)
                row = {key: values[at : at + 1] for key, values in last.items()}
                outcome = forfeit or self._outcome(match, row, events, bool(stopped[match]))
                outcomes[match] = outcome
                truncated[match] = forfeit is None and (outcome.timeout or bool(stopped[match]))
            terminated = ended & ~truncated
            self.over = self.over | ended
        if compiled is not None and compiled.reward is not None:
            rewards, terms = compiled.rewards
        else:
            rewards, terms = rewards_of(
                self.reward,
                earlier,
                {} if self.reward is None else self.view,
                events,
                outcomes,
                (self.matches, self.schema.players),
                learning_step,
            )
        return Turn(self.columns, events, ended, outcomes, terminated, truncated, rewards, terms)

    def _outcome(self, match: int, last: Columns, events: Array, stopped: bool) -> Outcome:
        happened = events[events["match"] == match]
        found = self.game.outcome(last, happened) if self.game.outcome else Outcome(None, "over")
        return Outcome(None, STOPPED, found.facts) if stopped else found

    def forfeit(self, match: int) -> Outcome | None:
        """Outcome of a match with a forfeit: a win of the other players, or of no player."""
        losers = {
            seat: referee.why[match]
            for seat, referee in self.referees.items()
            if referee.lost[match]
        }
        if not losers:
            return None
        left = [seat for seat in range(self.schema.players) if seat not in losers]
        facts = {"forfeit": [{"player": seat, "reason": why} for seat, why in losers.items()]}
        return Outcome(left[0] if len(left) == 1 else None, "forfeit", facts)


def compiled_matches(
    world: World, agents: Sequence[Agent | None], reward: Any = None, observation: Any = None
) -> CompiledMatches | None:
    """The world's compiled loop for these agents, if it has one."""
    offered = getattr(world, "compiled", None)
    found: CompiledMatches | None = offered(agents, reward, observation) if offered else None
    return found


def _first(columns: Mapping[str, Any]) -> Any:
    return next(iter(columns.values()))
