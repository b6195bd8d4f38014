"""Training task of a learned world: the state after every frame, on segments of recordings.

B: segments, T: positions. Every position of a segment is a target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shadowbox.core.dynamics.rules import frames_in_unit
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Array, Flag, Real
from shadowbox.data.sample import Batch, align
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learners.dynamics.measure import contexts_of, measured
from shadowbox.learners.dynamics.segments import segments_task
from shadowbox.learners.imitation_data import (
    split_episodes,
)
from shadowbox.learners.registry import Inputs
from shadowbox.model.codec import decode, from_every_seat
from shadowbox.model.world.derived import joint_code
from shadowbox.model.world.layout import _Flat
from shadowbox.model.world.world import _Batch, _WorldModel, build_world
from shadowbox.train.protocols import ScoreSums, TrainTask

LOSSES = {  # of parts of the chain; binary and continuous as in older systems
    "events": "loss/event",
    "together": "loss/action",
    "flags": "loss/binary",
    "choices": "loss/choice",
    "reals": "loss/continuous",
    "motion": "loss/motion",
}


@dataclass(frozen=True, kw_only=True)
class _DynamicsConfig:
    """Settings of the learner."""

    length: int = 64  # positions of a segment
    encoding: Any = "default"  # named encoding, which presets of older systems read
    swap_seats: bool = True  # show half of the segments with the players exchanged
    # noise on the reals of segments, in their scales: each segment gets a level up to this one,
    # which the model is given; a dream reads its own frames at level 0
    context_noise: float = 0.0
    # scheduled sampling as in older systems: this share of segments has frames in which positions
    # and velocities are noisy; the share rises from 0 over the first epochs
    scheduled_sampling: float = 0.0
    scheduled_noise: float = 0.1  # in the scales of the fields
    scheduled_anneal: int = 3  # epochs
    scheduled_frames: int = 3  # frames of a segment that are corrupted together
    # self-forcing: after so many batches, frames of this share of segments are read as the model
    # itself draws them, one after another; the targets stay those of the recording
    self_forcing: float = 0.0
    self_forcing_after: int = 0  # batches
    self_forcing_frames: int = 1
    binary_weight: float = 1.0  # weight of the flags in the loss
    contexts: int = 64  # starts of matches that the world carries along
    past_contexts: int = 64  # moments inside of matches, each with the rows before it
    past_rows: int = 16  # rows of such a context

    def __post_init__(self) -> None:
        if not 2 <= self.length <= 1 << 16:
            raise UsageError(f"learner.length must be from 2 to 65,536 (got {self.length:,})")
        for name in ("context_noise", "scheduled_noise", "binary_weight"):
            if not 0 <= getattr(self, name) <= 100:
                raise UsageError(
                    f"learner.{name} must be from 0 to 100 (got {getattr(self, name)})"
                )
        for name in ("scheduled_sampling", "self_forcing"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"learner.{name} must be from 0 to 1 (got {getattr(self, name)})")
        if not 1 <= self.self_forcing_frames <= 16 or self.self_forcing_after < 0:
            raise UsageError(
                "learner.self_forcing_frames must be from 1 to 16, and self_forcing_after at least 0 "
                f"(got {self.self_forcing_frames} and {self.self_forcing_after})"
            )
        if self.contexts < 1 or self.past_contexts < 0 or self.past_rows < 1:
            raise UsageError("learner.contexts and learner.past_rows must be at least 1")


def part_losses(model: _WorldModel, config: _DynamicsConfig) -> dict[str, float]:
    """Weight of the loss of each part."""
    weights = {"flags": config.binary_weight}
    return {LOSSES[name]: weights.get(name, 1.0) for name in model.parts}


def scores_of(model: _WorldModel) -> dict[str, MetricInfo]:
    """Scores of validations: of the likelihood, of changes of the action, and of positions."""
    found = {"loss": MetricInfo("low", baselines=("free",))}
    if "together" in model.parts:
        found["change_acc"] = MetricInfo("high", 0.0, 1.0, ("copy_last", "look_up"))
    if _positions(model):
        found["pos_mae"] = MetricInfo("low", 0.0, baselines=("copy_last", "constant_velocity"))
    return found


def _positions(model: _WorldModel) -> list[str]:
    """Positions of the players: the reals that have a velocity; else all of their drawn reals."""
    schema, rules = model.schema, model.rules
    reals = [
        key
        for key in rules.drawn
        if isinstance(schema.columns[key].field, Real) and schema.columns[key].group.per
    ]
    return [key for key in reals if key in rules.rates] or reals


class _DynamicsLearner:
    """Likelihood of the next state, every field beside its best prediction without training."""

    metrics: tuple[str, ...] = ()

    def __init__(
        self, model: _WorldModel, store: Store, config: _DynamicsConfig, tables: Mapping[str, Array]
    ) -> None:
        self.world, self.schema, self.config = model, store.schema, config
        self.losses = part_losses(model, config)
        self.scores = scores_of(model)
        self.positions = _positions(model)
        self.usual = torch.from_numpy(tables["usual"]) if "usual" in tables else None
        self.batches, self.per_epoch = 0, 1

    def state(self) -> Mapping[str, Any]:
        """Number of batches so far, by which scheduled sampling sets in."""
        return {"batches": self.batches}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.batches = int(state["batches"])

    def to_device(self, batch: Batch, device: torch.device) -> _Batch:
        """Decoded segments; noise is added in training alone, by `loss`."""
        rows, inside = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (batch.rows, batch.inside)
        )
        aligned = align(self.schema, decode(self.schema, rows), inside)
        state, controls = dict(aligned.state), dict(aligned.controls)
        level = torch.zeros(aligned.decided.shape, device=device)
        return _Batch(
            {**state, **controls},
            state,
            dict(aligned.following),
            controls,
            ~aligned.started,
            aligned.decided,
            level,
        )

    def num_targets(self, batch: Batch) -> float:
        """Number of positions."""
        return float((batch.inside[:, 1:-1] & batch.inside[:, 2:]).sum())

    def loss(self, model: nn.Module, batch: _Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the parts, and each."""
        if model.training:
            batch = self._augmented(batch)
            self.batches += 1
        found = self.world.loss_of(model(batch))
        named = {LOSSES[name]: value for name, value in found.items()}
        total = torch.stack([weight * named[name] for name, weight in self.losses.items()]).sum()
        return total, {name: value.detach() for name, value in named.items()}

    @torch.no_grad()
    def score(self, model: nn.Module, batch: _Batch) -> dict[str, ScoreSums]:
        """Scores and their baselines by segment of the batch."""
        costs = self.world(batch)
        sums: dict[str, ScoreSums] = {}
        decided = batch.decided.float()
        total = torch.zeros_like(decided)
        free = torch.zeros_like(decided)
        for name, cost in costs.items():
            weights = self.world._weights(name, cost.nats)
            share = len(weights)
            total += (cost.nats * cost.counts * weights).sum(-1) / share
            free += cost.counts.float().sum(-1) / share
        many = (decided.sum(1) * len(costs)).clamp(min=1e-9)
        sums["loss"] = ScoreSums(total.sum(1), many)
        sums["loss/free"] = ScoreSums(free.sum(1), many)
        after = self._drawn(batch)
        self._score_actions(sums, batch, after, decided)
        self._score_positions(sums, batch, after, decided)
        return sums

    def _drawn(self, batch: _Batch, sampled: bool = False) -> dict[str, Tensor]:
        """The next frame of every position, drawn or most likely, as columns [B, T, slots]."""
        world, shape = self.world, batch.reset.shape
        memory = world.initial(len(batch.reset), batch.reset.device)
        h, _ = world.seq(batch.seen, memory, batch.reset, batch.level)
        before = world.layout.flat(batch.state)
        # columns that follow from rules are taken from the recording, like the controls
        after = world.layout.flat(batch.following)
        flat = [_Flat(*(x.flatten(0, 1).clone() for x in frame)) for frame in (before, after)]
        draws = world.heads.draws
        numbers = torch.rand(shape.numel(), draws, device=h.device) if sampled else None
        world.heads.draw(h.flatten(0, 1), flat[0], flat[1], numbers)
        views = world.layout.views(flat[1])
        return {key: values.unflatten(0, shape) for key, values in views.items()}

    def _score_actions(
        self,
        sums: dict[str, ScoreSums],
        batch: _Batch,
        after: Mapping[str, Tensor],
        decided: Tensor,
    ) -> None:
        """Share of the frames in which the joint choice changes whose next one is right."""
        if "change_acc" not in self.scores:
            return
        together = self.world.rules.dynamics.together
        codes = [
            joint_code(self.schema, together, {key: frame[key].long() for key in together})
            for frame in (batch.state, batch.following, after)
        ]
        changed = (codes[0] != codes[1]) * decided[..., None]
        guesses = {"": codes[2], "/copy_last": codes[0]}
        usual = torch.zeros_like(codes[0]) if self.usual is None else self.usual[codes[0]]
        guesses["/look_up"] = usual
        for name, guess in guesses.items():
            right = ((guess == codes[1]) * changed).sum((1, 2)).float()
            sums[f"change_acc{name}"] = ScoreSums(right, changed.sum((1, 2)).float())

    def _score_positions(
        self,
        sums: dict[str, ScoreSums],
        batch: _Batch,
        after: Mapping[str, Tensor],
        decided: Tensor,
    ) -> None:
        """Mean error of positions in their units."""
        if "pos_mae" not in self.scores:
            return
        moved = {}
        for key in self.positions:
            velocity = self.world.rules.rates.get(key, ())
            moved[key] = batch.state[key]
            for rate, flag in velocity:
                change = batch.state[rate] / frames_in_unit(self.schema, rate)
                moved[key] = moved[key] + (change * batch.state[flag] if flag else change)
        guesses = {"": after, "/copy_last": batch.state, "/constant_velocity": moved}
        many = decided.sum(1)
        for name, guess in guesses.items():
            errors = [(guess[key] - batch.following[key]).abs().mean(-1) for key in self.positions]
            error = torch.stack(errors).mean(0) * decided
            sums[f"pos_mae{name}"] = ScoreSums(error.sum(1), many)

    # ---- augmentation ----------------------------------------------------------------------------

    def _augmented(self, batch: _Batch) -> _Batch:
        """The batch with seats exchanged in half of it, and with noise on what the model reads."""
        if self.config.swap_seats and self.schema.players == 2:
            batch = self._swapped(batch)
        noisy, level = dict(batch.seen), batch.level
        if self.config.context_noise:
            level = level + self.config.context_noise * torch.rand(
                len(level), 1, device=level.device
            )
            self._add_noise(noisy, self.world.layout.reals, level[..., None])
        if self.config.scheduled_sampling:
            self._add_noise(noisy, self._moving(), self._scheduled(level)[..., None])
        batch = batch._replace(seen=noisy, level=level)
        if self.config.self_forcing and self.batches >= self.config.self_forcing_after:
            batch = self._self_forced(batch)
        return batch

    @torch.no_grad()
    def _self_forced(self, batch: _Batch) -> _Batch:
        """Some segments with frames that the model has drawn from those before, in what it reads."""
        config, (many, length) = self.config, batch.reset.shape
        like = batch.level
        chosen = torch.rand(many, 1, device=like.device) < config.self_forcing
        first = 1 + (torch.rand(many, 1, device=like.device) * (length - 1)).long()
        at = torch.arange(length, device=like.device)
        fresh = batch.reset  # a frame without one before it cannot be drawn
        training = self.world.training
        self.world.eval()  # draws see every earlier part
        for frame in range(config.self_forcing_frames):
            here = chosen & (at == first + frame) & ~fresh
            drawn = self._drawn(batch, sampled=True)
            seen = dict(batch.seen)
            for key in self._forced:
                before = torch.cat([seen[key][:, :1], drawn[key][:, :-1].to(seen[key].dtype)], 1)
                seen[key] = torch.where(here[..., None], before, seen[key])
            batch = batch._replace(seen=seen)
        self.world.train(training)
        return batch

    @property
    def _forced(self) -> list[str]:
        """Columns that self-forcing replaces: motion, joint choices and flags, but no value in steps."""
        rules = self.world.rules
        flags = [k for k in rules.drawn if isinstance(self.schema.columns[k].field, Flag)]
        return [*self._moving(), *rules.dynamics.together, *flags]

    def _moving(self) -> list[str]:
        """Drawn positions and velocities: no counter and no value that changes in steps."""
        rules = self.world.rules
        velocities = {rate for rates in rules.rates.values() for rate, _ in rates}
        return [key for key in rules.drawn if key in rules.rates or key in velocities]

    def _scheduled(self, like: Tensor) -> Tensor:
        """Noise of scheduled sampling by position [B, T]."""
        config, (many, length) = self.config, like.shape
        rise = self.batches / max(1, self.per_epoch * config.scheduled_anneal)
        share = config.scheduled_sampling * min(1.0, rise)
        chosen = torch.rand(many, 1, device=like.device) < share
        first = (torch.rand(many, 1, device=like.device) * length).long()
        at = torch.arange(length, device=like.device)
        inside = (at >= first) & (at < first + config.scheduled_frames)
        return (chosen & inside) * config.scheduled_noise

    def _add_noise(self, seen: dict[str, Tensor], keys: Any, level: Tensor) -> None:
        for key in keys:
            column = self.schema.columns[key]
            if isinstance(column.field, Real) and column.field.predict != "no":
                noise = torch.randn_like(seen[key]) * (level / column.field.scale)
                mask = f"{column.group.name}/{column.group.mask}"
                noise = noise * seen[mask] if column.group.mask else noise
                seen[key] = seen[key] + noise

    def _swapped(self, batch: _Batch) -> _Batch:
        chosen = torch.rand(len(batch.reset), device=batch.reset.device) < 0.5
        mask = chosen[:, None, None]

        def swapped(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
            other = from_every_seat(self.schema, columns, (1,))
            return {
                key: values if other[key] is values else torch.where(mask, other[key], values)
                for key, values in columns.items()
            }

        state, controls = swapped(batch.state), swapped(batch.controls)
        return batch._replace(
            seen={**state, **controls},
            state=state,
            controls=controls,
            following=swapped(batch.following),
        )


def prepare(inputs: Inputs, config: _DynamicsConfig) -> TrainTask:
    """Build the training task of a store."""
    store, split = inputs.recordings, inputs.split or Split()
    sides = split_episodes(store, split)
    arguments, tables, periodic = measured(inputs, config)
    model = build_world(store.schema, arguments, inputs.config.seed, tables)
    model.put_tables(periodic)
    model.put_contexts(*contexts_of(store, sides["train"], config))
    learner = _DynamicsLearner(model, store, config, tables)
    return segments_task(
        inputs, learner, model, arguments, length=config.length, split=split, sides=sides
    )
