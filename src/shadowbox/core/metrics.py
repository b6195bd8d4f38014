"""List of metrics of policies and worlds: names, meanings, bounds and baselines of every figure.

A figure has the same name and meaning wherever it is printed: `val/NAME` in the log of a run,
`eval/NAME` in an evaluation, NAME in `eval --json` and in docs/metrics.md. A learner may declare
more metrics of its own; a name of this list has the meaning given here.
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
    """One metric, as a line of docs/metrics.md.

    `where`: validation, offline, closed_loop, likeness, sessions, matches, gate or world. `per`: the kind of
    name behind the dot of a figure (control, state, opponent or delay; of worlds also a field or
    kind of event, and the horizon in frames after @); empty for metrics of a single figure.
    `better`: low, high, or the ideal value.
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
        """Facts by which a card is checked."""
        return MetricInfo(self.better, *self.limits, self.baselines)


_GUESSED = ("copy_last", "never_press", "markov")  # of validations
_ASKED = ("copy_last", "never_press", "look_up")  # of recorded frames

_OF_SESSIONS = (  # name, better, per, bounds, meaning
    ("press_f1", "high", "control", SHARE, "F1 over frames of a key down, mean over the supported "
     "controls: those with at least 20 recorded presses"),
    ("onset_f1", "high", "control", SHARE, "F1 of onsets within 3 frames, mean over the supported "
     "controls"),
    ("offset_f1", "high", "control", SHARE, "F1 of releases within 3 frames, mean over the "
     "supported controls"),
    ("onset_delay", "0", "control", ANY, "mean delay in frames of the onsets within 15 frames of "
     "a recorded one, of the supported controls"),
    ("onset_delay_ms", "0", "", ANY, "the same in milliseconds"),
    ("false_triggers", "low", "", POSITIVE, "presses and changes of a choice that begin while "
     "nothing is recorded within 3 frames, in a minute of such frames"),
    ("idle_accuracy", "high", "", SHARE, "share of the frames without recorded controls in which "
     "nothing is pressed or turned"),
    ("choice_f1", "high", "", SHARE, "F1 of changes of a choice, such as a slot, to the recorded "
     "value within 9 frames"),
    ("look_r2", "high", "", ANY, "share of the variance of the look that is explained, mean over "
     "the axes, in all frames of play"),
    ("look_mse", "low", "", POSITIVE, "squared error of an axis of the look in frames with a "
     "recorded turn, in shares of a full turn"),
    ("look_direction", "high", "", SHARE, "share of the axes of recorded turns that turn to the "
     "recorded side"),
    ("cursor_mse", "low", "", POSITIVE, "squared error of an axis of the cursor with a screen "
     "open, in shares of the screen"),
    ("cursor_px", "low", "", POSITIVE, "mean distance of the cursor from the recorded one, in "
     "pixels of a screen of 1920 x 1080"),
    ("score", "high", "", SHARE, "weighted mean over the heads with recorded events: .4 press_f1 "
     "of actions, .2 look_r2, .1 choice_f1, .1 R2 of the cursor, .1 press_f1 with a screen open, "
     ".1 idle_accuracy"),
    ("seed_score", "high", "", SHARE, "the score of an older system: keys without a press count "
     "as 0, squared errors instead of explained variance, heads without events as perfect"),
)  # fmt: skip
_HISTORIES = {
    "live": "in recorded sessions in closed loop, own controls as history",
    "forced": "in recorded sessions, the recorded controls as history",
}

