"""Training task of the worlds of older systems (`model/world/older.py`), with their metrics.

B: segments, T: positions. Every position of a segment is a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from shadowbox.core.encoding import Encoding, encoding_name
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Schema
from shadowbox.data.sample import Batch, align
from shadowbox.data.split import Split
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.learners.dynamics.measure import contexts_of, dynamics_of
from shadowbox.learners.dynamics.segments import segments_task
from shadowbox.learners.imitation_data import split_episodes
from shadowbox.learners.registry import Inputs, ModelSummary, RunSpec, metric_info
from shadowbox.model.codec import decode
from shadowbox.model.world.older import OLDER, _OlderConfig, _OlderWorld, build_older_world
from shadowbox.train.protocols import ScoreSums, TrainTask
from shadowbox.train.schedule import count

if TYPE_CHECKING:
    from shadowbox.learners.dynamics.task import _DynamicsConfig

NOISY = ("core", "velocity")  # blocks of numbers that scheduled sampling corrupts
POSITIONS = ("x", "y")
SCORES = {
    "loss": MetricInfo("low", 0.0),
    "change_acc": MetricInfo("high", 0.0, 1.0, ("copy_last",)),
    "pos_mae": MetricInfo("low", 0.0, baselines=("copy_last", "constant_velocity")),
}


class _OlderBatch(NamedTuple):
    """Segments [B, T] as columns, with encoded controls and targets."""

    view: Mapping[str, Tensor]  # state_t and controls_{t-1}
    pressed: Tensor  # controls_t, [B, T, conditions]
    numbers: Tensor  # targets, [B, T, float targets]
    categories: Tensor  # [B, T, int targets]
    decided: Tensor
    reset: Tensor


def encoding_of(spec: RunSpec) -> Encoding:
    """The encoding that the learner's setting names."""
    name, known = encoding_name(spec.learner["encoding"]), spec.game.encodings
    found = known.get(name)
    if not isinstance(found, Encoding):
        named = [each for each, encoding in known.items() if isinstance(encoding, Encoding)]
        raise UsageError(
            f"learner.encoding: preset '{spec.preset}' needs a named encoding of {spec.game.name}, "
            f"which '{name}' is not: {did_you_mean(name, named)}"
        )
    return found


def older_arguments(inputs: Inputs, config: _DynamicsConfig) -> dict[str, Any]:
    """Arguments of the model as plain data."""
    spec, encoding = inputs.spec, encoding_of(inputs.spec)
    return {
        "config": _OlderConfig.of({**OLDER[spec.preset], **spec.model}).flat(),
        "encoding": {"name": encoding.name, "settings": dict(encoding.settings)},
        "dynamics": dynamics_of(inputs).to_json(),
        "contexts": [config.contexts + config.past_contexts, config.past_rows],
    }


def summarize_older(inputs: Inputs, config: _DynamicsConfig) -> ModelSummary:
    """Model and metrics of a run."""
    arguments = older_arguments(inputs, config)
    with torch.device("meta"):
        model = build_older_world(inputs.schema, encoding_of(inputs.spec), arguments)
    losses = losses_of(model)
    return ModelSummary(
        arguments, count(model.parameters()), metric_info(losses, SCORES), kind="world"
    )


def losses_of(model: _OlderWorld) -> dict[str, float]:
    """Weight of each loss by its full name."""
    weights = model.config.weights(model.losses)
    return {f"loss/{name}": weight for name, weight in weights.items()}


