"""Configuration of a policy, and its presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.heads import HEADS
from shadowbox.model.loss_options import Options
from shadowbox.model.trunks.registry import TRUNKS


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a policy is made of. Everything is plain data and stands in its checkpoint."""

    trunk: str = "gru"
    head: str = "chain"
    width: int = 192  # of the trunk
    depth: int = 1  # layers of the trunk
    layers: int = 1  # of a recurrent trunk, over each frame
    memory: int = 0  # width of a recurrent trunk's memory, where it is another one
    frames: int = 8  # that a window or a transformer looks back
    trunk_width: int = 0  # of a window's last layer, where it is another one
    dropout: float = 0.0
    plain: bool = False  # a window without norms, with ReLU: the originals' shape
    head_width: int = 128
    # seed: mean squared error of squashed reals, and mean of the flags' cross-entropies
    loss: str = "nll"
    reals: str = "regression"  # of an independent head; or mixture
    raw: bool = False  # these five: see model/distributions.py
    pos_weight: float = 1.0
    focal: float = 0.0
    smoothing: float = 0.0
    bias: float = 0.0
    # share of training segments in which the own past controls are hidden: against copying
    blank: float = 0.0
    # share of training frames in which the own past controls are replaced by any others
    slips: float = 0.0
    distances: bool = False  # it is shown how far everything is from the own slot, too
    delay: int = 0  # frames that the game is seen late; the own controls are known at once
    # the controls that it decides, such as "pad/x|pad/y" for either; empty: all
    answers: tuple[str, ...] = ()
    players: tuple[str, ...] = ()  # whose styles it holds, by pseudonym
    strength: bool = False  # whether it is told how strong the player is

    @staticmethod
    def of(values: Mapping[str, Any]) -> Design:
        """From plain data; unknown names and values of another type are refused."""
        known = {field.name: field.default for field in dataclasses.fields(Design)}
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"a policy has no argument '{name}': {did_you_mean(name, known)}")
            wanted = (
                (int, float)
                if isinstance(known[name], float)
                else (list, tuple)
                if isinstance(known[name], tuple)
                else type(known[name])
            )
            if not isinstance(value, wanted) or (
                isinstance(value, bool) and not isinstance(known[name], bool)
            ):
                raise UsageError(
                    f"a policy's {name} is {value!r}: something like {known[name]!r} is needed"
                )
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return Design(**given)

    def __post_init__(self) -> None:
        for name, choices in (
            ("trunk", TRUNKS),
            ("head", HEADS),
            ("loss", ("nll", "seed")),
            ("reals", ("regression", "mixture")),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"a policy's {name} is '{getattr(self, name)}': {did_you_mean(getattr(self, name), choices)}"
                )
        for name, least in (
            ("width", 1),
            ("depth", 1),
            ("frames", 1),
            ("head_width", 1),
            ("layers", 1),
            ("memory", 0),
            ("trunk_width", 0),
            ("delay", 0),
        ):
            if getattr(self, name) < least:
                raise UsageError(
                    f"a policy's {name} is {getattr(self, name)}, at least {least} is needed"
                )
        for name in ("dropout", "blank", "slips"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"a policy's {name} is {getattr(self, name)}, 0 <= {name} < 1 is needed"
                )

    @property
    def options(self) -> Options:
        """How its loss is bent."""
        return Options(
            pos_weight=self.pos_weight,
            focal=self.focal,
            smoothing=self.smoothing,
            bias=self.bias,
            raw=self.raw,
        )


CAREFUL = {"blank": 0.1, "distances": True}  # what all have that are meant to play


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"trunk": "window", "frames": 8, "width": 128, "depth": 2, "head_width": 64, "distances": True},
    "small": {"trunk": "gru", "width": 64, "head_width": 64, **CAREFUL},
    "large": {"trunk": "gru", "width": 256, "layers": 3, "memory": 256, "head_width": 256, **CAREFUL},
    "default": {"trunk": "gru", "width": 128, "memory": 96, "head_width": 64, **CAREFUL},
    "transformer": {"trunk": "transformer", "width": 128, "depth": 2, "frames": 64, **CAREFUL},
    "policy-mlp": {
        "trunk": "window", "head": "independent", "frames": 10, "width": 512, "trunk_width": 256, "depth": 2,
        "dropout": 0.1, "plain": True, "loss": "seed",
    },
}  # fmt: skip


SEATS: dict[str, tuple[int, ...]] = {"policy-mlp": (0,)}  # presets that learn from some seats only