METRICS = (
    Metric("loss", "validation", "low", "", ("copy_last", "rate"),
           "negative log-likelihood of all controls of a decision in nats, given the recorded past",
           ANY),
    Metric("change_nll", "validation", "low", "", ("copy_last", "rate"),
           "negative log-likelihood of a decision in nats, in frames in which any control changes",
           ANY),
    Metric("accuracy", "validation", "high", "", _GUESSED,
           "share of buttons and choices whose most likely value is the recorded one", SHARE),
    Metric("press_f1_greedy", "validation", "high", "", _GUESSED,
           "F1 over frames of buttons down, for the most likely value of each part of the head",
           SHARE),
    Metric("onset_f1_greedy", "validation", "high", "", _GUESSED,
           "F1 of onsets in their exact frame, for the most likely value of each part of the head",
           SHARE),
    Metric("press_ratio_expected", "validation", "1", "", _GUESSED,
           "expected frames down, predicted one frame ahead on recordings, over recorded frames "
           "down"),
    Metric("onset_ratio_expected", "validation", "1", "", _GUESSED,
           "expected onsets, predicted one frame ahead on recordings, over recorded onsets"),
    Metric("stick_mae", "validation", "low", "", ("copy_last", "never_press"),
           "metric of older systems: mean error of the most likely position of all sticks and "
           "triggers in all frames, as a share of their range"),
    Metric("btn_pressed_acc", "validation", "high", "", _GUESSED,
           "metric of older systems: accuracy of the most likely values of all buttons, in frames "
           "in which any button is down", SHARE),
    Metric("nll", "offline", "low", "", ("copy_last", "rate", "look_up"),
           "negative log-likelihood of the buttons of a decision in nats, given the recorded past"),
    Metric("press_f1", "offline", "high", "control", _ASKED,
           "F1 over frames of buttons down, predicted down above probability 0.5", SHARE),
    Metric("onset_f1", "offline", "high", "control", _ASKED,
           "F1 of onsets matched one to one within the tolerance; thresholds are chosen on one "
           "half of the episodes and scored on the other", SHARE),
    Metric("onset_f1_sampled", "offline", "high", "control", _ASKED,
           "F1 of onsets as in play: sampled, or above the threshold", SHARE),
    Metric("onset_offset", "offline", "0", "", ("look_up",),
           "mean delay in frames of the matched onsets of onset_f1", ANY),
    Metric("onset_nll", "offline", "low", "control", ("rate", "look_up"),
           "negative log-likelihood of onset or no onset in nats, in frames that could begin a "
           "press"),
    Metric("onset_ece", "offline", "low", "control", ("rate", "look_up"),
           "expected calibration error of onset probabilities; bins hold equally many onsets and "
           "weigh equally", SHARE),
    Metric("press_accuracy", "offline", "high", "", _ASKED,
           "accuracy over all buttons above probability 0.5, in frames in which any is down",
           SHARE),
    Metric("stick_nll", "offline", "low", "control", ("copy_last", "rate", "look_up"),
           "negative log-likelihood in nats of the positions of sticks and triggers, among the "
           "policy's points"),
    Metric("controller_nll", "offline", "low", "", ("copy_last", "rate", "look_up"),
           "negative log-likelihood of all controls of a decision in nats a frame, buttons and "
           "positions of sticks together; comparable only among policies with equal bins, which "
           "the report lists"),
    Metric("stick_error", "offline", "low", "", _ASKED,
           "mean error of the expected position of all sticks and triggers in all frames"),
    Metric("stick_change_error", "offline", "low", "control", ("copy_last", "look_up"),
           "mean error of a stick's expected position in the frames in which it moves"),
    Metric("copycat_gap", "offline", "low", "", ("copy_last",),
           "rise of the negative log-likelihood of a decision in nats when the own previous "
           "controls are hidden: the share of copying in the likelihood", ANY),
    Metric("press_ratio", "closed_loop", "1", "control", (*_ASKED, "real"),
           "frames down per frame of play, over frames down per frame of the data"),
    Metric("onset_ratio", "closed_loop", "1", "control", (*_ASKED, "real"),
           "onsets per frame of play, over onsets per frame of the data"),
    Metric("hold_ratio", "closed_loop", "1", "control", ("look_up", "real"),
           "mean length of a press in play, over the mean length in the data"),
    Metric("state_distance", "closed_loop", "low", "state", ("demonstrator", *_ASKED, "real"),
           "Jensen-Shannon divergence in bits of the time spent in each state, play against data",
           SHARE),
    Metric("win_rate", "closed_loop", "high", "opponent", ("demonstrator", *_ASKED),
           "wins (draws count half) against an opponent, from the seats that it was trained on",
           SHARE),
    Metric("win_rate_gap", "closed_loop", "0", "", _ASKED,
           "win rate minus that of the demonstrator, against the same opponents with the same "
           "seeds",
           (-1.0, 1.0)),
    Metric("likeness_auc", "likeness", "low", "", ("real", "others"),
           "AUC of a classifier that distinguishes stretches of its play and the player's: 0.5 if it "
           "cannot; `real` is one half of the player's matches against the other",
           SHARE),
    *(Metric(f"{history}_{name}", "sessions", better, per, ("copy_last", "never_press"),
             f"{meaning}; {where}", limits)
      for history, where in _HISTORIES.items()
      for name, better, per, limits, meaning in _OF_SESSIONS
      if (history, name) != ("forced", "offset_f1")),  # doing nothing would release each press
    Metric("history_gap", "sessions", "low", "", ("copy_last",),
           "mean F1 of onsets over the supported controls with the recorded controls as history, "
           "minus that with the own ones; onsets are those of the pressed keys in both", ANY),
    Metric("wins", "matches", "high", "opponent", ("even",),
           "share of matches won against an opponent, or without a name against all, each seed once "
           "from either seat; draws do not count; the interval counts seeds", SHARE),
    Metric("wins_from", "matches", "high", "opponent", ("even",),
           "wins of the matches that began at a place of the stage, which the figure names last",
           SHARE),
    Metric("wins_at_delay", "matches", "high", "delay", ("even",),
           "wins against all opponents at a reaction delay, in frames; other figures at a delay "
           "end in .delayN", SHARE),
    Metric("draws", "matches", "low", "opponent", (), "share of matches without a winner", SHARE),
    Metric("frames", "matches", "", "opponent", (), "mean length of a match"),
    Metric("return", "matches", "high", "", ("random",),
           "mean sum of the rewards of a match of one player; the interval counts matches", ANY),
    Metric("press_ratio_min", "gate", "1", "", (),
           "smallest press ratio of the controls in the gate"),
    Metric("press_ratio_max", "gate", "1", "", (),
           "largest press ratio of the controls in the gate"),
    Metric("onset_ratio_min", "gate", "1", "", (),
           "smallest onset ratio of the controls in the gate"),
    Metric("onset_ratio_max", "gate", "1", "", (),
           "largest onset ratio of the controls in the gate"),
    Metric("skill", "world", "high", "field", ("hold", "constant_velocity", "look_up"),
           "1 - error / error of the best baseline, of the median or most frequent value of the "
           "samples; the lower bound holds for all judged fields and horizons together",
           (-math.inf, 1.0)),
    Metric("score_skill", "world", "high", "field", ("hold", "constant_velocity", "look_up"),
           "the same for the continuous ranked probability score of the samples", ANY),
    Metric("change_precision", "world", "high", "field", ("hold",),
           "share of the predicted changes of a flag or choice whose new value is the true one",
           SHARE),
    Metric("change_recall", "world", "high", "field", ("hold",),
           "share of the true changes of a flag or choice whose new value is predicted", SHARE),
    Metric("change_f1", "world", "high", "field", ("hold",),
           "harmonic mean of change_precision and change_recall", SHARE),
    Metric("event_f1", "world", "high", "event", ("hold",),
           "F1 of events derived from the rows: one frame ahead of recorded rows (@1), and inside "
           "of predictions of 20 frames (@20); matched one to one within 0, 2 or 5 frames", SHARE),
    Metric("event_ratio", "world", "1", "event", (),
           "predicted events for each recorded one"),
    Metric("hit_f1_1", "world", "high", "", ("hold",),
           "event_f1 of hits one frame ahead, within 2 frames", SHARE),
    Metric("hit_f1_20", "world", "high", "", ("hold",),
           "event_f1 of hits in predictions of 20 frames, within 2 frames", SHARE),
    Metric("contradictions", "world", "low", "contradiction", ("real",),
           "steps in which fields contradict each other, in 10,000 frames of a player"),
    Metric("phantom_damage_ratio", "world", "low", "", (),
           "damage without a derived hit: its rate over the recorded one, which counts as at least "
           "1 in 10,000 frames"),
    Metric("violations_after", "world", "low", "", (),
           "predicted values that the schema or the game does not allow"),
    Metric("violations_before", "world", "low", "", (),
           "values that the world replaced by allowed ones, for each predicted frame"),
    Metric("calibration_gap", "world", "0", "field", (),
           "agreement of two samples minus that of a sample and the truth (flags and choices), or "
           "the distance of the truth's ranks among the samples from uniform ones (reals)",
           (-1.0, 1.0)),
    Metric("control_agreement", "world", "high", "", ("hold",),
           "share of the effects of a held control, of those that the true simulator has, whose "
           "direction the world has", SHARE),
    Metric("control_effect", "world", "1", "", ("hold",),
           "effect of held controls in the true direction, over their true effect", ANY),
    Metric("shuffled_controls", "world", "high", "", ("hold",),
           "(a - b) / (a + b) of the errors with the controls of another start, a, and with the "
           "true ones, b", (-1.0, 1.0)),
    Metric("distance", "world", "low", "distribution", ("real", "simulator"),
           "distance of a distribution in long predictions from that of the same recordings: "
           "Jensen-Shannon in bits for states, Wasserstein-1 as a share of the range for numbers"),
)  # fmt: skip

