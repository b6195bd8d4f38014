"""Learning-rate schedule, optimizer, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.train.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Learning rate of step `step` (from 0) of `total`: linear warm-up, then cosine down to `final_lr`."""
    warmup = min(config.warmup, max(0, total - 1))
    if step < warmup:
        return config.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, total - 1 - warmup)
    share = config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    return config.lr * share


def in_words(config: TrainConfig, total: int) -> str:
    """The schedule as a sentence."""
    final = config.lr * config.final_lr
    warmup = min(config.warmup, max(0, total - 1))
    return f"warm-up of {warmup} steps to {config.lr:g}, then a cosine to {final:g} at step {total}"


def build_optimizer(
    model: nn.Module, config: TrainConfig, device: torch.device
) -> torch.optim.Optimizer:
    """AdamW without weight decay on norms, biases and embeddings."""
    still = {
        id(p)
        for module in model.modules()
        if isinstance(module, nn.Embedding | nn.LayerNorm)
        for p in module.parameters()
    }
    decays: list[nn.Parameter] = []
    stays: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (stays if id(parameter) in still or parameter.ndim < 2 else decays).append(parameter)
    groups = [
        {"params": decays, "weight_decay": config.weight_decay},
        {"params": stays, "weight_decay": 0.0},
    ]
    # one call for all weights; the loop is then almost free
    fused = True if device.type in ("cuda", "cpu") else None
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        fused=fused,
    )


def freeze_parameters(model: nn.Module, names: Iterable[str]) -> None:
    """Freeze parts of a model by name: a part, such as `trunk`, or one below it, `trunk.layers.0`.

    Refuses a name that no parameter has, and a model without anything left to train.
    """
    for name in names:
        chosen = [p for path, p in model.named_parameters() if f"{path}.".startswith(f"{name}.")]
        if not chosen or not name:
            known = sorted({path.partition(".")[0] for path, _ in model.named_parameters()})
            raise UsageError(
                f"train.freeze: the model has no part '{name}': {did_you_mean(name, known)}"
            )
        for parameter in chosen:
            parameter.requires_grad = False
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(
            "train.freeze: every part of the model is frozen, nothing is left to train"
        )


class WeightAverage:
    """Exponential moving average of the weights; buffers are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.seen = decay, 0
        self._live: list[Tensor] = list(model.parameters())
        self._slow = [parameter.detach().clone() for parameter in self._live]
        self._names = [name for name, _ in model.named_parameters()]

    @torch.no_grad()
    def follow(self) -> None:
        """Update the average after a step.

        In the first steps the average is shorter, so that it does not remember the random
        initialization.
        """
        self.seen += 1
        decay = min(self.decay, self.seen / (self.seen + 9))
        torch._foreach_lerp_(self._slow, self._live, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and the average; calling it twice restores both."""
        for slow, live in zip(self._slow, self._live, strict=True):
            held = live.detach().clone()
            live.copy_(slow)
            slow.copy_(held)

    def weights(self) -> dict[str, Tensor]:
        """Averaged weights by name."""
        return dict(zip(self._names, self._slow, strict=True))

    def state(self) -> dict[str, Any]:
        """State as plain data."""
        return {"seen": self.seen, "weights": self.weights()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.seen = int(state["seen"])
        for slow, name in zip(self._slow, self._names, strict=True):
            slow.copy_(state["weights"][name])


@contextmanager
def averaged(average: WeightAverage | None) -> Iterator[None]:
    """Context in which the model has its averaged weights, if there are any."""
    if average:
        average.swap()
    try:
        yield
    finally:
        if average:
            average.swap()


def count(parameters: Iterable[Tensor]) -> int:
    """Number of values in all parameters."""
    return sum(parameter.numel() for parameter in parameters)
