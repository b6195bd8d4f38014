"""Training task of a policy on windows of frames, of which the last one is the target.

B: windows, T: frames of a window with those before it whose controls it reads, V: control values.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shadowbox.core.encoding import Encoding
from shadowbox.core.metrics import MetricInfo
from shadowbox.core.schema import Array
from shadowbox.core.stats import Interval
from shadowbox.data.sample import Batch, align
from shadowbox.data.split import Split
from shadowbox.errors import CheckpointError, UsageError, did_you_mean
from shadowbox.learners.imitation_data import split_episodes
from shadowbox.learners.registry import Inputs
from shadowbox.learners.windows import files, scores
from shadowbox.learners.windows.data import (
    AROUND,
    GROUPS,
    _Strided,
    count_presses,
    groups_of,
    mode_of,
    put_statistics,
    window_answers,
)
from shadowbox.learners.windows.losses import (
    LARGEST_WEIGHT,
    LOSSES,
    WEIGHTS,
    _Answers,
    _Targets,
)
from shadowbox.learners.windows.thresholds import _Frames, tune_all
from shadowbox.model import checkpoint
from shadowbox.model.checkpoint import CheckpointConfig
from shadowbox.model.codec import decode, from_every_seat
from shadowbox.model.policy import Policy, build_policy
from shadowbox.model.trunks.pooled import CONTROLS
from shadowbox.train.log import METRICS, read_facts, read_lines
from shadowbox.train.protocols import ScoreSums, TrainTask


@dataclass(frozen=True, kw_only=True)
class _WindowsConfig:
    """Settings of the learner."""

    encoding: str = "older"  # named encoding of the game
    # own: losses are means over the windows in which they count; seed: as older systems write them
    loss_norm: str = "own"
    history_dropout: float = 0.3  # share of the earlier controls that are hidden, frame by frame
    pos_weight_cap: float = LARGEST_WEIGHT  # largest weight of a press beside other frames
    normalize: bool = True  # by mean and spread of the training side
    stride: int = 1  # rows from one window of an epoch to the next; each epoch begins elsewhere
    validate_stride: int = 1
    action_weight: float = WEIGHTS["action"]
    look_weight: float = WEIGHTS["look"]
    hotbar_weight: float = WEIGHTS["hotbar"]
    cursor_weight: float = WEIGHTS["cursor"]
    inv_click_weight: float = WEIGHTS["inv_click"]
    idle_weight: float = WEIGHTS["idle"]

    def __post_init__(self) -> None:
        if self.loss_norm not in LOSSES:
            raise UsageError(
                f"learner.loss_norm is '{self.loss_norm}': {did_you_mean(self.loss_norm, LOSSES)}"
            )
        if not 0 <= self.history_dropout < 1 or self.pos_weight_cap < 1:
            raise UsageError(
                "expected learner.history_dropout from 0 to below 1 and learner.pos_weight_cap of "
                f"at least 1 (got {self.history_dropout}, {self.pos_weight_cap})"
            )
        if min(self.stride, self.validate_stride) < 1:
            raise UsageError("learner.stride and learner.validate_stride must be at least 1")

    def weights(self) -> dict[str, float]:
        """Weight of each loss."""
        return {name: float(getattr(self, f"{name}_weight")) for name in WEIGHTS}


class _WindowBatch(NamedTuple):
    """Windows and the controls of their last frame."""

    view: Mapping[str, Tensor]  # [B, T, slots]
    targets: _Targets
    previous: _Targets  # controls of the frame before the last one, in the mode of the last one


class _WindowLearner:
    """Five losses and a penalty of presses in idle frames, and the scores of older systems."""

    metrics: tuple[str, ...] = ()
    tables: Mapping[str, Any] = {}

    def __init__(
        self,
        policy: Policy,
        config: _WindowsConfig,
        weights: tuple[Tensor, Tensor],
        files: Callable[[Path], Mapping[str, bytes]] = lambda run: {},
    ) -> None:
        """`weights` of the presses of actions and clicks; `files` are written when a run ends."""
        self.policy, self.config, self.schema = policy, config, policy.schema
        self.press_weights, self.files = weights, files
        self.losses = config.weights()
        self.groups = groups_of(policy)
        self.actions, self.clicks = (
            [policy.values.names[at].partition("/")[2] for at in self.groups[name]]
            for name in ("action", "inv")
        )
        self.scores = scores_of(self.actions, self.clicks)
        self.combined = tuple(scores.COMBINED)

    # ---- batches ---------------------------------------------------------------------------------

    def to_device(self, batch: Batch, device: torch.device) -> _WindowBatch:
        """Decoded windows from the seat of the first player."""
        rows, inside = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (batch.rows, batch.inside)
        )
        aligned = align(self.schema, decode(self.schema, rows), inside)
        inputs, controls = aligned.for_policy()
        view = from_every_seat(self.schema, {**inputs["state"], **inputs["previous"]}, (0,))
        last = {key: values[:, -1] for key, values in view.items()}
        pressed = from_every_seat(
            self.schema, {key: values[:, -1] for key, values in controls.items()}, (0,)
        )
        now, before = (
            self.targets_of(self.policy.values.of(values), last) for values in (pressed, last)
        )
        return _WindowBatch(view, now, before)

    def targets_of(self, values: Tensor, last: Mapping[str, Tensor]) -> _Targets:
        """Targets of control values [B, V] in the modes of the state `last`."""
        values = self.policy.values.only_active(values, last)
        of = {name: values[:, places] for name, places in self.groups.items()}
        (slot,) = (of[name] for name in of if name not in GROUPS)
        return _Targets(
            of["action"],
            of["look"],
            slot[:, 0].long() - 1,
            (of["cursor"] + 1) / 2,
            of["inv"],
            ~last[mode_of(self.policy)][:, 0].bool(),
        )

    def answers(self, view: Mapping[str, Tensor], keep: Tensor | None = None) -> _Answers:
        """Answers of the policy for the last frame of windows; `keep` as in `_PooledTrunk.last`."""
        return window_answers(self.policy, view, keep)

    def num_targets(self, batch: Batch) -> float:
        """Number of windows."""
        return float(len(batch))

    # ---- learning --------------------------------------------------------------------------------

    def loss(self, model: nn.Module, batch: _WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the losses, and each."""
        keep = None
        if model.training and self.config.history_dropout:
            shape, device = (len(batch.targets.slot), CONTROLS), batch.targets.look.device
            keep = (torch.rand(shape, device=device) > self.config.history_dropout).float()
        named = self._costs(self.answers(batch.view, keep), batch.targets)
        loss = torch.stack([weight * named[name] for name, weight in self.losses.items()]).sum()
        return loss, {name: value.detach() for name, value in named.items()}

    def _costs(self, answers: _Answers, targets: _Targets) -> dict[str, Tensor]:
        weights = (each.to(targets.look.device) for each in self.press_weights)
        return LOSSES[self.config.loss_norm](answers, targets, *weights)

    @torch.no_grad()
    def score(self, model: nn.Module, batch: _WindowBatch) -> dict[str, ScoreSums]:
        """Losses of the batch, and scores and baselines of each window."""
        answers, targets = self.answers(batch.view), batch.targets
        many = torch.ones_like(targets.look[:, 0])
        costs = self._costs(answers, targets)
        total = torch.stack([weight * costs[name] for name, weight in self.losses.items()]).sum()
        found = {name: ScoreSums(cost * many, many) for name, cost in costs.items()}
        found["loss"] = ScoreSums(total * many, many)
        before = batch.previous
        last = scores._Guess(
            before.action > 0.5, before.look, before.slot, before.cursor, before.inv > 0.5
        )
        guesses = {
            "": scores.guess_of(answers),
            "/copy_last": last,
            "/never_press": scores.nothing_like(targets),
        }
        for end, guess in guesses.items():
            named = scores.head_scores(guess, targets, self.actions, self.clicks)
            found |= {f"{name}{end}": value for name, value in named.items()}
        return found

    def combine(self, sums: Mapping[str, tuple[Array, Array]]) -> dict[str, Array]:
        """Scores of all windows together, such as the mean of several ratios."""
        return scores.combined_scores(sums, self.actions, self.clicks)

    def table_row(
        self, trained: Mapping[str, float], found: Mapping[str, Interval], lr: float
    ) -> dict[str, float]:
        """Row of the console, with the columns of older systems."""
        short = {"action": "Act", "look": "Look", "hotbar": "Hbar", "cursor": "Curs",
                 "inv_click": "Inv", "idle": "Idle"}  # fmt: skip
        return {
            "TrLoss": trained["loss"],
            **{column: trained[name] for name, column in short.items()},
            "VlLoss": found["loss"].value,
            "VlF1": found["action_f1"].value,
            "Score": found["seed_score"].value,
            "LR": lr,
        }

    # ---- files at the end ------------------------------------------------------------------------

    def take_seen(self) -> list[Any]:
        """Nothing: this learner writes no tables."""
        return []

    def table_rows(self, seen: list[Any]) -> Mapping[str, list[Mapping[str, Any]]]:
        """No rows."""
        return {}

    def pages(self, run: Path) -> Mapping[str, bytes]:
        """Files of older systems, of the best checkpoint."""
        return self.files(run)


