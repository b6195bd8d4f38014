"""Evaluation of a policy: offline on recorded frames, in play, and by the behavior gate.

evaluate("runs/x", "data/brawl") -> Evaluation
    .offline, .closed_loop    name -> Figure (core/metrics.py lists them)
    .gate                     does the policy press like its demonstrators?
    .report()                 the content of `shadowbox eval --json`, also stored beside the
                              checkpoint (core/evaluation.py)
    .metrics()                flat `eval/...` numbers, for the targets of run cards
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.core.evaluation import FILE, EvaluationReport, Figure
from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate import closed_loop, gate, recorded, sessions
from shadowbox.evaluate.gate import GateResult
from shadowbox.evaluate.offline import Answers, figures, onset_timing, reliability_curves
from shadowbox.evaluate.recorded import ControlLookup, SeatData
from shadowbox.evaluate.setup import (
    EvalConfig,
    EvaluatedPolicy,
    has_player,
    held_out_episodes,
    load_evaluated_policy,
    playable_world,
    require_playable,
)
from shadowbox.evaluate.worlds.verdict import gate_of_world
from shadowbox.play import checkpoints, specs

if TYPE_CHECKING:
    from shadowbox.core.schema import Array, Schema
    from shadowbox.model.policy import Policy
    from shadowbox.play.match import PlayedMatch

Report = Callable[[str, int, int], None]  # what, done, total
TaskProgress = Callable[[str], Callable[[int, int], None] | None]  # of what is done -> its progress


@dataclass(frozen=True)
class Evaluation:
    """Figures, gate and clips of one checkpoint."""

    checkpoint: Path
    store: Path
    game: Game
    how: str  # the presses were obtained
    offline: Mapping[str, Figure]
    closed_loop: Mapping[str, Figure]
    gate: GateResult
    asked: Answers  # what it answered at recorded frames
    curves: Mapping[str, Array]  # button -> reliability, sums in bins [3, bins]
    timing: Mapping[str, Array]  # of the policy ("") and the look-up table: `offline.onset_timing`
    shown: Sequence[PlayedMatch] = ()
    real: Sequence[int] = ()  # episodes to show beside them
    facts: Mapping[str, Any] = field(default_factory=dict)
    press_logits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by button

    @property
    def in_play(self) -> bool:
        """True if its own controls were its history, in matches or in recorded sessions.

        Otherwise it is asked one frame ahead.
        """
        return bool(self.facts.get("world") or self.facts.get("by_person"))

    def report(self) -> EvaluationReport:
        """The report that is printed and stored."""
        return EvaluationReport(
            "policy",
            _spec_of(self.checkpoint),
            str(self.store),
            self.gate.report(),
            {**self.offline, **self.closed_loop, **self.gate.figures()},
            {
                "checkpoint": str(self.checkpoint),
                "game": self.game.name,
                **self.facts,
                "press_logits": dict(self.press_logits),
                "closed_loop_is" if self.in_play else "one_frame_ahead": self.how,
            },
        )

    def metrics(self) -> dict[str, float]:
        """Flat numbers by name, for targets of cards."""
        return self.report().metrics()

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return self.report().to_json()


def evaluate(
    checkpoint: str | Path,
    store: str | Path,
    settings: EvalConfig | None = None,
    *,
    game: Game | None = None,
    progress: Report | None = None,
) -> Evaluation:
    """Evaluate a checkpoint (a run, `RUN@step=N`, or a checkpoint's folder) on a store.

    The report is written beside the checkpoint.
    """
    from shadowbox.evaluate.press_logits import press_logits

    settings, progress_of = settings or EvalConfig(), _progress_by_task(progress)
    subject = load_evaluated_policy(str(checkpoint), Store(store), settings, game)
    require_playable(subject.game, subject.store, settings)
    data_seats = _load_data(subject, settings)
    table = ControlLookup(subject.schema, data_seats.counted)
    seats_to_play = _seats_to_play(subject, data_seats.episodes, settings)
    everybody = _asked(subject, data_seats.seats, table, settings, progress_of)
    found_logits = press_logits(
        subject.policy,
        data_seats.seats,
        everybody[""].answers,
        subject.temperatures(settings),
    )
    games = _played(subject, seats_to_play, table, settings, progress_of) if seats_to_play else {}
    replayed = sessions.replayed(subject, data_seats.seats, settings, progress_of("replaying"))
    behavior = (
        sessions.behavior(subject.schema, everybody, replayed)
        if replayed
        else _behaved(subject.schema, data_seats, everybody, games, settings)
    )
    closed, ratios = closed_loop.figures(behavior, states=bool(games))
    if replayed:
        closed |= replayed.figures()
    result = Evaluation(
        subject.folder,
        Path(store),
        subject.game,
        behavior.how,
        figures(everybody, settings.tolerance),
        {**closed, **(closed_loop.win_rates(games) if games else {})},
        gate.check_gate(subject.schema, behavior.play, behavior.data, ratios, behavior.baselines),
        everybody[""],
        reliability_curves(everybody[""]),
        {name: onset_timing(everybody[name]) for name in ("", "look_up")},
        games[""].shown if games else (),
        data_seats.episodes[:4],
        _facts(subject, data_seats, seats_to_play, settings)
        | ({"by_person": replayed.by_person()} if replayed else {}),
        found_logits,
    )
    write_whole(
        subject.folder / FILE,
        (json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n").encode(),
    )
    return result


# ---- inside --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _EvaluationData:
    """Seats to evaluate on, and seats that the look-up table is counted on."""

    episodes: list[int]
    seats: list[SeatData]
    counted: list[SeatData]

    def for_policy(self, policy: Policy) -> _EvaluationData:
        """The same seats with the controls and stick positions that the policy has."""
        from shadowbox.evaluate.answers import with_vocabulary_places

        seats, counted = self.seats, self.counted
        if policy.config.output_controls:
            seats, counted = (
                [recorded.select_controls(seat, policy.values.sources) for seat in some]
                for some in (seats, counted)
            )
        return replace(
            self,
            seats=with_vocabulary_places(policy, seats),
            counted=with_vocabulary_places(policy, counted),
        )


def _load_data(subject: EvaluatedPolicy, settings: EvalConfig) -> _EvaluationData:
    store, policy = subject.store, subject.policy
    everyone = [
        episode for episode in range(len(store)) if has_player(subject, settings.player, episode)
    ]
    chosen = sorted(set(everyone) & set(held_out_episodes(subject, settings.side)))[: settings.most]
    if len(chosen) < 2:
        whose = f"{len(everyone)} episodes" + (
            f" of '{settings.player}'" if settings.player else ""
        )
        raise UsageError(
            f"{store.path}: {len(chosen)} of its {whose} are on the side '{settings.side}'; "
            "intervals need at least two: record more, or choose another side"
        )
    others = sorted(set(everyone) - set(chosen))[: 2 * settings.most]
    if not others:
        raise UsageError(
            f"{store.path}: all episodes are evaluated on; none is left for the look-up table"
        )
    seats, counted = (
        list(recorded.load_seats(store, some, subject.players, settings.player, by_person=whole))
        for some, whole in ((chosen, subject.by_person), (others, False))
    )
    return _EvaluationData(chosen, seats, counted).for_policy(policy)


def _seats_to_play(
    subject: EvaluatedPolicy, episodes: Sequence[int], settings: EvalConfig
) -> list[closed_loop.RecordedSeat]:
    game, store = subject.game, subject.store
    if playable_world(game, store, settings) is None:
        return []
    seats = partial(
        closed_loop.recorded_seats, game, store, episodes, subject.players, settings.to_play
    )
    found = seats(settings.against, settings.player)
    if not found and settings.world:  # recorded among people: it plays itself
        found = seats(f"policy:{subject.name}", settings.player)
    if not found:
        raise UsageError(
            f"{store.path}: no opponent in its episodes can be called by name; name one: --against SPEC"
        )
    return found


def _asked(
    subject: EvaluatedPolicy,
    seats: Sequence[SeatData],
    table: ControlLookup,
    settings: EvalConfig,
    progress_of: TaskProgress,
) -> dict[str, Answers]:
    """Predictions of the policy (named "") and of the baselines for the same frames."""
    from shadowbox.evaluate.answers import answer_seats
    from shadowbox.play.policy_agent import TUNED

    tuned = settings.threshold == TUNED
    if tuned and playable_world(subject.game, subject.store, settings) is None:
        raise UsageError(
            f"{subject.game.name} has no simulator to play in by tuned thresholds: give a number"
        )
    temperatures = subject.temperatures(settings)
    limit = None if tuned else settings.threshold
    answers = answer_seats(
        subject.policy,
        seats,
        progress_of("predicting"),
        temperature=temperatures,
        threshold=limit,
        player=settings.player,
    )
    others = {
        "copy_last": table.copy_last,
        "never_press": recorded.never_press,
        "rate": table.usual,
        "look_up": table.look_up,
    }
    return {"": answers} | {
        name: Answers(seats, [say(seat) for seat in seats]) for name, say in others.items()
    }


def _played(
    subject: EvaluatedPolicy,
    seats_to_play: Sequence[closed_loop.RecordedSeat],
    table: ControlLookup,
    settings: EvalConfig,
    progress_of: TaskProgress,
) -> dict[str, closed_loop._PlayedSeats]:
    """The same matches played by the policy, by its demonstrator if known, and by two baselines."""
    from shadowbox.play.policy_agent import PolicyAgent, SamplingConfig

    game, world = subject.game, playable_world(subject.game, subject.store, settings)
    assert world is not None
    make_world = world[1]
    sampling = SamplingConfig(settings.temperature, settings.threshold, settings.player)
    agent = PolicyAgent(subject.policy, sampling, calibration=subject.found.calibration)
    games = {
        "": closed_loop.play_in(
            game, seats_to_play, agent, f"policy:{subject.name}", make_world, progress_of("playing")
        )
    }
    players: dict[str, Any] = {
        "never_press": closed_loop._NeutralAgent(game.schema),
        "look_up": closed_loop._LookUpAgent(game.schema, table),
    }
    for who, player in players.items():
        games[who] = closed_loop.play_in(
            game, seats_to_play, player, who, make_world, progress_of(f"playing {who}")
        )
    games["copy_last"] = games["never_press"]  # it begins no press, so there is never one to repeat
    if all(
        seat.demonstrator and closed_loop.is_agent_spec(game, seat.demonstrator)
        for seat in seats_to_play
    ):
        games["demonstrator"] = closed_loop.play_demonstrators(
            game, seats_to_play, make_world, progress_of("playing its demonstrator")
        )
    return games


def _behaved(
    schema: Schema,
    data_seats: _EvaluationData,
    everybody: Mapping[str, Answers],
    games: Mapping[str, closed_loop._PlayedSeats],
    settings: EvalConfig,
) -> closed_loop.ClosedLoopCounts:
    """Press counts in play, or one frame ahead if the game cannot be played."""
    if games:
        return closed_loop.counts_in_play(schema, [*data_seats.seats, *data_seats.counted], games)
    return closed_loop.counts_one_frame_ahead(schema, everybody, _how_sampled(settings))


def _facts(
    subject: EvaluatedPolicy,
    data_seats: _EvaluationData,
    seats_to_play: Sequence[closed_loop.RecordedSeat],
    settings: EvalConfig,
) -> dict[str, Any]:
    """Conditions of the evaluation."""
    from shadowbox.evaluate.answers import control_bins

    return {
        "step": subject.found.step,
        "episodes": len(data_seats.episodes),
        "episodes_of_data": len(data_seats.episodes)
        + len({seat.episode for seat in data_seats.counted}),
        "side": settings.side,
        "split": str(subject.split),
        "samples": len({seat.sample for seat in data_seats.seats}),  # that intervals resample
        "seats": list(subject.players),
        "player": settings.player or None,
        "matches": sum(len(seat.seeds) for seat in seats_to_play),
        "world": _world_name(subject, seats_to_play, settings),
        "opponents": (met := sorted({seat.opponent for seat in seats_to_play})),
        "held_out": specs.held_out(met, subject.game),
        "tolerance": settings.tolerance,
        "sampling": _how_sampled(settings),
        "temperatures": dict(
            zip(
                (part.name for part in subject.policy.head.parts),
                subject.temperatures(settings),
                strict=True,
            )
        ),
        "fingerprint": subject.store.fingerprint,
        "controller_bins": control_bins(subject.policy),
        "world_gate": gate_of_world(_world_name(subject, seats_to_play, settings), subject.game),
    }


def _spec_of(checkpoint: Path) -> str:
    """Spec of the evaluated agent: `policy:RUN@step=N`, or its folder."""
    run = checkpoint.parent.parent
    if checkpoint.parent.name == checkpoints.FOLDER:
        return f"policy:{run}@step={int(checkpoint.name)}"
    return f"policy:{checkpoint}"


def _world_name(
    subject: EvaluatedPolicy,
    seats_to_play: Sequence[closed_loop.RecordedSeat],
    settings: EvalConfig,
) -> str | None:
    """Spec of the world of the closed loop; None without one."""
    world = playable_world(subject.game, subject.store, settings)
    return world[0] if world and seats_to_play else None


def _progress_by_task(progress: Report | None) -> TaskProgress:
    def progress_of(what: str) -> Callable[[int, int], None] | None:
        return (lambda done, total: progress(what, done, total)) if progress else None

    return progress_of


def _how_sampled(settings: EvalConfig) -> str:
    from shadowbox.play.policy_agent import TUNED

    if settings.threshold == TUNED:
        return "by thresholds of its own"
    if settings.threshold is not None:
        return f"by the threshold {settings.threshold:g}"
    return f"drawn at temperature {settings.temperature:g}"
