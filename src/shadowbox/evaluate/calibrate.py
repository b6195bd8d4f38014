"""Calibration of a checkpoint: temperatures, thresholds and offsets, fitted on a store.

Saved in its config. Fitted on recorded sessions, except for the temperature of play, which is fitted in play.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from shadowbox.core.game import Game
from shadowbox.core.schema import Array, Columns, Schema
from shadowbox.core.stats import halves
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate import closed_loop, gate, recorded
from shadowbox.evaluate.answers import SEATS, answer_seats, walk
from shadowbox.evaluate.calibration import (
    PLAYED_AT,
    TEMPERATURES,
    Calibration,
    PlayTemperatureFit,
    ThresholdFit,
    _OffsetFit,
    _TemperatureFit,
    fit_offset,
    fit_play_temperature,
    fit_temperature,
    fit_threshold,
)
from shadowbox.evaluate.policy import Report
from shadowbox.evaluate.press_counts import count_presses
from shadowbox.evaluate.setup import (
    EvalConfig,
    EvaluatedPolicy,
    held_out_episodes,
    load_evaluated_policy,
    playable_world,
)
from shadowbox.model import checkpoint as checkpoints
from shadowbox.play.policy_agent import PolicyAgent, SamplingConfig

if TYPE_CHECKING:
    from shadowbox.evaluate.recorded import SeatData
    from shadowbox.model.policy import Policy

MATCHES = 80  # at each temperature of play
COPIES = 6  # of a seat whose views are changed as in training
CALM = 3  # frames from any press beyond which a player rests
# run's checkpoint, schema -> change of a seat's view [T, slots] by a seed, or None
ViewChanges = Callable[[Path, Schema], Callable[[Columns, int], Columns] | None]


def calibrate_checkpoint(
    checkpoint: str | Path,
    store: str | Path,
    settings: EvalConfig,
    *,
    fit_on: str = "",
    game: Game | None = None,
    changes: ViewChanges | None = None,
    progress: Report | None = None,
) -> Calibration:
    """Fit on a side of the store's split and write the result into the checkpoint's config.

    `fit_on`: the side, if it is not that of the evaluation. A session is an episode. `changes`: as the
    training changed what it saw, such as bodies: what is chosen on usual views alone is too sure
    of unusual ones.
    """
    subject = load_evaluated_policy(str(checkpoint), Store(store), settings, game)
    side = held_out_episodes(subject, fit_on or settings.side)
    judged_on = {*side, *held_out_episodes(subject, settings.side)}
    seats = list(
        recorded.load_seats(subject.store, side[: settings.most], subject.players, settings.player)
    )
    if not seats:
        raise UsageError(
            f"{store}: nothing on the side '{fit_on or settings.side}' to choose temperatures from: "
            "name another side"
        )
    if change := changes and changes(subject.folder, subject.store.schema):
        seats = [
            replace(seat, view=change(seat.view, COPIES * seat.episode + copy))
            for seat in seats
            for copy in range(COPIES)
        ]
    costs, frames = _costs(subject.policy, seats, settings.player)
    temperatures = fit_temperature([part.name for part in subject.policy.head.parts], costs, frames)
    thresholds, offsets = _buttons(subject, seats, temperatures, settings)
    made = Calibration(
        temperatures,
        thresholds,
        _in_play(subject, temperatures, judged_on, settings, progress),
        offsets,
    )
    checkpoints.calibrate(subject.folder, made.to_json())
    return made


def _buttons(
    subject: EvaluatedPolicy,
    seats: Sequence[recorded.SeatData],
    temperatures: Mapping[str, _TemperatureFit],
    settings: EvalConfig,
) -> tuple[dict[str, ThresholdFit], dict[str, _OffsetFit]]:
    """Thresholds and offsets of the buttons, which a policy decides one by one."""
    # others decide buttons together, by what changes: no chance to cut
    if subject.policy.config.head.head != "independent":
        return {}, {}
    thresholds, offsets = {}, {}
    sure = [temperatures[part.name].temperature for part in subject.policy.head.parts]
    answers = answer_seats(subject.policy, seats, temperature=sure, player=settings.player).answers
    rests = [_calm(seat) for seat in seats] if subject.game.replay else None
    for name in answers[0].chance:
        having = [at for at, seat in enumerate(seats) if name in seat.down]
        chances = [answers[at].chance[name] for at in having]
        downs = [seats[at].down[name] for at in having]
        episodes = [seats[at].episode for at in having]
        thresholds[name] = fit_threshold(
            *(chances, downs, settings.tolerance, episodes),
            calm=rests and [rests[at] for at in having],
            fps=subject.store.schema.fps,
        )
        offsets[name] = fit_offset(chances, downs, episodes)
    return thresholds, offsets


def _calm(seat: recorded.SeatData) -> Array:
    """Frames of a seat that are far from all presses, bool [T]."""
    pressed = np.any(list(seat.down.values()), axis=0)
    return np.convolve(pressed, np.ones(2 * CALM + 1), "same") < 0.5


def _in_play(
    subject: EvaluatedPolicy,
    temperatures: Mapping[str, _TemperatureFit],
    judged_on: set[int],
    settings: EvalConfig,
    progress: Report | None,
) -> PlayTemperatureFit | None:
    """Fit the temperature at which play has the press rates of the data.

    Matches are played in seats of episodes that are not used for evaluation.
    """
    game, store = subject.game, subject.store
    others = [episode for episode in range(len(store)) if episode not in judged_on]
    data = count_presses(
        store.schema,
        recorded.load_seats(store, others[: 2 * settings.most], subject.players, settings.player),
    )
    wanted = (
        game,
        store,
        others,
        subject.players,
        min(MATCHES, settings.to_play),
        settings.against,
        settings.player,
        "tune",
    )
    world = playable_world(game, store, settings)
    sitting = closed_loop.recorded_seats(*wanted) if world else []
    if world is None or not sitting or not len(data):
        return None
    calibrated = Calibration(temperatures, {}).to_json()
    strains = np.zeros((3, len(PLAYED_AT)))
    for at, temperature in enumerate(PLAYED_AT):
        agent = PolicyAgent(
            subject.policy,
            SamplingConfig(temperature, player=settings.player),
            calibration=calibrated,
        )
        games = closed_loop.play_in(game, sitting, agent, f"policy:{subject.name}", world[1])
        played = count_presses(store.schema, games.seats)
        half = halves(played.episodes)
        parts = (played, played.part(half == 0), played.part(half == 1))
        strains[:, at] = [gate.gate_distance(part, data) for part in parts]
        if progress:
            progress("playing at temperatures", at + 1, len(PLAYED_AT))
    return fit_play_temperature(strains)


@torch.inference_mode()
def _costs(policy: Policy, seats: list[SeatData], player: str) -> tuple[Array, Array]:
    """Nats of each session at each temperature by part of the head [sessions, H, P], and frames."""
    episodes = sorted({seat.episode for seat in seats})
    costs = np.zeros((len(episodes), len(TEMPERATURES), len(policy.head.parts)))
    frames = np.zeros(len(episodes))
    order = sorted(seats, key=lambda seat: seat.frames)
    for first in range(0, len(order), SEATS):
        some = order[first : first + SEATS]
        rows = [episodes.index(seat.episode) for seat in some]
        np.add.at(frames, rows, [seat.frames for seat in some])
        for step in walk(policy, some, player):
            outputs = torch.split(step.seen.output, policy.head.widths, -1)
            for at, (part, output) in enumerate(zip(policy.head.parts, outputs, strict=True)):
                place = list(part.at)
                for tried, temperature in enumerate(TEMPERATURES.tolist()):
                    nats = -part.log_prob(
                        output,
                        step.controls[..., place],
                        step.seen.previous[..., place],
                        temperature,
                    )
                    np.add.at(costs[:, tried, at], rows, (nats * step.inside).sum(1).cpu().numpy())
    return costs, frames