def scores_of(actions: Iterable[str], clicks: Iterable[str]) -> dict[str, MetricInfo]:
    """All scores of a learner of these controls."""
    low, share = MetricInfo("low", 0.0), scores._SHARE
    return {
        **scores.COMBINED,
        "loss": low,
        **dict.fromkeys(WEIGHTS, low),
        **scores.HEADS,
        **{f"f1.{name}": share for name in (*actions, *clicks)},
    }


def prepare(
    inputs: Inputs, encoding: Encoding, arguments: Mapping[str, Any], config: _WindowsConfig
) -> TrainTask:
    """Build the training task of a store."""
    store, settings, split = inputs.recordings, inputs.config, inputs.split or Split()
    sides = split_episodes(store, split)
    policy = build_policy(store.schema, arguments, settings.seed, encoding)
    if config.normalize:
        put_statistics(policy, store, sides["train"])

    def windows(episodes: Array, batch: int, stride: int, **more: Any) -> _Strided:
        length = policy.config.trunk.frames + AROUND
        return _Strided(store, length, batch, episodes=episodes, stride=stride, **more)

    def validation(stride: int = config.validate_stride) -> Iterable[Batch]:
        return windows(sides["val"], settings.batch, stride, shuffle=False).rest_of_epoch()

    learner = _WindowLearner(
        policy, config, count_presses(policy, store, sides["train"], config.pos_weight_cap)
    )
    learner.files = lambda run: older_files(run, learner, encoding, lambda: validation(1))
    return TrainTask(
        learner=learner,
        model=policy,
        about=CheckpointConfig("policy", store.schema, inputs.spec.preset, dict(arguments)),
        source=lambda batch, rank, ranks: windows(
            sides["train"],
            batch,
            config.stride,
            seed=settings.seed,
            rank=rank,
            ranks=ranks,
            drop_last=True,
        ),
        validation=validation,
        facts={
            "fingerprint": store.fingerprint,
            "split": split.to_json(),
            "episodes": {side: len(chosen) for side, chosen in sides.items()},
            "windows": dataclasses.asdict(config),
            **inputs.facts,
        },
        resume=inputs.resume,
    )


