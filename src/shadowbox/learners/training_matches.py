"""Matches that a policy learns from, side by side: who sits where, what is seen, what is pressed.

N matches, R rows. A row is a player that is learned from: one for each match, and in matches
against itself one more. The seat of the learner alternates from match to match. In a game of one
player there is one seat and no opponent. A decision is held for `repeat` frames; a match that ends
in between waits for the next decision.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from shadowbox.core.game import noise, stable_hash
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import from_seat, mirror_closed, mirrored
from shadowbox.errors import UsageError
from shadowbox.learners.late_views import _LateViews
from shadowbox.learners.league import League, _LeagueConfig
from shadowbox.learners.monitoring.sums import _BehaviorSums
from shadowbox.learners.opponents import (
    ALONE,
    LEAGUE,
    SELF,
    _AgentOpponents,
    _Slice,
    _SnapshotOpponents,
    slices,
)
from shadowbox.learners.plain_state import from_plain, to_plain
from shadowbox.learners.registry import Inputs
from shadowbox.learners.term_sums import _TermSums
from shadowbox.model.policy import Policy
from shadowbox.model.strategy.encoder import opponent_numbers
from shadowbox.play.policy_agent import DRAW, as_tensor
from shadowbox.play.rewards import over_budget, result_for
from shadowbox.play.specs import training_opponents
from shadowbox.play.turn import MatchBatch

MOST_PLAYERS = 2
RECENT = 200  # matches against an opponent that gates of stages look at


class _TrainingMatches:
    """N matches of a learner against its opponents, and the results of those that ended."""

    def __init__(
        self,
        inputs: Inputs,
        policy: Policy,
        matches: int,
        rank: int,
        *,
        league: _LeagueConfig,
        build: Callable[[], Policy] | None = None,
        reads: Sequence[str] = (),
        opposition: League | None = None,
    ) -> None:
        """`build`: makes another policy of the same shape, for snapshots.

        `reads`: more columns to record. `opposition`: the league to meet, if not the learner's own.
        """
        game = inputs.game
        self.policy, self.schema = policy, game.schema
        if game.schema.players > MOST_PLAYERS or inputs.worlds is None:
            raise UsageError(
                f"PPO needs a world of one or two players; {game.name} has {game.schema.players}"
            )
        if game.schema.players == 1 and inputs.reward is None:
            raise UsageError(f"{game.name}: one player alone has no result: give a reward")
        self.seed, self.rank, self.matches = inputs.config.seed, rank, matches
        reward = over_budget(inputs.reward, inputs.config.steps or 1)
        self.batch = MatchBatch(
            game, inputs.worlds(matches), [None] * game.schema.players, reward=reward
        )
        self.learning_step = 0  # rollouts before this one; weights of the reward move by it
        self.inputs, self.build = inputs, build
        self.league_config = league = league or _LeagueConfig()
        # every rank keeps its own results; the first one's files are those of the run
        folder = inputs.run if rank == 0 else None
        self.league = League(folder, league.snapshots) if opposition is None else opposition
        keys = dict.fromkeys((*policy.input_columns, *reads, *game.schema.control_keys))
        self.reads = mirror_closed(game.schema, keys) if league.mirror else tuple(keys)
        self.mirror = np.zeros(matches, bool)  # matches that the learner sees in the mirror
        self.seat = np.arange(matches) % game.schema.players  # of the learner in each match
        self.seeds = np.zeros(matches, np.int64)
        self.games = np.zeros(matches, np.int64)  # begun in each place
        self.decided = np.zeros(matches, np.int64)  # decisions in the match so far
        self.returned = np.zeros(matches)  # rewards of the match so far
        self.terms = _TermSums(matches, game.schema.players)
        self.behavior = _BehaviorSums(game.behavior, matches, game.schema.players)
        self.finished: list[dict[str, Any]] = []  # matches that ended, oldest first
        self.recent: dict[str, list[int]] = defaultdict(list)  # results by opponent, newest last
        self.arrange({ALONE: 1.0} if game.schema.players == 1 else inputs.opponents)

    def arrange(self, shares: Mapping[str, float]) -> None:
        """Give each opponent its share of the matches; all matches begin anew."""
        self.shares = dict(shares)
        self.parts = slices(shares, self.matches)
        build = self.inputs.agents or _no_agents
        others = [part.name for part in self.parts if part.name not in (SELF, LEAGUE, ALONE)]
        agents = {name: build(name) for name in training_opponents(others, self.inputs.game)}
        compiled, none = self.batch.compiled, np.zeros(0, np.int64)
        # those that the world's compiled loop plays
        self.bots = {
            name: agent
            for name, agent in agents.items()
            if compiled is not None and compiled.seat(agent, none, none)
        }
        self.opponents = _AgentOpponents(
            self.parts, {name: agents[name] for name in agents.keys() - self.bots.keys()}
        )
        mirrored = [part for part in self.parts if part.name == SELF]
        self.both = mirrored[0].end if mirrored else 0  # matches of which both players are rows
        self.rows = self.matches + self.both
        # the match of each row
        self.match = np.concatenate([np.arange(self.matches), np.arange(self.both)])
        self.names = np.array([part.name for part in self.parts for _ in range(len(part))])
        self.late = (
            _LateViews(self.schema, self.reads, self.policy.config.delays, self.matches)
            if self.policy.config.delays
            else None
        )
        self.snapshots: _SnapshotOpponents | None = None
        for part in self.parts:
            if part.name == LEAGUE:
                assert self.build is not None, "snapshots need another policy of the same shape"
                seed = stable_hash(self.seed, self.rank) >> 1
                self.snapshots = _SnapshotOpponents(
                    part, self.league, self.build, sampler=self.league_config.sampler, seed=seed
                )
        self.begun = False

    def snapshot(self, step: int) -> None:
        """Take a snapshot when one is due, and give waiting places to the next ones."""
        self.learning_step = step
        if self.snapshots is None:
            return
        # a stage may bring the league between two snapshots: then it has none
        if step % self.league_config.snapshot_every == 0 or not self.league.entries:
            self.league.add(self.policy, step)
            self.league.promote()
        self.snapshots.refresh()

    def begin(self, where: Array) -> None:
        """Begin matches in these places, from seeds of their own and with the other seat."""
        for match in np.flatnonzero(where).tolist():
            words = (self.seed, self.rank, match, int(self.games[match]))
            self.seeds[match] = stable_hash("rollout", *words) >> 2
            self.seat[match] = (match + int(self.games[match])) % self.schema.players
            self.mirror[match] = self.league_config.mirror and stable_hash("mirror", *words) & 1
            self.games[match] += 1
        self.begun = True
        self.decided[where], self.returned[where] = 0, 0.0
        self.terms.sums[:, where] = self.behavior.sums[:, where] = 0.0
        self._seat_bots(where)
        self.batch.begin(self.seeds, where)
        if self.late is not None:
            self.late.begin(self.batch.view, where)
        self.opponents.begin(self.seeds, self._facing, where)
        if self.snapshots is not None:
            self.snapshots.begin(where)

    def _seat_bots(self, where: Array) -> None:
        """Let bots in the compiled loop play the seats that the learner is not in."""
        if self.batch.compiled is None:
            return
        for part in self.parts:
            matches = part.first + np.flatnonzero(where[part.rows])
            facing = self._facing[matches]
            self.batch.compiled.seat(self.bots.get(part.name), matches, facing)

    def met(self) -> Array:
        """Number of each row's opponent among the names that the policy learns, [R].

        -1 for the policy itself, now and in the past.
        """
        numbers = opponent_numbers(self.policy.config.opponents, self.names.tolist())
        return np.array([*numbers, *[-1] * self.both], np.int64)

    @property
    def players(self) -> Array:
        """Seat of each row, [R]."""
        return np.concatenate([self.seat, self._facing[: self.both]])

    @property
    def _facing(self) -> Array:
        """Seat of the other player in each match."""
        return self.schema.players - 1 - self.seat

    def seen(self) -> Columns:
        """What each row sees, own slot first: [R, slots]."""
        if self.late is not None:
            return self._turned(self.late.seen(self.match, self.players, self.seeds[self.match]))
        view = self.batch.view
        shown = {key: view[key] for key in self.reads}
        if self.schema.players == 1:
            return shown
        other = from_seat(self.schema, shown, 1)
        second = (self.seat == 1)[:, None]
        seen: Columns = {}
        for key, ours in shown.items():
            theirs = other[key]
            own = ours if theirs is ours else np.where(second, theirs, ours)
            if self.both:
                facing = np.where(second[: self.both], ours[: self.both], theirs[: self.both])
                own = np.concatenate([own, facing])
            seen[key] = own
        return self._turned(seen)

    def _turned(self, columns: Columns) -> Columns:
        """Columns [R, slots] with left and right exchanged in matches that are seen in the mirror."""
        if not self.mirror.any():
            return columns
        shown = {key: values for key, values in columns.items() if key in self.schema.columns}
        chosen = self.mirror[self.match][:, None]
        turned = {
            key: values if values is shown[key] else np.where(chosen, values, shown[key])
            for key, values in mirrored(self.schema, shown).items()
        }
        return {**columns, **turned}

    def _seen_by_opponents(self) -> Columns:
        """The whole view from the seat that the learner is not in, [N, slots]."""
        view = self.batch.view
        other = from_seat(self.schema, view, 1)
        second = (self.seat == 1)[:, None]
        return {
            key: ours if other[key] is ours else np.where(second, ours, other[key])
            for key, ours in view.items()
        }

    def _seen_by_snapshots(self, matches: Array, players: Array) -> Columns:
        """Views of snapshots in matches [n]: as late as their own delays, [n, slots]."""
        if self.late is not None:
            return self.late.seen(matches, players, self.seeds[matches])
        view = self._seen_by_opponents()
        return {key: view[key][matches] for key in self.reads}

    def _noise(self, matches: Array, players: Array) -> torch.Tensor:
        """Uniform numbers [n, draws] of players in matches, those that they draw as agents."""
        uniform = noise(
            self.seeds[matches][:, None],
            (self.decided * self.policy.config.repeat)[matches][:, None],
            players[:, None],
            DRAW + np.arange(self.policy.draws),
        )
        return torch.from_numpy((np.floor(uniform * 2**24) * 2.0**-24).astype(np.float32))

    def draws(self) -> torch.Tensor:
        """Uniform numbers of each row, [R, draws]."""
        return self._noise(self.match, self.players)

    def tensors(self, seen: Columns, device: torch.device) -> dict[str, torch.Tensor]:
        """What is seen as models take it."""
        return {key: as_tensor(values).to(device) for key, values in seen.items()}

    def controls(self, values: torch.Tensor, device: torch.device) -> Columns:
        """Controls by key [N, players, slots], with the learner's and its snapshots' in their places."""
        controls: Columns = {}
        at, many = np.arange(self.matches), self.both
        answers = {
            key: each.cpu().numpy().astype(self.schema.columns[key].dtype)
            for key, each in self.policy.values.columns(values).items()
        }
        for key, rows in self._turned(answers).items():
            both = np.zeros((self.matches, self.schema.players, rows.shape[1]), rows.dtype)
            both[at, self.seat] = rows[: self.matches]
            both[at[:many], self._facing[:many]] = rows[self.matches :]
            controls[key] = both
        if self.snapshots is not None:
            part = at[self.snapshots.part.rows]
            facing = self._facing[part]
            seen = self._seen_by_snapshots(part, facing)
            answer = self.snapshots.act(
                self.tensors(seen, torch.device("cpu")), self._noise(part, facing)
            )
            for key, each in self.policy.values.columns(answer.to(device)).items():
                controls[key][part, facing] = each.cpu().numpy()
        return controls

    def play(self, controls: Columns) -> tuple[Array, Array, Array]:
        """Hold a decision for `repeat` frames: rewards [R], and what ended and was cut short [N]."""
        rewards = np.zeros((self.matches, self.schema.players))
        over, cut = np.zeros(self.matches, bool), np.zeros(self.matches, bool)

        def press(part: _Slice, answer: Columns) -> None:
            facing = self._facing[part.rows]
            for key, both in controls.items():
                both[np.arange(part.first, part.end), facing] = answer[key]

        seats = range(self.schema.players)
        for _ in range(self.policy.config.repeat):
            if self.opponents.parts:
                self.opponents.act(self._seen_by_opponents(), press)
            turn = self.batch.turn(
                {seat: {key: both[:, seat] for key, both in controls.items()} for seat in seats},
                learning_step=self.learning_step,
            )
            if self.late is not None:
                self.late.add(self.batch.view)
            rewards += np.where(over[:, None], 0.0, turn.rewards)
            self.terms.add(turn.terms, over)
            self.behavior.add(turn, over)
            over, cut = over | turn.ended, cut | turn.truncated
            self._count(turn.outcomes, rewards)
        self.decided += 1
        at = np.arange(self.matches)
        own, both = rewards[at, self.seat], at[: self.both]
        self.returned += own
        return np.concatenate([own, rewards[both, self._facing[: self.both]]]), over, cut

    def _count(self, outcomes: Mapping[int, Any], rewards: Array) -> None:
        """Note finished matches from the learner's side."""
        for match, outcome in outcomes.items():
            seat = int(self.seat[match])
            name, result = str(self.names[match]), result_for(outcome, seat)
            snapshot = "now" if name == SELF else ""
            if self.snapshots is not None and name == LEAGUE:
                snapshot = self.snapshots.opponent(match)
                self.league.count(snapshot, result == 1)
            frames = int(self.batch.rows[match])
            self.recent[name] = [*self.recent[name][1 - RECENT :], int(result == 1)]
            self.finished.append(
                {
                    "opponent": name,
                    "snapshot": snapshot,
                    "seat": seat,
                    "result": result,  # 1 won, -1 lost, 0 a draw
                    "frames": frames,
                    "return": float(self.returned[match] + rewards[match, seat]),
                    "terms": self.terms.of(match, seat),  # the return is their sum
                    "behavior": self.behavior.of(match, seat, frames),
                }
            )

    def take_finished(self) -> list[dict[str, Any]]:
        """Matches that ended since the last call, oldest first."""
        found, self.finished = self.finished, []
        return found

    # ---- state ----

    def state(self) -> dict[str, Any]:
        """Everything that the next decision depends on, as plain data."""
        counters = {
            "shares": dict(self.shares),
            "finished": [dict(each) for each in self.finished],
            "recent": {name: list(each) for name, each in self.recent.items()},
            "games": torch.from_numpy(self.games.copy()),
            "league": self.league.state(),
        }
        if not self.begun:
            return counters
        names = ("seat", "seeds", "decided", "returned", "mirror")
        return counters | {
            "arrays": {name: torch.from_numpy(getattr(self, name).copy()) for name in names},
            "terms": [list(self.terms.names), torch.from_numpy(self.terms.sums.copy())],
            "counted": torch.from_numpy(self.behavior.sums.copy()),
            "batch": to_plain(self.batch.snapshot(), "the world"),
            "opponents": self.opponents.state(),
            "snapshots": self.snapshots.state() if self.snapshots else None,
            **({"late": self.late.state()} if self.late else {}),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        if state["shares"] != self.shares:
            self.arrange(state["shares"])
        self.finished = [dict(each) for each in state["finished"]]
        self.recent = defaultdict(list, {name: list(v) for name, v in state["recent"].items()})
        self.games = state["games"].numpy().copy()
        self.league.load(state["league"])
        if "arrays" not in state:
            return
        self.begun = True
        for name, values in state["arrays"].items():
            setattr(self, name, values.numpy().copy())
        self.terms.names = tuple(state["terms"][0])
        self.terms.sums = state["terms"][1].numpy().copy()
        self.behavior.sums = state["counted"].numpy().copy()
        everywhere = np.ones(self.matches, bool)
        self._seat_bots(everywhere)
        if self.batch.compiled is not None:
            self.batch.compiled.begin(self.seeds, everywhere)
        self.batch.restore(from_plain(state["batch"]))
        self.opponents.load(state["opponents"])
        if self.snapshots is not None:
            self.snapshots.load(state["snapshots"])
        if self.late is not None:
            self.late.load(state["late"])


def _no_agents(spec: str) -> Any:
    raise UsageError(f"no agents are given; '{spec}' is one")
