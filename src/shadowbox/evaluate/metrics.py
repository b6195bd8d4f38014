"""What a policy is judged by: the one list of metrics, and figures that carry their interval and their baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shadowbox.core.stats import Interval


@dataclass(frozen=True)
class Metric:
    """One line of docs/metrics.md. `per`: what stands behind the dot of its name, empty where there is one figure alone.

    `better`: "low", "high", or the value that it should have.
    """

    name: str
    part: str  # offline, closed_loop
    better: str
    per: str
    baselines: tuple[str, ...]
    meaning: str
    limits: tuple[float, float] = (0.0, math.inf)  # it is never outside


SHARE, ANY = (0.0, 1.0), (-math.inf, math.inf)
METRICS = (
    Metric("nll", "offline", "low", "", ("copy_last", "rate", "look_up"),
           "nats that the pressed buttons of a decision cost, given everything recorded before"),
    Metric("press_f1", "offline", "high", "control", ("copy_last", "never_press", "look_up"),
           "F1 over frames: down with more than even chance, against down", SHARE),
    Metric("onset_f1", "offline", "high", "control", ("copy_last", "never_press", "look_up"),
           "F1 of presses that begin, within the tolerance, one to one; thresholds are chosen on one half of the episodes and "
           "scored on the other", SHARE),
    Metric("onset_f1_sampled", "offline", "high", "control", ("copy_last", "never_press", "look_up"),
           "the same for what is pressed as in play: drawn, or by the threshold", SHARE),
    Metric("onset_offset", "offline", "0", "", ("look_up",),
           "frames by which the matched presses of onset_f1 begin too late, on average", ANY),
    Metric("onset_nll", "offline", "low", "control", ("rate", "look_up"),
           "nats that `begins or not` costs in a frame that could begin a press"),
    Metric("onset_ece", "offline", "low", "control", ("rate", "look_up"),
           "expected calibration error of the chance that a press begins; bins of equally many presses, each weighted by them",
           SHARE),
    Metric("stick_nll", "offline", "low", "control", ("copy_last", "rate", "look_up"),
           "nats that the places of the sticks and triggers of a decision cost: at which of those that the policy knows each "
           "stands"),
    Metric("stick_change_error", "offline", "low", "control", ("copy_last", "look_up"),
           "mean error of a stick's position in the frames in which it moves"),
    Metric("copycat_gap", "offline", "low", "", ("copy_last",),
           "nats a decision that are lost when the own last controls are blanked: how much of the likelihood is copying", ANY),
    Metric("val/stick_mae", "offline", "low", "", ("copy_last", "never_press", "look_up"),
           "older systems' metric: mean error of all sticks and triggers in all frames"),
    Metric("val/btn_pressed_acc", "offline", "high", "", ("copy_last", "never_press", "look_up"),
           "older systems' metric: share of right answers over all buttons, in frames in which any is down", SHARE),
    Metric("press_ratio", "closed_loop", "1", "control", ("copy_last", "never_press", "look_up", "real"),
           "frames down a frame of play, over those of the data"),
    Metric("onset_ratio", "closed_loop", "1", "control", ("copy_last", "never_press", "look_up", "real"),
           "presses begun a frame of play, over those of the data"),
    Metric("hold_ratio", "closed_loop", "1", "control", ("look_up", "real"),
           "mean length of a press, over that of the data"),
    Metric("state_distance", "closed_loop", "low", "state", ("demonstrator", "copy_last", "never_press", "look_up", "real"),
           "Jensen-Shannon divergence in bits between the time spent in each state in play and in the data", SHARE),
    Metric("win_rate", "closed_loop", "high", "opponent", ("demonstrator", "copy_last", "never_press", "look_up"),
           "wins (draws half) against an opponent, from the seats that it learned from", SHARE),
    Metric("win_rate_gap", "closed_loop", "0", "", ("copy_last", "never_press", "look_up"),
           "its win rate less that of its demonstrator, same opponent, same seeds", (-1.0, 1.0)),
)  # fmt: skip

BASELINES = {
    "copy_last": "does what was done in the last frame, and so in play nothing, ever; of likelihoods: how often each button or "
    "stick usually stays as it is",
    "never_press": "presses nothing, sticks at rest",
    "rate": "each button as often as it is down (or begins) on average, each stick where it is on average, whatever happens",
    "look_up": "each button as often as it is down in this state of the own player, held or not before; drawn, where drawn; "
    "each stick as often as it stays in this state, and goes where it then goes",
    "real": "one half of the recordings against the other",
    "demonstrator": "who was recorded, playing the same matches",
}

METRIC_BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Figure:
    """A number, its 95 % interval over episodes, and what its baselines score."""

    value: Interval
    baselines: Mapping[str, Interval] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """`{value, low, high, baselines}`; what is no number is null."""
        return {
            **_plain(self.value),
            "baselines": {name: _plain(value) for name, value in self.baselines.items()},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Figure:
        """The inverse of `to_json`."""
        return Figure(
            _interval(data), {name: _interval(value) for name, value in data["baselines"].items()}
        )


def metric_of(name: str) -> Metric:
    """The metric of a figure's name: `press_ratio.keys/a` -> press_ratio."""
    return METRIC_BY_NAME[name.partition(".")[0]]


def _plain(interval: Interval) -> dict[str, float | None]:
    return {
        key: value if math.isfinite(value) else None for key, value in interval._asdict().items()
    }


def _interval(data: Mapping[str, Any]) -> Interval:
    return Interval(
        *(math.nan if data[key] is None else float(data[key]) for key in Interval._fields)
    )
