"""Imitation: answer what the players of a store pressed. Every decision of a segment is a target, seen from its own seat.

B: segments of a batch, T: positions, S: segments times seats, V: control values, N: terms of the
cost, P: parts of the head.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.encoding import Encoding
from shadowbox.core.schema import Array, Flag, Real, Schema
from shadowbox.data.sample import Aligned, Batch, Segments, align
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.learners.control_baselines import Floors, pressed
from shadowbox.learners.imitation_data import _by_episode, _names, _ranges, _sides
from shadowbox.learners.imitation_options import Lessons, must_be_possible, needed
from shadowbox.model import policy
from shadowbox.model.checkpoint import About
from shadowbox.model.codec import Values, decode, from_every_seat, mirrored_where, visible
from shadowbox.model.design import PRESETS, SEATS
from shadowbox.model.heads import Head
from shadowbox.model.policy import Policy
from shadowbox.model.predictions import Seen
from shadowbox.model.vocabulary import fit_vocabulary
from shadowbox.train.config import Config
from shadowbox.train.protocols import Score, Task

GUESSES = ("hold", "never_press", "look_up")  # baselines that guess values
PRESSING = ("onset_f1", "onset_ratio", "press_f1", "press_ratio", "btn_pressed_acc")
MOST_COUNTED = 1 << 21  # rows in which combinations of controls are counted


@dataclass(frozen=True)
class Tensors:
    """A batch on the device: packed rows u1 [B, R, bytes], inside [B, R], recorded terms [B, N], styles [B, seats]."""

    rows: Tensor
    inside: Tensor
    valid: Tensor
    player: Tensor
    strength: Tensor  # [B, seats, 2]: how strong, and whether that is known


@dataclass(frozen=True)
class Lesson:
    """What a policy is shown at each position, from every seat, and what was pressed there."""

    view: Mapping[str, Tensor]  # [S, T, slots]
    targets: Tensor  # [S, T, V]
    reset: Tensor  # [S, T]
    # [S, T, N] how much each term counts: 0 where there is no decision, or it was not recorded
    counted: Tensor
    style: Mapping[str, Tensor]  # [S, ...]


@dataclass(frozen=True)
class Asked:
    """What it answered."""

    seen: Seen  # [S, T, ...]
    targets: Tensor  # [S, T, V]
    counted: Tensor  # [S, T, N]

    @property
    def before(self) -> Tensor:
        """The controls of the last frame, [S, T, V]."""
        return self.seen.previous


class Declared(NamedTuple):
    """Everything that imitation logs, known before any data is."""

    losses: dict[str, float]  # name -> weight
    metrics: tuple[str, ...]
    scores: dict[str, tuple[str, ...]]  # name -> baselines
    better: dict[str, str]
    limits: dict[str, tuple[float, float]]  # within which a score must be


def declared(head: Head, values: Values, guesses: tuple[str, ...] = GUESSES) -> Declared:
    """What learning these controls with this head will log."""
    fields = [values.schema.columns[name].field for name in values.names]
    weights = [[fields[at].weight for at in np.flatnonzero(row)] for row in head.members.numpy()]
    kinds = set(map(type, fields))
    # the first ones stand in the table of the terminal
    scores: dict[str, tuple[str, ...]] = {"loss": ("hold", "rate")}
    scores |= dict.fromkeys(PRESSING[:2], guesses) if Flag in kinds else {}
    scores |= {"stick_mae": ("hold", "never_press")} if Real in kinds else {}
    scores |= {"right": guesses} if kinds - {Real} else {}
    scores |= dict.fromkeys(PRESSING, guesses) if Flag in kinds else {}
    scores["change"] = ("hold", "rate")
    return Declared(
        losses={name: max(weight) for name, weight in zip(head.names, weights, strict=True)},
        metrics=(),
        scores=scores,
        better={
            name: "low" if name in ("loss", "change", "stick_mae") else "high" for name in scores
        },
        limits=dict.fromkeys(("onset_f1", "press_f1", "btn_pressed_acc", "right"), (0.0, 1.0))
        | dict.fromkeys(("press_ratio", "onset_ratio", "stick_mae"), (0.0, math.inf)),
    )


class Imitate:
    """The cost of what was pressed, as the policy's head counts it, each term by the weight of its field."""

    def __init__(
        self, model: Policy, store: Store, lessons: Lessons, floors: Floors, train: Array
    ) -> None:
        self.policy, self.lessons, self.floors = model, lessons, floors
        self.schema, self.head, self.values = model.schema, model.head, model.values
        self.seats = lessons.seats or tuple(range(self.schema.players))
        self._columns = needed(self.schema, (*model.sees, *self.schema.control_keys), lessons)
        self._recorded, self._whose, self._strength = _by_episode(store, model, self.seats, train)
        said = declared(self.head, self.values, floors.names)
        self.losses, self.metrics, self.scores, self.better = (
            said.losses,
            said.metrics,
            said.scores,
            said.better,
        )
        self._weights = torch.tensor([self.losses[name] for name in self.head.names])
        self._sticks = _ranges(self.schema, self.values.names)

    def put(self, batch: Batch, device: torch.device) -> Tensors:
        """Packed bytes on the device; they are decoded there."""
        at = batch.episode
        arrays = (batch.rows, batch.inside, self._recorded[at], self._whose[at], self._strength[at])
        return Tensors(*(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays))

    def count(self, batch: Batch) -> float:
        """Decisions, from every seat that is learned from."""
        return float((batch.inside[:, 1:-1] & batch.inside[:, 2:]).sum()) * len(self.seats)

    def loss(self, model: nn.Module, batch: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
        """Nats a decision, in all and by term."""
        lesson, decisions = self._lesson(batch, learning=True)
        # [N]
        costs = (
            model(lesson.view, lesson.targets, lesson.reset, lesson.style) * lesson.counted
        ).sum((0, 1)) / decisions
        total = (costs * self._weights.to(costs.device)).sum()
        found: dict[str, Tensor] = {}
        # slots of a control share its name
        for name, cost in zip(self.head.names, costs.detach(), strict=True):
            found[name] = found[name] + cost if name in found else cost
        return total, found

    def score(self, model: nn.Module, batch: Tensors) -> dict[str, Score]:
        """Each score and its baselines, by example of the batch (all seats together)."""
        lesson, _ = self._lesson(batch, learning=False)
        seen, _ = self.policy.seq(lesson.view, lesson.targets, lesson.reset, style=lesson.style)
        asked = Asked(seen, lesson.targets, lesson.counted)
        counts = (asked.counted @ self._of_part(asked.counted)) > 0  # [S, T, P]
        changed = (asked.before != asked.targets).any(-1) & counts.any(-1)
        found: dict[str, Score] = {}
        costs = {"": -asked.seen.log_prob(asked.targets)}
        costs |= {
            f"/{name}": cost
            for name, cost in self.floors.costs(asked.before, asked.targets).items()
        }
        for name, cost in costs.items():
            frame = (cost * counts).sum(-1)
            found[f"loss{name}"] = self._score(frame, counts.any(-1).float())
            found[f"change{name}"] = self._score(frame * changed, changed.float())
        counted = (asked.counted @ self.head.members.to(asked.counted)) > 0  # [S, T, V]
        guesses = {
            f"/{name}": (guess, guess) for name, guess in self.floors.guesses(asked.before).items()
        }
        for name, (guess, mean) in {
            "": (asked.seen.likely(), asked.seen.mean()),
            **guesses,
        }.items():
            found |= {f"{score}{name}": value for score, value in self._guess_scores(guess, mean, asked, counted).items()
                      if not name or name[1:] in self.scores[score]}  # fmt: skip
        return found

    # ---- asking ------------------------------------------------------------------------------------------------

    def _lesson(self, batch: Tensors, learning: bool) -> tuple[Lesson, Tensor]:
        """Decode, mirror, align, look from every seat; and the decisions of the whole batch."""
        columns = decode(self.schema, batch.rows, self._columns)
        if learning and self.lessons.mirror:
            columns = mirrored_where(
                self.schema, columns, torch.rand(len(batch.rows), device=batch.rows.device) < 0.5
            )
        aligned: Aligned[Tensor] = align(self.schema, columns, batch.inside)
        inputs, controls = aligned.for_policy()
        view = from_every_seat(self.schema, {**inputs["state"], **inputs["previous"]}, self.seats)
        targets = self.values.of(from_every_seat(self.schema, controls, self.seats))
        targets = self.values.counting(targets, view)
        many = len(self.seats)
        reset, decided = (~aligned.started).repeat(many, 1), aligned.decided.repeat(many, 1)
        counted = self._counted(view, decided, batch.valid.repeat(many, 1))
        decisions = decided.sum().clamp(min=1)
        style = {
            "player": batch.player.t().flatten(),
            "strength": batch.strength.transpose(0, 1).flatten(0, 1),
        }
        lesson = Lesson(view, targets, reset, counted, style)
        return (self._thinned(lesson) if learning and self.lessons.thin > 1 else lesson), decisions

    def _counted(self, view: Mapping[str, Tensor], decided: Tensor, valid: Tensor) -> Tensor:
        """How much each term counts, [S, T, N]."""
        counted = (decided[..., None] & valid[:, None]).float()
        if (modes := self.values.counts(view)) is not None:
            counted = counted * (modes.float() @ self.head.members.to(counted).t() > 0)
        if self.lessons.actionable:
            conditions = [condition.partition("=") for condition in self.lessons.actionable]
            on = torch.stack([view[key][..., 0] == int(value) for key, _, value in conditions]).all(
                0
            )
            counted = counted * torch.where(on, 1.0, self.lessons.elsewhere)[..., None]
        return counted

    def _thinned(self, lesson: Lesson) -> Lesson:
        """Fewer of the segments in which nothing changes, each counting more: the same loss on average."""
        changes = (self.values.of(lesson.view) != lesson.targets).any(-1).any(-1)
        kept = changes | (torch.rand(len(changes), device=changes.device) < 1 / self.lessons.thin)
        counted = lesson.counted * torch.where(changes, 1.0, self.lessons.thin)[:, None, None]
        view, style = (
            {key: values[kept] for key, values in side.items()}
            for side in (lesson.view, lesson.style)
        )
        return Lesson(view, lesson.targets[kept], lesson.reset[kept], counted[kept], style)

    # ---- scoring -----------------------------------------------------------------------------------------------

    def _guess_scores(
        self, guess: Tensor, mean: Tensor, asked: Asked, counted: Tensor
    ) -> dict[str, Score]:
        """Of one guess [S, T, V] and its expected values; a baseline expects what it guesses."""
        flags, reals = (
            torch.from_numpy(self.values.kinds == kind).to(guess.device)
            for kind in ("flag", "real")
        )
        scores: dict[str, Score] = {}
        if "press_f1" in self.scores:
            was, truth, presses = guess > 0.5, asked.targets > 0.5, counted & flags
            fresh = presses & (asked.before < 0.5)
            scores["onset_f1"] = self._f1(was, truth, fresh)
            scores["press_f1"] = self._f1(was, truth, presses)
            for name, of in (("press_ratio", presses), ("onset_ratio", fresh)):
                scores[name] = self._score((mean * of).sum(-1), (truth & of).sum(-1))
            busy = presses & (truth & presses).any(-1, keepdim=True)
            scores["btn_pressed_acc"] = self._score(((was == truth) & busy).sum(-1), busy.sum(-1))
        if "right" in self.scores:
            others = counted & ~reals
            scores["right"] = self._score(
                ((guess == asked.targets) & others).sum(-1), others.sum(-1)
            )
        if "stick_mae" in self.scores:
            sticks, ranges = counted & reals, self._sticks.to(guess.device)
            scores["stick_mae"] = self._score(
                ((guess - asked.targets).abs() / ranges * sticks).sum(-1), sticks.sum(-1)
            )
        return scores

    def _f1(self, was: Tensor, truth: Tensor, counted: Tensor) -> Score:
        hits = (was & truth & counted).sum(-1)
        return self._score(2 * hits, ((was & counted).sum(-1) + (truth & counted).sum(-1)))

    def _score(self, top: Tensor, bottom: Tensor) -> Score:
        """[S, T] -> by example of the batch, over positions and seats."""
        many = len(self.seats)
        return Score(*(values.sum(1).view(many, -1).sum(0) for values in (top, bottom)))

    def _of_part(self, like: Tensor) -> Tensor:
        """Which term belongs to which part, [N, P]."""
        of = torch.zeros(len(self.head.names), len(self.head.parts))
        at = 0
        for number, part in enumerate(self.head.parts):
            of[at : at + len(part.names), number] = 1
            at += len(part.names)
        return of.to(like)


def prepare(
    store: Store,
    config: Config,
    *,
    preset: str = "default",
    sees: Sequence[str] | None = None,
    encoding: Encoding | None = None,
    length: int = 64,
    split: Split | None = None,
    lessons: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    resume: str = "",
    **changes: Any,
) -> Task:
    """A store and a preset -> something to train.

    `sees`: the columns that the policy is shown (default: all it can); `encoding`: made of them, in
    their place; `length`: decisions a segment; `lessons`: see there; `changes`: of the preset.
    """
    split, schema = split or Split(), store.schema
    sides = _sides(store, split)
    taught = _taught(schema, preset, lessons)
    arguments = outfit(
        schema, preset, store, split, sees=sees, encoding=encoding, lessons=lessons, **changes
    )
    model = policy.build(schema, arguments, config.seed, encoding)
    found = pressed(
        store,
        sides["train"],
        taught.seats or tuple(range(schema.players)),
        model.values,
        MOST_COUNTED,
    )
    floors = Floors(model.values, model.head.parts, found)

    def source(batch: int, rank: int, ranks: int) -> Segments:
        chosen = sides["train"]
        return Segments(
            store,
            length,
            batch,
            episodes=chosen,
            seed=config.seed,
            rank=rank,
            ranks=ranks,
            drop_last=True,
        )

    counts = {side: len(chosen) for side, chosen in sides.items()}
    known = {"fingerprint": store.fingerprint, "split": split.to_json(), "episodes": counts}
    return Task(
        learner=Imitate(model, store, taught, floors, sides["train"]),
        model=model,
        about=About("policy", schema, preset, arguments),
        source=source,
        validation=lambda: Segments(
            store, length, config.batch, episodes=sides["val"], shuffle=False
        ).rest_of_epoch(),
        facts={**known, "lessons": dataclasses.asdict(taught), **(facts or {})},
        resume=resume,
    )


def outfit(
    schema: Schema,
    preset: str,
    store: Store | None = None,
    split: Split | None = None,
    *,
    sees: Sequence[str] | None = None,
    encoding: Encoding | None = None,
    lessons: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A policy's arguments: a preset, changed; with a store also what must be counted in it (answers, players)."""
    taught = _taught(schema, preset, lessons)
    can = [key for key in (visible(schema) if sees is None else sees) if key in schema.state_keys]
    if store is None:
        return policy.arguments(preset, can, None, encoding, **changes)
    train, seats = (
        _sides(store, split or Split())["train"],
        taught.seats or tuple(range(schema.players)),
    )
    if taught.by_player:
        changes["players"] = tuple(
            sorted({name for episode in train.tolist() for name in _names(store, episode, seats)})
        )
    values = Values(schema, changes.get("answers", PRESETS.get(preset, {}).get("answers", ())))
    found = pressed(store, train, seats, values, MOST_COUNTED)
    return policy.arguments(preset, can, fit_vocabulary(values, found.now), encoding, **changes)


def _taught(schema: Schema, preset: str, lessons: Mapping[str, Any] | None) -> Lessons:
    taught = Lessons.of({"seats": SEATS.get(preset, ()), **(lessons or {})})
    must_be_possible(schema, taught)
    return taught
