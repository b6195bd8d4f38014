"""Configuration of trunks, heads, training noise and policies, and the presets of policies.

A policy's configuration is written flat (`{"trunk": "gru", "width": 128, "head": "chain", ...}`) in
presets, run cards and checkpoints, because no two parts share the name of a setting. In code it is
`PolicyConfig`, whose parts other models (worlds, strategy encoders) take on their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.loss_options import LossOptions


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """A sequence model over encoded frames."""

    trunk: str = "gru"  # a name in model/trunks/registry.py
    width: int = 192
    depth: int = 1  # layers
    layers: int = 1  # of a recurrent trunk, over each frame
    hidden_width: int = 0  # of a recurrent trunk's memory; 0: the same as width
    frames: int = 8  # that a window or a transformer looks back
    trunk_width: int = 0  # of a window's last layer; 0: the same as width
    dropout: float = 0.0
    plain: bool = False  # a window without norms, with ReLU: the shape of older systems

    def __post_init__(self) -> None:
        _at_least(self, width=1, depth=1, layers=1, frames=1, hidden_width=0, trunk_width=0)
        _share(self, "dropout")


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Distributions over controls."""

    head: str = "chain"  # a name in model/heads.py
    head_width: int = 128
    reals: str = "regression"  # of an independent head; or mixture

    def __post_init__(self) -> None:
        _at_least(self, head_width=1)
        _one_of(self, "reals", ("regression", "mixture"))


@dataclass(frozen=True, kw_only=True)
class TrainingNoise:
    """Noise on the own past controls while training, against copying them."""

    prev_control_dropout: float = 0.0  # share of segments in which they are hidden
    prev_control_noise: float = 0.0  # share of frames in which they are replaced by random ones

    def __post_init__(self) -> None:
        _share(self, "prev_control_dropout")
        _share(self, "prev_control_noise")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Everything that a policy is made of."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    loss: LossOptions = field(default_factory=LossOptions)
    noise: TrainingNoise = field(default_factory=TrainingNoise)
    relative_positions: bool = False  # distances from the own slot are inputs, too
    delay: int = 0  # frames that the game is seen late; the own controls are known at once
    # the controls that it decides, such as "pad/x|pad/y" for either; empty: all
    output_controls: tuple[str, ...] = ()
    players: tuple[str, ...] = ()  # pseudonyms of the players whose styles it learns
    strength: bool = False  # whether the player's strength is an input

    def __post_init__(self) -> None:
        _at_least(self, delay=0)

    @staticmethod
    def of(values: Mapping[str, Any]) -> PolicyConfig:
        """From flat plain data. Unknown names and values of another type are refused."""
        known = PolicyConfig().flat()
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"a policy has no argument '{name}': {did_you_mean(name, known)}")
            if not _like(value, known[name]):
                raise UsageError(
                    f"a policy's {name} is {value!r}: something like {known[name]!r} is needed"
                )
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        parts: dict[str, Any] = {
            name: kind(**{key: given.pop(key) for key in _names(kind) if key in given})
            for name, kind in _PARTS.items()
        }
        return PolicyConfig(**parts, **given)

    def flat(self) -> dict[str, Any]:
        """The inverse of `of`: every setting by name."""
        values = {name: getattr(self, name) for name in _names(PolicyConfig) - _PARTS.keys()}
        for name in _PARTS:
            values |= dataclasses.asdict(getattr(self, name))
        return values


_PARTS = {
    "trunk": TrunkConfig,
    "head": HeadConfig,
    "loss": LossOptions,
    "noise": TrainingNoise,
}


def _names(kind: Any) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def _like(value: Any, default: Any) -> bool:
    """Whether a value has the type of a default; whole numbers may stand for real ones."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


def _at_least(config: Any, **least: int) -> None:
    for name, low in least.items():
        if getattr(config, name) < low:
            raise UsageError(
                f"a model's {name} is {getattr(config, name)}, at least {low} is needed"
            )


def _share(config: Any, name: str) -> None:
    if not 0 <= getattr(config, name) < 1:
        raise UsageError(f"a model's {name} is {getattr(config, name)}, 0 <= {name} < 1 is needed")


def _one_of(config: Any, name: str, choices: tuple[str, ...]) -> None:
    if getattr(config, name) not in choices:
        raise UsageError(
            f"a model's {name} is '{getattr(config, name)}': "
            f"{did_you_mean(getattr(config, name), choices)}"
        )


_PLAYABLE = {"prev_control_dropout": 0.1, "relative_positions": True}  # of presets meant to play

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "trunk": "window", "frames": 8, "width": 128, "depth": 2, "head_width": 64,
        "relative_positions": True,
    },
    "small": {"trunk": "gru", "width": 64, "head_width": 64, **_PLAYABLE},
    "large": {
        "trunk": "gru", "width": 256, "layers": 3, "hidden_width": 256, "head_width": 256, **_PLAYABLE,
    },
    "default": {"trunk": "gru", "width": 128, "hidden_width": 96, "head_width": 64, **_PLAYABLE},
    "transformer": {"trunk": "transformer", "width": 128, "depth": 2, "frames": 64, **_PLAYABLE},
    "policy-mlp": {
        "trunk": "window", "head": "independent", "frames": 10, "width": 512, "trunk_width": 256,
        "depth": 2, "dropout": 0.1, "plain": True, "loss": "seed",
    },
}  # fmt: skip

SEATS: dict[str, tuple[int, ...]] = {"policy-mlp": (0,)}  # presets that learn from some seats only