BASELINES = {
    "even": "two equal agents: one half",
    "random": "draws every control anew in each frame",
    "copy_last": "repeats the controls of the last frame, and so never presses in play; for "
    "likelihoods: the rate at which each button or stick stays unchanged",
    "never_press": "presses nothing, with sticks at rest",
    "rate": "each button at its mean rate of being down (or of onsets), each stick at its mean "
    "position, in every state",
    "markov": "each control by its statistics after the controls of the last frame, in every state",
    "look_up": "each button by its rate in the own player's current state, held before or not, "
    "sampled where policies are sampled; each stick by its rate of staying and its next positions; "
    "of worlds: each field by its usual change in the player's state and after the frames in it",
    "hold": "nothing changes",
    "constant_velocity": "the last change of a real or a counter is repeated",
    "real": "one half of the recordings compared with the other",
    "simulator": "the game's simulator with the recorded controls, from starts beside the recorded ones",
    "demonstrator": "the recorded player in the same matches",
    "others": "the recorded player compared with the opponents in the same matches",
}

# Further figures in the logs of learners, by name or by KIND/NAME.
LOGGED = {
    "loss": "what the training minimizes; for policies of imitation the negative log-likelihood of "
    "all controls of a decision in nats",
    "lr": "learning rate of the optimizer",
    "norm": "norm of the gradient before it is clipped",
    "examples_per_s": "segments or matches that are learned from in a second",
    "skipped": "batches left out, since their loss or gradient was not finite",
    "epochs": "passes over each rollout",
    "policy": "loss of the policy: PPO's clipped surrogate",
    "value": "loss of the value: squared error of the predicted return",
    "entropy_bonus": "part of the loss that rewards entropy",
    "entropy": "entropy of the policy's decisions in nats; near 0 it always does the same",
    "approx_kl": "KL divergence in nats from the policy that played to the updated one",
    "clip_fraction": "share of the decisions whose probability ratio was clipped",
    "explained_variance": "share of the variance of the returns that the value explains",
    "reward": "mean reward of a decision",
    "teacher_kl": "KL divergence in nats from the policy to its teacher",
    "flags.change": "part of the loss: does any key change",
    "flags.which": "part of the loss: to which combination of keys",
    "change_acc": "share of the changes of state and move that are predicted right, one frame ahead",
    "pos_mae": "mean error of places one frame ahead, in units of the game",
    "play/recent": "wins among the last 200 matches, by opponent",
    "play/win_rate": "wins since the last line, by opponent",
    "play/return": "sum of the rewards of a match",
    "play/frames": "length of a match",
    "play/matches": "matches that ended since the last line",
    "play/stage": "number of the stage of the card, from 0",
    "rank_correlation": "Spearman's correlation of the ranks of policies in two worlds: 1 if their "
    "order is the same",
    "elo": "rating by wins: 100 points more win 64 of 100 matches, 400 win 91",
    "nash_weight": "share of an agent in the mixture of agents that no other mixture beats",
    "mean_absolute_error": "mean distance from the recorded value, in the column's unit",
    "share_right": "share of the frames in which the recorded value is guessed",
}
SHORT = {  # words that are written beside the names of some
    "loss": "nats per decision",
    "lr": "learning rate",
    "norm": "of the gradient",
    "examples_per_s": "speed",
    **{
        name: LOGGED[name]
        for name in ("play/recent", "play/win_rate", "play/return", "play/frames")
    },
}
_KINDS = ("val", "eval", "train", "play", "bench")  # of lines, before the name of a figure
_BETTER = {"low": "less is better", "high": "more is better", "": ""}

