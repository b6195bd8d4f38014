"""Counterfactuals: a recorded moment continued with other controls of one player.

    found = what_if("dream:runs/w", "data/brawl#12:300", by=("based", "policy:runs/a"))
    found.branches     each world x each way to play, with damage and stocks after 2 and 5 seconds
    found.gate         whether the world passed its own gate, which an answer should begin with

The player presses what was recorded, nothing, or what an agent decides that has watched the rows
before. The others press what was recorded, and then do not react to what is new, or are an agent's.
Each way is played with the same seeds, so that two of them are compared sample by sample. Where the
game has a simulator that can go on from the row, it answers, too: it has the recorded seed, so
that only the draws of agents differ between its samples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.game import Agent, Game, World, no_events
from shadowbox.core.schema import Columns, Schema
from shadowbox.core.stats import Interval
from shadowbox.data.store import Store
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.evaluate.setup import EvalConfig, game_of_store, playable_world
from shadowbox.evaluate.worlds.branches import (
    DAMAGE,
    SECONDS,
    STOCKS,
    _Branch,
    figures_of,
    plain,
    totals_of,
)
from shadowbox.evaluate.worlds.rollouts import match_seeds
from shadowbox.evaluate.worlds.suite import world_of_name
from shadowbox.evaluate.worlds.verdict import _Verdict, verdict_of
from shadowbox.play import specs
from shadowbox.play.turn import MatchBatch

PAST = 256  # rows before the moment, which agents watch
RECORDED, NOTHING = "recorded", "neutral"
Report = Callable[[str, int, int], None]  # what, done, total


class _Moment(NamedTuple):
    """A row of a stored match, the rows before it, and those after it up to the last horizon."""

    where: str  # as given
    episode: int
    frame: int
    past: Columns  # [K + 1, slots]
    future: Columns  # [R + 1, slots], the moment first; shorter where the recording ends

    @property
    def frames(self) -> int:
        """Recorded frames after the moment."""
        return len(next(iter(self.future.values()))) - 1


@dataclass(frozen=True)
class _WhatIf:
    """A recorded moment, continued in other ways."""

    spec: str
    game: Game
    store: Path
    moment: _Moment
    player: int
    against: str | None
    verdict: _Verdict
    truth: _Branch  # the recording itself
    branches: Sequence[_Branch]
    samples: int
    seed: int
    remarks: Sequence[str]

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures: damage, and stocks where the game has them."""
        return tuple(self.truth.totals)

    def recorded_in(self, world: str) -> _Branch:
        """The branch of a world in which the player presses what was recorded."""
        return next(b for b in self.branches if b.world == world and b.by == RECORDED)

    def better(self, world: str) -> list[tuple[_Branch, str, Interval]]:
        """Ways that are shown to be better than the recorded keys, in what, and by how much.

        At the last horizon: the interval of the balance of stocks is above 0; or it holds 0, and
        that of the balance of damage is above 0.
        """
        known, last = self.recorded_in(world), len(SECONDS) - 1
        found = []
        for branch in self.branches:
            if branch.world != world or branch is known:
                continue
            for unit, figures in (("stocks", STOCKS), ("damage", DAMAGE)):
                if figures[0] in branch.totals:
                    gain = branch.beside(known, last, figures)
                    if gain.low > 0:
                        found.append((branch, unit, gain))
                    if gain.low > 0 or gain.high < 0:
                        break
        return sorted(found, key=lambda each: (each[1] != "stocks", -each[2].value))

    def answer(self, world: str) -> str:
        """Sentence that names the better ways, or says that none is shown to be better."""
        better = [
            f"{branch.by} ({unit} {gain.value:+.1f}, {gain.low:+.1f} to {gain.high:+.1f})"
            for branch, unit, gain in self.better(world)
        ]
        if not better:
            return "no way is shown to be better than the recorded keys"
        fixed = ", against an opponent who does not react" if self.against is None else ""
        return f"better than the recorded keys after {SECONDS[-1]} s{fixed}: {', '.join(better)}"

    def to_json(self) -> dict[str, Any]:
        """Plain data; a number that is not known is null."""
        return {
            "kind": "what-if",
            "spec": self.spec,
            "game": self.game.name,
            "moment": self.moment.where,
            "player": self.player,
            "against": self.against or RECORDED,
            "gate": self.verdict.to_json(),
            "remarks": list(self.remarks),
            "samples": self.samples,
            "seed": self.seed,
            "recording": figures_of(self.truth),
            "branches": [
                {
                    "world": branch.world,
                    "by": branch.by,
                    "forfeits": branch.forfeits,
                    "after": figures_of(branch),
                    "beside_recorded": {
                        str(seconds): plain(branch.beside(self.recorded_in(branch.world), at))
                        for at, seconds in enumerate(SECONDS)
                    },
                }
                for branch in self.branches
            ],
            "better": {
                world: [branch.by for branch, _, _ in self.better(world)]
                for world in dict.fromkeys(branch.world for branch in self.branches)
            },
        }


