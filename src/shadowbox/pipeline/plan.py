"""Plan of a pipeline: its stages, the steps of its trainings, and an estimate of every part.

A few recordings are read, or matches played, and a few steps of each training are taken on them in
a temporary folder. Steps that the settings leave open fill the minutes that the other stages leave.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json, write_whole
from shadowbox.core.game import Game
from shadowbox.errors import UsageError
from shadowbox.pipeline.config import MATCH_FRAMES, _PipelineConfig
from shadowbox.pipeline.probe import _Probe, probe

NAME = "plan.json"
STAGES = (
    "recordings", "audit", "policy", "policy-report", "world", "world-report", "matches", "report",
)  # fmt: skip
SHAPE = {
    "game": str, "paths": [str], "config": dict, "seconds": {str: float}, "what": {str: str},
    "pairings": [list], "opponents": [str], "known": dict,
}  # fmt: skip
# seconds of a decision that is judged, and of a frame that is predicted, in seconds of a decision of a
# training step; measured on melee and on brawl
JUDGED, PREDICTED = 3.0, 3.0
STARTED = 8.0  # seconds for imports, and for the tables that trainings count first
FEWEST = 20  # steps of a training
MATCHES = 0.25  # of the minutes, for matches in a learned world, if these are to be shorter
SHORTEST_MATCH = 120  # frames


@dataclass(frozen=True)
class _Plan:
    """Stages of a pipeline with seconds and words for each, and settings without open steps."""

    game: str
    paths: tuple[str, ...]
    config: _PipelineConfig
    seconds: Mapping[str, float]
    what: Mapping[str, str]
    pairings: tuple[tuple[str, str, int], ...]  # that a game without recordings plays
    opponents: tuple[str, ...]  # of the policy's matches
    known: Mapping[str, Any]  # numbers of files, bytes and frames

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data that `of` accepts."""
        return {
            **{each.name: getattr(self, each.name) for each in dataclasses.fields(self)},
            "config": self.config.to_json(),
        }

    @staticmethod
    def of(data: Mapping[str, Any]) -> _Plan:
        """Plan from the data of `to_json`."""
        return _Plan(
            data["game"],
            tuple(data["paths"]),
            _PipelineConfig.of(data["config"]),
            data["seconds"],
            data["what"],
            tuple((str(a), str(b), int(n)) for a, b, n in data["pairings"]),
            tuple(data["opponents"]),
            data["known"],
        )

    def write(self, out: Path) -> None:
        """Write the plan into the folder of the pipeline."""
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / NAME, json.dumps(self.to_json(), indent=1).encode())


def read_plan(out: Path) -> _Plan | None:
    """Plan of the pipeline in a folder; None if there is none."""
    try:
        return _Plan.of(read_json(out / NAME, SHAPE, hint="remove the folder to begin anew"))
    except FileNotFoundError:
        return None


def make_plan(
    game: Game,
    name: str,
    paths: Sequence[str],
    config: _PipelineConfig,
    say: Callable[[str], None],
) -> _Plan:
    """Plan of a new pipeline; `name` is that of the game as given."""
    _require_stages(game)
    say("planning: a few recordings are read and a few steps are timed")
    pairings, opponents = _players(game, config)
    found = probe(game, [Path(path) for path in paths], pairings, config)
    config = _with_match_frames(game, config, found, len(opponents))
    seconds = _seconds(found, config, opponents, game)
    left = 60 * config.minutes - sum(seconds.values())
    config, training = _with_steps(config, found, left)
    seconds = {stage: round({**seconds, **training}[stage], 1) for stage in STAGES}
    return _Plan(
        name,
        tuple(paths),
        config,
        seconds,
        _words(game, config, found, pairings, opponents),
        tuple(pairings),
        tuple(opponents),
        found.known,
    )


def _require_stages(game: Game) -> None:
    for learner in ("imitation", "dynamics"):
        if learner not in game.learns_by:
            raise UsageError(
                f"a pipeline trains a policy and a world, and {game.name} has no learner "
                f"'{learner}': train and evaluate it with `shadowbox train` and `shadowbox eval`"
            )
    if game.reader is None and game.world is None:
        raise UsageError(f"{game.name} has neither a reader of recordings nor a simulator")


