"""Settings of the training loop: typed, frozen, and closed to unknown names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from shadowbox.errors import UsageError, did_you_mean

MOST = 2**31 - 1  # of steps, epochs, examples and the like
MOST_SEED = 2**63 - 1
PRECISIONS = ("auto", "fp32", "bf16")
SINKS = ("wandb", "tensorboard", "trackio")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of the training loop.

    A run ends after `epochs` or `steps`; exactly one of them must be given.
    """

    seed: int = 0
    epochs: int | None = None
    steps: int | None = None
    batch: int = 64  # examples a step, of all ranks and all accumulated parts together
    # parts that a rank's share of the batch is computed in; out of memory doubles it
    accumulate: int = 1

    lr: float = 1e-3  # at the end of the warm-up
    final_lr: float = 0.01  # of the last step, as a share of `lr`
    warmup: int = 100  # steps
    weight_decay: float = 0.01  # not on norms, biases, embeddings
    beta1: float = 0.9
    beta2: float = 0.95
    max_grad_norm: float = 1.0  # largest norm of the gradient; 0: none
    # decay a step of the averaged weights, which are then what is validated and kept; 0: none
    ema: float = 0.0

    score: str = "loss"  # what the best checkpoint is best in; a learner says which way is better
    patience: int = 0  # validations without a better score until the run stops early; 0: never
    validate_every: int = 0  # steps; 0: at the end of each epoch
    # bounds of one validation: rows of its segments (then evenly spread episodes are taken), and
    # seconds (then the first batches are taken, and the same ones ever after)
    validate_rows: int = 1 << 20
    validate_s: float = 600.0
    log_every: int = 10  # steps
    save_every: int = 0  # steps; 0: at the end of each epoch
    keep_every: int = 0  # steps whose checkpoints stay besides latest and best; 0: none

    device: str = "auto"  # cuda, mps or cpu; auto: the first that is there
    precision: str = "auto"  # auto: bf16 where the device gains from it, else fp32
    compile: bool = False
    threads: int = 0  # of torch on the CPU; 0: as it is. Bit-for-bit repetition needs 1

    # non-finite steps in a row that are left out before the run goes back to its last checkpoint
    skips: int = 3
    rollbacks: int = 2  # times that it goes back before it stops
    halvings: int = 6  # times that a batch is halved when memory runs out

    # groups of parameters that keep their values: names of parts of the model, such as trunk
    freeze: tuple[str, ...] = ()

    sinks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise UsageError(f"training settings: {problem}")

    @staticmethod
    def of(values: Mapping[str, Any]) -> TrainConfig:
        """Build from plain data; refuse unknown names and values of another type."""
        known = get_type_hints(TrainConfig)
        for name, value in values.items():
            if name not in known:
                raise UsageError(
                    f"training settings: unknown setting '{name}': {did_you_mean(name, known)}"
                )
            if not _fits(value, known[name]):
                wanted = getattr(known[name], "__name__", str(known[name]))
                raise UsageError(f"training settings: {name} is {value!r}, {wanted} is needed")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return TrainConfig(**given)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `of` accepts."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def _problems(self) -> list[str]:
        lines = []
        if (self.epochs is None) == (self.steps is None):
            lines.append("give either epochs or steps")
        for name in ("epochs", "steps", "batch", "accumulate", "log_every", "validate_rows"):
            if (value := getattr(self, name)) is not None and not 1 <= value <= MOST:
                lines.append(f"{name} is {value}, a number from 1 to {MOST} is needed")
        if not 0 <= self.seed <= MOST_SEED:
            lines.append(f"seed is {self.seed}, a number from 0 to {MOST_SEED} is needed")
        for name in (
            "warmup", "weight_decay", "max_grad_norm", "patience", "validate_every", "save_every",
            "keep_every", "threads", "skips", "rollbacks", "halvings", "final_lr",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= MOST:
                lines.append(f"{name} is {getattr(self, name)}, 0 to {MOST} is needed")
        for name in ("lr", "validate_s"):
            if not 0 < getattr(self, name) < float("inf"):
                lines.append(f"{name} is {getattr(self, name)}, a positive number is needed")
        for name in ("ema", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                lines.append(f"{name} is {getattr(self, name)}, 0 <= {name} < 1 is needed")
        if self.precision not in PRECISIONS:
            lines.append(
                f"precision is '{self.precision}': {did_you_mean(self.precision, PRECISIONS)}"
            )
        lines += [
            f"unknown sink '{sink}': {did_you_mean(sink, SINKS)}"
            for sink in self.sinks
            if sink not in SINKS
        ]
        return lines


# on resuming: what the numbers do not follow from
MAY_CHANGE = frozenset({"device", "sinks", "compile", "threads"})


def _fits(value: Any, wanted: Any) -> bool:
    choices = get_args(wanted)
    if wanted == tuple[str, ...]:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if choices:
        return any(_fits(value, choice) for choice in choices)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)
