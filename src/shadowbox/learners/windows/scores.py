"""Scores of five heads at a threshold of one half, and two sums of them that choose a model.

`seed_score` is that of older systems: an absent head counts as perfect, and a control that is never
pressed as 0. `score` counts only heads and controls that the recordings have, and looks and cursors
by their skill over no turn and the middle of the screen. B: windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Array
from shadowbox.learners.windows.losses import DEADZONE, _Answers, _Targets
from shadowbox.train.protocols import ScoreSums

SCREEN = (1920, 1080)  # pixels in which the error of a cursor is given
BASELINES = ("copy_last", "never_press")
SHARES = {  # of the two sums
    "action_f1": 0.4,
    "look_mse": 0.2,
    "hotbar_acc": 0.1,
    "cursor_mse": 0.1,
    "inv_f1": 0.1,
    "idle_acc": 0.1,
}
_SHARE = MetricInfo("high", 0.0, 1.0, BASELINES)
HEADS = {
    "look_mse": MetricInfo("low", 0.0, baselines=BASELINES),
    "look_direction": _SHARE,
    "hotbar_acc": _SHARE,
    "cursor_mse": MetricInfo("low", 0.0, baselines=BASELINES),
    "cursor_px": MetricInfo("low", 0.0, baselines=BASELINES),
    "idle_acc": _SHARE,
}
COMBINED = dict.fromkeys(("action_f1", "inv_f1", "seed_score", "score"), _SHARE)


class _Guess(NamedTuple):
    """Controls that are guessed for the last frame of each window."""

    action: Tensor  # bool [B, A]
    look: Tensor  # [B, 2]
    slot: Tensor  # [B], -1: no change
    cursor: Tensor  # [B, 2] in [0, 1]
    inv: Tensor  # bool [B, I]


def guess_of(answers: _Answers) -> _Guess:
    """Guess of the five heads at a threshold of one half."""
    return _Guess(
        answers.action > 0,
        answers.look,
        answers.hotbar.argmax(1),
        answers.cursor,
        answers.inv > 0,
    )


def nothing_like(targets: _Targets) -> _Guess:
    """No key, no turn, no change, and the middle of the screen."""
    return _Guess(
        torch.zeros_like(targets.action, dtype=torch.bool),
        torch.zeros_like(targets.look),
        torch.full_like(targets.slot, -1),
        torch.full_like(targets.cursor, 0.5),
        torch.zeros_like(targets.inv, dtype=torch.bool),
    )


def head_scores(
    guess: _Guess, targets: _Targets, actions: Sequence[str], clicks: Sequence[str]
) -> dict[str, ScoreSums]:
    """Score of each head and control by window, as sums that add up over windows."""
    found: dict[str, ScoreSums] = {}
    for names, pressed, truth, counted in (
        (actions, guess.action, targets.action > 0.5, targets.playing),
        (clicks, guess.inv, targets.inv > 0.5, ~targets.playing),
    ):
        hits = pressed & truth & counted[:, None]
        both = (pressed.float() + truth.float()) * counted[:, None]
        for at, name in enumerate(names):
            found[f"f1.{name}"] = ScoreSums(2.0 * hits[:, at], both[:, at])
    turning, screen = targets.turning.float(), (~targets.playing).float()
    axes = (targets.look.abs() > DEADZONE) & targets.turning[:, None]
    same = (guess.look.sign() == targets.look.sign()) & axes
    off = (guess.cursor - targets.cursor) * torch.tensor(SCREEN, device=turning.device)
    changed, idle = (targets.slot >= 0).float(), targets.idle.float()
    look = (guess.look - targets.look).square().mean(1)
    cursor = (guess.cursor - targets.cursor).square().mean(1)
    return found | {
        "look_mse": ScoreSums(look * turning, turning),
        "look_direction": ScoreSums(same.sum(1).float(), axes.sum(1).float()),
        "hotbar_acc": ScoreSums((guess.slot == targets.slot) * changed, changed),
        "cursor_mse": ScoreSums(cursor * screen, screen),
        "cursor_px": ScoreSums(off.norm(dim=1) * screen, screen),
        "idle_acc": ScoreSums(~guess.action.any(1) * idle, idle),
    }


def combined_scores(
    sums: Mapping[str, tuple[Array, Array]], actions: Sequence[str], clicks: Sequence[str]
) -> dict[str, Array]:
    """Scores COMBINED and those of their baselines, from sums [n] of `head_scores` by name.

    A baseline that presses nothing has the number of presses as its denominator, which shows the
    controls that occur.
    """
    found = {}
    for end in ("", *(f"/{name}" for name in BASELINES)):
        ratio = {name: _ratio(*sums[f"{name}{end}"]) for name in HEADS}
        macro, seed_macro = {}, {}
        for name, controls in (("action_f1", actions), ("inv_f1", clicks)):
            f1 = np.stack([_ratio(*sums[f"f1.{each}{end}"]) for each in controls])
            occurs = np.stack([sums[f"f1.{each}/never_press"][1] > 0 for each in controls])
            seed_macro[name] = np.nan_to_num(f1).mean(0)
            macro[name] = _ratio((np.nan_to_num(f1) * occurs).sum(0), occurs.sum(0))
            found[f"{name}{end}"] = macro[name]
        errors = {name: ratio[name] for name in ("look_mse", "cursor_mse")}
        seed = {
            **{name: np.maximum(0, 1 - np.nan_to_num(value)) for name, value in errors.items()},
            **{name: np.nan_to_num(ratio[name], nan=1.0) for name in ("hotbar_acc", "idle_acc")},
            **seed_macro,
        }
        skills = {
            name: np.maximum(0, 1 - value / _ratio(*sums[f"{name}/never_press"]))
            for name, value in errors.items()
        }
        own = {**ratio, **skills, **macro}
        found[f"seed_score{end}"] = sum((SHARES[name] * seed[name] for name in SHARES), np.zeros(1))
        there = {name: np.isfinite(own[name]) for name in SHARES}
        total = sum((SHARES[name] * there[name] for name in SHARES), np.zeros(1))
        gained = sum((SHARES[name] * np.nan_to_num(own[name]) for name in SHARES), np.zeros(1))
        found[f"score{end}"] = _ratio(gained, total)
    return found


def _ratio(top: Array, bottom: Array) -> Array:
    """Ratio, NaN where nothing counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(np.asarray(bottom) > 0, np.asarray(top) / bottom, np.nan)
    return found
