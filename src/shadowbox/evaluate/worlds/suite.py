"""Evaluation of a world: violations, skill, couplings, events, controls, distributions, guards.

evaluate_world("dream:runs/w", "data/brawl") -> _WorldEvaluation
    .stages    the parts of the gate, in their order; the gate is passed if all are
    .report()  the content of `shadowbox eval --json`, also stored beside a checkpoint

A world predicts from recorded moments, with the recorded controls. Nothing that it announces about
itself is used: events and contradictions are derived from its rows (Game.events, Game.couplings),
as they are from the recorded rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.evaluation import FILE, EvaluationReport
from shadowbox.core.files import write_whole
from shadowbox.core.game import Game, World
from shadowbox.core.schema import Array, Choice, Flag
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate.setup import EvalConfig, game_of_store, playable_world
from shadowbox.evaluate.worlds import baselines, controls, passes, skill
from shadowbox.evaluate.worlds.distributions import _Histograms, calibration
from shadowbox.evaluate.worlds.events import events_of, masks_of, score_events
from shadowbox.evaluate.worlds.findings import _Findings, _Rate
from shadowbox.evaluate.worlds.gate import _Stage, judge
from shadowbox.evaluate.worlds.report import report_of
from shadowbox.evaluate.worlds.rollouts import BLOCK, _Predictor
from shadowbox.evaluate.worlds.starts import CONTEXT, SHORT, _Starts, draw_starts, is_world_spec
from shadowbox.play import checkpoints, specs

HORIZONS = (1, 2, 5, 10, 20, 60, 300)
GATED = SHORT  # the longest horizon at which skill is judged
SHOWN = 3  # starts whose predictions are kept for the page
SETTLED = 60  # frames after which distributions count, if predictions are twice as long
Report = Callable[[str, int, int], None]  # what, done, total


@dataclass(frozen=True)
class _WorldEvaluation:
    """Measurements of one world on one store, and its gate."""

    found: _Findings
    stages: Sequence[_Stage]

    def report(self) -> EvaluationReport:
        """The report that is printed and stored."""
        return report_of(self.found, self.stages)

    def metrics(self) -> dict[str, float]:
        """Flat numbers by name, for targets of cards."""
        return self.report().metrics()

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return self.report().to_json()


def evaluate_world(
    checkpoint: str | Path,
    store: str | Path | None,
    settings: EvalConfig | None = None,
    *,
    game: Game | None = None,
    progress: Report | None = None,
) -> _WorldEvaluation:
    """Evaluate a world on recordings: a world's spec, a run, or a checkpoint's folder.

    The report is written beside a checkpoint.
    """
    settings = settings or EvalConfig()
    if store is None:
        raise UsageError("the evaluation of a world needs recordings: name a store")
    data = Store(store)
    game = game or game_of_store(data)
    spec, folder, factory = world_of_name(str(checkpoint), game, data, settings)
    split = settings.split or (checkpoints.trained_split(folder)[0] if folder else None)
    return evaluate_built(
        factory, spec, data, game, settings, folder=folder, split=split, progress=progress
    )


def world_of_name(
    name: str, game: Game, data: Store, settings: EvalConfig
) -> tuple[str, Path | None, Callable[[int], World]]:
    """Spec, checkpoint and factory of a world that is named by its spec, a run or a checkpoint.

    The game's own simulator has the options that the store was recorded with.
    """
    spec = name if is_world_spec(name, game) else f"dream:{name}"
    if spec == game.name and (playable := playable_world(game, data, settings)) is not None:
        return spec, None, playable[1]
    return spec, checkpoints.folder_of_spec(spec, game), specs.world_factory(spec, game)


def evaluate_built(
    factory: Callable[[int], World],
    spec: str,
    data: Store,
    game: Game,
    settings: EvalConfig,
    *,
    folder: Path | None = None,
    split: Split | None = None,
    progress: Report | None = None,
) -> _WorldEvaluation:
    """Evaluate the world that `factory(matches)` builds; `spec` names it in the report."""
    report = progress or (lambda what, done, total: None)
    held, others = _episodes(data, split or settings.split or Split(), settings)
    reach, done = settings.frames, _Progress(report)
    horizons = tuple(h for h in HORIZONS if h <= reach)
    starts = draw_starts(data, held, game, settings.starts, reach, settings.seed)
    world = _Predictor(factory, game, min(BLOCK, settings.starts * settings.samples))
    table = baselines._LookUp(game.schema, horizons, skill.scored_keys(game.schema)).fit(
        data, others
    )
    histograms = _Histograms(game, starts.episodes, SETTLED if reach >= 2 * SETTLED else 1)
    recorded = None if game.events is None else events_of(game, starts.future, starts.valid)
    histograms.add_recorded(starts.future, starts.valid, np.arange(starts.number), recorded)
    future = passes.predict_future(
        game, world, starts, horizons, settings.samples, histograms, settings.seed,
        done("predicting"), _busiest(game, starts, recorded),
    )  # fmt: skip
    if (simulator := _simulator(game, data, settings, world.world.matches)) is not None:
        passes.count_moved(game, simulator, starts, histograms, settings.seed)
    found = _measure(game, starts, future, horizons, settings, table)
    if recorded is not None:
        one = passes.predict_next(game, world, starts, settings.seed, done("one frame ahead"))
        found |= _event_scores(game, starts, future, one, recorded, settings)
    found |= _controls(game, world, simulator, starts, settings)
    findings = _Findings(
        spec=spec,
        checkpoint=folder,
        store=Path(data.path),
        game=game,
        starts=starts,
        rates=_rates(game, data, held, future),
        violations=future.violations,
        projected=world.projected,
        frames=world.frames,
        distances=histograms.distances(),
        shown=future.shown,
        facts=_facts(data, held, others, starts, horizons, settings, world, future),
        **found,
    )
    result = _WorldEvaluation(findings, judge(findings))
    if folder is not None and str(folder) not in game.worlds.values():  # those stay as they came
        _keep(result, folder)
    return result


def _keep(result: _WorldEvaluation, folder: Path) -> None:
    text = json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n"
    write_whole(folder / FILE, text.encode())


# ---- inside --------------------------------------------------------------------------------------


class _Progress:
    """Progress of the passes, each from zero."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def __call__(self, what: str) -> Callable[[int, int], None]:
        """Function that adds finished parts of a pass."""
        sums = [0]

        def add(done: int, total: int) -> None:
            sums[0] += done
            self.report(what, sums[0], total)

        return add


