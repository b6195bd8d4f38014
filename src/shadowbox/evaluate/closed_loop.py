"""Closed-loop evaluation: press rates, state distribution and win rate of the policy in play.

The policy plays in the seats of recorded players: same opponents, same seats, same seeds. In a game
without a simulator it is evaluated one frame ahead on recorded contexts, and the result says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowbox.core.evaluation import Figure
from shadowbox.core.game import Agent, Game, World, noise, stable_hash
from shadowbox.core.metrics import METRIC_BY_NAME
from shadowbox.core.schema import Array, Columns, Flag, Real, Schema
from shadowbox.core.stats import Interval, bootstrap_mean, bootstrap_ratio
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError
from shadowbox.evaluate.offline import Answers
from shadowbox.evaluate.press_counts import (
    PressCounts,
    count_presses,
    halves,
    ratios,
    state_distance,
)
from shadowbox.evaluate.recorded import DRAW, ControlLookup, SeatData, load_seat
from shadowbox.play import specs
from shadowbox.play.match import SIDE_BY_SIDE, PlayedMatch, play

Report = Callable[[int, int], None]
MakeWorld = Callable[[int], World]  # of a number of matches
WIDEST = 10.0  # high over low end of the interval of a ratio that says anything


@dataclass(frozen=True)
class RecordedSeat:
    """A seat to play in: opponent, seat, seeds, and the recorded player."""

    opponent: str
    seat: int
    seeds: tuple[int, ...]
    demonstrator: str | None


@dataclass
class _PlayedSeats:
    """Matches of one agent in all seats: seat data, scores, and the first few to show."""

    seats: list[SeatData] = field(default_factory=list)
    # opponent -> 1, 0.5, 0 of each match, in order of chairs
    score: dict[str, list[float]] = field(default_factory=dict)
    shown: list[PlayedMatch] = field(default_factory=list)

    def add(
        self, game: Game, chair: RecordedSeat, played: PlayedMatch, *, show: bool = False
    ) -> None:
        """Add a match."""
        winner = played.outcome.winner
        self.score.setdefault(chair.opponent, []).append(
            0.5 if winner is None else float(winner == chair.seat)
        )
        self.seats.append(
            load_seat(game.schema, played.episode.columns, len(self.seats), chair.seat)
        )
        if show:
            self.shown.append(played)


class _NeutralAgent:
    """Agent of the baseline never_press."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Number of matches."""
        return len(seeds)

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Neutral controls."""
        each = self.schema.controls.slots // self.schema.players
        return {
            key: np.zeros((state, each), self.schema.columns[key].dtype)
            for key in self.schema.control_keys
        }, state


class _LookUpAgent:
    """Agent of the look-up table: samples each button by its rate in the present state."""

    def __init__(self, schema: Schema, table: ControlLookup) -> None:
        self.schema, self.table = schema, table

    def start(
        self, seeds: Array, players: Array, state: Any = None, where: Array | None = None
    ) -> Any:
        """Seeds, seats and frames of the matches."""
        frame = np.zeros(len(seeds), np.int64)
        if state is not None and where is not None:
            frame = np.where(where, 0, state[2])
        return np.asarray(seeds), np.asarray(players), frame

    def act(self, view: Columns, state: Any) -> tuple[Columns, Any]:
        """Sampled controls."""
        seeds, players, frame = state
        situation, answer = self.table.situation(view), {}
        for at, key in enumerate(self.schema.control_keys):
            column = self.schema.columns[key]
            if isinstance(column.field, Real):
                values = self.table.position.get(key, np.zeros(self.table.states))[situation]
                answer[key] = np.clip(values, *column.field.limits).astype(column.dtype)[:, None]
                continue
            before = (view[key][:, 0] != 0).astype(int)
            chance = (
                self.table.chance[key][situation, before]
                if key in self.table.chance
                else np.zeros(len(seeds))
            )
            down = noise(seeds, frame, players, DRAW + at) < chance
            answer[key] = (down if isinstance(column.field, Flag) else down.astype(column.dtype))[
                :, None
            ]
        return answer, (seeds, players, frame + 1)


# ---- who plays whom ------------------------------------------------------------------------------


def recorded_seats(
    game: Game,
    store: Store,
    episodes: Sequence[int],
    players: Sequence[int],
    matches: int,
    against: str | None,
    name: str = "",
    purpose: str = "eval",
) -> list[RecordedSeat]:
    """Seats of recorded players whose opponents are known agents; with `against`, against that agent.

    Returns `matches` of them: the seeds of the data first, then new ones, which depend on
    `purpose`. With a player's name, only the seats of that player. Empty if no opponent is a known
    agent.
    """
    found: dict[tuple[str, int, str | None], list[int]] = {}
    known: dict[str, bool] = {}
    sat = [each for each in _who_sat(store, episodes, players) if not name or each[2] == name]
    if against:
        usual = _most_frequent([name for _, _, name, _ in sat])
        for match in range(max(1, matches // len(players))):
            for seat in players:
                found.setdefault((against, seat, usual), []).append(
                    stable_hash(purpose, against, match) >> 1
                )
        return [
            RecordedSeat(opponent, seat, tuple(seeds), who)
            for (opponent, seat, who), seeds in found.items()
        ]
    chosen = [
        (seed, seat, who, other)
        for seed, seat, who, other in sat
        if is_agent_spec(game, other, known)
    ]
    for match in range(matches if chosen else 0):
        seed, seat, who, other = chosen[match % len(chosen)]
        again = match // len(chosen)
        found.setdefault((other, seat, who), []).append(
            seed if not again else stable_hash(purpose, seed, again) >> 1
        )
    return [
        RecordedSeat(opponent, seat, tuple(seeds), who)
        for (opponent, seat, who), seeds in found.items()
    ]


def _who_sat(
    store: Store, episodes: Sequence[int], players: Sequence[int]
) -> Iterator[tuple[int, int, str, str]]:
    """(seed, seat, player, opponent) of two-player episodes whose metadata have them."""
    for number in episodes:
        meta = store.meta_of(int(number))
        names, seed = meta.get("players"), meta.get("seed")
        if (
            isinstance(names, list)
            and len(names) == store.schema.players == 2
            and isinstance(seed, int)
        ):
            for seat in players:
                yield seed, seat, str(names[seat]), str(names[1 - seat])


def _most_frequent(names: Sequence[str]) -> str | None:
    return max(sorted(set(names)), key=names.count) if names else None


def is_agent_spec(game: Game, spec: str, known: dict[str, bool] | None = None) -> bool:
    """True if a name in data is the spec of an agent (a person's name is not).

    A name that would run code is not one. `known` caches answers.
    """
    known = {} if known is None else known
    if specs.runs_code(spec):
        return False
    if spec not in known:
        try:
            specs.agent(spec, game)
            known[spec] = True
        except ShadowboxError:
            known[spec] = False
    return known[spec]


def play_in(
    game: Game,
    sitting: Sequence[RecordedSeat],
    agent: Agent,
    name: str,
    make_world: MakeWorld,
    progress: Report | None = None,
) -> _PlayedSeats:
    """Play the matches of all seats."""
    games, total = _PlayedSeats(), sum(len(chair.seeds) for chair in sitting)
    for chair in sitting:
        for at, played in enumerate(_matches(game, chair, agent, name, make_world)):
            games.add(game, chair, played, show=at == 0)
            if progress:
                progress(len(games.seats), total)
    return games


def play_demonstrators(
    game: Game,
    sitting: Sequence[RecordedSeat],
    make_world: MakeWorld,
    progress: Report | None = None,
) -> _PlayedSeats:
    """Play the same matches with the agents that were recorded in the seats."""
    games, total = _PlayedSeats(), sum(len(chair.seeds) for chair in sitting)
    for chair in sitting:
        assert chair.demonstrator
        for played in _matches(
            game, chair, specs.agent(chair.demonstrator, game), chair.demonstrator, make_world
        ):
            games.add(game, chair, played)
            if progress:
                progress(len(games.seats), total)
    return games


def _matches(
    game: Game, chair: RecordedSeat, agent: Agent, name: str, make_world: MakeWorld
) -> Iterator[PlayedMatch]:
    agents, players = [agent, specs.agent(chair.opponent, game)], [name, chair.opponent]
    if chair.seat == 1:
        agents, players = agents[::-1], players[::-1]
    world = make_world(min(SIDE_BY_SIDE, len(chair.seeds)))
    for played in play(game, world, agents, players, np.array(chair.seeds, np.int64)):
        for loss in played.outcome.facts.get("forfeit", ()):
            if loss["player"] == chair.seat:
                raise ShadowboxError(f"agent '{name}' broke in seat {chair.seat}: {loss['reason']}")
        yield played


# ---- figures -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClosedLoopCounts:
    """Press counts of the policy, of the data and of each baseline, and how they were obtained."""

    how: str  # in words
    play: PressCounts
    data: PressCounts
    baselines: Mapping[str, PressCounts]
    paired: bool = False  # all were counted on the episodes of the data


def counts_in_play(
    schema: Schema, data: Sequence[SeatData], everybody: Mapping[str, _PlayedSeats]
) -> ClosedLoopCounts:
    """Counts in matches of the policy (named "") and the baselines."""
    counted = {name: count_presses(schema, games.seats) for name, games in everybody.items()}
    how = f"{len(everybody[''].seats)} matches, in the chairs of recorded players"
    return ClosedLoopCounts(how, counted.pop(""), count_presses(schema, data), counted)


def counts_one_frame_ahead(
    schema: Schema, everybody: Mapping[str, Answers], sampling: str
) -> ClosedLoopCounts:
    """Counts of predicted presses at recorded frames, given the recording up to there."""
    names = ("", "copy_last", "never_press", "look_up")
    asked = {
        name: count_presses(schema, everybody[name].seats, everybody[name].answers)
        for name in names
    }
    how = f"recorded contexts, one frame ahead, {sampling}; no match was played"
    return ClosedLoopCounts(
        how, asked.pop(""), count_presses(schema, everybody[""].seats), asked, paired=True
    )


def figures(
    found: ClosedLoopCounts, *, states: bool = True
) -> tuple[dict[str, Figure], dict[str, dict[str, Interval]]]:
    """Press ratios by button and state distances beside the baselines, and the ratios for the gate."""
    real = halves(found.data)
    out: dict[str, Figure] = {}
    by_button = {}
    for button in found.data.buttons:
        by_button[button] = own = ratios(found.play, found.data, button, paired=found.paired)
        floor = {name: _if_known(ratio) for name, ratio in ratios(*real, button).items()}
        others = {
            name: ratios(counts, found.data, button, paired=found.paired)
            for name, counts in found.baselines.items()
        }
        for metric, value in own.items():
            beside = {"real": floor[metric]}
            beside |= {name: values[metric] for name, values in others.items()}
            out[f"{metric}.{button}"] = Figure(value, _in_order(metric, beside))
    for key in found.play.time if states else ():
        beside = {
            name: state_distance(counts, found.data, key)
            for name, counts in found.baselines.items()
        }
        beside = _in_order("state_distance", beside | {"real": state_distance(*real, key)})
        out[f"state_distance.{key}"] = Figure(state_distance(found.play, found.data, key), beside)
    return out, by_button


def _if_known(ratio: Interval) -> Interval:
    """The ratio of one half of the recordings to the other, or NaN where a few presses decide it."""
    known = math.isfinite(ratio.high) and 0 < ratio.high <= WIDEST * ratio.low
    return ratio if known else Interval(math.nan, math.nan, math.nan)


def win_rates(everybody: Mapping[str, _PlayedSeats]) -> dict[str, Figure]:
    """Win rates by opponent, and the gap to the demonstrator, paired by seed."""
    found = {}
    for opponent in everybody[""].score:
        rates = {
            name: bootstrap_mean(np.array(games.score[opponent]))
            for name, games in everybody.items()
        }
        found[f"win_rate.{opponent}"] = Figure(rates[""], _in_order("win_rate", rates))
    if "demonstrator" in everybody:
        shown = _all_scores(everybody["demonstrator"])
        gaps = {
            name: _all_scores(games) - shown
            for name, games in everybody.items()
            if name != "demonstrator"
        }
        rates = {name: bootstrap_ratio(gap, np.ones(len(gap))) for name, gap in gaps.items()}
        found["win_rate_gap"] = Figure(rates[""], _in_order("win_rate_gap", rates))
    return found


def _in_order(metric: str, beside: Mapping[str, Interval]) -> dict[str, Interval]:
    """Baselines of a metric in the order of its definition."""
    return {name: beside[name] for name in METRIC_BY_NAME[metric].baselines if name in beside}


def _all_scores(games: _PlayedSeats) -> Array:
    return np.concatenate([np.array(scores) for scores in games.score.values()])
