"""World model: states and both players' controls -> a distribution over the next state.

One frame of all players, in the order of their seats, is embedded, goes through a trunk once, and
a chain of heads (`model/world/state_heads.py`) draws the next frame. `seq` and `step` give equal
features, so training, evaluation and play unroll the same model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.declaration import _Dynamics
from shadowbox.core.dynamics.rules import _Rules, _Step
from shadowbox.core.schema import Array, Real, Schema
from shadowbox.core.view import seat_order
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.model.design import TrunkConfig
from shadowbox.model.embedding import ColumnEmbedding, visible_columns
from shadowbox.model.relative_positions import RelativePositions
from shadowbox.model.trunks.base import Memory
from shadowbox.model.trunks.registry import build_trunk
from shadowbox.model.world.derived import real_base
from shadowbox.model.world.heads import HEADS
from shadowbox.model.world.layout import _Layout
from shadowbox.model.world.parts import _Cost
from shadowbox.model.world.state_heads import PARTS
from shadowbox.model.world.vocabulary import _Vocabulary
from shadowbox.model.world.waves import _Waves

WORLDS: dict[str, dict[str, Any]] = {  # presets
    "tiny": {"width": 48, "head_width": 48},
    "small": {"width": 128, "layers": 2, "hidden_width": 48, "head_width": 128},
}


@dataclass(frozen=True, kw_only=True)
class _WorldConfig:
    """Settings of a world model."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    heads: str = "chain"  # a name in model/world/heads.py
    gated: bool = True  # events of the game decide what is drawn; false: everything is drawn
    head_width: int = 128
    ancestor_dropout: float = 0.1  # share of positions at which a part does not see an earlier one
    relative_positions: bool = True  # add distances between slots to the inputs

    def __post_init__(self) -> None:
        if self.heads not in HEADS:
            raise UsageError(f"unknown heads '{self.heads}': {did_you_mean(self.heads, HEADS)}")
        if not 0 <= self.ancestor_dropout < 1 or self.head_width < 1:
            raise UsageError(
                "ancestor_dropout must be at least 0 and below 1, and head_width at least 1 "
                f"(got {self.ancestor_dropout} and {self.head_width})"
            )

    @staticmethod
    def of(values: Mapping[str, Any]) -> _WorldConfig:
        """Configuration from flat plain data; unknown names are refused."""
        known = _WorldConfig().flat()
        for name in values:
            if name not in known:
                raise UsageError(f"a world has no setting '{name}': {did_you_mean(name, known)}")
        own = {each.name for each in dataclasses.fields(_WorldConfig)} - {"trunk"}
        trunk = TrunkConfig(**{k: v for k, v in values.items() if k not in own})
        return _WorldConfig(trunk=trunk, **{k: v for k, v in values.items() if k in own})

    def flat(self) -> dict[str, Any]:
        """Every setting by name; the inverse of `of`."""
        values = dataclasses.asdict(self)
        trunk: dict[str, Any] = values.pop("trunk")
        return {**trunk, **values}


class _Batch(NamedTuple):
    """Segments [B, T]: frames and controls, the frames after them, and what counts.

    `seen` is the state as the model reads it, noisier by `level` [B, T] than `state`.
    """

    seen: Mapping[str, Tensor]  # with the controls
    state: Mapping[str, Tensor]
    following: Mapping[str, Tensor]
    controls: Mapping[str, Tensor]
    reset: Tensor
    decided: Tensor
    level: Tensor