def what_if(
    name: str,
    where: str,
    *,
    by: Sequence[str] = (),
    player: int = 0,
    against: str | None = None,
    game: Game | None = None,
    config: EvalConfig | None = None,
    progress: Report | None = None,
) -> _WhatIf:
    """Continue the moment `STORE#EPISODE:FRAME` in the world `name` (a spec, a run, a checkpoint).

    `by`: agents that take the player's seat, besides the recorded controls and none at all.
    `against`: the agent in all other seats; None: their recorded controls. `config`: `samples`,
    `seed`, and `world` of the simulator.
    """
    config = config or EvalConfig()
    store, episode, frame = _parsed(where)
    game = game or game_of_store(store)
    if not 0 <= player < game.schema.players:
        raise UsageError(f"player must be from 0 to {game.schema.players - 1} (got {player})")
    moment = _moment(store, episode, frame, where, game.schema)
    spec, folder, factory = world_of_name(name, game, store, config)
    verdict = verdict_of(folder, spec, game)
    remarks = _remarks(moment, against, game.schema)
    ways = list(dict.fromkeys([RECORDED, NOTHING, *by]))
    branches: list[_Branch] = []
    worlds = [(spec, factory), *_simulator(game, store, config, spec)]
    total = len(worlds) * len(ways)
    for title, build in worlds:
        try:
            world = build(config.samples)
            for way in ways:
                play = _Play(game, world, moment, player, against, config.seed)
                branches.append(play.branch(title, way))
                if progress:
                    progress("continuing", len(branches), total)
        except UsageError as error:
            if title == spec:
                raise
            remarks.append(f"the simulator {title} cannot go on from there: {error}")
            branches = [branch for branch in branches if branch.world != title]
    return _WhatIf(
        spec=spec, game=game, store=Path(store.path), moment=moment, player=player,
        against=against, verdict=verdict, truth=_truth(game, moment, player), branches=branches,
        samples=config.samples, seed=config.seed, remarks=remarks,
    )  # fmt: skip


class _Play:
    """N samples of a moment that is continued in a world."""

    def __init__(
        self,
        game: Game,
        world: World,
        moment: _Moment,
        player: int,
        against: str | None,
        seed: int,
    ) -> None:
        self.game, self.schema, self.world, self.moment = game, game.schema, world, moment
        self.player, self.against = player, against
        self.frames = round(SECONDS[-1] * game.schema.fps)
        number = np.array([moment.episode * 1_000_003 + moment.frame])
        self.seeds = match_seeds(seed, "what-if", number, world.matches)

    def branch(self, title: str, way: str) -> _Branch:
        """Play one way to the last horizon."""
        agents: list[Agent | None] = []
        for seat in range(self.schema.players):
            spec = way if seat == self.player else self.against or RECORDED
            agents.append(None if spec == RECORDED else specs.agent(spec, self.game))
        batch = MatchBatch(self.game, self.world, agents)
        past = {
            key: np.repeat(rows[:, None], self.world.matches, axis=1)
            for key, rows in self.moment.past.items()
        }
        batch.begin(self.seeds, past=past)
        rows: list[Columns] = []
        alive = np.ones((self.world.matches, self.frames + 1), bool)

        def record(row: Columns, tracks: Columns) -> None:
            rows.append({key: np.array(values) for key, values in row.items()})

        announced = []
        for frame in range(self.frames):
            outside = {seat: self._recorded(seat, frame) for seat in batch.outside}
            turn = batch.turn(outside, record=record)
            happened = turn.events.copy()
            happened["frame"] = frame + 1
            announced.append(happened)
            alive[:, frame + 2 :] &= ~batch.over[:, None]
        record(batch.view, {})
        stacked = {key: np.stack([row[key] for row in rows], 1) for key in self.schema.columns}
        forfeits = sum(int(referee.lost.sum()) for referee in batch.referees.values())
        first = int(alive[0].sum())
        return _Branch(
            title,
            way,
            totals_of(self.game, stacked, alive, self.player, np.concatenate(announced)),
            {key: values[0, :first] for key, values in stacked.items()},
            forfeits,
        )

    def _recorded(self, seat: int, frame: int) -> Columns:
        """Recorded controls of a seat, [N, slots a player]; nothing after the recording."""
        found = {}
        for key in self.schema.control_keys:
            each = self.schema.columns[key].slots // self.schema.players
            values = self.moment.future[key][min(frame, self.moment.frames)]
            values = values[seat * each : (seat + 1) * each]
            pressed = values if frame < self.moment.frames else np.zeros_like(values)
            found[key] = np.repeat(pressed[None], self.world.matches, axis=0)
        return found