METRIC_BY_NAME = {metric.name: metric for metric in METRICS}

# Skill of a learned world: of a field at a horizon in frames.
SKILL = re.compile(r"skill/(?P<field>[\w.+~-]+(?:/[\w.+~-]+)*)@(?P<horizon>[1-9][0-9]*)")


def metric_of(name: str) -> Metric:
    """Metric of a figure's name: `press_ratio.keys/a` -> press_ratio."""
    return METRIC_BY_NAME[name.partition(".")[0]]


def describe(figure: str) -> str:
    """Meaning of a figure such as `val/onset_f1_greedy/markov`, for a reader; empty if unknown."""
    kind, slash, rest = figure.partition("/")
    name = rest if slash and kind in _KINDS else figure
    stem = re.split(r"[./@]", name)[0]
    for key in (figure, f"{kind}/{stem}", name):
        if key in LOGGED and not (key in METRIC_BY_NAME and kind in ("val", "eval")):
            return _sentence(LOGGED[key])
    if metric := METRIC_BY_NAME.get(stem):
        return _sentence(metric.meaning, _BETTER.get(metric.better, f"{metric.better} is ideal"))
    return _sentence(LOGGED.get(stem, ""))


def meanings() -> dict[str, str]:
    """Meanings of all figures of the logs of runs, by name."""
    names = [metric.name for metric in METRICS if metric.where == "validation"]
    return {name: describe(name) for name in (*names, *LOGGED)}