class _WorldModel(nn.Module):
    """Trunk and state heads of one game."""

    contexts: Tensor
    context_length: Tensor

    def __init__(
        self,
        schema: Schema,
        dynamics: _Dynamics,
        vocabulary: _Vocabulary,
        config: _WorldConfig,
        contexts: tuple[int, int] = (0, 1),
    ) -> None:
        """`contexts`: number of recorded starts that the model carries, and their longest."""
        super().__init__()
        self.schema, self.config, self.vocabulary = schema, config, vocabulary
        self.rules, self.layout = rules_of(schema, dynamics, config), _Layout(schema)
        open_schema = _without_private(schema)
        self.keys = tuple(k for k in visible_columns(schema) if k not in dynamics.ignored)
        self.embed = ColumnEmbedding(open_schema, self.keys)
        self.distances = nn.ModuleList()
        if config.relative_positions:
            distances = RelativePositions(open_schema, self.embed.reals, self.embed.flags)
            if distances.width:
                self.distances.extend([distances] * schema.players)
        for kind in ("reals", "flags"):
            self._register_orders(kind, getattr(self.embed, kind))
        self.waves = _Waves(schema, self.rules, self.keys)
        self.heads = HEADS[config.heads](
            schema,
            self.rules,
            vocabulary,
            width=config.head_width,
            ancestor_dropout=config.ancestor_dropout,
            gated=config.gated,
        )
        width = self.embed.width + 1 + sum(each.width for each in self.distances)  # type: ignore[misc]
        self.exact_distances = sum(
            self.heads.mixture(name).distances for name in self.heads.mixtures
        )
        width += self.waves.width + self.exact_distances
        width += sum(each.width for each in self.heads.reach.values())  # type: ignore[misc]
        self.trunk = build_trunk(config.trunk, width, self.embed.fixed)
        self.heads.enter = nn.Linear(self.trunk.out, config.head_width)
        shape = (contexts[0], contexts[1], schema.row_dtype.itemsize)
        self.register_buffer("contexts", torch.zeros(shape, dtype=torch.uint8))
        self.register_buffer("context_length", torch.ones(contexts[0], dtype=torch.int64))
        for at, key in enumerate(self.rules.periodic):
            _, period, other = self.rules.periodic[key]
            values = getattr(schema.columns[other].field, "n", 2)
            shape = (values, period, schema.columns[key].slots)
            self.register_buffer(f"periodic_{at}", torch.zeros(shape))
            self.register_buffer(f"periodic_seen_{at}", torch.zeros(values, dtype=torch.bool))

    # ---- features --------------------------------------------------------------------------------

    def initial(self, batch: int, device: torch.device) -> Memory:
        """Memory of matches that have not begun."""
        return self.trunk.begin(batch, device)

    def seq(
        self, columns: Mapping[str, Tensor], memory: Memory, reset: Tensor, level: Tensor
    ) -> tuple[Tensor, Memory]:
        """Features [B, T, out] of columns [B, T, slots], resets and noise levels [B, T]."""
        return self.trunk.seq(self._features(columns, level), memory, reset)

    def step(
        self, columns: Mapping[str, Tensor], memory: Memory, reset: Tensor, level: Tensor
    ) -> tuple[Tensor, Memory]:
        """Features [N, out] of one frame, and the new memory; arguments [N, ...] as for `seq`."""
        return self.trunk.step(self._features(columns, level), memory, reset)

    def _features(self, columns: Mapping[str, Tensor], level: Tensor) -> Tensor:
        more = []
        if self.distances:
            reals = torch.cat([columns[key] for key in self.embed.reals], -1)
            flags = (
                torch.cat([columns[key] for key in self.embed.flags], -1)
                if self.embed.flags
                else None
            )
            for seat, distances in enumerate(self.distances):
                if seat:
                    reals = reals[..., getattr(self, f"reals_{seat}")]
                    flags = None if flags is None else flags[..., getattr(self, f"flags_{seat}")]
                more.append(distances(reals, flags))
        if self.waves.width:
            more.append(self.waves(columns))
        more += [reach(columns) for reach in self.heads.reach.values()]
        if self.exact_distances:
            more.append(self._to_exact(columns))
        features: Tensor = self.embed(columns, [*more, level[..., None]])
        return features

    def _to_exact(self, columns: Mapping[str, Tensor]) -> Tensor:
        """How far reals [..., slots], moved on by their velocities, are from exact values."""
        found = []
        for name in self.heads.mixtures:
            keys = dict.fromkeys(unit.key for unit in getattr(self.heads, name))
            bases = [real_base(self.schema, self.rules, key, columns, columns) for key in keys]
            found.append(self.heads.mixture(name).to_exact(torch.cat(bases, -1)))
        return torch.cat(found, -1)

    def _register_orders(self, kind: str, keys: list[str]) -> None:
        """Places of the values of a kind as seen from each other seat."""
        for seat in range(1, self.schema.players):
            order, at = [], 0
            for key in keys:
                column = self.schema.columns[key]
                places = np.arange(column.slots)
                if column.group.per:
                    places = places[seat_order(column.slots, seat, self.schema.players)]
                order.append(at + places)
                at += column.slots
            tensor = torch.from_numpy(np.concatenate(order)) if order else torch.zeros(0).long()
            self.register_buffer(f"{kind}_{seat}", tensor, persistent=False)

    # ---- training --------------------------------------------------------------------------------

    def forward(self, batch: _Batch) -> dict[str, _Cost]:
        """Nats of the next frames, part by part, in segments without a past."""
        memory = self.initial(len(batch.reset), batch.reset.device)
        h, _ = self.seq(batch.seen, memory, batch.reset, batch.level)
        events = self.rules.events_of(batch.state, batch.following)
        step = _Step(batch.state, batch.following, batch.controls, events, {})
        costs: dict[str, _Cost] = self.heads.costs(
            h, step, self.layout.flat(batch.state), self.layout.flat(batch.following)
        )
        decided = batch.decided[..., None]
        return {name: _Cost(c.nats, c.counts & decided) for name, c in costs.items()}

    def loss_of(self, costs: Mapping[str, _Cost]) -> dict[str, Tensor]:
        """Mean nats of each part, every field as a share of the nats of its free baseline."""
        found = {}
        for name, cost in costs.items():
            counts = cost.counts.flatten(0, -2).float()
            nats = (cost.nats.flatten(0, -2) * counts).sum(0) / counts.sum(0).clamp(min=8.0)
            found[name] = (nats * self._weights(name, nats)).mean()
        return found

    def _weights(self, name: str, like: Tensor) -> Tensor:
        """One over the nats of the best prediction without training, by unit of a part."""
        nats = self.vocabulary.nats
        if name in ("events", "together"):
            free = [nats.get(name, 1.0)] * like.shape[-1]
        else:
            free = [nats.get(unit.key, 1.0) for unit in getattr(self.heads, name)]
        return 1.0 / like.new_tensor(free)

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the chain that this game has."""
        return tuple(name for name in PARTS if name in self.heads.parts)

    # ---- rules and starts ------------------------------------------------------------------------

    def put_tables(self, tables: Mapping[str, Array]) -> None:
        """Keep the measured values of periodic columns."""
        for at, key in enumerate(self.rules.periodic):
            values = torch.from_numpy(tables[key])
            seen = ~values.isnan().flatten(1).any(1)
            getattr(self, f"periodic_seen_{at}").copy_(seen)
            getattr(self, f"periodic_{at}").copy_(values.nan_to_num())

    def tables(self) -> dict[str, Array]:
        """Values of periodic columns by time."""
        return {key: values.cpu().numpy() for key, values in self.periodic_tables().items()}

    def periodic_tables(self) -> dict[str, Tensor]:
        """Values of periodic columns by time, as tensors."""
        return {key: getattr(self, f"periodic_{at}") for at, key in enumerate(self.rules.periodic)}

    def put_contexts(self, rows: Array, length: Array) -> None:
        """Keep packed rows [S, K, row_bytes] to start from; the last `length` [S] of them count."""
        self.contexts.copy_(torch.from_numpy(rows))
        self.context_length.copy_(torch.from_numpy(length))


def build_world(
    schema: Schema,
    arguments: Mapping[str, Any],
    seed: int = 0,
    tables: Mapping[str, Array] | None = None,
) -> _WorldModel:
    """New world model from plain data, whose weights depend on the seed alone.

    `tables`: those of the vocabulary, for a model without weights from a checkpoint.
    """
    vocabulary = dataclasses.replace(
        _Vocabulary.of(arguments["vocabulary"]), tables=dict(tables or {})
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _WorldModel(
            schema,
            _Dynamics.of(arguments["dynamics"]),
            vocabulary,
            _WorldConfig.of(arguments["config"]),
            tuple(arguments["contexts"]),
        )


def rules_of(schema: Schema, dynamics: _Dynamics, config: _WorldConfig) -> _Rules:
    """Rules by which a world with these settings derives and draws."""
    return _Rules(schema, dynamics if config.gated else dynamics.without_gates())


def blank_vocabulary(rules: _Rules) -> _Vocabulary:
    """Vocabulary that knows no recording: every value of a choice, and no exact amounts."""
    schema, dynamics, found = rules.schema, rules.dynamics, _Vocabulary()
    for key in rules.drawn:
        column = schema.columns[key].field
        if isinstance(column, Real):
            found.reals[key] = []
        elif key not in dynamics.together and column.kind == "choice":
            found.choices[key] = [[1, value] for value in range(column.limits[1] + 1)]
    if dynamics.together:
        size = np.prod([schema.columns[key].field.limits[1] + 1 for key in dynamics.together])
        found.together.extend(range(int(size)))
    return found


def _without_private(schema: Schema) -> Schema:
    """The schema as a world sees it, which reads what every player sees alone."""
    groups = tuple(dataclasses.replace(group, private=False) for group in schema.state)
    return dataclasses.replace(
        schema, state=groups, controls=dataclasses.replace(schema.controls, private=False)
    )