def _players(game: Game, config: _PipelineConfig) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Pairings to record, and opponents of the trained policy.

    The strongest bot demonstrates, against the next ones and against random keys.
    """
    if game.reader is not None:
        return [], ["random", "neutral"]
    best, *others = strongest_bots(game)
    count = max(1, config.record_matches // (len(others) + 1))
    return [(best, other, count) for other in (*others, "random")], [best, *others]


def strongest_bots(game: Game, most: int = 4) -> list[str]:
    """The bots with the highest rating in a short tournament, the strongest first.

    Held-out bots take no part.
    """
    from shadowbox.evaluate.tournament import TournamentSpec, tournament

    bots = tuple(name for name in game.bots if name not in game.held_out)
    if len(bots) < 2:
        return [*bots, "random", "neutral"][:2]
    plan = TournamentSpec(game.spec or game.name, bots, matches=4)
    return [row["agent"] for row in tournament(game, plan)["ratings"]][:most]


def _with_match_frames(
    game: Game, config: _PipelineConfig, found: _Probe, opponents: int
) -> _PipelineConfig:
    """Settings in which matches of a learned world take at most a quarter of the minutes."""
    if game.world is not None or config.match_frames:
        return config
    a_frame = found.played_s * config.matches * opponents  # of all matches
    frames = int(60 * config.minutes * MATCHES / a_frame)
    return dataclasses.replace(config, match_frames=min(MATCH_FRAMES, max(SHORTEST_MATCH, frames)))


def _seconds(
    found: _Probe, config: _PipelineConfig, opponents: Sequence[str], game: Game
) -> dict[str, float]:
    """Seconds of all stages but the trainings."""
    judged = found.frames_an_episode * min(config.judged_episodes, max(1, found.episodes // 5))
    predicted = 2 * config.starts * config.frames
    learned = game.world is None
    frames = config.most_frames(learned=learned) or found.frames_an_episode
    played = frames * found.played_s * config.matches
    policy, world = found.decision_s["policy"], found.decision_s["world"]
    return {
        "recordings": found.frames * found.read_s / (config.workers if game.reader else 1),
        "audit": found.frames * found.audit_s + 1,
        "policy-report": STARTED + JUDGED * policy * judged + (0.0 if learned else played),
        "world-report": STARTED + PREDICTED * world * predicted,
        "matches": STARTED / 2 + played * len(opponents),
        "report": 1.0,
    }


def _with_steps(
    config: _PipelineConfig, found: _Probe, left: float
) -> tuple[_PipelineConfig, dict[str, float]]:
    """Settings with the steps of both trainings, which share the seconds that are left."""
    given = {"policy": config.policy_steps, "world": config.world_steps}
    own = {name: found.step_s[name] * steps for name, steps in given.items() if steps}
    open_ones = [name for name, steps in given.items() if not steps]
    rest = max(0.0, left - sum(own.values())) / max(1, len(open_ones))
    steps = {
        name: given[name] or max(FEWEST, math.floor((rest - STARTED) / found.step_s[name]))
        for name in given
    }
    settled = dataclasses.replace(config, policy_steps=steps["policy"], world_steps=steps["world"])
    return settled, {name: STARTED + steps[name] * found.step_s[name] for name in steps}


def _words(
    game: Game,
    config: _PipelineConfig,
    found: _Probe,
    pairings: Sequence[tuple[str, str, int]],
    opponents: Sequence[str],
) -> dict[str, str]:
    """A line about each stage."""
    source = (
        f"{found.known['files']:,} files, about {found.frames:,.0f} frames, are read"
        if game.reader
        else f"{sum(count for *_, count in pairings):,} matches of {pairings[0][0]} are recorded"
    )
    where = game.name if game.world is not None else "the learned world"
    return {
        "recordings": source,
        "audit": "fields, presses and what predicting nothing scores",
        "policy": f"a policy imitates the players, {config.policy_steps:,} steps",
        "policy-report": "the policy on held-out recordings, beside baselines",
        "world": f"a world learns the next frame, {config.world_steps:,} steps",
        "world-report": "the world on held-out recordings, beside baselines",
        "matches": f"{config.matches} matches against each of {', '.join(opponents)} in {where}",
        "report": "one page about all of it",
    }