def _sentence(*parts: str) -> str:
    text = "; ".join(filter(None, parts))
    return text[:1].upper() + text[1:] + "." if text else ""


def metrics_in(where: Iterable[str]) -> dict[str, MetricInfo]:
    """Facts of the metrics of these places by name, in the order of the list."""
    return {metric.name: metric.info for metric in METRICS if metric.where in set(where)}


def find_info(figure: str, metrics: Mapping[str, MetricInfo]) -> MetricInfo | None:
    """Facts of a figure's metric, for `onset_f1`, `onset_f1.low` or `onset_f1.keys/a/look_up`."""
    for name, info in metrics.items():
        if figure == name or figure.startswith((f"{name}.", f"{name}/")):
            return info
    return None


def figure_word(spec: str) -> str:
    """An agent's spec as a part of a figure's name: `policy:runs/x` -> policy-runs-x."""
    return "".join(each if each.isalnum() or each in "_+~@-" else "-" for each in spec)


def skill_name(field: str, horizon: int) -> str:
    """Name of a field's skill at a horizon: ("player/x", 20) -> skill/player/x@20."""
    name = f"skill/{field}@{horizon}"
    if not SKILL.fullmatch(name):
        raise ValueError(f"expected skill/FIELD@FRAMES, as in skill/player/x@20 (got '{name}')")
    return name
