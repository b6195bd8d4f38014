"""Temperatures and thresholds of a checkpoint from recorded sessions, stored in its config; learn/calibrate.py chooses them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from shadowbox.core.schema import Array
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learn.calibrate import TEMPERATURES, Calibration, fit_heat, fit_threshold
from shadowbox.model import checkpoint as checkpoints
from shadowbox.play.policy import built
from shadowbox.study import learned, recorded
from shadowbox.study.asking import SEATS, ask, walk
from shadowbox.study.evaluate import unseen

if TYPE_CHECKING:
    from shadowbox.model.policy import Policy
    from shadowbox.study.evaluate import Settings
    from shadowbox.study.recorded import Seat


def tune(checkpoint: str | Path, store: str | Path, settings: Settings) -> Calibration:
    """Choose on the settings' side of the store, and write it into the checkpoint's config. A session is an episode."""
    where, _, which = str(checkpoint).partition("@")
    folder, opened = learned.find(where, which), Store(store)
    found = checkpoints.load(folder, kind="policy", device=settings.device)
    policy = built(found, opened.schema, settings.device, learned.encodings(opened.schema.name))
    if settings.player:
        policy.style_of([settings.player])
    players = settings.seats or learned.seats(folder, found.about) or tuple(range(opened.schema.players))
    split = settings.split or learned.split(folder)[0] or Split()
    chosen = unseen(folder, opened, split, settings.side)[: settings.most]
    seats = list(recorded.seats(opened, chosen, players, settings.player))
    if not seats:
        raise UsageError(f"{opened.path}: nothing on the side '{settings.side}' to choose temperatures from: name another side")
    costs, frames = _costs(policy, seats, settings.player)
    heat = fit_heat([part.name for part in policy.head.parts], costs, frames)
    thresholds = {}
    if policy.design.head == "independent":  # others decide buttons together, by what changes: there is no chance to cut
        answers = ask(
            policy, seats, temperature=[heat[part.name].temperature for part in policy.head.parts], player=settings.player
        ).answers
        for name in answers[0].chance:
            rows = [(a.chance[name], s.down[name], s.episode) for s, a in zip(seats, answers, strict=True) if name in s.down]
            chances, downs, episodes = zip(*rows, strict=True)
            thresholds[name] = fit_threshold(chances, downs, settings.tolerance, episodes)
    made = Calibration(heat, thresholds)
    checkpoints.calibrate(folder, made.to_json())
    return made


@torch.inference_mode()
def _costs(policy: Policy, seats: list[Seat], player: str) -> tuple[Array, Array]:
    """Nats of each session at each temperature by part of the head: [sessions, H, P]; and its frames."""
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
                    nats = -part.log_prob(output, step.controls[..., place], step.seen.previous[..., place], temperature)
                    np.add.at(costs[:, tried, at], rows, (nats * step.inside).sum(1).cpu().numpy())
    return costs, frames
