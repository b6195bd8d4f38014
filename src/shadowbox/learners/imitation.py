"""Imitation: a policy learns to predict the recorded controls. Every decision of a segment is a target.

B: segments of a batch, T: positions, S: segments times seats, V: control values, N: terms of the
loss, P: parts of the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.metrics import MetricInfo, metrics_in
from shadowbox.core.schema import Array, Choice, Flag, Real, Schema
from shadowbox.data.sample import Aligned, Batch, align
from shadowbox.data.store import Store
from shadowbox.errors import EpisodeError
from shadowbox.learners.augmentation.bodies import changed_bodies
from shadowbox.learners.control_baselines import ControlBaselines
from shadowbox.learners.imitation_data import (
    episode_labels,
    opponent_labels,
    value_ranges,
    weighted_losses,
    with_lasting_presses,
    without_parts,
)
from shadowbox.learners.imitation_options import (
    ImitationConfig,
    actionable_frames,
    lasting_frames,
    needed_columns,
)
from shadowbox.learners.weighting.advantage import _DecisionWeights
from shadowbox.learners.weighting.skill import skill_labels
from shadowbox.model.codec import ControlValues, decode, from_every_seat, mirrored_where
from shadowbox.model.heads import Head
from shadowbox.model.policy import Policy
from shadowbox.model.predictions import PolicyOutput
from shadowbox.model.strategy.encoder import auxiliary_weights
from shadowbox.train.protocols import ScoreSums

GUESSES = ("copy_last", "never_press", "markov")  # baselines that guess values
# scores of buttons; the first two are in the table of the terminal
OF_FLAGS = (
    "onset_f1_greedy",
    "onset_ratio_expected",
    "press_f1_greedy",
    "press_ratio_expected",
    "btn_pressed_acc",
)


@dataclass(frozen=True)
class _DeviceBatch:
    """Batch on the device: packed rows u1 [B, R, bytes], inside [B, R], recorded terms, labels [B, seats]."""

    rows: Tensor
    inside: Tensor
    valid: Tensor
    player: Tensor
    strength: Tensor  # [B, seats, 2]: how strong, and whether that is known
    skill: Tensor  # [B, seats, 2 * skills]: the same of each skill
    opponent: Tensor  # number of the opponent, -1 if it is unknown
    weight: Tensor  # [B, R, seats] of each decision; [B, 1, 1] of ones if all count the same


@dataclass(frozen=True)
class _ImitationBatch:
    """Inputs and targets of a policy at each position, from every seat."""

    view: Mapping[str, Tensor]  # [S, T, slots]
    targets: Tensor  # [S, T, V]
    reset: Tensor  # [S, T]
    # [S, T, N] weight of each term: 0 without a decision, or if it was not recorded
    counted: Tensor
    style: Mapping[str, Tensor]  # [S, ...]


@dataclass(frozen=True)
class _Predictions:
    """Outputs of a policy, with their targets and weights."""

    seen: PolicyOutput  # [S, T, ...]
    targets: Tensor  # [S, T, V]
    counted: Tensor  # [S, T, N]

    @property
    def before(self) -> Tensor:
        """Controls of the last frame, [S, T, V]."""
        return self.seen.previous


class _Declaration(NamedTuple):
    """Losses, metrics and scores that imitation logs; known before any data is read."""

    losses: dict[str, float]  # name -> weight
    scores: dict[str, MetricInfo]


def declare_metrics(
    head: Head,
    values: ControlValues,
    baselines: Sequence[str] = GUESSES,
    auxiliary: Mapping[str, float] | None = None,
) -> _Declaration:
    """Losses and scores of learning these controls with this head.

    `baselines`: those that predict values; scores leave out missing ones. `auxiliary`: weights of
    the losses of a strategy encoder.
    """
    fields = [values.schema.columns[name].field for name in values.names]
    weights = [[fields[at].weight for at in np.flatnonzero(row)] for row in head.members.numpy()]
    kinds = set(map(type, fields))
    names = ["loss"]
    names += OF_FLAGS[:2] if Flag in kinds else ()
    names += ["stick_mae"] if Real in kinds else []
    names += ["accuracy"] if kinds - {Real} else []
    names += OF_FLAGS[2:] if Flag in kinds else ()
    known = metrics_in(["validation"])
    gone = set(GUESSES) - set(baselines)
    return _Declaration(
        {name: max(weight) for name, weight in zip(head.names, weights, strict=True)}
        | dict(auxiliary or {}),
        {
            name: known[name]._replace(
                baselines=tuple(each for each in known[name].baselines if each not in gone)
            )
            for name in (*names, "change_nll")
        },
    )


class ImitationLearner:
    """Loss of the recorded controls under the policy's head, weighted by field."""

    def __init__(
        self,
        model: Policy,
        store: Store,
        config: ImitationConfig,
        baselines: ControlBaselines,
        train: Array,
    ) -> None:
        self.policy, self.config, self.baselines = model, config, baselines
        self.schema, self.head, self.values = model.schema, model.head, model.values
        self.seats = config.seats or tuple(range(self.schema.players))
        self._columns = needed_columns(
            self.schema, (*model.input_columns, *self.schema.control_keys), config
        )
        self._recorded, self._whose, self._strength = episode_labels(
            store, model, self.seats, train
        )
        self._skill = skill_labels(store, self.seats, config.skill, train)
        self.weights: _DecisionWeights | None = None  # None: all decisions count the same
        self._opponent = np.full_like(self._whose, -1)
        if model.strategy is not None:
            self._opponent = opponent_labels(store, model.config.opponents, self.seats)
        auxiliary = auxiliary_weights(model.strategy, config.strategy_coef, config.identity_coef)
        said = declare_metrics(self.head, self.values, baselines.names, auxiliary)
        self.losses, self.scores = (
            weighted_losses(said.losses, self.head, self.values, config),
            said.scores,
        )
        self.metrics: tuple[str, ...] = ()
        self._terms = (*self.head.names, *auxiliary)
        self._weights = torch.tensor([self.losses[name] for name in self._terms])
        self._sticks = value_ranges(self.schema, self.values.names)
        self._lasting = lasting_frames(config.lasting)
        self.frozen: Tensor | None = (
            None  # mask of terms [N] that are not learned now; None: all are
        )

    def to_device(self, batch: Batch, device: torch.device) -> _DeviceBatch:
        """Packed bytes on the device, where they are decoded."""
        at = batch.episode
        labels = (self._recorded, self._whose, self._strength, self._skill, self._opponent)
        weight = self.weights.of(batch) if self.weights else np.ones((len(batch), 1, 1), np.float32)
        arrays = (batch.rows, batch.inside, *(label[at] for label in labels), weight)
        return _DeviceBatch(
            *(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)
        )

    def num_targets(self, batch: Batch) -> float:
        """Number of decisions, over all trained seats."""
        return float((batch.inside[:, 1:-1] & batch.inside[:, 2:]).sum()) * len(self.seats)

    def loss(self, model: nn.Module, batch: _DeviceBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Nats a decision, in total and by term."""
        prepared, decisions = self._prepared(batch, learning=True)
        counted = prepared.counted
        for _ in self._terms[len(self.head.names) :]:  # every frame with a target
            counted = torch.cat([counted, (prepared.counted > 0).any(-1, keepdim=True)], -1)
        # [N], and the auxiliary ones
        costs = (
            model(prepared.view, prepared.targets, prepared.reset, prepared.style) * counted
        ).sum((0, 1)) / decisions
        if self.frozen is not None:
            costs = costs.where(~self.frozen.to(costs.device), 0.0)
        total = (costs * self._weights.to(costs.device)).sum()
        found: dict[str, Tensor] = {}
        # slots of a control share its name
        for name, cost in zip(self._terms, costs.detach(), strict=True):
            found[name] = found[name] + cost if name in found else cost
        return total, found

    def score(self, model: nn.Module, batch: _DeviceBatch) -> dict[str, ScoreSums]:
        """Scores and their baselines by example of the batch, all seats together."""
        prepared, _ = self._prepared(batch, learning=False)
        seen, _ = self.policy.seq(
            prepared.view, prepared.targets, prepared.reset, style=prepared.style
        )
        asked = _Predictions(seen, prepared.targets, prepared.counted)
        counts = (asked.counted @ self._of_part(asked.counted)) > 0  # [S, T, P]
        changed = (asked.before != asked.targets).any(-1) & counts.any(-1)
        found: dict[str, ScoreSums] = {}
        costs = {"": -asked.seen.log_prob(asked.targets)}
        costs |= {
            f"/{name}": cost
            for name, cost in self.baselines.nll(asked.before, asked.targets).items()
        }
        for name, cost in costs.items():
            frame = (cost * counts).sum(-1)
            found[f"loss{name}"] = self._score(frame, counts.any(-1).float())
            found[f"change_nll{name}"] = self._score(frame * changed, changed.float())
        counted = (asked.counted @ self.head.members.to(asked.counted)) > 0  # [S, T, V]
        guesses = {
            f"/{name}": (guess, guess)
            for name, guess in self.baselines.guesses(asked.before).items()
        }
        for name, (guess, mean) in {
            "": (asked.seen.mode(), asked.seen.mean()),
            **guesses,
        }.items():
            scores = self._guess_scores(guess, mean, asked, counted)
            found |= {
                f"{score}{name}": value
                for score, value in scores.items()
                if not name or name[1:] in self.scores[score].baselines
            }
        return found

    # ---- asking ----------------------------------------------------------------------------------

    def _prepared(self, batch: _DeviceBatch, learning: bool) -> tuple[_ImitationBatch, Tensor]:
        """Decode, mirror, align and view from every seat; also the decisions of the whole batch."""
        columns = decode(self.schema, batch.rows, self._columns)
        _require_choices(self.schema, columns)
        if learning and self.config.mirror:
            columns = mirrored_where(
                self.schema, columns, torch.rand(len(batch.rows), device=batch.rows.device) < 0.5
            )
        if learning and self.config.changes_bodies:
            columns = changed_bodies(self.schema, columns, self.config)
        if learning and self.config.part_dropout:
            columns = without_parts(self.schema, columns, self.config.part_dropout)
        columns = with_lasting_presses(columns, self._lasting)
        aligned: Aligned[Tensor] = align(self.schema, columns, batch.inside)
        inputs, controls = aligned.for_policy()
        view = from_every_seat(self.schema, {**inputs["state"], **inputs["previous"]}, self.seats)
        targets = self.values.of(from_every_seat(self.schema, controls, self.seats))
        targets = self.values.only_active(targets, view)
        many = len(self.seats)
        reset, decided = (~aligned.started).repeat(many, 1), aligned.decided.repeat(many, 1)
        counted = self._counted(view, targets, decided, batch.valid.repeat(many, 1))
        if learning and self.weights:
            counted = counted * batch.weight[:, 1:-1].permute(2, 0, 1).flatten(0, 1)[..., None]
        decisions = self._decisions(view, decided)
        style = {
            "player": batch.player.t().flatten(),
            "strength": batch.strength.transpose(0, 1).flatten(0, 1),
            "skill": batch.skill.transpose(0, 1).flatten(0, 1),
            "opponent": batch.opponent.t().flatten(),
        }
        prepared = _ImitationBatch(view, targets, reset, counted, style)
        return (
            self._thinned(prepared)
            if learning and self.config.static_segment_keep < 1
            else prepared
        ), decisions

    def _in_mode(self, view: Mapping[str, Tensor]) -> Tensor | None:
        """Mask of the terms of controls that count now, [S, T, N]; None: all always do."""
        if (modes := self.values.active(view)) is None:
            return None
        return modes.float() @ self.head.members.to(modes.device).float().t() > 0

    def _decisions(self, view: Mapping[str, Tensor], decided: Tensor) -> Tensor:
        """Decisions that the loss of each term is a mean over, [N], and the auxiliary ones."""
        modes = self._in_mode(view) if self.config.loss_norm == "own" else None
        every = decided.sum().expand(len(self._terms))
        if modes is not None:
            counted = (decided[..., None] & modes).sum((0, 1))
            every = torch.cat([counted, every[len(counted) :]])
        return every.clamp(min=1)

    def _counted(
        self, view: Mapping[str, Tensor], targets: Tensor, decided: Tensor, valid: Tensor
    ) -> Tensor:
        """Weight of each term, [S, T, N]."""
        counted = (decided[..., None] & valid[:, None]).float()
        if (modes := self._in_mode(view)) is not None:
            counted = counted * modes
        if self.config.idle_penalty:
            used = torch.from_numpy(self.values.kinds != "real").to(targets.device)
            idle = ~((targets != 0) & used).any(-1, keepdim=True)
            of_used = (self.head.members & used.cpu()).any(-1).to(targets.device)
            counted = counted * (1 + self.config.idle_penalty * (idle & of_used))
        if self.config.actionable_when:
            on = actionable_frames(view, self.config.actionable_when)
            counted = counted * torch.where(on, 1.0, self.config.non_actionable_weight)[..., None]
        return counted

    def _thinned(self, prepared: _ImitationBatch) -> _ImitationBatch:
        """Drop a share of the static segments and weigh the others up: the same loss on average."""
        changes = (self.values.of(prepared.view) != prepared.targets).any(-1).any(-1)
        kept = changes | (
            torch.rand(len(changes), device=changes.device) < self.config.static_segment_keep
        )
        counted = (
            prepared.counted
            * torch.where(changes, 1.0, 1 / self.config.static_segment_keep)[:, None, None]
        )
        view, style = (
            {key: values[kept] for key, values in side.items()}
            for side in (prepared.view, prepared.style)
        )
        return _ImitationBatch(
            view, prepared.targets[kept], prepared.reset[kept], counted[kept], style
        )

    # ---- scoring ---------------------------------------------------------------------------------

    def _guess_scores(
        self, guess: Tensor, mean: Tensor, asked: _Predictions, counted: Tensor
    ) -> dict[str, ScoreSums]:
        """Scores of a prediction [S, T, V] and its expected values.

        A baseline expects its prediction.
        """
        flags, reals = (
            torch.from_numpy(self.values.kinds == kind).to(guess.device)
            for kind in ("flag", "real")
        )
        scores: dict[str, ScoreSums] = {}
        if "press_f1_greedy" in self.scores:
            was, truth, presses = guess > 0.5, asked.targets > 0.5, counted & flags
            fresh = presses & (asked.before < 0.5)
            scores["onset_f1_greedy"] = self._f1(was, truth, fresh)
            scores["press_f1_greedy"] = self._f1(was, truth, presses)
            for name, of in (("press_ratio", presses), ("onset_ratio", fresh)):
                scores[f"{name}_expected"] = self._score((mean * of).sum(-1), (truth & of).sum(-1))
            busy = presses & (truth & presses).any(-1, keepdim=True)
            scores["btn_pressed_acc"] = self._score(((was == truth) & busy).sum(-1), busy.sum(-1))
        if "accuracy" in self.scores:
            others = counted & ~reals
            scores["accuracy"] = self._score(
                ((guess == asked.targets) & others).sum(-1), others.sum(-1)
            )
        if "stick_mae" in self.scores:
            sticks, ranges = counted & reals, self._sticks.to(guess.device)
            scores["stick_mae"] = self._score(
                ((guess - asked.targets).abs() / ranges * sticks).sum(-1), sticks.sum(-1)
            )
        return scores

    def _f1(self, was: Tensor, truth: Tensor, counted: Tensor) -> ScoreSums:
        hits = (was & truth & counted).sum(-1)
        return self._score(2 * hits, ((was & counted).sum(-1) + (truth & counted).sum(-1)))

    def _score(self, top: Tensor, bottom: Tensor) -> ScoreSums:
        """Sum [S, T] by example of the batch, over positions and seats."""
        many = len(self.seats)
        return ScoreSums(*(values.sum(1).view(many, -1).sum(0) for values in (top, bottom)))

    def _of_part(self, like: Tensor) -> Tensor:
        """Membership of terms in parts, [N, P]."""
        of = torch.zeros(len(self.head.names), len(self.head.parts))
        at = 0
        for number, part in enumerate(self.head.parts):
            of[at : at + len(part.names), number] = 1
            at += len(part.names)
        return of.to(like)


def _require_choices(schema: Schema, columns: Mapping[str, Tensor]) -> None:
    """Refuse a choice beyond its number of values; on a GPU, where looking takes time, it fails."""
    for key, values in columns.items():
        field = schema.columns[key].field
        if not isinstance(field, Choice) or values.device.type != "cpu" or not values.numel():
            continue
        if (highest := int(values.max())) >= field.n:
            raise EpisodeError(
                f"{key} is {highest} in an episode, expected 0 to {field.n - 1}: the store is "
                "damaged; `shadowbox audit` counts such values"
            )
