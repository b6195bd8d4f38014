"""Renames of names in files older than 0.1.0, in one table.

Each function returns the present name of an old one, and every other name unchanged. No old name is
a present name of the same kind, so renaming twice is the same as renaming once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LEARNERS = {"imitate": "imitation"}
CARD_FIELDS = {"parent_optimiser": "parent_optimizer"}
SETTINGS = {  # of the learner imitation, as a card writes them
    "train.clip": "train.max_grad_norm",
    "model.blank": "model.prev_control_dropout",
    "model.slips": "model.prev_control_noise",
    "model.distances": "model.relative_positions",
    "model.focal": "model.focal_gamma",
    "model.smoothing": "model.label_smoothing",
    "model.bias": "model.logit_bias",
    "model.raw": "model.raw_logits",
    "model.memory": "model.hidden_width",
    "model.answers": "model.output_controls",
    "learner.actionable": "learner.actionable_when",
    "learner.elsewhere": "learner.non_actionable_weight",
    "learner.thin": "learner.static_segment_keep",  # N became 1 / N
}
SHARES = ("learner.thin",)  # settings that were one of N and are now the share 1 / N
SCORES = {  # of val/SCORE
    "right": "accuracy",
    "change": "change_nll",
    "onset_f1": "onset_f1_greedy",
    "press_f1": "press_f1_greedy",
    "onset_ratio": "onset_ratio_expected",
    "press_ratio": "press_ratio_expected",
}
BASELINES = {"hold": "copy_last", "look_up": "markov"}  # of val/SCORE/BASELINE
FIGURES = {
    "val/stick_mae": "stick_error",
    "val/btn_pressed_acc": "press_accuracy",
}  # of eval/FIGURE
POLICY_ARGUMENTS = {"sees": "input_columns", "design": "config"}
TRAINER_KEYS = {"optimiser": "optimizer"}
RUN_FACTS = {"lessons": "imitation"}
EVALUATION_KEYS = {"heat": "temperatures"}

_METRIC = re.compile(r"(?<![\w/])(?:eval/)?val/[\w.+~-]+(?:/[\w.+~-]+)*")
_SETTING = re.compile(
    rf"(?<![\w.])(?:{'|'.join(map(re.escape, SETTINGS.keys() - set(SHARES)))})(?!\w)"
)


def rename_keys(data: Mapping[str, Any], table: Mapping[str, str]) -> dict[str, Any]:
    """The same values under the present keys, in the same order."""
    return {table.get(key, key): value for key, value in data.items()}


def rename_setting(name: str, value: Any) -> tuple[str, Any]:
    """A setting such as model.blank, and its value in the present unit."""
    if name in SHARES:
        value = share_of(value)
    if name == "train.score" and isinstance(value, str):
        value = rename_score(value)
    if name == "learner" and isinstance(value, str):
        value = LEARNERS.get(value, value)
    return SETTINGS.get(name, name), value


def share_of(count: Any) -> Any:
    """One of `count` as a share; a value that is not a count stays for its reader to refuse."""
    good = isinstance(count, int | float) and not isinstance(count, bool) and count >= 1
    return 1 / count if good else count


def rename_settings(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings nested by section (`model: {blank: 0.1}`) or dotted (`model.blank: 0.1`)."""
    renamed: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and not before and "." not in key:
            renamed[key] = rename_settings(value, f"{key}.")
        else:
            name, present = rename_setting(before + key, value)
            renamed[name.removeprefix(before)] = present
    return renamed


def rename_score(name: str) -> str:
    """A score of a validation, `SCORE`, `SCORE/BASELINE` and either with `.low` or `.high`."""
    score, slash, baseline = name.partition("/")
    return _stem(score, SCORES) + slash + _stem(baseline, BASELINES)


def rename_metric(name: str) -> str:
    """A metric with its kind, such as val/loss/hold or eval/val/stick_mae/look_up."""
    kind, slash, score = name.partition("/")
    if kind == "eval":
        for old, new in FIGURES.items():
            if score == old or score.startswith((f"{old}.", f"{old}/")):
                return f"eval/{new}{score.removeprefix(old)}"
    return f"val/{rename_score(score)}" if kind == "val" and slash else name


def rename_baselines(metric: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Baselines of a metric by name; those of evaluations keep theirs."""
    return rename_keys(names, BASELINES if metric.startswith("val/") else {})


def rename_evaluation(judged: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation beside a checkpoint: figures in one object, under their present names."""
    if "offline" not in judged:
        return rename_keys(judged, EVALUATION_KEYS)
    rest = {name: value for name, value in judged.items() if name not in ("offline", "closed_loop")}
    figures = {**judged["offline"], **judged.get("closed_loop", {})}
    own = {
        "kind": "policy",
        "spec": f"policy:{judged.get('checkpoint', '')}",
        "store": rest.pop("store", ""),
        "gate": rest.pop("gate", None),
        "figures": {FIGURES.get(name, name): value for name, value in figures.items()},
    }
    return own | rename_keys(rest, EVALUATION_KEYS)


def rename_best(best: Mapping[str, Any]) -> dict[str, Any]:
    """The best validation of a run: its score's name, and those of its baselines."""
    present = dict(best)
    if isinstance(best.get("score"), str):
        present["score"] = rename_score(best["score"])
    if isinstance(best.get("baselines"), Mapping):
        present["baselines"] = rename_keys(best["baselines"], BASELINES)
    return present


def rename_metrics_in(text: str) -> str:
    """A text, such as a kill rule, with the present names of its metrics."""
    return _METRIC.sub(lambda match: rename_metric(match[0]), text)


def rename_settings_in(text: str) -> str:
    """A text with the present names of settings; those that changed their unit stay."""
    return _SETTING.sub(lambda match: SETTINGS[match[0]], text)


def _stem(name: str, table: Mapping[str, str]) -> str:
    stem, dot, end = name.partition(".")
    return table.get(stem, stem) + dot + end