# ---- at the end of a run -------------------------------------------------------------------------


def older_files(
    run: Path, learner: _WindowLearner, encoding: Encoding, batches: Callable[[], Iterable[Batch]]
) -> dict[str, bytes]:
    """The three files of older systems, of the best checkpoint; none without a checkpoint."""
    try:
        best = checkpoint.load(checkpoint.find_checkpoint(f"{run}@best"))
    except CheckpointError:
        return {}
    policy = copy.deepcopy(learner.policy).cpu().eval()
    checkpoint.load_weights(policy, best.weights, str(best.path))
    own = _WindowLearner(policy, learner.config, learner.press_weights)
    sums, frames = measured(own, batches())
    tuned = tune_all(frames)
    ratios = {name: float(scores._ratio(top, bottom)[0]) for name, (top, bottom) in sums.items()}
    ratios |= {name: float(values[0]) for name, values in own.combine(sums).items()}
    metrics = {
        name: round(value, 6) if np.isfinite(value) else None
        for name, value in ratios.items()
        if "/" not in name and not name.startswith("f1.")
    }
    last = [line for line in read_lines(run / METRICS) if line["kind"] == "val"]
    known = read_facts(run).get("best") or {}
    outcome = files._Outcome(
        tuned,
        metrics,
        int(last[-1]["epoch"]) if last else 0,
        float(known.get("value", ratios["seed_score"])),
        learner.config.history_dropout,
    )
    return {
        files.WEIGHTS: files.weights_file(policy),
        files.CONFIG: files.config_file(policy, encoding, outcome),
        files.LOG: files.log_file(run),
    }


def measured(
    learner: _WindowLearner, batches: Iterable[Batch]
) -> tuple[dict[str, tuple[Array, Array]], dict[str, _Frames]]:
    """Sums [1] of the scores of all windows, and the frames of each control in order."""
    sums: dict[str, list[Array]] = {}
    parts: dict[str, list[_Frames]] = {}
    cpu = torch.device("cpu")
    with torch.no_grad():
        for batch in batches:
            prepared = learner.to_device(batch, cpu)
            for name, (top, bottom) in learner.score(learner.policy, prepared).items():
                pair = np.array([[float(top.sum())], [float(bottom.sum())]])
                sums.setdefault(name, []).append(pair)
            for name, found in _frames_of(learner, prepared, batch.episode):
                parts.setdefault(name, []).append(found)
    frames = {
        name: _Frames(*(np.concatenate(values) for values in zip(*each, strict=True)))
        for name, each in parts.items()
    }
    totals = {name: np.sum(pairs, 0) for name, pairs in sums.items()}
    return {name: (pair[0], pair[1]) for name, pair in totals.items()}, frames


def _frames_of(
    learner: _WindowLearner, batch: _WindowBatch, session: Array
) -> Iterator[tuple[str, _Frames]]:
    """Frames of each control, those of a batch in which it counts."""
    answers, targets = learner.answers(batch.view), batch.targets
    for names, logits, truth, counted, idle in (
        (learner.actions, answers.action, targets.action, targets.playing, targets.idle),
        (learner.clicks, answers.inv, targets.inv, ~targets.playing,
         ~targets.playing & (targets.inv.sum(1) == 0)),
    ):  # fmt: skip
        on = counted.numpy()
        shares = torch.sigmoid(logits).numpy()
        for at, name in enumerate(names):
            down = truth[:, at].numpy() > 0.5
            yield name, _Frames(shares[on, at], down[on], idle.numpy()[on], session[on])