class _OlderLearner:
    """Ten losses with fixed weights, and the accuracy of changes and positions."""

    metrics: tuple[str, ...] = ()
    scores = SCORES

    def __init__(self, model: _OlderWorld, schema: Schema, config: _DynamicsConfig) -> None:
        self.world, self.encoding, self.schema, self.config = model, model.encoding, schema, config
        self.losses = losses_of(model)
        self.batches, self.per_epoch = 0, 1
        first = self.encoding.order.index(NOISY[0])
        assert first == 0, "the first block of the target holds positions"
        core = [n for n in self.encoding.numbers if n.block == NOISY[0] and n.target != "no"]
        # target columns and scales of the positions, of all players
        self.places = [
            (player * len(core) + at, number.scale)
            for player in range(self.encoding.players)
            for at, number in enumerate(core)
            if number.name in POSITIONS
        ]
        self.noisy = {n.read: n.scale for n in self.encoding.numbers if n.block in NOISY}

    def state(self) -> Mapping[str, Any]:
        """Number of batches so far, by which scheduled sampling sets in."""
        return {"batches": self.batches}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.batches = int(state["batches"])

    def to_device(self, batch: Batch, device: torch.device) -> _OlderBatch:
        """Decoded segments with encoded controls and targets."""
        rows, inside = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (batch.rows, batch.inside)
        )
        found = align(self.schema, decode(self.schema, rows), inside)
        numbers, categories = self.encoding.targets(found.state, found.following, torch)
        return _OlderBatch(
            {**found.state, **found.previous},
            self.encoding.condition(found.controls, found.previous, torch),
            numbers,
            categories,
            found.decided,
            ~found.started,
        )

    def num_targets(self, batch: Batch) -> float:
        """Number of positions."""
        return float((batch.inside[:, 1:-1] & batch.inside[:, 2:]).sum())

    def loss(self, model: nn.Module, batch: _OlderBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the losses, and each."""
        if model.training:
            batch = batch._replace(view=self._noisy_view(batch))
            self.batches += 1
        outputs, _ = model(batch.view, batch.pressed, batch.reset)
        decided = batch.decided.float()
        total = decided.sum().clamp(min=1.0)
        named = {
            f"loss/{name}": (cost * decided).sum() / total
            for name, cost in self.world.costs(outputs, batch.numbers, batch.categories).items()
        }
        loss = torch.stack([weight * named[name] for name, weight in self.losses.items()]).sum()
        return loss, {name: value.detach() for name, value in named.items()}

    @torch.no_grad()
    def score(self, model: nn.Module, batch: _OlderBatch) -> dict[str, ScoreSums]:
        """Scores and their baselines by segment of the batch."""
        outputs, _ = model(batch.view, batch.pressed, batch.reset)
        decided = batch.decided.float()
        costs = self.world.costs(outputs, batch.numbers, batch.categories)
        total = torch.stack([w * costs[name[5:]] for name, w in self.losses.items()]).sum(0)
        many = decided.sum(1)
        sums = {"loss": ScoreSums((total * decided).sum(1), many)}
        sums |= dict(self._changes(outputs, batch))
        delta = batch.numbers
        last = torch.cat([torch.zeros_like(delta[:, :1]), delta[:, :-1]], 1)
        last = last * ~batch.reset[..., None]
        guesses = {"": outputs["continuous"], "/copy_last": 0 * delta, "/constant_velocity": last}
        for name, guess in guesses.items():
            errors = [(guess[..., at] - delta[..., at]).abs() / scale for at, scale in self.places]
            error = torch.stack(errors).mean(0) * decided
            sums[f"pos_mae{name}"] = ScoreSums(error.sum(1), many)
        return sums

    def _changes(
        self, outputs: Mapping[str, Tensor], batch: _OlderBatch
    ) -> Iterator[tuple[str, ScoreSums]]:
        """Share of the changes of the first category, the action, that are predicted."""
        kinds, players = self.world.heads.kinds, self.encoding.players
        now = kinds[0].of(batch.view, torch)
        after = batch.categories[..., :: len(kinds)]
        changed = ((now != after) & batch.decided[..., None]).float()
        guess = [outputs[f"{kinds[0].name}_{player}"].argmax(-1) for player in range(players)]
        many = changed.sum((1, 2))
        right = (torch.stack(guess, -1) == after).float() * changed
        yield "change_acc", ScoreSums(right.sum((1, 2)), many)
        yield "change_acc/copy_last", ScoreSums(torch.zeros_like(many), many)

    def _noisy_view(self, batch: _OlderBatch) -> dict[str, Tensor]:
        """The view, in which some segments have frames with noisy positions and velocities.

        The share of segments rises from 0 over the first epochs, as in older systems. Values that
        change in steps, such as stocks, stay exact.
        """
        config, (many, length) = self.config, batch.reset.shape
        rise = self.batches / max(1, self.per_epoch * config.scheduled_anneal)
        share = config.scheduled_sampling * min(1.0, rise)
        device = batch.reset.device
        chosen = torch.rand(many, 1, device=device) < share
        # the last frames of a segment
        last = torch.arange(length, device=device) >= length - config.scheduled_frames
        level = (chosen & last)[..., None] * config.scheduled_noise
        view = dict(batch.view)
        for key, scale in self.noisy.items():
            if isinstance(key, str):
                view[key] = view[key] + torch.randn_like(view[key]) * level / scale
        return view


def prepare_older(inputs: Inputs, config: _DynamicsConfig) -> TrainTask:
    """Build the training task of a store."""
    store, split = inputs.recordings, inputs.split or Split()
    encoding, arguments = encoding_of(inputs.spec), older_arguments(inputs, config)
    encoding.require(store.schema)
    sides = split_episodes(store, split)
    model = build_older_world(store.schema, encoding, arguments, inputs.config.seed)
    model.put_contexts(*contexts_of(store, sides["train"], config))
    learner = _OlderLearner(model, store.schema, config)
    return segments_task(
        inputs, learner, model, arguments, length=config.length, split=split, sides=sides
    )
