"""Imitation: answer what the players of a store pressed. Every seat of every match is an example.

P: positions of a segment; V: control values of the own seat; W: width of a policy's output (`model/codec.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.schema import Array, Flag, Real, Schema
from shadowbox.data.sample import Aligned, Batch, Segments, align
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.learn.config import Config
from shadowbox.learn.floors import Floors, fit_floors
from shadowbox.learn.learner import Score, Task
from shadowbox.model import policy
from shadowbox.model.checkpoint import About
from shadowbox.model.codec import Coding, decode, from_every_seat, visible


@dataclass(frozen=True)
class Tensors:
    """A batch on the device: packed rows u1 [B, R, bytes], inside [B, R], which controls were recorded [B, V]."""

    rows: Tensor
    inside: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Seen:
    """What a policy is asked at each position, from every seat: [S, P, ...] with S = players * B."""

    output: Tensor  # [S, P, W]
    targets: Tensor  # [S, P, V]
    before: Tensor  # [S, P, V] the controls of the last frame
    counted: Tensor  # [S, P, V] is a decision, and was recorded


GUESSES = ("hold", "never_press", "look_up")  # baselines that guess values


class Declared(NamedTuple):
    """Everything that imitation logs, known before any data is: what it is made of, and within which bounds."""

    losses: dict[str, float]  # name -> weight
    metrics: tuple[str, ...]
    scores: dict[str, tuple[str, ...]]  # name -> baselines
    better: dict[str, str]
    limits: dict[str, tuple[float, float]]


def declared(schema: Schema, coding: Coding, guesses: tuple[str, ...] = GUESSES) -> Declared:
    """What learning the controls of a schema will log."""
    keys = list(dict.fromkeys(coding.names))
    kinds = {type(schema.columns[key].field) for key in keys}
    scores: dict[str, tuple[str, ...]] = {"loss": ("hold", "rate")}
    scores |= {"onset_f1": guesses, "press_f1": guesses} if Flag in kinds else {}
    scores |= {"right": guesses} if kinds - {Real} else {}
    scores |= {"error": ("hold",)} if Real in kinds else {}
    return Declared(
        losses={key: schema.columns[key].field.weight for key in keys},
        metrics=("right",),
        scores=scores,
        better={name: "low" if name in ("loss", "error") else "high" for name in scores},
        limits=dict.fromkeys(("onset_f1", "press_f1", "right"), (0.0, 1.0)) | {"error": (0.0, math.inf)},
    )


class Imitate:
    """The negative log-likelihood of what was pressed, each control by its weight."""

    def __init__(self, schema: Schema, coding: Coding, sees: Sequence[str], absent: Array, floors: Floors) -> None:
        """`absent` [E, controls]: what an episode's recording did not have."""
        self.schema, self.coding, self.floors = schema, coding, floors
        self.sees = tuple(sees)
        said = declared(schema, coding, floors.names)
        self.losses, self.metrics, self.scores, self.better = said.losses, said.metrics, said.scores, said.better
        order = [schema.control_keys.index(name) for name in coding.names]
        self._recorded = ~absent[:, order]  # [E, V]
        self._kinds = np.array([schema.columns[name].field.kind for name in coding.names])
        self._weights = torch.tensor([self.losses[name] for name in coding.names])
        self._columns = (*self.sees, *schema.control_keys)

    def put(self, batch: Batch, device: torch.device) -> Tensors:
        """Packed bytes on the device; they are decoded there."""
        arrays = (batch.rows, batch.inside, self._recorded[batch.episode])
        return Tensors(*(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays))

    def count(self, batch: Batch) -> float:
        """Decisions, from every seat."""
        return float((batch.inside[:, 1:-1] & batch.inside[:, 2:]).sum()) * self.schema.players

    def loss(self, model: nn.Module, batch: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
        """Nats a decision, in all and by control."""
        seen = self._see(model, batch)
        decisions = seen.counted.any(-1).sum().clamp(min=1)
        costs = (self.coding.nll(seen.output, seen.targets) * seen.counted).sum((0, 1)) / decisions  # [V]
        with torch.no_grad():
            wrong = (self.coding.likely(seen.output) != seen.targets) & seen.counted
            found = dict(zip(self.losses, costs.detach().view(-1, self.coding.slots).sum(-1), strict=True))
            found["right"] = 1 - wrong.sum() / seen.counted.sum().clamp(min=1)
        return (costs * self._weights.to(costs.device)).sum(), found

    def score(self, model: nn.Module, batch: Tensors) -> dict[str, Score]:
        """Each score and its baselines, by example of the batch (both seats together)."""
        seen = self._see(model, batch)
        weights, decisions = self._weights.to(seen.output.device), seen.counted.any(-1).float()
        found: dict[str, Score] = {}
        costs = {"loss": self.coding.nll(seen.output, seen.targets)}
        costs |= {f"loss/{name}": cost for name, cost in self.floors.costs(seen.before, seen.targets).items()}
        for name, cost in costs.items():
            found[name] = self._score((cost * weights * seen.counted).sum(-1), decisions)
        guesses = {"": self.coding.likely(seen.output)}
        guesses |= {f"/{name}": guess for name, guess in self.floors.guesses(seen.before).items()}
        for name, guess in guesses.items():
            found |= {f"{score}{name}": value for score, value in self._guess_scores(guess, seen).items()
                      if not name or name[1:] in self.scores[score]}  # fmt: skip
        return found

    def _see(self, model: nn.Module, batch: Tensors) -> Seen:
        """Decode, align, look from every seat, and ask the model."""
        aligned: Aligned[Tensor] = align(self.schema, decode(self.schema, batch.rows, self._columns), batch.inside)
        inputs, controls = aligned.for_policy()
        state, previous = (from_every_seat(self.schema, inputs[name]) for name in ("state", "previous"))
        seats = self.schema.players
        reset = (~aligned.started).repeat(seats, 1)
        counted = aligned.decided.repeat(seats, 1)[..., None] & batch.valid.repeat(seats, 1)[:, None]
        output = model(state, previous, reset)
        targets = self.coding.targets(from_every_seat(self.schema, controls))
        return Seen(output.float(), targets, self.coding.targets(previous), counted)

    def _guess_scores(self, guess: Tensor, seen: Seen) -> dict[str, Score]:
        flags, reals = (torch.from_numpy(self._kinds == kind).to(guess.device) for kind in ("flag", "real"))
        scores: dict[str, Score] = {}
        if "press_f1" in self.scores:
            pressed, truth, counted = guess > 0.5, seen.targets > 0.5, seen.counted & flags
            fresh = counted & (seen.before < 0.5)
            scores["onset_f1"] = self._f1(pressed, truth, fresh)
            scores["press_f1"] = self._f1(pressed, truth, counted)
        if "right" in self.scores:
            counted = seen.counted & ~reals
            scores["right"] = self._score(((guess == seen.targets) & counted).sum(-1), counted.sum(-1))
        if "error" in self.scores:
            counted = seen.counted & reals
            scores["error"] = self._score(((guess - seen.targets).abs() * counted).sum(-1), counted.sum(-1))
        return scores

    def _f1(self, pressed: Tensor, truth: Tensor, counted: Tensor) -> Score:
        hits = (pressed & truth & counted).sum(-1)
        return self._score(2 * hits, ((pressed & counted).sum(-1) + (truth & counted).sum(-1)))

    def _score(self, top: Tensor, bottom: Tensor) -> Score:
        """[S, P] -> by example of the batch, over positions and seats."""
        seats = self.schema.players
        return Score(*(values.sum(1).view(seats, -1).sum(0) for values in (top, bottom)))


def prepare(
    store: Store,
    config: Config,
    *,
    preset: str = "tiny",
    sees: Sequence[str] | None = None,
    length: int = 64,
    split: Split | None = None,
    model: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    resume: str = "",
) -> Task:
    """A store and a preset -> something to train.

    `sees`: the columns that the policy is shown (default: all it can); `model`: changes of the preset.
    """
    split, schema = split or Split(), store.schema
    sides = {side: split.episodes(store, side) for side in ("train", "val")}
    for side, episodes in sides.items():
        if not len(episodes):
            raise UsageError(
                f"{store.path}: none of its {len(store)} episodes is on the side '{side}': record more, or change the shares"
            )
    can = visible(schema)
    arguments = policy.arguments(
        preset, [key for key in (can if sees is None else sees) if key in schema.state_keys], **(model or {})
    )
    learned = policy.build(schema, arguments, config.seed)
    floors = fit_floors(store, sides["train"], learned.coding)
    absent = np.array([[key in gone for key in schema.control_keys] for gone in map(store.absent_in, range(len(store)))])

    def source(batch: int, rank: int, ranks: int) -> Segments:
        chosen = sides["train"]
        return Segments(store, length, batch, episodes=chosen, seed=config.seed, rank=rank, ranks=ranks, drop_last=True)

    known = {"fingerprint": store.fingerprint, "episodes": {side: len(chosen) for side, chosen in sides.items()}}
    return Task(
        learner=Imitate(schema, learned.coding, learned.sees, absent, floors),
        model=learned,
        about=About("policy", schema, preset, arguments),
        source=source,
        validation=lambda: Segments(store, length, config.batch, episodes=sides["val"], shuffle=False).rest_of_epoch(),
        facts={**known, **(facts or {})},
        resume=resume,
    )
