"""Losses of five heads on the last frame of each window: as older systems write them, and mended.

B: windows. `playing` marks those in play, where keys, look and slots count; the others have a screen
open, where cursor and clicks count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

DEADZONE = 0.08  # a look of at most this on both axes is not learned from
LARGEST_WEIGHT = 50.0  # of presses beside other frames
WEIGHTS: Mapping[str, float] = {
    "action": 1.0,
    "look": 0.5,
    "hotbar": 0.3,
    "cursor": 0.5,
    "inv_click": 0.3,
    "idle": 0.3,
}


class _Answers(NamedTuple):
    """Outputs of the five heads."""

    action: Tensor  # logits [B, A]
    look: Tensor  # [B, 2] in [-1, 1]
    hotbar: Tensor  # logits [B, S]
    cursor: Tensor  # [B, 2] in [0, 1]
    inv: Tensor  # logits [B, I]


class _Targets(NamedTuple):
    """Controls of the last frame of each window."""

    action: Tensor  # [B, A] 0 or 1
    look: Tensor  # [B, 2]
    slot: Tensor  # [B], -1: no change
    cursor: Tensor  # [B, 2] in [0, 1]
    inv: Tensor  # [B, I] 0 or 1
    playing: Tensor  # bool [B]

    @property
    def turning(self) -> Tensor:
        """Windows in play in which either axis of the look is beyond the dead zone, bool [B]."""
        return self.playing & (self.look.abs() > DEADZONE).any(1)

    @property
    def idle(self) -> Tensor:
        """Windows in play without any key, bool [B]."""
        return self.playing & (self.action.sum(1) == 0)


Losses = Callable[[_Answers, _Targets, Tensor, Tensor], dict[str, Tensor]]


def press_weights(frames: Tensor, presses: Tensor) -> Tensor:
    """Weight of each control's presses, from its frames and those in which it is down.

    min(frames / (2 * presses), LARGEST_WEIGHT); 1 for a control that is never pressed.
    """
    found = (frames / (2 * presses).clamp(min=1)).clamp(max=LARGEST_WEIGHT)
    return torch.where(presses > 0, found, 1.0)


def seed_losses(
    answers: _Answers, targets: _Targets, action_weight: Tensor, inv_weight: Tensor
) -> dict[str, Tensor]:
    """Losses as older systems write them, each times the share of the windows that it counts in.

    So the action's loss, which is a mean over all windows, has that share twice; look and cursor
    are sums over two axes, and clicks over three buttons. Rare heads hardly learn.
    """
    gameplay, turning, screen = (
        mask.to(answers.look.dtype) for mask in (targets.playing, targets.turning, ~targets.playing)
    )
    changed = targets.slot >= 0
    action, look, cursor, clicks = _each(answers, targets, action_weight, inv_weight)
    return {
        "action": (action * gameplay[:, None]).mean() * gameplay.mean(),
        "look": _over(look.sum(1), turning) * gameplay.mean(),
        "hotbar": _slots(answers, targets) * changed.to(gameplay.dtype).mean(),
        "cursor": _over(cursor.sum(1), screen) * screen.mean(),
        "inv_click": _over(clicks.sum(1), screen) * screen.mean(),
        "idle": _over(torch.sigmoid(answers.action).mean(1), targets.idle),
    }


def _each(
    answers: _Answers, targets: _Targets, action_weight: Tensor, inv_weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Losses of action, look, cursor and clicks by window and element, [B, elements] each."""
    action = functional.binary_cross_entropy_with_logits(
        answers.action, targets.action, pos_weight=action_weight, reduction="none"
    )
    look = functional.smooth_l1_loss(answers.look, targets.look, reduction="none")
    cursor = functional.mse_loss(answers.cursor, targets.cursor, reduction="none")
    clicks = functional.binary_cross_entropy_with_logits(
        answers.inv, targets.inv, pos_weight=inv_weight, reduction="none"
    )
    return action, look, cursor, clicks


def own_losses(
    answers: _Answers, targets: _Targets, action_weight: Tensor, inv_weight: Tensor
) -> dict[str, Tensor]:
    """Losses that are means over the elements of the windows in which each counts."""
    action, look, cursor, clicks = _each(answers, targets, action_weight, inv_weight)
    return {
        "action": _over(action.mean(1), targets.playing),
        "look": _over(look.mean(1), targets.turning),
        "hotbar": _slots(answers, targets),
        "cursor": _over(cursor.mean(1), ~targets.playing),
        "inv_click": _over(clicks.mean(1), ~targets.playing),
        "idle": _over(torch.sigmoid(answers.action).mean(1), targets.idle),
    }


LOSSES: Mapping[str, Losses] = {"own": own_losses, "seed": seed_losses}


def _over(cost: Tensor, mask: Tensor) -> Tensor:
    """Mean of costs [B] where the mask is on; 0 without any."""
    on = mask.to(cost.dtype)
    return (cost * on).sum() / on.sum().clamp(min=1)


def _slots(answers: _Answers, targets: _Targets) -> Tensor:
    """Cross-entropy of the slots that were chosen; 0 without any."""
    cost = functional.cross_entropy(answers.hotbar, targets.slot.clamp(min=0), reduction="none")
    return _over(cost, targets.slot >= 0)
