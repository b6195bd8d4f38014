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

from shadowbox.core.dynamics.declaration import _Dynamics
from shadowbox.core.dynamics.rules import _Rules
from shadowbox.core.encoding import Encoding
from shadowbox.core.schema import Array, Schema
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.design import TrunkConfig
from shadowbox.model.embedding import EncodingEmbedding
from shadowbox.model.trunks.base import Memory
from shadowbox.model.trunks.registry import build_trunk
from shadowbox.model.world.layout import _Layout
from shadowbox.model.world.older_heads import BINARY, _OlderHeads, predicted
from shadowbox.model.world.vocabulary import _Vocabulary

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
    """Embedding of a named encoding, trunk, the pressed controls, and a linear layer for each head.

    In a dream it has the interface of `model/world/world.py`: `seq` and `step` read a state and the
    controls pressed having seen it, and keep these controls in the memory, beside the trunk's own.
    """

    contexts: Tensor
    context_length: Tensor

    def __init__(
        self,
        schema: Schema,
        encoding: Encoding,
        dynamics: _Dynamics,
        config: _OlderConfig,
        contexts: tuple[int, int] = (0, 1),
    ) -> None:
        """`contexts`: number of recorded starts that the model carries, and their longest."""
        super().__init__()
        self.schema, self.encoding, self.config = schema, encoding, config
        self.rules, self.layout = _Rules(schema, _held(schema, encoding, dynamics)), _Layout(schema)
        self.vocabulary = _Vocabulary()  # it measures nothing on recordings
        places = (self.layout.reals, self.layout.flags, self.layout.choices)
        self.keys = (*(key for kind in places for key in kind), *schema.control_keys)
        self.embed = EncodingEmbedding(encoding)
        self.trunk = build_trunk(config.trunk, self.embed.width, self.embed.fixed)
        width, players = self.trunk.out, encoding.players
        self.controls = nn.Linear(players * len(encoding.conditions), width)
        self.heads = _OlderHeads(schema, encoding, width)
        shape = (contexts[0], contexts[1], schema.row_dtype.itemsize)
        self.register_buffer("contexts", torch.zeros(shape, dtype=torch.uint8))
        self.register_buffer("context_length", torch.ones(contexts[0], dtype=torch.int64))

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses: blocks of numbers, then categories."""
        blocks = (name for name, _ in self.heads.blocks.values())
        return (*blocks, *(category.name for category in self.heads.kinds))

    def initial(self, batch: int, device: torch.device) -> Memory:
        """Memory of matches that have not begun, in which nothing was pressed."""
        pressed = {}
        for key in self.schema.control_keys:
            column = self.schema.columns[key]
            kind = torch.bool if column.dtype == bool else torch.float32
            pressed[key] = torch.zeros(batch, column.slots, dtype=kind, device=device)
        return {**self.trunk.begin(batch, device), **pressed}

    def forward(
        self,
        view: Mapping[str, Tensor],
        pressed: Tensor,
        reset: Tensor,
        memory: Memory | None = None,
    ) -> tuple[dict[str, Tensor], Memory]:
        """Outputs of each head [B, T, width], and the new memory of the trunk.

        `view` has state_t and controls_{t-1} as columns [B, T, slots], `pressed` [B, T, conditions]
        the encoded controls_t, `reset` [B, T] the starts of matches.
        """
        memory = self.initial(len(reset), reset.device) if memory is None else memory
        h, memory = self.trunk.seq(self.embed(view), memory, reset)
        return self.heads.outputs(h + self.controls(pressed)), memory

    def seq(
        self, columns: Mapping[str, Tensor], memory: Memory, reset: Tensor, level: Tensor
    ) -> tuple[Tensor, Memory]:
        """Features [B, T, out] of state_t and controls_t as columns [B, T, slots]; no noise level."""
        before = {}
        for key in self.schema.control_keys:
            earlier = torch.cat([memory[key][:, None], columns[key][:, :-1]], 1)
            before[key] = torch.where(reset[..., None], torch.zeros_like(earlier), earlier)
        pressed = self.encoding.condition(columns, before, torch)
        h, own = self.trunk.seq(self.embed({**columns, **before}), memory, reset)
        last = {key: columns[key][:, -1].clone() for key in self.schema.control_keys}
        return h + self.controls(pressed), {**own, **last}

    def step(
        self, columns: Mapping[str, Tensor], memory: Memory, reset: Tensor, level: Tensor
    ) -> tuple[Tensor, Memory]:
        """`seq` for one frame, with arguments [N, ...]."""
        before = {}
        for key in self.schema.control_keys:
            earlier = memory[key]
            before[key] = torch.where(reset[..., None], torch.zeros_like(earlier), earlier)
        pressed = self.encoding.condition(columns, before, torch)
        h, own = self.trunk.step(self.embed({**columns, **before}), memory, reset)
        last = {key: columns[key].clone() for key in self.schema.control_keys}
        return h + self.controls(pressed), {**own, **last}

    def tables(self) -> dict[str, Array]:
        """Values of periodic columns by time: none is measured."""
        return {}

    def periodic_tables(self) -> dict[str, Tensor]:
        """The same as tensors."""
        return {}

    def put_contexts(self, rows: Array, length: Array) -> None:
        """Keep packed rows [S, K, row_bytes] to start from; the last `length` [S] of them count."""
        self.contexts.copy_(torch.from_numpy(rows))
        self.context_length.copy_(torch.from_numpy(length))

    def costs(
        self, outputs: Mapping[str, Tensor], numbers: Tensor, categories: Tensor
    ) -> dict[str, Tensor]:
        """Loss of each name at each position [B, T], of targets as from `Encoding.targets`.

        Squared errors of numbers, nats of flags and categories; means over fields and players.
        """
        found, at = {}, 0
        for block, (name, wide) in self.heads.blocks.items():
            output, target = outputs[name], numbers[..., at : at + wide]
            at += wide
            cost = (
                functional.binary_cross_entropy_with_logits(output, target, reduction="none")
                if block == BINARY
                else (output - target).square()
            )
            found[name] = cost.mean(-1)
        kinds = self.heads.kinds
        for place, category in enumerate(kinds):
            nats = [
                functional.cross_entropy(
                    outputs[f"{category.name}_{player}"].movedim(-1, 1),
                    categories[..., player * len(kinds) + place],
                    reduction="none",
                )
                for player in range(self.encoding.players)
            ]
            found[category.name] = torch.stack(nats).mean(0)
        return found


def build_older_world(
    schema: Schema, encoding: Encoding | None, arguments: Mapping[str, Any], seed: int = 0
) -> _OlderWorld:
    """New world model from plain data, whose weights depend on the seed alone."""
    expected = arguments["encoding"]
    got = {"name": encoding.name, "settings": dict(encoding.settings)} if encoding else None
    if encoding is None or expected != got:
        raise UsageError(f"this world expects the encoding {expected} (got {got})")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _OlderWorld(
            schema,
            encoding,
            _Dynamics.of(arguments["dynamics"]),
            _OlderConfig.of(arguments["config"]),
            tuple(arguments["contexts"]),
        )


def _held(schema: Schema, encoding: Encoding, dynamics: _Dynamics) -> _Dynamics:
    """Dynamics of an older world: no events, and all that its heads do not predict stays as it is.

    Rules of the game that need no event hold here, too.
    """
    given, plain, rules = predicted(encoding), dynamics.without_gates(), {}
    for key in schema.state_keys:
        rule = plain.rules.get(key, "drawn" if key in given else "carried")
        rules[key] = rule if key in given or not rule.startswith("drawn") else "carried"
    return _Dynamics(
        rules={**rules, **encoding.rules},
        over=plain.over,
        clock=plain.clock,
        seed=plain.seed,
    )
