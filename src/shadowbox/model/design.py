"""Configuration of trunks, heads, training noise and policies, and the presets of policies.

Presets, run cards and checkpoints hold a policy's configuration as a flat dictionary (`{"trunk":
"gru", "width": 128, "head": "chain", ...}`), since no two parts share the name of a setting. In
code it is a `PolicyConfig`, whose parts other models (worlds, strategy encoders) use alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.loss_options import LossOptions

# far beyond any model; a number above is a mistake, and building such a model would take hours
MOST_LAYERS, WIDEST, LONGEST_DELAY = 1024, 1 << 16, 1 << 10
DELAY = "delay"  # column of a view: frames by which its state is late, for policies with `delays`


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Settings of a trunk: a sequence model over encoded frames."""

    trunk: str = "gru"  # a name in model/trunks/registry.py
    width: int = 192
    depth: int = 1  # layers
    layers: int = 1  # layers over each frame, of a recurrent trunk
    hidden_width: int = 0  # width of a recurrent trunk's memory; 0: the same as width
    frames: int = 8  # frames that a window or a transformer looks back
    trunk_width: int = 0  # width of a window's last layer; 0: the same as width
    dropout: float = 0.0
    plain: bool = False  # a window without norms and with ReLU, as in older systems
    ssm_state: int = 64  # size of the state of each channel, of an SSD trunk (Mamba-2)
    ssm_heads: int = 0  # heads of an SSD trunk; 0: one for each 64 channels
    ssm_expand: int = 2  # channels of an SSD trunk, as a multiple of width
    ssm_conv: int = 4  # frames of the convolution before each state-space model
    ssm_init: str = "reference"  # initial rates of forgetting: reference or older

    def __post_init__(self) -> None:
        _between(self, MOST_LAYERS, depth=1, layers=1, ssm_expand=1, ssm_conv=1)
        _between(self, WIDEST, ssm_state=1, ssm_heads=0)
        _one_of(self, "ssm_init", ("reference", "older"))
        _between(self, WIDEST, width=1, frames=1, hidden_width=0, trunk_width=0)
        _share(self, "dropout")


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Settings of a head: distributions over controls."""

    head: str = "chain"  # a name in model/heads.py
    head_width: int = 128
    reals: str = "regression"  # reals of an independent head: regression or mixture
    # choices of an independent head: change (whether the last value changes, and to which), or
    # plain (each value anew)
    choices: str = "change"

    def __post_init__(self) -> None:
        _between(self, WIDEST, head_width=1)
        _one_of(self, "reals", ("regression", "mixture"))
        _one_of(self, "choices", ("change", "plain"))


@dataclass(frozen=True, kw_only=True)
class TrainingNoise:
    """Noise during training: on the own previous controls, against copying them, and on the state."""

    prev_control_dropout: float = 0.0  # share of segments whose previous controls are hidden
    prev_control_noise: float = 0.0  # share of frames whose previous controls are random
    # share of segments whose previous controls the policy draws itself (scheduled sampling)
    prev_control_own: float = 0.0
    # of a policy with `normalize`: largest deviation of white noise on the reals of the state, and
    # largest change of their size, as shares; each segment has its own
    state_noise: float = 0.0
    state_scale: float = 0.0

    def __post_init__(self) -> None:
        _share(self, "prev_control_dropout")
        _share(self, "prev_control_noise")
        _share(self, "prev_control_own")
        _share(self, "state_noise")
        _share(self, "state_scale")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Settings of a policy."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    loss: LossOptions = field(default_factory=LossOptions)
    noise: TrainingNoise = field(default_factory=TrainingNoise)
    relative_positions: bool = False  # add distances from the own slot to the inputs
    # reals of the state with mean 0 and deviation 1 in the episodes of the training side
    normalize: bool = False
    # own and other controls of the frame before are inputs; false: a policy that copies nothing, and
    # plays as it does given recorded controls
    previous_controls: bool = True
    # of them, the controls of the others; false: where a game does not show these
    opponent_controls: bool = True
    delay: int = 0  # frames by which the game is seen late; own controls are not delayed
    # delays of which each player has one in every training match, an input of the policy
    delays: tuple[int, ...] = ()
    repeat: int = 1  # frames for which a decision is held (action repeat)
    # encoder of the opponent's history: banded, gru or window; window@45 looks back 45 frames
    strategy: str = ""
    opponents: tuple[str, ...] = ()  # names that the encoder learns to tell apart
    value: bool = False  # estimate the value of a state, too, as reinforcement learning needs
    mask: bool = False  # never press what can do nothing now, where the game declares that
    # the controls that the policy decides, such as "pad/x|pad/y" for either; empty: all
    output_controls: tuple[str, ...] = ()
    players: tuple[str, ...] = ()  # pseudonyms of the players whose styles are learned
    strength: bool = False  # add the player's strength to the inputs
    skill: tuple[str, ...] = ()  # kinds of skill that are inputs, such as outcome

    def __post_init__(self) -> None:
        _between(self, LONGEST_DELAY, delay=0, repeat=1)
        whole = all(isinstance(each, int) for each in self.delays)
        if not whole or not all(0 <= each <= LONGEST_DELAY for each in self.delays):
            raise UsageError(
                f"delays must be frames from 0 to {LONGEST_DELAY:,}, such as [0, 6, 12] "
                f"(got {list(self.delays)})"
            )
        if self.delays and (self.delay or not max(self.delays)):
            raise UsageError(
                f"delays {list(self.delays)} with delay {self.delay}: give one of the two, "
                "and more than a delay of 0"
            )
        noise = self.noise
        if not self.previous_controls and (
            noise.prev_control_dropout or noise.prev_control_noise or noise.prev_control_own
        ):
            raise UsageError(
                "prev_control_dropout, prev_control_noise and prev_control_own change previous "
                "controls, which this policy does not see: set them to 0, or previous_controls to true"
            )
        if (noise.state_noise or noise.state_scale) and not self.normalize:
            raise UsageError("state_noise and state_scale are for a policy with normalize: true")
        if self.mask and self.head.head != "categorical":
            raise UsageError(f"mask needs the head 'categorical' (got '{self.head.head}')")
        if self.mask and (self.delay or self.delays):
            raise UsageError(
                "mask and delay exclude each other: a mask would show a policy that sees the game "
                "late what can be done now"
            )

    @staticmethod
    def of(values: Mapping[str, Any]) -> PolicyConfig:
        """Configuration from flat plain data; unknown names and wrong types are refused."""
        defaults = PolicyConfig().flat()
        for name, value in values.items():
            if name not in defaults:
                raise UsageError(
                    f"a policy has no setting '{name}': {did_you_mean(name, defaults)}"
                )
            if not _like(value, defaults[name]):
                raise UsageError(
                    f"{name} of a policy must be of type {type(defaults[name]).__name__}, "
                    f"such as {defaults[name]!r} (got {value!r})"
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
        """Every setting by name; the inverse of `of`."""
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
    """Return true if a value has the type of a default; integers count as floats."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


def _between(config: Any, high: int, **lowest: int) -> None:
    for name, low in lowest.items():
        if not low <= getattr(config, name) <= high:
            raise UsageError(
                f"{name} must be from {low} to {high:,} (got {getattr(config, name):,})"
            )


def _share(config: Any, name: str) -> None:
    if not 0 <= getattr(config, name) < 1:
        raise UsageError(f"{name} must be at least 0 and below 1 (got {getattr(config, name)})")


def _one_of(config: Any, name: str, choices: tuple[str, ...]) -> None:
    if getattr(config, name) not in choices:
        raise UsageError(
            f"{name} must be one of {', '.join(choices)} (got '{getattr(config, name)}'): "
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

# presets of older systems for the learner of windows; SETTINGS of that learner and the loop
CONTROL_TRANSFORMER: dict[str, Any] = {
    "trunk": "pooled", "frames": 30, "width": 256, "depth": 6, "dropout": 0.3, "head": "grouped",
    "head_width": 128, "loss": "seed",
}  # fmt: skip

SEATS: dict[str, tuple[int, ...]] = {"policy-mlp": (0,)}  # presets trained on some seats only
