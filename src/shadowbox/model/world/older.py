"""World model of older systems: one layer for each kind of field, all independent, on a named encoding.

It is kept to compare with: its heads do not see each other's answers, so damage and the hit that
deals it are decided separately. B: segments, T: positions, P: players, D: width of the trunk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shadowbox.core.encoding import Encoding
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.design import TrunkConfig
from shadowbox.model.embedding import EncodingEmbedding
from shadowbox.model.trunks.base import Memory
from shadowbox.model.trunks.registry import build_trunk

OLDER: dict[str, dict[str, Any]] = {  # presets
    "mamba2-v3": {"trunk": "ssd", "width": 384, "depth": 4, "dropout": 0.1, "ssm_init": "older"},
}
SETTINGS: dict[str, dict[str, Any]] = {  # of the learner and the loop, by preset
    "mamba2-v3": {
        "learner.encoding": "v3-projectiles",
        "learner.length": 10,
        "learner.swap_seats": False,
        "learner.scheduled_sampling": 0.3,
    },
}
CORE, BINARY = "core", "binary"  # blocks of an encoding
WEIGHT = "_weight"  # end of the name of a loss's weight


@dataclass(frozen=True, kw_only=True)
class _OlderConfig:
    """Trunk, and the ten weights of the loss: of blocks of numbers, then of categories."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    continuous_weight: float = 1.0
    velocity_weight: float = 0.5
    binary_weight: float = 0.5
    dynamics_weight: float = 0.5
    action_weight: float = 2.0
    jumps_weight: float = 0.5
    l_cancel_weight: float = 0.3
    hurtbox_weight: float = 0.3
    ground_weight: float = 0.3
    last_attack_weight: float = 0.3

    @staticmethod
    def of(values: Mapping[str, Any]) -> _OlderConfig:
        """Configuration from flat plain data; unknown names are refused."""
        known = _OlderConfig().flat()
        for name in values:
            if name not in known:
                raise UsageError(f"a world has no setting '{name}': {did_you_mean(name, known)}")
        trunk = TrunkConfig(**{k: v for k, v in values.items() if not k.endswith(WEIGHT)})
        weights = {k: v for k, v in values.items() if k.endswith(WEIGHT)}
        return _OlderConfig(trunk=trunk, **weights)

    def flat(self) -> dict[str, Any]:
        """Every setting by name; the inverse of `of`."""
        values = dataclasses.asdict(self)
        trunk: dict[str, Any] = values.pop("trunk")
        return {**trunk, **values}

    def weights(self, names: tuple[str, ...]) -> dict[str, float]:
        """Weight of each of these losses; 1 where none is set."""
        return {name: float(getattr(self, name + WEIGHT, 1.0)) for name in names}


class _OlderWorld(nn.Module):
    """Embedding of a named encoding, trunk, the pressed controls, and a linear layer for each head."""

    def __init__(self, encoding: Encoding, config: _OlderConfig) -> None:
        super().__init__()
        self.encoding, self.config = encoding, config
        self.embed = EncodingEmbedding(encoding)
        self.trunk = build_trunk(config.trunk, self.embed.width, self.embed.fixed)
        width, players = self.trunk.out, encoding.players
        self.controls = nn.Linear(players * len(encoding.conditions), width)
        self.blocks = {  # block of the float target -> its name here and its width
            block: ("continuous" if block == CORE else block, encoding.widths[f"predicted_{block}"])
            for block in encoding.order
        }
        self.kinds = [category for category in encoding.categories if category.target]
        sizes = {name: wide for name, wide in self.blocks.values() if wide}
        sizes |= {f"{c.name}_{p}": c.n for c in self.kinds for p in range(players)}
        self.heads = nn.ModuleDict({name: nn.Linear(width, wide) for name, wide in sizes.items()})

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses: blocks of numbers, then categories."""
        blocks = [name for name, wide in self.blocks.values() if wide]
        return (*blocks, *(category.name for category in self.kinds))

    def initial(self, batch: int, device: torch.device) -> Memory:
        """Memory of matches that have not begun."""
        return self.trunk.begin(batch, device)

    def forward(
        self,
        view: Mapping[str, Tensor],
        pressed: Tensor,
        reset: Tensor,
        memory: Memory | None = None,
    ) -> tuple[dict[str, Tensor], Memory]:
        """Outputs of each head [B, T, width], and the new memory.

        `view` has state_t and controls_{t-1} as columns [B, T, slots], `pressed` [B, T, conditions]
        the encoded controls_t, `reset` [B, T] the starts of matches.
        """
        memory = self.initial(len(reset), reset.device) if memory is None else memory
        h, memory = self.trunk.seq(self.embed(view), memory, reset)
        h = h + self.controls(pressed)
        return {name: head(h) for name, head in self.heads.items()}, memory

    def step(
        self, view: Mapping[str, Tensor], pressed: Tensor, reset: Tensor, memory: Memory
    ) -> tuple[dict[str, Tensor], Memory]:
        """`forward` for one frame, with arguments [B, ...]."""
        h, memory = self.trunk.step(self.embed(view), memory, reset)
        h = h + self.controls(pressed)
        return {name: head(h) for name, head in self.heads.items()}, memory

    def costs(
        self, outputs: Mapping[str, Tensor], numbers: Tensor, categories: Tensor
    ) -> dict[str, Tensor]:
        """Loss of each name at each position [B, T], of targets as from `Encoding.targets`.

        Squared errors of numbers, nats of flags and categories; means over fields and players.
        """
        found, at = {}, 0
        for block, (name, wide) in self.blocks.items():
            if not wide:
                continue
            output, target = outputs[name], numbers[..., at : at + wide]
            at += wide
            cost = (
                functional.binary_cross_entropy_with_logits(output, target, reduction="none")
                if block == BINARY
                else (output - target).square()
            )
            found[name] = cost.mean(-1)
        for place, category in enumerate(self.kinds):
            nats = [
                functional.cross_entropy(
                    outputs[f"{category.name}_{player}"].movedim(-1, 1),
                    categories[..., player * len(self.kinds) + place],
                    reduction="none",
                )
                for player in range(self.encoding.players)
            ]
            found[category.name] = torch.stack(nats).mean(0)
        return found


def build_older_world(encoding: Encoding, config: Mapping[str, Any], seed: int = 0) -> _OlderWorld:
    """New world model from plain data, whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _OlderWorld(encoding, _OlderConfig.of(config))