# ---- inside --------------------------------------------------------------------------------------


def _parsed(where: str) -> tuple[Store, int, int]:
    parts = re.fullmatch(r"(.+)#(\d+):(\d+)", where)
    if parts is None:
        raise UsageError(
            f"--what-if {where}: expected STORE#EPISODE:FRAME, such as data/brawl#12:300"
        )
    return Store(Path(parts[1])), int(parts[2]), int(parts[3])


def _moment(store: Store, number: int, frame: int, where: str, schema: Schema) -> _Moment:
    episode = store.episode(number)
    if frame >= episode.frames:
        raise UsageError(
            f"--what-if {where}: episode {number} has {episode.frames} decisions, in the rows 0 to "
            f"{episode.frames - 1}"
        )
    if absent := [key for key in episode.absent if key in schema.state_keys]:
        raise UsageError(
            f"--what-if {where}: {absent[0]} is absent from this recording, so it cannot be gone on "
            "from; choose another"
        )
    last = frame + round(SECONDS[-1] * schema.fps)
    columns = episode.columns
    return _Moment(
        where,
        number,
        frame,
        {key: columns[key][max(frame - PAST, 0) : frame + 1] for key in schema.columns},
        {key: columns[key][frame : last + 1] for key in schema.columns},
    )


def _remarks(moment: _Moment, against: str | None, schema: Schema) -> list[str]:
    found = []
    if against is None:
        found.append(
            "the opponent presses what was recorded, and does not react to anything new; "
            "--against AGENT lets it react"
        )
    if moment.frames < round(SECONDS[-1] * schema.fps):
        found.append(
            f"the recording ends {moment.frames / schema.fps:.1f} s after the moment; "
            "from there on the recorded controls press nothing"
        )
    return found


def _simulator(
    game: Game, store: Store, config: EvalConfig, spec: str
) -> list[tuple[str, Callable[[int], World]]]:
    """The game's simulator with the options of the recording, unless it is the world in question."""
    if game.world is None:
        return []
    try:
        playable = playable_world(game, store, config)
    except ShadowboxError:  # recorded in a world of another kind, whose code is not run
        playable = None
    if playable is None or playable[0].startswith(("dream:", "py:")):
        playable = game.name, specs.world_factory(game.name, game)
    return [] if playable[0] == spec or spec == game.name else [playable]


def _truth(game: Game, moment: _Moment, player: int) -> _Branch:
    """Totals of the recording itself, held after its end."""
    rows = {key: values[None] for key, values in moment.future.items()}
    alive = np.ones((1, moment.frames + 1), bool)
    events = no_events()
    if game.events is None:  # announced by the world of the recording
        store = Store(Path(moment.where.rpartition("#")[0]), game.schema)
        events = store.events_of(moment.episode).copy()
        events["frame"] -= moment.frame
        events["match"] = 0
    totals = totals_of(game, rows, alive, player, events)
    return _Branch("the recording", RECORDED, totals, moment.future)
