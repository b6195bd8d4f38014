"""Logits and probabilities of each button, at an empty frame and at recorded ones.

An older system looked at an all-zero frame, found logits of -7 to -10 there, and concluded that its
policy presses nothing because presses are rare. Beside the frames of a recording the same numbers
tell more: a policy whose mean probability is the rate of the data has learned that rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from shadowbox.evaluate.answers import answer_seats
from shadowbox.evaluate.calibration import logits
from shadowbox.evaluate.recorded import SeatAnswer, SeatData, load_seat

if TYPE_CHECKING:
    from shadowbox.model.heads import Temperature
    from shadowbox.model.policy import Policy

COLUMNS = (
    "empty_logit",
    "empty_probability",
    "logit",  # median over recorded frames
    "probability",  # mean over recorded frames
    "rate",  # share of recorded frames in which the button is down
)


def press_logits(
    policy: Policy,
    seats: Sequence[SeatData],
    answers: Sequence[SeatAnswer],
    temperature: Temperature = 1.0,
) -> dict[str, dict[str, float]]:
    """Row of each button: see COLUMNS. `answers` are those of the policy at this temperature."""
    empty = load_seat(policy.schema, policy.schema.neutral(2), 0, 0)
    (at_empty,) = answer_seats(policy, [empty], temperature=temperature).answers
    return {name: _row(name, at_empty, seats, answers) for name in answers[0].chance}


def _row(
    name: str, at_empty: SeatAnswer, seats: Sequence[SeatData], answers: Sequence[SeatAnswer]
) -> dict[str, float]:
    both = [
        (answer.chance[name], seat.down[name])
        for seat, answer in zip(seats, answers, strict=True)
        if name in seat.down
    ]
    chance, down = (np.concatenate(parts) for parts in zip(*both, strict=True))
    empty = float(at_empty.chance[name][0])
    values = (
        float(logits(np.array(empty))),
        empty,
        float(np.median(logits(chance))),
        float(chance.mean()),
        float(down.mean()),
    )
    return dict(zip(COLUMNS, values, strict=True))


def as_rows(found: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Cells of a table: control, then the columns as text."""
    return [
        [
            name,
            f"{row['empty_logit']:.1f}",
            f"{row['empty_probability']:.4f}",
            f"{row['logit']:.1f}",
            f"{row['probability']:.4f}",
            f"{row['rate']:.4f}",
        ]
        for name, row in found.items()
    ]