def _busiest(game: Game, starts: _Starts, recorded: Array | None) -> Array:
    """Starts to show: of SHOWN episodes the one with most hits before the match ends."""
    counts = starts.valid.sum(1).astype(float)
    if recorded is not None and "hit" in game.event_kinds:
        hits = recorded["match"][recorded["kind"] == game.event_kinds.index("hit")]
        counts += 1e3 * np.bincount(hits, minlength=starts.number)
    best = sorted(range(starts.number), key=lambda start: -counts[start])
    chosen: dict[int, int] = {}
    for start in best:
        chosen.setdefault(int(starts.episodes[start]), start)
    return np.array(list(chosen.values())[:SHOWN])


def _episodes(data: Store, split: Split, settings: EvalConfig) -> tuple[list[int], list[int]]:
    """Episodes to evaluate on, and episodes on which the look-up table is counted."""
    side = split.episodes(data, settings.side).tolist()
    held = [episode for episode in side if not _lacking(data, episode)][: settings.most]
    if len(held) < 2:
        lacking = {key for episode in side for key in _lacking(data, episode)}
        raise UsageError(
            f"{data.path}: {len(side)} of its {len(data)} episodes are on the side "
            f"'{settings.side}'"
            + (f", of which {len(held)} have all of {', '.join(sorted(lacking))}" * bool(lacking))
            + "; intervals need at least two: record more, or choose another side"
        )
    others = sorted(set(range(len(data))) - set(held))
    others = [episode for episode in others if not _lacking(data, episode)]
    return held, others or held


def _lacking(data: Store, episode: int) -> frozenset[str]:
    """Columns that a world predicts and a recording does not have; zeros take their place."""
    return data.absent_in(episode) & set(skill.scored_keys(data.schema))


def _measure(
    game: Game,
    starts: _Starts,
    future: passes._Future,
    horizons: tuple[int, ...],
    settings: EvalConfig,
    table: baselines._LookUp,
) -> dict[str, Any]:
    """Skill, changes, calibration and frozen fields."""
    schema = game.schema
    errors = skill.errors(
        schema, starts.rows, starts.valid, starts.episodes, future.at, horizons, table
    )
    changed, gaps = {}, {}
    for h, horizon in enumerate(horizons):
        valid = starts.valid[:, horizon]
        truth = {key: starts.rows[key][:, CONTEXT + horizon] for key in future.at}
        for key in future.at:
            if isinstance(schema.columns[key].field, Choice | Flag):
                was = starts.rows[key][:, CONTEXT + horizon - 1]
                said = future.before[key][:, :, h], future.at[key][:, :, h]
                changed[key, horizon] = passes.changes((was, truth[key]), said, valid)
        drawn = {key: values[:, :, h] for key, values in future.at.items()}
        if horizon in (1, GATED):
            for key, gap in calibration(schema, truth, drawn, valid).items():
                gaps[key, horizon] = gap
    return {
        "skills": skill.skills(schema, errors, GATED, settings.seed),
        "changes": changed,
        "calibration": gaps,
        "frozen": _frozen(starts, future, horizons),
    }


