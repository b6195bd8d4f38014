"""The one list of metrics: names, meanings, bounds and baselines of every figure of a policy.

A figure has the same name and meaning wherever it is printed: `val/NAME` in the log of a run,
`eval/NAME` in an evaluation, NAME in `eval --json` and in docs/metrics.md. A learner may declare
more metrics of its own; a name of this list means there what it means here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

SHARE, POSITIVE, ANY = (0.0, 1.0), (0.0, math.inf), (-math.inf, math.inf)


class MetricInfo(NamedTuple):
    """Facts about a metric before a run: the better direction, its bounds, and its baselines."""

    better: str = ""  # low, high, the value that it should have, or nothing
    low: float = -math.inf
    high: float = math.inf
    baselines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric:
    """One line of docs/metrics.md.

    `where`: validation, offline, closed_loop or gate. `per`: what stands behind the dot of a figure's
    name, empty where there is one figure alone. `better`: low, high, or the value to have.
    """

    name: str
    where: str
    better: str
    per: str
    baselines: tuple[str, ...]
    meaning: str
    limits: tuple[float, float] = POSITIVE  # no value is outside

    @property
    def info(self) -> MetricInfo:
        """The facts that a card is checked by."""
        return MetricInfo(self.better, *self.limits, self.baselines)


_GUESSED = ("copy_last", "never_press", "markov")  # of validations
_ASKED = ("copy_last", "never_press", "look_up")  # of recorded frames

METRICS = (
    Metric("loss", "validation", "low", "", ("copy_last", "rate"),
           "nats that all controls of a decision cost, given everything recorded before", ANY),
    Metric("change_nll", "validation", "low", "", ("copy_last", "rate"),
           "nats that a decision costs in the frames in which any control changes", ANY),
    Metric("accuracy", "validation", "high", "", _GUESSED,
           "share of buttons and choices whose most likely value is the recorded one", SHARE),
    Metric("press_f1_greedy", "validation", "high", "", _GUESSED,
           "F1 over frames: down in the most likely value of its part of the head, against down", SHARE),
    Metric("onset_f1_greedy", "validation", "high", "", _GUESSED,
           "F1 of presses that begin, in their very frame, in the most likely value of their part of the head", SHARE),
    Metric("press_ratio_expected", "validation", "1", "", _GUESSED,
           "expected frames down, asked one frame ahead on recorded contexts, over the frames down there"),
    Metric("onset_ratio_expected", "validation", "1", "", _GUESSED,
           "expected presses begun, asked one frame ahead on recorded contexts, over the presses begun there"),
    Metric("stick_mae", "validation", "low", "", ("copy_last", "never_press"),
           "older systems' metric: mean error of the most likely position of all sticks and triggers in all frames, as a share "
           "of their range"),
    Metric("btn_pressed_acc", "validation", "high", "", _GUESSED,
           "older systems' metric: share of right answers over all buttons, in frames in which any is down; the most likely "
           "value of their part of the head answers", SHARE),
    Metric("nll", "offline", "low", "", ("copy_last", "rate", "look_up"),
           "nats that the pressed buttons of a decision cost, given everything recorded before"),
    Metric("press_f1", "offline", "high", "control", _ASKED,
           "F1 over frames: down with more than even chance, against down", SHARE),
    Metric("onset_f1", "offline", "high", "control", _ASKED,
           "F1 of presses that begin, within the tolerance, one to one; thresholds are chosen on one half of the episodes and "
           "scored on the other", SHARE),
    Metric("onset_f1_sampled", "offline", "high", "control", _ASKED,
           "the same for what is pressed as in play: drawn, or by the threshold", SHARE),
    Metric("onset_offset", "offline", "0", "", ("look_up",),
           "frames by which the matched presses of onset_f1 begin too late, on average", ANY),
    Metric("onset_nll", "offline", "low", "control", ("rate", "look_up"),
           "nats that `begins or not` costs in a frame that could begin a press"),
    Metric("onset_ece", "offline", "low", "control", ("rate", "look_up"),
           "expected calibration error of the chance that a press begins; bins of equally many presses, each weighted by them",
           SHARE),
    Metric("press_accuracy", "offline", "high", "", _ASKED,
           "share of right answers over all buttons, in frames in which any is down; more than even chance answers down", SHARE),
    Metric("stick_nll", "offline", "low", "control", ("copy_last", "rate", "look_up"),
           "nats that the places of the sticks and triggers of a decision cost: at which of those that the policy knows each "
           "stands"),
    Metric("stick_error", "offline", "low", "", _ASKED,
           "mean error of the expected position of all sticks and triggers in all frames"),
    Metric("stick_change_error", "offline", "low", "control", ("copy_last", "look_up"),
           "mean error of a stick's expected position in the frames in which it moves"),
    Metric("copycat_gap", "offline", "low", "", ("copy_last",),
           "nats a decision that are lost when the own last controls are blanked: how much of the likelihood is copying", ANY),
    Metric("press_ratio", "closed_loop", "1", "control", (*_ASKED, "real"),
           "frames down a frame of play, over those of the data"),
    Metric("onset_ratio", "closed_loop", "1", "control", (*_ASKED, "real"),
           "presses begun a frame of play, over those of the data"),
    Metric("hold_ratio", "closed_loop", "1", "control", ("look_up", "real"),
           "mean length of a press, over that of the data"),
    Metric("state_distance", "closed_loop", "low", "state", ("demonstrator", *_ASKED, "real"),
           "Jensen-Shannon divergence in bits between the time spent in each state in play and in the data", SHARE),
    Metric("win_rate", "closed_loop", "high", "opponent", ("demonstrator", *_ASKED),
           "wins (draws half) against an opponent, from the seats that it learned from", SHARE),
    Metric("win_rate_gap", "closed_loop", "0", "", _ASKED,
           "its win rate less that of its demonstrator, same opponent, same seeds", (-1.0, 1.0)),
    Metric("press_ratio_min", "gate", "1", "", (), "the smallest press ratio of the controls that the gate judges"),
    Metric("press_ratio_max", "gate", "1", "", (), "the largest press ratio of the controls that the gate judges"),
    Metric("onset_ratio_min", "gate", "1", "", (), "the smallest onset ratio of the controls that the gate judges"),
    Metric("onset_ratio_max", "gate", "1", "", (), "the largest onset ratio of the controls that the gate judges"),
)  # fmt: skip

BASELINES = {
    "copy_last": "does what was done in the last frame, and so in play nothing, ever; of likelihoods: how often each button or "
    "stick usually stays as it is",
    "never_press": "presses nothing, sticks at rest",
    "rate": "each button as often as it is down (or begins) on average, each stick where it is on average, whatever happens",
    "markov": "each control as it usually is after the controls of the last frame, whatever the state",
    "look_up": "each button as often as it is down in this state of the own player, held or not before; drawn, where drawn; "
    "each stick as often as it stays in this state, and goes where it then goes",
    "real": "one half of the recordings against the other",
    "demonstrator": "who was recorded, playing the same matches",
}

METRIC_BY_NAME = {metric.name: metric for metric in METRICS}

# Figures of learned worlds: skill of a field at a horizon of so many frames. The name is reserved.
SKILL = re.compile(r"skill/(?P<field>[\w.+~-]+(?:/[\w.+~-]+)*)@(?P<horizon>[1-9][0-9]*)")


def metric_of(name: str) -> Metric:
    """The metric of a figure's name: `press_ratio.keys/a` -> press_ratio."""
    return METRIC_BY_NAME[name.partition(".")[0]]


def metrics_in(where: Iterable[str]) -> dict[str, MetricInfo]:
    """Name -> facts of the metrics of these places, in the order of the list."""
    return {metric.name: metric.info for metric in METRICS if metric.where in set(where)}


def find_info(figure: str, known: Mapping[str, MetricInfo]) -> MetricInfo | None:
    """The facts of a figure's metric: of `onset_f1`, `onset_f1.low`, `onset_f1.keys/a/look_up`."""
    for name, info in known.items():
        if figure == name or figure.startswith((f"{name}.", f"{name}/")):
            return info
    return None


def skill_name(field: str, horizon: int) -> str:
    """The figure of a field's skill at a horizon: ("player/x", 20) -> skill/player/x@20."""
    name = f"skill/{field}@{horizon}"
    if not SKILL.fullmatch(name):
        raise ValueError(f"'{name}' is not skill/FIELD@FRAMES, as in skill/player/x@20")
    return name