def _frozen(starts: _Starts, future: passes._Future, horizons: tuple[int, ...]) -> list[str]:
    """Fields that move in recordings (in 1 of 100 starts) and never in the world's predictions."""
    h = max(number for number, horizon in enumerate(horizons) if horizon <= GATED)
    valid = starts.valid[:, horizons[h]]
    found = []
    for key, values in future.at.items():
        now = starts.rows[key][valid][:, CONTEXT]
        true = starts.rows[key][valid][:, CONTEXT + horizons[h]]
        moves = (true != now).any(-1).mean() >= 0.01
        if moves and not (values[valid][:, :, h] != now[:, None]).any():
            found.append(key)
    return found


def _event_scores(
    game: Game,
    starts: _Starts,
    future: passes._Future,
    one: passes._OneStep,
    recorded: Any,
    settings: EvalConfig,
) -> dict[str, Any]:
    """Event scores one frame ahead, and inside of SHORT frames of predictions."""
    early = recorded[recorded["frame"] <= SHORT]
    place = np.full(starts.number, -1)
    place[one.chosen] = np.arange(len(one.chosen))
    next_true = early[place[early["match"]] >= 0].copy()
    next_true["match"] = place[next_true["match"]]
    kinds, episodes = game.event_kinds, starts.episodes
    said = future.events[future.events["frame"] <= SHORT]
    return {
        "one_step": score_events(next_true, one.events, episodes[one.chosen], kinds),
        "inside": score_events(early, said, episodes, kinds, samples=settings.samples),
    }


def _simulator(game: Game, data: Store, settings: EvalConfig, matches: int) -> _Predictor | None:
    """The game's simulator, as the recordings were made in it; None without one."""
    playable = playable_world(game, data, settings) if game.world is not None else None
    return None if playable is None else _Predictor(playable[1], game, matches)


def _controls(
    game: Game,
    world: _Predictor,
    simulator: _Predictor | None,
    starts: _Starts,
    settings: EvalConfig,
) -> dict[str, Any]:
    """Effects of controls beside those in the true simulator, and of shuffled controls."""
    effects = None
    if simulator is not None:
        effects = controls.control_effects(game, world, simulator, starts, settings.seed)
    return {
        "effects": effects,
        "shuffled": controls.shuffled_loss(game, world, starts, SHORT, settings.seed),
        **({} if game.events is not None else {"one_step": {}, "inside": {}}),
    }


def _rates(
    game: Game, data: Store, held: Sequence[int], future: passes._Future
) -> dict[str, _Rate]:
    """Contradictions per player and frame, beside those of all held-out recordings."""
    if game.couplings is None:
        return {}
    real: dict[str, int] = {}
    steps = 0
    for episode in held:
        rows = game.schema.unpack(data.rows_of(episode), game.schema.state_keys)
        wide = {key: values[None] for key, values in rows.items()}
        valid = np.ones((1, len(next(iter(rows.values())))), bool)
        sums, counted = masks_of(game.couplings, wide, valid)
        steps += int(counted.sum())
        for name, each in sums.items():
            real[name] = real.get(name, 0) + int(each.sum())
    players = game.schema.players
    return {
        name: _Rate(count / max(future.steps * players, 1), real[name] / max(steps * players, 1))
        for name, count in future.contradictions.items()
    }


def _facts(
    data: Store,
    held: Sequence[int],
    others: Sequence[int],
    starts: _Starts,
    horizons: tuple[int, ...],
    settings: EvalConfig,
    world: _Predictor,
    future: passes._Future,
) -> dict[str, Any]:
    """Conditions of the evaluation."""
    return {
        "world": world.world.name,
        "episodes": len(held),
        "episodes_without_all_columns": sum(bool(_lacking(data, e)) for e in range(len(data))),
        "starts": starts.number,
        "samples": settings.samples,
        "horizons": list(horizons),
        "frames": world.frames,
        "ended_early": future.ended,
        "side": settings.side,
        "seed": settings.seed,
        "look_up_episodes": min(len(others), baselines.MOST_EPISODES),
        "look_up_sees_evaluation": others == held,
        "fingerprint": data.fingerprint,
    }
